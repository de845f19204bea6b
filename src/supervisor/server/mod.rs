//! The loop: daemons, job processes, deadlines and the spool, one event after the other.
//!
//! [`Supervisor::work`] is the whole of it. What it does for daemons is in [`daemons`], for job
//! processes in [`jobs`]; here are time and leaving.

mod daemons;
mod jobs;
mod warm;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use rustix::process::Pid;

use crate::supervisor::cgroup::Groups;
use crate::supervisor::clock;
use crate::supervisor::connection::Connection;
use crate::supervisor::job::{Job, Stream};
use crate::supervisor::known::KnownIds;
use crate::supervisor::lifecycle::{Phase, Step};
use crate::supervisor::lock::Lock;
use crate::supervisor::protocol::FromSupervisor;
use crate::supervisor::spawn::Spawner;
use crate::supervisor::spool::Spool;
use crate::supervisor::tree::{Mark, Table};
use crate::supervisor::warm::IdlePool;
use crate::supervisor::watch::{OwnSignal, Signals, Source, Watch};

/// The most messages of a daemon that one turn handles: starting a process takes about a
/// millisecond, and deadlines must not wait for thousands.
const MESSAGES_PER_TURN: usize = 16;

/// The most connections that have not said `Hello`.
const STRANGERS_MAX: usize = 8;

/// How much is read of a pipe at once, in bytes.
const READ_BYTES: usize = 64 * 1024;

/// After `Quit`, how long the processes that are killed are waited for.
const QUIT_AFTER: Duration = Duration::from_secs(3);

/// What the loop is given.
#[derive(Debug)]
pub(super) struct Setup {
    pub(super) watch: Watch,
    pub(super) signals: Signals,
    pub(super) listener: UnixListener,
    pub(super) spool: Spool,
    pub(super) spool_wake: OwnedFd,
    pub(super) mark: Mark,
    pub(super) results: PathBuf,
    pub(super) spawner: Spawner,
    pub(super) groups: Groups,
    /// How many executions there are descriptors for.
    pub(super) jobs_max: usize,
    /// After this long with nothing to do, the supervisor leaves.
    pub(super) leave_after: Duration,
    pub(super) lock: Rc<Lock>,
}

/// A supervisor at work.
#[derive(Debug)]
pub(super) struct Supervisor {
    setup: Setup,
    jobs: BTreeMap<u64, Job>,
    ids: HashMap<String, u64>,
    mains: HashMap<Pid, u64>,
    idle: IdlePool,
    deadlines: BTreeSet<(Instant, u64)>,
    known: KnownIds,
    connections: BTreeMap<u64, Connection>,
    daemon: Option<u64>,
    last_number: u64,
    idle_since: Option<Instant>,
    leave: Leave,
    /// What has to be done at the end of this turn, for all executions at once.
    steps: Vec<(u64, Step)>,
    /// Connections of which more is here than one turn allows.
    unread: BTreeSet<u64>,
    buffer: Vec<u8>,
}

/// Whether it leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leave {
    /// When there has been nothing to do for long enough.
    Idle,
    /// Now, if nothing runs.
    Asked,
    /// When what was killed has ended.
    Quit { at_latest: Instant },
}

impl Supervisor {
    /// A supervisor with nothing to do yet.
    pub(super) fn new(setup: Setup) -> io::Result<Self> {
        setup.watch.add(&setup.listener, Source::Listener)?;
        setup.watch.add(&setup.signals, Source::Signals)?;
        setup.watch.add(&setup.spool_wake, Source::Spool)?;
        setup.listener.set_nonblocking(true)?;
        Ok(Self {
            setup,
            jobs: BTreeMap::new(),
            ids: HashMap::new(),
            mains: HashMap::new(),
            idle: IdlePool::default(),
            deadlines: BTreeSet::new(),
            known: KnownIds::default(),
            connections: BTreeMap::new(),
            daemon: None,
            last_number: 0,
            idle_since: None,
            leave: Leave::Idle,
            steps: Vec::new(),
            unread: BTreeSet::new(),
            buffer: vec![0; READ_BYTES],
        })
    }

    /// Works until there is nothing more to do.
    pub(super) fn work(mut self) -> io::Result<()> {
        loop {
            self.flush();
            if self.leaves(clock::now()) {
                break;
            }
            let sources = self.setup.watch.wait(self.patience(clock::now()))?;
            let unread = std::mem::take(&mut self.unread);
            for connection in unread {
                self.on_input(connection);
            }
            for source in sources {
                self.on_event(source);
            }
            self.on_deadlines(clock::now());
        }
        for waiting in self.idle.numbers() {
            self.dismiss(waiting);
        }
        self.setup.spool.close();
        self.setup.groups.leave();
        Ok(())
    }

    fn on_event(&mut self, source: Source) {
        match source {
            Source::Listener => self.on_connect(),
            Source::Signals => self.on_signals(),
            Source::Spool => self.on_spool(),
            Source::Connection(number) => self.on_input(number),
            Source::Exit(job) => self.on_exit(job),
            Source::Stdout(job) => self.on_output(job, Stream::Stdout),
            Source::Stderr(job) => self.on_output(job, Stream::Stderr),
            Source::Control(job) => self.on_control(job),
            Source::Idle(worker) => self.dismiss(worker),
        }
    }

    /// How long nothing has to be done unless something happens.
    fn patience(&self, now: Instant) -> Option<Duration> {
        if !self.unread.is_empty() {
            return Some(Duration::ZERO);
        }
        let idle = self.idle_since.and_then(|since| since.checked_add(self.setup.leave_after));
        let quit = match self.leave {
            Leave::Quit { at_latest } => Some(at_latest),
            Leave::Idle | Leave::Asked => None,
        };
        let job = self.deadlines.first().map(|(at, _)| *at);
        let next = [idle, quit, job, self.setup.spool.retry_at(), self.idle.leaves_at()]
            .into_iter()
            .flatten()
            .min();
        next.map(|at| at.saturating_duration_since(now))
    }

    fn on_deadlines(&mut self, now: Instant) {
        if self.setup.spool.retry_at().is_some_and(|at| at <= now) {
            self.setup.spool.retry();
        }
        for worker in self.idle.overdue(now) {
            self.dismiss(worker);
        }
        let due: Vec<u64> =
            self.deadlines.iter().take_while(|(at, _)| *at <= now).map(|(_, job)| *job).collect();
        for number in due {
            // Whoever has ended in time is not ended by us.
            self.on_exit(number);
            let Some(job) = self.jobs.get(&number) else { continue };
            if job.phase.deadline().is_none_or(|at| at > now) {
                continue;
            }
            let (phase, step) = job.phase.on_time(now, job.kill_grace);
            self.enter(number, phase);
            self.steps.push((number, step));
        }
        let steps = std::mem::take(&mut self.steps);
        self.take_steps(steps);
    }

    fn enter(&mut self, number: u64, phase: Phase) {
        let Some(job) = self.jobs.get_mut(&number) else { return };
        if let Some(at) = job.phase.deadline() {
            self.deadlines.remove(&(at, number));
        }
        job.phase = phase;
        if let Some(at) = phase.deadline() {
            self.deadlines.insert((at, number));
        }
    }

    fn on_signals(&mut self) {
        let signals = self.setup.signals.read();
        if signals.contains(&OwnSignal::Child) {
            Table::of_orphans(&self.setup.mark, |pid| self.mains.contains_key(&pid)).reap();
            self.setup.groups.tidy();
        }
        if signals.contains(&OwnSignal::Leave) && self.leave == Leave::Idle {
            self.leave = Leave::Asked;
        }
    }

    fn leaves(&mut self, now: Instant) -> bool {
        let nothing_runs = self.ids.is_empty();
        match self.leave {
            Leave::Quit { at_latest } => nothing_runs || at_latest <= now,
            Leave::Asked => {
                let free = nothing_runs && self.setup.spool.is_durable() && self.says_goodbye();
                if !free {
                    tracing::info!(running = self.ids.len(), "asked to leave; stays");
                    self.leave = Leave::Idle;
                }
                free
            }
            Leave::Idle => {
                if !(nothing_runs && self.connections.is_empty() && self.needs_no_keeper()) {
                    self.idle_since = None;
                    return false;
                }
                let since = *self.idle_since.get_or_insert(now);
                now.saturating_duration_since(since) >= self.setup.leave_after
            }
        }
    }

    /// Whether a successor will know all that this one knows: what is on disk is said by whoever comes next.
    /// What the disk refused is kept for as long as a daemon can come and ask.
    fn needs_no_keeper(&self) -> bool {
        self.setup.spool.is_durable() || !self.setup.lock.is_in_place()
    }

    /// Carries out what a daemon has sent so far and takes no more; whether still nothing runs.
    fn says_goodbye(&mut self) -> bool {
        let Some(daemon) = self.daemon else { return true };
        self.last_input(daemon);
        if !self.ids.is_empty() {
            self.disconnect(daemon, Some("asked to leave, but something runs"));
            return false;
        }
        self.say(&FromSupervisor::Leaving);
        self.flush_connection(daemon);
        true
    }

    fn next_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }
}
