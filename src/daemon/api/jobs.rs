//! Jobs and their fire times.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::daemon::api::{Answers, zone};
use crate::engine::execution::{JobUid, Row};
use crate::engine::plan::AppliedJob;
use crate::engine::request::Refusal;
use crate::engine::schedule::next_after;
use crate::io::clock;
use crate::io::http::documents::at_in;
use crate::io::http::documents::executions::ExecutionEntry;
use crate::io::http::documents::jobs::{
    FireEntry, JobDocument, JobEntry, JobsDocument, LastEntry, NextDocument,
};
use crate::io::store::Query;
use crate::time::Timestamp;

/// How many executions and fire times the document of a job shows.
const SHOWN: usize = 5;

impl Answers {
    pub(super) async fn jobs(&self) -> Result<JobsDocument, Refusal> {
        let now = clock::wall();
        let latest = self.ask_store(self.handle.store.latest_rows()).await?;
        let latest: BTreeMap<&JobUid, &Row> = latest.iter().map(|row| (&row.uid, row)).collect();
        let running = self.running().await?;
        let jobs = Arc::clone(&self.handle.applied.borrow().jobs);
        let entry = |job: &AppliedJob| {
            let last = latest.get(&job.uid).copied();
            self.job_entry(now, job, running.contains(&job.uid), last)
        };
        Ok(JobsDocument {
            schema: JobsDocument::SCHEMA.to_owned(),
            jobs: jobs.values().map(entry).collect(),
        })
    }

    pub(super) async fn job(&self, name: &str) -> Result<JobDocument, Refusal> {
        let now = clock::wall();
        let job = self.applied_job(name)?;
        let query = Query {
            job: Some(job.spec.name.clone()),
            outcomes: Vec::new(),
            since: None,
            revision: None,
            limit: SHOWN,
        };
        let rows = self.ask_store(self.handle.store.rows(&query)).await?;
        let is_running = self.running().await?.contains(&job.uid);
        let zone = zone(&job);
        let canonical = job.spec.canonical();
        let next = fires(&job, now).take(SHOWN).map(|fire_time| at_in(&zone, fire_time)).collect();
        Ok(JobDocument {
            schema: JobDocument::SCHEMA.to_owned(),
            job: self.job_entry(now, &job, is_running, rows.first()),
            uid: job.uid.to_string(),
            digest: job.digest.to_string(),
            revision: self.handle.applied.borrow().revision.to_string(),
            effective_at: at_in(&zone, job.effective_at),
            // The canonical form is JSON by construction.
            spec: serde_json::from_str(&canonical).unwrap_or(serde_json::Value::Null),
            next,
            executions: rows.iter().map(|row| ExecutionEntry::of(row, &zone)).collect(),
        })
    }

    pub(super) fn next(&self, name: Option<&str>, count: usize) -> Result<NextDocument, Refusal> {
        let now = clock::wall();
        let jobs = match name {
            Some(name) => vec![self.applied_job(name)?],
            None => self.handle.applied.borrow().jobs.values().cloned().collect(),
        };
        // The next fire time of each job, earliest first; the one that is taken moves on.
        let mut due: BTreeSet<(Timestamp, usize)> = BTreeSet::new();
        for (index, job) in jobs.iter().enumerate() {
            due.extend(fires(job, now).next().map(|fire_time| (fire_time, index)));
        }
        let mut fires_taken = Vec::with_capacity(count.min(jobs.len()));
        while let Some((fire_time, index)) = due.pop_first().filter(|_| fires_taken.len() < count) {
            let job = &jobs[index];
            let at = at_in(&zone(job), fire_time);
            let job_name = Some(job.spec.name.to_string());
            fires_taken.push(FireEntry { job: job_name, at, starts_at: at });
            due.extend(fires(job, fire_time).next().map(|next| (next, index)));
        }
        let timezone = match jobs.as_slice() {
            [job] => Some(zone(job).name().to_owned()),
            [] | [_, ..] => None,
        };
        Ok(NextDocument { schema: NextDocument::SCHEMA.to_owned(), timezone, fires: fires_taken })
    }

    /// The jobs that have executions in flight.
    async fn running(&self) -> Result<BTreeSet<JobUid>, Refusal> {
        let rows = self.ask_store(self.handle.store.in_flight()).await?;
        Ok(rows.into_iter().map(|row| row.uid).collect())
    }

    fn job_entry(
        &self,
        now: Timestamp,
        job: &AppliedJob,
        is_running: bool,
        last: Option<&Row>,
    ) -> JobEntry {
        let zone = zone(job);
        let state = match (job.spec.enabled, is_running) {
            (_, true) => "running",
            (true, false) => "scheduled",
            (false, false) => "disabled",
        };
        JobEntry {
            name: job.spec.name.to_string(),
            state: state.to_owned(),
            stale: self.handle.sync.borrow().stale.contains(&job.spec.name),
            owner: job.owner.to_string(),
            source: job.source.clone(),
            next_fire_at: fires(job, now).next().map(|fire_time| at_in(&zone, fire_time)),
            last: last.map(|row| {
                let entry = ExecutionEntry::of(row, &zone);
                LastEntry {
                    id: entry.id,
                    fire_time: at_in(&zone, row.range.map_or(row.fire_time, |range| range.last)),
                    outcome: entry.outcome,
                    reason: entry.reason,
                    duration_seconds: entry.duration_seconds,
                }
            }),
            schedule: job.spec.triggers.iter().map(ToString::to_string).collect(),
            timezone: job.spec.triggers.first().map(|trigger| trigger.zone().name().to_owned()),
            description: job.spec.description.clone(),
        }
    }
}

/// The fire times of a job after a moment.
pub(super) fn fires(job: &AppliedJob, after: Timestamp) -> impl Iterator<Item = Timestamp> {
    let fire_time = move |after: Timestamp| next_after(job, after).map(|due| due.fire_time);
    std::iter::successors(fire_time(after), move |last| fire_time(*last))
}
