//! Starting and ending tasks: between the scheduler's effects and the supervisor.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;
use tracing::{error, warn};

use crate::daemon::Incoming;
use crate::daemon::book::Book;
use crate::daemon::failpoint::failpoint;
use crate::daemon::parts::DaemonError;
use crate::daemon::settings::Settings;
use crate::engine::event::{Event, Start};
use crate::engine::execution::{AttemptId, Ending, Exception, Failed, Outcome, Output};
use crate::io::clock;
use crate::io::executor::http::HttpCaller;
use crate::io::executor::python::Caller;
use crate::io::executor::supervisor::{OrderError, SupervisorEvent, SupervisorHandle};
use crate::io::executor::{Facts, Surroundings, ending_of, secrets, start_of};
use crate::supervisor::protocol::RunningProcess;
use crate::time::Timestamp;

/// Carries out starts and stops.
pub(super) struct Executor {
    supervisor: SupervisorHandle,
    book: Arc<Book>,
    base_dir: PathBuf,
    environment: BTreeMap<String, String>,
    caller: Option<Caller>,
    http: HttpCaller,
}

impl Executor {
    /// Puts what calls classes into the state directory. `exe` is this program, `environment` the daemon's own.
    pub(super) fn new(
        settings: &Settings,
        exe: PathBuf,
        supervisor: SupervisorHandle,
        book: Arc<Book>,
        environment: BTreeMap<String, String>,
    ) -> Result<Self, DaemonError> {
        let caller = caller_of(settings)?;
        let http = HttpCaller { exe, allow: settings.http_allow.clone() };
        let base_dir = settings.base_dir.clone();
        Ok(Self { supervisor, book, base_dir, environment, caller, http })
    }

    /// Starts a task; an ending comes back at once when that cannot be.
    pub(super) fn start(&self, start: &Start) -> Option<Event> {
        failpoint("before_start");
        let row = &start.row;
        let attempt = AttemptId { execution: row.id.clone(), number: row.attempt() };
        let Some(spec) = self.book.find(&row.job, &row.provenance.digest) else {
            let message = format!(
                "this daemon has not read the definition of `{}` itself: its manifest cannot be used \
                 and there is no last good copy in the state directory",
                row.job
            );
            return Some(not_started(&attempt, "Untrusted", message));
        };
        let facts = Facts {
            attempt: &attempt,
            time_left: start.time_left,
            cause: row.cause,
            trigger: row.trigger,
            fire_time: row.fire_time,
            previous_fire_time: start.previous_fire_time,
            revision: &row.provenance.revision,
            fence: row.claim.epoch,
        };
        let surroundings = Surroundings {
            base_dir: &self.base_dir,
            environment: &self.environment,
            caller: self.caller.as_ref(),
            http: &self.http,
        };
        let secrets = match secrets::read(&spec.secrets, &self.base_dir, &self.environment) {
            Ok(secrets) => secrets,
            Err(error) => return Some(not_started(&attempt, "SecretError", error.to_string())),
        };
        let process = match start_of(&facts, &spec, secrets, &surroundings) {
            Ok(process) => process,
            Err(error) => return Some(not_started(&attempt, "NoCaller", error.to_string())),
        };
        let ordered = self.supervisor.start(process);
        failpoint("after_start");
        ordered.err().map(|error| not_started(&attempt, "SpawnError", error.to_string()))
    }

    /// Ends a task.
    pub(super) fn stop(&self, id: &AttemptId, force: bool) {
        let stopped = if force {
            self.supervisor.kill(&id.to_string())
        } else {
            self.supervisor.stop(&id.to_string())
        };
        note_refusal(stopped, id);
    }

    /// The ending is recorded.
    pub(super) fn forget(&self, id: &AttemptId) {
        note_refusal(self.supervisor.recorded(&id.to_string()), id);
    }
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

fn not_started(id: &AttemptId, kind: &str, message: String) -> Event {
    error!(execution_id = %id, "{message}");
    let ending = Ending {
        outcome: Outcome::Failed(Failed::Spawn),
        started_at: None,
        finished_at: clock::now().wall,
        duration: None,
        exit: None,
        result: None,
        exception: Some(Exception { kind: kind.to_owned(), message, traceback: None }),
        output: Output::default(),
    };
    Event::Ended { id: id.clone(), ending: Box::new(ending) }
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

/// Hears what the supervisor says and passes it on.
pub(super) struct Listener {
    pub(super) news: mpsc::Receiver<SupervisorEvent>,
    pub(super) events: mpsc::Sender<Incoming>,
    pub(super) holdings: Arc<Holdings>,
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
                self.holdings.add(id.clone());
                let ending = Box::new(ending_of(*ending));
                self.send(Incoming::Event(Event::Ended { id, ending })).await;
            }
            SupervisorEvent::Ready | SupervisorEvent::Known { .. } => {}
            SupervisorEvent::Replaced => self.send(Incoming::Replaced).await,
        }
    }

    async fn started(&self, process: &RunningProcess) {
        let id = AttemptId::parse(&process.id);
        self.holdings.add(id.clone());
        let at = Timestamp::from_timestamp_millis(process.started_at_ms);
        let at = at.unwrap_or_else(|| clock::now().wall);
        self.send(Incoming::Event(Event::Started { id, at })).await;
    }

    async fn send(&self, incoming: Incoming) {
        // The loop outlives this task, except at the very end.
        drop(self.events.send(incoming).await);
    }
}
