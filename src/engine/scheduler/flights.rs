//! Executions in flight: which there are, which slots they hold, who waits for them.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::event::Effect;
use crate::engine::execution::{
    Cancelled, Ending, ExecutionId, JobUid, Missed, Outcome, Output, Row, State,
};
use crate::engine::request::{ReplyStatus, RequestId};
use crate::engine::scheduler::Scheduler;
use crate::spec::job::JobName;
use crate::time::{Now, Timestamp};

/// One execution in flight.
#[derive(Debug, Clone)]
pub(super) struct Flight {
    pub(super) job: JobName,
    pub(super) uid: JobUid,
    /// Its fencing token; zero until its claim is sent.
    pub(super) epoch: u64,
    pub(super) slot: Option<u32>,
    pub(super) stage: Stage,
    /// The request that waits for its end.
    pub(super) waiter: Option<RequestId>,
    /// Why it was cancelled, if it was.
    pub(super) cancelled: Option<Cancelled>,
}

/// How far an execution in flight is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stage {
    /// Its claim is not answered yet.
    Claiming,
    /// It was handed to the executor.
    Started,
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
}

impl Flights {
    pub(super) fn len(&self) -> usize {
        self.by_job.values().map(BTreeSet::len).sum()
    }

    pub(super) fn get(&self, id: &ExecutionId) -> Option<&Flight> {
        self.by_id.get(id)
    }

    pub(super) fn get_mut(&mut self, id: &ExecutionId) -> Option<&mut Flight> {
        self.by_id.get_mut(id)
    }

    pub(super) fn insert(&mut self, id: ExecutionId, flight: Flight) {
        self.by_job.entry(flight.uid.clone()).or_default().insert(id.clone());
        self.by_id.insert(id, flight);
    }

    /// Forgets an execution.
    pub(super) fn remove(&mut self, id: &ExecutionId) -> Option<Flight> {
        self.release(id);
        self.by_id.remove(id)
    }

    /// Frees the place that an execution holds among its job's.
    fn release(&mut self, id: &ExecutionId) {
        let Some(flight) = self.by_id.get(id) else { return };
        if let Some(ids) = self.by_job.get_mut(&flight.uid) {
            ids.remove(id);
            if ids.is_empty() {
                self.by_job.remove(&flight.uid);
            }
        }
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

    /// A job has another name from now on.
    pub(super) fn rename(&mut self, uid: &JobUid, to: &JobName) {
        for id in self.of_uid(uid) {
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
            epoch: row.claim.epoch,
            slot: row.slot,
            stage,
            waiter: None,
            cancelled: None,
        }
    }
}

impl Scheduler {
    pub(super) fn started(&mut self, id: &ExecutionId, at: Timestamp, effects: &mut Vec<Effect>) {
        let Some(flight) = self.flights.get(id) else { return };
        effects.push(Effect::RecordStarted { id: id.clone(), epoch: flight.epoch, at });
        if let Some(waiter) = &flight.waiter {
            effects.push(Effect::Reply {
                to: waiter.clone(),
                status: ReplyStatus::Started,
                execution: Some(id.clone()),
            });
        }
    }

    /// An ending of which the scheduler knows nothing is recorded too: the row is this node's from an
    /// earlier life, or somebody settled it meanwhile and the ending becomes its `late_outcome`.
    pub(super) fn ended(
        &mut self,
        id: &ExecutionId,
        mut ending: Box<Ending>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(flight) = self.flights.get_mut(id) else {
            effects.push(Effect::RecordEnded { id: id.clone(), epoch: None, ending });
            return;
        };
        if matches!(flight.stage, Stage::Ending(_)) {
            return;
        }
        if let (Outcome::Cancelled(_), Some(why)) = (ending.outcome, flight.cancelled) {
            ending.outcome = Outcome::Cancelled(why);
        }
        flight.stage = Stage::Ending(ending.outcome);
        let epoch = Some(flight.epoch);
        self.flights.release(id);
        effects.push(Effect::RecordEnded { id: id.clone(), epoch, ending });
    }

    pub(super) fn recorded(&mut self, id: &ExecutionId, effects: &mut Vec<Effect>) {
        effects.push(Effect::Forget { id: id.clone() });
        let Some(flight) = self.flights.remove(id) else { return };
        if let (Some(waiter), Stage::Ending(outcome)) = (flight.waiter, flight.stage) {
            effects.push(Effect::Reply {
                to: waiter,
                status: ReplyStatus::Finished { outcome: Some(outcome), note: None },
                execution: Some(id.clone()),
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
        for id in ownerless {
            if self.flights.get(id).is_some_and(|flight| flight.stage == Stage::Foreign) {
                self.ended(id, settled(now, Outcome::Lost), effects);
            }
        }
    }

    /// A row of ours that was claimed and never started: over.
    pub(super) fn fence(&mut self, now: Now, id: &ExecutionId, effects: &mut Vec<Effect>) {
        self.ended(id, settled(now, Outcome::Missed(Missed::Fenced)), effects);
    }

    /// Ends an execution on purpose; whether there is anything to end here.
    pub(super) fn cancel_flight(
        &mut self,
        id: &ExecutionId,
        why: Cancelled,
        force: bool,
        effects: &mut Vec<Effect>,
    ) -> bool {
        let Some(flight) = self.flights.get_mut(id) else { return false };
        match flight.stage {
            Stage::Claiming => {}
            Stage::Started => effects.push(Effect::Stop { id: id.clone(), force }),
            Stage::Foreign | Stage::Ending(_) => return false,
        }
        flight.cancelled.get_or_insert(why);
        true
    }

    /// A row of ours that was cancelled before it was started: over.
    pub(super) fn cancel_unstarted(
        &mut self,
        now: Now,
        id: &ExecutionId,
        effects: &mut Vec<Effect>,
    ) {
        self.ended(id, settled(now, Outcome::Cancelled(Cancelled::Requested)), effects);
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
    })
}

/// The state of a row that ends at once.
pub(super) fn ended_at_once(now: Now, outcome: Outcome) -> State {
    State::Ended(settled(now, outcome))
}
