//! Jobs and their fire times.

use serde::{Deserialize, Serialize};

use crate::io::http::documents::At;
use crate::io::http::documents::executions::ExecutionEntry;
use crate::io::http::documents::overrides::{PauseEntry, SkipEntry};
use crate::spec::job::SourcePlace;

/// Applied jobs, by name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobsDocument {
    /// [`JobsDocument::SCHEMA`].
    pub schema: String,
    /// The jobs.
    pub jobs: Vec<JobEntry>,
}

impl JobsDocument {
    /// Name and version of this document.
    pub const SCHEMA: &str = "cronwright.jobs/v1";
}

/// A job at a glance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobEntry {
    /// Its name.
    pub name: String,
    /// `scheduled`, `queued`, `running`, `paused` or `disabled`.
    pub state: String,
    /// Its manifest is invalid, and its last good definition goes on.
    pub stale: bool,
    /// Who may change it: `file:jobs.d`.
    pub owner: String,
    /// Where its definition stands.
    pub source: SourcePlace,
    /// When it is due next and not held back; none: disabled, paused without an end, finished, or only on
    /// request.
    pub next_fire_at: Option<At>,
    /// Its newest row.
    pub last: Option<LastEntry>,
    /// Its triggers in normal form.
    #[serde(default)]
    pub schedule: Vec<String>,
    /// The zone that its times are in.
    #[serde(default)]
    pub timezone: Option<String>,
    /// Free text.
    #[serde(default)]
    pub description: Option<String>,
    /// The one group that it belongs to.
    #[serde(default)]
    pub group: Option<String>,
    /// Sorted, each once.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Who paused it, and why.
    #[serde(default)]
    pub pause: Option<PauseEntry>,
    /// The fire time that an operator skips.
    #[serde(default)]
    pub skip_next: Option<SkipEntry>,
}

/// The newest row of a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LastEntry {
    /// Its id.
    #[serde(default)]
    pub id: String,
    /// When it was due.
    pub fire_time: At,
    /// How it ended; none: it has not.
    pub outcome: Option<String>,
    /// Why it ended so.
    #[serde(default)]
    pub reason: Option<String>,
    /// How long it took.
    #[serde(default)]
    pub duration_seconds: Option<f64>,
}

/// One job, whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobDocument {
    /// [`JobDocument::SCHEMA`].
    pub schema: String,
    /// At a glance.
    pub job: JobEntry,
    /// Its lasting identity.
    pub uid: String,
    /// Digest of its definition.
    pub digest: String,
    /// Revision of the applied set.
    pub revision: String,
    /// Since when its definition counts.
    pub effective_at: At,
    /// Its definition in canonical form, as a manifest would write it.
    pub spec: serde_json::Value,
    /// Its next fire times, also those that are held back.
    pub next: Vec<At>,
    /// When each of them starts: later than it is due when its trigger has jitter.
    #[serde(default)]
    pub next_starts: Vec<At>,
    /// Why each of them will not run: `paused`, `skip_next`; null: it will.
    #[serde(default)]
    pub next_skipped: Vec<Option<String>>,
    /// Its newest executions, newest first.
    pub executions: Vec<ExecutionEntry>,
}

impl JobDocument {
    /// Name and version of this document.
    pub const SCHEMA: &str = "cronwright.job/v1";
}

/// Coming fire times, earliest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NextDocument {
    /// [`NextDocument::SCHEMA`].
    pub schema: String,
    /// The zone of the times; none: each is in its job's own.
    pub timezone: Option<String>,
    /// The fire times.
    pub fires: Vec<FireEntry>,
}

impl NextDocument {
    /// Name and version of this document.
    pub const SCHEMA: &str = "cronwright.next/v1";
}

/// One coming fire time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FireEntry {
    /// The job; none: an expression was asked about.
    pub job: Option<String>,
    /// When it is due.
    pub at: At,
    /// When it starts.
    pub starts_at: At,
    /// Why it will not run: `paused` or `skip_next`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
}
