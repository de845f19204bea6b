//! What a handler is called with: its arguments, the facts of its execution, a place for log lines, and a sign
//! that it is to end.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use crate::engine::execution::{AttemptId, ExecutionId, Output};
use crate::io::executor::output_of;
use crate::spec::job::JobName;
use crate::supervisor::capture::Capture;
use crate::supervisor::mask::Mask;
use crate::time::Timestamp;

/// A call of a handler.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct HandlerCall<A> {
    /// The arguments.
    pub args: A,
    /// The execution that it is.
    pub facts: Arc<HandlerFacts>,
    log: Log,
    cancelled: CancellationToken,
}

/// The execution that a call is: what a job process finds in its environment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HandlerFacts {
    /// The job.
    pub job: JobName,
    /// The execution; the same for all its attempts, so also an idempotency key.
    pub execution: ExecutionId,
    /// The attempt, from 1.
    pub attempt: u32,
    /// When it was due; for a request, when it was accepted.
    pub fire_time: Timestamp,
    /// The fire time before it.
    pub previous_fire_time: Option<Timestamp>,
    /// The fencing token.
    pub fence: u64,
    /// The variables that a job process would have, `env` and secrets among them; none of the daemon's own.
    pub variables: BTreeMap<String, String>,
}

impl HandlerFacts {
    /// The facts of an attempt that was due at `fire_time`, and nothing else.
    pub fn new(job: JobName, attempt: &AttemptId, fire_time: Timestamp) -> Self {
        Self {
            job,
            execution: attempt.execution.clone(),
            attempt: attempt.number,
            fire_time,
            previous_fire_time: None,
            fence: 0,
            variables: BTreeMap::new(),
        }
    }
}

impl<A> HandlerCall<A> {
    pub(super) fn new(args: A, context: Context) -> Self {
        let Context { facts, log, cancelled } = context;
        Self { args, facts, log, cancelled }
    }

    /// Adds a line to the execution's output, which is bounded and in which secrets are masked.
    pub fn log(&self, line: impl Display) {
        self.log.line(&line);
    }

    /// Cancelled when the execution is to end: its time is over, somebody ends it, or the daemon stops. `kill_grace`
    /// later it is dropped where it waits.
    pub fn cancelled(&self) -> &CancellationToken {
        &self.cancelled
    }
}

/// What all calls are given.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    pub(crate) facts: Arc<HandlerFacts>,
    pub(crate) log: Log,
    pub(crate) cancelled: CancellationToken,
}

/// The output of a call, shared with whoever looks on.
#[derive(Debug, Clone)]
pub(crate) struct Log(Arc<Lines>);

#[derive(Debug)]
struct Lines {
    capture: Mutex<Capture>,
    mask: Option<Mask>,
}

impl Log {
    /// Keeps so many bytes, without these secrets.
    pub(crate) fn new<'s>(bytes_max: u64, secrets: impl Iterator<Item = &'s str>) -> Self {
        let capture = Mutex::new(Capture::new(bytes_max));
        Self(Arc::new(Lines { capture, mask: Mask::new(secrets) }))
    }

    fn capture(&self) -> MutexGuard<'_, Capture> {
        self.0.capture.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a line.
    pub(crate) fn line(&self, line: &dyn Display) {
        // Said outside of the lock: what is shown may itself log.
        let mut text = String::new();
        // A value that cannot be shown is shown as far as it went.
        write!(text, "{line}").unwrap_or_default();
        text.push('\n');
        self.capture().push(text.as_bytes());
    }

    /// What is kept so far, masked.
    pub(crate) fn output(&self) -> Output {
        let kept = self.capture().kept();
        let masked = match &self.0.mask {
            Some(mask) => mask.output(kept),
            None => kept,
        };
        output_of(&masked.into())
    }

    /// JSON text, masked.
    pub(super) fn masked_json(&self, json: String) -> String {
        match &self.0.mask {
            Some(mask) => mask.json(&json),
            None => json,
        }
    }

    /// A text, masked.
    pub(super) fn masked(&self, text: String) -> String {
        match &self.0.mask {
            Some(mask) => String::from_utf8_lossy(&mask.text(text.as_bytes())).into_owned(),
            None => text,
        }
    }
}

impl fmt::Write for Log {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.capture().push(text.as_bytes());
        Ok(())
    }
}
