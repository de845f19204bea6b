//! From a fresh process to a supervisor that listens, and back: the lock, what a predecessor left,
//! the socket, the loop.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::ExitCode;
use std::rc::Rc;

use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit, umask};

use crate::supervisor::Options;
use crate::supervisor::cgroup::Groups;
use crate::supervisor::detach::{Report, begin_log, leave_starter, own_pid};
use crate::supervisor::lock::Lock;
use crate::supervisor::places::Places;
use crate::supervisor::server::{Setup, Supervisor};
use crate::supervisor::spawn::Spawner;
use crate::supervisor::spool::Spool;
use crate::supervisor::tree::{Mark, kill_marked};
use crate::supervisor::watch::{Signals, Watch};

/// Descriptors of an execution: two pipes, the process, and where it is given calls.
const FILES_PER_JOB: u64 = 4;

/// Descriptors that are kept for everything else.
const OWN_FILES: u64 = 64;

/// Is the supervisor, until it leaves.
pub(super) fn supervise(places: &Places, options: &Options, report: Report) -> ExitCode {
    let prepared = prepare(places, options);
    let told = match &prepared {
        Ok(_) => report.ready(),
        Err(error) => report.failed(&error.to_string()),
    };
    if let Err(error) = told {
        tracing::warn!(%error, "whoever started the supervisor has gone");
    }
    match prepared {
        Ok(None) => ExitCode::SUCCESS,
        Ok(Some((lock, setup))) => {
            let worked = Supervisor::new(setup).and_then(Supervisor::work);
            // While the lock is held and in its place, the socket cannot be a successor's.
            if lock.is_in_place() {
                remove_file(&places.socket());
            }
            drop(lock);
            match worked {
                Ok(()) => tracing::info!("leaves"),
                Err(error) => tracing::error!(%error, "cannot go on"),
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            tracing::error!(%error, "cannot start");
            ExitCode::FAILURE
        }
    }
}

/// Everything that is needed; none: another supervisor listens already.
fn prepare(places: &Places, options: &Options) -> io::Result<Option<(Rc<Lock>, Setup)>> {
    make_folder(places.state_dir())?;
    leave_starter(&places.log())?;
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(io::stderr).finish();
    if let Err(error) = tracing::subscriber::set_global_default(subscriber) {
        return Err(io::Error::other(error));
    }
    let Some(mut lock) = Lock::take(places)? else { return Ok(None) };
    begin_log(&places.log())?;
    let (mark, groups) = take_over(&mut lock, places)?;
    let lock = Rc::new(lock);
    let signals = Signals::new()?;
    let listener = listen(&places.socket())?;
    let (open_files, jobs_max) = raise_open_files();
    let spool_wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
    let spool = Spool::open(&places.spool(), spool_wake.try_clone()?)?;
    tracing::info!(pid = own_pid(), version = env!("CARGO_PKG_VERSION"), "listens");
    let setup = Setup {
        watch: Watch::new()?,
        signals,
        listener,
        spool,
        spool_wake,
        mark,
        results: places.results(),
        spawner: Spawner::new(open_files),
        groups,
        jobs_max,
        leave_after: options.leave_after,
        lock: Rc::clone(&lock),
    };
    Ok(Some((lock, setup)))
}

/// Ends what a predecessor that died has left, and writes down our own mark.
fn take_over(lock: &mut Lock, places: &Places) -> io::Result<(Mark, Groups)> {
    let predecessor = lock.instance()?;
    let instance = uuid::Uuid::now_v7().simple().to_string();
    let groups = Groups::take_over(&instance, predecessor.as_deref());
    if let Some(predecessor) = predecessor {
        kill_marked(&Mark::new(predecessor));
    }
    match fs::remove_dir_all(places.results()) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    make_folder(&places.results())?;
    lock.write(own_pid(), &instance)?;
    Ok((Mark::new(instance), groups))
}

fn listen(socket: &Path) -> io::Result<UnixListener> {
    remove_file(socket);
    let former = umask(Mode::from_raw_mode(0o177));
    let listener = UnixListener::bind(socket);
    umask(former);
    listener
}

/// Executions need more descriptors than the usual soft limit. Returns the limit as it was, which is
/// what job processes get, and how many executions there is now room for.
fn raise_open_files() -> (Rlimit, usize) {
    let former = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: former.maximum, maximum: former.maximum };
    if let Err(errno) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%errno, "cannot raise the limit of open files");
    }
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let room = limit.saturating_sub(OWN_FILES) / FILES_PER_JOB;
    (former, usize::try_from(room).unwrap_or(usize::MAX))
}

fn make_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn remove_file(path: &Path) {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(path = %path.display(), %error, "cannot remove a file");
        }
        Ok(()) | Err(_) => {}
    }
}
