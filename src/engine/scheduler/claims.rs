//! Claims: due occurrences → drafts → one batch at a time → starts.

use std::sync::Arc;

use crate::engine::admission::{self, Due, Misfired, Surplus, single};
use crate::engine::event::{CLAIM_DEADLINE, ClaimAnswer, ClaimBatch, Effect, Start};
use crate::engine::execution::{
    Cause, Claim, ExecutionId, JobUid, Outcome, Provenance, Range, Row, Skipped, State,
};
use crate::engine::overrides::Holds;
use crate::engine::plan::AppliedJob;
use crate::engine::request::{ReplyStatus, RequestId};
use crate::engine::schedule::{self, Occurrence};
use crate::engine::scheduler::flights::{Flight, Stage, ended_at_once};
use crate::engine::scheduler::{Job, Phase, Scheduler};
use crate::spec::job::{JobName, JobSpec};
use crate::spec::trigger::TriggerKind;
use crate::time::{Now, Timestamp};

/// How many rows a batch holds before no further job is added to it.
const BATCH_ROWS: usize = 1_000;

/// A row that is decided and not claimed yet.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    pub(super) id: ExecutionId,
    pub(super) job: JobName,
    pub(super) uid: JobUid,
    pub(super) spec: Arc<JobSpec>,
    pub(super) provenance: Provenance,
    pub(super) cause: Cause,
    pub(super) trigger: Option<TriggerKind>,
    /// First and last are equal unless it is a range row.
    pub(super) range: Range,
    pub(super) start_time: Timestamp,
    pub(super) verdict: Verdict,
    pub(super) previous_fire_time: Option<Timestamp>,
    pub(super) note: Option<String>,
    /// The request that asked for it.
    pub(super) request: Option<RequestId>,
    /// A plan is saved only when this row is durable.
    pub(super) settles_plan: bool,
}

/// What a draft becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It starts, in this slot when the limit applies.
    Start { slot: Option<u32> },
    /// It is written ended.
    End(Outcome),
}

/// The batch whose answer is awaited.
#[derive(Debug)]
pub(super) struct PendingBatch {
    pub(super) number: u64,
    pub(super) nonce: Arc<str>,
    pub(super) drafts: Vec<Draft>,
}

impl Scheduler {
    /// Turns what is due into a claim, when one may be sent.
    pub(super) fn pump(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if !self.may_claim(now) {
            return;
        }
        while self.ready.len() < BATCH_ROWS
            && let Some(name) = self.queue.pop_due(now.wall)
        {
            self.draft_due(now, &name);
        }
        if !self.ready.is_empty() {
            let batch = self.form_batch(now);
            effects.push(Effect::Claim(batch));
        }
    }

    /// Drafts everything that is due of one job, queues its next, and answers that.
    pub(super) fn draft_due(&mut self, now: Now, name: &JobName) -> Option<Occurrence> {
        let job = self.jobs.get_mut(name)?;
        let applied = job.applied.clone();
        let said = self.overrides.of(&applied.uid).cloned();
        let holds = Holds::of(&applied, said.as_ref());
        let next = schedule::next_to_start(&applied, job.cursor, now.wall);
        let (until, next) = match next {
            // It is due already and waits for its start: it is not accounted for.
            Some(next) if next.fire_time <= now.wall && holds.why(next.fire_time).is_none() => {
                (schedule::just_before(next.fire_time), Some(next))
            }
            // What is held never starts, and waits for nothing.
            Some(next) if next.fire_time <= now.wall => {
                (now.wall, schedule::next_after(&applied, now.wall))
            }
            Some(_) | None => (now.wall, next),
        };
        let unaccounted = job.account(until);
        self.queue_next(&applied, next);
        self.admit(now, &applied, unaccounted.due(&applied, until, holds, |_| true));
        self.use_up_skip(&applied.uid, holds, until);
        next
    }

    /// Applies B1, B2 and B3 to due occurrences of a job, and drafts a row for each verdict.
    pub(super) fn admit(&mut self, now: Now, job: &AppliedJob, due: impl Iterator<Item = Due>) {
        for verdict in admission::misfire(now.wall, &job.spec.misfire, self.gap, due) {
            let draft = match verdict {
                Misfired::Admit { fire_time, start_time, cause } => {
                    let id = ExecutionId::occurrence(&job.uid, fire_time);
                    let mut draft = self.draft_start(job, id, fire_time, cause);
                    // An edit may have cut its delay short: then it was to start now.
                    draft.start_time = start_time.min(now.wall);
                    draft
                }
                Misfired::Cover(range, outcome) => self.draft_ended(job, range, outcome),
            };
            self.ready.push(draft);
        }
    }

    /// Applies B3 to one occurrence, or request, and drafts its row.
    pub(super) fn draft_start(
        &mut self,
        job: &AppliedJob,
        id: ExecutionId,
        fire_time: Timestamp,
        cause: Cause,
    ) -> Draft {
        let in_flight = self.flights.count(&job.uid);
        let slot = match admission::overlap(job.spec.overlap, job.spec.max_instances, in_flight) {
            Surplus::Start => Some(self.flights.free_slot(&job.uid)),
            Surplus::StartUnlimited => None,
            Surplus::Skip => {
                let outcome = Outcome::Skipped(Skipped::Overlap);
                let mut draft = self.draft_ended(job, single(fire_time), outcome);
                draft.id = id;
                draft.cause = cause;
                draft.note = self.flights.first_of(&job.uid).map(ToString::to_string);
                return draft;
            }
        };
        let mut draft = self.draft_ended(job, single(fire_time), Outcome::Lost);
        draft.id = id;
        draft.cause = cause;
        draft.verdict = Verdict::Start { slot };
        draft.previous_fire_time = schedule::previous_before(job, fire_time);
        let flight = Flight {
            job: job.spec.name.clone(),
            uid: job.uid.clone(),
            epoch: 0,
            slot,
            stage: Stage::Claiming,
            waiter: None,
            cancelled: None,
        };
        self.flights.insert(draft.id.clone(), flight);
        draft
    }

    /// Drafts a row that is written ended.
    pub(super) fn draft_ended(&self, job: &AppliedJob, range: Range, outcome: Outcome) -> Draft {
        Draft {
            id: ExecutionId::occurrence(&job.uid, range.first),
            job: job.spec.name.clone(),
            uid: job.uid.clone(),
            spec: Arc::clone(&job.spec),
            provenance: job.provenance(&self.revision),
            cause: Cause::Trigger,
            trigger: schedule::trigger_at(job, range.first),
            range,
            start_time: range.first,
            verdict: Verdict::End(outcome),
            previous_fire_time: None,
            note: self.who_holds(&job.uid, outcome),
            request: None,
            settles_plan: false,
        }
    }

    /// Makes the batch of all that is ready.
    fn form_batch(&mut self, now: Now) -> ClaimBatch {
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
        self.batch = Some(PendingBatch { number: self.batches, nonce, drafts });
        let watermark = self.accounted_until(now.wall);
        let deadline = now.boot.plus(CLAIM_DEADLINE);
        ClaimBatch { number: self.batches, rows, watermark, deadline }
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
        for (draft, answer) in batch.drafts.into_iter().zip(answers) {
            let ours = match &answer {
                ClaimAnswer::Claimed => true,
                ClaimAnswer::AlreadyClaimed { claim: found } => found.nonce == batch.nonce,
                ClaimAnswer::SlotTaken => {
                    undecided.push(draft);
                    continue;
                }
            };
            self.settled_one(&draft);
            if ours {
                self.claim_won(now, draft, &claim, effects);
            } else {
                // A request may come twice; an occurrence is due once.
                surprised |= draft.cause != Cause::Request;
                self.claim_lost(&draft, effects);
            }
        }
        if surprised || !undecided.is_empty() {
            self.look_again(PendingBatch { drafts: undecided, ..batch }, effects);
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
        effects: &mut Vec<Effect>,
    ) {
        if let Some(to) = draft.request.clone() {
            let execution = Some(draft.id.clone());
            let note = self.paused_note(now, &draft.uid);
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
            Verdict::Start { .. } => {
                let Some(flight) = self.flights.get_mut(&draft.id) else { return };
                if flight.cancelled.is_some() {
                    self.cancel_unstarted(now, &draft.id, effects);
                } else if self.lease.until <= now.boot {
                    self.fence(now, &draft.id, effects);
                } else {
                    flight.stage = Stage::Started;
                    let claim = Claim { epoch: flight.epoch, ..claim.clone() };
                    effects.push(Effect::Start(Box::new(draft.start(now, &claim))));
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

impl Draft {
    /// The row that is claimed.
    pub(super) fn row(&self, now: Now, claim: &Claim) -> Row {
        let (state, slot) = match self.verdict {
            Verdict::Start { slot } => (State::Claimed, slot),
            Verdict::End(outcome) => (ended_at_once(now, outcome), None),
        };
        Row {
            id: self.id.clone(),
            job: self.job.clone(),
            uid: self.uid.clone(),
            cause: self.cause,
            trigger: self.trigger,
            fire_time: self.range.first,
            start_time: self.start_time,
            range: (self.range.count > 1).then_some(self.range),
            provenance: self.provenance.clone(),
            claim: claim.clone(),
            claimed_at: now.wall,
            slot,
            state,
            late_outcome: None,
            note: self.note.clone(),
        }
    }

    fn start(self, now: Now, claim: &Claim) -> Start {
        let row = self.row(now, claim);
        Start { row, spec: self.spec, previous_fire_time: self.previous_fire_time }
    }
}

/// What of a job is not accounted for yet: after `from`, except `covered`.
#[derive(Debug)]
pub(super) struct Unaccounted {
    from: Timestamp,
    covered: Vec<Range>,
}

impl Job {
    /// Takes what is not accounted for yet up to `until`, and moves the cursor there.
    pub(super) fn account(&mut self, until: Timestamp) -> Unaccounted {
        let from = self.cursor;
        self.cursor = from.max(until);
        let is_later = |range: &&Range| range.last > self.cursor;
        let later = self.covered.iter().filter(is_later).copied().collect();
        Unaccounted { from, covered: std::mem::replace(&mut self.covered, later) }
    }
}

impl Unaccounted {
    /// The occurrences up to `until` that no row covers and that `wanted` takes, oldest first. Lazy: a
    /// year of seconds is never held at once.
    pub(super) fn due(
        &self,
        job: &AppliedJob,
        until: Timestamp,
        holds: Holds<'_>,
        wanted: impl Fn(Occurrence) -> bool,
    ) -> impl Iterator<Item = Due> {
        // How the occurrence before is held, where it is in the stream.
        let mut before = None;
        schedule::occurrences(job, self.from, until).filter_map(move |occurrence| {
            let Occurrence { fire_time, start_time, .. } = occurrence;
            let is_covered =
                self.covered.iter().any(|r| r.first <= fire_time && fire_time <= r.last);
            let take = !is_covered && wanted(occurrence);
            let held = holds.why(fire_time);
            let due = Due { fire_time, start_time, adjoins: before == Some(held), held };
            before = take.then_some(held);
            take.then_some(due)
        })
    }
}
