//! Renames that no manifest can ask for in one plan: chains and swaps.

use std::collections::{BTreeMap, BTreeSet};

use cronwright::engine::plan::{AppliedSet, Change, Plan};
use cronwright::spec::job::{Digest, JobName};

/// Has jobs go on by the definitions that are their successors, where the plan takes those for edits of the
/// jobs that have the names now: a -> b while b -> c, or a <-> b. Every applied job stays in one place.
pub(super) fn chained(plan: &mut Plan, former: &BTreeMap<Digest, JobName>, applied: &AppliedSet) {
    let from_of = |change: &Change| match change {
        Change::Create { to, .. } | Change::Update { to, .. } => {
            let from = former.get(&to.digest).filter(|from| **from != to.spec.name)?;
            applied.contains_key(from).then(|| from.clone())
        }
        Change::Rename { .. } | Change::Remove { .. } => None,
    };
    let mut taken = BTreeSet::new();
    let mut from: BTreeMap<JobName, JobName> = plan
        .changes
        .iter()
        .filter_map(|change| Some((change.job().clone(), from_of(change)?)))
        .filter(|(_, from)| taken.insert(from.clone()))
        .collect();
    let removed: BTreeSet<JobName> = plan
        .changes
        .iter()
        .filter(|change| matches!(change, Change::Remove { .. }))
        .map(|change| change.job().clone())
        .collect();
    // A name is left by the job that has it before another takes it.
    loop {
        let left: BTreeSet<JobName> = from.values().cloned().collect();
        let holds = |to: &JobName, by: &JobName| {
            (!applied.contains_key(to) || left.contains(to))
                && (removed.contains(by) || from.contains_key(by))
        };
        let kept: BTreeMap<JobName, JobName> =
            from.clone().into_iter().filter(|(to, by)| holds(to, by)).collect();
        if kept.len() == from.len() {
            break;
        }
        from = kept;
    }
    let left: BTreeSet<JobName> = from.values().cloned().collect();
    plan.changes
        .retain(|change| !matches!(change, Change::Remove { .. }) || !left.contains(change.job()));
    for change in &mut plan.changes {
        if let Some(before) = from.get(change.job())
            && let Change::Create { to, owner } | Change::Update { to, owner, .. } = &change
        {
            let (from, to, owner) = (applied[before].clone(), to.clone(), owner.clone());
            *change = Change::Rename { from, to, owner };
        }
    }
}

/// What a program would do that knows no renames.
pub(super) fn forgotten(change: Change) -> Vec<Change> {
    match change {
        Change::Rename { from, to, owner } => {
            vec![Change::Remove { from }, Change::Create { to, owner }]
        }
        Change::Create { .. } | Change::Update { .. } | Change::Remove { .. } => vec![change],
    }
}
