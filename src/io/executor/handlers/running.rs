//! Calls of handlers under way: threads of their own, time limits, ends.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::engine::execution::{
    AttemptId, Cancelled, Ending, Exception, Failed, Outcome, Output, TimedOut,
};
use crate::io::clock;
use crate::io::executor::handlers::{Context, HandlerFacts, Handlers, Log};
use crate::spec::task::call::Call;
use crate::supervisor::protocol::RESULT_BYTES_MAX;
use crate::time::Timestamp;

/// A call that was dropped and has not ended after this long holds its thread: it never waits.
const DROPPED_WITHIN: Duration = Duration::from_secs(1);

/// A call to begin.
#[derive(Debug, Clone)]
pub struct HandlerOrder {
    /// The attempt.
    pub attempt: AttemptId,
    /// The path of the handler and its arguments.
    pub call: Call,
    /// What it is told.
    pub facts: HandlerFacts,
    /// How long it may take.
    pub timeout: Option<Duration>,
    /// From the sign that it is to end to its being dropped.
    pub kill_grace: Duration,
    /// How much of its output is kept, in bytes.
    pub output_bytes_max: u64,
    /// What is masked in all that is kept.
    pub secrets: Vec<String>,
}

/// Where handlers run.
#[derive(Debug)]
pub struct HandlerThreads {
    handlers: Handlers,
    /// None where there is no handler.
    runtime: Option<Runtime>,
    calls: Arc<Calls>,
}

/// The calls under way, and those whose ending is not recorded yet.
#[derive(Debug, Default)]
struct Calls(Mutex<BTreeMap<AttemptId, CallUnderWay>>);

#[derive(Debug)]
struct CallUnderWay {
    log: Log,
    stop: watch::Sender<Option<Stop>>,
    has_ended: bool,
}

/// That a call is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stop {
    why: Cancelled,
    /// Without a grace.
    force: bool,
}

impl HandlerThreads {
    /// Threads for these handlers; none are started where there is no handler.
    pub fn start(handlers: Handlers) -> io::Result<Self> {
        let runtime = if handlers.is_empty() {
            None
        } else {
            let named = Builder::new_multi_thread().enable_all().thread_name("handlers").build()?;
            Some(named)
        };
        Ok(Self { handlers, runtime, calls: Arc::default() })
    }

    /// The handlers.
    pub fn handlers(&self) -> &Handlers {
        &self.handlers
    }

    /// Begins a call, and says how it ends. An attempt that is known already is not begun again.
    pub fn call(
        &self,
        order: HandlerOrder,
    ) -> Result<impl Future<Output = Ending> + Send + use<>, NotCalled> {
        let path = &order.call.path;
        let handler = self.handlers.find(path).zip(self.runtime.as_ref());
        let (handler, runtime) = handler.ok_or_else(|| NotCalled::Unknown(path.clone()))?;
        let log = Log::new(order.output_bytes_max, order.secrets.iter().map(String::as_str));
        let cancelled = CancellationToken::new();
        let context = Context {
            facts: Arc::new(order.facts),
            log: log.clone(),
            cancelled: cancelled.clone(),
        };
        let (stop, stopped) = watch::channel(None);
        self.calls
            .add(&order.attempt, CallUnderWay { log: log.clone(), stop, has_ended: false })?;
        // Its own code runs from here on, and may panic: on its own thread.
        let (call, of_handler) = (order.call, Arc::clone(&handler.call));
        let calling = async move {
            match of_handler(&call, context) {
                Ok(calling) => calling.await,
                Err(misfit) => Err(not_fitting(&call, &misfit.message)),
            }
        };
        let watched = Watched {
            task: runtime.spawn(calling),
            cancelled,
            stopped,
            timeout: order.timeout,
            kill_grace: order.kill_grace,
        };
        let (calls, attempt) = (Arc::clone(&self.calls), order.attempt);
        Ok(async move {
            let (started_at, started) = (clock::now().wall, Instant::now());
            let how = watched.end().await;
            let ending = ending_of(how, &log, started_at, started.elapsed());
            calls.ended(&attempt);
            ending
        })
    }

    /// Ends a call: the sign, `kill_grace`, and it is dropped; or at once. Whether it is one of these.
    pub fn stop(&self, attempt: &AttemptId, force: bool) -> bool {
        let all = self.calls.all();
        all.get(attempt).map(|call| call.end(Stop { why: Cancelled::Requested, force })).is_some()
    }

    /// Ends all of them, because the daemon stops.
    pub fn shut_down(&self) {
        for call in self.calls.all().values() {
            call.end(Stop { why: Cancelled::Shutdown, force: false });
        }
    }

    /// Whether a call has not ended.
    pub fn run(&self) -> bool {
        self.calls.all().values().any(|call| !call.has_ended)
    }

    /// Whether the ending of a call is not recorded.
    pub fn hold(&self) -> bool {
        !self.calls.all().is_empty()
    }

    /// The ending is recorded.
    pub fn forget(&self, attempt: &AttemptId) -> bool {
        self.calls.all().remove(attempt).is_some()
    }

    /// What a call has logged so far; none: it is not one of these.
    pub fn output(&self, attempt: &AttemptId) -> Option<Output> {
        let log = self.calls.all().get(attempt).map(|call| call.log.clone());
        log.map(|log| log.output())
    }
}

impl Drop for HandlerThreads {
    fn drop(&mut self) {
        // A handler that never waits would hold whoever stops.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Why a call was not begun.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotCalled {
    /// There is no such handler.
    #[error("this program has no handler `{0}`")]
    Unknown(String),
    /// It is under way already.
    #[error("`{0}` is under way already")]
    Again(AttemptId),
}

impl Calls {
    fn all(&self) -> MutexGuard<'_, BTreeMap<AttemptId, CallUnderWay>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, attempt: &AttemptId, call: CallUnderWay) -> Result<(), NotCalled> {
        let mut all = self.all();
        if all.contains_key(attempt) {
            return Err(NotCalled::Again(attempt.clone()));
        }
        all.insert(attempt.clone(), call);
        Ok(())
    }

    fn ended(&self, attempt: &AttemptId) {
        if let Some(call) = self.all().get_mut(attempt) {
            call.has_ended = true;
        }
    }
}

impl CallUnderWay {
    fn end(&self, stop: Stop) {
        self.stop.send_if_modified(|now| {
            // The first reason counts; force is added to it.
            let next = now.map_or(stop, |now| Stop { force: now.force || stop.force, ..now });
            now.replace(next) != Some(next)
        });
    }
}

/// A call and what may end it.
struct Watched {
    task: JoinHandle<Result<Option<String>, Exception>>,
    cancelled: CancellationToken,
    stopped: watch::Receiver<Option<Stop>>,
    timeout: Option<Duration>,
    kill_grace: Duration,
}

/// How a call ended.
enum HowEnded {
    ByItself(Result<Result<Option<String>, Exception>, JoinError>),
    Ended(Outcome),
}

impl Watched {
    async fn end(mut self) -> HowEnded {
        let timeout_at = self.timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let is_over = async {
            match timeout_at {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let outcome = tokio::select! {
            done = &mut self.task => return HowEnded::ByItself(done),
            () = is_over => Outcome::TimedOut(TimedOut::Attempt),
            why = stop_of(&mut self.stopped) => Outcome::Cancelled(why),
        };
        self.cancelled.cancel();
        tokio::select! {
            _ = &mut self.task => return HowEnded::Ended(outcome),
            () = sleep(self.kill_grace) => {}
            () = force_of(&mut self.stopped) => {}
        }
        self.task.abort();
        tokio::select! {
            _ = &mut self.task => HowEnded::Ended(outcome),
            () = sleep(DROPPED_WITHIN) => HowEnded::Ended(Outcome::TimedOut(TimedOut::Unkillable)),
        }
    }
}

/// Waits until the call is to end.
async fn stop_of(stopped: &mut watch::Receiver<Option<Stop>>) -> Cancelled {
    let why = stopped.wait_for(Option::is_some).await.ok().and_then(|stop| *stop);
    match why {
        Some(stop) => stop.why,
        // Nobody can end it any more.
        None => std::future::pending().await,
    }
}

async fn force_of(stopped: &mut watch::Receiver<Option<Stop>>) {
    if stopped.wait_for(|stop| stop.is_some_and(|stop| stop.force)).await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn ending_of(how: HowEnded, log: &Log, started_at: Timestamp, took: Duration) -> Ending {
    let (outcome, result, exception) = match how {
        HowEnded::Ended(outcome) => (outcome, None, None),
        HowEnded::ByItself(Ok(Ok(result))) => (Outcome::Succeeded, kept(result, log), None),
        HowEnded::ByItself(Ok(Err(exception))) => {
            (Outcome::Failed(Failed::Exception), None, Some(exception))
        }
        HowEnded::ByItself(Err(error)) => {
            (Outcome::Failed(Failed::Panic), None, Some(panicked(error)))
        }
    };
    let masked = |exception: Exception| Exception {
        kind: exception.kind,
        message: log.masked(exception.message),
        traceback: exception.traceback.map(|text| log.masked(text)),
    };
    Ending {
        outcome,
        started_at: Some(started_at),
        finished_at: clock::now().wall,
        duration: Some(took),
        exit: None,
        result,
        exception: exception.map(masked),
        output: log.output(),
        protection: None,
    }
}

/// A result that cannot be kept is said where it is looked for: in the output.
fn kept(result: Option<String>, log: &Log) -> Option<String> {
    let result = log.masked_json(result?);
    if result.len() > RESULT_BYTES_MAX {
        let bytes = result.len();
        log.line(&format_args!(
            "the result is not kept: it has {bytes} bytes, more than {RESULT_BYTES_MAX}"
        ));
        return None;
    }
    Some(result)
}

fn panicked(error: JoinError) -> Exception {
    let message = match error.try_into_panic() {
        Ok(payload) => match payload.downcast::<String>() {
            Ok(text) => *text,
            Err(payload) => payload.downcast::<&str>().map_or_else(
                |_| "the handler panicked with something that is no text".to_owned(),
                |text| (*text).to_owned(),
            ),
        },
        Err(_) => "the threads of the handlers have ended".to_owned(),
    };
    Exception { kind: "panic".to_owned(), message, traceback: None }
}

/// The manifest was checked; the definition may be one that an older program left.
fn not_fitting(call: &Call, why: &str) -> Exception {
    let message = format!("`{}` cannot be called so: {why}", call.path);
    Exception { kind: "ArgumentError".to_owned(), message, traceback: None }
}
