//! Rows of the ledger, and what executions printed.

use serde::{Deserialize, Serialize};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::engine::execution::{Ending, Exit, Output, Row, State};
use crate::io::http::documents::{At, at_in, seconds};
use crate::spec::job::SourcePlace;
use crate::time::Zone;

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
    /// How many tries were made.
    pub attempts: u32,
    /// Of its process.
    pub exit_code: Option<i32>,
    /// The signal that ended its process.
    #[serde(default)]
    pub signal: Option<i32>,
    /// What it returned.
    pub result: Option<serde_json::Value>,
    /// What went wrong.
    pub exception: Option<ExceptionEntry>,
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
    /// An outcome that came after it had ended.
    #[serde(default)]
    pub late_outcome: Option<String>,
    /// How many bytes it printed.
    #[serde(default)]
    pub output_bytes: u64,
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

/// What an execution printed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputDocument {
    /// [`OutputDocument::SCHEMA`].
    pub schema: String,
    /// The execution.
    pub execution_id: String,
    /// It still runs: more may follow.
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
            exit_code: None,
            signal: None,
            result: None,
            exception: None,
            revision: row.provenance.revision.to_string(),
            source: row.provenance.source.clone(),
            node: row.claim.node.to_string(),
            first: row.range.map(|range| at(range.first)),
            last: row.range.map(|range| at(range.last)),
            count: row.range.map_or(1, |range| range.count),
            note: row.note.clone(),
            late_outcome: row.late_outcome.map(|late| late.as_str().to_owned()),
            output_bytes: 0,
        };
        let started_at = match &row.state {
            State::Claimed => None,
            State::Running { started_at } => Some(*started_at),
            State::Ended(ending) => {
                entry.end(ending, zone);
                ending.started_at
            }
        };
        entry.started_at = started_at.map(at);
        entry.attempts = u32::from(started_at.is_some());
        entry.delay_seconds = started_at
            .and_then(|started_at| (started_at - row.start_time).to_std().ok())
            .map(seconds);
        entry
    }

    fn end(&mut self, ending: &Ending, zone: &Zone) {
        self.outcome = Some(ending.outcome.as_str().to_owned());
        self.reason = ending.outcome.reason().map(str::to_owned);
        self.finished_at = Some(at_in(zone, ending.finished_at));
        self.duration_seconds = ending.duration.map(seconds);
        match ending.exit {
            Some(Exit::Code(code)) => self.exit_code = Some(code),
            Some(Exit::Signal(signal)) => self.signal = Some(signal),
            None => {}
        }
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
    }
}

impl OutputDocument {
    /// Name and version of this document.
    pub const SCHEMA: &str = "cronwright.output/v1";

    /// The document of what an execution printed.
    pub fn of(execution_id: &str, running: bool, output: &Output) -> Self {
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
