//! The scheduler inside of another program: jobs declared in code, handlers compiled in, events subscribed to.
//!
//! It is the daemon that `cronwright serve` runs, with the same store, ledger and promises, and without its sockets.
//! Jobs that start processes need the small process that owns them, which is this very program, started with other
//! arguments: its `main` begins with [`helper`].
//!
//! ```no_run
//! use std::process::ExitCode;
//!
//! use cronwright::embed::{Embedded, Job};
//! use cronwright::handlers::{HandlerCall, Handlers};
//!
//! fn main() -> ExitCode {
//!     if let Some(exit) = cronwright::embed::helper() {
//!         return exit;
//!     }
//!     let runtime = tokio::runtime::Runtime::new().unwrap();
//!     runtime.block_on(scheduled());
//!     ExitCode::SUCCESS
//! }
//!
//! async fn scheduled() {
//!     let mut handlers = Handlers::new();
//!     handlers.register("greet.Hello", |call: HandlerCall<(String,)>| async move {
//!         Ok::<_, std::io::Error>(format!("hello, {}", call.args.0))
//!     });
//!     let scheduler = Embedded::builder("state").handlers(handlers).start().await.unwrap();
//!     let job = Job::new("greet").cron("0 9 * * mon-fri").class("greet.Hello(\"world\")");
//!     scheduler.add(job).await.unwrap();
//! }
//! ```

mod job;
mod start;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

pub use crate::daemon::lifecycle::{Subscription, Told};
use crate::daemon::look::{Look, Looked};
use crate::daemon::requests::Asked;
use crate::daemon::{DaemonError, Ended, Handle, Incoming};
use crate::diagnostic::Diagnostic;
use crate::diagnostic::render::{Colour, render_all};
pub use crate::embed::job::Job;
pub use crate::embed::start::Builder;
use crate::engine::condition::Condition;
use crate::engine::execution::{ExecutionId, Outcome};
pub use crate::engine::lifecycle::LifecycleEvent;
use crate::engine::request::{Act, Order, Refusal, ReplyStatus, RequestId};
use crate::io::clock;
use crate::io::files::written::{Written, path_of};
use crate::io::store::StoreError;
use crate::spec::job::JobName;

/// How long the tasks of a scheduler that has stopped may take to end, and how often is looked.
const FREED_WITHIN: Duration = Duration::from_secs(5);
const FREED_LOOK: Duration = Duration::from_millis(5);

/// Who asks, in the ledger.
const ACTOR: &str = "code";

/// Why something cannot be done. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum EmbedError {
    /// The settings, or what was said instead of them, cannot be used: the diagnostics as text.
    #[error("the settings cannot be used:\n{0}")]
    Settings(String),
    /// A job that the program declares is none: the diagnostics as text.
    #[error("{0}")]
    Invalid(String),
    /// A name is none.
    #[error("`{0}` is no name of a job: a-z, 0-9, `.`, `_` and `-`, at most 63")]
    Name(String),
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The daemon cannot start.
    #[error(transparent)]
    Daemon(#[from] DaemonError),
    /// A request was refused.
    #[error("{}: {}", .0.code, .0.message)]
    Refused(Refusal),
    /// A change of the jobs cannot be applied.
    #[error("{0}")]
    NotApplied(String),
    /// The scheduler has stopped.
    #[error("the scheduler has stopped")]
    Stopped,
}

/// To be called first in `main`, before any thread is started: when this process was started to own the processes of
/// jobs, or to make an HTTP call, it does that, and this is how it ends.
pub fn helper() -> Option<ExitCode> {
    let verb = std::env::args().nth(1)?;
    crate::cli::is_helper(&verb).then(crate::cli::main)
}

/// A scheduler that runs inside of this program. Dropped without [`stop`](Self::stop), it runs until its tokio runtime
/// ends, as after a kill.
pub struct Embedded {
    handle: Handle,
    daemon: JoinHandle<Ended>,
    written: watch::Sender<Arc<Written>>,
}

impl Embedded {
    /// A scheduler that keeps what it needs in `state_dir`.
    pub fn builder(state_dir: impl Into<std::path::PathBuf>) -> Builder {
        Builder::new(state_dir.into())
    }

    /// Declares a job, in the place of the one of that name that was declared in code before. It is in force when this
    /// returns, and stays declared until [`remove`](Self::remove) or the end of this program: the next start declares
    /// its own jobs anew, and those that it does not are removed then.
    ///
    /// # Errors
    ///
    /// When it is no job: then the one before stays declared.
    pub async fn add(&self, job: Job) -> Result<(), EmbedError> {
        let before = Arc::clone(&self.written.borrow());
        let name = job.name().to_owned();
        self.written.send_modify(|written| Arc::make_mut(written).put(&name, &job.manifest()));
        let looked = self.look(Condition::default()).await?;
        let faults = faults_of(&name, &looked);
        if faults.is_empty() {
            return Ok(());
        }
        self.written.send_replace(before);
        self.look(Condition::default()).await?;
        Err(EmbedError::Invalid(render_all(&faults, Colour::Plain).trim_end().to_owned()))
    }

    /// Takes a job back that was declared in code; whether there was one. What runs of it goes on to its end, unless it
    /// says `on_remove: cancel`.
    pub async fn remove(&self, name: &str) -> Result<bool, EmbedError> {
        let mut was_there = false;
        self.written.send_modify(|written| was_there = Arc::make_mut(written).take(name));
        if !was_there {
            return Ok(false);
        }
        // The program says which one goes: there is nothing to wait for, and nothing else goes with it.
        let only = Condition { allow_prune: Some(1), ..Condition::default() };
        match self.look(only).await {
            Ok(_) => Ok(true),
            // Something else is held back as well: this one goes with the second look that lacks it.
            Err(EmbedError::NotApplied(_)) => self.look(Condition::default()).await.map(|_| true),
            Err(error) => Err(error),
        }
    }

    /// Whether a job of this name is in force, wherever it is declared.
    pub fn has(&self, name: &str) -> bool {
        let applied = self.handle.applied.borrow();
        JobName::parse(name).is_ok_and(|name| applied.jobs.contains_key(&name))
    }

    /// The names of the jobs in force.
    pub fn jobs(&self) -> Vec<JobName> {
        self.handle.applied.borrow().jobs.keys().cloned().collect()
    }

    /// Runs a job now, and waits for its end; no outcome: it is not known. What did not run says why.
    pub async fn run(&self, name: &str) -> Result<(ExecutionId, Option<Outcome>), EmbedError> {
        self.run_with(name, BTreeMap::new()).await
    }

    /// As [`Self::run`], with values of the job's parameters by name.
    pub async fn run_with(
        &self,
        name: &str,
        params: BTreeMap<String, Value>,
    ) -> Result<(ExecutionId, Option<Outcome>), EmbedError> {
        let job = JobName::parse(name).map_err(|_| EmbedError::Name(name.to_owned()))?;
        let id = clock::unique_id();
        let id = RequestId::parse(&id).map_err(|_| EmbedError::Name(id))?;
        let execution = id.execution();
        let act = Act::Run { job, params, wait: true, dry_run: false };
        let (asked, mut replies) = Asked::new(Order { id, act, actor: Some(ACTOR.to_owned()) });
        self.handle.incoming.send(Incoming::Asked(asked)).await.map_err(|_| EmbedError::Stopped)?;
        while let Some(reply) = replies.recv().await {
            match reply.status {
                ReplyStatus::Rejected(refusal) => return Err(EmbedError::Refused(refusal)),
                ReplyStatus::Finished { outcome, .. } => return Ok((execution, outcome)),
                ReplyStatus::Accepted { .. }
                | ReplyStatus::Started
                | ReplyStatus::Answered(_)
                | ReplyStatus::Expired
                | ReplyStatus::Duplicate => {}
            }
        }
        Err(EmbedError::Stopped)
    }

    /// What happens from now on.
    pub fn events(&self) -> Subscription {
        self.handle.lifecycle.subscribe()
    }

    /// Starts nothing more, ends the handlers, and hands the processes of jobs over to the next start; how many go on.
    pub async fn stop(self) -> usize {
        let Self { handle, daemon, written } = self;
        // One that has stopped already hears nothing.
        handle.incoming.send(Incoming::Stop).await.ok();
        let running = match daemon.await {
            Ok(Ended::Stopped { running }) => running,
            Ok(Ended::Replaced) | Err(_) => 0,
        };
        // Its tasks end when nobody can ask them any more; then the store is free for the next one.
        let store = Arc::downgrade(&handle.store);
        drop((handle, written));
        let freed = async {
            while store.strong_count() > 0 {
                sleep(FREED_LOOK).await;
            }
        };
        drop(timeout(FREED_WITHIN, freed).await);
        running
    }

    /// Applies what is declared now.
    async fn look(&self, only: Condition) -> Result<Looked, EmbedError> {
        let (done, looked) = oneshot::channel();
        let look = Look::Asked { actor: ACTOR.to_owned(), only, done };
        self.handle.looks.send(look).await.map_err(|_| EmbedError::Stopped)?;
        let looked = looked.await.map_err(|_| EmbedError::Stopped)?;
        looked.map_err(|unmet| EmbedError::NotApplied(unmet.to_string()))
    }
}

/// What is wrong with a job that was declared in code.
fn faults_of(name: &str, looked: &Looked) -> Vec<Diagnostic> {
    let path = path_of(name);
    let all = looked.sync.diagnostics.iter();
    all.filter(|fault| fault.is_error() && fault.path() == &*path).cloned().collect()
}
