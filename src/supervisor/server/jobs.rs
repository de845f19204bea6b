//! What the loop does for job processes: start, read, signal, sweep, end.

use std::collections::BTreeMap;

use rustix::process::Signal;

use crate::supervisor::cgroup::Leaf;
use crate::supervisor::clock;
use crate::supervisor::job::{Job, Stream};
use crate::supervisor::lifecycle::{Phase, Step};
use crate::supervisor::protocol::{
    FromSupervisor, HowEnded, KeptOutput, MARK_VARIABLE, ProcessEnding, RESULT_VARIABLE,
    StartProcess,
};
use crate::supervisor::result_file::ResultFile;
use crate::supervisor::server::Supervisor;
use crate::supervisor::spawn::Spawned;
use crate::supervisor::tree::Table;
use crate::supervisor::watch::Source;

impl Supervisor {
    pub(super) fn start(&mut self, process: &StartProcess) {
        let jobs_max = self.setup.jobs_max;
        if self.jobs.len() >= jobs_max {
            let message = format!(
                "{jobs_max} processes run, and the limit of open files allows no more (`ulimit -Hn`)"
            );
            self.not_started(process, message);
            return;
        }
        let number = self.next_number();
        let result = match ResultFile::create(&self.setup.results, process.rules.run_as.as_ref()) {
            Ok(result) => result,
            Err(error) => {
                self.not_started(process, format!("cannot make a file for the result: {error}"));
                return;
            }
        };
        let mut own =
            BTreeMap::from([(RESULT_VARIABLE, result.path().to_string_lossy().into_owned())]);
        // Without the mark nobody finds what it leaves running, a successor of this supervisor neither.
        if !process.rules.leave_leftovers {
            own.insert(MARK_VARIABLE, self.setup.mark.value(number));
        }
        let spawned = match &process.rules.warm {
            Some(warm) => self.serve(number, process, warm, own),
            None => self.spawn(number, process, &own),
        };
        match spawned {
            Err(message) => self.not_started(process, message),
            Ok(spawned) => self.started(number, Job::new(number, process, spawned, result)),
        }
    }

    fn spawn(
        &mut self,
        number: u64,
        process: &StartProcess,
        own: &BTreeMap<&str, String>,
    ) -> Result<Spawned, String> {
        let mut leaf = self.leaf_of(number, process)?;
        let spawned = self.setup.spawner.spawn(process, own, &mut leaf);
        self.retire(leaf);
        spawned
    }

    /// A control group for a process.
    pub(super) fn leaf_of(
        &mut self,
        number: u64,
        process: &StartProcess,
    ) -> Result<Option<Leaf>, String> {
        let rules = &process.rules;
        self.setup.groups.leaf(number, &process.id, rules.leave_leftovers, rules.group_limits)
    }

    /// A control group in which nothing is to be any more.
    pub(super) fn retire(&mut self, leaf: Option<Leaf>) {
        if let Some(leaf) = leaf {
            self.setup.groups.retire(leaf);
        }
    }

    fn started(&mut self, number: u64, job: Job) {
        let watch = &self.setup.watch;
        let watched = [
            (job.exit.as_ref(), Source::Exit(number)),
            (job.pipe(Stream::Stdout), Source::Stdout(number)),
            (job.pipe(Stream::Stderr), Source::Stderr(number)),
            (job.warm.as_ref().map(|warm| &warm.control), Source::Control(number)),
        ];
        for (descriptor, source) in watched {
            if let Some(descriptor) = descriptor
                && let Err(error) = watch.add(descriptor, source)
            {
                tracing::error!(id = job.id, %error, "cannot watch a process");
            }
        }
        tracing::debug!(id = job.id, pid = job.pid.as_raw_nonzero().get(), "started");
        let running = job.running();
        let phase = job.phase;
        self.ids.insert(job.id.clone(), number);
        self.mains.insert(job.pid, number);
        self.jobs.insert(number, job);
        self.enter(number, phase);
        self.say(&FromSupervisor::Started(running));
    }

    fn not_started(&mut self, process: &StartProcess, message: String) {
        tracing::debug!(id = process.id, message, "not started");
        self.setup.spool.add(ProcessEnding {
            id: process.id.clone(),
            started_at_ms: None,
            finished_at_ms: clock::wall_ms(),
            duration_ms: None,
            how: HowEnded::NotStarted { message },
            output: KeptOutput::default(),
            result: None,
            success_exit_codes: Vec::new(),
            applied: None,
            hit: None,
        });
    }

    pub(super) fn on_output(&mut self, number: u64, stream: Stream) {
        let Some(job) = self.jobs.get_mut(&number) else { return };
        job.read(stream, &mut self.buffer);
        self.look_at_pipes(number);
    }

    pub(super) fn on_exit(&mut self, number: u64) {
        let Some(job) = self.jobs.get_mut(&number) else { return };
        if job.phase == Phase::Abandoned {
            if let Some(mut job) = self.jobs.remove(&number) {
                self.forget_process(&mut job);
            }
            return;
        }
        if job.exit.is_some() && job.look_for_exit() {
            // What it had written before its end is in the pipes already.
            job.read(Stream::Stdout, &mut self.buffer);
            job.read(Stream::Stderr, &mut self.buffer);
            self.enter(number, Phase::on_exit(clock::now()));
            self.look_at_pipes(number);
        }
    }

    /// When both pipes are closed there is nothing to drain.
    fn look_at_pipes(&mut self, number: u64) {
        if let Some(job) = self.jobs.get(&number)
            && job.pipes_closed()
        {
            // The sweep is done together with those of other executions.
            let phase = job.phase.on_pipes_closed(clock::now());
            self.enter(number, phase);
        }
    }

    /// Kills leftovers, unless they are left alone; how many were alive.
    fn sweep(&mut self, number: u64, orphans: &Table) -> usize {
        let Some(job) = self.jobs.get_mut(&number) else { return 0 };
        job.read(Stream::Stdout, &mut self.buffer);
        job.read(Stream::Stderr, &mut self.buffer);
        job.close_pipes();
        if job.leaves_leftovers {
            return 0;
        }
        orphans.kill_leftovers(job.pid, job.mark) + usize::from(job.kill_grouped())
    }

    fn end(&mut self, number: u64, alive: usize) {
        let Some(mut job) = self.jobs.remove(&number) else { return };
        if alive > 0 {
            tracing::warn!(id = job.id, alive, "leftovers do not end");
        }
        self.enter_over(number, &mut job);
        self.forget_process(&mut job);
    }

    /// It is over as far as anyone is told; the process stays to be reaped.
    fn abandon(&mut self, number: u64) {
        let Some(mut job) = self.jobs.remove(&number) else { return };
        job.close_pipes();
        job.ended(HowEnded::Unkillable);
        self.enter_over(number, &mut job);
        self.jobs.insert(number, job);
    }

    pub(super) fn enter_over(&mut self, number: u64, job: &mut Job) {
        if let Some(at) = job.phase.deadline() {
            self.deadlines.remove(&(at, number));
        }
        self.ids.remove(&job.id);
        if let Some(ending) = job.ending() {
            tracing::debug!(id = job.id, how = ?ending.how, "ended");
            self.setup.spool.add(ending);
        }
    }

    fn forget_process(&mut self, job: &mut Job) {
        self.mains.remove(&job.pid);
        job.reap();
        self.retire(job.leaf.take());
    }

    /// Does what the phases of several executions ask for; the system is looked at once for all.
    pub(super) fn take_steps(&mut self, steps: Vec<(u64, Step)>) {
        let signals = |step: &Step| matches!(step, Step::Terminate | Step::Kill);
        let sweeps = |step: &Step| matches!(step, Step::Sweep { .. });
        let mark = &self.setup.mark;
        let system = steps.iter().any(|(_, step)| signals(step)).then(|| Table::of_system(mark));
        let orphans = steps
            .iter()
            .any(|(_, step)| sweeps(step))
            .then(|| Table::of_orphans(mark, |pid| self.mains.contains_key(&pid)));
        // One that ended while it was looked at may have left a child that is not in the table.
        let look_again =
            orphans.as_ref().is_some_and(|orphans| orphans.reap() > 0 || orphans.is_unclear());
        for (number, step) in steps {
            let Some(job) = self.jobs.get_mut(&number) else { continue };
            match (step, &system, &orphans) {
                (Step::Terminate, Some(system), _) => {
                    let grouped = job.grouped();
                    system.signal_tree(job.pid, job.mark, &grouped, Signal::TERM);
                    // A stopped process could not obey.
                    system.signal_tree(job.pid, job.mark, &grouped, Signal::CONT);
                }
                (Step::Kill, Some(system), _) => {
                    system.signal_tree(job.pid, job.mark, &job.grouped(), Signal::KILL);
                    job.kill_grouped();
                }
                (Step::Sweep { last }, _, Some(orphans)) => {
                    let alive = self.sweep(number, orphans);
                    if last || (alive == 0 && !look_again) {
                        self.end(number, alive);
                    }
                }
                (Step::Abandon, _, _) => self.abandon(number),
                (Step::Wait | Step::Terminate | Step::Kill | Step::Sweep { .. }, _, _) => {}
            }
        }
    }
}
