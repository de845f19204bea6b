//! Applying a plan: settle what was due under the old definitions, save, switch (D2, D3, D6, D12).
//!
//! A plan counts from the moment it arrives, `effective_at`. Jobs that it changes are settled up to
//! that moment and then stand still until the store has it; all others go on firing. The store's answer
//! is the switch.

use std::collections::BTreeSet;

use crate::engine::admission::{self, Due, Misfired};
use crate::engine::event::{CLAIM_DEADLINE, Effect, PlanDone, PlanWrites};
use crate::engine::execution::{Cancelled, JobUid, Outcome, Skipped};
use crate::engine::overrides::Holds;
use crate::engine::plan::{AppliedJob, Change, Owner, Plan};
use crate::engine::rollback::PinChange;
use crate::engine::schedule::{self, Occurrence};
use crate::engine::scheduler::anchors::anchors;
use crate::engine::scheduler::claims::Draft;
use crate::engine::scheduler::override_changes::Change as OverrideChange;
use crate::engine::scheduler::{Job, Phase, Scheduler};
use crate::spec::job::{DeclaredJob, JobName, SourcePlace};
use crate::spec::policy::OnRemove;
use crate::time::{BootTime, Now, Timestamp};

/// The plan under way.
#[derive(Debug)]
pub(super) struct PendingPlan {
    pub(super) writes: PlanWrites,
    pub(super) moved: Vec<(JobName, SourcePlace)>,
    pub(super) stage: PlanStage,
    pub(super) kind: PlanKind,
}

/// What a plan changes.
#[derive(Debug)]
pub(super) enum PlanKind {
    /// The jobs that are applied; the reconciler waits for its end.
    Jobs,
    /// Overrides.
    Overrides(OverrideChange),
}

/// How far a plan is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum PlanStage {
    /// So many rows must be durable before it is saved.
    Settling(usize),
    /// The store is writing it.
    Saving,
}

impl PendingPlan {
    /// What the plan holds back is accounted for up to here; so far the watermark may go.
    pub(super) fn accounted_until(&self) -> Timestamp {
        match &self.kind {
            PlanKind::Jobs => self.writes.effective_at,
            PlanKind::Overrides(change) => change.accounted_until,
        }
    }
}

impl Scheduler {
    pub(super) fn plan(&mut self, now: Now, plan: Plan, effects: &mut Vec<Effect>) {
        let takes_plans = matches!(self.phase, Phase::AwaitingPlan | Phase::Active);
        if !takes_plans || self.plan.is_some() || plan.generation != self.generation {
            effects.push(Effect::PlanDone(PlanDone::Again));
            return;
        }
        if self.phase == Phase::AwaitingPlan {
            self.phase = Phase::Active;
            self.planned = true;
            self.queue_all();
        }
        if plan.is_empty() {
            self.revision = plan.revision;
            self.move_jobs(plan.moved);
            effects.push(Effect::PlanDone(PlanDone::Applied { generation: self.generation }));
            return;
        }
        self.begin_plan(now, plan);
        self.save_plan_when_settled(now, effects);
    }

    /// Settles the jobs that the plan changes, and holds them back.
    fn begin_plan(&mut self, now: Now, plan: Plan) {
        let mut writes = PlanWrites {
            expected_generation: plan.generation,
            revision: plan.revision,
            effective_at: now.wall,
            upserts: Vec::new(),
            removed: Vec::new(),
            changes: Vec::new(),
            overrides: Vec::new(),
            origin: plan.origin,
            pin: match plan.pin {
                None => self.pin.clone(),
                Some(PinChange::Set(pin)) => Some(pin),
                Some(PinChange::Clear) => None,
            },
            repair: plan.repair,
            deadline: BootTime::NEVER,
        };
        for change in &plan.changes {
            match change {
                Change::Create { to, owner } => {
                    writes.upserts.push(self.created(now.wall, to, owner));
                }
                Change::Update { from, to, owner } | Change::Rename { from, to, owner } => {
                    let applied = updated(now.wall, from, to, owner);
                    self.settle(now, &from.spec.name, Some(&applied));
                    writes.upserts.push(applied);
                }
                Change::Remove { from } => {
                    self.settle(now, &from.spec.name, None);
                    writes.removed.push(from.clone());
                }
            }
        }
        writes.changes = plan.changes;
        let changed: BTreeSet<JobName> = writes.changes.iter().flat_map(names).cloned().collect();
        let stage = PlanStage::Settling(self.await_rows(&changed));
        writes.overrides = self.used_up_skips(&changed);
        let (moved, kind) = (plan.moved, PlanKind::Jobs);
        self.plan = Some(PendingPlan { writes, moved, stage, kind });
    }

    /// Has the plan wait for the rows of the jobs that it changes, those of a claim under way among them:
    /// were that claim to fail after the switch, nobody would know any more that they were due.
    pub(super) fn await_rows(&mut self, changed: &BTreeSet<JobName>) -> usize {
        let in_batch = self.batch.iter_mut().flat_map(|batch| &mut batch.drafts);
        let mut awaited = 0;
        for draft in in_batch.chain(&mut self.ready) {
            if draft.request.is_none() && changed.contains(&draft.job) {
                draft.settles_plan = true;
                awaited += 1;
            }
        }
        awaited
    }

    /// Accounts for what is due of a job up to now: occurrences of triggers that stay are admitted under
    /// the new definition, those of triggers that go are missed or removed. Then the job stands still.
    ///
    /// An occurrence that is due and waits for its start is decided with them: the new definition counts
    /// from now on, and asks nothing about earlier fire times. So the edit of a job cuts that delay short;
    /// jobs that the plan does not change go on waiting.
    fn settle(&mut self, now: Now, name: &JobName, to: Option<&AppliedJob>) {
        self.queue.set(name, None);
        let Some(job) = self.jobs.get_mut(name) else { return };
        let from = job.applied.clone();
        let unaccounted = job.account(now.wall);
        let kept = |occurrence| to.is_some_and(|to| keeps(&from, to, occurrence));
        let said = self.overrides.of(&from.uid).cloned();
        let holds = Holds::of(&from, said.as_ref());
        let mut verdicts = Vec::new();
        for due in unaccounted.due(&from, now.wall, holds, |occurrence| !kept(occurrence)) {
            admission::cover(&mut verdicts, due, self.dropped(due));
        }
        for verdict in verdicts {
            if let Misfired::Cover(range, outcome) = verdict {
                let draft = self.draft_ended(&from, range, outcome);
                self.ready.push(draft);
            }
        }
        if let Some(to) = to {
            self.admit(now, to, unaccounted.due(&from, now.wall, holds, kept));
        }
        self.use_up_skip(&from.uid, holds, now.wall);
    }

    /// What becomes of an occurrence whose trigger the plan takes away.
    fn dropped(&self, due: Due) -> Outcome {
        if let Some(held) = due.held {
            return Outcome::Skipped(held);
        }
        match self.gap.filter(|gap| due.start_time <= gap.until) {
            Some(gap) => Outcome::Missed(gap.kind.missed()),
            None => Outcome::Skipped(Skipped::Removed),
        }
    }

    /// A new job, or one that was removed and comes back under its uid (D4).
    fn created(&self, at: Timestamp, to: &DeclaredJob, owner: &Owner) -> AppliedJob {
        let before = self.removed.newest(&to.spec.name);
        let uid = before
            .map_or_else(|| JobUid::first_applied(&to.spec.name, at), |before| before.uid.clone());
        AppliedJob {
            uid,
            owner: owner.clone(),
            spec: to.spec.clone(),
            digest: to.digest.clone(),
            source: to.source.clone(),
            effective_at: at,
            anchors: anchors(at, before, to),
        }
    }

    /// A row is durable; the plan may have waited for it.
    pub(super) fn settled_one(&mut self, draft: &Draft) {
        if let (true, Some(plan)) = (draft.settles_plan, &mut self.plan)
            && let PlanStage::Settling(rows) = &mut plan.stage
        {
            *rows = rows.saturating_sub(1);
        }
    }

    pub(super) fn save_plan_when_settled(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let lease_lasts = self.lease.until.since(now.boot) > CLAIM_DEADLINE;
        if let Some(plan) = &mut self.plan
            && plan.stage == PlanStage::Settling(0)
        {
            // A successor would make the plan of the jobs anew, for it has the same sources. It knows nothing
            // of a request: one that came after the lease would hold back what the successor has started.
            if let PlanKind::Overrides(_) = plan.kind {
                if !lease_lasts {
                    return;
                }
                plan.writes.deadline = now.boot.plus(CLAIM_DEADLINE);
            }
            plan.stage = PlanStage::Saving;
            effects.push(Effect::SavePlan(Box::new(plan.writes.clone())));
        }
    }

    /// The switch.
    pub(super) fn plan_saved(&mut self, generation: u64, effects: &mut Vec<Effect>) {
        let Some(plan) = self.plan.take() else { return };
        let effective_at = plan.writes.effective_at;
        self.generation = generation;
        self.take_overrides(plan.writes.overrides);
        if let PlanKind::Overrides(change) = plan.kind {
            return self.overrides_changed(change, effects);
        }
        self.revision = plan.writes.revision;
        self.pin = plan.writes.pin;
        self.rename(&plan.writes.changes);
        for gone in plan.writes.removed {
            self.jobs.remove(&gone.spec.name);
            self.cancel_removed(&gone, effects);
            self.removed.push(gone);
        }
        for applied in plan.writes.upserts {
            let name = applied.spec.name.clone();
            self.removed.take(&name, &applied.uid);
            self.queue_next(&applied, schedule::next_after(&applied, effective_at));
            self.jobs.insert(name, Job { applied, cursor: effective_at, covered: Vec::new() });
        }
        self.move_jobs(plan.moved);
        effects.push(Effect::PlanDone(PlanDone::Applied { generation }));
    }

    /// Takes renamed jobs from under their old names, all of them before the first gets its new one: two may
    /// have swapped theirs.
    fn rename(&mut self, changes: &[Change]) {
        for change in changes {
            if let Change::Rename { from, to, .. } = change {
                self.jobs.remove(&from.spec.name);
                self.flights.rename(&from.uid, &to.spec.name);
            }
        }
    }

    /// `on_remove` (D4).
    pub(super) fn cancel_removed(&mut self, gone: &AppliedJob, effects: &mut Vec<Effect>) {
        match gone.spec.on_remove {
            OnRemove::Finish => {}
            OnRemove::Cancel => {
                for id in self.flights.of_uid(&gone.uid) {
                    self.cancel_flight(&id, Cancelled::Removed, false, effects);
                }
            }
        }
    }

    /// Jobs that only stand elsewhere now.
    fn move_jobs(&mut self, moved: Vec<(JobName, SourcePlace)>) {
        for (name, source) in moved {
            if let Some(job) = self.jobs.get_mut(&name) {
                job.applied.source = source;
            }
        }
    }

    /// Gives a plan up: what the store holds is read anew.
    pub(super) fn drop_plan(&mut self, effects: &mut Vec<Effect>) {
        match self.plan.take().map(|plan| plan.kind) {
            Some(PlanKind::Jobs) => effects.push(Effect::PlanDone(PlanDone::Again)),
            Some(PlanKind::Overrides(change)) => self.overrides.ask_again(change),
            None => {}
        }
    }
}

/// The names of a job before and after a change.
fn names(change: &Change) -> impl Iterator<Item = &JobName> {
    change.applied().map(|from| &from.spec.name).into_iter().chain([change.job()])
}

/// Whether a trigger that both definitions have makes the occurrence due (D1: equal normal forms).
pub fn keeps(from: &AppliedJob, to: &AppliedJob, occurrence: Occurrence) -> bool {
    let just_before = schedule::just_before(occurrence.fire_time);
    to.spec.enabled
        && from.spec.triggers.iter().any(|trigger| {
            to.spec.triggers.iter().any(|kept| kept.is_due_like(trigger))
                && schedule::trigger_next_after(from, trigger, just_before)
                    == Some(occurrence.fire_time)
        })
}

/// The job that a change leads to, were it applied at `at`; none for a removal. For showing what a plan
/// would do: a job that comes back gets its old uid and anchors only when it is really applied.
pub fn preview(at: Timestamp, change: &Change) -> Option<AppliedJob> {
    match change {
        Change::Create { to, owner } => Some(AppliedJob {
            uid: JobUid::first_applied(&to.spec.name, at),
            owner: owner.clone(),
            spec: to.spec.clone(),
            digest: to.digest.clone(),
            source: to.source.clone(),
            effective_at: at,
            anchors: anchors(at, None, to),
        }),
        Change::Update { from, to, owner } | Change::Rename { from, to, owner } => {
            Some(updated(at, from, to, owner))
        }
        Change::Remove { .. } => None,
    }
}

fn updated(at: Timestamp, from: &AppliedJob, to: &DeclaredJob, owner: &Owner) -> AppliedJob {
    AppliedJob {
        uid: from.uid.clone(),
        owner: owner.clone(),
        spec: to.spec.clone(),
        digest: to.digest.clone(),
        source: to.source.clone(),
        effective_at: at,
        anchors: anchors(at, Some(from), to),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::manifest::{Content, Known, ManifestFile, load};

    fn declared(trigger: &str) -> DeclaredJob {
        let text = format!("jobs: {{ a: {{ command: x, triggers: [{{ {trigger} }}] }} }}");
        let content = Content::Bytes(text.into_bytes().into());
        let file = ManifestFile { path: "a.yaml".into(), source: "s".into(), content };
        let loaded = load(&[file], &Known::default());
        loaded.jobs.into_values().next().unwrap()
    }

    /// The stored anchor after an edit at 10:07 of a trigger that was first applied at 09:00.
    fn edited(from: &str, to: &str) -> String {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let owner = Owner::source("s");
        let create = Change::Create { to: declared(from), owner: owner.clone() };
        let from = preview(at("2026-01-05T09:00:00Z"), &create).unwrap();
        let update = Change::Update { from, to: declared(to), owner };
        let to = preview(at("2026-01-05T10:07:00Z"), &update).unwrap();
        to.anchors.values().map(|at| at.format("%H:%M:%S").to_string()).collect()
    }

    #[test]
    fn a5_an_edit_of_anything_but_the_period_keeps_the_phase() {
        for (from, to, expected) in [
            ("interval: 30m", "interval: 30m, jitter: 1m", "09:00:00"),
            ("interval: 30m", "interval: 30m, calendar: { weekdays: [mon] }", "09:00:00"),
            ("interval: 1d", "interval: 1d, end_date: 2030-01-01", "09:00:00"),
            ("interval: 1d", "interval: 1d, timezone: Asia/Shanghai", "09:00:00"),
            (
                "interval: 30m, start_date: +5s",
                "interval: 30m, jitter: 1m, start_date: +5s",
                "09:00:05",
            ),
            ("interval: 30m, start_date: +5s", "interval: 30m", "09:00:05"),
            // The period: the last fire time, or the edit when there is none.
            ("interval: 30m", "interval: 20m", "10:00:00"),
            ("interval: 1d", "interval: 20m", "10:07:00"),
            ("interval: 30m, start_date: +5s", "interval: 20m, start_date: +5s", "10:00:05"),
            ("interval: 30m, start_date: +5h", "interval: 20m, start_date: +5h", "14:00:00"),
            // Another beginning.
            ("interval: 30m, start_date: +5s", "interval: 30m, start_date: +9s", "10:07:09"),
            ("cron: '@daily'", "interval: 30m", "10:07:00"),
        ] {
            assert_eq!(edited(from, to), expected, "{from} -> {to}");
        }
    }
}
