//! Bugs to plant: each spoils what passes one seam of the world, as a scheduler with that bug would.
//! The suite must find every one.

use std::sync::Arc;

use chrono::TimeDelta;
use cronwright::engine::event::{PlanWrites, Recovery};
use cronwright::engine::plan::{AppliedSet, Change, Plan, Sources};
use cronwright::spec::job::{JobSet, JobSpec};
use cronwright::time::{Now, Timestamp};

/// A promise that is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bug {
    /// A restart begins every interval anew.
    ReanchorsAtRestart,
    /// An edit of anything begins the job's intervals anew.
    ReanchorsAtAnyEdit,
    /// An edit keeps the triggers that the scheduler had in memory.
    KeepsStaleTriggers,
    /// A new definition counts from half an hour before the edit.
    CatchesUpBeforeTheEdit,
    /// A removed job goes on firing from memory.
    FiresWhatIsRemoved,
    /// Declared off is not looked at.
    FiresWhatIsDisabled,
    /// One snapshot is enough for a removal.
    RemovesOnFirstAbsence,
    /// A manifest that cannot be used counts as one without jobs.
    RemovesWhatIsInvalid,
    /// A source that cannot be read counts as one without jobs.
    RemovesWhatIsUnreadable,
    /// The store gets one half of a plan.
    WritesHalfOfAPlan,
    /// Each look writes a job that did not change.
    WritesWhatIsUnchanged,
}

impl Bug {
    pub(super) const ALL: [Self; 11] = [
        Self::ReanchorsAtRestart,
        Self::ReanchorsAtAnyEdit,
        Self::KeepsStaleTriggers,
        Self::CatchesUpBeforeTheEdit,
        Self::FiresWhatIsRemoved,
        Self::FiresWhatIsDisabled,
        Self::RemovesOnFirstAbsence,
        Self::RemovesWhatIsInvalid,
        Self::RemovesWhatIsUnreadable,
        Self::WritesHalfOfAPlan,
        Self::WritesWhatIsUnchanged,
    ];

    /// What a plan is made from.
    pub(super) fn spoil_sources(bug: Option<Self>, applied: &AppliedSet, sources: &mut Sources) {
        if bug == Some(Self::RemovesOnFirstAbsence) {
            sources.confirmed_absent = applied.keys().cloned().collect();
        }
        if bug == Some(Self::RemovesWhatIsInvalid) {
            sources.invalid.clear();
        }
        if bug == Some(Self::RemovesWhatIsUnreadable) {
            sources.incomplete.clear();
        }
    }

    /// What a plan says.
    pub(super) fn spoil_diff(
        bug: Option<Self>,
        declared: &JobSet,
        applied: &AppliedSet,
        plan: &mut Plan,
    ) {
        let both = applied.values().find_map(|from| Some((from, declared.get(&from.spec.name)?)));
        if let (true, Some((from, to))) = (plan.is_empty(), both)
            && bug == Some(Self::WritesWhatIsUnchanged)
        {
            let (from, to, owner) = (from.clone(), to.clone(), from.owner.clone());
            plan.changes.push(Change::Update { from, to, owner });
        }
    }

    /// What the scheduler is given.
    pub(super) fn spoil_plan(bug: Option<Self>, plan: &mut Plan) {
        for change in &mut plan.changes {
            let Change::Update { from, to, .. } = change else { continue };
            if bug == Some(Self::ReanchorsAtAnyEdit) {
                from.anchors.clear();
            }
            if bug == Some(Self::KeepsStaleTriggers) {
                let triggers = from.spec.triggers.clone();
                to.spec = Arc::new(JobSpec { triggers, ..(*to.spec).clone() });
            }
            if bug == Some(Self::FiresWhatIsDisabled) {
                to.spec = Arc::new(JobSpec { enabled: true, ..(*to.spec).clone() });
            }
        }
        if bug == Some(Self::FiresWhatIsRemoved) {
            plan.changes.retain(|change| !matches!(change, Change::Remove { .. }));
        }
    }

    /// What the scheduler takes for the moment of a plan.
    pub(super) fn spoil_clock(bug: Option<Self>, now: Now) -> Now {
        let early = bug == Some(Self::CatchesUpBeforeTheEdit);
        let wall = if early { now.wall - TimeDelta::minutes(30) } else { now.wall };
        Now { wall, ..now }
    }

    /// What the store is given.
    pub(super) fn spoil_writes(bug: Option<Self>, plan: &mut PlanWrites) {
        if bug == Some(Self::WritesHalfOfAPlan) {
            plan.upserts.truncate(plan.upserts.len().div_ceil(2));
        }
    }

    /// What a daemon that starts is told.
    pub(super) fn spoil_recovery(bug: Option<Self>, now: Timestamp, recovery: &mut Recovery) {
        if bug == Some(Self::ReanchorsAtRestart) {
            let anchors = recovery.jobs.values_mut().flat_map(|job| job.anchors.values_mut());
            anchors.for_each(|anchor| *anchor = now);
        }
    }
}
