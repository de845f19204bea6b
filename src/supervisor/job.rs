//! One execution that the supervisor holds: its process, what it prints, where it stands.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, WaitId, WaitIdOptions, WaitIdStatus, WaitOptions, waitid, waitpid};

use crate::supervisor::capture::Capture;
use crate::supervisor::cgroup::Leaf;
use crate::supervisor::clock;
use crate::supervisor::lifecycle::Phase;
use crate::supervisor::mask::Mask;
use crate::supervisor::protocol::{
    Applied, HowEnded, KeptOutput, ProcessEnding, RESULT_VARIABLE, RunningProcess, StartProcess,
    StartRules,
};
use crate::supervisor::result_file::ResultFile;
use crate::supervisor::spawn::Spawned;
use crate::supervisor::warm::Warm;

/// The most that one turn of the loop reads of one pipe, so that a flood starves nobody.
const READ_BYTES_PER_TURN: usize = 1024 * 1024;

/// One of the two pipes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    /// Descriptor 1.
    Stdout,
    /// Descriptor 2.
    Stderr,
}

/// An execution with a process.
#[derive(Debug)]
pub(super) struct Job {
    /// The execution.
    pub(super) id: String,
    /// Its main process, not reaped before the execution is over.
    pub(super) pid: Pid,
    /// Where it stands.
    pub(super) phase: Phase,
    /// Between TERM and KILL.
    pub(super) kill_grace: Duration,
    /// Whether what its main process leaves running is left alone.
    pub(super) leaves_leftovers: bool,
    /// The number that its processes bear in their mark.
    pub(super) mark: u64,
    /// What its process is told calls by, while that may be kept for another.
    pub(super) warm: Option<Warm>,
    /// The control group of its processes.
    pub(super) leaf: Option<Leaf>,
    /// Readable when the main process has ended; none afterwards.
    pub(super) exit: Option<OwnedFd>,
    applied: Applied,
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
    capture: Capture,
    mask: Option<Mask>,
    result: ResultFile,
    success_exit_codes: Vec<i32>,
    started: Instant,
    started_at_ms: i64,
    end: Option<End>,
}

/// The end of a main process.
#[derive(Debug)]
struct End {
    how: HowEnded,
    duration: Duration,
    at_ms: i64,
}

impl Job {
    /// An execution whose process was started just now.
    pub(super) fn new(
        number: u64,
        process: &StartProcess,
        spawned: Spawned,
        result: ResultFile,
    ) -> Self {
        let started = clock::now();
        Self {
            id: process.id.clone(),
            pid: spawned.pid,
            phase: Phase::started(started, process.timeout_ms.map(Duration::from_millis)),
            kill_grace: Duration::from_millis(process.kill_grace_ms),
            leaves_leftovers: process.rules.leave_leftovers,
            mark: spawned.warm.as_ref().map_or(number, |warm| warm.mark),
            warm: spawned.warm,
            applied: applied(&process.rules, spawned.leaf.as_ref()),
            leaf: spawned.leaf,
            exit: Some(spawned.exit),
            stdout: spawned.stdout,
            stderr: spawned.stderr,
            capture: Capture::new(process.output_bytes_max),
            mask: Mask::new(process.secrets()),
            result,
            success_exit_codes: process.rules.success_exit_codes.clone(),
            started,
            started_at_ms: clock::wall_ms(),
            end: None,
        }
    }

    /// What a daemon is told while it runs.
    pub(super) fn running(&self) -> RunningProcess {
        RunningProcess {
            id: self.id.clone(),
            pid: self.pid.as_raw_nonzero().get().unsigned_abs(),
            started_at_ms: self.started_at_ms,
        }
    }

    /// Output so far, its secrets masked.
    pub(super) fn output(&self) -> KeptOutput {
        let kept = self.capture.kept();
        let masked = match &self.mask {
            Some(mask) => mask.output(kept),
            None => kept,
        };
        masked.into()
    }

    /// A pipe, while it is open.
    pub(super) fn pipe(&self, stream: Stream) -> Option<&OwnedFd> {
        match stream {
            Stream::Stdout => self.stdout.as_ref(),
            Stream::Stderr => self.stderr.as_ref(),
        }
    }

    /// Whether both pipes are closed.
    pub(super) fn pipes_closed(&self) -> bool {
        self.stdout.is_none() && self.stderr.is_none()
    }

    /// Reads what a pipe holds, with `buffer`; closes the pipe at its end.
    pub(super) fn read(&mut self, stream: Stream, buffer: &mut [u8]) {
        let pipe = match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        let mut read_bytes = 0;
        while let Some(descriptor) = pipe {
            match rustix::io::read(descriptor, &mut *buffer) {
                Ok(0) => *pipe = None,
                Ok(count) => {
                    self.capture.push(&buffer[..count]);
                    read_bytes += count;
                    if read_bytes >= READ_BYTES_PER_TURN {
                        return;
                    }
                }
                Err(Errno::AGAIN) => return,
                Err(Errno::INTR) => {}
                Err(errno) => {
                    tracing::warn!(id = self.id, %errno, "cannot read output");
                    *pipe = None;
                }
            }
        }
    }

    /// Closes the pipes, whoever still holds their other ends.
    pub(super) fn close_pipes(&mut self) {
        self.stdout = None;
        self.stderr = None;
    }

    /// Looks whether the main process has ended; it stays a zombie, so that its number, which is that
    /// of its group and session, is not given anew. True: it has, and this is news.
    pub(super) fn look_for_exit(&mut self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let own = match waitid(WaitId::Pid(self.pid), options) {
            Ok(None) | Err(Errno::INTR) => return false,
            Ok(Some(status)) => how_ended(&status),
            Err(errno) => {
                // Somebody else has reaped it; how it ended cannot be known.
                tracing::error!(id = self.id, %errno, "cannot wait for a process");
                HowEnded::Signalled { signal: 0 }
            }
        };
        self.exit = None;
        self.ended(self.phase.how(own));
        true
    }

    /// Sets how it ended, once.
    pub(super) fn ended(&mut self, how: HowEnded) {
        if self.end.is_none() {
            let duration = clock::now().saturating_duration_since(self.started);
            self.end = Some(End { how, duration, at_ms: clock::wall_ms() });
        }
    }

    /// Reaps the main process.
    pub(super) fn reap(&self) {
        if let Err(errno) = waitpid(Some(self.pid), WaitOptions::NOHANG) {
            tracing::warn!(id = self.id, %errno, "cannot reap a process");
        }
    }

    /// The ending, when it has ended. A result that cannot be kept is said where it is looked for: behind
    /// what the process printed.
    pub(super) fn ending(&mut self) -> Option<ProcessEnding> {
        let end = self.end.as_ref()?;
        let result = self.result.read().unwrap_or_else(|refused| {
            self.capture.push(format!("{RESULT_VARIABLE} is not kept: {refused}\n").as_bytes());
            None
        });
        Some(ProcessEnding {
            id: self.id.clone(),
            started_at_ms: Some(self.started_at_ms),
            finished_at_ms: end.at_ms,
            duration_ms: Some(u64::try_from(end.duration.as_millis()).unwrap_or(u64::MAX)),
            how: end.how.clone(),
            output: self.output(),
            result: match &self.mask {
                Some(mask) => result.map(|result| mask.json(&result)),
                None => result,
            },
            success_exit_codes: self.success_exit_codes.clone(),
            applied: Some(self.applied),
            hit: self.leaf.as_ref().and_then(Leaf::hit),
        })
    }

    /// The processes that its control group shows.
    pub(super) fn grouped(&self) -> Vec<i32> {
        self.leaf.as_ref().map(Leaf::processes).unwrap_or_default()
    }

    /// Kills what is left in its control group, unless it is left alone; whether something was.
    pub(super) fn kill_grouped(&self) -> bool {
        let leaf = self.leaf.as_ref().filter(|leaf| !leaf.is_kept() && leaf.is_populated());
        if let Some(leaf) = leaf {
            leaf.kill();
        }
        leaf.is_some()
    }
}

fn applied(rules: &StartRules, leaf: Option<&Leaf>) -> Applied {
    Applied {
        is_in_group: leaf.is_some(),
        group_limits: leaf.map(Leaf::limits).unwrap_or_default(),
        limits_files: rules.open_files_max.is_some(),
        limits_time: rules.cpu_seconds_max.is_some(),
    }
}

fn how_ended(status: &WaitIdStatus) -> HowEnded {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => HowEnded::Exited { code },
        (None, signal) => HowEnded::Signalled { signal: signal.unwrap_or(0) },
    }
}
