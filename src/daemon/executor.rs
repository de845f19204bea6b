//! Starting and ending tasks: between the scheduler's effects and the supervisor.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, mpsc};
use tracing::{error, warn};

use crate::daemon::Incoming;
use crate::daemon::book::Book;
use crate::daemon::failpoint::failpoint;
use crate::daemon::forward::Forwards;
use crate::daemon::parts::DaemonError;
use crate::daemon::preparing::{INQUIRIES_MAX, Inquiry, Preparing, Revealed, cancelled};
use crate::daemon::settings::Settings;
use crate::engine::event::{Event, Start};
use crate::engine::execution::{AttemptId, Cancelled, Ending, Exception, Failed, Outcome, Output};
use crate::io::clock;
use crate::io::executor::handlers::{HandlerOrder, HandlerThreads};
use crate::io::executor::http::HttpCaller;
use crate::io::executor::provision::{Provision, for_handlers, provide, takes_time};
use crate::io::executor::python::Caller;
use crate::io::executor::secrets::SecretPlaces;
use crate::io::executor::supervisor::{OrderError, SupervisorEvent, SupervisorHandle};
use crate::io::executor::{Facts, Surroundings, ending_of, order_of, start_of, unstarted};
use crate::spec::job::JobSpec;
use crate::spec::task::Task;
use crate::supervisor::protocol::RunningProcess;
use crate::time::Timestamp;

/// Carries out starts and stops.
pub(super) struct Executor {
    supervisor: SupervisorHandle,
    handlers: Arc<HandlerThreads>,
    reporter: Reporter,
    book: Arc<Book>,
    base_dir: PathBuf,
    environment: BTreeMap<String, String>,
    caller: Option<Caller>,
    http: HttpCaller,
    exec_secrets: bool,
    preparing: Preparing,
    inquiries: Arc<Semaphore>,
}

impl Executor {
    /// Puts what calls classes into the state directory. `exe` is this program, `environment` the daemon's own.
    pub(super) fn new(
        settings: &Settings,
        exe: PathBuf,
        owners: Owners,
        reporter: Reporter,
        book: Arc<Book>,
        environment: BTreeMap<String, String>,
    ) -> Result<Self, DaemonError> {
        let caller = caller_of(settings)?;
        let http = HttpCaller { exe, allow: settings.http_allow.clone() };
        let base_dir = settings.base_dir.clone();
        let Owners { supervisor, handlers } = owners;
        let (exec_secrets, preparing) = (settings.known.exec_secrets, Preparing::default());
        Ok(Self {
            supervisor,
            handlers,
            reporter,
            book,
            base_dir,
            environment,
            caller,
            http,
            exec_secrets,
            preparing,
            inquiries: Arc::new(Semaphore::new(INQUIRIES_MAX)),
        })
    }

    /// Starts a task; an ending comes back at once when that cannot be.
    pub(super) fn start(&mut self, start: Box<Start>) -> Option<Event> {
        failpoint("before_start");
        let attempt = attempt_of(&start);
        let Some(spec) = self.definition(&start) else { return Some(untrusted(&start)) };
        if takes_time(&spec) {
            self.ask_others(start, attempt, spec);
            return None;
        }
        match provide(&spec, &self.secret_places()) {
            Ok(given) => self.begin(&start, &spec, &given),
            Err(error) => Some(not_started(&attempt, error.kind(), error.to_string())),
        }
    }

    /// What this daemon has read itself of a job, as it was claimed.
    fn definition(&self, start: &Start) -> Option<Arc<JobSpec>> {
        let spec = self.book.find(&start.row.job, &start.row.provenance.digest)?;
        Some(for_handlers(spec, self.handlers.handlers()))
    }

    fn secret_places(&self) -> SecretPlaces<'_> {
        SecretPlaces {
            base_dir: &self.base_dir,
            environment: &self.environment,
            programs: self.exec_secrets,
        }
    }

    /// Asks those who may take their time, beside the loop.
    fn ask_others(&mut self, start: Box<Start>, attempt: AttemptId, spec: Arc<JobSpec>) {
        // Before anything else is decided: a recovery must find it.
        self.reporter.holdings.add(attempt.clone());
        self.preparing.add(attempt);
        let inquiry = Inquiry {
            start,
            spec,
            base_dir: self.base_dir.clone(),
            environment: self.environment.clone(),
            programs: self.exec_secrets,
        };
        tokio::spawn(inquiry.asked(self.inquiries.clone(), self.reporter.events.clone()));
    }

    /// Others have told what they know, unless the attempt was cancelled meanwhile.
    pub(super) fn revealed(&mut self, told: Revealed) -> Option<Event> {
        let attempt = told.attempt();
        if !self.preparing.remove(&attempt) {
            return None;
        }
        let Some(spec) = self.definition(&told.start) else { return Some(untrusted(&told.start)) };
        match told.given {
            Ok(given) => self.begin(&told.start, &spec, &given),
            Err(error) => Some(not_started(&attempt, error.kind(), error.to_string())),
        }
    }

    /// Starts a task that has all it needs.
    fn begin(&self, start: &Start, spec: &JobSpec, given: &Provision) -> Option<Event> {
        let row = &start.row;
        let attempt = attempt_of(start);
        let facts = Facts {
            attempt: &attempt,
            time_left: start.time_left,
            cause: row.cause,
            trigger: row.trigger,
            fire_time: row.fire_time,
            previous_fire_time: start.previous_fire_time,
            revision: &row.provenance.revision,
            fence: row.claim.epoch,
            params: &row.params,
        };
        if let Task::Class { call, runtime } = &spec.task
            && self.handlers.handlers().take(&call.path, *runtime)
        {
            return match order_of(&facts, spec, call, &given.secrets) {
                Ok(order) => self.call_handler(order, spec),
                Err(error) => Some(not_started(&attempt, error.kind(), error.to_string())),
            };
        }
        let surroundings = Surroundings {
            base_dir: &self.base_dir,
            environment: &self.environment,
            caller: self.caller.as_ref(),
            http: &self.http,
        };
        let process = match start_of(&facts, spec, given, &surroundings) {
            Ok(process) => process,
            Err(error) => return Some(not_started(&attempt, error.kind(), error.to_string())),
        };
        if spec.process.forward {
            let (supervisor, id) = (self.supervisor.clone(), attempt.to_string());
            let look = move || {
                let (supervisor, id) = (supervisor.clone(), id.clone());
                async move { supervisor.output(&id).await }
            };
            self.reporter.forwards.begin(attempt.clone(), spec.name.clone(), look);
        }
        let ordered = self.supervisor.start(process);
        failpoint("after_start");
        let error = ordered.err()?;
        self.reporter.forwards.end(&attempt, &Output::default());
        Some(not_started(&attempt, "SpawnError", error.to_string()))
    }

    /// Begins a call of a handler, and passes on what becomes of it.
    fn call_handler(&self, order: HandlerOrder, spec: &JobSpec) -> Option<Event> {
        let id = order.attempt.clone();
        let ending = match self.handlers.call(order) {
            Ok(ending) => ending,
            Err(error) => return Some(not_started(&id, "HandlerError", error.to_string())),
        };
        // Before anything else is decided: a recovery must find it.
        self.reporter.holdings.add(id.clone());
        if spec.process.forward {
            let (handlers, called) = (Arc::clone(&self.handlers), id.clone());
            let look = move || std::future::ready(handlers.output(&called));
            self.reporter.forwards.begin(id.clone(), spec.name.clone(), look);
        }
        let reporter = self.reporter.clone();
        tokio::spawn(async move {
            reporter.began(id.clone(), clock::now().wall).await;
            reporter.ended(id, Box::new(ending.await)).await;
        });
        None
    }

    /// Ends the calls of handlers and what waits for programs, because the daemon stops.
    pub(super) fn end_handlers(&mut self) -> Vec<Event> {
        self.handlers.shut_down();
        let ended = self.preparing.shut_down(clock::now().wall).into_iter();
        ended.map(|(id, ending)| Event::Ended { id, ending }).collect()
    }

    /// Whether a call of a handler has not ended.
    pub(super) fn handlers_run(&self) -> bool {
        self.handlers.run()
    }

    /// Whether the ending of one is not recorded.
    pub(super) fn holds_handlers(&self) -> bool {
        self.handlers.hold() || self.preparing.holds()
    }

    /// Ends a task; an ending comes back at once when nothing was started.
    pub(super) fn stop(&mut self, id: &AttemptId, force: bool) -> Option<Event> {
        if self.preparing.remove(id) {
            let ending = Box::new(cancelled(clock::now().wall, Cancelled::Requested));
            return Some(Event::Ended { id: id.clone(), ending });
        }
        if self.handlers.stop(id, force) {
            return None;
        }
        let stopped = if force {
            self.supervisor.kill(&id.to_string())
        } else {
            self.supervisor.stop(&id.to_string())
        };
        note_refusal(stopped, id);
        None
    }

    /// The ending is recorded.
    pub(super) fn forget(&mut self, id: &AttemptId) {
        self.preparing.forget(id);
        if self.handlers.forget(id) {
            return;
        }
        note_refusal(self.supervisor.recorded(&id.to_string()), id);
    }
}

/// Who owns what runs.
pub(super) struct Owners {
    pub(super) supervisor: SupervisorHandle,
    pub(super) handlers: Arc<HandlerThreads>,
}

fn caller_of(settings: &Settings) -> Result<Option<Caller>, DaemonError> {
    let Some(python) = &settings.python else { return Ok(None) };
    let state_dir = &settings.state_dir;
    let installed = python.clone().install(state_dir);
    installed.map(Some).map_err(|source| DaemonError::StateDir { path: state_dir.clone(), source })
}

fn note_refusal(ordered: Result<(), OrderError>, id: &AttemptId) {
    if let Err(error) = ordered {
        warn!(execution_id = %id, %error, "the supervisor takes no order");
    }
}

fn attempt_of(start: &Start) -> AttemptId {
    AttemptId { execution: start.row.id.clone(), number: start.row.attempt() }
}

fn untrusted(start: &Start) -> Event {
    let message = format!(
        "this daemon has not read the definition of `{}` itself: its manifest cannot be used \
         and there is no last good copy in the state directory",
        start.row.job
    );
    not_started(&attempt_of(start), "Untrusted", message)
}

fn not_started(id: &AttemptId, kind: &str, message: String) -> Event {
    error!(execution_id = %id, "{message}");
    let exception = Exception { kind: kind.to_owned(), message, traceback: None };
    let failed = Outcome::Failed(Failed::Spawn);
    let ending = Box::new(unstarted(failed, clock::now().wall, Some(exception)));
    Event::Ended { id: id.clone(), ending }
}

/// What the supervisor runs, or whose ending is not recorded yet.
#[derive(Debug, Default)]
pub(super) struct Holdings(Mutex<BTreeSet<AttemptId>>);

impl Holdings {
    fn ids(&self) -> MutexGuard<'_, BTreeSet<AttemptId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All of them, for a recovery.
    pub(super) fn list(&self) -> Vec<AttemptId> {
        self.ids().iter().cloned().collect()
    }

    /// The ending of this one is recorded.
    pub(super) fn forget(&self, id: &AttemptId) {
        self.ids().remove(id);
    }

    fn add(&self, id: AttemptId) {
        self.ids().insert(id);
    }
}

/// Tells the loop what became of what it started.
#[derive(Clone)]
pub(super) struct Reporter {
    pub(super) events: mpsc::Sender<Incoming>,
    pub(super) holdings: Arc<Holdings>,
    pub(super) forwards: Forwards,
}

impl Reporter {
    /// Nothing runs.
    pub(super) fn new(events: mpsc::Sender<Incoming>) -> Self {
        Self { events, holdings: Arc::default(), forwards: Forwards::default() }
    }

    async fn began(&self, id: AttemptId, at: Timestamp) {
        self.holdings.add(id.clone());
        self.send(Incoming::Event(Event::Started { id, at })).await;
    }

    async fn ended(&self, id: AttemptId, ending: Box<Ending>) {
        self.forwards.end(&id, &ending.output);
        self.holdings.add(id.clone());
        self.send(Incoming::Event(Event::Ended { id, ending })).await;
    }

    async fn send(&self, incoming: Incoming) {
        // The loop outlives this task, except at the very end.
        drop(self.events.send(incoming).await);
    }
}

/// Hears what the supervisor says and passes it on.
pub(super) struct Listener {
    pub(super) news: mpsc::Receiver<SupervisorEvent>,
    pub(super) reporter: Reporter,
}

impl Listener {
    /// Takes in what the supervisor holds already, up to its `Ready`; goes on listening in a task.
    pub(super) async fn meet(mut self) {
        while let Some(event) = self.news.recv().await {
            let ready = event == SupervisorEvent::Ready;
            self.hear(event).await;
            if ready {
                break;
            }
        }
        tokio::spawn(self.listen());
    }

    async fn listen(mut self) {
        while let Some(event) = self.news.recv().await {
            self.hear(event).await;
        }
    }

    async fn hear(&mut self, event: SupervisorEvent) {
        match event {
            SupervisorEvent::Connected { running, .. } => {
                for process in running {
                    self.started(&process).await;
                }
            }
            SupervisorEvent::Started(process) => self.started(&process).await,
            SupervisorEvent::Ended(ending) => {
                let id = AttemptId::parse(&ending.id);
                self.reporter.ended(id, Box::new(ending_of(*ending))).await;
            }
            SupervisorEvent::Known { id } => {
                self.reporter.forwards.end(&AttemptId::parse(&id), &Output::default());
            }
            SupervisorEvent::Ready => {}
            SupervisorEvent::Replaced => self.reporter.send(Incoming::Replaced).await,
        }
    }

    async fn started(&self, process: &RunningProcess) {
        let at = Timestamp::from_timestamp_millis(process.started_at_ms);
        let at = at.unwrap_or_else(|| clock::now().wall);
        self.reporter.began(AttemptId::parse(&process.id), at).await;
    }
}
