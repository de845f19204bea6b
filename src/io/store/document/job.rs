//! An applied job and a note as they are stored.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::engine::event::Note;
use crate::engine::execution::JobUid;
use crate::engine::plan::{AppliedJob, Owner};
use crate::io::store::STORE_VERSION;
use crate::spec::job::{Digest, JobSpec, SourcePlace};
use crate::time::Timestamp;

/// Fields of a [`JobDocument`] that are times; so are the values of `anchors`.
pub const JOB_TIMES: [&str; 2] = ["effective_at", "removed_at"];

/// A job as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobDocument {
    /// The job's uid.
    #[serde(rename = "_id")]
    pub uid: String,
    /// Version of this form.
    pub v: u32,
    /// Its name.
    pub name: String,
    /// Its owner.
    pub owner: String,
    /// Its definition in canonical form: the job as a manifest would write it.
    pub spec: serde_json::Value,
    /// Digest of the canonical form.
    pub digest: String,
    /// Where it stands.
    pub source: SourcePlace,
    /// Since when it counts.
    pub effective_at: Timestamp,
    /// Stored anchors.
    pub anchors: BTreeMap<String, Timestamp>,
    /// Set once it is removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub removed_at: Option<Timestamp>,
}

/// A note as it is stored: kind, and facts as text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoteDocument {
    /// Version of this form.
    pub v: u32,
    /// When it was noted.
    pub at: Timestamp,
    /// Who noted it.
    pub node: String,
    /// What happened.
    pub kind: String,
    /// Since when, where that has a meaning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// Until when, where that has a meaning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Timestamp>,
    /// The execution concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub execution: Option<String>,
}

impl JobDocument {
    /// The stored form of an applied job.
    pub fn of(job: &AppliedJob, removed_at: Option<Timestamp>) -> Self {
        Self {
            uid: job.uid.to_string(),
            v: STORE_VERSION,
            name: job.spec.name.to_string(),
            owner: job.owner.to_string(),
            spec: serde_json::from_str(&job.spec.canonical()).unwrap_or_default(),
            digest: job.digest.to_string(),
            source: job.source.clone(),
            effective_at: job.effective_at,
            anchors: job.anchors.clone(),
            removed_at,
        }
    }

    /// The applied job, with the definition that the caller has read from `spec`, or has itself.
    pub fn applied(self, spec: Arc<JobSpec>) -> AppliedJob {
        AppliedJob {
            uid: JobUid(self.uid.as_str().into()),
            owner: Owner(self.owner.as_str().into()),
            spec,
            digest: Digest(self.digest.as_str().into()),
            source: self.source,
            effective_at: self.effective_at,
            anchors: self.anchors,
        }
    }

    /// The id of this definition in `specs`.
    pub fn spec_id(&self) -> String {
        format!("{}@{}", self.uid, crate::time::rfc3339(self.effective_at))
    }
}

impl NoteDocument {
    /// The stored form of a note.
    pub fn of(at: Timestamp, node: &str, note: &Note) -> Self {
        let (kind, from, to, execution) = match note {
            Note::ClockJump { from, to } => ("clock_jump", Some(*from), Some(*to), None),
            Note::Outage { from, to } => ("outage", Some(*from), Some(*to), None),
            Note::Downtime { from, to } => ("downtime", Some(*from), Some(*to), None),
            Note::OwnerLost { id, .. } => ("owner_lost", None, None, Some(id.to_string())),
        };
        let (kind, node) = (kind.to_owned(), node.to_owned());
        Self { v: STORE_VERSION, at, node, kind, from, to, execution }
    }
}
