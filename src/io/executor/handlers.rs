//! Handlers: classes that are compiled into a program of one's own.
//!
//! A program registers async functions under paths and hands them to [`cli::main_with`](crate::cli::main_with);
//! manifests name them as they name classes in Python. What arguments a handler takes is known from its type, so
//! that a call that does not fit is an error of the manifest, with its place.
//!
//! ```
//! use cronwright::handlers::{HandlerCall, Handlers};
//!
//! let mut handlers = Handlers::new();
//! handlers.register("reports.daily.Report", |call: HandlerCall<(String, u32)>| async move {
//!     let (name, count) = &call.args;
//!     call.log(format_args!("{count} of {name}"));
//!     Ok::<_, std::io::Error>(count * 2)
//! });
//! ```
//!
//! Handlers run in the daemon's process, on threads of their own. Nothing of them survives it: when it stops they
//! are cancelled, when it is killed their executions are `lost`.

mod call;
mod running;

use std::any::type_name;
use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
pub use tokio_util::sync::CancellationToken;

use crate::engine::execution::Exception;
pub(crate) use crate::io::executor::handlers::call::{Context, Log};
pub use crate::io::executor::handlers::call::{HandlerCall, HandlerFacts};
pub use crate::io::executor::handlers::running::{HandlerOrder, HandlerThreads, NotCalled};
use crate::spec::task::arguments;
use crate::spec::task::call::{Call, Runtime};
use crate::spec::task::classes::{ArgumentCheck, CompiledClasses};
use crate::spec::task::signature::Misfit;

/// How many causes of an error are told.
const CAUSES_MAX: usize = 32;

/// The handlers of a program, by path.
#[derive(Clone, Default)]
pub struct Handlers {
    by_path: BTreeMap<String, Handler>,
}

#[derive(Clone)]
struct Handler {
    check: ArgumentCheck,
    call: Arc<CallHandler>,
}

/// Reads the arguments, and begins.
type CallHandler = dyn Fn(&Call, Context) -> Result<Calling, Misfit> + Send + Sync;

/// A call under way: JSON text, or what went wrong.
type Calling = Pin<Box<dyn Future<Output = Result<Option<String>, Exception>> + Send>>;

impl Handlers {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Registers `handler` under `path`, names with dots between them. It is called with its arguments as an `A`: a
    /// tuple takes them by position; a struct, in the order of its fields and by name; `()` takes none. What it
    /// returns is the execution's result, as JSON; an error is its exception, with the causes as traceback.
    ///
    /// # Panics
    ///
    /// When `path` is none, or is registered already.
    #[track_caller]
    pub fn register<A, W, T, E>(
        &mut self,
        path: &str,
        handler: impl Fn(HandlerCall<A>) -> W + Send + Sync + 'static,
    ) -> &mut Self
    where
        A: DeserializeOwned,
        W: Future<Output = Result<T, E>> + Send + 'static,
        T: Serialize,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        assert!(
            Call::is_path(path),
            "`{path}` is no path of a class: names with dots between them"
        );
        let call = move |call: &Call, context: Context| {
            let args = arguments::read::<A>(call)?;
            let answer = handler(HandlerCall::new(args, context));
            let told = async move {
                match answer.await {
                    Ok(value) => result_of(&value),
                    Err(error) => Err(exception_of::<E>(error)),
                }
            };
            Ok(Box::pin(told) as Calling)
        };
        let check: ArgumentCheck = |call| arguments::read::<A>(call).map(drop);
        let former = self.by_path.insert(path.to_owned(), Handler { check, call: Arc::new(call) });
        assert!(former.is_none(), "`{path}` is registered twice");
        self
    }

    /// What manifests are checked against.
    pub fn classes(&self) -> CompiledClasses {
        let check = |(path, handler): (&String, &Handler)| (path.clone(), handler.check);
        CompiledClasses(Arc::new(self.by_path.iter().map(check).collect()))
    }

    /// Whether a call of this path is theirs.
    pub fn take(&self, path: &str, runtime: Option<Runtime>) -> bool {
        runtime != Some(Runtime::Python) && self.by_path.contains_key(path)
    }

    fn find(&self, path: &str) -> Option<&Handler> {
        self.by_path.get(path)
    }

    fn is_empty(&self) -> bool {
        self.by_path.is_empty()
    }
}

impl fmt::Debug for Handlers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.by_path.keys()).finish()
    }
}

/// Handlers are what was registered, and not compared further than by path.
impl PartialEq for Handlers {
    fn eq(&self, other: &Self) -> bool {
        self.by_path.keys().eq(other.by_path.keys())
    }
}

/// The JSON text of what a handler returned; none for `()` and `None`.
fn result_of(value: &impl Serialize) -> Result<Option<String>, Exception> {
    match serde_json::to_string(value) {
        Ok(text) => Ok(Some(text).filter(|text| text != "null")),
        Err(error) => Err(Exception {
            kind: "ResultError".to_owned(),
            message: format!("what the handler returned is not JSON: {error}"),
            traceback: None,
        }),
    }
}

fn exception_of<E: Into<Box<dyn Error + Send + Sync>>>(error: E) -> Exception {
    let error = error.into();
    let mut causes = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next.filter(|_| causes.len() < CAUSES_MAX) {
        causes.push(format!("caused by: {cause}"));
        next = cause.source();
    }
    Exception {
        kind: kind_of(type_name::<E>()),
        message: error.to_string(),
        traceback: (!causes.is_empty()).then(|| causes.join("\n")),
    }
}

/// The name of an error's type; what has none of its own is an `Error`.
fn kind_of(name: &str) -> String {
    let plain = name.split('<').next().unwrap_or(name);
    let has_own = !plain.ends_with("Box") && !plain.ends_with("String") && !plain.starts_with('&');
    (if has_own { plain } else { "Error" }).to_owned()
}

#[cfg(test)]
mod tests;
