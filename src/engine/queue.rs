//! The queue: jobs ordered by their next start time.

use std::collections::{BTreeMap, BTreeSet};

use crate::spec::job::JobName;
use crate::time::Timestamp;

/// Jobs by next start time; a job stands in it at most once.
#[derive(Debug, Default)]
pub struct FireQueue {
    by_time: BTreeSet<(Timestamp, JobName)>,
    times: BTreeMap<JobName, Timestamp>,
}

impl FireQueue {
    /// Puts a job at `time`, wherever it stood before; `None` takes it out.
    pub fn set(&mut self, job: &JobName, time: Option<Timestamp>) {
        if let Some(before) = self.times.remove(job) {
            self.by_time.remove(&(before, job.clone()));
        }
        if let Some(time) = time {
            self.times.insert(job.clone(), time);
            self.by_time.insert((time, job.clone()));
        }
    }

    /// The first start time.
    pub fn first(&self) -> Option<Timestamp> {
        self.by_time.first().map(|(time, _)| *time)
    }

    /// Takes the first job out when its time has come.
    pub fn pop_due(&mut self, now: Timestamp) -> Option<JobName> {
        if self.first()? > now {
            return None;
        }
        let (_, job) = self.by_time.pop_first()?;
        self.times.remove(&job);
        Some(job)
    }

    /// When a job is due next.
    pub fn time_of(&self, job: &JobName) -> Option<Timestamp> {
        self.times.get(job).copied()
    }
}
