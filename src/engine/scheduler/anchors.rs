//! Anchors: from when the periods of a definition count, after an edit too (A5).

use std::collections::BTreeMap;

use chrono::TimeDelta;

use crate::engine::plan::AppliedJob;
use crate::engine::schedule;
use crate::spec::job::DeclaredJob;
use crate::spec::trigger::{IntervalStart, Schedule};
use crate::time::Timestamp;

/// The stored anchors of a definition (A5): a trigger that stays keeps its own, and so does one of which
/// anything but the period is edited in place; after an edit of the period it goes on from the last fire
/// time; any other begins at `at`.
pub(super) fn anchors(
    at: Timestamp,
    before: Option<&AppliedJob>,
    to: &DeclaredJob,
) -> BTreeMap<String, Timestamp> {
    let mut anchors = BTreeMap::new();
    for (index, trigger) in to.spec.triggers.iter().enumerate() {
        let Some(first) = trigger.first_anchor(at) else { continue };
        let normal = trigger.to_string();
        let kept = before.and_then(|before| before.anchors.get(&normal).copied());
        let edited = || phase_of_edited(before?, to, index, at);
        anchors.insert(normal, kept.or_else(edited).unwrap_or(first));
    }
    anchors
}

/// The phase that a trigger takes over from the one that stood at its place; none when that had no
/// stored anchor or is still there, or when the edit is a new beginning.
fn phase_of_edited(
    before: &AppliedJob,
    to: &DeclaredJob,
    index: usize,
    at: Timestamp,
) -> Option<Timestamp> {
    let old = before.spec.triggers.get(index)?;
    let trigger = to.spec.triggers.get(index)?;
    if to.spec.triggers.iter().any(|kept| kept.is_due_like(old)) {
        return None;
    }
    let stored = *before.anchors.get(&old.to_string())?;
    let (Schedule::Interval(from), Schedule::Interval(to)) = (&old.schedule, &trigger.schedule)
    else {
        return None;
    };
    let has_begun = stored <= at;
    let goes_on = from.anchor() == to.anchor()
        && (from.start() == to.start() || (has_begun && to.start() == IntervalStart::Applied));
    if !goes_on {
        return None;
    }
    if from.period() == to.period() {
        return Some(stored);
    }
    let not_begun = (!has_begun).then_some(stored);
    not_begun.or_else(|| last_fire(before, index, at))
}

/// The last fire time of the trigger at `index`, when that had a stored anchor and has fired.
fn last_fire(before: &AppliedJob, index: usize, at: Timestamp) -> Option<Timestamp> {
    let trigger = before.spec.triggers.get(index)?;
    let anchor = *before.anchors.get(&trigger.to_string())?;
    let mut alone = before.clone();
    alone.spec = std::sync::Arc::new(crate::spec::job::JobSpec {
        triggers: vec![trigger.clone()],
        ..(*before.spec).clone()
    });
    schedule::previous_before(&alone, at + TimeDelta::milliseconds(1))
        .filter(|fire| *fire >= anchor)
}
