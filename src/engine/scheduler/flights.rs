//! Executions in flight: which there are, which slots they hold, who waits for them.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::event::Effect;
use crate::engine::execution::{
    AttemptId, Cancelled, Cause, Ending, ExecutionId, JobUid, Missed, Outcome, Output, Row, State,
};
use crate::engine::request::{ReplyStatus, RequestId};
use crate::engine::scheduler::queued::Queued;
use crate::engine::scheduler::{Phase, Scheduler};
use crate::spec::job::{Digest, JobName};
use crate::time::{Now, Timestamp};

/// One execution in flight.
#[derive(Debug, Clone)]
pub(super) struct Flight {
    pub(super) job: JobName,
    pub(super) uid: JobUid,
    pub(super) cause: Cause,
    pub(super) fire_time: Timestamp,
    /// Its fencing token; zero until its claim is sent.
    pub(super) epoch: u64,
    pub(super) slot: Option<u32>,
    pub(super) stage: Stage,
    /// The request that waits for its end.
    pub(super) waiter: Option<RequestId>,
    /// Why it was cancelled, if it was.
    pub(super) cancelled: Option<Cancelled>,
    /// Its row, where more than `timeout` bounds its attempts; as it waits, while that is so. Of one that is
    /// queued: once it is written.
    pub(super) row: Option<Box<Row>>,
}

/// How far an execution in flight is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stage {
    /// It waits for a place, and holds none.
    Queued,
    /// Its claim is not answered yet.
    Claiming,
    /// It was handed to the executor.
    Started,
    /// An attempt failed and the next is not due yet.
    Waiting,
    /// Another node has it.
    Foreign,
    /// It ended and the ending is not recorded yet; it holds no slot any more.
    Ending(Outcome),
}

/// All executions in flight.
#[derive(Debug, Default)]
pub(super) struct Flights {
    by_id: BTreeMap<ExecutionId, Flight>,
    by_job: BTreeMap<JobUid, BTreeSet<ExecutionId>>,
    /// When the waits end.
    waits: BTreeSet<(Timestamp, ExecutionId)>,
    queued: Queued,
    /// How many hold a place and are not on another node.
    here: usize,
}

impl Flights {
    /// How many have been handed to an executor, or are about to be.
    pub(super) fn running(&self) -> usize {
        let runs = |flight: &&Flight| match flight.stage {
            Stage::Claiming | Stage::Started | Stage::Foreign => true,
            Stage::Queued | Stage::Waiting | Stage::Ending(_) => false,
        };
        self.by_id.values().filter(runs).count()
    }

    /// How many hold a place, those between two attempts among them, and are not on another node (B5).
    pub(super) fn here(&self) -> usize {
        self.here
    }

    /// Those that wait for a place.
    pub(super) fn queued(&self) -> &Queued {
        &self.queued
    }

    /// The definitions that another attempt may need.
    pub(super) fn definitions(&self) -> BTreeSet<Digest> {
        let rows = self.by_id.values().filter_map(|flight| flight.row.as_deref());
        rows.map(|row| row.provenance.digest.clone()).collect()
    }

    pub(super) fn get(&self, id: &ExecutionId) -> Option<&Flight> {
        self.by_id.get(id)
    }

    pub(super) fn get_mut(&mut self, id: &ExecutionId) -> Option<&mut Flight> {
        self.by_id.get_mut(id)
    }

    /// Puts an execution in, in the place of what was known of it.
    pub(super) fn insert(&mut self, id: ExecutionId, flight: Flight) {
        self.release(&id);
        if flight.stage == Stage::Queued {
            self.queued.insert(&id, &flight);
        } else {
            self.by_job.entry(flight.uid.clone()).or_default().insert(id.clone());
            self.here += usize::from(flight.stage != Stage::Foreign);
        }
        self.waits.extend(flight.wait_ends().map(|until| (until, id.clone())));
        self.by_id.insert(id, flight);
    }

    /// Forgets an execution.
    pub(super) fn remove(&mut self, id: &ExecutionId) -> Option<Flight> {
        self.release(id);
        self.by_id.remove(id)
    }

    /// Frees the place that an execution holds, among its job's or in the queue.
    pub(super) fn release(&mut self, id: &ExecutionId) {
        let Some(flight) = self.by_id.get(id) else { return };
        if let Some(until) = flight.wait_ends() {
            self.waits.remove(&(until, id.clone()));
        }
        self.queued.remove(id, flight);
        if let Some(ids) = self.by_job.get_mut(&flight.uid) {
            let held = ids.remove(id) && flight.stage != Stage::Foreign;
            self.here = self.here.saturating_sub(usize::from(held));
            if ids.is_empty() {
                self.by_job.remove(&flight.uid);
            }
        }
    }

    /// When the first wait ends.
    pub(super) fn first_wait(&self) -> Option<Timestamp> {
        self.waits.first().map(|(until, _)| *until)
    }

    /// The first execution whose wait is over.
    pub(super) fn pop_wait(&mut self, now: Timestamp) -> Option<ExecutionId> {
        self.first_wait().filter(|until| *until <= now)?;
        self.waits.pop_first().map(|(_, id)| id)
    }

    /// The executions of which a row waits, or is being claimed anew.
    pub(super) fn waiting(&self) -> Vec<ExecutionId> {
        let waits = |(id, flight): (&ExecutionId, &Flight)| match flight.stage {
            Stage::Waiting => Some(id.clone()),
            Stage::Queued | Stage::Claiming => flight.row.as_ref().map(|_| id.clone()),
            Stage::Started | Stage::Foreign | Stage::Ending(_) => None,
        };
        self.by_id.iter().filter_map(waits).collect()
    }

    /// How many executions of a job are in flight (B3).
    pub(super) fn count(&self, uid: &JobUid) -> usize {
        self.by_job.get(uid).map_or(0, BTreeSet::len)
    }

    /// An execution of the job that is in flight, to name it as the one in the way.
    pub(super) fn first_of(&self, uid: &JobUid) -> Option<&ExecutionId> {
        self.by_job.get(uid)?.first()
    }

    /// The smallest slot that no execution of the job holds.
    pub(super) fn free_slot(&self, uid: &JobUid) -> u32 {
        let ids = self.by_job.get(uid);
        let held: BTreeSet<u32> =
            ids.into_iter().flatten().filter_map(|id| self.by_id.get(id)?.slot).collect();
        (0..=u32::MAX).find(|slot| !held.contains(slot)).unwrap_or(u32::MAX)
    }

    /// The executions in flight of the job with this name.
    pub(super) fn of_job(&self, job: &JobName) -> Vec<ExecutionId> {
        let of_job = |(id, flight): (&ExecutionId, &Flight)| {
            (flight.job == *job && !matches!(flight.stage, Stage::Ending(_))).then(|| id.clone())
        };
        self.by_id.iter().filter_map(of_job).collect()
    }

    /// The executions in flight of a job, whatever its name was when they began.
    pub(super) fn of_uid(&self, uid: &JobUid) -> Vec<ExecutionId> {
        self.by_job.get(uid).into_iter().flatten().cloned().collect()
    }

    /// The same, with those that wait for a place.
    pub(super) fn all_of(&self, uid: &JobUid) -> Vec<ExecutionId> {
        self.of_uid(uid).into_iter().chain(self.queued.of(uid).cloned()).collect()
    }

    /// A job has another name from now on.
    pub(super) fn rename(&mut self, uid: &JobUid, to: &JobName) {
        for id in self.all_of(uid) {
            if let Some(flight) = self.by_id.get_mut(&id) {
                flight.job = to.clone();
            }
        }
    }

    pub(super) fn foreign(&self) -> Vec<ExecutionId> {
        let foreign = |(id, flight): (&ExecutionId, &Flight)| {
            (flight.stage == Stage::Foreign).then(|| id.clone())
        };
        self.by_id.iter().filter_map(foreign).collect()
    }

    /// Forgets the executions that another node has, before the store is read again.
    pub(super) fn drop_foreign(&mut self) {
        for id in self.foreign() {
            self.remove(&id);
        }
    }
}

impl Flight {
    /// A row that is in flight.
    pub(super) fn of_row(row: &Row, stage: Stage) -> Self {
        Self {
            job: row.job.clone(),
            uid: row.uid.clone(),
            cause: row.cause,
            fire_time: row.fire_time,
            epoch: row.claim.epoch,
            slot: row.slot,
            stage,
            waiter: None,
            cancelled: None,
            row: row.rules.is_some().then(|| Box::new(row.clone())),
        }
    }

    /// The number of its attempt.
    pub(super) fn attempt(&self) -> u32 {
        self.row.as_ref().map_or(1, |row| row.attempt())
    }

    /// When its wait ends, if it waits.
    fn wait_ends(&self) -> Option<Timestamp> {
        match &self.row.as_ref()?.state {
            State::RetryWait { until, .. } => Some(*until),
            State::Queued | State::Claimed | State::Running { .. } | State::Ended(_) => None,
        }
    }
}

impl Scheduler {
    pub(super) fn started(&mut self, id: &AttemptId, at: Timestamp, effects: &mut Vec<Effect>) {
        let Some(flight) = self.flights.get(&id.execution) else { return };
        if flight.attempt() != id.number {
            return;
        }
        let execution = id.execution.clone();
        effects.push(Effect::RecordStarted { id: execution, epoch: flight.epoch, at });
        if let (Some(waiter), 1) = (&flight.waiter, id.number) {
            effects.push(Effect::Reply {
                to: waiter.clone(),
                status: ReplyStatus::Started,
                execution: Some(id.execution.clone()),
            });
        }
    }

    pub(super) fn recorded(&mut self, id: &AttemptId, effects: &mut Vec<Effect>) {
        effects.push(Effect::Forget { id: id.clone() });
        // One that ended while the store was read is taken for running until its ending is recorded.
        let is_over = |flight: &Flight| {
            flight.attempt() == id.number
                && matches!(flight.stage, Stage::Started | Stage::Ending(_))
        };
        let execution = &id.execution;
        if !self.flights.get(execution).is_some_and(is_over) {
            return;
        }
        let Some(flight) = self.flights.remove(execution) else { return };
        if let (Some(waiter), Stage::Ending(outcome)) = (flight.waiter, flight.stage) {
            effects.push(Effect::Reply {
                to: waiter,
                status: ReplyStatus::Finished { outcome: Some(outcome), note: None },
                execution: Some(execution.clone()),
            });
        }
    }

    pub(super) fn foreign(
        &mut self,
        now: Now,
        ended: &[ExecutionId],
        ownerless: &[ExecutionId],
        effects: &mut Vec<Effect>,
    ) {
        for id in ended {
            self.flights.remove(id);
        }
        // What was known of a row before the last look at the store may be of an earlier attempt.
        let is_up_to_date = match self.phase {
            Phase::AwaitingPlan | Phase::Active => true,
            Phase::Standby | Phase::Recovering | Phase::Stopping => false,
        };
        for id in ownerless.iter().filter(|_| is_up_to_date) {
            if self.flights.get(id).is_some_and(|flight| flight.stage == Stage::Foreign) {
                self.lose(now, id, effects);
            }
        }
    }

    /// A row of ours that was claimed and never started: over.
    pub(super) fn fence(&mut self, now: Now, id: &ExecutionId, effects: &mut Vec<Effect>) {
        self.close(id, settled(now, Outcome::Missed(Missed::Fenced)), effects);
    }

    /// Ends an execution on purpose; whether there is anything to end here.
    pub(super) fn cancel_flight(
        &mut self,
        now: Now,
        id: &ExecutionId,
        why: Cancelled,
        force: bool,
        effects: &mut Vec<Effect>,
    ) -> bool {
        let leads = self.phase != Phase::Standby;
        let Some(flight) = self.flights.get_mut(id) else { return false };
        match flight.stage {
            Stage::Claiming => {}
            // Its claim is under way; then it ends as cancelled.
            Stage::Queued if leads && flight.row.is_none() => {}
            Stage::Queued if leads => {
                self.close(id, settled(now, Outcome::Cancelled(why)), effects);
                return true;
            }
            Stage::Started => {
                let id = AttemptId { execution: id.clone(), number: flight.attempt() };
                effects.push(Effect::Stop { id, force });
            }
            Stage::Waiting if leads => {
                self.end_waiting(now, id, Some(Outcome::Cancelled(why)), effects);
                return true;
            }
            // Whoever leads by now has it.
            Stage::Queued | Stage::Waiting | Stage::Foreign | Stage::Ending(_) => return false,
        }
        flight.cancelled.get_or_insert(why);
        true
    }

    /// A row of ours that was cancelled before it was started: over.
    pub(super) fn cancel_unstarted(
        &mut self,
        now: Now,
        id: &ExecutionId,
        why: Cancelled,
        effects: &mut Vec<Effect>,
    ) {
        self.close(id, settled(now, Outcome::Cancelled(why)), effects);
    }
}

/// The ending of something that did not run, or of which nobody knows more.
pub(super) fn settled(now: Now, outcome: Outcome) -> Box<Ending> {
    Box::new(Ending {
        outcome,
        started_at: None,
        finished_at: now.wall,
        duration: None,
        exit: None,
        result: None,
        exception: None,
        output: Output::default(),
        protection: None,
    })
}

/// The state of a row that ends at once.
pub(super) fn ended_at_once(now: Now, outcome: Outcome) -> State {
    State::Ended(settled(now, outcome))
}
