//! The daemon's answers to the questions of the API: documents made of what is applied, what the store
//! holds, and what the reconciler says. Decides nothing.

mod going_back;
mod jobs;
mod overrides;
mod plan;
mod requests;
mod rows;
mod sources;
mod status;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;

pub use crate::daemon::api::jobs::{coming, common_zone};
use crate::daemon::parts::Handle;
use crate::daemon::settings;
use crate::daemon::view::RedisHealth;
use crate::diagnostic::quoted;
use crate::diagnostic::suggest::nearest;
use crate::engine::plan::AppliedJob;
use crate::engine::request::{Refusal, Reply, ReplyStatus};
use crate::io::clock;
use crate::io::http::api::{Answer, Asked, Question};
use crate::io::http::documents::planned::zone_of;
use crate::io::http::documents::request::{Envelope, ReplyDocument};
use crate::io::http::routes::body;
use crate::io::store;
use crate::spec::job::JobName;
use crate::time::{Timestamp, Zone};

/// How many questions are answered at once.
const AT_ONCE_MAX: usize = 64;
/// How long the store may take for one question.
const STORE_WITHIN: Duration = Duration::from_secs(10);
/// How long the reconciler may take for one question: it may be waiting for git.
const LOOK_WITHIN: Duration = Duration::from_secs(45);
/// How long a request waits for its first answer.
const REQUEST_WITHIN: Duration = Duration::from_secs(5);
/// How long a request that asks to wait waits for its last.
const REQUEST_WAITS: Duration = Duration::from_secs(25);

/// Who answers.
#[derive(Clone)]
pub struct Answers {
    /// The running daemon.
    pub handle: Handle,
    /// Whether Redis answers.
    pub redis: tokio::sync::watch::Receiver<RedisHealth>,
    /// What keeps another program from being served, in sentences.
    pub unserved: tokio::sync::watch::Receiver<Vec<String>>,
    /// When the daemon began.
    pub started_at: Timestamp,
}

impl Answers {
    /// Answers questions until nobody can ask any more.
    pub async fn give(self, mut asked: mpsc::Receiver<Asked>) {
        let places = Arc::new(Semaphore::new(AT_ONCE_MAX));
        while let Some(Asked { question, answer }) = asked.recv().await {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            let answers = self.clone();
            tokio::spawn(async move {
                // Whoever asked may have gone.
                answer.send(answers.answer(question).await).ok();
                drop(place);
            });
        }
    }

    async fn answer(&self, question: Question) -> Answer {
        match question {
            Question::Jobs(wanted) => self.jobs(&wanted).await.map(|document| body(&document)),
            Question::Job { name } => self.job(&name).await.map(|document| body(&document)),
            Question::Executions(wanted) => {
                self.executions(wanted).await.map(|document| body(&document))
            }
            Question::Execution { id } => self.execution(&id).await.map(|document| body(&document)),
            Question::Output { id } => self.output(&id).await.map(|document| body(&document)),
            Question::Next { jobs, from, until, count } => {
                self.next(&jobs, from, until, count).map(|document| body(&document))
            }
            Question::Overrides => Ok(body(&self.overrides())),
            Question::Plan { definitions } => {
                self.plan(definitions).await.map(|document| body(&document))
            }
            Question::Plans { limit } => self.plans(limit).await.map(|document| body(&document)),
            Question::Sync => Ok(body(&self.sync())),
            Question::Apply { actor, only } => {
                self.apply(actor, only).await.map(|document| body(&document))
            }
            Question::GoBack(document) => {
                self.go_back(document).await.map(|document| body(&document))
            }
            Question::Resume(document) => {
                self.resume(document).await.map(|document| body(&document))
            }
            Question::Status => Ok(body(&self.status().await)),
            Question::Request(envelope) => self.request(*envelope).await,
        }
    }

    /// Hands a request to the loop, and waits for the answer that it asks for, within reason.
    async fn request(&self, envelope: Envelope) -> Answer {
        let Envelope { request, asked_as, reply_to, expires_at, .. } = envelope;
        if reply_to.is_some() {
            let message = "`reply_to` does nothing here: the answer is the reply".to_owned();
            let help = Some("leave it out".to_owned());
            return Err(Refusal { code: "E0400", message, help });
        }
        if expires_at.is_some_and(|expires_at| expires_at <= clock::wall()) {
            let expired =
                Reply { in_reply_to: asked_as, status: ReplyStatus::Expired, execution: None };
            return Ok(body(&ReplyDocument::of(&expired)));
        }
        let waits = request.op.waits();
        let replies = self.ask(request).await?;
        match last_reply(replies, waits).await.ok_or_else(busy)? {
            Reply { status: ReplyStatus::Rejected(refusal), .. } => Err(refusal),
            reply => Ok(body(&ReplyDocument::of(&Reply { in_reply_to: asked_as, ..reply }))),
        }
    }

    /// Waits for the store.
    async fn ask_store<T>(&self, answer: store::Answer<'_, T>) -> Result<T, Refusal> {
        let away = |message: String| Refusal {
            code: "E0503",
            message,
            help: Some("what runs goes on; ask again when the store answers".to_owned()),
        };
        match timeout(STORE_WITHIN, answer).await {
            Ok(answer) => answer.map_err(|error| away(error.to_string())),
            Err(_) => Err(away("the store does not answer".to_owned())),
        }
    }

    /// An applied job, or what was probably meant.
    fn applied_job(&self, name: &str) -> Result<AppliedJob, Refusal> {
        let jobs = Arc::clone(&self.handle.applied.borrow().jobs);
        let found = JobName::parse(name).ok().and_then(|name| jobs.get(&name).cloned());
        found.ok_or_else(|| {
            let near = nearest(name, jobs.keys().map(JobName::as_str));
            Refusal {
                code: "E0404",
                message: format!("no job {}", quoted(name)),
                help: near.map(|near| format!("did you mean `{near}`?")),
            }
        })
    }

    /// The zone in which a job's times are told.
    fn zone_of(&self, name: &JobName) -> Zone {
        let applied = self.handle.applied.borrow();
        applied.jobs.get(name).map_or_else(Zone::utc, zone)
    }

    /// The settings.
    fn settings(&self) -> &settings::Settings {
        &self.handle.settings
    }
}

/// The zone of a job: that of its first trigger.
pub fn zone(job: &AppliedJob) -> Zone {
    zone_of(&job.spec)
}

/// The last reply that comes in time.
async fn last_reply(mut replies: mpsc::Receiver<Reply>, waits: bool) -> Option<Reply> {
    let mut last = timeout(REQUEST_WITHIN, replies.recv()).await.ok().flatten()?;
    let until = tokio::time::Instant::now() + REQUEST_WAITS;
    while waits && !last.status.is_last(true) {
        match tokio::time::timeout_at(until, replies.recv()).await {
            Ok(Some(reply)) => last = reply,
            Ok(None) | Err(_) => break,
        }
    }
    Some(last)
}

fn stopping() -> Refusal {
    let message = "the daemon is stopping".to_owned();
    Refusal { code: "E0503", message, help: Some("ask again when it has started".to_owned()) }
}

fn busy() -> Refusal {
    Refusal {
        code: "E0503",
        message: "the daemon does not answer in time".to_owned(),
        help: Some(
            "the request may be carried out all the same: send it again with the same id"
                .to_owned(),
        ),
    }
}
