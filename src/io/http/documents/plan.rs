//! Plans and the state of the sources.

use serde::{Deserialize, Serialize};

use crate::engine::condition::Condition;
use crate::engine::request::Refusal;
use crate::io::http::documents::At;
use crate::io::http::documents::diagnostics::DiagnosticEntry;
use crate::spec::job::SourcePlace;

/// What would change, or has changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanDocument {
    /// [`PlanDocument::SCHEMA`].
    pub schema: String,
    /// Names the plan: generation and a digest of what it changes.
    pub id: String,
    /// The store's generation that it was made against.
    pub generation: u64,
    /// What it leads to.
    pub revision: RevisionEntry,
    /// The revision that is applied now.
    #[serde(default)]
    pub applied: Option<String>,
    /// The differences, by job; unchanged jobs are only counted.
    pub changes: Vec<ChangeEntry>,
    /// How many there are of each.
    pub summary: PlanSummary,
    /// What is wrong with the manifests.
    #[serde(default)]
    pub diagnostics: Vec<DiagnosticEntry>,
}

impl PlanDocument {
    /// Name and version of this document.
    pub const SCHEMA: &str = "cronwright.plan/v1";
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

/// One difference.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChangeEntry {
    /// `create`, `update`, `rename`, `remove` or `none`.
    pub action: String,
    /// The job.
    pub job: String,
    /// Why it is held back; none: it is not.
    pub blocked: Option<String>,
    /// Where the definition stands.
    #[serde(default)]
    pub source: Option<SourcePlace>,
    /// The triggers after the change, in normal form.
    #[serde(default)]
    pub schedule: Vec<String>,
    /// What is different in the definition.
    pub fields: Vec<FieldEntry>,
    /// The next fire time before and after; none: the schedule does not move.
    pub next_fire: Option<NextFireEntry>,
    /// How many fire times of the next seven days come and go; none: the schedule does not move.
    pub fires_7d: Option<FiresEntry>,
}

/// A value that is different.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FieldEntry {
    /// JSON pointer into the job spec.
    pub pointer: String,
    /// Before; null: it was not there.
    pub from: serde_json::Value,
    /// After; null: it is not there any more.
    pub to: serde_json::Value,
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
    /// That were not there before.
    pub gained: u64,
    /// That are not there after.
    pub lost: u64,
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
    /// Jobs that do not change.
    pub unchanged: usize,
}

/// Under which conditions the sources are applied: the body of `POST /api/v1/sync`. Each key may be left
/// out; so may the whole body.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApplyDocument {
    /// The store's generation must be this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// The digest of the sources must be this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sources_digest: Option<String>,
    /// The id of the plan must be this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// Held removals that a person may lift are lifted; there must be exactly this many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_prune: Option<usize>,
}

impl ApplyDocument {
    /// Reads what was sent.
    pub fn read(body: &[u8]) -> Result<Condition, Refusal> {
        if body.trim_ascii().is_empty() {
            return Ok(Condition::default());
        }
        let read: Self = serde_json::from_slice(body).map_err(|error| Refusal {
            code: "E0400",
            message: format!("these conditions cannot be read: {error}"),
            help: Some(
                "send `generation`, `sources_digest`, `plan`, `allow_prune`, or none".to_owned(),
            ),
        })?;
        Ok(Condition {
            generation: read.generation,
            sources_digest: read.sources_digest,
            plan_id: read.plan,
            allow_prune: read.allow_prune,
        })
    }
}

/// The state of the sources.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SyncDocument {
    /// [`SyncDocument::SCHEMA`].
    pub schema: String,
    /// `Synced`, `Progressing`, `Degraded`, `Blocked` or `Stalled`.
    pub state: String,
    /// The revision that is applied.
    pub applied: Option<String>,
    /// The revision that was read last.
    pub attempted: Option<String>,
    /// When the sources were last looked at.
    pub looked_at: Option<At>,
    /// The store's generation.
    pub generation: u64,
    /// How many manifests there are.
    pub files: usize,
    /// The sources.
    pub sources: Vec<SourceEntry>,
    /// What is wrong with manifests and sources.
    pub diagnostics: Vec<DiagnosticEntry>,
    /// Changes that are held back.
    pub blocked: Vec<ChangeEntry>,
    /// What keeps a plan from being applied.
    #[serde(default)]
    pub waiting: Option<String>,
    /// What the last apply changed, when this answers one.
    #[serde(default)]
    pub plan: Option<PlanDocument>,
}

impl SyncDocument {
    /// Name and version of this document.
    pub const SCHEMA: &str = "cronwright.sync/v1";
}

/// A source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceEntry {
    /// Its folder.
    pub folder: String,
    /// `read` or `unreadable`.
    pub state: String,
}
