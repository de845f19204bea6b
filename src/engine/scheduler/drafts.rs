//! Drafts: due occurrences and requests, decided by admission, as rows that are to be written.

use std::sync::Arc;

use crate::engine::admission::{self, Due, Limits, Load, Misfired, Surplus, single};
use crate::engine::event::Start;
use crate::engine::execution::{
    AttemptRules, Cause, Claim, ExecutionId, JobUid, Outcome, Provenance, Range, Row, State,
};
use crate::engine::overrides::Holds;
use crate::engine::plan::AppliedJob;
use crate::engine::request::RequestId;
use crate::engine::retry;
use crate::engine::schedule::{self, Occurrence};
use crate::engine::scheduler::flights::{Flight, Stage, ended_at_once};
use crate::engine::scheduler::{Job, Scheduler};
use crate::spec::job::{JobName, JobSpec};
use crate::spec::params::ParamValues;
use crate::spec::trigger::TriggerKind;
use crate::time::{Now, Timestamp};

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
    /// What its execution is given.
    pub(super) params: ParamValues,
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
    /// It is queued.
    Wait,
    /// It is written ended.
    End(Outcome),
}

impl Scheduler {
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
                    let mut draft = self.draft_start(now, job, id, fire_time, cause);
                    // An edit may have cut its delay short: then it was to start now.
                    draft.start_time = start_time.min(now.wall);
                    draft
                }
                Misfired::Cover(range, outcome) => self.draft_ended(job, range, outcome),
            };
            self.ready.push(draft);
        }
    }

    /// Applies B3 and B5 to one occurrence, or request, and drafts its row.
    pub(super) fn draft_start(
        &mut self,
        now: Now,
        job: &AppliedJob,
        id: ExecutionId,
        fire_time: Timestamp,
        cause: Cause,
    ) -> Draft {
        let verdict = match admission::overlap(Limits::of(&job.spec), self.load(now, &job.uid)) {
            Surplus::Start => Verdict::Start { slot: Some(self.flights.free_slot(&job.uid)) },
            Surplus::StartUnlimited => Verdict::Start { slot: None },
            Surplus::Wait => Verdict::Wait,
            Surplus::Skip(why) => {
                let mut draft = self.draft_ended(job, single(fire_time), Outcome::Skipped(why));
                draft.id = id;
                draft.cause = cause;
                draft.note = self.in_the_way(&job.uid);
                return draft;
            }
        };
        let mut draft = self.draft_ended(job, single(fire_time), Outcome::Lost);
        draft.id = id;
        draft.cause = cause;
        draft.verdict = verdict;
        draft.previous_fire_time = schedule::previous_before(job, fire_time);
        draft.params = schedule::params_at(job, fire_time);
        let (slot, stage) = match verdict {
            Verdict::Start { slot } => (slot, Stage::Claiming),
            Verdict::Wait | Verdict::End(_) => (None, Stage::Queued),
        };
        let flight = Flight {
            job: job.spec.name.clone(),
            uid: job.uid.clone(),
            cause,
            fire_time,
            epoch: 0,
            slot,
            stage,
            waiter: None,
            cancelled: None,
            row: None,
        };
        self.flights.insert(draft.id.clone(), flight);
        draft
    }

    /// What stands beside another execution of a job.
    fn load(&self, now: Now, uid: &JobUid) -> Load {
        let (queued, ahead) = self.queued_of(now, uid);
        Load {
            in_flight: self.flights.count(uid),
            queued,
            ahead,
            room: self.room_behind_queue(now),
            queued_on_node: self.flights.queued().len(),
        }
    }

    /// The execution of a job that keeps another from starting.
    fn in_the_way(&self, uid: &JobUid) -> Option<String> {
        let queued = || self.flights.queued().of(uid).next();
        self.flights.first_of(uid).or_else(queued).map(ToString::to_string)
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
            params: ParamValues::new(),
            request: None,
            settles_plan: false,
        }
    }
}

impl Draft {
    /// The row that is claimed.
    pub(super) fn row(&self, now: Now, claim: &Claim) -> Row {
        let (state, slot) = match self.verdict {
            Verdict::Start { slot } => (State::Claimed, slot),
            Verdict::Wait => (State::Queued, None),
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
            attempts: Vec::new(),
            rules: AttemptRules::of(&self.spec),
            params: self.params.clone(),
            late_outcome: None,
            note: self.note.clone(),
        }
    }

    /// The first attempt of a row as it was claimed.
    pub(super) fn start(&self, now: Now, row: Row) -> Start {
        let time_left =
            row.rules.as_ref().and_then(|rules| retry::time_left(rules, row.claimed_at, now.wall));
        Start { row, time_left, previous_fire_time: self.previous_fire_time }
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
