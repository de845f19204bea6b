//! Jobs and their fire times.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::daemon::api::{Answers, zone};
use crate::engine::execution::{JobUid, Outcome, Row, State};
use crate::engine::overrides::{Holds, Override, Overrides, next_to_run, skipped_by};
use crate::engine::plan::AppliedJob;
use crate::engine::request::Refusal;
use crate::engine::schedule::{Occurrence, next_after, occurrences};
use crate::io::clock;
use crate::io::http::api::JobsWanted;
use crate::io::http::documents::at_in;
use crate::io::http::documents::executions::ExecutionEntry;
use crate::io::http::documents::jobs::{
    FireEntry, JobDocument, JobEntry, JobsDocument, LastEntry, NextDocument,
};
use crate::io::http::documents::overrides::{PauseEntry, SkipEntry};
use crate::io::store::Query;
use crate::time::Timestamp;

/// How many executions and fire times the document of a job shows.
const SHOWN: usize = 5;

/// What the executions of a job that have not ended do, at the most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Active {
    /// They wait for a place.
    Queued,
    /// Some are in flight.
    Running,
}

impl Answers {
    pub(super) async fn jobs(&self, wanted: &JobsWanted) -> Result<JobsDocument, Refusal> {
        let now = clock::wall();
        let latest = self.ask_store(self.handle.store.latest_rows()).await?;
        let latest: BTreeMap<&JobUid, &Row> = latest.iter().map(|row| (&row.uid, row)).collect();
        let active = self.active().await?;
        let applied = self.handle.applied.borrow().clone();
        let entry = |job: &AppliedJob| {
            let last = latest.get(&job.uid).copied();
            let said = applied.overrides.get(&job.uid);
            self.job_entry(now, job, said, active.get(&job.uid).copied(), last)
        };
        Ok(JobsDocument {
            schema: JobsDocument::SCHEMA.to_owned(),
            jobs: applied.jobs.values().filter(|job| is_wanted(job, wanted)).map(entry).collect(),
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
        let active = self.active().await?.get(&job.uid).copied();
        let zone = zone(&job);
        let canonical = job.spec.canonical();
        let applied = self.handle.applied.borrow().clone();
        let said = applied.overrides.get(&job.uid);
        let holds = Holds::of(&job, said);
        let next: Vec<Occurrence> =
            occurrences(&job, now, Timestamp::MAX_UTC).take(SHOWN).collect();
        Ok(JobDocument {
            schema: JobDocument::SCHEMA.to_owned(),
            job: self.job_entry(now, &job, said, active, rows.first()),
            uid: job.uid.to_string(),
            digest: job.digest.to_string(),
            revision: applied.revision.to_string(),
            effective_at: at_in(&zone, job.effective_at),
            // The canonical form is JSON by construction.
            spec: serde_json::from_str(&canonical).unwrap_or(serde_json::Value::Null),
            next: next.iter().map(|due| at_in(&zone, due.fire_time)).collect(),
            next_starts: next.iter().map(|due| at_in(&zone, due.start_time)).collect(),
            next_skipped: next.iter().map(|due| why_skipped(holds, due.fire_time)).collect(),
            executions: rows.iter().map(|row| ExecutionEntry::of(row, &zone)).collect(),
        })
    }

    pub(super) fn next(
        &self,
        names: &[String],
        from: Option<Timestamp>,
        until: Option<Timestamp>,
        count: usize,
    ) -> Result<NextDocument, Refusal> {
        let jobs: Vec<AppliedJob> = if names.is_empty() {
            self.handle.applied.borrow().jobs.values().cloned().collect()
        } else {
            // Two fire times of one job at one instant would be one too many.
            let names: BTreeSet<&String> = names.iter().collect();
            names.into_iter().map(|name| self.applied_job(name)).collect::<Result<_, _>>()?
        };
        let overrides = Arc::clone(&self.handle.applied.borrow().overrides);
        Ok(NextDocument {
            schema: NextDocument::SCHEMA.to_owned(),
            timezone: common_zone(&jobs),
            fires: coming(&jobs, &overrides, from.unwrap_or_else(clock::wall), until, count),
        })
    }

    /// The jobs that have executions in flight, or some that wait.
    async fn active(&self) -> Result<BTreeMap<JobUid, Active>, Refusal> {
        let rows = self.ask_store(self.handle.store.in_flight()).await?;
        let mut active = BTreeMap::new();
        for row in rows {
            let is = if row.state == State::Queued { Active::Queued } else { Active::Running };
            let most = active.entry(row.uid).or_insert(is);
            *most = is.max(*most);
        }
        Ok(active)
    }

    fn job_entry(
        &self,
        now: Timestamp,
        job: &AppliedJob,
        said: Option<&Override>,
        active: Option<Active>,
        last: Option<&Row>,
    ) -> JobEntry {
        let zone = zone(job);
        let pause = said.and_then(|said| said.pause_at(now));
        let skip = said.and_then(|said| said.skip_next.as_ref());
        let state = match (job.spec.enabled, pause, active) {
            (_, Some(_), _) => "paused",
            (_, None, Some(Active::Running)) => "running",
            (_, None, Some(Active::Queued)) => "queued",
            (true, None, None) => "scheduled",
            (false, None, None) => "disabled",
        };
        JobEntry {
            name: job.spec.name.to_string(),
            state: state.to_owned(),
            stale: self.handle.sync.borrow().stale.contains(&job.spec.name),
            owner: job.owner.to_string(),
            source: job.source.clone(),
            next_fire_at: next_to_run(job, said, now).map(|next| at_in(&zone, next.fire_time)),
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
            group: job.spec.meta.group.clone(),
            tags: job.spec.meta.tags.clone(),
            pause: pause.map(|pause| PauseEntry::of(pause, &zone)),
            skip_next: skip.map(|skip| SkipEntry::of(skip, skipped_by(job, skip), &zone)),
        }
    }
}

fn is_wanted(job: &AppliedJob, wanted: &JobsWanted) -> bool {
    let meta = &job.spec.meta;
    let of_group = wanted.group.as_ref().is_none_or(|group| meta.group.as_ref() == Some(group));
    of_group && wanted.tags.iter().all(|tag| meta.tags.contains(tag))
}

/// The name of the zone that all jobs share, if they do.
pub fn common_zone(jobs: &[AppliedJob]) -> Option<String> {
    let (first, others) = jobs.split_first()?;
    let shared = zone(first);
    others.iter().all(|job| zone(job) == shared).then(|| shared.name().to_owned())
}

/// The fire times of all jobs together after `from` and before `until`, earliest first.
pub fn coming(
    jobs: &[AppliedJob],
    overrides: &Overrides,
    from: Timestamp,
    until: Option<Timestamp>,
    count: usize,
) -> Vec<FireEntry> {
    let after = |job: &AppliedJob, index: usize, after: Timestamp| {
        next_after(job, after)
            .filter(|next| until.is_none_or(|until| next.fire_time < until))
            .map(|next| ((next.fire_time, index), next))
    };
    let holds: Vec<Holds<'_>> =
        jobs.iter().map(|job| Holds::of(job, overrides.get(&job.uid))).collect();
    // The next occurrence of each job; the one that is taken moves on.
    let mut due: BTreeMap<(Timestamp, usize), Occurrence> = BTreeMap::new();
    for (index, job) in jobs.iter().enumerate() {
        due.extend(after(job, index, from));
    }
    let mut taken = Vec::new();
    while taken.len() < count {
        let Some(((fire_time, index), occurrence)) = due.pop_first() else { break };
        let job = &jobs[index];
        let zone = zone(job);
        taken.push(FireEntry {
            job: Some(job.spec.name.to_string()),
            at: at_in(&zone, fire_time),
            starts_at: at_in(&zone, occurrence.start_time),
            skipped: why_skipped(holds[index], fire_time),
        });
        due.extend(after(job, index, fire_time));
    }
    taken
}

/// The word for why a fire time will not run.
fn why_skipped(holds: Holds<'_>, fire_time: Timestamp) -> Option<String> {
    let held = holds.why(fire_time)?;
    Outcome::Skipped(held).reason().map(str::to_owned)
}
