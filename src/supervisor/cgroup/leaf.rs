//! The control group of one process and all that comes from it.

#![expect(clippy::disallowed_methods, reason = "the supervisor reads and writes cgroupfs itself")]

use std::fs;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, Signal, kill_process};

use crate::supervisor::protocol::{GroupLimits, LimitHit};

/// How long CPU time is counted before it begins anew, in microseconds: the kernel's own choice.
const CPU_PERIOD_MICROSECONDS: u64 = 100_000;

/// How often what is in a group without `cgroup.kill` is killed: each time may show those that were being made.
const KILL_ROUNDS_MAX: usize = 16;

/// The most of a file of counters that is looked at, in bytes: the longest, `memory.events`, has about 100.
const COUNTERS_BYTES_MAX: usize = 1024;

/// How deep groups are removed that a process has made within its own.
const DEPTH_MAX: usize = 8;

/// The group of a process.
#[derive(Debug)]
pub(in crate::supervisor) struct Leaf {
    path: PathBuf,
    folder: OwnedFd,
    is_kept: bool,
    limits: GroupLimits,
}

impl Leaf {
    /// Makes a group at `path` with these limits, whose controllers it must have. `is_kept`: what is left in it at the
    /// end is left alone.
    pub(super) fn make(path: PathBuf, is_kept: bool, limits: GroupLimits) -> io::Result<Self> {
        fs::create_dir(&path)?;
        let made = limit(&path, &limits).and_then(|()| {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            Ok(rustix::fs::open(&path, flags, Mode::empty())?)
        });
        match made {
            Ok(folder) => Ok(Self { path, folder, is_kept, limits }),
            Err(error) => {
                remove(&path, DEPTH_MAX)?;
                Err(error)
            }
        }
    }

    /// The same with other limits.
    #[cfg(test)]
    pub(super) fn with_limits(self, limits: GroupLimits) -> Self {
        Self { limits, ..self }
    }

    /// Its folder, open.
    pub(in crate::supervisor) fn folder(&self) -> BorrowedFd<'_> {
        self.folder.as_fd()
    }

    /// Whether what is left in it at the end is left alone.
    pub(in crate::supervisor) fn is_kept(&self) -> bool {
        self.is_kept
    }

    /// The limits that hold in it.
    pub(in crate::supervisor) fn limits(&self) -> GroupLimits {
        self.limits
    }

    /// The processes in it, and in groups within it.
    pub(in crate::supervisor) fn processes(&self) -> Vec<i32> {
        processes_in(&self.path, DEPTH_MAX)
    }

    /// Whether something lives in it.
    pub(in crate::supervisor) fn is_populated(&self) -> bool {
        is_populated(&self.path)
    }

    /// Kills all that is in it.
    pub(in crate::supervisor) fn kill(&self) {
        if let Err(error) = kill_all(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "cannot kill a control group");
        }
    }

    /// The limit that it ran into, if it did: which one the kernel has counted.
    pub(in crate::supervisor) fn hit(&self) -> Option<LimitHit> {
        let count = |file: &str, name: &str| counted(&self.path.join(file), name);
        if self.limits.memory_bytes_max.is_some() && count("memory.events", "oom_kill") > 0 {
            return Some(LimitHit::Memory);
        }
        let is_refused = self.limits.pids_max.is_some() && count("pids.events", "max") > 0;
        is_refused.then_some(LimitHit::Pids)
    }

    /// Removes it; false: something is still in it.
    pub(super) fn remove(&self) -> bool {
        removed(&self.path)
    }
}

/// Removes a group; false: something is still in it.
pub(super) fn removed(path: &Path) -> bool {
    match remove(path, DEPTH_MAX) {
        Ok(()) => true,
        Err(error) if error.kind() == io::ErrorKind::NotFound => true,
        Err(error) => {
            tracing::debug!(path = %path.display(), %error, "a control group stays");
            false
        }
    }
}

/// Whether something lives in a group or below it.
pub(super) fn is_populated(path: &Path) -> bool {
    counted(&path.join("cgroup.events"), "populated") > 0
}

/// Kills all that is in a group and below it.
pub(super) fn kill_all(path: &Path) -> io::Result<()> {
    match write(&path.join("cgroup.kill"), "1") {
        Err(error) if error.kind() == io::ErrorKind::NotFound => kill_frozen(path),
        written => written,
    }
}

/// The same where the kernel has no `cgroup.kill` (before 5.14): nothing in it can start another process meanwhile.
fn kill_frozen(path: &Path) -> io::Result<()> {
    let freeze = path.join("cgroup.freeze");
    let frozen = write(&freeze, "1");
    for _ in 0..KILL_ROUNDS_MAX {
        let pids = processes_in(path, DEPTH_MAX);
        if pids.is_empty() {
            break;
        }
        for pid in pids.into_iter().filter_map(Pid::from_raw) {
            match kill_process(pid, Signal::KILL) {
                Ok(()) | Err(rustix::io::Errno::SRCH) => {}
                Err(errno) => tracing::warn!(%errno, "cannot kill a process of a control group"),
            }
        }
    }
    frozen.and_then(|()| write(&freeze, "0"))
}

fn processes_in(path: &Path, depth: usize) -> Vec<i32> {
    let text = fs::read_to_string(path.join("cgroup.procs")).unwrap_or_default();
    let mut pids: Vec<i32> = text.lines().filter_map(|line| line.parse().ok()).collect();
    if depth > 0 {
        for folder in folders_in(path) {
            pids.extend(processes_in(&folder, depth - 1));
        }
    }
    pids
}

/// The groups in a group.
pub(super) fn folders_in(path: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(path) else { return Vec::new() };
    let folders = entries.filter_map(|entry| {
        let entry = entry.ok()?;
        entry.file_type().ok()?.is_dir().then(|| entry.path())
    });
    folders.collect()
}

/// Removes a group, with those that a process has made within it: looked for only where there must be some.
fn remove(path: &Path, depth: usize) -> io::Result<()> {
    let is_in_use =
        |kind| matches!(kind, io::ErrorKind::ResourceBusy | io::ErrorKind::DirectoryNotEmpty);
    match fs::remove_dir(path) {
        Err(error) if is_in_use(error.kind()) && depth > 0 => {
            let within = folders_in(path);
            if within.is_empty() {
                return Err(error);
            }
            for folder in within {
                remove(&folder, depth - 1)?;
            }
            fs::remove_dir(path)
        }
        done => done,
    }
}

pub(super) fn limit(path: &Path, limits: &GroupLimits) -> io::Result<()> {
    if let Some(thousandths) = limits.cpu_thousandths_max {
        let quota = u64::from(thousandths) * CPU_PERIOD_MICROSECONDS / 1000;
        write(&path.join("cpu.max"), &format!("{quota} {CPU_PERIOD_MICROSECONDS}"))?;
    }
    if let Some(bytes) = limits.memory_bytes_max {
        write(&path.join("memory.max"), &bytes.to_string())?;
        // What does not fit does not go elsewhere, and no half of a job lives on.
        for (file, value) in [("memory.swap.max", "0"), ("memory.oom.group", "1")] {
            match write(&path.join(file), value) {
                // A kernel without swap has no such file.
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
    }
    if let Some(pids) = limits.pids_max {
        write(&path.join("pids.max"), &pids.to_string())?;
    }
    Ok(())
}

/// The number behind `name` in a file of lines `name number`; 0: it is not there.
fn counted(file: &Path, name: &str) -> u64 {
    let text = beginning_of(file).unwrap_or_default();
    let number = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    number.and_then(|number| number.trim().parse().ok()).unwrap_or(0)
}

/// What stands in a small file, read at once: this is done at the end of each process.
fn beginning_of(file: &Path) -> io::Result<String> {
    let mut bytes = [0; COUNTERS_BYTES_MAX];
    let length = fs::File::open(file)?.read(&mut bytes)?;
    let read = bytes.get(..length).unwrap_or_default();
    Ok(String::from_utf8_lossy(read).into_owned())
}

/// Writes to a file that is there: in a folder that is no cgroupfs none is made.
pub(super) fn write(file: &Path, text: &str) -> io::Result<()> {
    use std::io::Write as _;
    fs::OpenOptions::new().write(true).open(file)?.write_all(text.as_bytes())
}
