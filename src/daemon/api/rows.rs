//! Rows of the ledger, and what executions printed.

use chrono::TimeDelta;

use crate::daemon::api::Answers;
use crate::diagnostic::quoted;
use crate::engine::execution::{Attempt, AttemptId, Ending, ExecutionId, Output, Row, State};
use crate::engine::request::Refusal;
use crate::io::clock;
use crate::io::http::api::RowsWanted;
use crate::io::http::documents::executions::{
    ExecutionDocument, ExecutionEntry, ExecutionsDocument, OutputDocument,
};
use crate::io::store::Query;
use crate::spec::job::JobName;
use crate::time::DURATION_MAX;

impl Answers {
    pub(super) async fn executions(
        &self,
        wanted: RowsWanted,
    ) -> Result<ExecutionsDocument, Refusal> {
        let job = wanted.job.as_deref();
        let name = job.and_then(|job| JobName::parse(job).ok());
        let last = wanted.last.map(|last| TimeDelta::from_std(last.min(DURATION_MAX)));
        let query = Query {
            job: name.clone(),
            outcomes: wanted.outcomes,
            since: last
                .and_then(Result::ok)
                .and_then(|last| clock::wall().checked_sub_signed(last)),
            revision: wanted.revision,
            limit: wanted.limit,
        };
        let rows = match (job, &name) {
            (Some(_), None) => Vec::new(),
            (Some(_) | None, _) => self.ask_store(self.handle.store.rows(&query)).await?,
        };
        // A removed job keeps its history; a name without any is most likely misspelt.
        if let (true, Some(job)) = (rows.is_empty(), job) {
            self.applied_job(job)?;
        }
        Ok(ExecutionsDocument {
            schema: ExecutionsDocument::SCHEMA.to_owned(),
            executions: rows.iter().map(|row| self.entry(row)).collect(),
        })
    }

    pub(super) async fn execution(&self, id: &str) -> Result<ExecutionDocument, Refusal> {
        let row = self.row(id).await?;
        let execution = self.entry(&row);
        Ok(ExecutionDocument { schema: ExecutionDocument::SCHEMA.to_owned(), execution })
    }

    pub(super) async fn output(&self, id: &str) -> Result<OutputDocument, Refusal> {
        let row = self.row(id).await?;
        let empty = Output::default();
        Ok(match &row.state {
            State::Ended(ending) => {
                OutputDocument::of(id, attempt_of(&row, ending), false, &ending.output)
            }
            State::RetryWait { last, .. } => {
                OutputDocument::of(id, attempt_of(&row, last), true, &last.output)
            }
            State::Queued => OutputDocument::of(id, row.attempt(), true, &empty),
            State::Claimed | State::Running { .. } => {
                let attempt = AttemptId { execution: row.id.clone(), number: row.attempt() };
                let output = match self.handle.handlers.output(&attempt) {
                    Some(output) => Some(output),
                    None => self.handle.supervisor.output(&attempt.to_string()).await,
                };
                OutputDocument::of(id, attempt.number, true, output.as_ref().unwrap_or(&empty))
            }
        })
    }

    async fn row(&self, id: &str) -> Result<Row, Refusal> {
        let wanted = ExecutionId(id.into());
        let row = self.ask_store(self.handle.store.row(&wanted)).await?;
        row.ok_or_else(|| Refusal {
            code: "E0404",
            message: format!("no execution {}", quoted(id)),
            help: Some("`cronwright history` shows what ran".to_owned()),
        })
    }

    /// The document of a row, its times in the zone of its job.
    pub(super) fn entry(&self, row: &Row) -> ExecutionEntry {
        ExecutionEntry::of(row, &self.zone_of(&row.job))
    }
}

/// The attempt that ended so: the one under way when the row did, or the one before, where it ended while it waited
/// for another.
fn attempt_of(row: &Row, ending: &Ending) -> u32 {
    let began = |last: &Attempt| last.started_at.is_some() && last.started_at == ending.started_at;
    let is_told = row.attempts.last().is_some_and(began);
    if is_told { row.attempt() - 1 } else { row.attempt() }
}
