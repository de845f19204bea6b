//! Which tasks are active: the documents in kinit's collection say it, the jobs follow.
//!
//! Level-triggered: whatever was deleted or heard, what counts is which documents are there. So an edit, which kinit
//! makes of a deletion and an addition, ends as the addition in whatever order the two come.

use std::collections::{BTreeMap, BTreeSet};

use tracing::{info, warn};

use crate::daemon::kinit::Bridge;
use crate::daemon::kinit::adding::{OVER, text_of};
use crate::daemon::look::Declared;
use crate::engine::declaration::Wish;
use crate::engine::execution::{Cause, Row};
use crate::engine::plan::Change;
use crate::engine::schedule::next_after;
use crate::io::clock;
use crate::io::kinit::collections::{Active, Fault};
use crate::io::kinit::job::{Task, When};
use crate::io::kinit::record::Said;
use crate::io::store::Query;
use crate::spec::job::JobName;

/// How many of a job's newest rows are looked at for its last occurrence.
const NEWEST_ROWS: usize = 50;

impl Bridge {
    /// Does what could not be done, or has to be done again.
    pub(super) async fn make_up(&mut self) {
        self.write_documents().await;
        if self.due.take_over {
            match self.take_over().await {
                Ok(()) => (self.due.take_over, self.due.sweep) = (false, false),
                Err(fault) => warn!(error = %fault, "the tasks of kinit cannot be taken over yet"),
            }
        } else if self.due.sweep {
            match self.sweep().await {
                Ok(()) => self.due.sweep = false,
                Err(fault) => warn!(error = %fault, "deleted tasks of kinit are not removed yet"),
            }
        }
        if self.due.records {
            match self.catch_up().await {
                Ok(()) => self.due.records = false,
                Err(error) => warn!(error, "records of kinit are not written yet"),
            }
        }
    }

    /// Makes a job of every active task, by its stored definition, and removes what is not active.
    async fn take_over(&mut self) -> Result<(), Fault> {
        let active = self.collections.active().await?;
        let ids: Vec<String> = active.iter().map(|one| one.id.clone()).collect();
        let definitions: BTreeMap<_, _> =
            self.collections.definitions(&ids).await?.into_iter().collect();
        let (mut tasks, mut wishes) = (BTreeMap::new(), BTreeMap::new());
        for one in &active {
            let Some(fields) = definitions.get(&one.id) else {
                if !self.is_applied(&one.id) {
                    self.refuse_found(&one.id, "it has no definition").await;
                }
                continue;
            };
            let strategy = fields.get("exec_strategy").and_then(|text| text.as_str());
            match Task::read(&one.id, strategy, fields) {
                Ok(task) if task.when == When::Once => {}
                Ok(task) => {
                    let manifest = task.manifest(self.zone.name()).into_bytes();
                    wishes.insert(task.id.clone(), Wish::Put(manifest.into()));
                    self.tasks.insert(task.id.clone(), Said::read(fields));
                    tasks.insert(task.id.clone(), (task, one.is_ours));
                }
                Err(refused) => self.refuse_found(&one.id, &refused.reason).await,
            }
        }
        let gone = self.not_among(&active).await?;
        wishes.extend(gone.into_iter().map(|name| (name, Wish::Remove)));
        if wishes.is_empty() {
            return Ok(());
        }
        let Some(declared) = self.declare(wishes).await else { return Ok(()) };
        self.say_active(tasks, &declared).await
    }

    /// Tells what became of it, and puts documents of our own into the places of others.
    async fn say_active(
        &mut self,
        tasks: BTreeMap<JobName, (Task, bool)>,
        declared: &Declared,
    ) -> Result<(), Fault> {
        for (name, refusal) in &declared.refused {
            self.refuse_found(name.as_str(), &text_of(refusal)).await;
        }
        let changed: BTreeSet<&JobName> = declared.plan.changes.iter().map(Change::job).collect();
        if !changed.is_empty() {
            info!(jobs = changed.len(), "tasks of kinit were taken over, or removed");
        }
        for (name, (task, is_ours)) in &tasks {
            if declared.refused.contains_key(name) {
                continue;
            }
            let is_over = self.next_due(name).is_none();
            if is_over && changed.contains(name) {
                self.refuse_found(name.as_str(), OVER).await;
                self.collections.remove(name.as_str()).await?;
                self.take_back([name.clone()]).await;
            } else if is_over {
                self.settle(name).await;
            } else if !is_ours || changed.contains(name) {
                self.collections.replace(name.as_str(), &self.document(task)).await?;
            }
        }
        Ok(())
    }

    /// Removes the jobs of tasks that are not active any more.
    async fn sweep(&mut self) -> Result<(), Fault> {
        let active = self.collections.active().await?;
        let gone = self.not_among(&active).await?;
        self.take_back(gone).await;
        Ok(())
    }

    /// A document was deleted. It may be there again.
    pub(super) async fn deleted(&mut self, id: &str) {
        let Some(name) = JobName::parse(id).ok().filter(|_| self.is_applied(id)) else { return };
        if self.unwritten.contains_key(&name) || self.once.contains(&name) {
            return;
        }
        match self.collections.is_active(id).await {
            Ok(true) => {}
            Ok(false) => {
                info!(job = id, "kinit has taken its task away");
                self.take_back([name]).await;
            }
            Err(_) => self.due.sweep = true,
        }
    }

    /// kinit's jobs that are applied and not active, nor run for kinit at this moment.
    async fn not_among(&mut self, active: &[Active]) -> Result<Vec<JobName>, Fault> {
        let active: BTreeSet<&str> = active.iter().map(|one| one.id.as_str()).collect();
        let mut names = self.applied_names();
        names.retain(|name| {
            !active.contains(name.as_str())
                && !self.unwritten.contains_key(name)
                && !self.once.contains(name)
        });
        // Those without triggers were run once by an earlier daemon, and may run still.
        let without_triggers = |name: &&JobName| {
            self.applied_job(name).is_some_and(|job| job.spec.triggers.is_empty())
        };
        let once: Vec<JobName> = names.iter().filter(without_triggers).cloned().collect();
        if !once.is_empty() {
            let running = self.running().await?;
            for name in once.into_iter().filter(|name| running.contains(name)) {
                names.remove(&name);
                self.once.insert(name);
            }
        }
        Ok(names.into_iter().collect())
    }

    fn is_applied(&self, id: &str) -> bool {
        JobName::parse(id).is_ok_and(|name| self.applied_job(&name).is_some())
    }

    /// The jobs that have executions which have not ended.
    async fn running(&self) -> Result<BTreeSet<JobName>, Fault> {
        let rows = self.handle.store.in_flight().await.map_err(|error| Fault {
            act: "look what runs, for a task",
            message: error.to_string(),
        })?;
        Ok(rows.into_iter().map(|row| row.job).collect())
    }

    /// After the end of an execution: says when the job is due next; one that has no next time is over.
    pub(super) async fn settle(&mut self, name: &JobName) {
        if self.once.contains(name) {
            return self.settle_once(name).await;
        }
        if self.applied_job(name).is_none_or(|job| job.spec.triggers.is_empty()) {
            return;
        }
        let done = match self.next_due(name) {
            Some(next) => self.collections.set_next(name.as_str(), &next).await,
            None if self.is_over(name).await => {
                let removed = self.collections.remove(name.as_str()).await;
                if removed.is_ok() {
                    info!(job = %name, "a task of kinit is over");
                    self.take_back([name.clone()]).await;
                }
                removed
            }
            None => Ok(()),
        };
        if let Err(fault) = done {
            warn!(job = %name, error = %fault, "kinit does not see when its task is due next");
            self.due.take_over = true;
        }
    }

    /// Takes a job back that was there for one execution, when nothing of it runs.
    pub(super) async fn settle_once(&mut self, name: &JobName) {
        let Ok(running) = self.running().await else {
            self.due.sweep = true;
            return;
        };
        if running.contains(name) {
            return;
        }
        self.once.remove(name);
        match self.collections.is_active(name.as_str()).await {
            Ok(true) => {}
            Ok(false) => self.take_back([name.clone()]).await,
            Err(_) => self.due.sweep = true,
        }
    }

    /// Whether the last occurrence of a job has its row, and all rows have ended.
    async fn is_over(&self, name: &JobName) -> bool {
        let query = Query {
            job: Some(name.clone()),
            outcomes: Vec::new(),
            since: None,
            revision: None,
            limit: NEWEST_ROWS,
        };
        let Ok(rows) = self.handle.store.rows(&query).await else { return false };
        let Some(job) = self.applied_job(name) else { return false };
        let newest = rows.iter().find(|row| row.uid == job.uid && row.cause != Cause::Request);
        let last = newest.map(|row| row.range.map_or(row.fire_time, |range| range.last));
        let is_last = last.is_some_and(|last| next_after(&job, last).is_none());
        is_last && next_after(&job, clock::wall()).is_none() && !rows.iter().any(Row::in_flight)
    }
}
