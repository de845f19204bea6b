//! Going back to what was applied before, and on again.

use tokio::sync::oneshot;

use crate::daemon::api::Answers;
use crate::daemon::look::{Back, Look};
use crate::diagnostic::quoted;
use crate::engine::condition::Unmet;
use crate::engine::request::Refusal;
use crate::engine::rollback::{Pin, TakenBack};
use crate::io::clock;
use crate::io::http::documents::sync::{GoBackDocument, ResumeDocument, SyncDocument};
use crate::io::store::document::PlanDocument;

/// Among how many of the newest plans a revision is looked for.
const PLANS_SEARCHED: usize = 200;
/// Who it was, where nobody says.
const NOBODY: &str = "api";

impl Answers {
    pub(super) async fn go_back(&self, asked: GoBackDocument) -> Result<SyncDocument, Refusal> {
        let before = self.handle.applied.borrow().clone();
        let plans = self.ask_store(self.handle.store.plans(PLANS_SEARCHED)).await?;
        let count = match &asked.revision {
            Some(revision) => plans_since(&plans, revision)?,
            // Taking back a rollback would bring back what somebody went away from.
            None => match before.pin.clone() {
                Some(pin) => return Err(Unmet::Pinned { pin: Box::new(pin) }.refusal()),
                None => last_change(&plans)? + 1,
            },
        };
        let target = plans.get(count);
        let pin = Pin {
            revision: target.map_or("", |plan| plan.revision.as_str()).into(),
            generation: target.map_or(0, |plan| plan.generation.unsigned_abs()),
            by: asked.actor.unwrap_or_else(|| NOBODY.to_owned()),
            at: clock::wall(),
            reason: asked.reason,
        };
        let back = Back {
            plans: taken_back(&plans[..count.min(plans.len())])?,
            from: plans.first().map_or(0, |plan| plan.generation.unsigned_abs()),
            pin,
        };
        let (done, looked) = oneshot::channel();
        let look = Look::GoBack { back, allow_prune: asked.allow_prune, done };
        let looked = self.look(look, looked).await?;
        self.looked(looked, &before).await
    }

    pub(super) async fn resume(&self, asked: ResumeDocument) -> Result<SyncDocument, Refusal> {
        let before = self.handle.applied.borrow().clone();
        let actor = asked.actor.unwrap_or_else(|| NOBODY.to_owned());
        let (done, looked) = oneshot::channel();
        let looked = self.look(Look::Resume { actor, done }, looked).await?;
        self.looked(looked, &before).await
    }
}

/// How many of the newest plans came after the one that led to the revision.
fn plans_since(plans: &[PlanDocument], revision: &str) -> Result<usize, Refusal> {
    let is_meant = |plan: &&PlanDocument| plan.revision.starts_with(revision);
    let Some(found) = plans.iter().find(is_meant).filter(|_| !revision.is_empty()) else {
        return Err(nothing(format!("no applied plan has the revision {}", quoted(revision))));
    };
    match plans.iter().filter(is_meant).find(|plan| plan.revision != found.revision) {
        Some(_) => Err(nothing(format!("several revisions begin with {}", quoted(revision)))),
        None => Ok(plans.iter().take_while(|plan| plan.generation != found.generation).count()),
    }
}

/// Which plan is the newest that changed jobs.
fn last_change(plans: &[PlanDocument]) -> Result<usize, Refusal> {
    let changed = plans.iter().position(PlanDocument::has_changed_jobs);
    changed.ok_or_else(|| nothing("no plan has changed a job".to_owned()))
}

fn taken_back(plans: &[PlanDocument]) -> Result<Vec<Vec<TakenBack>>, Refusal> {
    let kept: Option<Vec<_>> = plans.iter().map(PlanDocument::taken_back).collect();
    kept.ok_or_else(|| {
        nothing("an earlier version of the program did not keep what a plan replaced".to_owned())
    })
}

fn nothing(message: String) -> Refusal {
    let help = Some("`cronwright sync history` shows the revisions".to_owned());
    Refusal { code: "E0508", message, help }
}
