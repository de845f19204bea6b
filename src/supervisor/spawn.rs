//! Starting a job process: its own session, exactly the given environment, no descriptor but 0, 1, 2.
//!
//! Everything that can be found out before there is a child is, so that the reason names what is wrong.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{Access, AtFlags, Mode, OFlags, accessat, fcntl_setfl};
use rustix::io::fcntl_dupfd_cloexec;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Gid, Pid, Rlimit, Uid, getpid};

use crate::supervisor::cgroup::Leaf;
use crate::supervisor::child::{Child, Identity, SCRIPT, Stack, StartError};
use crate::supervisor::image::Image;
use crate::supervisor::protocol::{GroupLimits, RunAs, StartProcess, StartRules};
use crate::supervisor::warm::Warm;

/// Where streams go that nobody keeps.
const NULL_DEVICE: &str = "/dev/null";
/// CPU time between the signals XCPU and KILL, in seconds.
const CPU_SECONDS_TO_END: u64 = 5;

/// A process that was started.
#[derive(Debug)]
pub(super) struct Spawned {
    /// Its process id, process group and session.
    pub(super) pid: Pid,
    /// Readable when it has ended.
    pub(super) exit: OwnedFd,
    /// Its stdout, unless that is thrown away; never blocks.
    pub(super) stdout: Option<OwnedFd>,
    /// Its stderr, likewise.
    pub(super) stderr: Option<OwnedFd>,
    /// What it is told its calls by, when it serves some.
    pub(super) warm: Option<Warm>,
    /// Its control group.
    pub(super) leaf: Option<Leaf>,
}

/// The two streams of a process, or of a call.
#[derive(Debug)]
pub(super) struct Streams {
    /// Our ends; none where nobody reads.
    pub(super) ours: [Option<OwnedFd>; 2],
    /// Those of the process.
    pub(super) its: [OwnedFd; 2],
}

impl Streams {
    /// Stdout and stderr as the rules want them.
    pub(super) fn new(rules: &StartRules) -> Result<Self, String> {
        let (stdout, its_stdout) = stream(rules.discard_stdout)?;
        let (stderr, its_stderr) = stream(rules.discard_stderr)?;
        Ok(Self { ours: [stdout, stderr], its: [its_stdout, its_stderr] })
    }
}

/// What starts processes.
#[derive(Debug)]
pub(super) struct Spawner {
    open_files: Rlimit,
    stack: Stack,
}

impl Spawner {
    /// `open_files` is the limit that the processes get: the supervisor may have raised its own.
    pub(super) fn new(open_files: Rlimit) -> Self {
        Self { open_files, stack: Stack::new() }
    }

    /// Starts `process` in `leaf` with the variables of `own` added to its environment. The error is one sentence.
    /// Where it cannot be put there, and needs no limits, it is started outside, and `leaf` stays.
    pub(super) fn spawn(
        &mut self,
        process: &StartProcess,
        own: &BTreeMap<&str, String>,
        leaf: &mut Option<Leaf>,
    ) -> Result<Spawned, String> {
        let Streams { ours: [stdout, stderr], its } = Streams::new(&process.rules)?;
        let (pid, exit, leaf) = self.spawn_with(process, own, its, None, leaf)?;
        Ok(Spawned { pid, exit, stdout, stderr, warm: None, leaf })
    }

    /// Starts `process` with these streams, and with a descriptor where it is given calls.
    pub(super) fn spawn_with(
        &mut self,
        process: &StartProcess,
        own: &BTreeMap<&str, String>,
        streams: [OwnedFd; 2],
        control: Option<OwnedFd>,
        leaf: &mut Option<Leaf>,
    ) -> Result<(Pid, OwnedFd, Option<Leaf>), String> {
        let image = Image::new(process, own)?;
        let rules = &process.rules;
        let open_files = self.open_files(rules)?;
        let working_dir = open_working_dir(&process.working_dir)?;
        let identity = rules.run_as.as_ref().map(identity_of);
        let [stdout, stderr] = streams;
        let mut child = Child {
            supervisor: getpid(),
            open_files,
            cpu_time: rules.cpu_seconds_max.map(cpu_time),
            umask: rules.umask.map(Mode::from_raw_mode),
            identity: identity.as_ref(),
            group: leaf.as_ref().map(Leaf::folder),
            working_dir,
            stdout,
            stderr,
            control,
            script: rules.script.as_deref().map(open_script).transpose()?,
            image: &image,
        };
        let started = match child.start(&mut self.stack) {
            Err(StartError::Group(error)) if rules.group_limits == GroupLimits::default() => {
                tracing::warn!(%error, "a process cannot be put into its control group");
                child.group = None;
                child.start(&mut self.stack)
            }
            started => started,
        };
        let is_within = child.group.is_some();
        let (pid, exit) = started.map_err(|error| start_error(&image.program(), &error))?;
        Ok((pid, exit, leaf.take_if(|_| is_within)))
    }

    fn open_files(&self, rules: &StartRules) -> Result<Rlimit, String> {
        let Some(files) = rules.open_files_max else { return Ok(self.open_files) };
        match self.open_files.maximum {
            Some(most) if files > most => Err(format!(
                "`limits.files` is {files}, and this machine allows {most} (`ulimit -Hn`)"
            )),
            Some(_) | None => Ok(Rlimit { current: Some(files), maximum: Some(files) }),
        }
    }
}

fn identity_of(run_as: &RunAs) -> Identity {
    Identity {
        uid: Uid::from_raw(run_as.uid),
        gid: Gid::from_raw(run_as.gid),
        groups: run_as.groups.iter().copied().map(Gid::from_raw).collect(),
    }
}

/// XCPU first, which a process may catch to end in order; then KILL.
fn cpu_time(seconds: u64) -> Rlimit {
    let maximum = seconds.saturating_add(CPU_SECONDS_TO_END);
    Rlimit { current: Some(seconds), maximum: Some(maximum) }
}

/// A stream of a process: our end of a pipe, none when nobody reads it, and the process's own.
fn stream(is_discarded: bool) -> Result<(Option<OwnedFd>, OwnedFd), String> {
    let stream = if is_discarded {
        let flags = OFlags::WRONLY | OFlags::CLOEXEC;
        rustix::fs::open(NULL_DEVICE, flags, Mode::empty()).map(|null| (None, null))
    } else {
        captured().map(|(ours, its)| (Some(ours), its))
    };
    stream.map_err(|errno| {
        format!("cannot make a pipe for its output: {}", os_text(errno.raw_os_error()))
    })
}

/// A pipe: our end, which never blocks, and the process's.
fn captured() -> rustix::io::Result<(OwnedFd, OwnedFd)> {
    let (ours, its) = pipe_with(PipeFlags::CLOEXEC)?;
    fcntl_setfl(&ours, OFlags::NONBLOCK)?;
    Ok((ours, its))
}

fn open_working_dir(path: &str) -> Result<OwnedFd, String> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty())
        .and_then(|folder| {
            accessat(&folder, ".", Access::EXEC_OK, AtFlags::empty())?;
            Ok(folder)
        })
        .map_err(|errno| {
            format!(
                "cannot enter the working directory `{path}`: {}",
                os_text(errno.raw_os_error())
            )
        })
}

/// As ourselves: the process may not be able to.
fn open_script(path: &str) -> Result<OwnedFd, String> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty())
        // Not a number that it gets in the process.
        .and_then(|script| fcntl_dupfd_cloexec(script, SCRIPT + 1))
        .map_err(|errno| format!("cannot open `{path}`: {}", os_text(errno.raw_os_error())))
}

fn start_error(program: &str, error: &StartError) -> String {
    let error = match error {
        StartError::Group(error) => {
            return format!(
                "cannot put `{program}` into a control group with its `limits`: {error}"
            );
        }
        StartError::Other(error) => error,
    };
    let missing_interpreter =
        error.raw_os_error() == Some(libc::ENOENT) && Path::new(program).exists();
    let hint = if missing_interpreter { " (its interpreter is missing)" } else { "" };
    format!("cannot start `{program}`: {error}{hint}")
}

fn os_text(errno: i32) -> String {
    io::Error::from_raw_os_error(errno).to_string()
}
