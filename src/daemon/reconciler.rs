//! The reconciler: looks at the sources, makes a plan, and has it applied. One path for the start, a
//! changed file, a rescan, SIGHUP and `apply`.
//!
//! Level-triggered: whatever the hint, it looks at everything and compares with what is applied.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};
use tracing::warn;

use crate::daemon::Incoming;
use crate::daemon::book::Book;
use crate::daemon::git_source::GitView;
use crate::daemon::healing::Healing;
use crate::daemon::log;
use crate::daemon::look::Policy;
pub use crate::daemon::look::{Look, Looked, Preview};
use crate::daemon::reader::{Reader, Seen};
use crate::daemon::standing::{hold_of, sync_of};
use crate::daemon::view::{Applied, Sync};
use crate::engine::absence::SECOND_LOOK;
use crate::engine::condition::{Condition, Unmet};
use crate::engine::event::{Event, PlanDone};
use crate::engine::plan::{self, Change, Plan};
use crate::engine::scheduler::Phase;
use crate::io::watch::{Hints, RESCAN_INTERVAL, Touched, Watch};
use crate::spec::job::JobName;
use crate::spec::settings::OnInvalid;

/// How long it waits before it makes a plan again.
pub(super) const AGAIN_PAUSE: Duration = Duration::from_millis(200);
/// How often a plan is made anew before the next look is waited for.
pub(super) const TRIES_MAX: usize = 25;

/// The task.
pub(super) struct Reconciler {
    pub(super) reader: Reader,
    pub(super) git: GitView,
    pub(super) policy: Policy,
    pub(super) book: Arc<Book>,
    pub(super) applied: watch::Receiver<Applied>,
    pub(super) sync: watch::Sender<Sync>,
    pub(super) events: mpsc::Sender<Incoming>,
    pub(super) plans_done: mpsc::Receiver<PlanDone>,
    pub(super) looks: mpsc::Receiver<Look>,
    pub(super) healing: Healing,
}

/// A reason to look.
struct Wake {
    origin: String,
    /// What must be looked at.
    touched: Touched,
    /// What is asked for; none: that what is declared is applied.
    look: Option<Look>,
}

impl Wake {
    fn everything(origin: &str) -> Self {
        Self { origin: origin.to_owned(), touched: Touched::Anything, look: None }
    }
}

impl Reconciler {
    pub(super) async fn work(mut self) {
        let (mut watch, mut hints) = Watch::start(&self.reader.sources.folders);
        if let Some(warning) = watch.warning() {
            warn!(%warning, "the sources are looked at every 2 s");
        }
        self.git.opened().await;
        let mut seen = Seen::default();
        if !self.first_phase().await {
            return;
        }
        let mut wake = Wake::everything("start");
        let mut rescan_at = after(RESCAN_INTERVAL);
        loop {
            if wake.touched == Touched::Anything {
                rescan_at = after(RESCAN_INTERVAL);
            }
            let wants_second_look = self.awake(&mut seen, wake).await;
            if let Some(snapshot) = &seen.snapshot {
                watch.refresh(snapshot);
            }
            let next_at =
                if wants_second_look { rescan_at.min(after(SECOND_LOOK)) } else { rescan_at };
            let Some(next) = self.next_look(&mut hints, next_at).await else { return };
            wake = next;
        }
    }

    /// Looks and acts; whether a removal waits for a second look.
    async fn awake(&mut self, seen: &mut Seen, wake: Wake) -> bool {
        if wake.look.as_ref().is_some_and(|look| !matches!(look, Look::Declare { .. })) {
            self.git.fetch_now().await;
        }
        match wake.look {
            Some(Look::Preview { done }) => {
                let preview = self.preview(seen).await;
                let second = preview.plan.wants_second_look();
                drop(done.send(preview));
                second
            }
            Some(Look::Asked { only, done, .. }) => {
                let looked = self.reconcile_when(seen, &wake.origin, &only).await;
                // Not before: it moves the generation that a condition may name.
                self.heal().await;
                let second = looked.as_ref().map_or(true, |l| l.plan.wants_second_look());
                drop(done.send(looked));
                second
            }
            Some(Look::GoBack { back, allow_prune, done }) => {
                let looked = self.go_back(seen, &back, allow_prune).await;
                let second = looked.as_ref().map_or(true, |l| l.plan.wants_second_look());
                drop(done.send(looked));
                second
            }
            Some(Look::Declare { declare, done }) => {
                // What waits for a second look waits on: the sources were not looked at.
                let wanted = self.declared_plan(seen, "", &BTreeSet::new()).wants_second_look();
                drop(done.send(self.declare(seen, &declare).await));
                wanted
            }
            Some(Look::Resume { actor, done }) => {
                let looked = self.resume(seen, &actor).await;
                let second = looked.as_ref().map_or(true, |l| l.plan.wants_second_look());
                drop(done.send(looked));
                second
            }
            Some(Look::Hangup) | None => {
                let looked = self.reconcile(seen, &wake.origin, &wake.touched).await;
                if wake.touched == Touched::Anything {
                    self.heal().await;
                }
                looked.plan.wants_second_look()
            }
        }
    }

    /// Waits until the scheduler takes plans; `false` when the daemon ends first.
    async fn first_phase(&mut self) -> bool {
        let takes_plans =
            |applied: &Applied| matches!(applied.phase, Phase::AwaitingPlan | Phase::Active);
        self.applied.wait_for(takes_plans).await.is_ok()
    }

    /// Waits for the next reason to look.
    async fn next_look(&mut self, hints: &mut Hints, rescan_at: Instant) -> Option<Wake> {
        tokio::select! {
            touched = hints.settled() => Some(Wake { touched, ..Wake::everything("watch") }),
            () = self.git.changed() => Some(Wake::everything("git")),
            () = sleep_until(rescan_at) => Some(Wake::everything("rescan")),
            look = self.looks.recv() => {
                let look = look?;
                let touched = match &look {
                    // The sources have nothing to do with it.
                    Look::Declare { .. } => Touched::Only(BTreeSet::new()),
                    Look::Hangup
                    | Look::Asked { .. }
                    | Look::GoBack { .. }
                    | Look::Resume { .. }
                    | Look::Preview { .. } => Touched::Anything,
                };
                let origin = match &look {
                    Look::Hangup => "hangup".to_owned(),
                    Look::Asked { actor, .. } => format!("apply by {actor}"),
                    Look::Preview { .. } => "plan".to_owned(),
                    Look::Declare { declare, .. } => declare.owner.to_string(),
                    Look::GoBack { back, .. } => {
                        format!("rollback to {} by {}", back.pin.revision, back.pin.by)
                    }
                    Look::Resume { actor, .. } => format!("resume by {actor}"),
                };
                Some(Wake { origin, touched, look: Some(look) })
            }
        }
    }

    /// Looks, and applies what is different. A plan that became stale is made again.
    async fn reconcile(&mut self, seen: &mut Seen, origin: &str, touched: &Touched) -> Looked {
        self.git.mark_seen();
        self.look(seen, touched).await;
        for _ in 0..TRIES_MAX {
            let plan = self.plan(seen, origin, &BTreeSet::new());
            if let Some(looked) = self.try_plan(seen, plan).await {
                return looked;
            }
            sleep(AGAIN_PAUSE).await;
        }
        self.give_up(seen, origin)
    }

    /// Looks, and applies what is different if the condition is met, with the removals that it confirms.
    async fn reconcile_when(
        &mut self,
        seen: &mut Seen,
        origin: &str,
        only: &Condition,
    ) -> Result<Looked, Unmet> {
        self.look_twice(seen).await;
        if let Some(pin) = self.applied.borrow().pin.clone() {
            return Err(Unmet::Pinned { pin: Box::new(pin) });
        }
        for _ in 0..TRIES_MAX {
            let digest = seen.digest();
            let confirmed = only.check(&self.plan(seen, origin, &BTreeSet::new()), &digest)?;
            let plan = self.plan(seen, origin, &confirmed);
            if let Some(looked) = self.try_plan(seen, plan).await {
                return Ok(looked);
            }
            sleep(AGAIN_PAUSE).await;
        }
        Ok(self.give_up(seen, origin))
    }

    /// Looks, and once more when a removal needs a second snapshot: whoever asks wants to know the end.
    pub(super) async fn look_twice(&mut self, seen: &mut Seen) {
        self.look(seen, &Touched::Anything).await;
        if self.declared_plan(seen, "", &BTreeSet::new()).wants_second_look() {
            sleep(SECOND_LOOK).await;
            self.look(seen, &Touched::Anything).await;
        }
    }

    /// Has a plan applied; none: it must be made again.
    pub(super) async fn try_plan(&mut self, seen: &mut Seen, plan: Plan) -> Option<Looked> {
        let applied = self.applied.borrow().clone();
        let nothing_new = plan.is_empty()
            && plan.moved.is_empty()
            && applied.phase == Phase::Active
            && plan.revision == applied.revision;
        self.keep_definitions(&plan).await;
        if !nothing_new && !self.apply(&plan).await {
            return None;
        }
        if !plan.is_empty() {
            log::plan(&plan);
            self.forget_unused(seen, &plan).await;
        }
        // What is still held back, or waits for the end of a pin, is another plan now.
        let after = (!plan.is_empty() && (!plan.held.is_empty() || plan.pin.is_some()))
            .then(|| self.plan(seen, &plan.origin, &BTreeSet::new()));
        let sync = self.publish(seen, after.as_ref().unwrap_or(&plan), None);
        Some(Looked { plan, sync })
    }

    /// Before they are applied: then what is applied is always kept.
    pub(super) async fn keep_definitions(&self, plan: &Plan) {
        if let Err(error) = self.book.keep(&plan.changes).await {
            warn!(%error, "cannot keep the last good definitions");
        }
    }

    /// Tells how the sources stand, which were not looked at.
    pub(super) fn publish_anew(&self, seen: &mut Seen, origin: &str) {
        let plan = self.plan(seen, origin, &BTreeSet::new());
        self.publish(seen, &plan, None);
    }

    /// The plan that nobody takes.
    pub(super) fn give_up(&self, seen: &mut Seen, origin: &str) -> Looked {
        let plan = self.plan(seen, origin, &BTreeSet::new());
        let waiting = "the scheduler takes no plans now; the next look tries again".to_owned();
        let sync = self.publish(seen, &plan, Some(waiting));
        Looked { plan, sync }
    }

    async fn preview(&mut self, seen: &mut Seen) -> Preview {
        self.look_twice(seen).await;
        let plan = self.declared_plan(seen, "plan", &BTreeSet::new());
        let sync = sync_of(seen, &plan, None);
        Preview { plan, sync, sources_digest: seen.digest() }
    }

    /// Reads the sources: what was touched, or everything.
    async fn look(&mut self, seen: &mut Seen, touched: &Touched) {
        self.reader.look(seen, self.git.now(), touched, &self.book).await;
    }

    /// What must change: nothing, while something is pinned.
    fn plan(&self, seen: &mut Seen, origin: &str, confirmed: &BTreeSet<JobName>) -> Plan {
        let mut plan = self.declared_plan(seen, origin, confirmed);
        let applied = self.applied.borrow();
        if applied.pin.is_some() {
            plan.reject(Arc::clone(&applied.revision));
            plan.held.clear();
        }
        plan
    }

    /// What must change for what is declared to be applied.
    pub(super) fn declared_plan(
        &self,
        seen: &mut Seen,
        origin: &str,
        confirmed: &BTreeSet<JobName>,
    ) -> Plan {
        let applied = self.applied.borrow().clone();
        let (Some(snapshot), Some(loaded)) = (&seen.snapshot, &seen.loaded) else {
            return Plan { generation: applied.generation, ..Plan::default() };
        };
        let sources = plan::Sources {
            names: snapshot.sources.iter().map(|source| source.name.clone()).collect(),
            incomplete: snapshot
                .sources
                .iter()
                .filter_map(|source| Some((source.name.clone(), hold_of(&source.state)?)))
                .collect(),
            invalid: loaded.invalid.clone(),
            conflicts: loaded.conflicts.clone(),
            confirmed_absent: seen.absences.confirmed(seen.taken_at),
            guard: self.policy.guard,
            confirmed: confirmed.clone(),
            renamed: BTreeMap::new(),
        };
        let revision: Arc<str> = Arc::clone(&snapshot.revision.id);
        let mut plan =
            plan::diff(applied.generation, revision, &loaded.jobs, &applied.jobs, &sources);
        seen.absences.learn(seen.taken_at, &plan);
        origin.clone_into(&mut plan.origin);
        match self.policy.on_invalid {
            OnInvalid::Reject if loaded.has_errors() => plan.reject(applied.revision),
            OnInvalid::Keep | OnInvalid::Reject => {}
        }
        plan
    }

    /// Has a plan applied; `false`: it must be made again.
    pub(super) async fn apply(&mut self, plan: &Plan) -> bool {
        while self.plans_done.try_recv().is_ok() {}
        let event = Incoming::Event(Event::Plan(Box::new(plan.clone())));
        if self.events.send(event).await.is_err() {
            return true;
        }
        match self.plans_done.recv().await {
            Some(PlanDone::Applied { generation }) => {
                let seen = |applied: &Applied| applied.generation >= generation;
                self.applied.wait_for(seen).await.is_ok()
            }
            Some(PlanDone::Again) => false,
            None => true,
        }
    }

    pub(super) async fn forget_unused(&self, seen: &Seen, plan: &Plan) {
        let replaced =
            plan.changes.iter().filter_map(Change::applied).map(|job| job.digest.clone()).collect();
        let Applied { jobs: applied, in_flight, .. } = self.applied.borrow().clone();
        let declared = seen.loaded.iter().flat_map(|loaded| loaded.jobs.values());
        let used = applied
            .values()
            .map(|job| job.digest.clone())
            .chain(declared.map(|job| job.digest.clone()))
            .chain(in_flight.iter().cloned())
            .collect();
        self.book.forget_all_but(used, replaced).await;
    }

    fn publish(&self, seen: &Seen, plan: &Plan, waiting: Option<String>) -> Sync {
        let is_pinned = self.applied.borrow().pin.is_some();
        let (drift, mended) = (Arc::clone(&self.healing.drift), self.healing.mended);
        let sync = Sync { is_pinned, drift, mended, ..sync_of(seen, plan, waiting) };
        let before = self.sync.send_replace(sync.clone());
        if before.state() != sync.state() || before.diagnostics != sync.diagnostics {
            log::sync(&before, &sync);
        }
        sync
    }
}

/// A moment of the runtime's own clock, which tests may stop.
fn after(pause: Duration) -> Instant {
    Instant::now() + pause
}
