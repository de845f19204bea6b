//! A row of the ledger as it is stored.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::engine::event::RetryWait;
use crate::engine::execution::{
    Cause, Claim, Ending, Exception, ExecutionId, JobUid, Outcome, Output, Provenance, Range, Row,
    State,
};
use crate::io::store::document::attempts::{AttemptDocument, RulesDocument};
use crate::io::store::document::ending::{
    EndingDocument, ExceptionDocument, ExitDocument, LateOutcome, OutputDocument,
    ProtectionDocument,
};
use crate::io::store::{STORE_VERSION, StoreError};
use crate::spec::job::{Digest, JobName, SourcePlace};
use crate::spec::trigger::TriggerKind;
use crate::time::Timestamp;

/// Fields of a [`RowDocument`] that are times.
pub const ROW_TIMES: [&str; 8] = [
    "fire_time",
    "start_time",
    "first",
    "last",
    "claimed_at",
    "started_at",
    "finished_at",
    "retry_at",
];

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
    /// When it was to start, where jitter made that later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Timestamp>,
    /// Range rows: the first fire time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<Timestamp>,
    /// The last fire time that it covers; the same as `fire_time` unless it is a range row.
    pub last: Timestamp,
    /// How many occurrences it covers.
    pub count: i64,
    /// `queued`, `claimed`, `running`, `retry_wait`, `ended`.
    pub state: String,
    /// The number of its attempt; between two, of the next; absent: the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<i64>,
    /// The attempts that others followed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<AttemptDocument>,
    /// What bounds its attempts, where that is more than `timeout`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<RulesDocument>,
    /// When the next attempt begins, while it waits for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<Timestamp>,
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
    /// When it was first written: claimed, queued or ended.
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
    /// What kept its process within its bounds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protection: Option<ProtectionDocument>,
    /// What it was given.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub params: BTreeMap<String, String>,
    /// An outcome that came after it had ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub late_outcome: Option<LateOutcome>,
    /// Who asked, or which execution was in the way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
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
            start_time: (row.start_time != row.fire_time).then_some(row.start_time),
            first: row.range.map(|range| range.first),
            last: row.range.map_or(row.fire_time, |range| range.last),
            count: row.range.map_or(1, |range| i64::try_from(range.count).unwrap_or(i64::MAX)),
            state: row.state.as_str().to_owned(),
            attempt: number(row.attempt()),
            attempts: row.attempts.iter().map(AttemptDocument::of).collect(),
            rules: row.rules.as_deref().map(RulesDocument::of),
            retry_at: None,
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
            protection: None,
            late_outcome: row.late_outcome.map(LateOutcome::of),
            params: row.params.clone(),
            note: row.note.clone(),
        };
        match &row.state {
            State::Queued | State::Claimed => {}
            State::Running { started_at } => document.started_at = Some(*started_at),
            State::RetryWait { until, last } => {
                document.retry_at = Some(*until);
                document.leave(last);
            }
            State::Ended(ending) => document.end(ending),
        }
        document
    }

    /// Writes an ending into the document; the slot is free then.
    pub fn end(&mut self, ending: &Ending) {
        "ended".clone_into(&mut self.state);
        self.slot = None;
        self.retry_at = None;
        self.outcome = Some(ending.outcome.as_str().to_owned());
        self.reason = ending.outcome.reason().map(str::to_owned);
        self.leave(ending);
    }

    /// Writes that an attempt ended and another follows.
    pub fn wait(&mut self, wait: &RetryWait) {
        "retry_wait".clone_into(&mut self.state);
        self.attempt = number(wait.attempt().number.saturating_add(1));
        self.attempts = wait.attempts.iter().map(AttemptDocument::of).collect();
        self.retry_at = Some(wait.until);
        self.leave(&wait.last);
    }

    /// What an attempt left.
    fn leave(&mut self, ending: &Ending) {
        let left = EndingDocument::of(ending);
        self.started_at = left.started_at.or(self.started_at);
        self.finished_at = Some(left.finished_at);
        self.duration_ms = left.duration_ms;
        self.exit = left.exit;
        self.result = left.result;
        self.exception = left.exception;
        self.output = left.output;
        self.protection = left.protection;
    }

    /// The number of its attempt; between two, of the next.
    pub fn attempt(&self) -> u32 {
        self.attempt.and_then(|attempt| u32::try_from(attempt).ok()).unwrap_or(1)
    }

    /// Whether it is to be claimed again before anything starts.
    pub fn waits(&self) -> bool {
        matches!(self.state.as_str(), "queued" | "retry_wait")
    }

    /// Whose it is.
    pub fn claim(&self) -> Claim {
        Claim {
            node: self.node.as_str().into(),
            epoch: self.epoch.unsigned_abs(),
            nonce: self.nonce.as_str().into(),
        }
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
        let attempts: Result<Vec<_>, _> =
            self.attempts.iter().map(AttemptDocument::attempt).collect();
        let rules = self.rules.clone().map(RulesDocument::rules);
        Ok(Row {
            id: ExecutionId(self.id.as_str().into()),
            job: JobName::parse(&self.job).map_err(|_| damaged("not a job name"))?,
            uid: JobUid(self.uid.as_str().into()),
            cause: Cause::parse(&self.cause).ok_or_else(|| damaged("unknown cause"))?,
            trigger: trigger.transpose()?,
            fire_time: self.fire_time,
            start_time: self.start_time.unwrap_or(self.fire_time),
            range,
            provenance: Provenance {
                digest: Digest(self.digest.as_str().into()),
                revision: self.revision.as_str().into(),
                source: self.source.clone(),
            },
            claim: self.claim(),
            claimed_at: self.claimed_at,
            slot: self.slot.and_then(|slot| u32::try_from(slot).ok()),
            attempts: attempts.map_err(damaged)?,
            rules: rules.transpose().map_err(damaged)?.map(Box::new),
            late_outcome: late.transpose()?,
            params: self.params.clone(),
            note: self.note.clone(),
            state: self.state().map_err(damaged)?,
        })
    }

    fn state(self) -> Result<State, &'static str> {
        match self.state.as_str() {
            "queued" => Ok(State::Queued),
            "claimed" => Ok(State::Claimed),
            "running" => {
                let started_at = self.started_at.ok_or("running without start")?;
                Ok(State::Running { started_at })
            }
            "retry_wait" => {
                let until = self.retry_at.ok_or("waiting without end")?;
                let last = self.attempts.last().ok_or("waiting without an attempt")?.attempt()?;
                Ok(State::RetryWait { until, last: Box::new(self.left(last.outcome)?) })
            }
            "ended" => {
                let outcome = self.outcome.as_deref().ok_or("ended without outcome")?;
                let outcome = Outcome::parse(outcome, self.reason.as_deref());
                Ok(State::Ended(Box::new(self.left(outcome.ok_or("unknown outcome")?)?)))
            }
            _ => Err("unknown state"),
        }
    }

    fn left(self, outcome: Outcome) -> Result<Ending, &'static str> {
        Ok(Ending {
            outcome,
            started_at: self.started_at,
            finished_at: self.finished_at.ok_or("ended without end")?,
            duration: self.duration_ms.map(|ms| Duration::from_millis(ms.unsigned_abs())),
            exit: self.exit.and_then(ExitDocument::exit),
            result: self.result,
            exception: self.exception.map(|exception| Exception {
                kind: exception.kind,
                message: exception.message,
                traceback: exception.traceback,
            }),
            output: self.output.map_or_else(|| Ok(Output::default()), OutputDocument::output)?,
            protection: self.protection.map(|stored| stored.protection()).transpose()?,
        })
    }
}

/// The number of an attempt as it is stored: the first is not.
fn number(attempt: u32) -> Option<i64> {
    (attempt > 1).then_some(i64::from(attempt))
}
