//! Periods that do not fit what stands beside them: the day, and the timeout.

use std::time::Duration;

use crate::diagnostic::{Diagnostic, codes};
use crate::spec::job::JobSpec;
use crate::spec::manifest::lower::site::Site;
use crate::spec::policy::Overlap;
use crate::spec::trigger::{CronTrigger, IntervalTrigger, Schedule};
use crate::time::DurationText;

const DAY: Duration = Duration::from_hours(24);

/// Shorter intervals poll something, and nobody minds at which minute of the day.
const UNEVEN_MIN: Duration = Duration::from_hours(1);

/// Periods that divide the day and that people like, shortest first.
const EVEN: [Duration; 9] = [
    Duration::from_hours(1),
    Duration::from_mins(90),
    Duration::from_hours(2),
    Duration::from_hours(3),
    Duration::from_hours(4),
    Duration::from_hours(6),
    Duration::from_hours(8),
    Duration::from_hours(12),
    DAY,
];

/// An interval of hours that leaves a rest of the day: it is due at other times on each day.
pub fn check_day(interval: &IntervalTrigger, site: &Site<'_>, out: &mut Vec<Diagnostic>) {
    let period = interval.period();
    let rest = DAY.as_millis() % period.as_millis();
    if period < UNEVEN_MIN || period > DAY || rest == 0 {
        return;
    }
    let message = format!(
        "{} does not divide the day: it is due at other times on each day",
        DurationText(period)
    );
    let near: Vec<String> =
        [EVEN.iter().rev().find(|even| **even < period), EVEN.iter().find(|even| **even > period)]
            .into_iter()
            .flatten()
            .map(|even| format!("`{}`", DurationText(*even)))
            .collect();
    let help = format!(
        "{} would come back at the same times, and `cron` names them; leave it when only the distance matters",
        near.join(" or ")
    );
    out.push(site.diagnostic(codes::UNEVEN_INTERVAL, message).help(help));
}

/// How many fires of a cron trigger are looked at for the shortest distance between two.
const DISTANCES_LOOKED_AT: usize = 16;

/// A timeout, the job's own, that lasts beyond the next fire times: with `overlap: skip` these are lost
/// when an attempt takes so long. A timeout out of a default was not meant for this job alone.
pub fn check_timeout(spec: &JobSpec, site: &Site<'_>, out: &mut Vec<Diagnostic>) {
    let is_own = site.node().get("timeout").is_some();
    let Some(timeout) = spec.timeout.filter(|_| is_own && spec.overlap == Overlap::Skip) else {
        return;
    };
    let shortest = spec.triggers.iter().filter_map(|trigger| match &trigger.schedule {
        Schedule::Cron(cron) => shortest_distance(cron).map(|distance| (distance, false)),
        Schedule::Interval(interval) => Some((interval.period(), true)),
        Schedule::Date(_) => None,
    });
    let Some((distance, is_interval)) = shortest.min() else { return };
    if timeout <= distance.saturating_mul(spec.max_instances) {
        return;
    }
    let what = if is_interval { "the interval" } else { "the time between two fires" };
    let message = format!("this timeout is longer than {what}, {}", DurationText(distance));
    let help = "an attempt that takes so long makes the job skip fire times";
    out.push(site.child("timeout").diagnostic(codes::TIMEOUT_OVER_PERIOD, message).help(help));
}

/// The shortest distance on the wall clock between the first few fires from [`SAMPLE_START_S`] on: enough to see
/// the step of an expression, whatever its hours and days are.
///
/// [`SAMPLE_START_S`]: super::crowd::SAMPLE_START_S
fn shortest_distance(cron: &CronTrigger) -> Option<Duration> {
    let mut last_s = cron.expr.next_local(super::crowd::SAMPLE_START_S - 1)?;
    let mut shortest: Option<i64> = None;
    for _ in 0..DISTANCES_LOOKED_AT {
        let Some(next_s) = cron.expr.next_local(last_s) else { break };
        shortest = Some(shortest.map_or(next_s - last_s, |known| known.min(next_s - last_s)));
        last_s = next_s;
    }
    shortest.and_then(|seconds| u64::try_from(seconds).ok()).map(Duration::from_secs)
}
