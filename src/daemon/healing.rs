//! Drift: looking whether somebody has edited the jobs in the store, and mending it (D9).
//!
//! With every look at all sources, and before `apply`; not when a saved file is looked at alone, which must
//! be quick. What is applied is never taken from there, so nothing hangs on it but the truth of the copy.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use tracing::{debug, info, warn};

use crate::daemon::reconciler::Reconciler;
use crate::daemon::view::{Applied, Mended};
use crate::engine::plan::{Plan, Repair};
use crate::engine::scheduler::Phase;
use crate::io::clock;
use crate::io::store::document::{Drift, drift};
use crate::io::store::{Store, StoredJobs};
use crate::spec::settings::SelfHeal;

/// How long the store may take to read its jobs.
const READ_WITHIN: Duration = Duration::from_secs(10);

/// So many edited jobs are named in the log at once.
const TOLD_MAX: usize = 20;

/// What is known of drift.
#[derive(Debug)]
pub(super) struct Healing {
    store: Arc<dyn Store>,
    /// What is found and stays.
    pub(super) drift: Arc<Vec<Drift>>,
    /// What was mended.
    pub(super) mended: Mended,
}

impl Healing {
    /// Nothing is known yet.
    pub(super) fn of(store: &Arc<dyn Store>) -> Self {
        Self { store: Arc::clone(store), drift: Arc::default(), mended: Mended::default() }
    }
}

impl Reconciler {
    /// Compares the store's copy of the jobs with what is applied, and mends it if the settings say so.
    pub(super) async fn heal(&mut self) {
        let applied = self.applied.borrow().clone();
        // Who does not lead has nothing to say about it.
        if applied.phase != Phase::Active {
            return;
        }
        let Some(stored) = self.stored_jobs(&applied).await else { return };
        let jobs = Arc::clone(&applied.jobs);
        let compared = self.reader.background.run(move || drift(&jobs, stored)).await;
        let Some((found, repair)) = compared else { return };
        self.tell(&found);
        if found.is_empty() && !self.healing.drift.is_empty() {
            info!("the jobs in the store are what is applied again");
        }
        let mended = match self.policy.self_heal {
            SelfHeal::Repair if !repair.is_empty() => self.mend(&applied, repair).await,
            SelfHeal::Repair | SelfHeal::Report => None,
        };
        let left = match mended {
            Some(jobs) => {
                self.healing.mended.jobs += jobs;
                self.healing.mended.at = Some(clock::now().wall);
                // What cannot be mended is found again by the next look.
                Vec::new()
            }
            None => found,
        };
        self.healing.drift = Arc::new(left);
        let (drift, mended) = (Arc::clone(&self.healing.drift), self.healing.mended);
        self.sync.send_if_modified(|sync| {
            let is_new = sync.drift != drift || sync.mended != mended;
            (sync.drift, sync.mended) = (drift, mended);
            is_new
        });
    }

    /// Logs what was not found before.
    fn tell(&self, found: &[Drift]) {
        let known: BTreeSet<&str> = self.healing.drift.iter().map(|drift| &*drift.uid).collect();
        let fresh: Vec<&Drift> =
            found.iter().filter(|drift| !known.contains(&*drift.uid)).collect();
        for Drift { uid, job, kind } in fresh.iter().take(TOLD_MAX) {
            warn!(%job, %uid, kind = kind.as_str(), "somebody has edited the job in the store");
        }
        if fresh.len() > TOLD_MAX {
            warn!(more = fresh.len() - TOLD_MAX, "and so they have others");
        }
    }

    /// The stored jobs, when they are of the generation that is applied.
    async fn stored_jobs(&self, applied: &Applied) -> Option<StoredJobs> {
        match timeout(READ_WITHIN, self.healing.store.stored_jobs()).await {
            Ok(Ok(Some(stored))) if stored.generation == applied.generation => Some(stored),
            // Something was applied meanwhile: the next look sees to it.
            Ok(Ok(_)) => None,
            Ok(Err(error)) => {
                debug!(%error, "cannot compare the stored jobs");
                None
            }
            Err(_) => {
                debug!("cannot compare the stored jobs: the store does not answer");
                None
            }
        }
    }

    /// Writes the copy anew; how many jobs of it, or none if the plan was not taken.
    async fn mend(&mut self, applied: &Applied, repair: Repair) -> Option<u64> {
        let jobs = repair.write.len() + repair.remove.len();
        let plan = Plan {
            generation: applied.generation,
            revision: Arc::clone(&applied.revision),
            origin: "drift".to_owned(),
            unchanged: applied.jobs.len(),
            repair,
            ..Plan::default()
        };
        let is_mended = self.apply(&plan).await;
        if is_mended {
            info!(jobs, "wrote the edited jobs anew");
        }
        is_mended.then(|| u64::try_from(jobs).unwrap_or(u64::MAX))
    }
}
