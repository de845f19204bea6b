//! Requests: ad hoc orders through Redis, HTTP or CLI, and their answers.
//!
//! One model, whatever the door. The doors translate (`io::redis::wire`, `io::http`); what a request
//! does is `engine::scheduler`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use crate::engine::declaration::Wish;
use crate::engine::execution::{ExecutionId, Outcome};
use crate::spec::job::JobName;
use crate::spec::operation::Operation;
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

/// A request, through any door.
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
    /// Something that the scheduler does.
    Act(Act),
    /// A job is declared, or taken back. The reconciler does it.
    Declare {
        /// The job.
        job: JobName,
        /// What becomes of it: a manifest in JSON that declares this one job.
        wish: Wish<Arc<[u8]>>,
        /// Say what would change, and change nothing.
        dry_run: bool,
    },
    /// A question. The door answers it.
    Ask(Query),
    /// Look at the sources now.
    Sync,
    /// Answer.
    Ping,
}

impl Op {
    /// Whether it asks for an answer when its execution has ended.
    pub fn waits(&self) -> bool {
        matches!(self, Self::Act(Act::Run { wait: true, .. }))
    }

    /// Which of the operations it is.
    pub fn operation(&self) -> Operation {
        match self {
            Self::Act(Act::Run { .. }) => Operation::Run,
            Self::Act(Act::Cancel { .. }) => Operation::Cancel,
            Self::Act(Act::Override { change, .. }) => match change {
                OverrideChange::Pause { .. } => Operation::Pause,
                OverrideChange::Resume => Operation::Resume,
                OverrideChange::SkipNext { .. } => Operation::SkipNext,
            },
            Self::Declare { wish: Wish::Add(_), .. } => Operation::Add,
            Self::Declare { wish: Wish::Update(_) | Wish::Put(_), .. } => Operation::Update,
            Self::Declare { wish: Wish::Remove, .. } => Operation::Remove,
            Self::Ask(Query::Has(_)) => Operation::Has,
            Self::Ask(Query::Get(_)) => Operation::Get,
            Self::Ask(Query::List { .. }) => Operation::List,
            Self::Ask(Query::Running { .. }) => Operation::Running,
            Self::Ask(Query::History { .. } | Query::Outcome(_)) => Operation::History,
            Self::Sync => Operation::Sync,
            Self::Ping => Operation::Ping,
        }
    }
}

/// A question about jobs and executions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Query {
    /// Whether a job is applied.
    Has(JobName),
    /// A job, with its definition.
    Get(JobName),
    /// The jobs, of one group where one is named.
    List {
        /// The group.
        group: Option<String>,
    },
    /// What runs now.
    Running {
        /// Of this job alone.
        job: Option<JobName>,
    },
    /// What ran, the newest first.
    History {
        /// Of this job alone.
        job: Option<JobName>,
        /// At most so many.
        limit: Option<usize>,
    },
    /// What became of a request: its execution.
    Outcome(ExecutionId),
}

/// An order for the scheduler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Its identity: the same id is never carried out twice.
    pub id: RequestId,
    /// What to do.
    pub act: Act,
    /// Who asks, for the row and the log.
    pub actor: Option<String>,
}

/// What the scheduler does on request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Run a job now.
    Run {
        /// The job.
        job: JobName,
        /// What it is given; checked when the job is known.
        params: BTreeMap<String, Value>,
        /// Answer again when it has started and when it has ended.
        wait: bool,
        /// Say what would be done, and do nothing.
        dry_run: bool,
    },
    /// End an execution.
    Cancel {
        /// Which.
        target: CancelTarget,
        /// KILL at once.
        force: bool,
    },
    /// Change what holds jobs back.
    Override {
        /// Which.
        jobs: Selection,
        /// How.
        change: OverrideChange,
    },
}

/// A change of what holds jobs back (D10).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OverrideChange {
    /// Hold their fire times back.
    Pause {
        /// Why.
        reason: Option<String>,
        /// Until when; none: until they are resumed.
        until: Option<Timestamp>,
    },
    /// Take back what holds them.
    Resume,
    /// Leave out their next fire time.
    SkipNext {
        /// Why.
        reason: Option<String>,
    },
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
    /// A question is answered: the document.
    Answered(Box<Value>),
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
            Self::Finished { .. } | Self::Answered(_) => "finished",
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
            Self::Finished { .. }
            | Self::Answered(_)
            | Self::Rejected(_)
            | Self::Expired
            | Self::Duplicate => true,
        }
    }
}
