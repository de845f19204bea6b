//! Plans.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::io::http::documents::At;
use crate::io::http::documents::diagnostics::DiagnosticEntry;
use crate::spec::job::SourcePlace;

/// What would change, or has changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanDocument {
    /// [`PlanDocument::SCHEMA`].
    pub schema: String,
    /// Names the plan: generation and a digest of what it changes and holds back.
    pub id: String,
    /// The store's generation that it was made against.
    pub generation: u64,
    /// What it leads to.
    pub revision: RevisionEntry,
    /// The revision that is applied now.
    #[serde(default)]
    pub applied: Option<String>,
    /// The digest of the sources that it was made of.
    #[serde(default)]
    pub sources_digest: Option<String>,
    /// When it was made.
    #[serde(default)]
    pub made_at: Option<At>,
    /// The commit that the sources are compared with, instead of what is applied.
    #[serde(default)]
    pub against: Option<AgainstEntry>,
    /// The differences, by job; unchanged jobs are only counted.
    pub changes: Vec<ChangeEntry>,
    /// How many there are of each.
    pub summary: PlanSummary,
    /// Jobs that an operator has paused: a plan changes nothing about that.
    #[serde(default)]
    pub paused: Vec<PausedEntry>,
    /// Declared jobs whose names somebody else owns: nothing is changed about them.
    #[serde(default)]
    pub refused: Vec<RefusedEntry>,
    /// What is to be known when reading it.
    #[serde(default)]
    pub notes: Vec<String>,
    /// What is wrong with the manifests.
    #[serde(default)]
    pub diagnostics: Vec<DiagnosticEntry>,
}

impl PlanDocument {
    /// Name and version of this document.
    pub const SCHEMA: &str = "cronwright.plan/v1";

    /// Whether applying it would change something, or it holds something back.
    pub fn differs(&self) -> bool {
        !self.changes.is_empty() || !self.refused.is_empty()
    }
}

/// A revision of the sources.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevisionEntry {
    /// The commit, or what stands for it.
    pub commit: String,
    /// The branch, where there is one.
    #[serde(default)]
    pub branch: Option<String>,
    /// The work tree differs from the commit; none: not known.
    pub dirty: Option<bool>,
}

/// A commit that sources are compared with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgainstEntry {
    /// As it was asked for.
    pub name: String,
    /// Its full hash.
    pub commit: String,
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChangeEntry {
    /// `create`, `update`, `rename`, `remove` or `none`.
    pub action: String,
    /// The job; after the change, where it is renamed.
    pub job: String,
    /// The name that it had; none: it is not renamed.
    #[serde(default)]
    pub renamed_from: Option<String>,
    /// Why it is held back; none: it is not.
    pub blocked: Option<String>,
    /// The same in a sentence, with the next act.
    #[serde(default)]
    pub blocked_because: Option<String>,
    /// Where the definition stands.
    #[serde(default)]
    pub source: Option<SourcePlace>,
    /// The triggers after the change, in normal form.
    #[serde(default)]
    pub schedule: Vec<String>,
    /// What is different in the definition.
    pub fields: Vec<FieldEntry>,
    /// Whether the fire times are others.
    #[serde(default)]
    pub schedule_moves: bool,
    /// The next fire time before and after; none: the schedule does not move.
    pub next_fire: Option<NextFireEntry>,
    /// The fire times of the next seven days that come and go; none: the schedule does not move, or there
    /// are too many to count.
    pub fires_7d: Option<FiresEntry>,
    /// Due occurrences that start at once.
    #[serde(default)]
    pub caught_up: u64,
    /// Due occurrences that will not start.
    #[serde(default)]
    pub dropped: u64,
    /// Executions that run now; none: there are none, or it is not known.
    #[serde(default)]
    pub running: Option<RunningEntry>,
    /// The digests of the definitions.
    #[serde(default)]
    pub digest: DigestEntry,
    /// The definitions themselves, without secrets; where they were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub definition: Option<DefinitionEntry>,
}

/// A value that is different.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FieldEntry {
    /// JSON pointer into the job spec.
    pub pointer: String,
    /// Before; null: it was not there.
    pub from: Value,
    /// After; null: it is not there any more.
    pub to: Value,
    /// It looks like a secret: neither value is shown.
    #[serde(default, skip_serializing_if = "is_false")]
    pub secret: bool,
}

/// A next fire time that moves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextFireEntry {
    /// Before.
    pub from: Option<At>,
    /// After.
    pub to: Option<At>,
}

/// Fire times that come and go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FiresEntry {
    /// How many were not there before.
    pub gained: u64,
    /// How many are not there after.
    pub lost: u64,
    /// The first of those gained.
    #[serde(default)]
    pub gained_first: Vec<At>,
    /// The first of those lost.
    #[serde(default)]
    pub lost_first: Vec<At>,
}

/// Executions that run while their job is changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunningEntry {
    /// How many.
    pub count: usize,
    /// `finish`: they end under the definition they started with. `cancel`: they are cancelled.
    pub then: String,
}

/// Digests of definitions in canonical form.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DigestEntry {
    /// Before.
    pub from: Option<String>,
    /// After.
    pub to: Option<String>,
}

/// Definitions in canonical form.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DefinitionEntry {
    /// Before.
    pub from: Option<Value>,
    /// After.
    pub to: Option<Value>,
}

/// A job that an operator has paused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PausedEntry {
    /// The job.
    pub job: String,
    /// Who paused it.
    pub by: String,
    /// Since when.
    pub since: At,
    /// Until when; none: until it is resumed.
    pub until: Option<At>,
    /// Why.
    pub reason: Option<String>,
}

/// A declared job whose name somebody else owns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedEntry {
    /// The job.
    pub job: String,
    /// Who owns the name.
    pub owner: String,
    /// Where it is declared as well.
    pub source: SourcePlace,
}

/// How many changes there are of each kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanSummary {
    /// New jobs.
    pub create: usize,
    /// Changed jobs.
    pub update: usize,
    /// Renamed jobs.
    pub rename: usize,
    /// Removed jobs, blocked ones among them.
    pub remove: usize,
    /// Changes that are held back.
    pub blocked: usize,
    /// Of those, how many removals a person may lift: the `N` of `apply --allow-prune N`.
    #[serde(default)]
    pub confirmable: usize,
    /// Jobs that do not change.
    pub unchanged: usize,
    /// Of those, jobs that stand in another place now.
    #[serde(default)]
    pub moved: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks it so")]
fn is_false(flag: &bool) -> bool {
    !*flag
}
