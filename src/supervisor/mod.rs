//! The supervisor: a small process that owns job processes, so that they survive the daemon.
//!
//! `cronwright supervisor`, started by a daemon, one per state directory. It starts processes,
//! captures their output within bounds, ends them on time or on order, and keeps each ending on disk
//! until a daemon has recorded it. It knows nothing of jobs, triggers or stores, and has no async
//! runtime. It is not there to be talked to by anything but the daemon's client,
//! `io::executor::supervisor`; both speak [`protocol`].
//!
//! Start reading at [`server`], the loop; [`lifecycle`] is the life of a process, [`tree`] and [`cgroup`] how all
//! of it is found and killed, [`spool`] how endings are kept.

pub(crate) mod capture;
pub mod cgroup;
mod child;
mod clock;
mod clone;
mod connection;
mod detach;
mod image;
mod job;
mod known;
mod lifecycle;
mod lock;
pub(crate) mod mask;
pub mod places;
pub mod protocol;
mod result_file;
mod server;
mod spawn;
mod spool;
mod start;
mod tree;
mod warm;
mod watch;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use crate::supervisor::detach::Side;
use crate::supervisor::places::Places;

/// After this long with nothing running, nothing unrecorded and no daemon, a supervisor leaves.
pub const LEAVE_AFTER: Duration = Duration::from_mins(1);

/// How a supervisor is started.
#[derive(Debug, Clone)]
pub struct Options {
    /// The state directory of its daemon; made when it is not there.
    pub state_dir: PathBuf,
    /// How long it stays with nothing to do.
    pub leave_after: Duration,
}

/// Starts a supervisor in a process of its own and returns when it listens; also when one does so
/// already. To be called while the process has one thread and nothing open.
pub fn run(options: &Options) -> ExitCode {
    let forked = Places::new(&options.state_dir).and_then(|places| Ok((places, detach::fork()?)));
    match forked {
        Ok((_, Side::Starter(Ok(())))) => ExitCode::SUCCESS,
        Ok((_, Side::Starter(Err(why)))) => failure(&why),
        Ok((places, Side::Supervisor(report))) => start::supervise(&places, options, report),
        Err(error) => failure(&error.to_string()),
    }
}

fn failure(why: &str) -> ExitCode {
    // The exit code says it too.
    drop(writeln!(io::stderr(), "cannot start the supervisor: {why}"));
    ExitCode::FAILURE
}
