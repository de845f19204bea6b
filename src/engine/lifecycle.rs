//! What happens to jobs and executions, for whoever wants to be told.
//!
//! Pure: made of what was written to the store, after it was. So what is told is true and durable; and the ledger has
//! it too, for whoever was not there to hear it.

use std::collections::BTreeMap;

use crate::engine::event::{ClaimAnswer, ClaimBatch, PlanWrites};
use crate::engine::execution::{
    AttemptId, Cause, Ending, Exception, ExecutionId, Outcome, Range, Row, State,
};
use crate::engine::overrides::OverrideAction;
use crate::engine::plan::Change;
use crate::spec::job::JobName;
use crate::time::Timestamp;

/// Something that happened. There will be more kinds.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum LifecycleEvent {
    /// The daemon runs.
    DaemonStarted,
    /// The daemon starts nothing more.
    DaemonStopping,
    /// A job is new.
    JobAdded(JobName),
    /// A job has another definition.
    JobChanged(JobName),
    /// A job goes on under another name.
    JobRenamed {
        /// Its name from now on.
        job: JobName,
        /// Its name before.
        from: JobName,
    },
    /// A job is not declared any more.
    JobRemoved(JobName),
    /// An operator holds a job back.
    JobPaused(JobName),
    /// A job is not held back any more.
    JobResumed(JobName),
    /// An execution waits for a place.
    ExecutionQueued(Execution),
    /// An attempt runs.
    ExecutionStarted {
        /// The execution.
        execution: Execution,
        /// When the attempt began.
        at: Timestamp,
    },
    /// An attempt ended, and another follows.
    AttemptFailed {
        /// The execution.
        execution: Execution,
        /// How the attempt ended.
        outcome: Outcome,
        /// When the next begins.
        next_at: Timestamp,
    },
    /// An execution ended, whether it succeeded or not.
    ExecutionFinished {
        /// The execution.
        execution: Execution,
        /// How.
        outcome: Outcome,
        /// What it returned, as JSON text.
        result: Option<String>,
        /// What went wrong.
        exception: Option<Exception>,
    },
    /// Occurrences were due and deliberately not run: `max_instances` is one of the reasons.
    OccurrencesSkipped(Uncovered),
    /// Occurrences were due and could not be run.
    OccurrencesMissed(Uncovered),
}

/// Which execution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Execution {
    /// Its id.
    pub id: ExecutionId,
    /// Its job.
    pub job: JobName,
    /// Why it exists.
    pub cause: Cause,
    /// When it was due; for a request, when it was accepted.
    pub fire_time: Timestamp,
    /// The attempt that it is about, from 1.
    pub attempt: u32,
}

/// Occurrences that did not run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uncovered {
    /// Their row.
    pub id: ExecutionId,
    /// Their job.
    pub job: JobName,
    /// The fire time of the first.
    pub fire_time: Timestamp,
    /// All of them, when there are several.
    pub range: Option<Range>,
    /// How, and why.
    pub outcome: Outcome,
}

/// Knows the executions in flight, so that their ends can be told.
#[derive(Debug, Default)]
pub struct Teller {
    in_flight: BTreeMap<ExecutionId, InFlight>,
}

#[derive(Debug)]
struct InFlight {
    execution: Execution,
    /// Whether it was told that the attempt began.
    is_begun: bool,
}

impl Teller {
    /// Takes in the rows that have not ended, in the place of what was known.
    pub fn recovered(&mut self, rows: &[Row]) {
        let is_begun = |row: &Row| matches!(row.state, State::Running { .. });
        let known = |row: &Row| InFlight { execution: execution_of(row), is_begun: is_begun(row) };
        self.in_flight = rows.iter().map(|row| (row.id.clone(), known(row))).collect();
    }

    /// What a claim has come to, by the answers of the store.
    pub fn claimed(&mut self, batch: &ClaimBatch, answers: &[ClaimAnswer]) -> Vec<LifecycleEvent> {
        let takes = batch.takes.iter().map(|take| &take.row);
        let written = batch.rows.iter().chain(takes).zip(answers);
        written
            .filter(|(_, answer)| **answer == ClaimAnswer::Claimed)
            .filter_map(|(row, _)| self.written(row))
            .collect()
    }

    fn written(&mut self, row: &Row) -> Option<LifecycleEvent> {
        match &row.state {
            State::Ended(ending) => return Some(end_of(execution_of(row), row.range, ending)),
            State::Queued | State::Claimed | State::Running { .. } | State::RetryWait { .. } => {}
        }
        let execution = execution_of(row);
        let known = InFlight { execution: execution.clone(), is_begun: false };
        self.in_flight.insert(row.id.clone(), known);
        (row.state == State::Queued).then_some(LifecycleEvent::ExecutionQueued(execution))
    }

    /// An attempt runs.
    pub fn started(&mut self, id: &ExecutionId, at: Timestamp) -> Option<LifecycleEvent> {
        self.in_flight.get_mut(id)?.begin(Some(at))
    }

    /// An attempt ended, and another follows.
    pub fn waits(
        &mut self,
        id: &AttemptId,
        last: &Ending,
        next_at: Timestamp,
    ) -> Vec<LifecycleEvent> {
        let Some(known) = self.in_flight.get_mut(&id.execution) else { return Vec::new() };
        let began = known.begin(last.started_at);
        let execution = Execution { attempt: id.number, ..known.execution.clone() };
        known.execution.attempt = id.number.saturating_add(1);
        known.is_begun = false;
        let outcome = last.outcome;
        began
            .into_iter()
            .chain([LifecycleEvent::AttemptFailed { execution, outcome, next_at }])
            .collect()
    }

    /// An execution ended. Nothing is told of one that was told to have ended.
    pub fn ended(&mut self, id: &AttemptId, ending: &Ending) -> Vec<LifecycleEvent> {
        let Some(mut known) = self.in_flight.remove(&id.execution) else { return Vec::new() };
        let began = known.begin(ending.started_at);
        began.into_iter().chain([end_of(known.execution, None, ending)]).collect()
    }
}

impl InFlight {
    /// That an attempt began is told once. A short one has ended by the time that it is written.
    fn begin(&mut self, at: Option<Timestamp>) -> Option<LifecycleEvent> {
        let at = at.filter(|_| !self.is_begun)?;
        self.is_begun = true;
        Some(LifecycleEvent::ExecutionStarted { execution: self.execution.clone(), at })
    }
}

/// What a plan has changed.
pub fn planned(plan: &PlanWrites) -> Vec<LifecycleEvent> {
    let changes = plan.changes.iter().map(|change| match change {
        Change::Create { to, .. } => LifecycleEvent::JobAdded(to.spec.name.clone()),
        Change::Update { to, .. } => LifecycleEvent::JobChanged(to.spec.name.clone()),
        Change::Rename { from, to, .. } => {
            LifecycleEvent::JobRenamed { job: to.spec.name.clone(), from: from.spec.name.clone() }
        }
        Change::Remove { from } => LifecycleEvent::JobRemoved(from.spec.name.clone()),
    });
    let overrides = plan.overrides.iter().filter_map(|write| {
        let job = write.to.job.clone();
        match write.action {
            OverrideAction::Pause => Some(LifecycleEvent::JobPaused(job)),
            OverrideAction::Resume | OverrideAction::PauseEnded => {
                Some(LifecycleEvent::JobResumed(job))
            }
            // What is skipped is told when it is due.
            OverrideAction::SkipNext | OverrideAction::SkipUsed => None,
        }
    });
    changes.chain(overrides).collect()
}

fn execution_of(row: &Row) -> Execution {
    Execution {
        id: row.id.clone(),
        job: row.job.clone(),
        cause: row.cause,
        fire_time: row.fire_time,
        attempt: row.attempt(),
    }
}

fn end_of(execution: Execution, range: Option<Range>, ending: &Ending) -> LifecycleEvent {
    let Execution { id, job, fire_time, .. } = execution.clone();
    let outcome = ending.outcome;
    match outcome {
        Outcome::Skipped(_) => {
            LifecycleEvent::OccurrencesSkipped(Uncovered { id, job, fire_time, range, outcome })
        }
        Outcome::Missed(_) => {
            LifecycleEvent::OccurrencesMissed(Uncovered { id, job, fire_time, range, outcome })
        }
        Outcome::Succeeded
        | Outcome::Failed(_)
        | Outcome::TimedOut(_)
        | Outcome::Cancelled(_)
        | Outcome::Lost => LifecycleEvent::ExecutionFinished {
            execution,
            outcome,
            result: ending.result.clone(),
            exception: ending.exception.clone(),
        },
    }
}
