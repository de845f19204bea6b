//! Finding and killing the processes of an execution, wherever they have moved.
//!
//! A job's process may fork, change its group or session, and outlive its parent. What belongs to an
//! execution is told by its process group, its session, its ancestors, and a mark in its environment
//! that children inherit. Orphans become children of the supervisor (it is a subreaper), so that
//! after the end of the main process every leftover has an ancestor among our own children.
//!
//! What clears its environment, leaves its session *and* loses its parent before the tree is looked
//! at is not found: only a control group finds it (`supervisor::cgroup`), where there is one.

#![expect(clippy::disallowed_methods, reason = "the supervisor reads /proc itself")]

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::time::Duration;

use rustix::process::{
    Pid, PidfdFlags, Signal, WaitOptions, getpid, kill_process, kill_process_group, pidfd_open,
    pidfd_send_signal, waitpid,
};

use crate::supervisor::clock;
use crate::supervisor::protocol::MARK_VARIABLE;

/// The most of an environment that is searched for a mark, in bytes (the kernel's own limit for
/// arguments and environment together is a quarter of the stack limit, 2 MiB by default).
const ENVIRONMENT_BYTES_MAX: usize = 8 * 1024 * 1024;

/// How much of an environment is read at once, in bytes: nearly always all of it, so that it cannot
/// change in between.
const READ_BYTES: usize = 128 * 1024;

/// How often an environment that changes while it is read is read again.
const READS_MAX: usize = 3;

/// The flag of kernel threads in /proc/PID/stat.
const KERNEL_THREAD: u64 = 0x0020_0000;

/// How long the processes of a predecessor are killed at start.
const PREDECESSOR_SWEEP: Duration = Duration::from_secs(1);

/// How long, of that, unclear processes are waited for: here they may be anybody's.
const PREDECESSOR_UNCLEAR: Duration = Duration::from_millis(200);

/// What the environment of every process of a supervisor holds: its instance, and a number for each
/// execution.
#[derive(Debug, Clone)]
pub(super) struct Mark {
    instance: String,
}

/// One line of /proc.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Process {
    pid: i32,
    parent: i32,
    group: i32,
    session: i32,
    /// In clock ticks since the boot; with the pid, an identity.
    started: u64,
    zombie: bool,
    kernel_thread: bool,
    memory: Memory,
    /// The execution in its mark.
    execution: Option<u64>,
    /// It has no environment at this moment: in the middle of an exec, or of its end. Whose it is, or
    /// whose its children are, shows in a moment.
    unclear: bool,
}

/// Where the kernel says that an environment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Memory {
    /// Nowhere.
    None,
    /// Somewhere, with nothing in it.
    Empty,
    /// Somewhere.
    Filled,
}

/// The processes of the system at one moment.
#[derive(Debug)]
pub(super) struct Table {
    processes: Vec<Process>,
}

impl Mark {
    /// A mark of a supervisor.
    pub(super) fn new(instance: String) -> Self {
        Self { instance }
    }

    /// The instance of the supervisor.
    pub(super) fn instance(&self) -> &str {
        &self.instance
    }

    /// The value of the variable in the processes of an execution.
    pub(super) fn value(&self, execution: u64) -> String {
        format!("{}:{execution}", self.instance)
    }

    /// The execution that an environment belongs to.
    fn execution(&self, environment: &[u8]) -> Option<u64> {
        environment.split(|byte| *byte == 0).find_map(|entry| {
            let value = entry.strip_prefix(MARK_VARIABLE.as_bytes())?.strip_prefix(b"=")?;
            let number = value.strip_prefix(self.instance.as_bytes())?.strip_prefix(b":")?;
            std::str::from_utf8(number).ok()?.parse().ok()
        })
    }
}

impl Table {
    /// All processes.
    pub(super) fn of_system(mark: &Mark) -> Self {
        let mut buffer = vec![0; READ_BYTES];
        let processes = match fs::read_dir("/proc") {
            Ok(entries) => entries
                .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
                .filter_map(|pid| Process::read(pid, mark, &mut buffer))
                .collect(),
            Err(error) => {
                tracing::error!(%error, "cannot read /proc: leftovers will stay");
                Vec::new()
            }
        };
        Self { processes }
    }

    /// The children of this process except `mains`, which are read no further.
    pub(super) fn of_orphans(mark: &Mark, is_main: impl Fn(Pid) -> bool) -> Self {
        let Ok(children) = own_children() else {
            // A kernel without lists of children.
            let own = getpid().as_raw_nonzero().get();
            let mut table = Self::of_system(mark);
            table.processes.retain(|process| {
                process.parent == own && Pid::from_raw(process.pid).is_some_and(|pid| !is_main(pid))
            });
            return table;
        };
        let mut buffer = vec![0; READ_BYTES];
        let orphans = children.into_iter().filter(|pid| !is_main(*pid));
        let read = orphans.filter_map(|pid| Process::read(raw(pid), mark, &mut buffer));
        Self { processes: read.collect() }
    }

    /// Signals all of an execution whose main process has not been reaped. `grouped`: what its control group shows.
    pub(super) fn signal_tree(&self, main: Pid, execution: u64, grouped: &[i32], signal: Signal) {
        // The group first: that is one act, and `main` keeps its number from being given anew.
        signalled(raw(main), kill_process_group(main, signal));
        for process in self.tree(raw(main), execution, grouped) {
            if process.group != raw(main) {
                process.signal(signal);
            }
        }
    }

    /// Kills what is left of an execution among these orphans; how many were still alive.
    pub(super) fn kill_leftovers(&self, main: Pid, execution: u64) -> usize {
        let leftovers = self.leftovers(raw(main), execution);
        // They are our children: nobody else reaps them, so their numbers cannot be given anew.
        leftovers
            .filter_map(|process| Pid::from_raw(process.pid))
            .map(|pid| signalled(raw(pid), kill_process(pid, Signal::KILL)))
            .count()
    }

    /// Whether something is left of an execution among these orphans, or may be.
    pub(super) fn holds_leftovers(&self, main: Pid, execution: u64) -> bool {
        self.is_unclear() || self.leftovers(raw(main), execution).next().is_some()
    }

    fn leftovers(&self, main: i32, execution: u64) -> impl Iterator<Item = &Process> {
        self.processes.iter().filter(move |process| {
            !process.zombie
                && (process.execution == Some(execution)
                    || process.session == main
                    || process.group == main)
        })
    }

    /// Whether it cannot be told yet whose one of these processes is.
    pub(super) fn is_unclear(&self) -> bool {
        self.processes.iter().any(|process| process.unclear)
    }

    /// Reaps the orphans that have ended; how many there were.
    pub(super) fn reap(&self) -> usize {
        let zombies = self.processes.iter().filter(|process| process.zombie);
        zombies.map(Process::reap).count()
    }

    /// The main process, its group, its session, what bears its mark, and all their descendants.
    fn tree(&self, main: i32, execution: u64, grouped: &[i32]) -> Vec<&Process> {
        let belongs = |process: &&Process| {
            process.pid == main
                || process.group == main
                || process.session == main
                || process.execution == Some(execution)
                || grouped.contains(&process.pid)
        };
        let mut tree: Vec<&Process> = self.processes.iter().filter(belongs).collect();
        let mut known: BTreeSet<i32> = tree.iter().map(|process| process.pid).collect();
        let mut next = 0;
        while let Some(parent) = tree.get(next).map(|process| process.pid) {
            let children = self.processes.iter().filter(|process| process.parent == parent);
            tree.extend(children.filter(|process| known.insert(process.pid)));
            next += 1;
        }
        tree
    }
}

/// Kills whatever bears the mark of a supervisor that is dead. Returns when nothing is left, or after
/// a second.
pub(super) fn kill_marked(mark: &Mark) {
    let begin = clock::now();
    loop {
        let table = Table::of_system(mark);
        let own = raw(getpid());
        let marked = table.processes.iter().filter(|process| process.execution.is_some());
        let alive = marked.filter(|process| !process.zombie && process.pid != own);
        let killed = alive.map(|process| process.signal(Signal::KILL)).count();
        let took = clock::now().saturating_duration_since(begin);
        if killed == 0 && !(table.is_unclear() && took < PREDECESSOR_UNCLEAR) {
            return;
        }
        if took >= PREDECESSOR_SWEEP {
            tracing::warn!("processes of the former supervisor are still there");
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

impl Process {
    /// None when it has gone.
    fn read(pid: i32, mark: &Mark, buffer: &mut [u8]) -> Option<Self> {
        for _ in 0..READS_MAX {
            let environment = read_environment(pid, buffer);
            // Read after the environment, so that an empty one can be explained.
            let mut process = Self::parse(pid, &fs::read(format!("/proc/{pid}/stat")).ok()?)?;
            match environment {
                // Those of other users cannot be read, and are not ours to kill.
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    return Some(process);
                }
                Ok(bytes) if bytes.ends_with(b"\0") => {
                    process.execution = mark.execution(&bytes);
                    return Some(process);
                }
                // None at all, or cut short: the process execs or ends.
                Ok(_) | Err(_) => {}
            }
            match process.memory {
                Memory::None => {
                    process.unclear = !process.zombie && !process.kernel_thread;
                    return Some(process);
                }
                Memory::Empty => return Some(process),
                // It has one by now.
                Memory::Filled => {}
            }
        }
        let process = Self::parse(pid, &fs::read(format!("/proc/{pid}/stat")).ok()?)?;
        Some(Self { unclear: true, ..process })
    }

    /// Reads `pid (name) state ppid pgrp session … flags … starttime … env_start env_end …`; the name
    /// may hold anything.
    fn parse(pid: i32, stat: &[u8]) -> Option<Self> {
        let after_name = stat.iter().rposition(|byte| *byte == b')')? + 1;
        let text = std::str::from_utf8(&stat[after_name..]).ok()?;
        let fields: Vec<&str> = text.split_ascii_whitespace().collect();
        let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
        let memory = match (number(47), number(48)) {
            (_, None | Some(0)) => Memory::None,
            (from, to) if from == to => Memory::Empty,
            _ => Memory::Filled,
        };
        Some(Self {
            pid,
            parent: fields.get(1)?.parse().ok()?,
            group: fields.get(2)?.parse().ok()?,
            session: fields.get(3)?.parse().ok()?,
            started: number(19)?,
            zombie: matches!(*fields.first()?, "Z" | "X"),
            kernel_thread: number(6)? & KERNEL_THREAD != 0,
            memory,
            execution: None,
            unclear: false,
        })
    }

    fn reap(&self) {
        // An error says that it is no child of ours any more: nothing is left to do.
        if let Some(pid) = Pid::from_raw(self.pid)
            && let Err(errno) = waitpid(Some(pid), WaitOptions::NOHANG)
        {
            tracing::debug!(pid = self.pid, %errno, "cannot reap");
        }
    }

    /// Signals this process and no later one with its number.
    fn signal(&self, signal: Signal) {
        let Some(pid) = Pid::from_raw(self.pid) else { return };
        let Ok(handle) = pidfd_open(pid, PidfdFlags::empty()) else { return };
        let stat = fs::read(format!("/proc/{}/stat", self.pid)).unwrap_or_default();
        let same = Self::parse(self.pid, &stat).is_some_and(|now| now.started == self.started);
        if same {
            signalled(self.pid, pidfd_send_signal(&handle, signal));
        }
    }
}

/// The environment of a process, as far as it could be read at once; whole when it ends with a zero.
fn read_environment(pid: i32, buffer: &mut [u8]) -> io::Result<Vec<u8>> {
    let mut file = File::open(format!("/proc/{pid}/environ"))?;
    let mut environment = Vec::new();
    loop {
        let count = file.read(buffer)?;
        environment.extend_from_slice(&buffer[..count]);
        if count < buffer.len() || environment.len() >= ENVIRONMENT_BYTES_MAX {
            return Ok(environment);
        }
    }
}

/// Our children, orphans that became ours among them.
fn own_children() -> io::Result<Vec<Pid>> {
    let mut children = Vec::new();
    for thread in fs::read_dir("/proc/self/task")? {
        let text = fs::read_to_string(thread?.path().join("children"))?;
        let pids = text.split_ascii_whitespace().filter_map(|pid| pid.parse().ok());
        children.extend(pids.filter_map(Pid::from_raw));
    }
    Ok(children)
}

fn signalled(pid: i32, sent: Result<(), rustix::io::Errno>) {
    match sent {
        Ok(()) | Err(rustix::io::Errno::SRCH) => {}
        Err(errno) => tracing::warn!(pid, %errno, "cannot signal a process"),
    }
}

fn raw(pid: Pid) -> i32 {
    pid.as_raw_nonzero().get()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: i32, parent: i32, group: i32, session: i32, execution: Option<u64>) -> Process {
        Process {
            pid,
            parent,
            group,
            session,
            started: 1,
            zombie: false,
            kernel_thread: false,
            memory: Memory::None,
            execution,
            unclear: false,
        }
    }

    #[test]
    fn a_line_of_proc_is_read_whatever_the_name_holds() {
        let stat = b"42 (a) b) (c) S 7 42 40 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 12345 99 9";
        let read = Process::parse(42, stat).unwrap();
        assert_eq!(read, Process { started: 12345, ..process(42, 7, 42, 40, None) });
        let with_memory = [&stat[..], &b" 0".repeat(25), b" 700 800 0"].concat();
        assert_eq!(Process::parse(42, &with_memory).unwrap().memory, Memory::Filled);
        let with_memory = [&stat[..], &b" 0".repeat(25), b" 700 700 0"].concat();
        assert_eq!(Process::parse(42, &with_memory).unwrap().memory, Memory::Empty);
        assert_eq!(Process::parse(42, b""), None);
        assert_eq!(Process::parse(42, b"42 (x) S 7"), None);
    }

    #[test]
    fn a_mark_is_found_only_whole() {
        let mark = Mark::new("ab".to_owned());
        for (environment, execution) in [
            (&b"A=1\0CRONWRIGHT_SUPERVISOR=ab:17\0B=2\0"[..], Some(17)),
            (b"CRONWRIGHT_SUPERVISOR=ab:17", Some(17)),
            (b"XCRONWRIGHT_SUPERVISOR=ab:17\0", None),
            (b"CRONWRIGHT_SUPERVISOR=abc:17\0", None),
            (b"CRONWRIGHT_SUPERVISOR=ab:\0", None),
            (b"A=CRONWRIGHT_SUPERVISOR=ab:17\0", None),
            (b"", None),
        ] {
            let text = String::from_utf8_lossy(environment);
            assert_eq!(mark.execution(environment), execution, "{text:?}");
        }
        assert_eq!(mark.value(17), "ab:17");
    }

    #[test]
    fn a_tree_holds_group_session_mark_and_all_descendants() {
        let table = Table {
            processes: vec![
                process(10, 1, 10, 10, Some(5)),
                process(11, 10, 11, 10, None),
                process(12, 1, 12, 12, Some(5)),
                process(13, 12, 13, 13, None),
                process(14, 13, 13, 13, None),
                process(20, 1, 20, 20, Some(6)),
                process(21, 20, 20, 20, None),
            ],
        };
        let pids = |main, execution| {
            table.tree(main, execution, &[]).iter().map(|process| process.pid).collect::<Vec<_>>()
        };
        assert_eq!(pids(10, 5), [10, 11, 12, 13, 14]);
        assert_eq!(pids(20, 6), [20, 21]);
        let grouped = table.tree(20, 6, &[12]);
        let pids: Vec<i32> = grouped.iter().map(|process| process.pid).collect();
        assert_eq!(pids, [12, 20, 21, 13, 14], "what its control group shows, and all below");
    }
}
