//! Plans and the state of the sources.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::TimeDelta;
use serde_json::Value;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::daemon::api::jobs::fires;
use crate::daemon::api::{Answers, LOOK_WITHIN, busy, stopping, zone};
use crate::daemon::reconciler::{Look, Looked, Preview};
use crate::daemon::view::Sync;
use crate::engine::plan::{AppliedJob, Change, HeldRemoval, Plan};
use crate::engine::request::Refusal;
use crate::engine::scheduler::preview;
use crate::io::clock;
use crate::io::http::documents::at_in;
use crate::io::http::documents::diagnostics::DiagnosticEntry;
use crate::io::http::documents::plan::{
    ChangeEntry, FieldEntry, FiresEntry, NextFireEntry, PlanDocument, PlanSummary, RevisionEntry,
    SourceEntry, SyncDocument,
};
use crate::spec::job::JobSpec;
use crate::time::Timestamp;

/// How far ahead fire times are compared.
const AHEAD: TimeDelta = TimeDelta::days(7);
/// How many fire times are compared; a job with more says nothing about them.
const FIRES_COMPARED_MAX: usize = 20_000;

impl Answers {
    pub(super) async fn plan(&self) -> Result<PlanDocument, Refusal> {
        let (done, looked) = oneshot::channel();
        let Preview { plan, sync } = self.look(Look::Preview { done }, looked).await?;
        Ok(self.plan_document(&plan, &sync))
    }

    pub(super) async fn apply(&self, actor: String) -> Result<SyncDocument, Refusal> {
        let (done, looked) = oneshot::channel();
        let Looked { plan, sync } = self.look(Look::Asked { actor, done }, looked).await?;
        let plan = self.plan_document(&plan, &sync);
        Ok(SyncDocument { plan: Some(plan), ..self.sync_document(&sync) })
    }

    pub(super) fn sync(&self) -> SyncDocument {
        let sync = self.handle.sync.borrow().clone();
        self.sync_document(&sync)
    }

    async fn look<T>(&self, look: Look, looked: oneshot::Receiver<T>) -> Result<T, Refusal> {
        self.handle.looks.send(look).await.map_err(|_| stopping())?;
        match timeout(LOOK_WITHIN, looked).await {
            Ok(looked) => looked.map_err(|_| stopping()),
            Err(_) => Err(busy()),
        }
    }

    fn sync_document(&self, sync: &Sync) -> SyncDocument {
        let applied = self.handle.applied.borrow().clone();
        let revision = Some(applied.revision.to_string()).filter(|revision| !revision.is_empty());
        let sources = self.settings().sources.iter().map(|source| SourceEntry {
            folder: source.name.clone(),
            state: if sync.unreadable.contains(&source.name) { "unreadable" } else { "read" }
                .to_owned(),
        });
        SyncDocument {
            schema: SyncDocument::SCHEMA.to_owned(),
            state: sync.state().to_owned(),
            applied: revision,
            attempted: Some(sync.attempted.to_string()).filter(|revision| !revision.is_empty()),
            looked_at: sync.looked_at.map(|at| at.fixed_offset()),
            generation: applied.generation,
            files: sync.files,
            sources: sources.collect(),
            diagnostics: sync.diagnostics.iter().map(DiagnosticEntry::of).collect(),
            blocked: sync.held.iter().map(held).collect(),
            waiting: sync.waiting.clone(),
            plan: None,
        }
    }

    fn plan_document(&self, plan: &Plan, sync: &Sync) -> PlanDocument {
        let now = clock::wall();
        let applied = self.handle.applied.borrow().clone();
        let mut changes: Vec<ChangeEntry> =
            plan.changes.iter().map(|change| changed(now, change)).collect();
        changes.extend(plan.held.iter().map(held));
        changes.sort_by(|a, b| a.job.cmp(&b.job));
        let count = |action: &str| changes.iter().filter(|c| c.action == action).count();
        let summary = PlanSummary {
            create: count("create"),
            update: count("update"),
            rename: count("rename"),
            remove: count("remove"),
            blocked: plan.held.len(),
            unchanged: plan.unchanged,
        };
        PlanDocument {
            schema: PlanDocument::SCHEMA.to_owned(),
            id: plan.id(),
            generation: plan.generation,
            revision: RevisionEntry {
                commit: plan.revision.to_string(),
                branch: None,
                dirty: None,
            },
            applied: Some(applied.revision.to_string()).filter(|revision| !revision.is_empty()),
            changes,
            summary,
            diagnostics: sync.diagnostics.iter().map(DiagnosticEntry::of).collect(),
        }
    }
}

/// The document of a change, and what follows from it.
fn changed(now: Timestamp, change: &Change) -> ChangeEntry {
    let after = preview(now, change);
    let (before, to) = (change.applied(), change.declared());
    let fields = match (before, to) {
        (Some(from), Some(to)) => differences(&from.spec, &to.spec),
        (None, _) | (_, None) => Vec::new(),
    };
    let moves = schedule_of(before) != schedule_of(after.as_ref());
    let source = to.map(|to| &to.source).or(before.map(|from| &from.source));
    ChangeEntry {
        action: change.action().to_owned(),
        job: change.job().to_string(),
        blocked: None,
        source: source.cloned(),
        schedule: schedule_of(after.as_ref()).1,
        fields,
        next_fire: moves.then(|| NextFireEntry {
            from: before.and_then(|job| Some(at_in(&zone(job), fires(job, now).next()?))),
            to: after.as_ref().and_then(|job| Some(at_in(&zone(job), fires(job, now).next()?))),
        }),
        fires_7d: if moves { fires_7d(now, before, after.as_ref()) } else { None },
    }
}

/// A removal that is held back.
fn held(held: &HeldRemoval) -> ChangeEntry {
    ChangeEntry {
        action: "remove".to_owned(),
        job: held.job.to_string(),
        blocked: Some(held.hold.as_str().to_owned()),
        source: None,
        schedule: Vec::new(),
        fields: Vec::new(),
        next_fire: None,
        fires_7d: None,
    }
}

/// What decides when a job fires.
fn schedule_of(job: Option<&AppliedJob>) -> (bool, Vec<String>) {
    let triggers = |job: &AppliedJob| job.spec.triggers.iter().map(ToString::to_string).collect();
    job.map_or_else(|| (false, Vec::new()), |job| (job.spec.enabled, triggers(job)))
}

/// How many fire times of the coming week appear and vanish; none: too many to count.
fn fires_7d(
    now: Timestamp,
    before: Option<&AppliedJob>,
    after: Option<&AppliedJob>,
) -> Option<FiresEntry> {
    let until = now + AHEAD;
    let week = |job: Option<&AppliedJob>| -> Option<BTreeSet<Timestamp>> {
        let Some(job) = job else { return Some(BTreeSet::new()) };
        let week: BTreeSet<Timestamp> = fires(job, now)
            .take_while(|fire_time| *fire_time <= until)
            .take(FIRES_COMPARED_MAX + 1)
            .collect();
        (week.len() <= FIRES_COMPARED_MAX).then_some(week)
    };
    let (before, after) = (week(before)?, week(after)?);
    Some(FiresEntry {
        gained: after.difference(&before).count() as u64,
        lost: before.difference(&after).count() as u64,
    })
}

/// What is different between two definitions in canonical form.
fn differences(from: &Arc<JobSpec>, to: &Arc<JobSpec>) -> Vec<FieldEntry> {
    let value = |spec: &JobSpec| serde_json::from_str(&spec.canonical()).unwrap_or(Value::Null);
    let mut fields = Vec::new();
    compare(String::new(), &value(from), &value(to), &mut fields);
    fields
}

fn compare(pointer: String, from: &Value, to: &Value, fields: &mut Vec<FieldEntry>) {
    if from == to {
        return;
    }
    match (from, to) {
        (Value::Object(from), Value::Object(to)) => {
            let keys: BTreeSet<&String> = from.keys().chain(to.keys()).collect();
            for key in keys {
                let escaped = key.replace('~', "~0").replace('/', "~1");
                let (from, to) = (from.get(key), to.get(key));
                let pointer = format!("{pointer}/{escaped}");
                compare(pointer, from.unwrap_or(&Value::Null), to.unwrap_or(&Value::Null), fields);
            }
        }
        (Value::Array(from), Value::Array(to)) if from.len() == to.len() => {
            for (index, (from, to)) in from.iter().zip(to).enumerate() {
                compare(format!("{pointer}/{index}"), from, to, fields);
            }
        }
        (from, to) => {
            fields.push(FieldEntry { pointer, from: from.clone(), to: to.clone() });
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::engine::plan::Owner;
    use crate::spec::job::DeclaredJob;
    use crate::spec::manifest::{Content, Known, ManifestFile, load};

    /// The job `a` with this body.
    fn declared(body: &str) -> DeclaredJob {
        let text = format!("jobs: {{a: {{{body}}}}}");
        let content = Content::Bytes(text.into_bytes().into());
        let file = ManifestFile { path: "jobs.d/a.yaml".into(), source: "jobs.d".into(), content };
        let loaded = load(&[file], &Known::default());
        assert_eq!(loaded.diagnostics, []);
        loaded.jobs.into_values().next().unwrap()
    }

    #[test]
    fn a_change_says_what_is_different_and_which_fire_times_come_and_go() {
        // A Sunday.
        let now: Timestamp = "2026-11-22T13:00:00Z".parse().unwrap();
        let (daily, weekdays) = ("cron: '30 2 * * *'", "cron: '30 2 * * mon-fri'");
        let create = Change::Create {
            to: declared(&format!("{daily}, command: x, env: {{AB: '1'}}")),
            owner: Owner::source("jobs.d"),
        };
        let entry = serde_json::to_value(changed(now, &create)).unwrap();
        assert_eq!(
            entry,
            json!({
                "action": "create", "job": "a", "blocked": null, "fields": [],
                "source": {"file": "jobs.d/a.yaml", "line": 1},
                "schedule": ["cron 30 2 * * * UTC"],
                "next_fire": {"from": null, "to": "2026-11-23T02:30:00Z"},
                "fires_7d": {"gained": 7, "lost": 0},
            })
        );
        let from = preview(now, &create).unwrap();
        let to = declared(&format!("{weekdays}, command: x, timeout: 45m, env: {{AB: '2'}}"));
        let update = Change::Update { from: from.clone(), to, owner: Owner::source("jobs.d") };
        let entry = serde_json::to_value(changed(now, &update)).unwrap();
        assert_eq!(
            entry,
            json!({
                "action": "update", "job": "a", "blocked": null,
                "source": {"file": "jobs.d/a.yaml", "line": 1},
                "schedule": ["cron 30 2 * * mon-fri UTC"],
                "fields": [
                    {"pointer": "/env/AB", "from": "1", "to": "2"},
                    {"pointer": "/timeout", "from": null, "to": "45m"},
                    {"pointer": "/triggers/0/cron", "from": "30 2 * * *", "to": "30 2 * * mon-fri"},
                ],
                "next_fire": {"from": "2026-11-23T02:30:00Z", "to": "2026-11-23T02:30:00Z"},
                "fires_7d": {"gained": 0, "lost": 2},
            })
        );
        let env_only = declared(&format!("{daily}, command: x, env: {{AB: '3'}}"));
        let same_schedule = changed(
            now,
            &Change::Update { from: from.clone(), to: env_only, owner: Owner::source("jobs.d") },
        );
        assert_eq!((same_schedule.next_fire, same_schedule.fires_7d), (None, None));
        let removed = changed(now, &Change::Remove { from });
        assert_eq!(removed.fires_7d, Some(FiresEntry { gained: 0, lost: 7 }));
    }
}
