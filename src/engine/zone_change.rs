//! What new time zone data changes: the first fire of each job that is not where it was (E5).

use std::collections::BTreeMap;

use crate::engine::plan::{AppliedJob, AppliedSet};
use crate::spec::job::JobName;
use crate::spec::trigger::{CronTrigger, Schedule};
use crate::time::{Timestamp, Zone};

/// How many fires of a trigger are compared: a year of one that is due once a day.
const COMPARED_MAX: usize = 366;

/// A job whose fire times are others than with the zone data of before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// The job.
    pub job: JobName,
    /// The zone whose data changed.
    pub zone: String,
    /// The first fire that is not where it was; none: there was none.
    pub before: Option<Timestamp>,
    /// The fire in its place; none: there is none.
    pub after: Option<Timestamp>,
}

/// The jobs that are due at other times after `now` than with the zones of before, by name. `old` holds the
/// zones whose data changed.
pub fn moved(jobs: &AppliedSet, old: &BTreeMap<String, Zone>, now: Timestamp) -> Vec<Moved> {
    let first = |job: &AppliedJob| {
        let moves = job.spec.triggers.iter().filter_map(|trigger| match &trigger.schedule {
            Schedule::Cron(cron) => moved_fire(job, cron, old.get(cron.zone.name())?, now),
            // Elapsed time and single instants are in no zone once they are read.
            Schedule::Interval(_) | Schedule::Date(_) => None,
        });
        moves.min_by_key(|moved| moved.before.or(moved.after))
    };
    jobs.values().filter(|job| job.spec.enabled).filter_map(first).collect()
}

fn moved_fire(job: &AppliedJob, cron: &CronTrigger, old: &Zone, now: Timestamp) -> Option<Moved> {
    let old_cron = CronTrigger { zone: old.clone(), ..cron.clone() };
    let (mut before, mut after) = (old_cron.next_after(now), cron.next_after(now));
    for _ in 0..COMPARED_MAX {
        if before != after {
            let zone = old.name().to_owned();
            return Some(Moved { job: job.spec.name.clone(), zone, before, after });
        }
        // Both are the same; when there is no more, there is nothing to compare.
        before = old_cron.next_after(before?);
        after = cron.next_after(after?);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::plan::{Change, Owner};
    use crate::engine::scheduler::preview;
    use crate::spec::manifest::{Content, Known, ManifestFile, load};

    const JOBS: &str = "jobs:
  daily: {cron: '0 3 * * *', timezone: Europe/Berlin, command: x}
  summer: {cron: '0 3 1 7 *', timezone: Europe/Berlin, command: x}
  winter: {cron: '0 3 1 1 *', timezone: Europe/Berlin, command: x}
  off: {cron: '0 3 * * *', timezone: Europe/Berlin, enabled: false, command: x}
  elsewhere: {cron: '0 3 * * *', timezone: Asia/Tokyo, command: x}
  elapsed: {interval: 1h, timezone: Europe/Berlin, command: x}
";

    #[test]
    fn the_first_fire_that_moves_is_told_of_each_job() {
        let at = |text: &str| -> Timestamp { text.parse().unwrap() };
        let now = at("2026-02-01T00:00:00Z");
        let content = Content::Bytes(JOBS.as_bytes().into());
        let file = ManifestFile { path: "a.yaml".into(), source: "jobs.d".into(), content };
        let create = |to| Change::Create { to, owner: Owner::source("jobs.d") };
        let declared = load(&[file], &Known::default()).jobs;
        let jobs: AppliedSet = declared
            .into_iter()
            .map(|(name, to)| (name, preview(now, &create(to)).unwrap()))
            .collect();
        // Berlin without summer time, as older data might have it.
        let berlin = Zone::of_table("Europe/Berlin", 3_600, Vec::new());
        let old = BTreeMap::from([("Europe/Berlin".to_owned(), berlin)]);
        let found = moved(&jobs, &old, now);
        let shown: Vec<_> = found
            .iter()
            .map(|moved| (moved.job.as_str(), moved.before.unwrap(), moved.after.unwrap()))
            .collect();
        assert_eq!(
            shown,
            [
                ("daily", at("2026-03-29T02:00:00Z"), at("2026-03-29T01:00:00Z")),
                ("summer", at("2026-07-01T02:00:00Z"), at("2026-07-01T01:00:00Z")),
            ]
        );
        assert_eq!(moved(&jobs, &BTreeMap::new(), now), []);
    }
}
