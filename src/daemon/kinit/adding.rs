//! What kinit publishes: a task is scheduled, or run once. What cannot be becomes a warning, and a record where kinit
//! looks for it.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::timeout;
use tracing::{info, warn};

use crate::daemon::Incoming;
use crate::daemon::kinit::{Bridge, COMPLAINED_MAX, OWNER};
use crate::daemon::requests::Asked;
use crate::engine::declaration::Wish;
use crate::engine::request::{Act, Order, Refusal, ReplyStatus, RequestId};
use crate::engine::schedule::next_after;
use crate::io::clock;
use crate::io::kinit::collections::NewRecord;
use crate::io::kinit::job::{Task, When};
use crate::io::kinit::message;
use crate::io::kinit::record::{RecordId, Said, due_at, of_refusal, stored_date};
use crate::spec::job::{JOB_NAME_BYTES_MAX, JobName};

/// How long a run-now may take to be accepted.
const ACCEPTED_WITHIN: Duration = Duration::from_secs(10);

/// Why a task is not taken that would never run.
pub(super) const OVER: &str = "it would never run: the last time that it names has passed";

impl Bridge {
    /// Carries out a message. Any bytes may come.
    pub(super) async fn message(&mut self, bytes: &[u8]) {
        let task = match message::read(bytes) {
            Ok(task) => task,
            Err(refused) => return self.refuse(refused.id.as_deref(), &refused.reason).await,
        };
        let done = if task.when == When::Once {
            self.run_once(&task).await
        } else {
            self.schedule(&task).await
        };
        match done {
            Ok(()) => info!(job = %task.id, strategy = task.wording.exec_strategy, "kinit"),
            Err(reason) => self.refuse(Some(task.id.as_str()), &reason).await,
        }
    }

    /// Applies the job, then says that it is active. An addition of one that is there is an edit.
    async fn schedule(&mut self, task: &Task) -> Result<(), String> {
        self.apply(task).await?;
        self.once.remove(&task.id);
        if self.next_due(&task.id).is_none() {
            self.take_back([task.id.clone()]).await;
            return Err(OVER.to_owned());
        }
        self.unwritten.insert(task.id.clone(), self.document(task));
        self.write_documents().await;
        Ok(())
    }

    /// Runs a task now. One that is not active is a job until its end.
    async fn run_once(&mut self, task: &Task) -> Result<(), String> {
        let is_scheduled =
            self.applied_job(&task.id).is_some_and(|job| !job.spec.triggers.is_empty());
        if !is_scheduled {
            self.apply(task).await?;
            self.once.insert(task.id.clone());
        }
        let ran = self.run(&task.id).await;
        if ran.is_err() && !is_scheduled {
            self.settle_once(&task.id).await;
        }
        ran
    }

    /// Has the job applied; else why it is not.
    async fn apply(&mut self, task: &Task) -> Result<(), String> {
        let manifest = task.manifest(self.zone.name());
        let wish = Wish::Put(manifest.into_bytes().into());
        let declared = self.declare(BTreeMap::from([(task.id.clone(), wish)])).await;
        let declared = declared.ok_or_else(|| "the daemon is stopping".to_owned())?;
        match declared.refused.get(&task.id) {
            Some(refusal) => Err(text_of(refusal)),
            None => Ok(()),
        }
    }

    /// Asks for an execution; it is durable when this returns.
    async fn run(&self, name: &JobName) -> Result<(), String> {
        let stopping = || "the daemon is stopping".to_owned();
        let id = RequestId::parse(&clock::unique_id()).map_err(|error| error.to_string())?;
        let (job, params) = (name.clone(), BTreeMap::new());
        let act = Act::Run { job, params, wait: false, dry_run: false };
        let order = Order { id, act, actor: Some(OWNER.to_owned()) };
        let (asked, mut replies) = Asked::new(order);
        self.handle.incoming.send(Incoming::Asked(asked)).await.map_err(|_| stopping())?;
        let reply = timeout(ACCEPTED_WITHIN, replies.recv()).await;
        let reply = reply.map_err(|_| format!("it was not accepted within {ACCEPTED_WITHIN:?}"))?;
        match reply.ok_or_else(stopping)?.status {
            ReplyStatus::Rejected(refusal) => Err(text_of(&refusal)),
            ReplyStatus::Accepted { .. }
            | ReplyStatus::Started
            | ReplyStatus::Answered(_)
            | ReplyStatus::Finished { .. }
            | ReplyStatus::Expired
            | ReplyStatus::Duplicate => Ok(()),
        }
    }

    /// The document of a task whose job is applied.
    pub(super) fn document(&self, task: &Task) -> serde_json::Map<String, serde_json::Value> {
        task.document(self.next_due(&task.id).as_deref())
    }

    /// When a job is due next, where kinit's clocks show it.
    pub(super) fn next_due(&self, name: &JobName) -> Option<String> {
        let next = next_after(&self.applied_job(name)?, clock::wall())?;
        Some(due_at(next.fire_time, &self.zone))
    }

    /// Writes the documents that are not written yet.
    pub(super) async fn write_documents(&mut self) {
        while let Some((name, document)) = self.unwritten.first_key_value() {
            if let Err(fault) = self.collections.put(name.as_str(), document).await {
                warn!(job = %name, error = %fault, "kinit does not see yet that its task is active");
                return;
            }
            let name = name.clone();
            self.unwritten.remove(&name);
        }
    }

    /// Says what was not done and why: in the log, and on kinit's page of records where it is about a task.
    pub(super) async fn refuse(&mut self, id: Option<&str>, reason: &str) {
        self.refusals += 1;
        let refusals = self.refusals;
        warn!(job = id, reason, refusals, "what kinit wants cannot be done");
        let now = clock::wall();
        // What is longer is no task of anybody's.
        if let Some(id) = id.filter(|id| id.len() <= JOB_NAME_BYTES_MAX) {
            self.record_refusal(RecordId::of_refusal(id, reason, Some(now)), id, reason).await;
        }
    }

    /// The same, of a definition that was found: each reason is told once.
    pub(super) async fn refuse_found(&mut self, id: &str, reason: &str) {
        let record = RecordId::of_refusal(id, reason, None);
        if self.complained.len() >= COMPLAINED_MAX {
            self.complained.clear();
        }
        if self.complained.insert(record) {
            self.refusals += 1;
            let refusals = self.refusals;
            warn!(job = id, reason, refusals, "an active task of kinit cannot be taken over");
            self.record_refusal(record, id, reason).await;
        }
    }

    async fn record_refusal(&mut self, record_id: RecordId, id: &str, reason: &str) {
        let now = clock::wall();
        let said = match self.collections.definitions(&[id.to_owned()]).await {
            Ok(found) => found.first().map(|(_, fields)| Said::read(fields)).unwrap_or_default(),
            Err(_) => Said::default(),
        };
        let record = of_refusal(id, said, reason, now, &self.zone);
        let created = stored_date(now, &self.zone);
        let new = NewRecord { id: record_id, record, created };
        if let Err(fault) = self.collections.insert(&[new]).await {
            warn!(job = id, error = %fault, "a refusal is in this log alone");
        }
    }
}

/// A refusal in one text.
pub(super) fn text_of(refusal: &Refusal) -> String {
    let Refusal { code, message, help } = refusal;
    match help {
        Some(help) => format!("{code}: {message}\n{help}"),
        None => format!("{code}: {message}"),
    }
}
