//! The one way in for requests, whatever the door: orders go to the loop, declarations and looks to the reconciler,
//! questions are answered here.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use crate::daemon::Incoming;
use crate::daemon::api::{Answers, stopping};
use crate::daemon::look::{Declare, Look};
use crate::daemon::requests::{Asked, reply_channel};
use crate::engine::condition::Condition;
use crate::engine::declaration::Wish;
use crate::engine::execution::ExecutionId;
use crate::engine::plan::Owner;
use crate::engine::request::{Op, Order, Query, Refusal, Reply, ReplyStatus, Request};
use crate::io::http::api::{JobsWanted, RowsWanted};
use crate::spec::job::JobName;

/// How many executions an answer holds where nothing is said.
const ROWS_DEFAULT: usize = 20;
/// How many executions an answer may hold: replies stay small.
const ROWS_MAX: usize = 100;

impl Answers {
    /// Takes a request in. Its replies arrive at the end that comes back; none arrives when the daemon stops before.
    pub async fn ask(&self, request: Request) -> Result<mpsc::Receiver<Reply>, Refusal> {
        let Request { id, op, actor } = request;
        if let Op::Act(act) = op {
            let (asked, arriving) = Asked::new(Order { id, act, actor });
            self.handle.incoming.send(Incoming::Asked(asked)).await.map_err(|_| stopping())?;
            return Ok(arriving);
        }
        let (replies, arriving) = reply_channel();
        let answers = self.clone();
        tokio::spawn(async move {
            let status = answers
                .status_of(op, actor.unwrap_or_else(|| "an unnamed sender".to_owned()))
                .await;
            let reply = Reply { in_reply_to: id, status, execution: None };
            // Whoever asked may have gone.
            replies.try_send(reply).ok();
        });
        Ok(arriving)
    }

    async fn status_of(&self, op: Op, actor: String) -> ReplyStatus {
        let status = match op {
            Op::Declare { job, wish, dry_run } => self.declare(job, wish, dry_run, actor).await,
            Op::Ask(query) => self.query(query).await.map(|it| ReplyStatus::Answered(Box::new(it))),
            Op::Sync => self.sync_now(actor).await,
            // The scheduler does what it is ordered.
            Op::Ping | Op::Act(_) => Ok(ReplyStatus::Finished { outcome: None, note: None }),
        };
        status.unwrap_or_else(ReplyStatus::Rejected)
    }

    async fn declare(
        &self,
        job: JobName,
        wish: Wish<Arc<[u8]>>,
        dry_run: bool,
        actor: String,
    ) -> Result<ReplyStatus, Refusal> {
        let (done, declared) = oneshot::channel();
        let wishes = BTreeMap::from([(job.clone(), wish)]);
        let declare = Declare { owner: Owner::request(), actor, wishes, dry_run };
        let mut declared = self.look(Look::Declare { declare, done }, declared).await?;
        if let Some(refusal) = declared.refused.remove(&job) {
            return Err(refusal);
        }
        let done = declared.done(&job).unwrap_or_else(|| format!("`{job}` is so already"));
        Ok(if dry_run {
            let note = Some(format!("nothing was done; it would be: {done}"));
            ReplyStatus::Finished { outcome: None, note }
        } else {
            ReplyStatus::Accepted { note: Some(done) }
        })
    }

    async fn sync_now(&self, actor: String) -> Result<ReplyStatus, Refusal> {
        let (done, looked) = oneshot::channel();
        let look = Look::Asked { actor, only: Condition::default(), done };
        let note = match self.look(look, looked).await? {
            Ok(looked) => format!("{}: {} changes", looked.sync.state(), looked.plan.changes.len()),
            Err(unmet) => unmet.to_string(),
        };
        Ok(ReplyStatus::Finished { outcome: None, note: Some(note) })
    }

    /// The document that the API has for a question.
    async fn query(&self, query: Query) -> Result<Value, Refusal> {
        match query {
            Query::Has(job) => {
                let owner =
                    self.handle.applied.borrow().jobs.get(&job).map(|job| job.owner.to_string());
                Ok(json!({ "job": job.as_str(), "has": owner.is_some(), "owner": owner }))
            }
            Query::Get(job) => self.job(job.as_str()).await.map(|document| value(&document)),
            Query::List { group } => {
                let wanted = JobsWanted { group, tags: Vec::new() };
                self.jobs(&wanted).await.map(|document| value(&document))
            }
            Query::Running { job } => {
                let rows = self.ask_store(self.handle.store.in_flight()).await?;
                let of_job =
                    rows.iter().filter(|row| job.as_ref().is_none_or(|job| row.job == *job));
                let entries: Vec<_> = of_job.take(ROWS_MAX).map(|row| self.entry(row)).collect();
                Ok(json!({ "executions": value(&entries) }))
            }
            Query::History { job, limit } => {
                let wanted = RowsWanted {
                    job: job.map(|job| job.to_string()),
                    outcomes: Vec::new(),
                    last: None,
                    revision: None,
                    limit: limit.unwrap_or(ROWS_DEFAULT).min(ROWS_MAX),
                };
                self.executions(wanted).await.map(|document| value(&document))
            }
            Query::Outcome(ExecutionId(id)) => {
                self.execution(&id).await.map(|document| value(&document))
            }
        }
    }
}

/// A document of texts, numbers and lists can always be written.
fn value(document: &impl serde::Serialize) -> Value {
    serde_json::to_value(document).unwrap_or_default()
}
