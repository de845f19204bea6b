//! Recovery: going on from what the store holds, at a start, a fail-over or after an outage.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::admission::{Gap, GapKind};
use crate::engine::event::{Effect, Note, Recovery, Resume};
use crate::engine::execution::{
    AttemptId, ExecutionId, JobUid, Outcome, Range, Row, Skipped, State,
};
use crate::engine::queue::FireQueue;
use crate::engine::request::{ReplyStatus, RequestId};
use crate::engine::scheduler::claims::PendingBatch;
use crate::engine::scheduler::drafts::{Draft, Verdict};
use crate::engine::scheduler::flights::{Flight, Stage};
use crate::engine::scheduler::requests::RunNow;
use crate::engine::scheduler::{Job, Phase, Scheduler};
use crate::time::{Now, Timestamp};

impl Scheduler {
    pub(super) fn recovered(&mut self, now: Now, recovery: &Recovery, effects: &mut Vec<Effect>) {
        // An answer to an earlier question may have been read before a claim that came between them.
        if self.phase != Phase::Recovering || recovery.number != self.recoveries {
            return;
        }
        self.note_gap(now, recovery.watermark, effects);
        self.generation = recovery.generation;
        self.revision = recovery.revision.clone();
        self.pin.clone_from(&recovery.pin);
        self.removed = recovery.removed.clone();
        self.watermark = recovery.watermark;
        self.overrides.read(&recovery.overrides);
        self.take_jobs(recovery);
        let batch = self.batch.take();
        self.flights.drop_foreign();
        self.drop_ended_waits(&recovery.in_flight, effects);
        for row in &recovery.in_flight {
            self.take_flight(now, row, &recovery.supervised, batch.as_ref(), effects);
        }
        self.flights_read(&recovery.in_flight, effects);
        // Their removal may have been stored by a daemon that died before it could cancel them.
        for gone in recovery.removed.values() {
            self.end_removed(now, gone, effects);
        }
        self.take_batch(now, batch, recovery, effects);
        self.drop_occurrences();
        match recovery.resume {
            Resume::AfterPlan if !self.planned => self.phase = Phase::AwaitingPlan,
            Resume::AfterPlan | Resume::AtOnce => {
                self.phase = Phase::Active;
                self.planned = true;
                self.queue_all();
            }
        }
    }

    /// Forgets the drafts of occurrences, which are due again from the watermark on; requests stay.
    fn drop_occurrences(&mut self) {
        let (requests, occurrences): (Vec<Draft>, Vec<Draft>) =
            std::mem::take(&mut self.ready).into_iter().partition(|d| d.request.is_some());
        self.ready = requests;
        for draft in occurrences {
            self.flights.remove(&draft.id);
        }
    }

    /// Notes why nothing was started between the watermark and now. Another look at the store by who
    /// led all the time notes nothing.
    fn note_gap(&mut self, now: Now, watermark: Option<Timestamp>, effects: &mut Vec<Effect>) {
        let taking_over = std::mem::take(&mut self.taking_over);
        let kind = if let Some(from) = self.store_lost_at.take() {
            effects.push(Effect::Note(Note::Outage { from, to: now.wall }));
            GapKind::Outage
        } else if taking_over {
            if let Some(from) = watermark {
                effects.push(Effect::Note(Note::Downtime { from, to: now.wall }));
            }
            GapKind::Downtime
        } else {
            return;
        };
        self.gap = Some(Gap { kind, until: now.wall });
    }

    fn take_jobs(&mut self, recovery: &Recovery) {
        self.queue = FireQueue::default();
        self.jobs = recovery
            .jobs
            .iter()
            .map(|(name, applied)| {
                let covered_until = self.overrides.covered_until(&applied.uid, recovery.watermark);
                let cursor = covered_until
                    .map_or(applied.effective_at, |until| until.max(applied.effective_at));
                let job = Job { applied: applied.clone(), cursor, covered: Vec::new() };
                (name.clone(), job)
            })
            .collect();
        let mut covered: BTreeMap<&JobUid, Vec<Range>> = BTreeMap::new();
        for (uid, range) in &recovery.covered {
            covered.entry(uid).or_default().push(*range);
        }
        for job in self.jobs.values_mut() {
            job.covered = covered.remove(&job.applied.uid).unwrap_or_default();
        }
        self.read_progress();
    }

    /// Forgets executions that waited, and that somebody else has ended.
    fn drop_ended_waits(&mut self, in_flight: &[Row], effects: &mut Vec<Effect>) {
        let open: BTreeSet<&ExecutionId> = in_flight.iter().map(|row| &row.id).collect();
        for id in self.flights.waiting().into_iter().filter(|id| !open.contains(id)) {
            let waiter = self.flights.remove(&id).and_then(|flight| flight.waiter);
            if let Some(to) = waiter {
                let note = Some("another daemon has ended it".to_owned());
                let status = ReplyStatus::Finished { outcome: None, note };
                effects.push(Effect::Reply { to, status, execution: Some(id) });
            }
        }
    }

    /// Takes over one row that has not ended.
    fn take_flight(
        &mut self,
        now: Now,
        row: &Row,
        supervised: &[AttemptId],
        batch: Option<&PendingBatch>,
        effects: &mut Vec<Effect>,
    ) {
        let ours_unanswered = batch.filter(|batch| batch.nonce == row.claim.nonce);
        let known = |flight: &Flight| match flight.stage {
            Stage::Started | Stage::Foreign => true,
            Stage::Ending(_) => row.claim.epoch == flight.epoch,
            // What was read may be older than the record of the wait, which is on its way.
            Stage::Waiting => row.claim.epoch == flight.epoch && row.attempt() < flight.attempt(),
            Stage::Queued | Stage::Claiming => false,
        };
        if self.flights.get(&row.id).is_some_and(known) {
            return;
        }
        if let Some(batch) = ours_unanswered {
            // A draft is settled with the others of its batch.
            if batch.takes.iter().any(|take| take.row.id == row.id) {
                self.take_won(now, row, effects);
            }
            return;
        }
        match row.state {
            State::Queued => return self.take_queued(now, row, effects),
            State::RetryWait { .. } => return self.take_wait(now, row, effects),
            State::Claimed | State::Running { .. } | State::Ended(_) => {}
        }
        if row.claim.node != self.node {
            self.flights.insert(row.id.clone(), Flight::of_row(row, Stage::Foreign));
            return;
        }
        self.flights.insert(row.id.clone(), Flight::of_row(row, Stage::Started));
        let attempt = AttemptId { execution: row.id.clone(), number: row.attempt() };
        if !supervised.contains(&attempt) {
            effects.push(Effect::Note(Note::OwnerLost {
                id: row.id.clone(),
                job: row.job.clone(),
                outcome: Outcome::Lost,
            }));
            self.lose(now, &row.id, effects);
        }
    }

    /// Settles the batch whose answer was lost: what the store holds of it is ours, the rest is due again.
    fn take_batch(
        &mut self,
        now: Now,
        batch: Option<PendingBatch>,
        recovery: &Recovery,
        effects: &mut Vec<Effect>,
    ) {
        let Some(batch) = batch else { return };
        for draft in batch.drafts {
            let found = recovery
                .in_flight
                .iter()
                .find(|row| row.id == draft.id && row.claim.nonce == batch.nonce);
            if let Some(row) = found {
                self.settle_found(now, row, draft, effects);
            } else {
                let waiter = self.flights.remove(&draft.id).and_then(|flight| flight.waiter);
                if draft.request.is_some() {
                    self.ask_again(now, draft, waiter);
                }
            }
        }
    }

    /// A claim that was written although its answer was lost. What is queued waits on, for whoever leads.
    /// Under the same epoch nobody else can have settled it, so it starts; a claim of an older epoch is
    /// over (C12).
    fn settle_found(&mut self, now: Now, row: &Row, draft: Draft, effects: &mut Vec<Effect>) {
        if row.claim.epoch == self.lease.epoch || draft.verdict == Verdict::Wait {
            self.claim_won(now, draft, &row.claim, row.claimed_at, effects);
        } else {
            self.fence(now, &row.id, effects);
        }
    }

    /// A request whose claim was not written: its id is its row's, so that it can simply be sent again. Its job
    /// may have another name by now, or another job its name, so it is looked for by uid; if it is gone,
    /// nothing starts and the caller is told.
    fn ask_again(&mut self, now: Now, mut draft: Draft, waiter: Option<RequestId>) {
        let Some(job) = self.jobs.values().find(|job| job.applied.uid == draft.uid) else {
            draft.verdict = Verdict::End(Outcome::Skipped(Skipped::Removed));
            draft.note = None;
            self.ready.push(draft);
            return;
        };
        let applied = job.applied.clone();
        let Draft { id: execution, request, note: actor, params: given, .. } = draft;
        self.draft_run(now, &applied, RunNow { execution, request, actor, given, waiter });
    }
}
