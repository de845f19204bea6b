//! Requests: ad hoc orders through Redis, HTTP or CLI, and their answers.
//!
//! One model, whatever the door. The doors translate (`io::redis::wire`, `io::http`); what a request
//! does is `engine::scheduler`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use crate::engine::execution::{ExecutionId, Outcome};
use crate::spec::job::JobName;
use crate::time::Timestamp;

/// The longest request id, in bytes.
pub const REQUEST_ID_BYTES_MAX: usize = 64;

/// The id of a request: 1 to 64 of `A-Za-z0-9._-`. For run-now it is also the execution's id, so
/// that doing it again changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(Arc<str>);

/// Why a text is not a request id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a request id is 1 to 64 of A-Z, a-z, 0-9, `.`, `_` and `-`")]
pub struct RequestIdError;

impl RequestId {
    /// Reads a request id.
    pub fn parse(text: &str) -> Result<Self, RequestIdError> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        if !text.is_empty() && text.len() <= REQUEST_ID_BYTES_MAX && text.bytes().all(allowed) {
            Ok(Self(text.into()))
        } else {
            Err(RequestIdError)
        }
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id of the execution that this request, a run-now, asks for.
    pub fn execution(&self) -> ExecutionId {
        ExecutionId(Arc::clone(&self.0))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An order for the scheduler. `sync` and `ping` are answered by the daemon itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Its identity: the same id is never carried out twice.
    pub id: RequestId,
    /// What to do.
    pub op: Op,
    /// Who asks, for the row and the log.
    pub actor: Option<String>,
}

/// What a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// Run a job now.
    Run {
        /// The job.
        job: JobName,
        /// What it is given; checked when the job is known.
        params: BTreeMap<String, Value>,
        /// Answer again when it has started and when it has ended.
        wait: bool,
    },
    /// End an execution.
    Cancel {
        /// Which.
        target: CancelTarget,
        /// KILL at once.
        force: bool,
    },
    /// Hold the fire times of jobs back.
    Pause {
        /// Which.
        jobs: Selection,
        /// Why.
        reason: Option<String>,
        /// Until when; none: until they are resumed.
        until: Option<Timestamp>,
    },
    /// Take back what holds jobs.
    Resume {
        /// Which.
        jobs: Selection,
    },
    /// Leave out the next fire time of jobs.
    SkipNext {
        /// Which.
        jobs: Selection,
        /// Why.
        reason: Option<String>,
    },
    /// Look at the sources now.
    Sync,
    /// Answer.
    Ping,
}

/// The jobs that a change of overrides names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// These.
    Named(Vec<JobName>),
    /// All of this group when it is carried out.
    Group(String),
    /// All that are applied when it is carried out.
    All,
}

/// What `cancel` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CancelTarget {
    /// One execution.
    Execution(ExecutionId),
    /// Every execution of a job.
    Job(JobName),
}

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Stable: `E0404`.
    pub code: &'static str,
    /// One sentence.
    pub message: String,
    /// The next act.
    pub help: Option<String>,
}

/// An answer to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The request.
    pub in_reply_to: RequestId,
    /// What became of it.
    pub status: ReplyStatus,
    /// The execution concerned.
    pub execution: Option<ExecutionId>,
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplyStatus {
    /// Its effect is durable.
    Accepted {
        /// What a person should know.
        note: Option<String>,
    },
    /// The execution runs.
    Started,
    /// The execution has ended, or nothing is left to do; `note` says what else there is to know.
    Finished {
        /// How the execution ended.
        outcome: Option<Outcome>,
        /// What a person should know.
        note: Option<String>,
    },
    /// Nothing was done.
    Rejected(Refusal),
    /// It came after its `expires_at`; nothing was done.
    Expired,
    /// A request with this id was carried out before.
    Duplicate,
}

impl ReplyStatus {
    /// The word of the wire.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Accepted { .. } => "accepted",
            Self::Started => "started",
            Self::Finished { .. } => "finished",
            Self::Rejected(_) => "rejected",
            Self::Expired => "expired",
            Self::Duplicate => "duplicate",
        }
    }

    /// Whether no further reply follows, when the request does not wait (`false`) or does (`true`).
    pub fn is_last(&self, wait: bool) -> bool {
        match self {
            Self::Accepted { .. } => !wait,
            Self::Started => false,
            Self::Finished { .. } | Self::Rejected(_) | Self::Expired | Self::Duplicate => true,
        }
    }
}
