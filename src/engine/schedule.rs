//! The schedule of an applied job: the union of its triggers' fire times (A1).

use crate::engine::plan::AppliedJob;
use crate::spec::trigger::{Trigger, TriggerKind};
use crate::time::Timestamp;

/// How far back [`previous_before`] looks, in steps, in seconds: a minute to eight years (29 February).
const LOOK_BACK_SECONDS: [i64; 7] =
    [60, 3_600, 86_400, 8 * 86_400, 32 * 86_400, 367 * 86_400, 8 * 366 * 86_400];

/// An occurrence of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Occurrence {
    /// When it is due.
    pub fire_time: Timestamp,
    /// The kind of the first listed trigger that is due then.
    pub trigger: TriggerKind,
}

/// The first occurrence strictly after `after`; none when the job is disabled or finished.
pub fn next_after(job: &AppliedJob, after: Timestamp) -> Option<Occurrence> {
    if !job.spec.enabled {
        return None;
    }
    let mut first: Option<Occurrence> = None;
    for trigger in &job.spec.triggers {
        let Some(fire_time) = trigger_next_after(job, trigger, after) else { continue };
        if first.is_none_or(|found| fire_time < found.fire_time) {
            first = Some(Occurrence { fire_time, trigger: trigger.kind() });
        }
    }
    first
}

/// The first fire time of one of the job's triggers strictly after `after`.
pub fn trigger_next_after(
    job: &AppliedJob,
    trigger: &Trigger,
    after: Timestamp,
) -> Option<Timestamp> {
    // The normal form is text: it is made only for the few triggers that have a stored anchor.
    let anchor = if trigger.first_anchor(after).is_some() {
        job.anchors.get(&trigger.to_string()).copied()
    } else {
        None
    };
    trigger.next_due_after(after, anchor)
}

/// The kind of the trigger that makes the job due at `fire_time`, if one does.
pub fn trigger_at(job: &AppliedJob, fire_time: Timestamp) -> Option<TriggerKind> {
    let just_before = fire_time - chrono::TimeDelta::milliseconds(1);
    next_after(job, just_before).filter(|o| o.fire_time == fire_time).map(|o| o.trigger)
}

/// The occurrences of a job in (`after`, `until`], oldest first.
pub fn occurrences(
    job: &AppliedJob,
    after: Timestamp,
    until: Timestamp,
) -> impl Iterator<Item = Occurrence> {
    std::iter::successors(next_after(job, after), move |last| next_after(job, last.fire_time))
        .take_while(move |occurrence| occurrence.fire_time <= until)
}

/// The last fire time before `before`, as far as eight years back.
pub fn previous_before(job: &AppliedJob, before: Timestamp) -> Option<Timestamp> {
    let just_before = before - chrono::TimeDelta::milliseconds(1);
    LOOK_BACK_SECONDS.iter().find_map(|seconds| {
        let from = before.checked_sub_signed(chrono::TimeDelta::seconds(*seconds))?;
        occurrences(job, from, just_before).last().map(|occurrence| occurrence.fire_time)
    })
}
