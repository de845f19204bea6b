//! The state of the sources, and looking at them on order.

use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::daemon::api::{Answers, LOOK_WITHIN, busy, stopping};
use crate::daemon::look::{Look, Looked};
use crate::daemon::view::{Applied, Sync};
use crate::engine::condition::{Condition, Unmet};
use crate::engine::request::Refusal;
use crate::engine::rollback::Pin;
use crate::io::http::documents::diagnostics::DiagnosticEntry;
use crate::io::http::documents::plan::ChangeEntry;
use crate::io::http::documents::sync::{
    AppliedChangeEntry, AppliedPlanEntry, DriftEntry, MendedEntry, PinEntry, PlansDocument,
    SourceEntry, SyncDocument,
};
use crate::io::store;
use crate::io::store::document::{Drift, DriftKind};

/// A pin, as it is shown.
fn pin_entry(pin: &Pin) -> PinEntry {
    PinEntry {
        revision: pin.revision.to_string(),
        generation: pin.generation,
        by: pin.by.clone(),
        at: pin.at.fixed_offset(),
        reason: pin.reason.clone(),
    }
}

/// A drift, as it is shown.
fn drift_entry(drift: &Drift) -> DriftEntry {
    let fields = match &drift.kind {
        DriftKind::Changed(fields) => fields.iter().map(|field| (*field).to_owned()).collect(),
        DriftKind::Missing | DriftKind::Unknown | DriftKind::Damaged => Vec::new(),
    };
    DriftEntry {
        job: drift.job.clone(),
        uid: drift.uid.clone(),
        kind: drift.kind.as_str().to_owned(),
        fields,
    }
}

impl Answers {
    pub(super) async fn apply(
        &self,
        actor: String,
        only: Condition,
    ) -> Result<SyncDocument, Refusal> {
        // What the plan is seen in: the jobs as they were before it.
        let before = self.handle.applied.borrow().clone();
        let (done, looked) = oneshot::channel();
        let looked = self.look(Look::Asked { actor, only, done }, looked).await?;
        self.looked(looked, &before).await
    }

    /// What a look led to, seen in the jobs as they were `before`.
    pub(super) async fn looked(
        &self,
        looked: Result<Looked, Unmet>,
        before: &Applied,
    ) -> Result<SyncDocument, Refusal> {
        let Looked { plan, sync } = looked.map_err(|unmet| unmet.refusal())?;
        let plan = self.plan_document(&plan, &sync, before, None, false).await;
        Ok(SyncDocument { plan: Some(plan), ..self.sync_document(&sync) })
    }

    pub(super) fn sync(&self) -> SyncDocument {
        let sync = self.handle.sync.borrow().clone();
        self.sync_document(&sync)
    }

    pub(super) async fn look<T>(
        &self,
        look: Look,
        looked: oneshot::Receiver<T>,
    ) -> Result<T, Refusal> {
        self.handle.looks.send(look).await.map_err(|_| stopping())?;
        match timeout(LOOK_WITHIN, looked).await {
            Ok(looked) => looked.map_err(|_| stopping()),
            Err(_) => Err(busy()),
        }
    }

    /// The newest applied plans.
    pub(super) async fn plans(&self, limit: usize) -> Result<PlansDocument, Refusal> {
        let plans = self.ask_store(self.handle.store.plans(limit)).await?;
        let entry = |plan: store::document::PlanDocument| AppliedPlanEntry {
            generation: plan.generation.unsigned_abs(),
            revision: plan.revision,
            effective_at: plan.effective_at.fixed_offset(),
            origin: plan.origin,
            changes: plan
                .changes
                .into_iter()
                .map(|change| AppliedChangeEntry { action: change.action, job: change.job })
                .collect(),
        };
        let plans = plans.into_iter().map(entry).collect();
        Ok(PlansDocument { schema: PlansDocument::SCHEMA.to_owned(), plans })
    }

    fn sync_document(&self, sync: &Sync) -> SyncDocument {
        let applied = self.handle.applied.borrow().clone();
        let revision = Some(applied.revision.to_string()).filter(|revision| !revision.is_empty());
        let settings = self.settings();
        let folders = settings.sources.iter().map(|source| &source.name);
        let names = folders.chain(settings.git.iter().map(|git| &git.name));
        let sources = names.map(|name| SourceEntry {
            folder: name.clone(),
            state: if sync.unreadable.contains(name) { "unreadable" } else { "read" }.to_owned(),
        });
        SyncDocument {
            schema: SyncDocument::SCHEMA.to_owned(),
            state: sync.state().to_owned(),
            applied: revision,
            attempted: Some(sync.attempted.to_string()).filter(|revision| !revision.is_empty()),
            looked_at: sync.looked_at.map(|at| at.fixed_offset()),
            generation: applied.generation,
            files: sync.files,
            sources: sources.collect(),
            diagnostics: sync.diagnostics.iter().map(DiagnosticEntry::of).collect(),
            blocked: sync
                .held
                .iter()
                .map(|held| ChangeEntry::blocked(held, applied.jobs.get(&held.job)))
                .collect(),
            confirm: sync.confirm.clone(),
            rejected: sync.rejected,
            pinned: applied.pin.as_ref().map(pin_entry),
            drift: sync.drift.iter().map(drift_entry).collect(),
            mended: sync
                .mended
                .at
                .map(|at| MendedEntry { jobs: sync.mended.jobs, at: at.fixed_offset() }),
            waiting: sync.waiting.clone(),
            plan: None,
        }
    }
}
