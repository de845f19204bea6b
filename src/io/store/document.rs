//! The stored forms: what a document of each collection holds, readable by a person.
//!
//! Every document carries `v`. Times are RFC 3339 text in human-readable formats; the MongoDB adapter
//! turns the fields named in [`ROW_TIMES`] and [`JOB_TIMES`] into BSON dates.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

use crate::engine::event::{Note, PlanWrites};
use crate::engine::execution::{
    Cause, Claim, Ending, Exception, ExecutionId, Exit, JobUid, Outcome, Output, Provenance, Range,
    Row, State,
};
use crate::engine::plan::{AppliedJob, Owner};
use crate::io::store::{STORE_VERSION, StoreError};
use crate::spec::job::{Digest, JobName, JobSpec, SourcePlace};
use crate::spec::trigger::TriggerKind;
use crate::time::Timestamp;

/// Fields of a [`RowDocument`] that are times.
pub const ROW_TIMES: [&str; 6] =
    ["fire_time", "first", "last", "claimed_at", "started_at", "finished_at"];
/// Fields of a [`JobDocument`] that are times; so are the values of `anchors`.
pub const JOB_TIMES: [&str; 2] = ["effective_at", "removed_at"];

/// A row of the ledger as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RowDocument {
    /// The row's id.
    #[serde(rename = "_id")]
    pub id: String,
    /// Version of this form.
    pub v: u32,
    /// The job's name.
    pub job: String,
    /// The job's uid.
    pub uid: String,
    /// Why it exists.
    pub cause: String,
    /// Kind of trigger.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trigger: Option<String>,
    /// When it was due.
    pub fire_time: Timestamp,
    /// Range rows: the first fire time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<Timestamp>,
    /// The last fire time that it covers; the same as `fire_time` unless it is a range row.
    pub last: Timestamp,
    /// How many occurrences it covers.
    pub count: i64,
    /// `claimed`, `running`, `ended`.
    pub state: String,
    /// How it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// Why it ended so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Digest of the job spec.
    pub digest: String,
    /// Revision of the snapshot.
    pub revision: String,
    /// Where the job stood.
    pub source: SourcePlace,
    /// Who claimed it.
    pub node: String,
    /// The fencing token.
    pub epoch: i64,
    /// The claim's own nonce.
    pub nonce: String,
    /// The place it holds among its job's executions; absent once it has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slot: Option<i64>,
    /// When it was claimed, or written ended.
    pub claimed_at: Timestamp,
    /// When its process began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    /// How long it ran, by the monotonic clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<i64>,
    /// How its process ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit: Option<ExitDocument>,
    /// What it returned: JSON text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exception: Option<ExceptionDocument>,
    /// What it printed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<OutputDocument>,
    /// An outcome that came after it had ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub late_outcome: Option<LateOutcome>,
    /// Who asked, or which execution was in the way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// What an ending writes into its row, beside `state` and `slot`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EndingDocument {
    /// How it ended.
    pub outcome: String,
    /// Why it ended so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When its process began; absent: what the row says already.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Timestamp,
    /// How long it ran, by the monotonic clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<i64>,
    /// How its process ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit: Option<ExitDocument>,
    /// What it returned: JSON text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exception: Option<ExceptionDocument>,
    /// What it printed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<OutputDocument>,
}

/// How a process ended: one of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitDocument {
    /// With this code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<i32>,
    /// By this signal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExceptionDocument {
    /// Kind of error.
    #[serde(rename = "type")]
    pub kind: String,
    /// One sentence.
    pub message: String,
    /// Where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traceback: Option<String>,
}

/// What was kept of an output. `encoding` says `base64` when it is not UTF-8 text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputDocument {
    /// The first bytes.
    pub head: String,
    /// The last bytes, when not all is in `head`.
    pub tail: String,
    /// `base64`, or absent: text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoding: Option<String>,
    /// How many bytes were written in all.
    pub bytes: i64,
    /// Whether bytes were dropped.
    pub truncated: bool,
}

/// An outcome that came late.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LateOutcome {
    /// Its word.
    pub outcome: String,
    /// Its reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

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

/// An applied plan as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanDocument {
    /// The generation that it led to.
    #[serde(rename = "_id")]
    pub generation: i64,
    /// Version of this form.
    pub v: u32,
    /// The revision.
    pub revision: String,
    /// When it took effect.
    pub effective_at: Timestamp,
    /// What set it off.
    pub origin: String,
    /// What it changed.
    pub changes: Vec<ChangeDocument>,
}

/// One change of an applied plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeDocument {
    /// `create`, `update`, `remove`.
    pub action: String,
    /// The job.
    pub job: String,
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

impl RowDocument {
    /// The stored form of a row.
    pub fn of(row: &Row) -> Self {
        let mut document = Self {
            id: row.id.to_string(),
            v: STORE_VERSION,
            job: row.job.to_string(),
            uid: row.uid.to_string(),
            cause: row.cause.as_str().to_owned(),
            trigger: row.trigger.map(|kind| kind.as_str().to_owned()),
            fire_time: row.fire_time,
            first: row.range.map(|range| range.first),
            last: row.range.map_or(row.fire_time, |range| range.last),
            count: row.range.map_or(1, |range| i64::try_from(range.count).unwrap_or(i64::MAX)),
            state: row.state.as_str().to_owned(),
            outcome: None,
            reason: None,
            digest: row.provenance.digest.to_string(),
            revision: row.provenance.revision.to_string(),
            source: row.provenance.source.clone(),
            node: row.claim.node.to_string(),
            epoch: i64::try_from(row.claim.epoch).unwrap_or(i64::MAX),
            nonce: row.claim.nonce.to_string(),
            slot: row.slot.map(i64::from),
            claimed_at: row.claimed_at,
            started_at: None,
            finished_at: None,
            duration_ms: None,
            exit: None,
            result: None,
            exception: None,
            output: None,
            late_outcome: row.late_outcome.map(LateOutcome::of),
            note: row.note.clone(),
        };
        match &row.state {
            State::Claimed => {}
            State::Running { started_at } => document.started_at = Some(*started_at),
            State::Ended(ending) => document.end(ending),
        }
        document
    }

    /// Writes an ending into the document; the slot is free then.
    pub fn end(&mut self, ending: &Ending) {
        let ended = EndingDocument::of(ending);
        "ended".clone_into(&mut self.state);
        self.slot = None;
        self.outcome = Some(ended.outcome);
        self.reason = ended.reason;
        self.started_at = ended.started_at.or(self.started_at);
        self.finished_at = Some(ended.finished_at);
        self.duration_ms = ended.duration_ms;
        self.exit = ended.exit;
        self.result = ended.result;
        self.exception = ended.exception;
        self.output = ended.output;
    }

    /// Reads the document.
    pub fn row(self) -> Result<Row, StoreError> {
        let id = self.id.clone();
        let damaged = |message: &str| StoreError::Damaged {
            kind: "row",
            id: id.clone(),
            message: message.to_owned(),
        };
        let range = (self.count > 1).then(|| Range {
            first: self.fire_time,
            last: self.last,
            count: self.count.unsigned_abs(),
        });
        let trigger = self
            .trigger
            .as_deref()
            .map(|word| TriggerKind::parse(word).ok_or_else(|| damaged("unknown trigger")));
        let late = self.late_outcome.as_ref().map(|late| {
            Outcome::parse(&late.outcome, late.reason.as_deref())
                .ok_or_else(|| damaged("unknown late outcome"))
        });
        Ok(Row {
            id: ExecutionId(self.id.as_str().into()),
            job: JobName::parse(&self.job).map_err(|_| damaged("not a job name"))?,
            uid: JobUid(self.uid.as_str().into()),
            cause: Cause::parse(&self.cause).ok_or_else(|| damaged("unknown cause"))?,
            trigger: trigger.transpose()?,
            fire_time: self.fire_time,
            range,
            provenance: Provenance {
                digest: Digest(self.digest.as_str().into()),
                revision: self.revision.as_str().into(),
                source: self.source.clone(),
            },
            claim: Claim {
                node: self.node.as_str().into(),
                epoch: self.epoch.unsigned_abs(),
                nonce: self.nonce.as_str().into(),
            },
            claimed_at: self.claimed_at,
            slot: self.slot.and_then(|slot| u32::try_from(slot).ok()),
            late_outcome: late.transpose()?,
            note: self.note.clone(),
            state: self.state().map_err(damaged)?,
        })
    }

    fn state(self) -> Result<State, &'static str> {
        match self.state.as_str() {
            "claimed" => Ok(State::Claimed),
            "running" => {
                let started_at = self.started_at.ok_or("running without start")?;
                Ok(State::Running { started_at })
            }
            "ended" => Ok(State::Ended(Box::new(self.ending()?))),
            _ => Err("unknown state"),
        }
    }

    fn ending(self) -> Result<Ending, &'static str> {
        let outcome = self.outcome.as_deref().ok_or("ended without outcome")?;
        Ok(Ending {
            outcome: Outcome::parse(outcome, self.reason.as_deref()).ok_or("unknown outcome")?,
            started_at: self.started_at,
            finished_at: self.finished_at.ok_or("ended without end")?,
            duration: self.duration_ms.map(|ms| Duration::from_millis(ms.unsigned_abs())),
            exit: self.exit.and_then(|exit| {
                exit.code.map(Exit::Code).or_else(|| exit.signal.map(Exit::Signal))
            }),
            result: self.result,
            exception: self.exception.map(|exception| Exception {
                kind: exception.kind,
                message: exception.message,
                traceback: exception.traceback,
            }),
            output: self.output.map_or_else(|| Ok(Output::default()), OutputDocument::output)?,
        })
    }
}

impl EndingDocument {
    /// The stored form of an ending.
    pub fn of(ending: &Ending) -> Self {
        Self {
            outcome: ending.outcome.as_str().to_owned(),
            reason: ending.outcome.reason().map(str::to_owned),
            started_at: ending.started_at,
            finished_at: ending.finished_at,
            duration_ms: ending
                .duration
                .map(|duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)),
            exit: ending.exit.map(|exit| match exit {
                Exit::Code(code) => ExitDocument { code: Some(code), signal: None },
                Exit::Signal(signal) => ExitDocument { code: None, signal: Some(signal) },
            }),
            result: ending.result.clone(),
            exception: ending.exception.as_ref().map(|exception| ExceptionDocument {
                kind: exception.kind.clone(),
                message: exception.message.clone(),
                traceback: exception.traceback.clone(),
            }),
            output: (ending.output.bytes > 0).then(|| OutputDocument::of(&ending.output)),
        }
    }
}

impl OutputDocument {
    fn of(output: &Output) -> Self {
        let text =
            std::str::from_utf8(&output.head).is_ok() && std::str::from_utf8(&output.tail).is_ok();
        let encode = |bytes: &[u8]| {
            if text { String::from_utf8_lossy(bytes).into_owned() } else { BASE64.encode(bytes) }
        };
        Self {
            head: encode(&output.head),
            tail: encode(&output.tail),
            encoding: (!text).then(|| "base64".to_owned()),
            bytes: i64::try_from(output.bytes).unwrap_or(i64::MAX),
            truncated: output.truncated(),
        }
    }

    fn output(self) -> Result<Output, &'static str> {
        let decode = |text: String| match self.encoding.as_deref() {
            None => Ok(text.into_bytes()),
            Some("base64") => BASE64.decode(text).map_err(|_| "output is not base64"),
            Some(_) => Err("unknown encoding of output"),
        };
        Ok(Output {
            head: decode(self.head)?,
            tail: decode(self.tail)?,
            bytes: self.bytes.unsigned_abs(),
        })
    }
}

impl LateOutcome {
    /// The stored form of an outcome.
    pub fn of(outcome: Outcome) -> Self {
        Self { outcome: outcome.as_str().to_owned(), reason: outcome.reason().map(str::to_owned) }
    }
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

impl PlanDocument {
    /// The stored form of a plan that led to `generation`.
    pub fn of(plan: &PlanWrites, generation: u64) -> Self {
        let changes = plan.changes.iter().map(|change| ChangeDocument {
            action: change.action().to_owned(),
            job: change.job().to_string(),
        });
        Self {
            generation: i64::try_from(generation).unwrap_or(i64::MAX),
            v: STORE_VERSION,
            revision: plan.revision.to_string(),
            effective_at: plan.effective_at,
            origin: plan.origin.clone(),
            changes: changes.collect(),
        }
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
