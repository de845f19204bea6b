//! The queue: jobs ordered by when their next occurrence starts.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::schedule::Occurrence;
use crate::spec::job::JobName;
use crate::time::Timestamp;

/// Jobs by the start of their next occurrence; a job stands in it at most once.
#[derive(Debug, Default)]
pub struct FireQueue {
    by_start: BTreeSet<(Timestamp, JobName)>,
    /// The fire times of those that start later than they are due; all others are due when they start.
    delayed: BTreeSet<(Timestamp, JobName)>,
    next: BTreeMap<JobName, Occurrence>,
}

impl FireQueue {
    /// Puts a job at the start of its next occurrence, wherever it stood before; `None` takes it out.
    pub fn set(&mut self, job: &JobName, next: Option<Occurrence>) {
        if let Some(before) = self.next.remove(job) {
            self.by_start.remove(&(before.start_time, job.clone()));
            self.forget_fire(before, job);
        }
        if let Some(next) = next {
            if next.start_time != next.fire_time {
                self.delayed.insert((next.fire_time, job.clone()));
            }
            self.by_start.insert((next.start_time, job.clone()));
            self.next.insert(job.clone(), next);
        }
    }

    /// The first start time.
    pub fn first(&self) -> Option<Timestamp> {
        self.by_start.first().map(|(start_time, _)| *start_time)
    }

    /// The first fire time. It is not after the first start time, and may be long past: that occurrence
    /// is due, and waits for its start.
    pub fn first_fire(&self) -> Option<Timestamp> {
        let delayed = self.delayed.first().map(|(fire_time, _)| *fire_time);
        // A delayed start is later than its own fire time, so that it never hides one.
        self.first().into_iter().chain(delayed).min()
    }

    /// Takes the first job out when its time has come.
    pub fn pop_due(&mut self, now: Timestamp) -> Option<JobName> {
        if self.first()? > now {
            return None;
        }
        let (_, job) = self.by_start.pop_first()?;
        if let Some(next) = self.next.remove(&job) {
            self.forget_fire(next, &job);
        }
        Some(job)
    }

    fn forget_fire(&mut self, next: Occurrence, job: &JobName) {
        if next.start_time != next.fire_time {
            self.delayed.remove(&(next.fire_time, job.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::trigger::TriggerKind;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_timestamp(second, 0).unwrap()
    }

    fn next(fire: i64, start: i64) -> Occurrence {
        let (fire_time, start_time) = (at(fire), at(start));
        Occurrence { fire_time, start_time, trigger: TriggerKind::Cron }
    }

    #[test]
    fn starts_come_in_order_and_the_first_fire_time_is_that_of_whoever_waits() {
        let names = ["a", "b", "c"].map(|name| JobName::parse(name).unwrap());
        let [a, b, c] = &names;
        let mut queue = FireQueue::default();
        let firsts = |queue: &FireQueue| (queue.first(), queue.first_fire());
        assert_eq!(firsts(&queue), (None, None));
        queue.set(a, Some(next(10, 40)));
        queue.set(b, Some(next(20, 20)));
        queue.set(c, Some(next(15, 30)));
        assert_eq!(firsts(&queue), (Some(at(20)), Some(at(10))));
        assert_eq!(queue.pop_due(at(19)), None);
        assert_eq!(queue.pop_due(at(25)).as_ref(), Some(b));
        assert_eq!(queue.pop_due(at(25)), None);
        queue.set(a, Some(next(50, 50)));
        assert_eq!(firsts(&queue), (Some(at(30)), Some(at(15))));
        assert_eq!(queue.pop_due(at(60)).as_ref(), Some(c));
        assert_eq!(firsts(&queue), (Some(at(50)), Some(at(50))));
        queue.set(a, None);
        assert_eq!(firsts(&queue), (None, None));
    }
}
