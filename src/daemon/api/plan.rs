//! Plans: what would change, with what follows from it.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::oneshot;

use crate::daemon::api::Answers;
use crate::daemon::look::{Look, Preview};
use crate::daemon::view::{Applied, Sync};
use crate::engine::execution::JobUid;
use crate::engine::plan::Plan;
use crate::engine::request::Refusal;
use crate::io::clock;
use crate::io::http::documents::diagnostics::DiagnosticEntry;
use crate::io::http::documents::plan::PlanDocument;
use crate::io::http::documents::planned::Surroundings;

impl Answers {
    pub(super) async fn plan(&self, definitions: bool) -> Result<PlanDocument, Refusal> {
        let (done, looked) = oneshot::channel();
        let Preview { plan, sync, sources_digest } =
            self.look(Look::Preview { done }, looked).await?;
        let applied = self.handle.applied.borrow().clone();
        let mut document =
            self.plan_document(&plan, &sync, &applied, Some(sources_digest), definitions).await;
        if let Some(pin) = &applied.pin {
            document.notes.push(format!(
                "the jobs are pinned at revision {}: this is applied after `cronwright sync resume`",
                pin.revision
            ));
        }
        Ok(document)
    }

    /// The document of a plan that was made against `applied`.
    pub(super) async fn plan_document(
        &self,
        plan: &Plan,
        sync: &Sync,
        applied: &Applied,
        sources_digest: Option<Arc<str>>,
        definitions: bool,
    ) -> PlanDocument {
        let running = self.running_counts().await;
        PlanDocument::of(
            plan,
            &Surroundings {
                now: clock::wall(),
                applied: &applied.jobs,
                applied_revision: Some(applied.revision.to_string()),
                against: None,
                overrides: &applied.overrides,
                running: running.as_ref(),
                diagnostics: sync.diagnostics.iter().map(DiagnosticEntry::of).collect(),
                sources_digest: sources_digest.map(|digest| digest.to_string()),
                branch: None,
                dirty: None,
                notes: Vec::new(),
                definitions,
            },
        )
    }

    /// How many executions of each job run; none when the store does not say so. A plan is told all the same.
    async fn running_counts(&self) -> Option<BTreeMap<JobUid, usize>> {
        let rows = self.ask_store(self.handle.store.in_flight()).await.ok()?;
        let mut counts = BTreeMap::new();
        for row in rows {
            *counts.entry(row.uid).or_default() += 1;
        }
        Some(counts)
    }
}
