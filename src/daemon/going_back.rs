//! Going back to what was applied before, and on again: `sync rollback`, `sync undo`, `sync resume`.

use std::collections::BTreeSet;

use tokio::time::sleep;

use crate::daemon::look::{Back, Looked};
use crate::daemon::reader::Seen;
use crate::daemon::reconciler::{AGAIN_PAUSE, Reconciler, TRIES_MAX};
use crate::engine::condition::{Condition, Unmet};
use crate::engine::plan::{self, AppliedJob, Plan, PruneGuard};
use crate::engine::rollback::{PinChange, earlier};
use crate::spec::job::JobName;

impl Reconciler {
    /// Applies the jobs of then, and pins them. All of it or nothing: removals that the guard holds back must
    /// be counted by whoever asks.
    pub(super) async fn go_back(
        &mut self,
        seen: &mut Seen,
        back: &Back,
        allow_prune: Option<usize>,
    ) -> Result<Looked, Unmet> {
        self.look_twice(seen).await;
        for _ in 0..TRIES_MAX {
            let mut plan = self.plan_back(back, &BTreeSet::new()).await?;
            let only = Condition { allow_prune, ..Condition::default() };
            let confirmed = only.check(&plan, "")?;
            if !confirmed.is_empty() {
                plan = self.plan_back(back, &confirmed).await?;
            }
            if !plan.held.is_empty() {
                return Err(Unmet::Prune { allowed: 0, held: plan.held.len() });
            }
            if let Some(looked) = self.try_plan(seen, plan).await {
                return Ok(looked);
            }
            sleep(AGAIN_PAUSE).await;
        }
        Ok(self.give_up(seen, "rollback"))
    }

    /// The plan towards the jobs of then.
    async fn plan_back(&self, back: &Back, confirmed: &BTreeSet<JobName>) -> Result<Plan, Unmet> {
        let applied = self.applied.borrow().clone();
        if applied.generation != back.from {
            return Err(Unmet::Generation { expected: back.from, is: applied.generation });
        }
        let names = self.source_names();
        let is_ours = |job: &AppliedJob| job.owner.as_source().is_some();
        let then = earlier(&applied.jobs, &back.plans, is_ours);
        let recalled = self.book.recall(&then.jobs).await;
        let desired = recalled.map_err(|jobs| Unmet::NotKept { jobs })?;
        let sources = plan::Sources {
            names,
            // What was there is known, and not looked for.
            confirmed_absent: applied.jobs.keys().cloned().collect(),
            guard: self.guard(),
            confirmed: confirmed.clone(),
            renamed: then.renamed,
            ..plan::Sources::default()
        };
        let revision = back.pin.revision.clone();
        let mut plan = plan::diff(applied.generation, revision, &desired, &applied.jobs, &sources);
        plan.origin = format!("rollback by {}", back.pin.by);
        plan.pin = Some(PinChange::Set(back.pin.clone()));
        Ok(plan)
    }

    /// Ends the pin, and applies what is declared.
    pub(super) async fn resume(&mut self, seen: &mut Seen, actor: &str) -> Result<Looked, Unmet> {
        self.look_twice(seen).await;
        for _ in 0..TRIES_MAX {
            if self.applied.borrow().pin.is_none() {
                return Err(Unmet::NotPinned);
            }
            let origin = format!("resume by {actor}");
            let mut plan = self.declared_plan(seen, &origin, &BTreeSet::new());
            plan.pin = Some(PinChange::Clear);
            if let Some(looked) = self.try_plan(seen, plan).await {
                return Ok(looked);
            }
            sleep(AGAIN_PAUSE).await;
        }
        Ok(self.give_up(seen, "resume"))
    }

    fn source_names(&self) -> Vec<String> {
        let folders = self.reader.sources.folders.iter().map(|source| source.name.clone());
        let git = self.reader.sources.git.iter().map(|git| git.name.to_string());
        folders.chain(git).collect()
    }

    fn guard(&self) -> PruneGuard {
        self.policy.guard
    }
}
