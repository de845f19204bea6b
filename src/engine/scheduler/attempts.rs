//! Attempts: what becomes of an execution when one ends, and the waits between two (C3).
//!
//! An attempt that is followed by another is written as such before the supervisor forgets it. The next is
//! claimed anew when its time has come: the claim replaces the row that waits, so that it starts once at
//! most, whoever leads by then. Every daemon records the endings of its own tasks; only the leader starts.

use std::collections::BTreeMap;

use crate::engine::event::{Effect, RetryWait, Start, Take};
use crate::engine::execution::{
    Attempt, AttemptId, Cause, Claim, Ending, ExecutionId, JobUid, Outcome, Row, State, TimedOut,
};
use crate::engine::retry;
use crate::engine::schedule;
use crate::engine::scheduler::claims::BATCH_ROWS;
use crate::engine::scheduler::flights::{Flight, Stage, settled};
use crate::engine::scheduler::{Job, Phase, Scheduler};
use crate::spec::job::JobName;
use crate::time::{Now, Timestamp};

/// Endings of which the scheduler does not know what they belong to, until it has read the rows.
#[derive(Debug, Default)]
pub(super) struct Unsettled {
    endings: BTreeMap<AttemptId, Box<Ending>>,
    /// The rows are being read.
    reading: bool,
}

impl Scheduler {
    /// An attempt has ended: another follows, or the execution has.
    pub(super) fn ended(
        &mut self,
        id: &AttemptId,
        mut ending: Box<Ending>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(flight) = self.flights.get_mut(&id.execution) else {
            return self.ended_unknown(id, ending, effects);
        };
        if id.number != flight.attempt() {
            // Said again: the row has it already, or is about to.
            effects.push(Effect::RecordEnded { id: id.clone(), epoch: None, ending });
            return;
        }
        if matches!(flight.stage, Stage::Ending(_) | Stage::Waiting | Stage::Queued) {
            return;
        }
        if let (Outcome::Cancelled(_), Some(why)) = (ending.outcome, flight.cancelled) {
            ending.outcome = Outcome::Cancelled(why);
        }
        match self.next_attempt_at(&id.execution, &mut ending) {
            Some(until) => self.wait(&id.execution, until, ending, effects),
            None => self.close(&id.execution, ending, effects),
        }
    }

    /// Nobody knows whether the attempt under way goes on, or ever began (C4).
    pub(super) fn lose(&mut self, now: Now, id: &ExecutionId, effects: &mut Vec<Effect>) {
        let Some(flight) = self.flights.get(id) else { return };
        let attempt = AttemptId { execution: id.clone(), number: flight.attempt() };
        self.ended(&attempt, settled(now, Outcome::Lost), effects);
    }

    /// When another attempt follows; the ending says from then on which limit it was that ended the attempt.
    fn next_attempt_at(&self, id: &ExecutionId, ending: &mut Ending) -> Option<Timestamp> {
        let flight = self.flights.get(id)?;
        let row = flight.row.as_deref()?;
        let rules = row.rules.as_deref()?;
        ending.outcome = retry::judged(rules, row.claimed_at, ending);
        let next = retry::next_attempt_at(rules, id, &row.attempts, row.claimed_at, ending)?;
        // Who does not lead leaves it to the leader whether the job is still there.
        let is_removed = match self.phase {
            Phase::AwaitingPlan | Phase::Active => self.job_of(row).is_none(),
            Phase::Standby | Phase::Recovering | Phase::Stopping => false,
        };
        (flight.cancelled.is_none() && !is_removed).then_some(next)
    }

    /// The applied job of a row, whatever its name was then.
    pub(super) fn job_of(&self, row: &Row) -> Option<&Job> {
        self.job_named(&row.job, &row.uid)
    }

    /// The applied job with this uid, which may have had the name.
    pub(super) fn job_named(&self, name: &JobName, uid: &JobUid) -> Option<&Job> {
        let is_its = |job: &&Job| job.applied.uid == *uid;
        self.jobs.get(name).filter(is_its).or_else(|| self.jobs.values().find(is_its))
    }

    /// The execution waits for its next attempt.
    fn wait(
        &mut self,
        id: &ExecutionId,
        until: Timestamp,
        last: Box<Ending>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(mut flight) = self.flights.remove(id) else { return };
        if let Some(row) = &mut flight.row {
            row.attempts.push(Attempt::of(&last));
            row.state = State::RetryWait { until, last: last.clone() };
            effects.push(Effect::RecordWait(Box::new(RetryWait {
                id: id.clone(),
                epoch: flight.epoch,
                attempts: row.attempts.clone(),
                until,
                last,
            })));
        }
        flight.stage = Stage::Waiting;
        self.flights.insert(id.clone(), flight);
    }

    /// The execution is over: its place is free, and its ending is written.
    pub(super) fn close(
        &mut self,
        id: &ExecutionId,
        ending: Box<Ending>,
        effects: &mut Vec<Effect>,
    ) {
        self.flights.release(id);
        let Some(flight) = self.flights.get_mut(id) else { return };
        flight.stage = Stage::Ending(ending.outcome);
        let id = AttemptId { execution: id.clone(), number: flight.attempt() };
        effects.push(Effect::RecordEnded { id, epoch: Some(flight.epoch), ending });
    }

    /// Ends an execution that waits: with this outcome, or with that of its last attempt. What that left
    /// stays to be seen.
    pub(super) fn end_waiting(
        &mut self,
        now: Now,
        id: &ExecutionId,
        outcome: Option<Outcome>,
        effects: &mut Vec<Effect>,
    ) {
        let row = self.flights.get(id).and_then(|flight| flight.row.as_deref());
        let Some(State::RetryWait { last, .. }) = row.map(|row| &row.state) else { return };
        let mut ending = last.clone();
        if let Some(outcome) = outcome {
            ending.outcome = outcome;
            ending.finished_at = now.wall;
        }
        self.close(id, ending, effects);
    }

    /// The executions whose next attempt is due, as many as fit a batch; those for which no time is left
    /// end.
    pub(super) fn waits_that_are_over(
        &mut self,
        now: Now,
        effects: &mut Vec<Effect>,
    ) -> Vec<ExecutionId> {
        let mut over = Vec::new();
        while over.len() < BATCH_ROWS
            && let Some(id) = self.flights.pop_wait(now.wall)
        {
            let row = self.flights.get(&id).and_then(|flight| flight.row.as_deref());
            let end = row.and_then(|row| retry::total_end(row.rules.as_deref()?, row.claimed_at));
            if end.is_some_and(|end| end <= now.wall) {
                let outcome = Outcome::TimedOut(TimedOut::Total);
                self.end_waiting(now, &id, Some(outcome), effects);
            } else if row.is_some_and(|row| self.job_of(row).is_none()) {
                self.end_waiting(now, &id, None, effects);
            } else {
                over.push(id);
            }
        }
        over
    }

    /// The row of an execution that waits, to be claimed for its next attempt.
    pub(super) fn take(&mut self, id: &ExecutionId, claim: &Claim) -> Option<Take> {
        let flight = self.flights.get(id)?;
        let waiting = flight.row.as_deref()?;
        let from = waiting.claim.clone();
        let row = match waiting.state {
            State::Queued => {
                let job = &self.job_of(waiting)?.applied;
                self.begun(job, waiting, flight.slot, claim)
            }
            State::Claimed | State::Running { .. } | State::RetryWait { .. } | State::Ended(_) => {
                Row { claim: claim.clone(), state: State::Claimed, ..waiting.clone() }
            }
        };
        let flight = self.flights.get_mut(id)?;
        flight.stage = Stage::Claiming;
        flight.epoch = claim.epoch;
        Some(Take { row, from })
    }

    /// The row is ours again: start the attempt, unless the claim came too late or the execution was cancelled
    /// meanwhile (C12).
    pub(super) fn take_won(&mut self, now: Now, row: &Row, effects: &mut Vec<Effect>) {
        let Some(flight) = self.flights.get_mut(&row.id) else { return };
        flight.epoch = row.claim.epoch;
        let (cancelled, is_first) = (flight.cancelled, row.attempts.is_empty());
        let is_late = self.lease.until <= now.boot || row.claim.epoch != self.lease.epoch;
        if let (Some(why), true) = (cancelled, is_first) {
            self.cancel_unstarted(now, &row.id, why, effects);
        } else if is_first && is_late {
            self.fence(now, &row.id, effects);
        } else if let Some(why) = cancelled {
            self.end_waiting(now, &row.id, Some(Outcome::Cancelled(why)), effects);
        } else if is_late {
            // Nothing has started, and it is known how the last attempt ended.
            self.end_waiting(now, &row.id, None, effects);
        } else {
            flight.stage = Stage::Started;
            flight.row = row.rules.is_some().then(|| Box::new(row.clone()));
            effects.push(Effect::Start(Box::new(self.attempt_of(now, row))));
        }
    }

    /// The next attempt of a row that was claimed again.
    fn attempt_of(&self, now: Now, row: &Row) -> Start {
        let left = |rules| retry::time_left(rules, row.claimed_at, now.wall);
        let job = self.job_of(row).filter(|_| row.cause != Cause::Request);
        Start {
            row: row.clone(),
            time_left: row.rules.as_deref().and_then(left),
            previous_fire_time: job
                .and_then(|job| schedule::previous_before(&job.applied, row.fire_time)),
        }
    }

    /// Takes over an execution that waits, as the store has it.
    pub(super) fn take_wait(&mut self, now: Now, row: &Row, effects: &mut Vec<Effect>) {
        let mut flight = Flight::of_row(row, Stage::Waiting);
        if let Some(before) = self.flights.remove(&row.id) {
            (flight.waiter, flight.cancelled) = (before.waiter, before.cancelled);
        }
        let cancelled = flight.cancelled;
        self.flights.insert(row.id.clone(), flight);
        if let Some(why) = cancelled {
            self.end_waiting(now, &row.id, Some(Outcome::Cancelled(why)), effects);
        }
    }

    /// Executions that another node ran wait for their next attempt, which is for this one to start.
    pub(super) fn foreign_waits(&mut self, now: Now, rows: &[Row], effects: &mut Vec<Effect>) {
        for row in rows {
            let is_foreign =
                self.flights.get(&row.id).is_some_and(|flight| flight.stage == Stage::Foreign);
            if is_foreign {
                self.take_wait(now, row, effects);
                if self.job_of(row).is_none() {
                    self.end_waiting(now, &row.id, None, effects);
                }
            }
        }
    }

    /// An ending of which the scheduler knows nothing is recorded too: the row is this node's from an earlier
    /// life, or somebody settled it meanwhile and the ending becomes its `late_outcome`. If another attempt may
    /// follow, the row must be read before.
    fn ended_unknown(&mut self, id: &AttemptId, ending: Box<Ending>, effects: &mut Vec<Effect>) {
        match self.phase {
            Phase::Standby | Phase::Recovering if retry::may_follow(ending.outcome) => {
                self.unsettled.endings.insert(id.clone(), ending);
                // Who recovers is told all rows anyway.
                if self.phase == Phase::Standby && !self.unsettled.reading {
                    self.unsettled.reading = true;
                    effects.push(Effect::ReadFlights);
                }
            }
            // It is said again to the next daemon.
            Phase::Stopping if retry::may_follow(ending.outcome) => {}
            Phase::Standby
            | Phase::Recovering
            | Phase::AwaitingPlan
            | Phase::Active
            | Phase::Stopping => {
                effects.push(Effect::RecordEnded { id: id.clone(), epoch: None, ending });
            }
        }
    }

    /// Settles the endings that waited for the rows, which have been read.
    pub(super) fn flights_read(&mut self, rows: &[Row], effects: &mut Vec<Effect>) {
        let unsettled = std::mem::take(&mut self.unsettled);
        let own = rows.iter().filter(|row| row.claim.node == self.node);
        let own: BTreeMap<&ExecutionId, &Row> = own.map(|row| (&row.id, row)).collect();
        for (id, ending) in unsettled.endings {
            if let Some(row) = own.get(&id.execution)
                && row.attempt() == id.number
                && self.flights.get(&id.execution).is_none()
            {
                self.flights.insert(id.execution.clone(), Flight::of_row(row, Stage::Started));
            }
            if self.flights.get(&id.execution).is_some() {
                self.ended(&id, ending, effects);
            } else {
                effects.push(Effect::RecordEnded { id, epoch: None, ending });
            }
        }
    }
}
