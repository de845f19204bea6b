//! Real mongod and redis-server for tests and benchmarks.
//!
//! [`mongod`], [`mongod_with_authentication`] and [`redis`] give one shared server per test process,
//! started when first asked for: take a name of your own with [`unique`]. [`Mongod::start`] and
//! [`Redis::start`] give a server that a test may stop, kill and pause. Each lives in its own
//! temporary folder, on its own port of 127.0.0.1, and ends with its owner, also when the test run
//! is killed (`process`). Where the programs come from: `fetch`.
//!
//! With `CRONWRIGHT_TEST_SERVERS=none` every function answers `None`, says so on stderr, and the
//! number of tests that were not run is the last line of the test process. Use it so:
//!
//! ```ignore
//! let Some(mongod) = servers::mongod() else { return };
//! let store = open(&mongod.url(&servers::unique("conformance")));
//! ```

mod fetch;
mod mongod;
mod process;
mod redis;

use std::io::Write;
use std::sync::LazyLock;
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

pub(crate) use mongod::Mongod;
pub(crate) use process::End;
pub(crate) use redis::{Redis, RedisOptions};

use mongod::Setup;

/// The shared mongod: a replica set of one, no authentication.
pub(crate) fn mongod() -> Option<&'static Mongod> {
    static SHARED: LazyLock<Result<Mongod, String>> =
        LazyLock::new(|| Mongod::launch(Setup::ReplicaSet));
    wanted("mongod").then(|| or_fail(SHARED.as_ref()))
}

/// The shared mongod that lets nobody in without user and password.
pub(crate) fn mongod_with_authentication() -> Option<&'static Mongod> {
    static SHARED: LazyLock<Result<Mongod, String>> =
        LazyLock::new(|| Mongod::launch(Setup::Authenticated));
    wanted("mongod").then(|| or_fail(SHARED.as_ref()))
}

/// The shared redis-server: no password, nothing kept on disk.
pub(crate) fn redis() -> Option<&'static Redis> {
    static SHARED: LazyLock<Result<Redis, String>> =
        LazyLock::new(|| Redis::launch(&RedisOptions::default()));
    wanted("redis-server").then(|| or_fail(SHARED.as_ref()))
}

impl Mongod {
    /// A mongod of one's own, without replica set.
    pub(crate) fn start_standalone() -> Option<Self> {
        wanted("mongod").then(|| or_fail(Self::launch(Setup::Standalone)))
    }

    /// A mongod of one's own, a replica set of one without authentication.
    pub(crate) fn start() -> Option<Self> {
        wanted("mongod").then(|| or_fail(Self::launch(Setup::ReplicaSet)))
    }
}

impl Redis {
    /// A redis-server of one's own.
    pub(crate) fn start(options: &RedisOptions) -> Option<Self> {
        wanted("redis-server").then(|| or_fail(Self::launch(options)))
    }
}

/// A name that nothing else on the shared servers has: for a database, or a key prefix.
pub(crate) fn unique(what: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{what}_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// What was asked for, or the test fails with the reason and what to do about it.
fn or_fail<T, E: std::fmt::Display>(result: Result<T, E>) -> T {
    result.unwrap_or_else(|error| panic!("{error}"))
}

/// Whether servers are wanted; when not, this test is counted as not run.
fn wanted(program: &str) -> bool {
    match std::env::var("CRONWRIGHT_TEST_SERVERS").as_deref() {
        Ok("none") => {
            not_run(program);
            false
        }
        Ok(other) if !other.is_empty() => {
            panic!("CRONWRIGHT_TEST_SERVERS is `{other}`; it may be `none`, or not set")
        }
        Ok(_) | Err(_) => true,
    }
}

static NOT_RUN: AtomicU32 = AtomicU32::new(0);

/// Counts a test that was not run; the first one sees to it that the count is printed at the end.
fn not_run(program: &str) {
    static AT_EXIT: Once = Once::new();
    AT_EXIT.call_once(|| {
        #[expect(unsafe_code, reason = "libtest has no hook for the end; the handler only writes")]
        // SAFETY: `print_not_run` is an `extern "C"` function that neither unwinds nor returns a value.
        let refused = unsafe { libc::atexit(print_not_run) };
        assert_eq!(refused, 0, "no handler for the end of the tests");
    });
    NOT_RUN.fetch_add(1, Ordering::Relaxed);
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    say(&format!("not run: {test} needs {program}, and CRONWRIGHT_TEST_SERVERS=none"));
}

extern "C" fn print_not_run() {
    let count = NOT_RUN.load(Ordering::Relaxed);
    say(&format!(
        "{count} tests were not run: they need servers, and CRONWRIGHT_TEST_SERVERS=none"
    ));
}

/// One line on the real stderr: what tests print by macro is shown only when they fail.
fn say(line: &str) {
    let line = format!("cronwright tests: {line}\n");
    // Nobody can be told that stderr is closed.
    drop(std::io::stderr().write_all(line.as_bytes()));
}
