//! The queue: executions that wait for a place of their job, or on the node (B3, B5).
//!
//! Each is a row of its own, in the state `queued`, that holds no place. It begins by the definition that its
//! job has by then: a claim replaces the row, and takes the place in the same write, so that the limit is
//! exact across daemons. Nothing is decided at the moment at which something ends, but each time anew from
//! what there is, so that a recovery goes on as if nothing had been.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::admission::Limits;
use crate::engine::event::Effect;
use crate::engine::execution::{
    AttemptRules, Cancelled, Cause, Claim, ExecutionId, JobUid, Outcome, Row, State,
};
use crate::engine::plan::AppliedJob;
use crate::engine::scheduler::claims::BATCH_ROWS;
use crate::engine::scheduler::flights::{Flight, Stage, settled};
use crate::engine::scheduler::{Job, Scheduler};
use crate::engine::waiting::{Fate, Waiting, fate};
use crate::spec::policy::Overlap;
use crate::time::{Now, Timestamp};

/// Where an execution stands in the queue: by fire time, then by id.
type Place = (Timestamp, ExecutionId);

/// Which executions wait, oldest first.
#[derive(Debug, Default)]
pub(super) struct Queued {
    all: BTreeSet<Place>,
    by_job: BTreeMap<JobUid, BTreeSet<Place>>,
}

impl Queued {
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &ExecutionId> {
        self.all.iter().map(|(_, id)| id)
    }

    /// Those of one job.
    pub(super) fn of(&self, uid: &JobUid) -> impl DoubleEndedIterator<Item = &ExecutionId> {
        self.by_job.get(uid).into_iter().flatten().map(|(_, id)| id)
    }

    pub(super) fn insert(&mut self, id: &ExecutionId, flight: &Flight) {
        let place = (flight.fire_time, id.clone());
        self.by_job.entry(flight.uid.clone()).or_default().insert(place.clone());
        self.all.insert(place);
    }

    pub(super) fn remove(&mut self, id: &ExecutionId, flight: &Flight) {
        let place = (flight.fire_time, id.clone());
        if self.all.remove(&place)
            && let Some(places) = self.by_job.get_mut(&flight.uid)
        {
            places.remove(&place);
            if places.is_empty() {
                self.by_job.remove(&flight.uid);
            }
        }
    }
}

impl Scheduler {
    /// Ends what is not to wait any more, and answers what has a place now, oldest first, as many as fit a
    /// batch. Each of these holds its place from here on.
    pub(super) fn leave_queue(&mut self, now: Now, effects: &mut Vec<Effect>) -> Vec<ExecutionId> {
        self.queue_wakeup = None;
        let mut leaving = Vec::new();
        if self.flights.queued().len() == 0 {
            return leaving;
        }
        let ids: Vec<ExecutionId> = self.flights.queued().iter().cloned().collect();
        for id in ids {
            if leaving.len() == BATCH_ROWS {
                break;
            }
            let mut fate = self.fate_of(now, &id);
            if let Some(Fate::Stay { replaces: true, .. }) = fate {
                self.replace_oldest(now, &id, effects);
                // One that waited for its next attempt has made room at once.
                fate = self.fate_of(now, &id);
            }
            match fate {
                Some(Fate::Start) => {
                    self.take_place(&id);
                    leaving.push(id);
                }
                Some(Fate::End(outcome)) => self.close(&id, settled(now, outcome), effects),
                Some(Fate::Stay { until, .. }) => {
                    self.queue_wakeup = self.queue_wakeup.into_iter().chain(until).min();
                }
                None => {}
            }
        }
        leaving
    }

    /// What becomes of an execution that waits; none: its row is not written yet.
    fn fate_of(&self, now: Now, id: &ExecutionId) -> Option<Fate> {
        let row = self.flights.get(id)?.row.as_deref()?;
        let is_written =
            |id: &&ExecutionId| self.flights.get(id).is_some_and(|flight| flight.row.is_some());
        let newest = self.flights.queued().of(&row.uid).rev().find(is_written);
        let waiting = Waiting {
            cause: row.cause,
            start_time: row.start_time,
            since: row.claimed_at,
            is_followed: newest.is_some_and(|newest| newest != id),
            is_paused: self.is_paused(now, &row.uid),
            in_flight: self.flights.count(&row.uid),
            room: self.free_on_node(),
        };
        let spec = self.job_of(row).map(|job| &*job.applied.spec);
        Some(fate(now.wall, spec, &waiting))
    }

    fn is_paused(&self, now: Now, uid: &JobUid) -> bool {
        self.overrides.of(uid).is_some_and(|said| said.pause_at(now.wall).is_some())
    }

    /// How many more executions `max_running` lets start here; none: any number.
    fn free_on_node(&self) -> Option<usize> {
        self.max_running.map(|max| max.saturating_sub(self.flights.here()))
    }

    /// The same, after those that wait for that alone.
    pub(super) fn room_behind_queue(&self, now: Now) -> Option<usize> {
        let free = self.free_on_node()?;
        if free == 0 || self.flights.queued().len() == 0 {
            return Some(free);
        }
        let mut waiting: BTreeMap<&JobUid, (&Flight, usize)> = BTreeMap::new();
        let flights = self.flights.queued().iter().filter_map(|id| self.flights.get(id));
        for flight in flights.filter(|flight| !self.is_held(now, flight)) {
            waiting.entry(&flight.uid).or_insert((flight, 0)).1 += 1;
        }
        let wanted = waiting.into_iter().map(|(uid, (flight, count))| {
            let job = self.job_named(&flight.job, uid);
            let places = |job: &Job| Limits::of(&job.applied.spec).free(self.flights.count(uid));
            count.min(job.map_or(0, places))
        });
        Some(free.saturating_sub(wanted.sum()))
    }

    /// Whether a pause keeps an execution in the queue.
    fn is_held(&self, now: Now, flight: &Flight) -> bool {
        flight.cause != Cause::Request && self.is_paused(now, &flight.uid)
    }

    /// How many executions of a job wait, and how many of them would start before another.
    pub(super) fn queued_of(&self, now: Now, uid: &JobUid) -> (usize, usize) {
        let (mut queued, mut ahead) = (0, 0);
        for flight in self.flights.queued().of(uid).filter_map(|id| self.flights.get(id)) {
            queued += 1;
            ahead += usize::from(!self.is_held(now, flight));
        }
        (queued, ahead)
    }

    /// Cancels the oldest execution in flight of the job of one that waits, unless one of them is ending
    /// already.
    fn replace_oldest(&mut self, now: Now, id: &ExecutionId, effects: &mut Vec<Effect>) {
        let Some(uid) = self.flights.get(id).map(|flight| flight.uid.clone()) else { return };
        let ids = self.flights.of_uid(&uid);
        let flights = || ids.iter().filter_map(|id| Some((id, self.flights.get(id)?)));
        if flights().any(|(_, flight)| flight.cancelled.is_some()) {
            return;
        }
        let oldest = flights().min_by_key(|(id, flight)| (flight.fire_time, (*id).clone()));
        if let Some(oldest) = oldest.map(|(id, _)| id.clone()) {
            self.cancel_flight(now, &oldest, Cancelled::Replaced, false, effects);
        }
    }

    /// An execution leaves the queue for a place of its job.
    fn take_place(&mut self, id: &ExecutionId) {
        let Some(mut flight) = self.flights.remove(id) else { return };
        let policy = self.job_named(&flight.job, &flight.uid).map(|job| job.applied.spec.overlap);
        flight.slot = match policy {
            Some(Overlap::Allow) | None => None,
            Some(Overlap::Skip | Overlap::Queue | Overlap::Replace) => {
                Some(self.flights.free_slot(&flight.uid))
            }
        };
        flight.stage = Stage::Claiming;
        self.flights.insert(id.clone(), flight);
    }

    /// A row that was queued, as it is claimed: by the definition that its job has now.
    pub(super) fn begun(
        &self,
        job: &AppliedJob,
        queued: &Row,
        slot: Option<u32>,
        claim: &Claim,
    ) -> Row {
        Row {
            job: job.spec.name.clone(),
            provenance: job.provenance(&self.revision),
            rules: AttemptRules::of(&job.spec),
            claim: claim.clone(),
            slot,
            state: State::Claimed,
            ..queued.clone()
        }
    }

    /// Takes over an execution that waits for a place, as the store has it.
    pub(super) fn take_queued(&mut self, now: Now, row: &Row, effects: &mut Vec<Effect>) {
        let mut flight = Flight::of_row(row, Stage::Queued);
        flight.row = Some(Box::new(row.clone()));
        if let Some(before) = self.flights.remove(&row.id) {
            (flight.waiter, flight.cancelled) = (before.waiter, before.cancelled);
        }
        let cancelled = flight.cancelled;
        self.flights.insert(row.id.clone(), flight);
        if let Some(why) = cancelled {
            self.close(&row.id, settled(now, Outcome::Cancelled(why)), effects);
        }
    }

    /// The row of an execution that waits for a place is written; it may have been cancelled meanwhile.
    pub(super) fn queue_won(&mut self, now: Now, row: Row, effects: &mut Vec<Effect>) {
        let Some(flight) = self.flights.get_mut(&row.id) else { return };
        let id = row.id.clone();
        flight.row = Some(Box::new(row));
        if let Some(why) = flight.cancelled {
            self.close(&id, settled(now, Outcome::Cancelled(why)), effects);
        }
    }

    /// What a run-now is told that waits.
    pub(super) fn waits_note(&self, uid: &JobUid) -> String {
        match self.flights.first_of(uid) {
            Some(id) => format!("it waits: `{id}` is in flight"),
            None => "it waits until there is room on the node".to_owned(),
        }
    }
}
