//! The scheduler: a pure state machine. Events in, effects out; `docs/` and `semantics` rules behind.
//!
//! Flow: due occurrences and requests become [`Draft`]s, drafts become one claim batch at a time, an
//! answered claim becomes a start, an ending becomes a record. While a batch is under way nothing else
//! is claimed, so that "every occurrence up to the watermark has its row" is simply true.
//! Whatever is in doubt (a lost answer, a new lease) is settled in one way: read what the store holds
//! and go on from there (`recovery`).
//!
//! Guarantees: total, never blocks, reads no clock, draws no random number. Spurious events are harmless.

mod anchors;
mod attempts;
mod claims;
mod drafts;
mod flights;
mod override_changes;
mod overrides;
mod plans;
mod queued;
mod recovery;
mod requests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;

use crate::engine::admission::{Gap, GapKind};
use crate::engine::event::{CLAIM_DEADLINE, Effect, Event, LeaseLoss, Note};
use crate::engine::execution::{ExecutionId, Range};
use crate::engine::overrides::Overrides;
use crate::engine::plan::{AppliedJob, AppliedSet};
use crate::engine::queue::FireQueue;
use crate::engine::removed::Removed;
use crate::engine::rollback::Pin;
use crate::spec::job::{Digest, JobName};
use crate::time::{BootTime, Now, Timestamp};

use attempts::Unsettled;
use claims::PendingBatch;
use drafts::Draft;
use flights::Flights;
use overrides::OverrideState;
pub use overrides::PAUSE_FLUSHED_WITHIN;
use plans::PendingPlan;
pub use plans::{keeps, preview};

/// A difference of the clocks from here on is a jump (E1), not a correction.
const JUMP_MIN: Duration = Duration::from_secs(2);
/// A silence from here on is a suspend (E1), not a slow daemon.
const SUSPEND_MIN: Duration = Duration::from_secs(10);
/// A jump over this is held until the clock has stood by it for [`JUMP_HOLD`] (E1).
const JUMP_HELD_FROM: Duration = Duration::from_hours(24);
/// See [`JUMP_HELD_FROM`].
const JUMP_HOLD: Duration = Duration::from_mins(1);

/// The scheduler of one node.
#[derive(Debug)]
pub struct Scheduler {
    node: Arc<str>,
    /// Drawn once per process; with the number of a batch it makes the batch's nonce.
    identity: Arc<str>,
    phase: Phase,
    lease: Lease,
    last_turn: Option<Now>,
    clock_held_until: Option<BootTime>,
    store_lost_at: Option<Timestamp>,
    planned: bool,
    gap: Option<Gap>,

    generation: u64,
    revision: Arc<str>,
    /// What is pinned.
    pin: Option<Pin>,
    jobs: BTreeMap<JobName, Job>,
    removed: Removed,
    queue: FireQueue,
    overrides: OverrideState,
    plan: Option<PendingPlan>,

    watermark: Option<Timestamp>,
    ready: Vec<Draft>,
    batch: Option<PendingBatch>,
    batches: u64,
    /// The number of the recovery whose answer counts.
    recoveries: u64,
    /// The next recovery is the first under this lease.
    taking_over: bool,
    flights: Flights,
    /// How many executions may be in flight on the node at once; none: any number.
    max_running: Option<usize>,
    /// When the queue is to be looked at again, even if nothing happens before.
    queue_wakeup: Option<Timestamp>,
    unsettled: Unsettled,
}

/// What the scheduler is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Another node leads, or none.
    Standby,
    /// It leads and waits to read what the store holds.
    Recovering,
    /// It has read the store and waits for the first plan.
    AwaitingPlan,
    /// It fires.
    Active,
    /// Nothing new starts.
    Stopping,
}

/// The right to decide what fires.
#[derive(Debug, Clone, Copy, Default)]
struct Lease {
    epoch: u64,
    until: BootTime,
}

/// An applied job and how far it is accounted for.
#[derive(Debug)]
struct Job {
    applied: AppliedJob,
    /// Every occurrence up to here has a row, or a draft. One that waits for its start lies after it.
    cursor: Timestamp,
    /// Occurrences after the cursor that have a row already.
    covered: Vec<Range>,
}

impl Scheduler {
    /// A scheduler that holds no lease yet. `identity` must differ from every other process's.
    pub fn new(node: &str, identity: &str) -> Self {
        Self {
            node: node.into(),
            identity: identity.into(),
            phase: Phase::Standby,
            lease: Lease::default(),
            last_turn: None,
            clock_held_until: None,
            store_lost_at: None,
            planned: false,
            gap: None,
            generation: 0,
            revision: "".into(),
            pin: None,
            jobs: BTreeMap::new(),
            removed: Removed::default(),
            queue: FireQueue::default(),
            overrides: OverrideState::default(),
            plan: None,
            watermark: None,
            ready: Vec::new(),
            batch: None,
            batches: 0,
            recoveries: 0,
            taking_over: false,
            flights: Flights::default(),
            max_running: None,
            queue_wakeup: None,
            unsettled: Unsettled::default(),
        }
    }

    /// Lets so many executions be in flight on this node at once (B5); none: any number. Ends nothing that runs.
    #[must_use]
    pub fn with_max_running(self, max: Option<u32>) -> Self {
        Self { max_running: max.map(|max| max as usize), ..self }
    }

    /// Takes in one event and answers what is to be done. Total: any event, in any phase, at any time.
    pub fn handle(&mut self, now: Now, event: Event) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.notice_clock(now, &mut effects);
        match event {
            Event::Tick => {}
            Event::LeaseHeld { epoch, until } => self.lease_held(epoch, until, &mut effects),
            Event::LeaseLost(loss) => self.lease_lost(now, loss, &mut effects),
            Event::Recovered(recovery) => self.recovered(now, &recovery, &mut effects),
            Event::Plan(plan) => self.plan(now, *plan, &mut effects),
            Event::PlanSaved { generation } => self.plan_saved(now, generation, &mut effects),
            Event::PlanStale => self.recover(&mut effects),
            Event::Claimed { batch, answers } => self.claimed(now, batch, answers, &mut effects),
            Event::StoreLost => self.store_lost(now, &mut effects),
            Event::Order(order) => self.order(now, order, &mut effects),
            Event::Started { id, at } => self.started(&id, at, &mut effects),
            Event::Ended { id, ending } => self.ended(&id, ending, &mut effects),
            Event::Recorded { id } => self.recorded(&id, &mut effects),
            Event::Flights(rows) => self.flights_read(&rows, &mut effects),
            Event::Foreign { ended, ownerless, waiting } => {
                self.foreign(now, &ended, &ownerless, &mut effects);
                self.foreign_waits(now, &waiting, &mut effects);
            }
            Event::Stopping => self.phase = Phase::Stopping,
        }
        self.tend_overrides(now, &mut effects);
        self.pump(now, &mut effects);
        effects
    }

    /// When a `Tick` is due at the latest; none: nothing is due as things stand.
    pub fn next_wakeup(&self) -> Option<Timestamp> {
        match self.phase {
            Phase::Active => {
                let starts = self.queue.first().into_iter().chain(self.flights.first_wait());
                let starts = starts.chain(self.queue_wakeup);
                let starts = starts.min().filter(|_| self.batch.is_none());
                starts.into_iter().chain(self.first_pause_end()).min()
            }
            Phase::Standby | Phase::Recovering | Phase::AwaitingPlan | Phase::Stopping => None,
        }
    }

    /// What it is doing.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// The store's generation, as far as known.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// What is pinned.
    pub fn pin(&self) -> Option<&Pin> {
        self.pin.as_ref()
    }

    /// The revision that is applied.
    pub fn revision(&self) -> &Arc<str> {
        &self.revision
    }

    /// The applied jobs. Grows with their number: ask when a plan was applied, not at each turn.
    pub fn applied(&self) -> AppliedSet {
        self.jobs.iter().map(|(name, job)| (name.clone(), job.applied.clone())).collect()
    }

    /// What operators have said about jobs. Changes with the generation.
    pub fn overrides(&self) -> &Overrides {
        self.overrides.by_uid()
    }

    /// How many executions run, here and on other nodes.
    pub fn running(&self) -> usize {
        self.flights.running()
    }

    /// The definitions that executions in flight began with and may need again (C2).
    pub fn definitions_in_flight(&self) -> BTreeSet<Digest> {
        self.flights.definitions()
    }

    /// The executions in flight that other nodes hold; the daemon asks the store about them.
    pub fn foreign_flights(&self) -> Vec<ExecutionId> {
        self.flights.foreign()
    }

    fn lease_held(&mut self, epoch: u64, until: BootTime, effects: &mut Vec<Effect>) {
        let renewed = self.lease.epoch == epoch && self.phase != Phase::Standby;
        self.lease = Lease { epoch, until };
        if !renewed && self.phase != Phase::Stopping {
            self.taking_over = true;
            self.recover(effects);
        }
    }

    fn lease_lost(&mut self, now: Now, loss: LeaseLoss, effects: &mut Vec<Effect>) {
        match loss {
            LeaseLoss::Unanswered => self.note_store_lost(now),
            LeaseLoss::Taken => self.store_lost_at = None,
        }
        self.lease.until = BootTime::default();
        self.drop_plan(effects);
        if self.phase != Phase::Stopping {
            self.phase = Phase::Standby;
        }
        self.refuse_overrides(effects);
    }

    fn store_lost(&mut self, now: Now, effects: &mut Vec<Effect>) {
        match self.phase {
            Phase::AwaitingPlan | Phase::Active => {
                self.note_store_lost(now);
                self.recover(effects);
            }
            Phase::Standby | Phase::Recovering | Phase::Stopping => {}
        }
    }

    /// Remembers since when the store is away. Who has not read it yet does not know what it missed.
    fn note_store_lost(&mut self, now: Now) {
        match self.phase {
            Phase::AwaitingPlan | Phase::Active => {
                self.store_lost_at.get_or_insert(now.wall);
            }
            Phase::Standby | Phase::Recovering | Phase::Stopping => {}
        }
    }

    /// Goes back to what the store holds.
    fn recover(&mut self, effects: &mut Vec<Effect>) {
        self.drop_plan(effects);
        self.phase = Phase::Recovering;
        self.recoveries += 1;
        effects.push(Effect::Recover { number: self.recoveries });
    }

    /// Whether a claim may be sent now (C12).
    fn may_claim(&self, now: Now) -> bool {
        self.phase == Phase::Active
            && self.batch.is_none()
            && self.clock_held_until.is_none()
            && self.lease.until.since(now.boot) > CLAIM_DEADLINE
    }

    /// E1: compares the clocks with the last turn's.
    fn notice_clock(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if self.clock_held_until.is_some_and(|until| until <= now.boot) {
            self.clock_held_until = None;
            self.gap = Some(Gap { kind: GapKind::ClockJump, until: now.wall });
        }
        let Some(last) = self.last_turn.replace(now) else { return };
        let elapsed = now.boot.since(last.boot);
        let expected = last.wall + TimeDelta::from_std(elapsed).unwrap_or(TimeDelta::MAX);
        let forward = (now.wall - expected).to_std().unwrap_or(Duration::ZERO);
        let backward = (expected - now.wall).to_std().unwrap_or(Duration::ZERO);
        if forward >= JUMP_MIN || backward >= JUMP_MIN || elapsed >= SUSPEND_MIN {
            effects.push(Effect::Note(Note::ClockJump { from: last.wall, to: now.wall }));
        }
        if forward >= JUMP_MIN || elapsed >= SUSPEND_MIN {
            self.gap = Some(Gap { kind: GapKind::ClockJump, until: now.wall });
        }
        if forward > JUMP_HELD_FROM {
            self.clock_held_until = Some(now.boot.plus(JUMP_HOLD));
        } else if backward >= JUMP_MIN {
            self.clock_held_until = None;
        }
    }
}
