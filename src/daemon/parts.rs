//! Putting the daemon together: which task gets which end of which channel.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::daemon::book::Book;
use crate::daemon::executor::{Executor, Holdings, Listener, Owners, Reporter};
use crate::daemon::healing::Healing;
use crate::daemon::lifecycle::{Lifecycle, Telling};
use crate::daemon::look::Policy;
use crate::daemon::reader::Reader;
use crate::daemon::reconciler::{Look, Reconciler};
use crate::daemon::requests::Waiting;
use crate::daemon::settings::Settings;
use crate::daemon::store_task::{Operation, StoreHealth, StoreTask};
use crate::daemon::view::{Applied, Sync};
use crate::daemon::{Ended, INCOMING_MAX, Incoming, Loop, git_source, lease};
use crate::engine::event::{PlanDone, Resume};
use crate::engine::overrides::Overrides;
use crate::engine::plan::AppliedSet;
use crate::engine::scheduler::{Phase, Scheduler};
use crate::io::background::Background;
use crate::io::clock;
use crate::io::executor::handlers::{HandlerThreads, Handlers};
use crate::io::executor::supervisor::{Launch, SupervisorError, SupervisorEvent, SupervisorHandle};
use crate::io::files::written::Written;
use crate::io::files::{Guard, Source, Sources};
use crate::io::last_good::LastGood;
use crate::io::store::{Holder, Store, StoreError};
use crate::spec::grant::Grant;
use crate::spec::task::classes::CompiledClasses;

/// How many looks may wait.
const LOOKS_MAX: usize = 64;

/// Why a daemon cannot start.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The state directory cannot be used.
    #[error("cannot use the state directory {}: {source}", path.display())]
    StateDir {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The system starts no more threads.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
    /// There is no supervisor.
    #[error(transparent)]
    Supervisor(#[from] SupervisorError),
}

/// The loop's ends of the channels.
pub(super) struct Parts {
    pub(super) events: mpsc::Sender<Incoming>,
    pub(super) operations: mpsc::UnboundedSender<Operation>,
    pub(super) plans_done: mpsc::Sender<PlanDone>,
    pub(super) applied: watch::Sender<Applied>,
    pub(super) resume: watch::Sender<Resume>,
    pub(super) holdings: Arc<Holdings>,
    pub(super) lifecycle: Lifecycle,
}

/// What the process brings that a daemon runs in.
#[derive(Debug, Clone)]
pub struct Program {
    /// The program that is a supervisor when it is asked to be one.
    pub exe: PathBuf,
    /// The process's environment: jobs get a part of it.
    pub environment: BTreeMap<String, String>,
    /// What is compiled in.
    pub handlers: Handlers,
    /// Where it is told what happens.
    pub lifecycle: Lifecycle,
    /// What it declares itself, if it does.
    pub written: Option<watch::Receiver<Arc<Written>>>,
}

/// What others hold of a running daemon.
#[derive(Clone)]
pub struct Handle {
    /// The way to the loop.
    pub incoming: mpsc::Sender<Incoming>,
    /// The way to the reconciler.
    pub looks: mpsc::Sender<Look>,
    /// The store, to read from.
    pub store: Arc<dyn Store>,
    /// What runs and has printed.
    pub supervisor: SupervisorHandle,
    /// Calls of handlers, and what they have logged.
    pub handlers: Arc<HandlerThreads>,
    /// What happens from now on.
    pub lifecycle: Lifecycle,
    /// What is applied.
    pub applied: watch::Receiver<Applied>,
    /// How the sources stand.
    pub sync: watch::Receiver<Sync>,
    /// Whether the store answers.
    pub store_health: watch::Receiver<StoreHealth>,
    /// The node's name.
    pub node: Arc<str>,
    /// The settings.
    pub settings: Arc<Settings>,
}

/// What the supervisor holds is known before the lease makes the loop read the store.
async fn begin(
    news: mpsc::Receiver<SupervisorEvent>,
    reporter: Reporter,
    store: &Arc<dyn Store>,
    holder: Holder,
) {
    let events = reporter.events.clone();
    Listener { news, reporter }.meet().await;
    tokio::spawn(lease::hold(Arc::clone(store), holder, events));
}

/// This process, as the store knows it.
fn holder(node: &Arc<str>) -> Holder {
    Holder { node: Arc::clone(node), identity: clock::unique_id().into() }
}

async fn supervisor_of(
    settings: &Settings,
    exe: &Path,
) -> Result<(SupervisorHandle, mpsc::Receiver<SupervisorEvent>), SupervisorError> {
    SupervisorHandle::connect_or_start(Launch::new(&settings.state_dir, exe)).await
}

fn book_of(settings: &Settings) -> Arc<Book> {
    let grant = Grant::new(settings.allow_tasks.clone(), &settings.known.defaults);
    Arc::new(Book::new(LastGood::open(settings.state_dir.join("last-good")), grant))
}

/// Starts a daemon on an open store.
pub async fn start(
    settings: Arc<Settings>,
    store: Arc<dyn Store>,
    program: Program,
) -> Result<(Handle, JoinHandle<Ended>), DaemonError> {
    let Program { exe, environment, handlers, lifecycle, written } = program;
    let (supervisor, news) = supervisor_of(&settings, &exe).await?;
    let node: Arc<str> = settings.node.as_str().into();
    let holder = holder(&node);
    let book = book_of(&settings);
    let wires = Wires::new();
    let (events, looks) = (wires.events, wires.looks);
    let reporter = Reporter::new(events.clone());
    let writer = StoreTask {
        store: Arc::clone(&store),
        node: Arc::clone(&node),
        book: Arc::clone(&book),
        resume: wires.resume_now,
        holdings: Arc::clone(&reporter.holdings),
        events: events.clone(),
        health: wires.health,
        telling: Telling::to(&lifecycle),
    };
    tokio::spawn(writer.work(wires.to_do));
    let reconciler = Reconciler {
        reader: reader_of(&settings, handlers.classes(), written)?,
        git: git_source::follow(&settings),
        policy: Policy::of(&settings),
        book: Arc::clone(&book),
        applied: wires.applied_now.clone(),
        sync: wires.sync,
        events: events.clone(),
        plans_done: wires.done,
        looks: wires.wanted_looks,
        healing: Healing::of(&store),
    };
    tokio::spawn(reconciler.work());
    let handlers = Arc::new(HandlerThreads::start(handlers).map_err(DaemonError::Thread)?);
    let owners = Owners { supervisor: supervisor.clone(), handlers: Arc::clone(&handlers) };
    let turning = Loop {
        scheduler: Scheduler::new(&node, &holder.identity).with_max_running(settings.max_running),
        incoming: wires.incoming,
        store: Arc::clone(&store),
        holder: holder.clone(),
        executor: Executor::new(&settings, exe, owners, reporter.clone(), book, environment)?,
        waiting: Waiting::default(),
        parts: Parts {
            events: events.clone(),
            operations: wires.operations,
            plans_done: wires.plans_done,
            applied: wires.applied,
            resume: wires.resume,
            holdings: Arc::clone(&reporter.holdings),
            lifecycle: lifecycle.clone(),
        },
    };
    let daemon = tokio::spawn(turning.turn());
    begin(news, reporter, &store, holder).await;
    let handle = Handle {
        incoming: events,
        looks,
        store,
        supervisor,
        handlers,
        lifecycle,
        applied: wires.applied_now,
        sync: wires.sync_now,
        store_health: wires.health_now,
        node,
        settings,
    };
    Ok((handle, daemon))
}

/// Both ends of every channel.
struct Wires {
    events: mpsc::Sender<Incoming>,
    incoming: mpsc::Receiver<Incoming>,
    operations: mpsc::UnboundedSender<Operation>,
    to_do: mpsc::UnboundedReceiver<Operation>,
    looks: mpsc::Sender<Look>,
    wanted_looks: mpsc::Receiver<Look>,
    plans_done: mpsc::Sender<PlanDone>,
    done: mpsc::Receiver<PlanDone>,
    applied: watch::Sender<Applied>,
    applied_now: watch::Receiver<Applied>,
    sync: watch::Sender<Sync>,
    sync_now: watch::Receiver<Sync>,
    resume: watch::Sender<Resume>,
    resume_now: watch::Receiver<Resume>,
    health: watch::Sender<StoreHealth>,
    health_now: watch::Receiver<StoreHealth>,
}

impl Wires {
    fn new() -> Self {
        let (events, incoming) = mpsc::channel(INCOMING_MAX);
        let (operations, to_do) = mpsc::unbounded_channel();
        let (looks, wanted_looks) = mpsc::channel(LOOKS_MAX);
        let (plans_done, done) = mpsc::channel(4);
        let (applied, applied_now) = watch::channel(nothing_applied());
        let (sync, sync_now) = watch::channel(Sync::default());
        let (resume, resume_now) = watch::channel(Resume::AfterPlan);
        let (health, health_now) = watch::channel(StoreHealth::Healthy);
        Self {
            events,
            incoming,
            operations,
            to_do,
            looks,
            wanted_looks,
            plans_done,
            done,
            applied,
            applied_now,
            sync,
            sync_now,
            resume,
            resume_now,
            health,
            health_now,
        }
    }
}

fn nothing_applied() -> Applied {
    Applied {
        phase: Phase::Standby,
        generation: 0,
        revision: "".into(),
        pin: None,
        jobs: Arc::new(AppliedSet::new()),
        overrides: Arc::new(Overrides::new()),
        in_flight: Arc::default(),
    }
}

fn reader_of(
    settings: &Settings,
    compiled: CompiledClasses,
    written: Option<watch::Receiver<Arc<Written>>>,
) -> Result<Reader, DaemonError> {
    let background = Background::start().map_err(DaemonError::Thread)?;
    let (sources, mut known) = (sources_of(settings), settings.known.clone());
    known.classes.compiled = compiled;
    Ok(Reader { sources, known, written, python: settings.python.clone(), background })
}

fn sources_of(settings: &Settings) -> Sources {
    Sources {
        folders: settings
            .sources
            .iter()
            .map(|source| Source { name: source.name.clone(), path: source.path.clone() })
            .collect(),
        git: None,
        written: None,
        guard: if rustix::process::geteuid().is_root() { Guard::Root } else { Guard::Usual },
        revision: settings.revision.clone(),
    }
}
