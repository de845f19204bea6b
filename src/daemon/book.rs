//! The book of trusted definitions (D13): what this daemon has read itself, from a manifest or from its
//! last good snapshot in the state directory. Nothing else is ever executed; the store's copy is for
//! comparing and for the calendar.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::engine::plan::AppliedJob;
use crate::io::last_good;
use crate::io::store::document::JobDocument;
use crate::spec::job::{Digest, JobName, JobSet, JobSpec};

/// Definitions by name and digest.
#[derive(Debug)]
pub(super) struct Book {
    folder: PathBuf,
    trusted: Mutex<BTreeMap<(JobName, Digest), Arc<JobSpec>>>,
}

impl Book {
    /// A book that keeps its last good definitions in `folder`.
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder, trusted: Mutex::default() }
    }

    fn trusted(&self) -> MutexGuard<'_, BTreeMap<(JobName, Digest), Arc<JobSpec>>> {
        self.trusted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in what a snapshot declares.
    pub(super) fn learn(&self, jobs: &JobSet) {
        let mut trusted = self.trusted();
        for job in jobs.values() {
            trusted.insert((job.spec.name.clone(), job.digest.clone()), Arc::clone(&job.spec));
        }
    }

    /// The definition to execute, if it is trusted.
    pub(super) fn find(&self, name: &JobName, digest: &Digest) -> Option<Arc<JobSpec>> {
        self.trusted().get(&(name.clone(), digest.clone())).cloned()
    }

    /// The definition to compute due times with: the trusted one, else the store's own copy.
    pub(super) fn definition(&self, document: &JobDocument) -> Option<Arc<JobSpec>> {
        let name = JobName::parse(&document.name).ok()?;
        let digest = Digest(document.digest.as_str().into());
        if let Some(spec) = self.find(&name, &digest) {
            return Some(spec);
        }
        JobSpec::from_canonical(&name, &document.spec.to_string()).ok().map(Arc::new)
    }

    /// Reads the last good definitions of stored jobs that no manifest has declared.
    pub(super) async fn read_last_good(&self, documents: &[JobDocument]) {
        let mut wanted = Vec::new();
        for document in documents {
            let digest = Digest(document.digest.as_str().into());
            if let Ok(name) = JobName::parse(&document.name)
                && self.find(&name, &digest).is_none()
            {
                wanted.push((name, digest));
            }
        }
        let folder = self.folder.clone();
        let read = tokio::task::spawn_blocking(move || last_good::read(&folder, wanted)).await;
        let mut trusted = self.trusted();
        for spec in read.unwrap_or_default() {
            trusted.insert((spec.name.clone(), spec.digest()), Arc::new(spec));
        }
    }

    /// Keeps definitions for the day when their manifest cannot be read.
    pub(super) async fn keep(&self, jobs: &[AppliedJob]) -> std::io::Result<()> {
        let folder = self.folder.clone();
        let specs: Vec<_> =
            jobs.iter().map(|job| (job.digest.clone(), Arc::clone(&job.spec))).collect();
        let keep = move || last_good::keep(&folder, &specs);
        tokio::task::spawn_blocking(keep).await.map_err(std::io::Error::other)?
    }

    /// Forgets definitions that no job has any more, here and in the folder.
    pub(super) async fn forget_all_but(&self, used: BTreeSet<Digest>) {
        self.trusted().retain(|(_, digest), _| used.contains(digest));
        let folder = self.folder.clone();
        // A file that stays is only a file too many.
        drop(tokio::task::spawn_blocking(move || last_good::sweep(&folder, &used)).await);
    }
}
