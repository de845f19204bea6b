//! Becoming a process of its own: in a session of its own, away from the daemon's terminal, folder,
//! descriptors and signal settings. Whoever started it waits until it is ready, or hears why not.

#![expect(clippy::disallowed_methods, reason = "the supervisor opens its own files")]

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, getpid, set_child_subreaper, setsid};
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};

/// A log longer than this at start is moved to `….log.1`, in bytes.
const LOG_BYTES_MAX: u64 = 1024 * 1024;

/// What the supervisor writes when it is ready.
const READY: &[u8] = b"ready";

/// In which process the call returned.
#[derive(Debug)]
pub(super) enum Side {
    /// The one that was started: it has the supervisor's word, empty when that died.
    Starter(Result<(), String>),
    /// The supervisor.
    Supervisor(Report),
}

/// How the supervisor tells its starter that it is ready, or why it is not.
#[derive(Debug)]
pub(super) struct Report(File);

/// Forks. To be called while the process has one thread.
pub(super) fn fork() -> io::Result<Side> {
    close_inherited();
    let (word, report) = pipe_with(PipeFlags::CLOEXEC)?;
    #[expect(unsafe_code, reason = "std cannot fork")]
    // SAFETY: the process has one thread, so the child has all of it.
    let pid = unsafe { libc::fork() };
    match pid {
        ..0 => Err(io::Error::last_os_error()),
        0 => {
            drop(word);
            Ok(Side::Supervisor(Report(report.into())))
        }
        1.. => {
            drop(report);
            Ok(Side::Starter(starters_word(word)?))
        }
    }
}

fn starters_word(word: OwnedFd) -> io::Result<Result<(), String>> {
    let mut said = Vec::new();
    File::from(word).read_to_end(&mut said)?;
    if said == READY {
        return Ok(Ok(()));
    }
    let text = String::from_utf8_lossy(&said).into_owned();
    Ok(Err(if text.is_empty() { "the supervisor ended at once".to_owned() } else { text }))
}

impl Report {
    /// The supervisor listens.
    pub(super) fn ready(self) -> io::Result<()> {
        self.say(READY)
    }

    /// It cannot work.
    pub(super) fn failed(self, why: &str) -> io::Result<()> {
        self.say(why.as_bytes())
    }

    fn say(mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }
}

/// Leaves everything that belongs to the starter. `log` is where stdout and stderr go.
pub(super) fn leave_starter(log: &Path) -> io::Result<()> {
    setsid()?;
    // Some(…) switches it on; orphans of job processes become our children.
    set_child_subreaper(Some(getpid()))?;
    default_signals();
    std::env::set_current_dir("/")?;
    dup2_stdin(File::open("/dev/null")?)?;
    write_to(log)
}

/// Moves a long log aside. Only whoever holds the lock may do that.
pub(super) fn begin_log(log: &Path) -> io::Result<()> {
    if fs::metadata(log)?.len() > LOG_BYTES_MAX {
        fs::rename(log, log.with_extension("log.1"))?;
    }
    write_to(log)
}

/// This process, as others see it.
pub(super) fn own_pid() -> u32 {
    Pid::as_raw_nonzero(getpid()).get().unsigned_abs()
}

fn write_to(log: &Path) -> io::Result<()> {
    let log = OpenOptions::new().append(true).create(true).mode(0o600).open(log)?;
    dup2_stdout(&log)?;
    dup2_stderr(&log)?;
    Ok(())
}

/// Closes what the starter had left open; held open here it would never close.
fn close_inherited() {
    #[expect(unsafe_code, reason = "rustix has no close_range")]
    // SAFETY: nothing has been opened by this process yet.
    unsafe {
        libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0);
    }
}

/// Ignored signals would be inherited by every job (`nohup` ignores HUP).
fn default_signals() {
    for signal in 1..=libc::SIGRTMAX() {
        // Writing to a daemon that has gone is an error, not our end.
        let action = if signal == libc::SIGPIPE { libc::SIG_IGN } else { libc::SIG_DFL };
        #[expect(unsafe_code, reason = "std cannot set signal dispositions")]
        // SAFETY: no handler of ours is replaced. Those that cannot be set fail without effect.
        unsafe {
            libc::signal(signal, action);
        }
    }
}
