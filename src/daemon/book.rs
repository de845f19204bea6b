//! The book of trusted definitions (D13): what this daemon has read itself, from a manifest or from its
//! last good snapshot in the state directory. Nothing else is ever executed; the store's copy is for
//! comparing and for the calendar. Jobs that no source declares are the exception: they live in the store, and
//! count only as far as a request might have said the same ([`Grant`]).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing::warn;

use crate::engine::execution::Row;
use crate::engine::plan::{Change, Owner};
use crate::engine::rollback::Former;
use crate::io::last_good::LastGood;
use crate::io::store::document::JobDocument;
use crate::spec::grant::Grant;
use crate::spec::job::{DeclaredJob, Digest, JobName, JobSet, JobSpec};

/// Definitions by name and digest.
#[derive(Debug)]
pub(super) struct Book {
    last_good: Arc<LastGood>,
    trusted: Mutex<BTreeMap<(JobName, Digest), Arc<JobSpec>>>,
    /// What a definition that no manifest holds may say.
    grant: Grant,
}

impl Book {
    /// A book with its last good definitions.
    pub(super) fn new(last_good: LastGood, grant: Grant) -> Self {
        Self { last_good: Arc::new(last_good), trusted: Mutex::default(), grant }
    }

    /// What a definition that no manifest holds may say.
    pub(super) fn grant(&self) -> &Grant {
        &self.grant
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
        let spec = JobSpec::from_canonical(&name, &document.spec.to_string()).ok().map(Arc::new)?;
        // Definitions of requests live in the store, and may say no more than a request may (D13).
        let is_owned = Owner(document.owner.as_str().into()).as_source().is_none();
        if is_owned && spec.digest() == digest && self.grant.check(&spec).is_ok() {
            self.trusted().insert((name, digest), Arc::clone(&spec));
        }
        Some(spec)
    }

    /// Reads the last good definitions of stored jobs that no manifest has declared, and those that executions
    /// in flight began with and may need again (C2).
    pub(super) async fn read_last_good(&self, documents: &[JobDocument], in_flight: &[Row]) {
        let bounded = in_flight.iter().filter(|row| row.rules.is_some());
        let keys = bounded.map(|row| (row.job.clone(), row.provenance.digest.clone()));
        let mut wanted: BTreeSet<(JobName, Digest)> =
            keys.filter(|(name, digest)| self.find(name, digest).is_none()).collect();
        for document in documents {
            let digest = Digest(document.digest.as_str().into());
            if let Ok(name) = JobName::parse(&document.name)
                && self.find(&name, &digest).is_none()
            {
                wanted.insert((name, digest));
            }
        }
        if wanted.is_empty() {
            return;
        }
        let last_good = Arc::clone(&self.last_good);
        let read = tokio::task::spawn_blocking(move || last_good.read(&wanted)).await;
        let mut trusted = self.trusted();
        for spec in read.unwrap_or_default() {
            trusted.insert((spec.name.clone(), spec.digest()), Arc::new(spec));
        }
    }

    /// Keeps the definitions of changes for the day when their manifest cannot be read. Before they are
    /// applied: then what is applied is always kept.
    pub(super) async fn keep(&self, changes: &[Change]) -> std::io::Result<()> {
        let specs: Vec<_> = changes
            .iter()
            .filter_map(Change::declared)
            .map(|job| (job.digest.clone(), Arc::clone(&job.spec)))
            .collect();
        let last_good = Arc::clone(&self.last_good);
        let keep = move || last_good.keep(specs.iter().map(|(digest, spec)| (digest, spec)));
        tokio::task::spawn_blocking(keep).await.map_err(std::io::Error::other)?
    }

    /// The definitions that jobs had before: those of the last [`PLANS_KEPT`] plans are there. Else the names
    /// of those that are not.
    pub(super) async fn recall(
        &self,
        jobs: &BTreeMap<JobName, Former>,
    ) -> Result<JobSet, Vec<JobName>> {
        let missing = |former: &&Former| self.find(&former.name, &former.digest).is_none();
        let wanted: BTreeSet<_> = jobs
            .values()
            .filter(missing)
            .map(|former| (former.name.clone(), former.digest.clone()))
            .collect();
        let last_good = Arc::clone(&self.last_good);
        let read = tokio::task::spawn_blocking(move || last_good.read(&wanted)).await;
        let mut read: BTreeMap<JobName, Arc<JobSpec>> = read
            .unwrap_or_default()
            .into_iter()
            .map(|spec| (spec.name.clone(), Arc::new(spec)))
            .collect();
        let (mut recalled, mut lost) = (JobSet::new(), Vec::new());
        for (name, former) in jobs {
            let Some(spec) = read.remove(name).or_else(|| self.find(name, &former.digest)) else {
                lost.push(name.clone());
                continue;
            };
            let (digest, source) = (former.digest.clone(), former.source.clone());
            recalled.insert(name.clone(), DeclaredJob { spec, digest, source });
        }
        if lost.is_empty() { Ok(recalled) } else { Err(lost) }
    }

    /// Forgets definitions that no job has any more, here and in the folder; what was `replaced` just now stays
    /// in the folder for a while.
    pub(super) async fn forget_all_but(&self, used: BTreeSet<Digest>, replaced: BTreeSet<Digest>) {
        self.trusted().retain(|(_, digest), _| used.contains(digest));
        let last_good = Arc::clone(&self.last_good);
        let forget = move || {
            last_good.replace(replaced)?;
            last_good.forget_all_but(&used)
        };
        match tokio::task::spawn_blocking(forget).await {
            Ok(Ok(())) => {}
            // A pack that stays is only a file too many.
            Ok(Err(error)) => warn!(%error, "cannot tidy up the last good definitions"),
            Err(error) => warn!(%error, "cannot tidy up the last good definitions"),
        }
    }
}
