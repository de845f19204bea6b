//! Rows of the ledger: an execution with all its attempts, or occurrences that were not run.

use crate::engine::execution::{
    Attempt, AttemptRules, Cause, Claim, Ending, ExecutionId, JobUid, Outcome, Provenance, Range,
};
use crate::spec::job::JobName;
use crate::spec::params::ParamValues;
use crate::spec::trigger::TriggerKind;
use crate::time::Timestamp;

/// Where a row stands (C1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Written, and not to start before there is a place for it (B3, B5).
    Queued,
    /// Written, about to start.
    Claimed,
    /// Started.
    Running {
        /// When the process began.
        started_at: Timestamp,
    },
    /// An attempt failed; the next begins at a time of its own.
    RetryWait {
        /// When.
        until: Timestamp,
        /// What the attempt left.
        last: Box<Ending>,
    },
    /// Over. Never changes again.
    Ended(Box<Ending>),
}

impl State {
    /// The word for people and files.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Claimed => "claimed",
            Self::Running { .. } => "running",
            Self::RetryWait { .. } => "retry_wait",
            Self::Ended(_) => "ended",
        }
    }
}

/// One document of the ledger: an execution, or skipped or missed occurrences.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Deterministic for an occurrence; the request's id for run-now.
    pub id: ExecutionId,
    /// The job's name when it was written.
    pub job: JobName,
    /// The job's uid.
    pub uid: JobUid,
    /// Why it exists.
    pub cause: Cause,
    /// The kind of trigger that made it due.
    pub trigger: Option<TriggerKind>,
    /// When it was due; for a request, when it was accepted.
    pub fire_time: Timestamp,
    /// When it was to start: later than `fire_time` when its trigger has jitter (A10).
    pub start_time: Timestamp,
    /// Set on range rows; `first` is `fire_time`.
    pub range: Option<Range>,
    /// The definition.
    pub provenance: Provenance,
    /// Whose it is.
    pub claim: Claim,
    /// When it was first written: claimed, queued or ended. `total_timeout` counts from here.
    pub claimed_at: Timestamp,
    /// Which of the job's `max_instances` places it holds while in flight (B3).
    pub slot: Option<u32>,
    /// Where it stands.
    pub state: State,
    /// The attempts that ended and were not to be the last.
    pub attempts: Vec<Attempt>,
    /// What bounds its attempts, where that is more than `timeout`.
    pub rules: Option<Box<AttemptRules>>,
    /// What it was given, through all its attempts (C2).
    pub params: ParamValues,
    /// An outcome that came after the row had ended (C1).
    pub late_outcome: Option<Outcome>,
    /// Who asked, for requests; the execution in the way, for `skipped(overlap)`.
    pub note: Option<String>,
}

impl Row {
    /// Whether it has not ended.
    pub fn in_flight(&self) -> bool {
        !matches!(self.state, State::Ended(_))
    }

    /// Whether it is to be claimed again before anything starts.
    pub fn waits(&self) -> bool {
        match self.state {
            State::Queued | State::RetryWait { .. } => true,
            State::Claimed | State::Running { .. } | State::Ended(_) => false,
        }
    }

    /// The number, from 1, of the attempt that is under way; between two attempts, of the next.
    pub fn attempt(&self) -> u32 {
        u32::try_from(self.attempts.len()).unwrap_or(u32::MAX).saturating_add(1)
    }

    /// How it ended, when it has.
    pub fn outcome(&self) -> Option<Outcome> {
        match &self.state {
            State::Queued | State::Claimed | State::Running { .. } | State::RetryWait { .. } => {
                None
            }
            State::Ended(ending) => Some(ending.outcome),
        }
    }
}
