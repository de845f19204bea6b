//! What kinit's page of records shows: one record for each end of an execution, and for occurrences that were not run.
//!
//! A record has the id that its row gives it: made again it changes nothing. So what was not written because somebody
//! was away, this daemon among them, is written by going through the newest rows.

use std::collections::BTreeSet;

use chrono::TimeDelta;

use crate::daemon::kinit::{Bridge, OWNER};
use crate::engine::execution::{Ending, ExecutionId, Outcome, Row, State};
use crate::engine::lifecycle::LifecycleEvent;
use crate::io::clock;
use crate::io::kinit::collections::NewRecord;
use crate::io::kinit::record::{Ran, RecordId, Said, of_execution, stored_date};
use crate::io::store::Query;
use crate::spec::job::JobName;

/// How long before the newest record something may have begun whose end has no record yet.
const LOOK_BACK: TimeDelta = TimeDelta::days(1);
/// How many of a job's rows are gone through.
const ROWS_MAX: usize = 10_000;
/// How many records are inserted at once.
const RECORDS_AT_ONCE: usize = 500;

impl Bridge {
    /// Something has happened: ends are recorded.
    pub(super) async fn happened(&mut self, event: &LifecycleEvent) {
        let (id, name) = match event {
            LifecycleEvent::ExecutionFinished { execution, .. } => (&execution.id, &execution.job),
            LifecycleEvent::OccurrencesSkipped(uncovered)
            | LifecycleEvent::OccurrencesMissed(uncovered) => (&uncovered.id, &uncovered.job),
            LifecycleEvent::DaemonStarted
            | LifecycleEvent::DaemonStopping
            | LifecycleEvent::JobAdded(_)
            | LifecycleEvent::JobChanged(_)
            | LifecycleEvent::JobRenamed { .. }
            | LifecycleEvent::JobRemoved(_)
            | LifecycleEvent::JobPaused(_)
            | LifecycleEvent::JobResumed(_)
            | LifecycleEvent::ExecutionQueued(_)
            | LifecycleEvent::ExecutionStarted { .. }
            | LifecycleEvent::AttemptFailed { .. } => return,
        };
        if !self.tasks.contains_key(name) && self.applied_job(name).is_none() {
            return;
        }
        // While others are missing, all are written in their order.
        if !self.due.records && self.record(id).await.is_err() {
            self.due.records = true;
        }
        self.settle(name).await;
    }

    async fn record(&mut self, id: &ExecutionId) -> Result<(), String> {
        let row = self.handle.store.row(id).await.map_err(|error| error.to_string())?;
        let Some(row) = row else { return Ok(()) };
        let said = self.said(&row.job).await?;
        let records: Vec<NewRecord> = self.record_of(&row, said).into_iter().collect();
        self.collections.insert(&records).await.map_err(|fault| fault.to_string())
    }

    /// What kinit says of a task; what it said last, when it is gone.
    async fn said(&mut self, name: &JobName) -> Result<Said, String> {
        let ids = [name.as_str().to_owned()];
        let found = self.collections.definitions(&ids).await.map_err(|fault| fault.to_string())?;
        if let Some((_, fields)) = found.first() {
            self.tasks.insert(name.clone(), Said::read(fields));
        }
        Ok(self.tasks.get(name).cloned().unwrap_or_default())
    }

    fn record_of(&self, row: &Row, said: Said) -> Option<NewRecord> {
        let ending = match &row.state {
            State::Ended(ending) => ending,
            State::Queued | State::Claimed | State::Running { .. } | State::RetryWait { .. } => {
                return None;
            }
        };
        let exception = exception_of(row, ending);
        let ran = Ran {
            started_at: ending.started_at.unwrap_or(ending.finished_at),
            ended_at: ending.finished_at,
            result: ending.result.as_deref(),
            exception: exception.as_deref(),
            traceback: ending.exception.as_ref().and_then(|what| what.traceback.as_deref()),
        };
        Some(NewRecord {
            id: RecordId::of_execution(&row.id, ending.finished_at),
            record: of_execution(row.job.as_str(), said, ran, &self.zone),
            created: stored_date(ending.finished_at, &self.zone),
        })
    }

    /// Writes every record that is missing, in the order of the ends.
    pub(super) async fn catch_up(&mut self) -> Result<(), String> {
        let newest = self.collections.newest_record().await.map_err(|fault| fault.to_string())?;
        let since = newest.unwrap_or_else(clock::wall).min(clock::wall()) - LOOK_BACK;
        let mut records = Vec::new();
        for name in self.names_since(since).await? {
            let query = Query {
                job: Some(name.clone()),
                outcomes: Vec::new(),
                since: Some(since),
                revision: None,
                limit: ROWS_MAX,
            };
            let rows = self.handle.store.rows(&query).await.map_err(|error| error.to_string())?;
            if rows.is_empty() {
                continue;
            }
            let said = self.said(&name).await?;
            records.extend(rows.iter().filter_map(|row| self.record_of(row, said.clone())));
        }
        records.sort_by_key(|new| (new.created, new.id));
        for some in records.chunks(RECORDS_AT_ONCE) {
            self.collections.insert(some).await.map_err(|fault| fault.to_string())?;
        }
        Ok(())
    }

    /// The jobs that are kinit's, or were until they were removed after `since`.
    async fn names_since(
        &self,
        since: crate::time::Timestamp,
    ) -> Result<BTreeSet<JobName>, String> {
        let stored = self.handle.store.stored_jobs().await.map_err(|error| error.to_string())?;
        let stored = stored.ok_or_else(|| "jobs are being written".to_owned())?;
        let ours = stored
            .jobs
            .iter()
            .filter(|job| job.owner == OWNER && job.removed_at.is_none_or(|at| at >= since));
        let removed = ours.filter_map(|job| JobName::parse(&job.name).ok());
        Ok(self.tasks.keys().cloned().chain(self.applied_names()).chain(removed).collect())
    }
}

/// Why it is no success, in one text.
fn exception_of(row: &Row, ending: &Ending) -> Option<String> {
    if let Some(what) = &ending.exception {
        return Some(format!("{}: {}", what.kind, what.message));
    }
    if ending.outcome == Outcome::Succeeded {
        return None;
    }
    let mut text = ending.outcome.as_str().to_owned();
    if let Some(reason) = ending.outcome.reason() {
        text.push_str(": ");
        text.push_str(reason);
    }
    if let Some(range) = row.range {
        text.push_str(", times: ");
        text.push_str(&range.count.to_string());
    }
    Some(text)
}
