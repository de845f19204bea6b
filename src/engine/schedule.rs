//! The schedule of an applied job: the union of its triggers' fire times (A1), and when each starts (A10).

use chrono::TimeDelta;

use crate::engine::plan::AppliedJob;
use crate::spec::params::ParamValues;
use crate::spec::trigger::{Trigger, TriggerKind, start_time};
use crate::time::Timestamp;

/// How far back [`previous_before`] looks, in steps, in seconds: a minute to eight years (29 February).
const LOOK_BACK_SECONDS: [i64; 7] =
    [60, 3_600, 86_400, 8 * 86_400, 32 * 86_400, 367 * 86_400, 8 * 366 * 86_400];

/// An occurrence of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Occurrence {
    /// When it is due: its identity.
    pub fire_time: Timestamp,
    /// When it is to start: its fire time, delayed by the trigger's jitter, and always before the job's
    /// next fire time. So the starts of a job come in the order of its fire times, and at any moment at
    /// most one occurrence, the last that is due, still waits for its start.
    pub start_time: Timestamp,
    /// The kind of the first listed trigger that is due then.
    pub trigger: TriggerKind,
}

/// The first occurrence strictly after `after`; none when the job is disabled or finished.
pub fn next_after(job: &AppliedJob, after: Timestamp) -> Option<Occurrence> {
    let (fire_time, trigger) = next_fire(job, after)?;
    let start_time = if trigger.jitter.is_zero() {
        fire_time
    } else {
        let following = next_fire(job, fire_time).map(|(fire_time, _)| fire_time);
        start_time(&job.uid.0, fire_time, trigger.jitter, following)
    };
    Some(Occurrence { fire_time, start_time, trigger: trigger.kind() })
}

/// The first occurrence after `from` that starts strictly after `now`. It may be due already, and wait:
/// `fire_time <= now < start_time`. Every occurrence of (`from`, `now`] before it has had its start.
pub fn next_to_start(job: &AppliedJob, from: Timestamp, now: Timestamp) -> Option<Occurrence> {
    let jitter = job.spec.triggers.iter().map(|trigger| trigger.jitter).max().unwrap_or_default();
    if jitter.is_zero() {
        return next_after(job, now);
    }
    // What was due a whole jitter ago has had its start.
    let started = TimeDelta::from_std(jitter).ok().and_then(|back| now.checked_sub_signed(back));
    let from = started.map_or(from, |started| from.max(started));
    occurrences(job, from, Timestamp::MAX_UTC).find(|occurrence| occurrence.start_time > now)
}

/// The last moment before `time` that stores can tell from it.
pub fn just_before(time: Timestamp) -> Timestamp {
    time - TimeDelta::milliseconds(1)
}

/// The first fire time strictly after `after`, with the first listed trigger that is due then.
fn next_fire(job: &AppliedJob, after: Timestamp) -> Option<(Timestamp, &Trigger)> {
    first_fire(job, |trigger| trigger_next_after(job, trigger, after))
}

fn first_fire(
    job: &AppliedJob,
    next_of: impl Fn(&Trigger) -> Option<Timestamp>,
) -> Option<(Timestamp, &Trigger)> {
    if !job.spec.enabled {
        return None;
    }
    let mut first: Option<(Timestamp, &Trigger)> = None;
    for trigger in &job.spec.triggers {
        let Some(fire_time) = next_of(trigger) else { continue };
        if first.is_none_or(|(found, _)| fire_time < found) {
            first = Some((fire_time, trigger));
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
    trigger.next_due_after(after, anchor_of(job, trigger))
}

/// The stored anchor of a trigger. The normal form is text: it is made only for the few that have one.
fn anchor_of(job: &AppliedJob, trigger: &Trigger) -> Option<Timestamp> {
    let has_one = trigger.first_anchor(Timestamp::UNIX_EPOCH).is_some();
    has_one.then(|| job.anchors.get(&trigger.to_string()).copied()).flatten()
}

/// The kind of the trigger that makes the job due at `fire_time`, if one does.
pub fn trigger_at(job: &AppliedJob, fire_time: Timestamp) -> Option<TriggerKind> {
    next_fire(job, just_before(fire_time))
        .filter(|(found, _)| *found == fire_time)
        .map(|(_, trigger)| trigger.kind())
}

/// What the execution of an occurrence is given: the values of the first listed trigger that is due then (A1), and
/// defaults. Days are counted in that trigger's zone.
pub fn params_at(job: &AppliedJob, fire_time: Timestamp) -> ParamValues {
    let params = &job.spec.params;
    if params.declared.is_empty() {
        return ParamValues::new();
    }
    let due = next_fire(job, just_before(fire_time)).filter(|(found, _)| *found == fire_time);
    match due {
        Some((_, trigger)) => params.values(&trigger.params, fire_time, trigger.zone()),
        None => params.values(&ParamValues::new(), fire_time, &params.zone),
    }
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

/// The last fire time before `before`, as far as eight years back, and as far as it is found at once: it
/// decides nothing.
pub fn previous_before(job: &AppliedJob, before: Timestamp) -> Option<Timestamp> {
    let fire_time = |after| {
        let next_of = |trigger: &Trigger| trigger.next_after(after, anchor_of(job, trigger));
        first_fire(job, next_of).map(|(fire_time, _)| fire_time)
    };
    LOOK_BACK_SECONDS.iter().find_map(|seconds| {
        let from = before.checked_sub_signed(TimeDelta::seconds(*seconds))?;
        std::iter::successors(fire_time(from), |last| fire_time(*last))
            .take_while(|fire_time| *fire_time < before)
            .last()
    })
}
