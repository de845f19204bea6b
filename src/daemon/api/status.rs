//! The daemon at a glance.

use chrono::TimeDelta;

use crate::daemon::api::{Answers, zone};
use crate::daemon::store_task::StoreHealth;
use crate::daemon::view::{Applied, RedisHealth, Sync};
use crate::diagnostic::Diagnostic;
use crate::engine::execution::{Row, State};
use crate::engine::overrides::next_to_run;
use crate::engine::plan::AppliedJob;
use crate::engine::request::Refusal;
use crate::engine::scheduler::Phase;
use crate::io::clock;
use crate::io::http::documents::at_in;
use crate::io::http::documents::status::{
    JobCounts, RedisEntry, RunningEntry, StatusDocument, StoreEntry, SyncEntry,
};
use crate::io::store::Query;
use crate::time::{Timestamp, zone_database};

/// Outcomes of executions that ended badly.
const BAD_OUTCOMES: [&str; 3] = ["failed", "timed_out", "lost"];
/// How many of them are counted at most.
const BAD_COUNTED_MAX: usize = 1_000;
/// How many errors of manifests are told one by one.
const ERRORS_TOLD_MAX: usize = 5;
/// How far back they are counted.
const BAD_SINCE: TimeDelta = TimeDelta::hours(24);

impl Answers {
    pub(super) async fn status(&self) -> StatusDocument {
        let now = clock::wall();
        let applied = self.handle.applied.borrow().clone();
        let sync = self.handle.sync.borrow().clone();
        let redis = self.redis.borrow().clone();
        let in_flight = self.ask_store(self.handle.store.in_flight()).await;
        let failed = self.failed_since(now - BAD_SINCE).await;
        let store_problem = self.store_problem(&in_flight);
        let mut problems: Vec<String> = store_problem.iter().cloned().collect();
        if let RedisHealth::Away { error } = &redis {
            problems.push(format!("Redis is away: {error}"));
        }
        problems.extend(self.unserved.borrow().iter().cloned());
        problems.extend(phase_problem(applied.phase));
        problems.extend(sync_problems(&sync));
        let (queued, running): (Vec<Row>, Vec<Row>) =
            in_flight.unwrap_or_default().into_iter().partition(|row| row.state == State::Queued);
        let revision = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        StatusDocument {
            schema: StatusDocument::SCHEMA.to_owned(),
            health: if problems.is_empty() { "healthy" } else { "degraded" }.to_owned(),
            problems,
            role: if applied.phase == Phase::Standby { "standby" } else { "leader" }.to_owned(),
            node: self.handle.node.to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            started_at: Some(self.started_at.fixed_offset()),
            tzdb: zone_database().to_owned(),
            store: StoreEntry {
                url: self.handle.store.describe(),
                connected: store_problem.is_none(),
            },
            redis: RedisEntry {
                url: self.settings().redis.as_ref().map(|redis| redis.url.to_string()),
                connected: redis == RedisHealth::Connected,
            },
            sync: SyncEntry {
                state: sync.state().to_owned(),
                applied: revision(&applied.revision),
                applied_in_part: sync.is_part_left_out() && applied.revision == sync.attempted,
                attempted: revision(&sync.attempted),
            },
            jobs: job_counts(now, &applied, sync.stale.len()),
            running: self.running_entries(&running),
            queued: queued.len() as u64,
            failed_24h: failed.map_or(0, |rows| rows.len() as u64),
        }
    }

    async fn failed_since(&self, since: Timestamp) -> Result<Vec<Row>, Refusal> {
        let query = Query {
            job: None,
            outcomes: BAD_OUTCOMES.map(str::to_owned).to_vec(),
            since: Some(since),
            revision: None,
            limit: BAD_COUNTED_MAX,
        };
        self.ask_store(self.handle.store.rows(&query)).await
    }

    fn store_problem(&self, asked: &Result<Vec<Row>, Refusal>) -> Option<String> {
        match (&*self.handle.store_health.borrow(), asked) {
            (StoreHealth::Away { error, .. }, _) => Some(format!("the store is away: {error}")),
            (StoreHealth::Healthy, Err(refusal)) => Some(refusal.message.clone()),
            (StoreHealth::Healthy, Ok(_)) => None,
        }
    }

    fn running_entries(&self, rows: &[Row]) -> Vec<RunningEntry> {
        let entry = |row: &Row| {
            let started_at = match &row.state {
                State::Running { started_at } => Some(*started_at),
                State::Queued | State::Claimed | State::RetryWait { .. } | State::Ended(_) => None,
            };
            RunningEntry {
                execution_id: row.id.to_string(),
                job: row.job.to_string(),
                started_at: started_at.map(|at| at_in(&self.zone_of(&row.job), at)),
                node: row.claim.node.to_string(),
            }
        };
        rows.iter().map(entry).collect()
    }
}

fn phase_problem(phase: Phase) -> Option<String> {
    match phase {
        Phase::Recovering => Some("it waits for the store".to_owned()),
        Phase::AwaitingPlan => Some("it has not read its manifests yet".to_owned()),
        Phase::Stopping => Some("it is stopping".to_owned()),
        Phase::Standby | Phase::Active => None,
    }
}

/// What is wrong with the sources; where many manifests are, how many.
fn sync_problems(sync: &Sync) -> Vec<String> {
    let errors: Vec<&Diagnostic> = sync.diagnostics.iter().filter(|d| d.is_error()).collect();
    let told = errors.iter().take(ERRORS_TOLD_MAX);
    let mut problems: Vec<String> =
        told.map(|d| format!("{}: {} ({})", d.code, d.message, d.path())).collect();
    if errors.len() > ERRORS_TOLD_MAX {
        problems.push(format!("{} more errors in manifests", errors.len() - ERRORS_TOLD_MAX));
    }
    if !sync.held.is_empty() {
        problems.push(format!("{} removals are held back", sync.held.len()));
    }
    for conflict in &sync.owner_conflicts {
        problems.push(format!("job `{}` belongs to {}", conflict.job, conflict.held_by));
    }
    problems.extend(sync.waiting.clone());
    if sync.looked_at.is_none() {
        problems.push("the sources have not been looked at yet".to_owned());
    }
    problems
}

fn job_counts(now: Timestamp, applied: &Applied, stale: usize) -> JobCounts {
    let (jobs, said) = (&applied.jobs, |job: &AppliedJob| applied.overrides.get(&job.uid));
    let next = |job| next_to_run(job, said(job), now).map(|next| (next.fire_time, job));
    let next = jobs.values().filter_map(next).min_by_key(|(fire_time, _)| *fire_time);
    let is_paused = |job: &&AppliedJob| said(job).and_then(|said| said.pause_at(now)).is_some();
    JobCounts {
        total: jobs.len(),
        disabled: jobs.values().filter(|job| !job.spec.enabled).count(),
        paused: jobs.values().filter(is_paused).count(),
        stale,
        next_fire_at: next.map(|(fire_time, job)| at_in(&zone(job), fire_time)),
        next_job: next.map(|(_, job)| job.spec.name.to_string()),
    }
}
