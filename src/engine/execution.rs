//! Executions and the rows of the ledger: ids, states, outcomes with their reasons, legal transitions.
//!
//! A [`Row`] is what the store keeps and people read. Rules: `C1` (states), `C8` (fields), `F7` (reasons).

mod attempts;
mod protection;
mod remains;
mod row;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::spec::job::{Digest, JobName, SourcePlace};
use crate::time::{Timestamp, rfc3339};

pub use crate::engine::execution::attempts::{Attempt, AttemptId, AttemptRules};
pub use crate::engine::execution::protection::{LimitKind, ProtectedBy, Protection};
pub use crate::engine::execution::remains::{Exception, Exit, Output};
pub use crate::engine::execution::row::{Row, State};

/// The lasting identity of a job (A1): given when it is first applied, kept through renames.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobUid(pub Arc<str>);

impl fmt::Display for JobUid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl JobUid {
    /// The uid of a job first applied under `name` at `at`: the name and the moment.
    pub fn first_applied(name: &JobName, at: Timestamp) -> Self {
        Self(format!("{name}-{:x}", at.timestamp_millis()).into())
    }
}

/// The id of a row. Never used as a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExecutionId(pub Arc<str>);

impl ExecutionId {
    /// The id of an occurrence: deterministic, so that it can be claimed once only (A1).
    pub fn occurrence(uid: &JobUid, fire_time: Timestamp) -> Self {
        Self(format!("{uid}@{}", rfc3339(fire_time)).into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ExecutionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why an execution exists (C10).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// An occurrence on its time.
    Trigger,
    /// An occurrence admitted after an outage.
    CatchUp,
    /// Run-now.
    Request,
}

/// How a row ended, with its reason where there is one (F7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// The task did what it should.
    Succeeded,
    /// The task ran, or could not be started, and did not succeed.
    Failed(Failed),
    /// A time limit ended it.
    TimedOut(TimedOut),
    /// Somebody or something ended it on purpose.
    Cancelled(Cancelled),
    /// The owner vanished and the outcome is unknown (C4).
    Lost,
    /// The occurrence was due and deliberately not run.
    Skipped(Skipped),
    /// The occurrence was due and could not be run.
    Missed(Missed),
}

/// Reasons of [`Outcome::Failed`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Failed {
    /// The process exited with a code that is no success.
    Exit,
    /// A signal that we did not send ended the process.
    Signal,
    /// The process could not be started.
    Spawn,
    /// It took more memory than it may, and the kernel ended it (`limits.memory`).
    Oom,
    /// It wanted more processes than it may, and failed (`limits.pids`).
    PidsLimit,
    /// The class raised an exception.
    Exception,
    /// The process of a class ended before its call had.
    WorkerDied,
    /// The handler panicked.
    Panic,
    /// An HTTP call: no answer, or not one of those that are expected.
    Http,
}

/// Reasons of [`Outcome::TimedOut`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TimedOut {
    /// `timeout` of the attempt.
    Attempt,
    /// `total_timeout` of the execution.
    Total,
    /// KILL did not end it (uninterruptible sleep).
    Unkillable,
}

/// Reasons of [`Outcome::Cancelled`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cancelled {
    /// By request.
    Requested,
    /// Its job was removed, and says `on_remove: cancel` (D4).
    Removed,
    /// A newer one of its job took its place (`overlap: replace`, B3).
    Replaced,
    /// The daemon that it ran in stopped.
    Shutdown,
}

/// Reasons of [`Outcome::Skipped`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Skipped {
    /// A later occurrence of the same outage ran instead (B1).
    Coalesced,
    /// `max_instances` executions were in flight (B3).
    Overlap,
    /// As many waited already as may (B3).
    QueueFull,
    /// It waited, and a newer one of its job took its place (`overlap: replace`, B3).
    Replaced,
    /// An edit took the trigger or the job away before the occurrence was started (D3, D4).
    Removed,
    /// An operator has paused the job (B2).
    Paused,
    /// An operator skipped this one (B2).
    SkipNext,
}

/// Reasons of [`Outcome::Missed`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Missed {
    /// No daemon ran.
    Downtime,
    /// No store answered.
    Outage,
    /// The clock was set forward, or the machine was suspended.
    ClockJump,
    /// More than `max_catch_up` were left over.
    CatchUpLimit,
    /// Later than `grace_time` in any other way.
    Late,
    /// Later than `grace_time` while it waited for room on the node (B5).
    Capacity,
    /// It was still waiting when its `total_timeout` ended (B7).
    Waited,
    /// The claim was answered after the lease had ended (C12).
    Fenced,
}

impl Cause {
    /// Every cause.
    pub const ALL: [Self; 3] = [Self::Trigger, Self::CatchUp, Self::Request];

    /// The word for people, files and `CRONWRIGHT_CAUSE`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trigger => "trigger",
            Self::CatchUp => "catch_up",
            Self::Request => "request",
        }
    }

    /// The cause with this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|cause| cause.as_str() == word)
    }
}

impl Outcome {
    /// Every outcome with every reason.
    pub const ALL: [Self; 33] = [
        Self::Succeeded,
        Self::Failed(Failed::Exit),
        Self::Failed(Failed::Signal),
        Self::Failed(Failed::Spawn),
        Self::Failed(Failed::Oom),
        Self::Failed(Failed::PidsLimit),
        Self::Failed(Failed::Exception),
        Self::Failed(Failed::Panic),
        Self::Failed(Failed::WorkerDied),
        Self::Failed(Failed::Http),
        Self::TimedOut(TimedOut::Attempt),
        Self::TimedOut(TimedOut::Total),
        Self::TimedOut(TimedOut::Unkillable),
        Self::Cancelled(Cancelled::Requested),
        Self::Cancelled(Cancelled::Removed),
        Self::Cancelled(Cancelled::Replaced),
        Self::Cancelled(Cancelled::Shutdown),
        Self::Lost,
        Self::Skipped(Skipped::Coalesced),
        Self::Skipped(Skipped::Overlap),
        Self::Skipped(Skipped::QueueFull),
        Self::Skipped(Skipped::Replaced),
        Self::Skipped(Skipped::Removed),
        Self::Skipped(Skipped::Paused),
        Self::Skipped(Skipped::SkipNext),
        Self::Missed(Missed::Downtime),
        Self::Missed(Missed::Outage),
        Self::Missed(Missed::ClockJump),
        Self::Missed(Missed::CatchUpLimit),
        Self::Missed(Missed::Late),
        Self::Missed(Missed::Capacity),
        Self::Missed(Missed::Waited),
        Self::Missed(Missed::Fenced),
    ];

    /// The outcome's word, without the reason.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed(_) => "failed",
            Self::TimedOut(_) => "timed_out",
            Self::Cancelled(_) => "cancelled",
            Self::Lost => "lost",
            Self::Skipped(_) => "skipped",
            Self::Missed(_) => "missed",
        }
    }

    /// The reason's word (F7).
    pub fn reason(self) -> Option<&'static str> {
        match self {
            Self::Succeeded => None,
            Self::Failed(Failed::Exit) => Some("exit"),
            Self::Failed(Failed::Signal) => Some("signal"),
            Self::Failed(Failed::Spawn) => Some("spawn"),
            Self::Failed(Failed::Oom) => Some("oom"),
            Self::Failed(Failed::PidsLimit) => Some("pids_limit"),
            Self::Failed(Failed::Exception) => Some("exception"),
            Self::Failed(Failed::Panic) => Some("panic"),
            Self::Failed(Failed::WorkerDied) => Some("worker_died"),
            Self::Failed(Failed::Http) => Some("http"),
            Self::TimedOut(TimedOut::Attempt) => Some("attempt"),
            Self::TimedOut(TimedOut::Total) => Some("total"),
            Self::TimedOut(TimedOut::Unkillable) => Some("unkillable"),
            Self::Cancelled(Cancelled::Requested) => Some("requested"),
            Self::Cancelled(Cancelled::Shutdown) => Some("shutdown"),
            Self::Lost => Some("owner_lost"),
            Self::Skipped(Skipped::Coalesced) => Some("coalesced"),
            Self::Skipped(Skipped::Overlap) => Some("overlap"),
            Self::Skipped(Skipped::QueueFull) => Some("queue_full"),
            Self::Cancelled(Cancelled::Replaced) | Self::Skipped(Skipped::Replaced) => {
                Some("replaced")
            }
            Self::Cancelled(Cancelled::Removed) | Self::Skipped(Skipped::Removed) => {
                Some("removed")
            }
            Self::Skipped(Skipped::Paused) => Some("paused"),
            Self::Skipped(Skipped::SkipNext) => Some("skip_next"),
            Self::Missed(Missed::Downtime) => Some("downtime"),
            Self::Missed(Missed::Outage) => Some("outage"),
            Self::Missed(Missed::ClockJump) => Some("clock_jump"),
            Self::Missed(Missed::CatchUpLimit) => Some("catch_up_limit"),
            Self::Missed(Missed::Late) => Some("late"),
            Self::Missed(Missed::Capacity) => Some("capacity"),
            Self::Missed(Missed::Waited) => Some("waited"),
            Self::Missed(Missed::Fenced) => Some("fenced"),
        }
    }

    /// The outcome with these words.
    pub fn parse(outcome: &str, reason: Option<&str>) -> Option<Self> {
        Self::ALL.into_iter().find(|o| o.as_str() == outcome && o.reason() == reason)
    }

    /// Whether a task was, or may have been, started.
    pub fn ran(self) -> bool {
        match self {
            Self::Succeeded
            | Self::Failed(_)
            | Self::TimedOut(_)
            | Self::Cancelled(_)
            | Self::Lost => true,
            Self::Skipped(_) | Self::Missed(_) => false,
        }
    }
}

/// Occurrences that one row covers, when it covers more than one (F1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// The first fire time; the row's id is made of it.
    pub first: Timestamp,
    /// The last fire time.
    pub last: Timestamp,
    /// How many occurrences from first to last.
    pub count: u64,
}

/// The definition an execution has, through all its attempts (C2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provenance {
    /// Digest of the job spec.
    pub digest: Digest,
    /// Revision of the snapshot that declared it.
    pub revision: Arc<str>,
    /// Where it stood.
    pub source: SourcePlace,
}

/// Whose claim a row is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The node that claimed it.
    pub node: Arc<str>,
    /// The fencing token: the epoch of the lease under which it was claimed.
    pub epoch: u64,
    /// Drawn anew for each claim, so that one whose answer was lost is known again.
    pub nonce: Arc<str>,
}

/// The end of an execution that was started, or could not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// How it ended.
    pub outcome: Outcome,
    /// When the process began; none when it was never started or nobody knows.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Timestamp,
    /// By the monotonic clock.
    pub duration: Option<Duration>,
    /// How the process ended.
    pub exit: Option<Exit>,
    /// JSON text that the process returned (C6).
    pub result: Option<String>,
    /// What went wrong.
    pub exception: Option<Exception>,
    /// What it printed.
    pub output: Output,
    /// What kept its process within its bounds; none: there was no process, or nobody knows.
    pub protection: Option<Protection>,
}
