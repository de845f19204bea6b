//! How long the sources have lacked an applied job: a removal must be seen by two snapshots that agree,
//! the second at least [`SECOND_LOOK`] after the first (D11).
//!
//! Only a snapshot that could have shown the job counts. One that saw its source empty or unreadable, or
//! whose text might hold the name, says nothing about it; nor does a plan that is made again from the
//! snapshot before.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::engine::plan::{Change, Hold, Plan};
use crate::spec::job::JobName;
use crate::time::BootTime;

/// How long after the first snapshot that lacks a job the second one is taken, at the least.
pub const SECOND_LOOK: Duration = Duration::from_secs(1);

/// The applied jobs that the sources lack, and when a snapshot was taken that first showed it.
#[derive(Debug, Clone, Default)]
pub struct Absences {
    since: BTreeMap<JobName, BootTime>,
}

impl Absences {
    /// The jobs whose absence a snapshot taken at `taken_at` confirms, when it lacks them too.
    pub fn confirmed(&self, taken_at: BootTime) -> BTreeSet<JobName> {
        let is_old = |since: &BootTime| taken_at.since(*since) >= SECOND_LOOK;
        self.since.iter().filter(|(_, since)| is_old(since)).map(|(name, _)| name.clone()).collect()
    }

    /// Takes in the plan made of a snapshot that was taken at `taken_at`.
    pub fn learn(&mut self, taken_at: BootTime, plan: &Plan) {
        let removed = plan.changes.iter().filter_map(|change| match change {
            Change::Remove { from } => Some(&from.spec.name),
            Change::Create { .. } | Change::Update { .. } | Change::Rename { .. } => None,
        });
        let held = plan.held.iter().filter(|held| is_seen(held.hold)).map(|held| &held.job);
        let before = std::mem::take(&mut self.since);
        let since = |name: &JobName| before.get(name).copied().unwrap_or(taken_at);
        self.since = removed.chain(held).map(|name| (name.clone(), since(name))).collect();
    }
}

/// Whether a snapshot that holds a removal back for this reason has seen that the job is not there.
fn is_seen(hold: Hold) -> bool {
    match hold {
        Hold::Unconfirmed | Hold::Protected | Hold::MassRemoval | Hold::SourceDropped => true,
        Hold::InvalidManifest | Hold::EmptySource | Hold::UnreadableSource | Hold::Unmounted => {
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::plan::HeldRemoval;

    fn job() -> JobName {
        JobName::parse("a").unwrap()
    }

    fn at(ms: u64) -> BootTime {
        BootTime(Duration::from_millis(ms))
    }

    /// The moments at which the removal of a job is confirmed, of snapshots that hold it for these reasons.
    fn confirmations(snapshots: &[(u64, Option<Hold>)]) -> Vec<u64> {
        let mut absences = Absences::default();
        let mut confirmed = Vec::new();
        for (ms, hold) in snapshots {
            if absences.confirmed(at(*ms)).contains(&job()) {
                confirmed.push(*ms);
            }
            let held = hold.map(|hold| HeldRemoval { job: job(), hold, renamed_to: None });
            let plan = Plan { held: held.into_iter().collect(), ..Plan::default() };
            absences.learn(at(*ms), &plan);
        }
        confirmed
    }

    #[test]
    fn the_second_snapshot_counts_when_it_is_a_second_younger_than_the_first() {
        let lacks = Some(Hold::Unconfirmed);
        assert_eq!(confirmations(&[(0, lacks), (1_000, lacks)]), [1_000]);
        assert_eq!(confirmations(&[(0, lacks), (20, lacks), (999, lacks)]), [0; 0]);
        assert_eq!(confirmations(&[(0, lacks), (20, lacks), (1_001, lacks)]), [1_001]);
    }

    #[test]
    fn a_plan_made_again_from_one_snapshot_confirms_nothing() {
        let lacks = Some(Hold::Unconfirmed);
        assert_eq!(confirmations(&[(5_000, lacks), (5_000, lacks), (5_000, lacks)]), [0; 0]);
    }

    #[test]
    fn a_snapshot_that_could_not_have_shown_the_job_starts_the_count_anew() {
        let lacks = Some(Hold::Unconfirmed);
        for blind in [Hold::InvalidManifest, Hold::EmptySource, Hold::UnreadableSource] {
            let snapshots = [(0, Some(blind)), (5_000, lacks), (6_000, lacks)];
            assert_eq!(confirmations(&snapshots), [6_000], "{blind:?} before");
            let snapshots = [(0, lacks), (5_000, Some(blind)), (6_000, lacks), (7_000, lacks)];
            assert_eq!(confirmations(&snapshots), [5_000, 7_000], "{blind:?} between");
        }
        assert_eq!(
            confirmations(&[(0, lacks), (900, None), (1_800, lacks)]),
            [0; 0],
            "it was back"
        );
    }
}
