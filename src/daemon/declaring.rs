//! Jobs whose owner is no source: declared and taken back by name, by requests and by adapters.
//!
//! The same path as for files: their manifests are read by the same loader, against the same classes, and a plan is
//! applied. What they are is kept in the store's jobs, under their owner, and nowhere else.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::time::sleep;

use crate::daemon::log;
use crate::daemon::look::{Declare, Declared};
use crate::daemon::reader::Seen;
use crate::daemon::reconciler::{AGAIN_PAUSE, Reconciler, TRIES_MAX};
use crate::diagnostic::Diagnostic;
use crate::engine::declaration::{Declaration, Wish, declare};
use crate::engine::plan::{Change, Owner, Plan};
use crate::engine::request::Refusal;
use crate::spec::job::{DeclaredJob, JobName};
use crate::spec::manifest::{Content, Known, ManifestFile, load};

impl Reconciler {
    /// Applies all wishes that can be, as one plan.
    pub(super) async fn declare(&mut self, seen: &mut Seen, order: &Declare) -> Declared {
        self.reader.look_for_new_classes(seen).await;
        let (wishes, unread) = self.read_wishes(order);
        for _ in 0..TRIES_MAX {
            let applied = self.applied.borrow().clone();
            let Declaration { changes, mut refused } =
                declare(&applied.jobs, &order.owner, &wishes);
            refused.extend(unread.clone());
            let gone = changes.iter().filter(|change| change.applied().is_some()).count();
            let plan = Plan {
                generation: applied.generation,
                revision: Arc::clone(&applied.revision),
                unchanged: applied.jobs.len() - gone,
                changes,
                origin: format!("{} by {}", order.owner, order.actor),
                ..Plan::default()
            };
            if order.dry_run || plan.is_empty() || self.apply_declared(seen, &plan).await {
                return Declared { plan, refused };
            }
            sleep(AGAIN_PAUSE).await;
        }
        let refused = order.wishes.keys().map(|name| (name.clone(), takes_no_plans())).collect();
        Declared { plan: Plan::default(), refused }
    }

    /// Has a plan of declared jobs applied, and tells anew how the sources stand beside them; `false`: it must be made
    /// again.
    async fn apply_declared(&mut self, seen: &mut Seen, plan: &Plan) -> bool {
        let declared = plan.changes.iter().filter_map(Change::declared).cloned();
        self.book.learn(&declared.map(|job| (job.spec.name.clone(), job)).collect());
        self.keep_definitions(plan).await;
        if !self.apply(plan).await {
            return false;
        }
        log::plan(plan);
        self.forget_unused(seen, plan).await;
        self.publish_anew(seen, &plan.origin);
        true
    }

    /// Reads the definitions, each by itself.
    fn read_wishes(
        &self,
        order: &Declare,
    ) -> (BTreeMap<JobName, Wish<DeclaredJob>>, BTreeMap<JobName, Refusal>) {
        let (mut read, mut unread) = (BTreeMap::new(), BTreeMap::new());
        for (name, wish) in &order.wishes {
            let known = &self.reader.known;
            match wish.read(|manifest| read_job(&order.owner, name, manifest, known)) {
                Ok(wish) => match self.refuses(&wish) {
                    Some(refusal) => drop(unread.insert(name.clone(), refusal)),
                    None => drop(read.insert(name.clone(), wish)),
                },
                Err(refusal) => drop(unread.insert(name.clone(), refusal)),
            }
        }
        (read, unread)
    }

    fn refuses(&self, wish: &Wish<DeclaredJob>) -> Option<Refusal> {
        let ungranted = self.book.grant().check(&wish.definition()?.spec).err()?;
        Some(Refusal {
            code: "E0403",
            message: format!("a job that no file declares: {ungranted}"),
            help: Some(
                "declare it in a file; `[requests] allow_tasks` says which tasks it may have"
                    .to_owned(),
            ),
        })
    }
}

/// The one job that a manifest declares.
fn read_job(
    owner: &Owner,
    name: &JobName,
    manifest: &Arc<[u8]>,
    known: &Known,
) -> Result<DeclaredJob, Refusal> {
    let file = ManifestFile {
        path: format!("{owner}/{name}.json").into(),
        source: Arc::clone(&owner.0),
        content: Content::Bytes(Arc::clone(manifest)),
    };
    let mut loaded = load(&[file], known);
    let errors: Vec<&Diagnostic> =
        loaded.diagnostics.iter().filter(|fault| fault.is_error()).collect();
    if let Some((first, others)) = errors.split_first() {
        return Err(refusal_of(first, others.len()));
    }
    loaded.jobs.remove(name).ok_or_else(|| Refusal {
        code: "E0400",
        message: format!("the definition declares no job `{name}`"),
        help: Some("send the job's own keys as `spec`".to_owned()),
    })
}

/// What is wrong with a definition, by JSON pointer: whoever sent it has no lines.
fn refusal_of(fault: &Diagnostic, others: usize) -> Refusal {
    let pointer = fault.pointer.as_deref().unwrap_or_default();
    // Below `/jobs/NAME` stands what was sent.
    let within = pointer.splitn(4, '/').nth(3).map(|rest| format!("/{rest}: ")).unwrap_or_default();
    let more = if others == 0 { String::new() } else { format!(" (and {others} more)") };
    Refusal {
        code: fault.code,
        message: format!("{within}{}{more}", fault.message),
        help: fault.help.clone(),
    }
}

fn takes_no_plans() -> Refusal {
    Refusal {
        code: "E0503",
        message: "the scheduler takes no plans now".to_owned(),
        help: Some("nothing was done; send the request again".to_owned()),
    }
}

impl Declared {
    /// What became of one job, in words; none: it was so already.
    pub fn done(&self, name: &JobName) -> Option<String> {
        let change = self.plan.changes.iter().find(|change| change.job() == name)?;
        let action = match change {
            Change::Create { .. } => "added",
            Change::Update { .. } | Change::Rename { .. } => "updated",
            Change::Remove { .. } => "removed",
        };
        Some(format!("`{name}` is {action}"))
    }
}
