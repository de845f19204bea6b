//! The reconciler: looks at the sources, makes a plan, and has it applied. One path for the start, a
//! changed file, a rescan, SIGHUP and `apply`.
//!
//! Level-triggered: whatever the hint, it looks at everything and compares with what is applied.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep, sleep_until};
use tracing::{info, warn};

use crate::daemon::Incoming;
use crate::daemon::book::Book;
use crate::daemon::view::{Applied, Sync};
use crate::diagnostic::{Diagnostic, SourceText};
use crate::engine::absence::{Absences, SECOND_LOOK};
use crate::engine::event::{Event, PlanDone};
use crate::engine::plan::{self, Change, Hold, Plan, PruneGuard};
use crate::engine::scheduler::Phase;
use crate::io::clock;
use crate::io::files::{Patience, Reading, Snapshot, SourceState, Sources, UNSETTLED_MAX};
use crate::io::watch::{Hints, RESCAN_INTERVAL, Watch};
use crate::spec::manifest::load::Loader;
use crate::spec::manifest::{Known, Loaded};
use crate::time::BootTime;

/// How long it waits while the sources are being written.
const UNSETTLED_PAUSE: Duration = Duration::from_millis(100);
/// How long it waits before it makes a plan again.
const AGAIN_PAUSE: Duration = Duration::from_millis(200);
/// How often a plan is made anew before the next look is waited for.
const TRIES_MAX: usize = 25;

/// Why it looks.
#[derive(Debug)]
pub enum Look {
    /// SIGHUP.
    Hangup,
    /// Somebody asked, and waits.
    Asked {
        /// Who.
        actor: String,
        /// What became of it.
        done: oneshot::Sender<Looked>,
    },
    /// Somebody wants to know what would change; nothing is applied.
    Preview {
        /// The plan, with what is wrong.
        done: oneshot::Sender<Preview>,
    },
}

/// What a look led to.
#[derive(Debug, Clone)]
pub struct Looked {
    /// What was changed.
    pub plan: Plan,
    /// How things stand now.
    pub sync: Sync,
}

/// What a look would lead to.
#[derive(Debug, Clone)]
pub struct Preview {
    /// What would change.
    pub plan: Plan,
    /// What is wrong with the manifests.
    pub sync: Sync,
}

/// The task.
pub(super) struct Reconciler {
    pub(super) sources: Sources,
    pub(super) known: Known,
    pub(super) book: Arc<Book>,
    pub(super) applied: watch::Receiver<Applied>,
    pub(super) sync: watch::Sender<Sync>,
    pub(super) events: mpsc::Sender<Incoming>,
    pub(super) plans_done: mpsc::Receiver<PlanDone>,
    pub(super) looks: mpsc::Receiver<Look>,
}

/// What it knows of the sources.
#[derive(Default)]
struct Seen {
    snapshot: Option<Snapshot>,
    loaded: Option<Arc<Loaded>>,
    /// Remembers files, so that only those that changed are parsed again.
    loader: Loader,
    /// When the snapshot was taken.
    taken_at: BootTime,
    /// Applied jobs that the snapshots lack.
    absences: Absences,
}

impl Reconciler {
    pub(super) async fn work(mut self) {
        let (mut watch, mut hints) = Watch::start(&self.sources.folders);
        if let Some(warning) = watch.warning() {
            warn!(%warning, "cannot watch the sources; they are looked at every 2 s");
        }
        let mut seen = Seen::default();
        if !self.first_phase().await {
            return;
        }
        let mut origin = "start".to_owned();
        let mut asked: Option<Look> = None;
        loop {
            let second_look = match asked.take() {
                Some(Look::Preview { done }) => {
                    let preview = self.preview(&mut seen).await;
                    drop(done.send(preview));
                    false
                }
                look => {
                    let looked = self.reconcile(&mut seen, &origin).await;
                    let second = looked.plan.wants_second_look();
                    if let Some(Look::Asked { done, .. }) = look {
                        drop(done.send(looked));
                    }
                    second
                }
            };
            if let Some(snapshot) = &seen.snapshot {
                watch.refresh(snapshot);
            }
            let pause = if second_look { SECOND_LOOK } else { RESCAN_INTERVAL };
            let Some(next) = self.next_look(&mut hints, pause).await else { return };
            (origin, asked) = next;
        }
    }

    /// Waits until the scheduler takes plans; `false` when the daemon ends first.
    async fn first_phase(&mut self) -> bool {
        let takes_plans =
            |applied: &Applied| matches!(applied.phase, Phase::AwaitingPlan | Phase::Active);
        self.applied.wait_for(takes_plans).await.is_ok()
    }

    /// Waits for the next reason to look.
    async fn next_look(
        &mut self,
        hints: &mut Hints,
        pause: Duration,
    ) -> Option<(String, Option<Look>)> {
        let rescan_at = after(pause);
        tokio::select! {
            () = hints.settled() => Some(("watch".to_owned(), None)),
            () = sleep_until(rescan_at) => Some(("rescan".to_owned(), None)),
            look = self.looks.recv() => {
                let look = look?;
                let origin = match &look {
                    Look::Hangup => "hangup".to_owned(),
                    Look::Asked { actor, .. } => format!("apply by {actor}"),
                    Look::Preview { .. } => "plan".to_owned(),
                };
                Some((origin, Some(look)))
            }
        }
    }

    /// Looks, and applies what is different. A plan that became stale is made again.
    async fn reconcile(&mut self, seen: &mut Seen, origin: &str) -> Looked {
        self.look(seen).await;
        for _ in 0..TRIES_MAX {
            let plan = self.plan(seen, origin);
            let applied = self.applied.borrow().clone();
            let nothing_new = plan.is_empty()
                && plan.moved.is_empty()
                && applied.phase == Phase::Active
                && plan.revision == applied.revision;
            if let Err(error) = self.book.keep(&plan.changes).await {
                warn!(%error, "cannot keep the last good definitions");
            }
            if nothing_new || self.apply(&plan).await {
                if !plan.is_empty() {
                    log_plan(&plan);
                    self.forget_unused(seen).await;
                }
                let sync = self.publish(seen, &plan, None);
                return Looked { plan, sync };
            }
            sleep(AGAIN_PAUSE).await;
        }
        let plan = self.plan(seen, origin);
        let waiting = "the scheduler takes no plans now; the next look tries again".to_owned();
        let sync = self.publish(seen, &plan, Some(waiting));
        Looked { plan, sync }
    }

    async fn preview(&mut self, seen: &mut Seen) -> Preview {
        self.look(seen).await;
        let plan = self.plan(seen, "plan");
        let sync = sync_of(seen, &plan, None);
        Preview { plan, sync }
    }

    /// Reads the sources; what did not change is not read and not parsed again.
    async fn look(&mut self, seen: &mut Seen) {
        let previous = seen.snapshot.take();
        let before = previous.as_ref().map(|snapshot| Arc::clone(&snapshot.digest));
        let Some(snapshot) = self.read(previous).await else { return };
        seen.taken_at = clock::boot();
        let unchanged = before.is_some_and(|digest| digest == snapshot.digest);
        if !unchanged || seen.loaded.is_none() {
            let (files, known) = (snapshot.manifests(), self.known.clone());
            let mut loader = std::mem::take(&mut seen.loader);
            let load = move || (loader.load(&files, &known), loader);
            let (loaded, loader) = tokio::task::spawn_blocking(load).await.unwrap_or_default();
            seen.loader = loader;
            self.book.learn(&loaded.jobs);
            seen.loaded = Some(Arc::new(loaded));
        }
        seen.snapshot = Some(snapshot);
    }

    /// Takes a snapshot, and waits for sources that are being written.
    async fn read(&self, previous: Option<Snapshot>) -> Option<Snapshot> {
        let give_up_at = after(UNSETTLED_MAX);
        let previous = previous.map(Arc::new);
        loop {
            let patience =
                if after(Duration::ZERO) < give_up_at { Patience::Left } else { Patience::Spent };
            let (sources, previous) = (self.sources.clone(), previous.clone());
            let read = move || Snapshot::read(&sources, previous.as_deref(), patience);
            match tokio::task::spawn_blocking(read).await {
                Ok(Reading::Settled(snapshot)) => return Some(snapshot),
                Ok(Reading::Unsettled(_)) => sleep(UNSETTLED_PAUSE).await,
                Err(_) => return None,
            }
        }
    }

    /// What must change.
    fn plan(&self, seen: &mut Seen, origin: &str) -> Plan {
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
            guard: PruneGuard::default(),
            confirmed: BTreeSet::new(),
        };
        let revision: Arc<str> = Arc::clone(&snapshot.revision.id);
        let mut plan =
            plan::diff(applied.generation, revision, &loaded.jobs, &applied.jobs, &sources);
        seen.absences.learn(seen.taken_at, &plan);
        origin.clone_into(&mut plan.origin);
        plan
    }

    /// Has a plan applied; `false`: it must be made again.
    async fn apply(&mut self, plan: &Plan) -> bool {
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

    async fn forget_unused(&self, seen: &Seen) {
        let applied = self.applied.borrow().jobs.clone();
        let declared = seen.loaded.iter().flat_map(|loaded| loaded.jobs.values());
        let used = applied
            .values()
            .map(|job| job.digest.clone())
            .chain(declared.map(|job| job.digest.clone()))
            .collect();
        self.book.forget_all_but(used).await;
    }

    fn publish(&self, seen: &Seen, plan: &Plan, waiting: Option<String>) -> Sync {
        let sync = sync_of(seen, plan, waiting);
        let before = self.sync.send_replace(sync.clone());
        if before.state() != sync.state() || before.diagnostics != sync.diagnostics {
            log_sync(&before, &sync);
        }
        sync
    }
}

/// How the sources stand.
fn sync_of(seen: &Seen, plan: &Plan, waiting: Option<String>) -> Sync {
    let looked_at = seen.snapshot.as_ref().zip(seen.loaded.as_ref());
    let diagnostics = looked_at.map(|(snapshot, loaded)| diagnostics(snapshot, loaded));
    let unreadable = seen.snapshot.iter().flat_map(|snapshot| &snapshot.sources);
    Sync {
        attempted: Arc::clone(&plan.revision),
        looked_at: Some(clock::now().wall),
        diagnostics: Arc::new(diagnostics.unwrap_or_default()),
        files: seen.loaded.as_ref().map_or(0, |loaded| loaded.files),
        held: plan.held.clone(),
        owner_conflicts: plan.owner_conflicts.clone(),
        stale: plan.stale.clone(),
        unreadable: unreadable
            .filter(|source| {
                matches!(hold_of(&source.state), Some(Hold::UnreadableSource | Hold::Unmounted))
            })
            .map(|source| source.name.clone())
            .collect(),
        waiting,
    }
}

/// A moment of the runtime's own clock, which tests may stop.
fn after(pause: Duration) -> Instant {
    Instant::now() + pause
}

/// Why nothing is removed from a source, if so.
fn hold_of(state: &SourceState) -> Option<Hold> {
    match state {
        SourceState::Read => None,
        SourceState::Empty => Some(Hold::EmptySource),
        SourceState::Missing
        | SourceState::NotFolder
        | SourceState::Unreadable(_)
        | SourceState::TooManyFiles
        | SourceState::TooDeep(_) => Some(Hold::UnreadableSource),
        SourceState::Unmounted => Some(Hold::Unmounted),
    }
}

/// What is wrong with the sources and manifests, in one list.
fn diagnostics(snapshot: &Snapshot, loaded: &Loaded) -> Vec<Diagnostic> {
    snapshot.diagnostics().into_iter().chain(loaded.diagnostics.iter().cloned()).collect()
}

/// The diagnostics that the look before did not have: a fault in a file that nobody touched is told once.
fn news<'d>(before: &[Diagnostic], now: &'d [Diagnostic]) -> Vec<&'d Diagnostic> {
    let known: BTreeSet<_> = before.iter().map(identity).collect();
    now.iter().filter(|diagnostic| !known.contains(&identity(diagnostic))).collect()
}

/// What makes two diagnostics of two looks the same: a file that was not read again keeps its text, in the
/// same place of memory.
fn identity(diagnostic: &Diagnostic) -> (&str, &str, &str, Option<(*const SourceText, usize)>) {
    let place = diagnostic.place.as_ref();
    let place = place.map(|place| (Arc::as_ptr(&place.source), place.start));
    (diagnostic.code, diagnostic.path(), &diagnostic.message, place)
}

fn log_plan(plan: &Plan) {
    let count = |action: &str| plan.changes.iter().filter(|c| c.action() == action).count();
    info!(
        revision = %plan.revision,
        origin = %plan.origin,
        created = count("create"),
        updated = count("update"),
        removed = count("remove"),
        unchanged = plan.unchanged,
        "applied a plan"
    );
    for change in plan.changes.iter().filter(|change| matches!(change, Change::Remove { .. })) {
        info!(job = %change.job(), "removed");
    }
}

/// Logs how the sources stand, and what is wrong with them that was not so before.
fn log_sync(before: &Sync, sync: &Sync) {
    for diagnostic in news(&before.diagnostics, &sync.diagnostics) {
        let (code, message) = (diagnostic.code, &diagnostic.message);
        if diagnostic.is_error() {
            warn!(code, file = diagnostic.path(), "{message}");
        } else {
            info!(code, file = diagnostic.path(), "{message}");
        }
    }
    for held in &sync.held {
        warn!(job = %held.job, hold = held.hold.as_str(), "not declared any more; it stays");
    }
    info!(state = sync.state(), "sources");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::manifest::{Content, ManifestFile};

    #[test]
    fn what_is_wrong_with_an_untouched_file_is_told_once() {
        let mut loader = Loader::default();
        let mut look = |texts: &[(&str, &str)]| {
            let file = |(path, text): &(&str, &str)| ManifestFile {
                path: (*path).into(),
                source: "jobs.d".into(),
                content: Content::Bytes(text.as_bytes().into()),
            };
            let files: Vec<_> = texts.iter().map(file).collect();
            loader.load(&files, &Known::default()).diagnostics
        };
        let doubtful = ("a.yaml", "jobs: {a: {interval: 7h, command: x}}\n");
        let first = look(&[doubtful]);
        let second = look(&[doubtful, ("b.yaml", "jobs: {b: {interval: 5h, command: x}}\n")]);
        let edited = ("a.yaml", "jobs: {a: {interval: 7h, command: z}}\n");
        let third = look(&[edited]);
        let told = |before: &[Diagnostic], now: &[Diagnostic]| -> Vec<String> {
            news(before, now).iter().map(|new| new.path().to_owned()).collect()
        };
        assert_eq!(told(&[], &first), ["a.yaml"]);
        assert_eq!(told(&first, &second), ["b.yaml"]);
        assert_eq!(told(&second, &second), [""; 0]);
        assert_eq!(told(&second, &third), ["a.yaml"]);
    }
}
