//! The state of the sources, and what is asked of them.

use serde::{Deserialize, Serialize};

use crate::engine::condition::Condition;
use crate::engine::request::Refusal;
use crate::io::http::documents::At;
use crate::io::http::documents::diagnostics::DiagnosticEntry;
use crate::io::http::documents::plan::{ChangeEntry, PlanDocument};

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
    /// Held removals that a person may lift are lifted; `plan` says which they are.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub confirm: bool,
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
                "send `generation`, `sources_digest`, `plan`, `allow_prune`, `confirm`, or none"
                    .to_owned(),
            ),
        })?;
        Ok(Condition {
            generation: read.generation,
            sources_digest: read.sources_digest,
            plan_id: read.plan,
            allow_prune: read.allow_prune,
            confirm: read.confirm,
        })
    }
}

/// How far to go back, and why: the body of `POST /api/v1/sync/rollback`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GoBackDocument {
    /// The beginning of the revision to go back to; none: the newest plan is taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// Who goes back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Held removals are lifted; there must be exactly this many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_prune: Option<usize>,
}

/// Who ends a pin: the body of `POST /api/v1/sync/resume`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResumeDocument {
    /// Who resumes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
}

/// The longest actor or reason, in bytes.
const WORDS_BYTES_MAX: usize = 256;

impl GoBackDocument {
    /// Reads what was sent.
    pub fn read(body: &[u8]) -> Result<Self, Refusal> {
        let read: Self = or_nothing(body, "`revision`, `actor`, `reason`, `allow_prune`, or none")?;
        let is_long = [&read.revision, &read.actor, &read.reason]
            .into_iter()
            .flatten()
            .any(|words| words.len() > WORDS_BYTES_MAX);
        if is_long {
            let message = format!("a text is longer than {WORDS_BYTES_MAX} bytes");
            return Err(Refusal { code: "E0400", message, help: Some("shorten it".to_owned()) });
        }
        Ok(read)
    }
}

impl ResumeDocument {
    /// Reads what was sent.
    pub fn read(body: &[u8]) -> Result<Self, Refusal> {
        or_nothing(body, "`actor`, or nothing")
    }
}

/// Reads a body; an empty one says nothing.
fn or_nothing<T: Default + for<'t> Deserialize<'t>>(body: &[u8], keys: &str) -> Result<T, Refusal> {
    if body.trim_ascii().is_empty() {
        return Ok(T::default());
    }
    serde_json::from_slice(body).map_err(|error| Refusal {
        code: "E0400",
        message: format!("this cannot be read: {error}"),
        help: Some(format!("send {keys}")),
    })
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
    /// The id of the plan that holds them back, by which a person confirms them; none: there is nothing
    /// that a person may lift.
    #[serde(default)]
    pub confirm: Option<String>,
    /// How many changes were read and are not applied, because a manifest is invalid and the settings say
    /// `on_invalid = "reject"`, or because something is pinned.
    #[serde(default)]
    pub rejected: usize,
    /// What keeps the sources from being applied: somebody went back.
    #[serde(default)]
    pub pinned: Option<PinEntry>,
    /// Where somebody has edited the store, and it was not mended.
    #[serde(default)]
    pub drift: Vec<DriftEntry>,
    /// What was mended in the store since the daemon began, if anything.
    #[serde(default)]
    pub mended: Option<MendedEntry>,
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

/// Where the store's copy of a job is another one than what is applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriftEntry {
    /// The job.
    pub job: String,
    /// Its uid.
    pub uid: String,
    /// `changed`, `missing`, `unknown` or `damaged`.
    pub kind: String,
    /// The fields that differ, of a changed one.
    pub fields: Vec<String>,
}

/// What was mended in the store since the daemon began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MendedEntry {
    /// How many stored jobs.
    pub jobs: u64,
    /// When last.
    pub at: At,
}

/// What somebody went back to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinEntry {
    /// The revision.
    pub revision: String,
    /// The generation after which the jobs were like that.
    pub generation: u64,
    /// Who.
    pub by: String,
    /// When.
    pub at: At,
    /// Why.
    pub reason: Option<String>,
}

/// A source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceEntry {
    /// Its folder.
    pub folder: String,
    /// `read` or `unreadable`.
    pub state: String,
}

/// Applied plans, newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlansDocument {
    /// [`PlansDocument::SCHEMA`].
    pub schema: String,
    /// The plans.
    pub plans: Vec<AppliedPlanEntry>,
}

impl PlansDocument {
    /// Name and version of this document.
    pub const SCHEMA: &str = "cronwright.plans/v1";
}

/// An applied plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AppliedPlanEntry {
    /// The store's generation that it led to.
    pub generation: u64,
    /// The revision.
    pub revision: String,
    /// When it took effect.
    pub effective_at: At,
    /// What set it off.
    pub origin: String,
    /// What it changed.
    pub changes: Vec<AppliedChangeEntry>,
}

/// A change of an applied plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppliedChangeEntry {
    /// `create`, `update`, `rename`, `remove`, or what was done to an override.
    pub action: String,
    /// The job.
    pub job: String,
}
