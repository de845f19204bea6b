//! Rows of the ledger, and what executions printed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::engine::execution::{Attempt, Ending, Exit, Outcome, Output, Row, State};
use crate::io::http::documents::{At, at_in, seconds};
use crate::spec::job::SourcePlace;
use crate::time::{Timestamp, Zone};

/// Rows, newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExecutionsDocument {
    /// [`ExecutionsDocument::SCHEMA`].
    pub schema: String,
    /// The rows.
    pub executions: Vec<ExecutionEntry>,
}

impl ExecutionsDocument {
    /// Name and version of this document.
    pub const SCHEMA: &str = "cronwright.executions/v1";
}

/// One row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExecutionDocument {
    /// [`ExecutionDocument::SCHEMA`].
    pub schema: String,
    /// The row.
    pub execution: ExecutionEntry,
}

impl ExecutionDocument {
    /// Name and version of this document.
    pub const SCHEMA: &str = "cronwright.execution/v1";
}

/// A row: an execution, or skipped or missed occurrences.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExecutionEntry {
    /// Its id.
    pub id: String,
    /// The job's name when it was written.
    pub job: String,
    /// `queued`, `claimed`, `running`, `retry_wait` or `ended`.
    pub state: String,
    /// How it ended; none: it has not.
    pub outcome: Option<String>,
    /// Why it ended so, where there is a reason.
    pub reason: Option<String>,
    /// Why it exists.
    pub cause: String,
    /// When it was due; for a request, when it was accepted.
    pub fire_time: Option<At>,
    /// When its process began.
    pub started_at: Option<At>,
    /// When it ended.
    pub finished_at: Option<At>,
    /// How long it ran.
    pub duration_seconds: Option<f64>,
    /// How late it began: after its start time, which jitter may put behind its fire time.
    pub delay_seconds: Option<f64>,
    /// How many attempts were made.
    pub attempts: u32,
    /// Each of them that has ended, where there is more than one, or is to be.
    #[serde(default)]
    pub attempt_list: Vec<AttemptEntry>,
    /// When the next begins, while it waits for that.
    #[serde(default)]
    pub retry_at: Option<At>,
    /// Of its process.
    pub exit_code: Option<i32>,
    /// The signal that ended its process.
    #[serde(default)]
    pub signal: Option<i32>,
    /// What it returned.
    pub result: Option<serde_json::Value>,
    /// What went wrong.
    pub exception: Option<ExceptionEntry>,
    /// What kept its process within its bounds, once it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protection: Option<ProtectionEntry>,
    /// Revision of the snapshot that declared it.
    pub revision: String,
    /// Where its definition stood.
    pub source: SourcePlace,
    /// Who claimed it.
    pub node: String,
    /// Set on rows for several occurrences: the first fire time.
    pub first: Option<At>,
    /// The last fire time.
    pub last: Option<At>,
    /// How many occurrences it covers.
    pub count: u64,
    /// Who asked, or which execution was in the way.
    #[serde(default)]
    pub note: Option<String>,
    /// What it was given, by name of the parameter.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub params: BTreeMap<String, String>,
    /// An outcome that came after it had ended.
    #[serde(default)]
    pub late_outcome: Option<String>,
    /// How many bytes it printed.
    #[serde(default)]
    pub output_bytes: u64,
}

/// An attempt that has ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AttemptEntry {
    /// How it ended.
    pub outcome: String,
    /// Why it ended so, where there is a reason.
    pub reason: Option<String>,
    /// When its process began.
    pub started_at: Option<At>,
    /// When it ended.
    pub finished_at: At,
    /// How long it ran.
    pub duration_seconds: Option<f64>,
    /// Of its process.
    pub exit_code: Option<i32>,
    /// The signal that ended its process.
    pub signal: Option<i32>,
}

impl AttemptEntry {
    fn of(attempt: &Attempt, zone: &Zone) -> Self {
        let (exit_code, signal) = exit(attempt.exit);
        Self {
            outcome: attempt.outcome.as_str().to_owned(),
            reason: attempt.outcome.reason().map(str::to_owned),
            started_at: attempt.started_at.map(|at| at_in(zone, at)),
            finished_at: at_in(zone, attempt.finished_at),
            duration_seconds: attempt.duration.map(seconds),
            exit_code,
            signal,
        }
    }
}

fn exit(exit: Option<Exit>) -> (Option<i32>, Option<i32>) {
    match exit {
        Some(Exit::Code(code)) => (Some(code), None),
        Some(Exit::Signal(signal)) => (None, Some(signal)),
        None => (None, None),
    }
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExceptionEntry {
    /// Kind of error.
    #[serde(rename = "type")]
    pub kind: String,
    /// One sentence.
    pub message: String,
    /// Where there is one.
    pub traceback: Option<String>,
}

/// What kept a process within its bounds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProtectionEntry {
    /// `cgroup`: its processes were in a control group of their own; `group`: they were told by process group, session,
    /// parents and a mark.
    pub by: String,
    /// The limits that held, by their keys.
    #[serde(default)]
    pub limits: Vec<String>,
}

/// What an execution printed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputDocument {
    /// [`OutputDocument::SCHEMA`].
    pub schema: String,
    /// The execution.
    pub execution_id: String,
    /// The attempt that printed it, from 1.
    pub attempt: u32,
    /// The execution has not ended: more may follow, also of another attempt.
    pub running: bool,
    /// `utf-8` or `base64`: how `head` and `tail` are written.
    pub encoding: String,
    /// The first bytes that were kept.
    pub head: String,
    /// The last bytes that were kept, when not all is in `head`.
    pub tail: String,
    /// How many bytes were written in all.
    pub bytes: u64,
    /// Bytes between head and tail were dropped.
    pub truncated: bool,
}

/// What `run` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunDocument {
    /// [`RunDocument::SCHEMA`].
    pub schema: String,
    /// The execution.
    pub execution_id: String,
    /// As in [`ExecutionEntry`].
    pub state: String,
    /// How it ended, when it was waited for.
    pub outcome: Option<String>,
}

impl RunDocument {
    /// Name and version of this document.
    pub const SCHEMA: &str = "cronwright.run/v1";
}

impl ExecutionEntry {
    /// The document of a row, its times in `zone`.
    pub fn of(row: &Row, zone: &Zone) -> Self {
        let at = |at| at_in(zone, at);
        let mut entry = Self {
            id: row.id.to_string(),
            job: row.job.to_string(),
            state: row.state.as_str().to_owned(),
            outcome: None,
            reason: None,
            cause: row.cause.as_str().to_owned(),
            fire_time: Some(at(row.fire_time)),
            started_at: None,
            finished_at: None,
            duration_seconds: None,
            delay_seconds: None,
            attempts: 0,
            attempt_list: Vec::new(),
            retry_at: None,
            exit_code: None,
            signal: None,
            result: None,
            exception: None,
            protection: None,
            revision: row.provenance.revision.to_string(),
            source: row.provenance.source.clone(),
            node: row.claim.node.to_string(),
            first: row.range.map(|range| at(range.first)),
            last: row.range.map(|range| at(range.last)),
            count: row.range.map_or(1, |range| range.count),
            note: row.note.clone(),
            params: row.params.clone(),
            late_outcome: row.late_outcome.map(|late| late.as_str().to_owned()),
            output_bytes: 0,
        };
        let started_at = match &row.state {
            State::Queued | State::Claimed => None,
            State::Running { started_at } => Some(*started_at),
            State::RetryWait { until, last } => {
                entry.leave(last, zone);
                entry.retry_at = Some(at(*until));
                last.started_at
            }
            State::Ended(ending) => {
                entry.leave(ending, zone);
                entry.outcome = Some(ending.outcome.as_str().to_owned());
                entry.reason = ending.outcome.reason().map(str::to_owned);
                ending.started_at
            }
        };
        entry.started_at = started_at.map(at);
        entry.list_attempts(row, started_at, zone);
        let first = row.attempts.first().map_or(started_at, |first| first.started_at);
        entry.delay_seconds =
            first.and_then(|started_at| (started_at - row.start_time).to_std().ok()).map(seconds);
        entry
    }

    /// Those that others followed, and the one after them, unless the execution ended while it waited.
    fn list_attempts(&mut self, row: &Row, started_at: Option<Timestamp>, zone: &Zone) {
        let Some(before) = row.attempts.last() else {
            self.attempts = u32::from(started_at.is_some());
            return;
        };
        let mut all = row.attempts.clone();
        if let State::Ended(ending) = &row.state {
            let last = Attempt::of(ending);
            let was_tried = match ending.outcome {
                Outcome::Failed(_) | Outcome::Lost => last != *before,
                Outcome::Succeeded
                | Outcome::TimedOut(_)
                | Outcome::Cancelled(_)
                | Outcome::Skipped(_)
                | Outcome::Missed(_) => last.started_at != before.started_at,
            };
            all.extend(was_tried.then_some(last));
        }
        let under_way = matches!(row.state, State::Running { .. });
        self.attempts = u32::try_from(all.len() + usize::from(under_way)).unwrap_or(u32::MAX);
        self.attempt_list = all.iter().map(|one| AttemptEntry::of(one, zone)).collect();
    }

    /// What an attempt left.
    fn leave(&mut self, ending: &Ending, zone: &Zone) {
        self.finished_at = Some(at_in(zone, ending.finished_at));
        self.duration_seconds = ending.duration.map(seconds);
        (self.exit_code, self.signal) = exit(ending.exit);
        // What was kept is JSON text; should it not be, people see the text.
        self.result = ending.result.as_ref().map(|text| {
            serde_json::from_str(text).unwrap_or_else(|_| serde_json::Value::from(text.as_str()))
        });
        self.exception = ending.exception.as_ref().map(|exception| ExceptionEntry {
            kind: exception.kind.clone(),
            message: exception.message.clone(),
            traceback: exception.traceback.clone(),
        });
        self.output_bytes = ending.output.bytes;
        self.protection = ending.protection.as_ref().map(|protection| ProtectionEntry {
            by: protection.by.as_str().to_owned(),
            limits: protection.limits.iter().map(|kind| kind.as_str().to_owned()).collect(),
        });
    }
}

impl OutputDocument {
    /// Name and version of this document.
    pub const SCHEMA: &str = "cronwright.output/v1";

    /// The document of what an execution printed.
    pub fn of(execution_id: &str, attempt: u32, running: bool, output: &Output) -> Self {
        let texts = (std::str::from_utf8(&output.head), std::str::from_utf8(&output.tail));
        let (encoding, head, tail) = match texts {
            (Ok(head), Ok(tail)) => ("utf-8", head.to_owned(), tail.to_owned()),
            (Err(_), _) | (_, Err(_)) => {
                ("base64", BASE64.encode(&output.head), BASE64.encode(&output.tail))
            }
        };
        Self {
            schema: Self::SCHEMA.to_owned(),
            execution_id: execution_id.to_owned(),
            attempt,
            running,
            encoding: encoding.to_owned(),
            head,
            tail,
            bytes: output.bytes,
            truncated: output.truncated(),
        }
    }

    /// Head and tail as bytes; none: the document is damaged.
    pub fn parts(&self) -> Option<(Vec<u8>, Vec<u8>)> {
        if self.encoding == "base64" {
            Some((BASE64.decode(&self.head).ok()?, BASE64.decode(&self.tail).ok()?))
        } else {
            Some((self.head.clone().into_bytes(), self.tail.clone().into_bytes()))
        }
    }
}
