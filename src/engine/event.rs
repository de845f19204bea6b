//! The hinge's vocabulary: every reason the scheduler can move, and everything it can ask for.

use std::sync::Arc;
use std::time::Duration;

use crate::engine::execution::{
    Attempt, AttemptId, Cause, Claim, Ending, ExecutionId, JobUid, Outcome, Range, Row,
};
use crate::engine::overrides::{OverrideWrite, Overrides};
use crate::engine::plan::{AppliedJob, AppliedSet, Change, Plan, Repair};
use crate::engine::removed::Removed;
use crate::engine::request::{Order, ReplyStatus, RequestId};
use crate::engine::rollback::Pin;
use crate::spec::job::JobName;
use crate::time::{BootTime, Timestamp};

/// Why the scheduler may move.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// It is time, or might be. Spurious ones are harmless.
    Tick,
    /// This node holds the lease until then; a new epoch, or the same one renewed.
    LeaseHeld {
        /// The fencing token.
        epoch: u64,
        /// When it ends by itself.
        until: BootTime,
    },
    /// This node no longer holds the lease.
    LeaseLost(LeaseLoss),
    /// What the store holds: answer to [`Effect::Recover`].
    Recovered(Box<Recovery>),
    /// A plan to apply.
    Plan(Box<Plan>),
    /// Answer to [`Effect::SavePlan`].
    PlanSaved {
        /// The store's generation now.
        generation: u64,
    },
    /// Answer to [`Effect::SavePlan`]: the store's generation was another one; nothing was written.
    PlanStale,
    /// Answer to [`Effect::Claim`]: one answer per row and per take, in order.
    Claimed {
        /// The batch.
        batch: u64,
        /// What became of each row.
        answers: Vec<ClaimAnswer>,
    },
    /// A store operation failed, or its answer never came: what it did is unknown.
    StoreLost,
    /// An order.
    Order(Order),
    /// A task runs.
    Started {
        /// The attempt.
        id: AttemptId,
        /// When its process began.
        at: Timestamp,
    },
    /// A task ended, or could not be started.
    Ended {
        /// The attempt.
        id: AttemptId,
        /// How.
        ending: Box<Ending>,
    },
    /// The ending of an attempt is durable.
    Recorded {
        /// The attempt.
        id: AttemptId,
    },
    /// Answer to [`Effect::ReadFlights`]: the rows that have not ended.
    Flights(Vec<Row>),
    /// News of executions on other nodes.
    Foreign {
        /// They ended by themselves.
        ended: Vec<ExecutionId>,
        /// Their node's lease ended: nobody will report on them.
        ownerless: Vec<ExecutionId>,
        /// They wait for their next attempt, which is the leader's to start.
        waiting: Vec<Row>,
    },
    /// The daemon is stopping: nothing new starts.
    Stopping,
}

/// What the store holds, read under the lease.
#[derive(Debug, Clone, PartialEq)]
pub struct Recovery {
    /// The number of the [`Effect::Recover`] that it answers.
    pub number: u64,
    /// Number of changes that were applied.
    pub generation: u64,
    /// Revision of the last applied plan.
    pub revision: Arc<str>,
    /// What is pinned.
    pub pin: Option<Pin>,
    /// The applied jobs.
    pub jobs: AppliedSet,
    /// Jobs that were removed; a job of that name takes its uid and anchors again (D4).
    pub removed: Removed,
    /// What operators have said about jobs.
    pub overrides: Overrides,
    /// Every occurrence up to here has its row, but for what a pause holds; none: the store is new.
    pub watermark: Option<Timestamp>,
    /// Occurrences after the watermark that have their row, and those after the beginning of their job's
    /// pause.
    pub covered: Vec<(JobUid, Range)>,
    /// Rows that have not ended.
    pub in_flight: Vec<Row>,
    /// Attempts that the supervisor runs, or whose ending it still holds.
    pub supervised: Vec<AttemptId>,
    /// Whether to wait for a plan before anything fires.
    pub resume: Resume,
}

/// Why a node no longer holds the lease: what was due meanwhile was missed for that reason (F3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseLoss {
    /// It ended because the store did not answer.
    Unanswered,
    /// Another node leads.
    Taken,
}

/// When firing begins after a recovery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resume {
    /// After the first plan: at the start of a daemon, which reconciles first (D12).
    AfterPlan,
    /// At once, with the set last applied: a fail-over, or a store that is back (D14).
    AtOnce,
}

/// What became of one row of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClaimAnswer {
    /// It is written; it is ours.
    Claimed,
    /// A row with its id was there before.
    AlreadyClaimed {
        /// Whose it is.
        claim: Claim,
    },
    /// Its slot is held by another execution; nothing was written.
    SlotTaken,
}

/// What the scheduler asks for. Store operations are carried out in the order in which they come.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Write these rows; answered by [`Event::Claimed`] or [`Event::StoreLost`].
    Claim(ClaimBatch),
    /// Write this plan; answered by [`Event::PlanSaved`], [`Event::PlanStale`] or [`Event::StoreLost`].
    SavePlan(Box<PlanWrites>),
    /// Read what the store holds, as often as it takes; answered by [`Event::Recovered`].
    Recover {
        /// Drawn anew each time: what was read for an earlier one is out of date.
        number: u64,
    },
    /// Write that an execution runs. Not needed for safety: may be dropped when the store is away.
    RecordStarted {
        /// The execution.
        id: ExecutionId,
        /// Its fencing token.
        epoch: u64,
        /// When its process began.
        at: Timestamp,
    },
    /// Write an ending, as often as it takes; answered by [`Event::Recorded`].
    RecordEnded {
        /// The execution's last attempt; an ending of an earlier one changes nothing.
        id: AttemptId,
        /// Its fencing token; none: the row is whichever this node claimed under that id.
        epoch: Option<u64>,
        /// How it ended.
        ending: Box<Ending>,
    },
    /// Write that an attempt ended and that another follows, as often as it takes; answered by
    /// [`Event::Recorded`].
    RecordWait(Box<RetryWait>),
    /// Read the rows that have not ended, as often as it takes; answered by [`Event::Flights`].
    ReadFlights,
    /// Start a task.
    Start(Box<Start>),
    /// End a task.
    Stop {
        /// The attempt.
        id: AttemptId,
        /// KILL at once.
        force: bool,
    },
    /// An ending is recorded: the supervisor may forget it.
    Forget {
        /// The attempt.
        id: AttemptId,
    },
    /// Answer a request.
    Reply {
        /// The request.
        to: RequestId,
        /// The answer.
        status: ReplyStatus,
        /// The execution concerned.
        execution: Option<ExecutionId>,
    },
    /// What became of a plan.
    PlanDone(PlanDone),
    /// Something that belongs beside the rows (F3).
    Note(Note),
}

/// Rows to be written together, and how far everything is then accounted for.
#[derive(Debug, Clone, PartialEq)]
pub struct ClaimBatch {
    /// Number of the batch.
    pub number: u64,
    /// The rows: claimed ones, and ended ones.
    pub rows: Vec<Row>,
    /// Rows that wait, to be claimed again.
    pub takes: Vec<Take>,
    /// When all is decided ([`Self::is_decided`]), every occurrence up to here has its row.
    pub watermark: Timestamp,
    /// When its answer counts as lost; it is not sent any more then. The lease lasts longer (C12).
    pub deadline: BootTime,
}

impl ClaimBatch {
    /// Whether, by these answers, every occurrence of the batch has the row that the batch decided on;
    /// only then may the watermark move. A foreign row may cover less than the one it kept out.
    pub fn is_decided(&self, answers: &[ClaimAnswer]) -> bool {
        let decided = |(row, answer): (&Row, &ClaimAnswer)| match answer {
            ClaimAnswer::Claimed => true,
            // A request may come twice; an occurrence is due once.
            ClaimAnswer::AlreadyClaimed { claim } => {
                claim.nonce == row.claim.nonce || row.cause == Cause::Request
            }
            ClaimAnswer::SlotTaken => false,
        };
        self.rows.iter().zip(answers).all(decided)
    }
}

/// A row that waits, as it is to be once it is claimed again.
#[derive(Debug, Clone, PartialEq)]
pub struct Take {
    /// The row, claimed. It replaces the one that waits.
    pub row: Row,
    /// Whose the one that waits is. If it is another's by now, or waits no more, nothing is written.
    pub from: Claim,
}

/// An attempt that ended, and when the next begins.
#[derive(Debug, Clone, PartialEq)]
pub struct RetryWait {
    /// The execution.
    pub id: ExecutionId,
    /// Its fencing token.
    pub epoch: u64,
    /// All its attempts so far; the row changes only while the last of them is under way.
    pub attempts: Vec<Attempt>,
    /// When the next begins.
    pub until: Timestamp,
    /// What the last attempt left.
    pub last: Box<Ending>,
}

impl RetryWait {
    /// The attempt that ended.
    pub fn attempt(&self) -> AttemptId {
        let number = u32::try_from(self.attempts.len()).unwrap_or(u32::MAX);
        AttemptId { execution: self.id.clone(), number }
    }
}

/// How long a claim may take before its answer counts as lost.
pub const CLAIM_DEADLINE: Duration = Duration::from_millis(1500);

/// A task to start.
#[derive(Debug, Clone, PartialEq)]
pub struct Start {
    /// The row as claimed. The daemon runs the definition of its digest, which it has read itself (D13).
    pub row: Row,
    /// How much of `total_timeout` is left.
    pub time_left: Option<Duration>,
    /// The fire time before this one, for `CRONWRIGHT_DATA_INTERVAL_START`.
    pub previous_fire_time: Option<Timestamp>,
}

/// What a plan writes.
#[derive(Debug, Clone, PartialEq)]
pub struct PlanWrites {
    /// The generation it was made against.
    pub expected_generation: u64,
    /// The revision that it leads to.
    pub revision: Arc<str>,
    /// Since when it counts.
    pub effective_at: Timestamp,
    /// Jobs as they are from then on.
    pub upserts: Vec<AppliedJob>,
    /// Jobs that are no more.
    pub removed: Vec<AppliedJob>,
    /// What is different, for the record.
    pub changes: Vec<Change>,
    /// Overrides as they are from then on.
    pub overrides: Vec<OverrideWrite>,
    /// What set it off, for the record.
    pub origin: String,
    /// What is pinned from then on.
    pub pin: Option<Pin>,
    /// What is mended in the store.
    pub repair: Repair,
    /// When its answer counts as lost; it is not sent any more then.
    pub deadline: BootTime,
}

/// What became of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlanDone {
    /// It is applied.
    Applied {
        /// The store's generation now.
        generation: u64,
    },
    /// It was made against another generation, or cannot be applied now: make it again.
    Again,
}

/// Things that happened to the scheduler itself; kept beside the rows so that reasons can be checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// The wall clock was set, or the machine slept.
    ClockJump {
        /// What the clock said before.
        from: Timestamp,
        /// What it says now.
        to: Timestamp,
    },
    /// No store answered in between.
    Outage {
        /// When the first operation failed.
        from: Timestamp,
        /// When the store was read again.
        to: Timestamp,
    },
    /// Nobody led in between.
    Downtime {
        /// The watermark that was found.
        from: Timestamp,
        /// When this node took over.
        to: Timestamp,
    },
    /// An execution ended `lost` because nobody knows about it.
    OwnerLost {
        /// The execution.
        id: ExecutionId,
        /// Its job.
        job: JobName,
        /// What it became.
        outcome: Outcome,
    },
}
