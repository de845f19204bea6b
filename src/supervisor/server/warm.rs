//! What the loop does for processes that serve calls: give one a call, keep it for the next, let it leave.

use std::collections::BTreeMap;

use rustix::process::{Pid, Signal, kill_process};

use crate::supervisor::clock;
use crate::supervisor::image::check_variables;
use crate::supervisor::job::Stream;
use crate::supervisor::lifecycle::Phase;
use crate::supervisor::protocol::{
    HowEnded, MARK_VARIABLE, RESULT_VARIABLE, StartProcess, WarmRules,
};
use crate::supervisor::server::Supervisor;
use crate::supervisor::spawn::{Spawned, Streams};
use crate::supervisor::tree::Table;
use crate::supervisor::warm::{CallVariables, Idle, Kind, Said, Warm};
use crate::supervisor::watch::Source;

impl Supervisor {
    /// Gives a call to a process that waits for one, else to a new one; the error is one sentence.
    pub(super) fn serve(
        &mut self,
        number: u64,
        process: &StartProcess,
        warm: &WarmRules,
        mut own: BTreeMap<&'static str, String>,
    ) -> Result<Spawned, String> {
        let kind = Kind::of(process, warm);
        let result = own.remove(RESULT_VARIABLE).unwrap_or_default();
        let mut variables = kind.call_variables(process);
        variables.insert(RESULT_VARIABLE, &result);
        check_variables(&variables)?;
        let streams = Streams::new(&process.rules)?;
        while let Some(idle) = self.idle.take(&kind) {
            self.unwatch(&idle);
            if idle.is_alive() && idle.warm.give(&variables, &streams.its).is_ok() {
                let Idle { pid, exit, warm, leaf, .. } = idle;
                self.mains.insert(pid, number);
                let [stdout, stderr] = streams.ours;
                return Ok(Spawned { pid, exit, stdout, stderr, warm: Some(warm), leaf });
            }
            // It has not got the call: another one may.
            self.end_idle(idle);
        }
        own.insert(MARK_VARIABLE, self.setup.mark.value(number));
        self.start_warm(number, process, (kind, warm), &own, &variables, streams)
    }

    fn start_warm(
        &mut self,
        number: u64,
        process: &StartProcess,
        (kind, rules): (Kind, &WarmRules),
        own: &BTreeMap<&str, String>,
        variables: &CallVariables<'_>,
        streams: Streams,
    ) -> Result<Spawned, String> {
        let failed = |error: std::io::Error| format!("cannot hand over a call: {error}");
        let fresh = kind.process(process);
        let (warm, control) = Warm::new(number, kind, rules).map_err(failed)?;
        // It waits there until the process reads it.
        warm.give(variables, &streams.its).map_err(failed)?;
        let Streams { ours: [stdout, stderr], its } = streams;
        let mut leaf = self.leaf_of(number, &fresh)?;
        let spawned = self.setup.spawner.spawn_with(&fresh, own, its, Some(control), &mut leaf);
        self.retire(leaf);
        let (pid, exit, leaf) = spawned?;
        Ok(Spawned { pid, exit, stdout, stderr, warm: Some(warm), leaf })
    }

    /// The process of a call has something to say.
    pub(super) fn on_control(&mut self, number: u64) {
        let Some(job) = self.jobs.get(&number) else { return };
        let Some(warm) = &job.warm else { return };
        match warm.hear() {
            Said::Nothing => {}
            Said::Over(code) if self.may_keep(number) => self.keep(number, code),
            Said::Over(_) | Said::End => self.let_end(number),
        }
    }

    /// Whether nothing of a call that is over is left: all that it printed is here, and nobody can print more.
    fn may_keep(&mut self, number: u64) -> bool {
        let Some(job) = self.jobs.get_mut(&number) else { return false };
        job.read(Stream::Stdout, &mut self.buffer);
        job.read(Stream::Stderr, &mut self.buffer);
        let is_running = matches!(job.phase, Phase::Running { .. });
        let (pid, mark, is_silent) = (job.pid, job.mark, job.pipes_closed());
        let warm = job.warm.as_ref();
        let is_alone = job.grouped().iter().all(|other| *other == pid.as_raw_nonzero().get());
        is_running
            && is_silent
            && is_alone
            && warm.is_some_and(|warm| warm.may_keep(pid))
            && !self.orphans().holds_leftovers(pid, mark)
    }

    /// Ends the execution, and keeps its process.
    fn keep(&mut self, number: u64, code: i32) {
        let Some(mut job) = self.jobs.remove(&number) else { return };
        job.ended(HowEnded::Exited { code });
        self.enter_over(number, &mut job);
        let Some((exit, warm)) = job.exit.take().zip(job.warm.take()) else { return };
        let mark = warm.mark;
        let watch = &self.setup.watch;
        let watched = watch
            .remove(&exit)
            .and_then(|()| watch.remove(&warm.control))
            .and_then(|()| watch.add(&warm.control, Source::Idle(mark)));
        self.mains.insert(job.pid, mark);
        let surplus = self.idle.add(Idle::new(job.pid, exit, warm, job.leaf.take(), clock::now()));
        if let Some(surplus) = surplus {
            self.dismiss(surplus);
        }
        if let Err(error) = watched {
            tracing::error!(%error, "cannot watch a process that waits");
            self.dismiss(mark);
        }
    }

    /// Nothing more is given to the process of a call: it ends, and the execution with it.
    fn let_end(&mut self, number: u64) {
        if let Some(job) = self.jobs.get_mut(&number) {
            job.warm = None;
        }
    }

    /// A process that waits leaves: for too long, too many, or it has ended or spoken without being asked.
    pub(super) fn dismiss(&mut self, number: u64) {
        if let Some(idle) = self.idle.remove(number) {
            self.end_idle(idle);
        }
    }

    /// It has no call and no children: nothing is lost with it.
    fn end_idle(&mut self, idle: Idle) {
        if let Err(errno) = kill_process(idle.pid, Signal::KILL) {
            tracing::debug!(%errno, "a process that waited has gone already");
        }
        self.mains.remove(&idle.pid);
        // If it has not ended yet, its end will be signalled.
        self.orphans().reap();
        self.retire(idle.leaf);
    }

    fn unwatch(&self, idle: &Idle) {
        if let Err(error) = self.setup.watch.remove(&idle.warm.control) {
            tracing::warn!(%error, "cannot stop watching a process that waited");
        }
    }

    fn orphans(&self) -> Table {
        Table::of_orphans(&self.setup.mark, |pid: Pid| self.mains.contains_key(&pid))
    }
}
