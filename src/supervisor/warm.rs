//! Processes that serve one call after the other, and how a call is given to one.
//!
//! Such a process is started with the variables that all its calls share, and gets everything else with the
//! call, through a socket: a file in memory with the variables of the call, its stdout and its stderr. When the
//! call is over and the process has let go of all of it, it says so with one byte, the exit code that a process of
//! its own would have had. A process that ends instead is treated as any other process.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::fs::{MemfdFlags, OFlags, fcntl_setfl, memfd_create};
use rustix::io::{Errno, fcntl_dupfd_cloexec};
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
    sendmsg, socketpair,
};
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

use crate::supervisor::cgroup::Leaf;
use crate::supervisor::child::CONTROL;
use crate::supervisor::protocol::{RunAs, StartProcess, WarmRules};

/// The most processes that wait for a call, of all kinds together.
pub(super) const IDLE_MAX: usize = 8;

/// How long a process waits for a call before it is ended.
pub(super) const IDLE_FOR: Duration = Duration::from_secs(45);

/// What a process is and cannot change: it serves the calls of which this is equal.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Kind {
    argv: Vec<String>,
    working_dir: String,
    /// The variables that it is started with.
    env: BTreeMap<String, String>,
    /// They come with the call and leave with it; but who has once held them is not trusted with another's call.
    secrets: BTreeMap<String, String>,
    umask: Option<u32>,
    open_files_max: Option<u64>,
    /// Who it is: a process of one user serves nobody else.
    run_as: Option<RunAs>,
    script: Option<String>,
}

/// The variables of a call.
pub(super) type CallVariables<'p> = BTreeMap<&'p str, &'p str>;

/// How a process is told its calls.
#[derive(Debug)]
pub(super) struct Warm {
    /// Our end of the socket; never blocks.
    pub(super) control: OwnedFd,
    /// The number that the processes of all its calls bear in their mark.
    pub(super) mark: u64,
    memory_bytes_max: u64,
    kind: Kind,
}

/// A process that waits for a call.
#[derive(Debug)]
pub(super) struct Idle {
    /// The process.
    pub(super) pid: Pid,
    /// Readable when it has ended.
    pub(super) exit: OwnedFd,
    /// What it is told calls by.
    pub(super) warm: Warm,
    /// Its control group.
    pub(super) leaf: Option<Leaf>,
    since: Instant,
}

/// The processes that wait, the longest waiting first.
#[derive(Debug, Default)]
pub(super) struct IdlePool {
    waiting: Vec<Idle>,
}

/// What a process says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// Nothing yet.
    Nothing,
    /// The call is over, with this exit code.
    Over(i32),
    /// It takes no further calls.
    End,
}

impl std::fmt::Debug for Kind {
    /// Without values: some are secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kind").field("argv", &self.argv).finish_non_exhaustive()
    }
}

impl Kind {
    /// The kind of process that serves this call.
    pub(super) fn of(process: &StartProcess, warm: &WarmRules) -> Self {
        let is_secret = |name: &String| process.rules.secret_variables.contains(name);
        let own = |name: &String| !is_secret(name) && !warm.call_variables.contains(name);
        let with = |wanted: &dyn Fn(&String) -> bool| -> BTreeMap<String, String> {
            let variables = process.env.iter().filter(|(name, _)| wanted(name));
            variables.map(|(name, value)| (name.clone(), value.clone())).collect()
        };
        Self {
            argv: process.argv.clone(),
            working_dir: process.working_dir.clone(),
            env: with(&own),
            secrets: with(&is_secret),
            umask: process.rules.umask,
            open_files_max: process.rules.open_files_max,
            run_as: process.rules.run_as.clone(),
            script: process.rules.script.clone(),
        }
    }

    /// The order that starts such a process: that of its first call, without what is the call's.
    pub(super) fn process(&self, first: &StartProcess) -> StartProcess {
        StartProcess { env: self.env.clone(), ..first.clone() }
    }

    /// The variables that come with a call.
    pub(super) fn call_variables<'p>(&self, process: &'p StartProcess) -> CallVariables<'p> {
        let of_call = process.env.iter().filter(|(name, _)| !self.env.contains_key(*name));
        of_call.map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }
}

impl Warm {
    /// The two ends of what a process of this kind is told calls by: ours, and its own.
    pub(super) fn new(mark: u64, kind: Kind, warm: &WarmRules) -> io::Result<(Self, OwnedFd)> {
        let kind_of_socket = SocketType::SEQPACKET;
        let (ours, its) =
            socketpair(AddressFamily::UNIX, kind_of_socket, SocketFlags::CLOEXEC, None)?;
        fcntl_setfl(&ours, OFlags::NONBLOCK)?;
        // Not the number that it gets in the process.
        let its = fcntl_dupfd_cloexec(its, CONTROL + 1)?;
        let memory_bytes_max = warm.memory_bytes_max;
        Ok((Self { control: ours, mark, memory_bytes_max, kind }, its))
    }

    /// Gives it a call with its streams. After an error it has not got it.
    pub(super) fn give(
        &self,
        variables: &CallVariables<'_>,
        streams: &[OwnedFd; 2],
    ) -> io::Result<()> {
        let order = memfd_create("call", MemfdFlags::CLOEXEC)?;
        let text = serde_json::to_vec(variables).map_err(io::Error::other)?;
        let mut rest = text.as_slice();
        while !rest.is_empty() {
            rest = &rest[rustix::io::write(&order, rest)?..];
        }
        let descriptors = [order.as_fd(), streams[0].as_fd(), streams[1].as_fd()];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !ancillary.push(SendAncillaryMessage::ScmRights(&descriptors)) {
            return Err(io::Error::other("there is no room for its descriptors"));
        }
        sendmsg(&self.control, &[IoSlice::new(b"c")], &mut ancillary, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// What it says.
    pub(super) fn hear(&self) -> Said {
        let mut byte = [0; 1];
        match rustix::io::read(&self.control, &mut byte) {
            Ok(1) => Said::Over(i32::from(byte[0])),
            Err(Errno::AGAIN | Errno::INTR) => Said::Nothing,
            Ok(_) | Err(_) => Said::End,
        }
    }

    /// Whether a process may be kept, as far as its memory and its children tell.
    pub(super) fn may_keep(&self, pid: Pid) -> bool {
        let pid = pid.as_raw_nonzero();
        let children = read_proc(&format!("/proc/{pid}/task/{pid}/children"));
        let resident = read_proc(&format!("/proc/{pid}/status")).and_then(|status| {
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
            line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
        });
        children.is_some_and(|children| children.trim().is_empty())
            && resident.is_some_and(|bytes| bytes <= self.memory_bytes_max)
    }
}

impl Idle {
    /// A process whose call is over.
    pub(super) fn new(
        pid: Pid,
        exit: OwnedFd,
        warm: Warm,
        leaf: Option<Leaf>,
        now: Instant,
    ) -> Self {
        Self { pid, exit, warm, leaf, since: now }
    }

    /// Whether it is there to be given a call.
    pub(super) fn is_alive(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        matches!(waitid(WaitId::Pid(self.pid), options), Ok(None))
    }
}

impl IdlePool {
    /// Lets a process wait; the number of one that has to leave for it.
    pub(super) fn add(&mut self, idle: Idle) -> Option<u64> {
        let surplus = if self.waiting.len() < IDLE_MAX { None } else { self.waiting.first() };
        let surplus = surplus.map(|idle| idle.warm.mark);
        self.waiting.push(idle);
        surplus
    }

    /// One for a call of this kind: the one that has waited least, so that those that are too many leave.
    pub(super) fn take(&mut self, kind: &Kind) -> Option<Idle> {
        let at = self.waiting.iter().rposition(|idle| idle.warm.kind == *kind)?;
        Some(self.waiting.remove(at))
    }

    /// The numbers of all that wait.
    pub(super) fn numbers(&self) -> Vec<u64> {
        self.waiting.iter().map(|idle| idle.warm.mark).collect()
    }

    /// The one with this number.
    pub(super) fn remove(&mut self, number: u64) -> Option<Idle> {
        let at = self.waiting.iter().position(|idle| idle.warm.mark == number)?;
        Some(self.waiting.remove(at))
    }

    /// When the next has waited long enough.
    pub(super) fn leaves_at(&self) -> Option<Instant> {
        self.waiting.first().and_then(|idle| idle.since.checked_add(IDLE_FOR))
    }

    /// Those that have waited long enough.
    pub(super) fn overdue(&self, now: Instant) -> Vec<u64> {
        let is_overdue = |idle: &&Idle| now.saturating_duration_since(idle.since) >= IDLE_FOR;
        self.waiting.iter().take_while(is_overdue).map(|idle| idle.warm.mark).collect()
    }
}

#[expect(clippy::disallowed_methods, reason = "the supervisor reads /proc itself")]
fn read_proc(path: &str) -> Option<String> {
    fs::read_to_string(path).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervisor::protocol::StartRules;

    fn order(variables: &[(&str, &str)]) -> StartProcess {
        let env = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        StartProcess {
            id: "an-execution".to_owned(),
            argv: vec!["python3".to_owned(), "serve".to_owned()],
            env: env.collect(),
            working_dir: "/".to_owned(),
            timeout_ms: None,
            kill_grace_ms: 0,
            output_bytes_max: 0,
            rules: StartRules {
                secret_variables: vec!["TOKEN".to_owned()],
                ..StartRules::default()
            },
        }
    }

    fn kind(variables: &[(&str, &str)]) -> Kind {
        let call_variables = vec!["CRONWRIGHT_CALL".to_owned()];
        Kind::of(&order(variables), &WarmRules { call_variables, memory_bytes_max: 0 })
    }

    #[test]
    fn calls_share_a_process_when_only_what_comes_with_the_call_differs() {
        let first = kind(&[("PATH", "/bin"), ("CRONWRIGHT_CALL", "a.A()"), ("TOKEN", "s")]);
        assert_eq!(first, kind(&[("PATH", "/bin"), ("CRONWRIGHT_CALL", "b.B()"), ("TOKEN", "s")]));
        for other in [
            kind(&[("PATH", "/usr/bin"), ("TOKEN", "s")]),
            kind(&[("PATH", "/bin"), ("TOKEN", "another")]),
            kind(&[("PATH", "/bin")]),
        ] {
            assert_ne!(first, other);
        }
    }

    #[test]
    fn a_process_of_one_user_serves_no_call_of_another() {
        let of = |uid, gid, groups: &[u32]| {
            let run_as = Some(RunAs { uid, gid, groups: groups.to_vec() });
            let plain = order(&[("PATH", "/bin")]);
            let rules = StartRules { run_as, ..plain.rules };
            Kind::of(&StartProcess { rules, ..plain }, &WarmRules::default())
        };
        let first = of(7, 8, &[8, 9]);
        assert_eq!(first, of(7, 8, &[8, 9]));
        for other in [of(6, 8, &[8, 9]), of(7, 9, &[8, 9]), of(7, 8, &[8])] {
            assert_ne!(first, other);
        }
        assert_ne!(first, kind(&[("PATH", "/bin")]), "the daemon's own user");
    }

    #[test]
    fn a_process_is_started_without_what_comes_with_the_call() {
        let order = order(&[("PATH", "/bin"), ("CRONWRIGHT_CALL", "a.A()"), ("TOKEN", "s")]);
        let kind = kind(&[("PATH", "/bin"), ("CRONWRIGHT_CALL", "a.A()"), ("TOKEN", "s")]);
        assert_eq!(kind.process(&order).env.into_keys().collect::<Vec<_>>(), ["PATH"]);
        let of_call = [("CRONWRIGHT_CALL", "a.A()"), ("TOKEN", "s")];
        assert_eq!(kind.call_variables(&order), CallVariables::from(of_call));
        assert!(!format!("{kind:?}").contains("TOKEN"), "secrets are not shown");
    }
}
