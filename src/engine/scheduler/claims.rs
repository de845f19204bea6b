//! Claims: drafts, and rows that wait, → one batch at a time → starts.

use std::sync::Arc;

use crate::engine::event::{CLAIM_DEADLINE, ClaimAnswer, ClaimBatch, Effect, Take};
use crate::engine::execution::{Cause, Claim, ExecutionId, Row};
use crate::engine::request::ReplyStatus;
use crate::engine::schedule;
use crate::engine::scheduler::drafts::{Draft, Verdict};
use crate::engine::scheduler::flights::Stage;
use crate::engine::scheduler::{Phase, Scheduler};
use crate::time::{Now, Timestamp};

/// How many rows a batch holds before no further job is added to it.
pub(super) const BATCH_ROWS: usize = 1_000;

/// The batch whose answer is awaited.
#[derive(Debug)]
pub(super) struct PendingBatch {
    pub(super) number: u64,
    pub(super) nonce: Arc<str>,
    /// When it was formed.
    pub(super) at: Timestamp,
    pub(super) drafts: Vec<Draft>,
    pub(super) takes: Vec<Take>,
}

impl Scheduler {
    /// Turns what is due into a claim, when one may be sent.
    pub(super) fn pump(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if !self.may_claim(now) {
            return;
        }
        let mut waits = self.leave_queue(now, effects);
        while self.ready.len() < BATCH_ROWS
            && let Some(name) = self.queue.pop_due(now.wall)
        {
            self.draft_due(now, &name);
        }
        waits.extend(self.waits_that_are_over(now, effects));
        if !self.ready.is_empty() || !waits.is_empty() {
            let batch = self.form_batch(now, &waits);
            effects.push(Effect::Claim(batch));
        }
    }

    /// Makes the batch of all that is ready, and of rows whose wait is over.
    fn form_batch(&mut self, now: Now, waits: &[ExecutionId]) -> ClaimBatch {
        self.batches += 1;
        let nonce: Arc<str> = format!("{}-{}", self.identity, self.batches).into();
        let drafts = std::mem::take(&mut self.ready);
        let claim = Claim {
            node: Arc::clone(&self.node),
            epoch: self.lease.epoch,
            nonce: Arc::clone(&nonce),
        };
        let rows = drafts.iter().map(|draft| draft.row(now, &claim)).collect();
        for draft in &drafts {
            if let Some(flight) = self.flights.get_mut(&draft.id) {
                flight.epoch = self.lease.epoch;
            }
        }
        let takes: Vec<Take> = waits.iter().filter_map(|id| self.take(id, &claim)).collect();
        let number = self.batches;
        let (at, pending) = (now.wall, takes.clone());
        self.batch = Some(PendingBatch { number, nonce, at, drafts, takes: pending });
        let watermark = self.accounted_until(now.wall);
        let deadline = now.boot.plus(CLAIM_DEADLINE);
        ClaimBatch { number, rows, takes, watermark, deadline }
    }

    /// Up to when every occurrence has a row once the batch is written: now, unless a due job waits
    /// for its start or for the next batch, or a plan holds jobs back. Never goes backward with the clock.
    fn accounted_until(&mut self, now: Timestamp) -> Timestamp {
        let mut until = now;
        if let Some(first) = self.queue.first_fire() {
            until = until.min(schedule::just_before(first));
        }
        if let Some(plan) = &self.plan {
            until = until.min(plan.accounted_until());
        }
        if let Some(watermark) = self.watermark {
            until = until.max(watermark);
        }
        self.watermark = Some(until);
        until
    }

    /// Takes in the answers to the batch under way.
    pub(super) fn claimed(
        &mut self,
        now: Now,
        number: u64,
        answers: Vec<ClaimAnswer>,
        effects: &mut Vec<Effect>,
    ) {
        if self.batch.as_ref().is_none_or(|batch| batch.number != number) {
            return;
        }
        let Some(batch) = self.batch.take() else { return };
        let claim =
            Claim { node: Arc::clone(&self.node), epoch: 0, nonce: Arc::clone(&batch.nonce) };
        let mut undecided = Vec::new();
        let mut surprised = false;
        let mut answers = answers.into_iter();
        for (draft, answer) in batch.drafts.into_iter().zip(&mut answers) {
            let Some(ours) = is_ours(&answer, &batch.nonce) else {
                undecided.push(draft);
                continue;
            };
            self.settled_one(&draft);
            if ours {
                self.claim_won(now, draft, &claim, batch.at, effects);
            } else {
                // A request may come twice; an occurrence is due once.
                surprised |= draft.cause != Cause::Request;
                self.claim_lost(&draft, effects);
            }
        }
        for (take, answer) in batch.takes.iter().zip(answers) {
            if is_ours(&answer, &batch.nonce) == Some(true) {
                self.take_won(now, &take.row, effects);
            } else {
                // Another daemon's claim, or the row waits no more: recovery says.
                surprised = true;
            }
        }
        if surprised || !undecided.is_empty() {
            let PendingBatch { nonce, at, .. } = batch;
            let open = PendingBatch { number, nonce, at, drafts: undecided, takes: Vec::new() };
            self.look_again(open, effects);
        } else {
            self.save_plan_when_settled(now, effects);
        }
    }

    /// The store holds a row that we did not know: a claim of a daemon that is gone, written only after
    /// we had read the store, or a newer leader's. What the batch still leaves open is decided after
    /// another look.
    fn look_again(&mut self, open: PendingBatch, effects: &mut Vec<Effect>) {
        match self.phase {
            Phase::Active | Phase::AwaitingPlan | Phase::Recovering => {
                self.batch = Some(open);
                self.recover(effects);
            }
            // The next leader, or the next recovery, reads the store first.
            Phase::Standby => self.batch = Some(open),
            Phase::Stopping => {
                open.drafts.iter().for_each(|draft| drop(self.flights.remove(&draft.id)));
            }
        }
    }

    /// The row is ours: start it, unless it came too late or was cancelled meanwhile (C12).
    pub(super) fn claim_won(
        &mut self,
        now: Now,
        draft: Draft,
        claim: &Claim,
        claimed_at: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        if let Some(to) = draft.request.clone() {
            let execution = Some(draft.id.clone());
            let note = match draft.verdict {
                Verdict::Wait => Some(self.waits_note(&draft.uid)),
                Verdict::Start { .. } | Verdict::End(_) => self.paused_note(now, &draft.uid),
            };
            effects.push(Effect::Reply { to, status: ReplyStatus::Accepted { note }, execution });
        }
        match draft.verdict {
            Verdict::End(outcome) => {
                if let Some(to) = draft.request {
                    let note = draft.note.map(|id| format!("`{id}` is in the way"));
                    let status = ReplyStatus::Finished { outcome: Some(outcome), note };
                    effects.push(Effect::Reply { to, status, execution: Some(draft.id) });
                }
            }
            Verdict::Wait => {
                let epoch = self.flights.get(&draft.id).map_or(0, |flight| flight.epoch);
                let claim = Claim { epoch, ..claim.clone() };
                let row = Row { claimed_at, ..draft.row(now, &claim) };
                self.queue_won(now, row, effects);
            }
            Verdict::Start { .. } => {
                let Some(flight) = self.flights.get_mut(&draft.id) else { return };
                if let Some(why) = flight.cancelled {
                    self.cancel_unstarted(now, &draft.id, why, effects);
                } else if self.lease.until <= now.boot {
                    self.fence(now, &draft.id, effects);
                } else {
                    flight.stage = Stage::Started;
                    let claim = Claim { epoch: flight.epoch, ..claim.clone() };
                    let row = Row { claimed_at, ..draft.row(now, &claim) };
                    flight.row = row.rules.is_some().then(|| Box::new(row.clone()));
                    effects.push(Effect::Start(Box::new(draft.start(now, row))));
                }
            }
        }
    }

    /// Somebody else's row has this id: it is covered, and nothing of ours starts.
    fn claim_lost(&mut self, draft: &Draft, effects: &mut Vec<Effect>) {
        self.flights.remove(&draft.id);
        if let Some(to) = draft.request.clone() {
            let execution = Some(draft.id.clone());
            effects.push(Effect::Reply { to, status: ReplyStatus::Duplicate, execution });
        }
    }
}

/// Whether a row is ours by the answer; none: nothing was written, and nothing is in its place.
fn is_ours(answer: &ClaimAnswer, nonce: &Arc<str>) -> Option<bool> {
    match answer {
        ClaimAnswer::Claimed => Some(true),
        ClaimAnswer::AlreadyClaimed { claim } => Some(claim.nonce == *nonce),
        ClaimAnswer::SlotTaken => None,
    }
}
