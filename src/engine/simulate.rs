//! What jobs would do in a range of time: their fires on a virtual clock, and where executions would
//! stand beside each other.
//!
//! The fires come from the schedule and the queue that the scheduler itself uses. How long an execution
//! takes is not known beforehand: it is taken to last as long as its `timeout` lets it, and where there is
//! none, for the instant alone ([`INSTANT`]). Admission is left out: nothing is late on a virtual clock.

use std::collections::BTreeMap;
use std::ops::Range;

use chrono::TimeDelta;

use crate::engine::plan::AppliedJob;
use crate::engine::schedule::next_after;
use crate::spec::policy::Overlap;
use crate::time::Timestamp;

/// How long an execution without `timeout` is taken to last: fire times are whole milliseconds, so that
/// this touches its own instant and no other.
pub const INSTANT: TimeDelta = TimeDelta::milliseconds(1);

/// The most pairs of fires that one question about overlaps is answered with.
pub const OVERLAPS_MAX: usize = 1_000;

/// One fire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fire {
    /// When it is due.
    pub fire_time: Timestamp,
    /// When it starts: later, where its trigger has jitter. What comes together is counted by it.
    pub at: Timestamp,
    /// Whose it is: the index of the job.
    pub job: usize,
}

/// A range with more fires than asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooManyFires;

/// A moment, and how much comes together in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peak {
    /// When it begins; of several as busy ones, the first.
    pub at: Timestamp,
    /// How many.
    pub count: usize,
}

/// Executions of two jobs that would run at the same time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overlaps {
    /// Pairs of fires, the first job's first.
    pub pairs: Vec<(Timestamp, Timestamp)>,
    /// There are more than [`OVERLAPS_MAX`].
    pub more: bool,
}

/// The fires of the jobs in a range (start included, end excluded), in the order of their starts, by place
/// in `jobs` within an instant. More than `limit` are an error.
pub fn fires(
    jobs: &[AppliedJob],
    range: &Range<Timestamp>,
    limit: usize,
) -> Result<Vec<Fire>, TooManyFires> {
    let next = |index: usize, after: Timestamp| {
        let due = next_after(jobs.get(index)?, after)?;
        (due.fire_time < range.end).then_some(((due.start_time, index), due.fire_time))
    };
    let before = range.start.checked_sub_signed(TimeDelta::nanoseconds(1)).unwrap_or(range.start);
    let mut queue: BTreeMap<(Timestamp, usize), Timestamp> =
        (0..jobs.len()).filter_map(|index| next(index, before)).collect();
    let mut fires = Vec::new();
    while let Some(((at, job), fire_time)) = queue.pop_first() {
        if fires.len() == limit {
            return Err(TooManyFires);
        }
        fires.push(Fire { fire_time, at, job });
        queue.extend(next(job, fire_time));
    }
    Ok(fires)
}

/// How long an execution of the job is taken to last; and whether its `timeout` says so.
pub fn assumed_length(job: &AppliedJob) -> (TimeDelta, bool) {
    let timeout = job.spec.timeout.and_then(|timeout| TimeDelta::from_std(timeout).ok());
    timeout.map_or((INSTANT, false), |timeout| (timeout.max(INSTANT), true))
}

/// The stretch of this length, aligned to multiples of itself since 1970, that has the most fires.
pub fn busiest(fires: &[Fire], length_s: i64) -> Option<Peak> {
    let stretch = |at: Timestamp| at.timestamp().div_euclid(length_s);
    let peaks = fires.chunk_by(|a, b| stretch(a.at) == stretch(b.at)).filter_map(|chunk| {
        let at = Timestamp::from_timestamp(stretch(chunk.first()?.at) * length_s, 0)?;
        Some(Peak { at, count: chunk.len() })
    });
    first_highest(peaks)
}

/// When the most executions would run at once. What a job's own limit keeps from starting does not count.
pub fn most_at_once(jobs: &[AppliedJob], fires: &[Fire]) -> Option<Peak> {
    let mut ends: BTreeMap<Timestamp, Vec<usize>> = BTreeMap::new();
    let mut in_flight = vec![0_u32; jobs.len()];
    let mut running = 0;
    let peaks = fires.iter().filter_map(|fire| {
        while let Some(entry) = ends.first_entry().filter(|entry| *entry.key() <= fire.at) {
            for index in entry.remove() {
                running -= 1;
                in_flight[index] -= 1;
            }
        }
        let job = jobs.get(fire.job)?;
        let limit =
            if job.spec.overlap == Overlap::Allow { u32::MAX } else { job.spec.max_instances };
        if in_flight[fire.job] < limit {
            running += 1;
            in_flight[fire.job] += 1;
            let end = fire.at.checked_add_signed(assumed_length(job).0);
            ends.entry(end.unwrap_or(Timestamp::MAX_UTC)).or_default().push(fire.job);
        }
        Some(Peak { at: fire.at, count: running })
    });
    first_highest(peaks)
}

fn first_highest(mut peaks: impl Iterator<Item = Peak>) -> Option<Peak> {
    let first = peaks.next()?;
    Some(peaks.fold(first, |best, peak| if peak.count > best.count { peak } else { best }))
}

/// The executions of two jobs (indices) that would run at the same time.
pub fn overlaps(jobs: &[AppliedJob], fires: &[Fire], a: usize, b: usize) -> Overlaps {
    let of = |index: usize| {
        let length = jobs.get(index).map_or(INSTANT, |job| assumed_length(job).0);
        let own = fires.iter().filter(move |fire| fire.job == index);
        let end = move |at: Timestamp| at.checked_add_signed(length).unwrap_or(Timestamp::MAX_UTC);
        own.map(|fire| (fire.at, end(fire.at))).collect::<Vec<_>>()
    };
    let (firsts, seconds) = (of(a), of(b));
    let mut found = Overlaps::default();
    // All executions of a job last equally long, so that ends are in the order of starts.
    let mut passed = 0;
    for (start, end) in firsts {
        while seconds.get(passed).is_some_and(|(_, second_end)| *second_end <= start) {
            passed += 1;
        }
        let others = seconds.iter().skip(passed).take_while(|(second, _)| *second < end);
        for (second, _) in others {
            if found.pairs.len() == OVERLAPS_MAX {
                found.more = true;
                return found;
            }
            found.pairs.push((start, *second));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::plan::{Change, Owner};
    use crate::engine::scheduler::preview;
    use crate::spec::manifest::{Content, Known, ManifestFile, load};

    const START: &str = "2026-03-29T00:00:00Z";

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn jobs(text: &str) -> Vec<AppliedJob> {
        let content = Content::Bytes(text.as_bytes().into());
        let file = ManifestFile { path: "a.yaml".into(), source: "jobs.d".into(), content };
        let loaded = load(&[file], &Known::default());
        assert!(!loaded.has_errors(), "{:?}", loaded.diagnostics);
        let create = |to| Change::Create { to, owner: Owner::source("jobs.d") };
        loaded.jobs.into_values().filter_map(|to| preview(at(START), &create(to))).collect()
    }

    fn shown(jobs: &[AppliedJob], fires: &[Fire]) -> Vec<String> {
        let show =
            |fire: &Fire| format!("{} {}", fire.at.format("%H:%M:%S"), jobs[fire.job].spec.name);
        fires.iter().map(show).collect()
    }

    const MIXED: &str = "jobs:
  z: {cron: '0 * * * *', command: x, timeout: 90m}
  gap: {cron: '30 2 * * *', timezone: Europe/Berlin, command: x}
  each: {interval: 50m, command: x, timeout: 10m}
  off: {cron: '* * * * *', command: x, enabled: false}
";

    #[test]
    fn fires_are_those_of_the_scheduler_start_included_end_excluded() {
        let jobs = jobs(MIXED);
        let range = at(START)..at("2026-03-29T02:00:00Z");
        let fires = fires(&jobs, &range, 100).unwrap();
        assert_eq!(
            shown(&jobs, &fires),
            ["00:00:00 z", "00:50:00 each", "01:00:00 gap", "01:00:00 z", "01:40:00 each"]
        );
        assert_eq!(busiest(&fires, 1), Some(Peak { at: at("2026-03-29T01:00:00Z"), count: 2 }));
        // `z` runs from 00:00 until 01:30, which keeps its next execution from starting.
        let most = most_at_once(&jobs, &fires);
        assert_eq!(most, Some(Peak { at: at("2026-03-29T00:50:00Z"), count: 2 }));
    }

    #[test]
    fn a_range_with_more_fires_than_asked_for_is_refused_and_an_empty_one_has_no_peak() {
        let jobs = jobs(MIXED);
        let range = at(START)..at("2026-03-29T02:00:00Z");
        assert_eq!(fires(&jobs, &range, 5).map(|fires| fires.len()), Ok(5));
        assert_eq!(fires(&jobs, &range, 4), Err(TooManyFires));
        let none = fires(&jobs, &(at(START)..at(START)), 4).unwrap();
        assert_eq!((busiest(&none, 60), most_at_once(&jobs, &none)), (None, None));
    }

    #[test]
    fn overlaps_count_the_timeout_and_else_the_instant() {
        let jobs = jobs(MIXED);
        let index =
            |name: &str| jobs.iter().position(|job| job.spec.name.as_str() == name).unwrap();
        let range = at(START)..at("2026-03-29T03:00:00Z");
        let fires = fires(&jobs, &range, 100).unwrap();
        let pairs = |a: &str, b: &str| {
            let found = overlaps(&jobs, &fires, index(a), index(b));
            let show = |(a, b): &(Timestamp, Timestamp)| {
                format!("{}/{}", a.format("%H:%M"), b.format("%H:%M"))
            };
            found.pairs.iter().map(show).collect::<Vec<_>>()
        };
        assert_eq!(pairs("z", "gap"), ["00:00/01:00", "01:00/01:00"]);
        assert_eq!(pairs("gap", "z"), ["01:00/00:00", "01:00/01:00"]);
        // 00:50 + 10m ends as 01:00 begins.
        assert_eq!(pairs("each", "gap"), [""; 0]);
        assert_eq!(pairs("each", "z"), ["00:50/00:00", "01:40/01:00", "02:30/02:00"]);
    }

    #[test]
    fn very_many_overlaps_are_cut() {
        let jobs = jobs(
            "jobs:\n  a: {cron: '* * * * *', command: x, timeout: 1h}\n  b: {cron: '* * * * *', command: x, timeout: 1h}\n",
        );
        let fires = fires(&jobs, &(at(START)..at("2026-03-29T02:00:00Z")), 1_000).unwrap();
        let found = overlaps(&jobs, &fires, 0, 1);
        assert_eq!((found.pairs.len(), found.more), (OVERLAPS_MAX, true));
    }
}
