//! One run of a helper program (`git`, `python3`), to its end: bounded in time and output, and ended with all
//! that it started when it goes beyond. Job processes are the supervisor's.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, ioctl_fionbio, read, write};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use crate::io::clock::boot;
use crate::time::BootTime;

/// How much of its complaints is kept, in bytes.
const COMPLAINT_BYTES_MAX: u64 = 16 * 1024;
/// How much is read at once, in bytes.
const CHUNK_BYTES: usize = 64 * 1024;
/// How often a run that may fill the disk is looked at.
const CHECK_EVERY: Duration = Duration::from_millis(500);

/// How far a run may go.
pub struct Bounds<'a> {
    /// For how long.
    pub within: Duration,
    /// How much it may say, in bytes.
    pub output_max: u64,
    /// Ends it once this says so; asked every half second.
    pub too_big: Option<&'a dyn Fn() -> bool>,
}

/// A run that ended by itself.
#[derive(Debug)]
pub struct Said {
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote to stdout.
    pub output: Vec<u8>,
    /// What it wrote to stderr, the first 16 KiB.
    pub complaint: Vec<u8>,
}

/// Why a run has nothing to say.
#[derive(Debug, thiserror::Error)]
pub enum HelperError {
    /// It could not be started.
    #[error("{0}")]
    NotStarted(io::Error),
    /// It could not be listened to.
    #[error("{0}")]
    Failed(io::Error),
    /// It was ended after this time.
    #[error("it did not end within {0:?}")]
    TimedOut(Duration),
    /// It was ended because it said, or wrote, too much.
    #[error("it said too much")]
    TooMuch,
}

/// Runs `command`, which reads `input`.
pub fn run(mut command: Command, input: &[u8], bounds: &Bounds<'_>) -> Result<Said, HelperError> {
    command
        .stdin(if input.is_empty() { Stdio::null() } else { Stdio::piped() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // A group of its own, so that all that it starts can be ended with it.
        .process_group(0);
    let mut child = command.spawn().map_err(HelperError::NotStarted)?;
    let heard = Talk::with(&mut child, input, bounds).and_then(|mut talk| {
        talk.listen()?;
        Ok((talk.output.bytes, talk.complaint.bytes))
    });
    match heard {
        Ok((output, complaint)) => {
            let status = child.wait().map_err(HelperError::Failed)?;
            Ok(Said { status, output, complaint })
        }
        Err(error) => {
            // It has not been waited for, so that its number is nobody else's.
            kill_process_group(Pid::from_child(&child), Signal::KILL).ok();
            child.wait().ok();
            Err(error)
        }
    }
}

/// A pipe that is read, and what came out of it.
struct Ear {
    pipe: Option<OwnedFd>,
    bytes: Vec<u8>,
    max: u64,
    over: bool,
}

/// Speaking with a run until it has ended.
struct Talk<'a> {
    exit: OwnedFd,
    input: &'a [u8],
    mouth: Option<OwnedFd>,
    output: Ear,
    complaint: Ear,
    bounds: &'a Bounds<'a>,
    deadline: BootTime,
}

impl<'a> Talk<'a> {
    fn with(
        child: &mut Child,
        input: &'a [u8],
        bounds: &'a Bounds<'a>,
    ) -> Result<Self, HelperError> {
        let exit = pidfd_open(Pid::from_child(child), PidfdFlags::empty()).map_err(failed)?;
        let talk = Self {
            exit,
            input,
            mouth: child.stdin.take().map(OwnedFd::from),
            output: Ear::new(child.stdout.take().map(OwnedFd::from), bounds.output_max),
            complaint: Ear::new(child.stderr.take().map(OwnedFd::from), COMPLAINT_BYTES_MAX),
            bounds,
            deadline: boot().plus(bounds.within),
        };
        let pipes = [&talk.mouth, &talk.output.pipe, &talk.complaint.pipe];
        for pipe in pipes.into_iter().flatten() {
            ioctl_fionbio(pipe, true).map_err(failed)?;
        }
        Ok(talk)
    }

    /// Until it has ended. A helper that lives on and keeps a pipe open is not waited for.
    fn listen(&mut self) -> Result<(), HelperError> {
        loop {
            let ended = self.wait()?;
            self.speak();
            self.output.hear();
            self.complaint.hear();
            if self.output.over {
                return Err(HelperError::TooMuch);
            }
            if ended {
                return Ok(());
            }
            if self.deadline <= boot() {
                return Err(HelperError::TimedOut(self.bounds.within));
            }
            if self.bounds.too_big.is_some_and(|too_big| too_big()) {
                return Err(HelperError::TooMuch);
            }
        }
    }

    /// Waits until there is something to do; whether it has ended.
    fn wait(&self) -> Result<bool, HelperError> {
        let left = self.deadline.since(boot()).min(match self.bounds.too_big {
            Some(_) => CHECK_EVERY,
            None => Duration::MAX,
        });
        let left = Timespec::try_from(left).ok();
        let ears = [&self.output.pipe, &self.complaint.pipe].into_iter().flatten();
        let mut fds = vec![PollFd::new(&self.exit, PollFlags::IN)];
        fds.extend(ears.map(|pipe| PollFd::new(pipe, PollFlags::IN)));
        fds.extend(self.mouth.iter().map(|pipe| PollFd::new(pipe, PollFlags::OUT)));
        match poll(&mut fds, left.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {
                Ok(fds.first().is_some_and(|exit| exit.revents().contains(PollFlags::IN)))
            }
            Err(errno) => Err(failed(errno)),
        }
    }

    /// Writes what it can take; what it does not want to read is its own affair.
    fn speak(&mut self) {
        let Some(pipe) = &self.mouth else { return };
        match write(pipe, self.input) {
            Ok(written) => self.input = self.input.get(written..).unwrap_or_default(),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_) => self.input = &[],
        }
        if self.input.is_empty() {
            self.mouth = None;
        }
    }
}

fn failed(errno: Errno) -> HelperError {
    HelperError::Failed(errno.into())
}

impl Ear {
    fn new(pipe: Option<OwnedFd>, max: u64) -> Self {
        Self { pipe, bytes: Vec::new(), max, over: false }
    }

    /// Takes in what there is; beyond the bound it is thrown away.
    fn hear(&mut self) {
        while let Some(pipe) = &self.pipe {
            match take(pipe.as_fd(), &mut self.bytes) {
                Ok(0) => self.pipe = None,
                Ok(_) => {}
                Err(Errno::AGAIN) => return,
                Err(Errno::INTR) => continue,
                Err(_) => self.pipe = None,
            }
            let max = usize::try_from(self.max).unwrap_or(usize::MAX);
            if self.bytes.len() > max {
                self.bytes.truncate(max);
                self.over = true;
                return;
            }
        }
    }
}

/// Reads a piece of what is there; how much it was.
fn take(pipe: BorrowedFd<'_>, bytes: &mut Vec<u8>) -> Result<usize, Errno> {
    let before = bytes.len();
    bytes.resize(before + CHUNK_BYTES, 0);
    let taken = read(pipe, bytes.get_mut(before..).unwrap_or_default());
    bytes.truncate(before + taken.unwrap_or(0));
    taken
}
