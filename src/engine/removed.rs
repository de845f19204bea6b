//! Jobs that were removed. A job that is declared under the name of one comes back as that one, with its
//! history and phase (D4); of several that had the name it is the one that was removed last.

use std::collections::BTreeMap;

use crate::engine::execution::JobUid;
use crate::engine::plan::AppliedJob;
use crate::spec::job::JobName;

/// Removed jobs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Removed {
    /// By their last name, the newest removal last; never an empty list.
    by_name: BTreeMap<JobName, Vec<AppliedJob>>,
}

impl Removed {
    /// Takes in a job that was removed after all that are here.
    pub fn push(&mut self, job: AppliedJob) {
        self.by_name.entry(job.spec.name.clone()).or_default().push(job);
    }

    /// The job that comes back under a name.
    pub fn newest(&self, name: &JobName) -> Option<&AppliedJob> {
        self.by_name.get(name)?.last()
    }

    /// A job has come back under a name; others that had it stay.
    pub fn take(&mut self, name: &JobName, uid: &JobUid) {
        if let Some(jobs) = self.by_name.get_mut(name) {
            jobs.retain(|job| job.uid != *uid);
            if jobs.is_empty() {
                self.by_name.remove(name);
            }
        }
    }

    /// All of them.
    pub fn values(&self) -> impl Iterator<Item = &AppliedJob> {
        self.by_name.values().flatten()
    }
}
