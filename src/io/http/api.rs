//! What the API is asked, apart from HTTP. The daemon answers; how, is not known here.

use tokio::sync::{mpsc, oneshot};

use crate::engine::condition::Condition;
use crate::engine::request::Refusal;
use crate::io::http::documents::request::Envelope;
use crate::io::http::documents::sync::{GoBackDocument, ResumeDocument};
use crate::io::http::feed::EventFeed;
use crate::time::Timestamp;

/// How many questions may wait for the daemon.
pub const QUESTIONS_MAX: usize = 256;

/// The way to whoever answers.
#[derive(Debug, Clone)]
pub struct Api {
    questions: mpsc::Sender<Asked>,
    /// What happens, for those who read it as it comes.
    pub events: EventFeed,
}

/// A question, and the way back.
#[derive(Debug)]
pub struct Asked {
    /// What is asked.
    pub question: Question,
    /// Where the answer goes.
    pub answer: oneshot::Sender<Answer>,
}

/// A JSON document as text, or why there is none.
pub type Answer = Result<String, Refusal>;

/// What is asked.
#[derive(Debug, Clone, PartialEq)]
pub enum Question {
    /// Applied jobs.
    Jobs(JobsWanted),
    /// One job.
    Job {
        /// Its name.
        name: String,
    },
    /// Rows, newest first.
    Executions(RowsWanted),
    /// One row.
    Execution {
        /// Its id.
        id: String,
    },
    /// What an execution printed.
    Output {
        /// Its id.
        id: String,
    },
    /// Coming fire times.
    Next {
        /// Of these jobs; empty: of all.
        jobs: Vec<String>,
        /// After this; none: after now.
        from: Option<Timestamp>,
        /// Before this.
        until: Option<Timestamp>,
        /// How many.
        count: usize,
    },
    /// What operators have said about jobs.
    Overrides,
    /// What would change.
    Plan {
        /// With the definitions themselves.
        definitions: bool,
    },
    /// Applied plans, newest first.
    Plans {
        /// At most so many.
        limit: usize,
    },
    /// The state of the sources.
    Sync,
    /// Look at the sources now, and apply.
    Apply {
        /// Who asks.
        actor: String,
        /// Under which conditions.
        only: Condition,
    },
    /// The jobs as they were, until somebody resumes.
    GoBack(GoBackDocument),
    /// The sources count again.
    Resume(ResumeDocument),
    /// How the daemon is.
    Status,
    /// An order; answered by its reply.
    Request(Box<Envelope>),
}

/// Which jobs; those that meet all of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobsWanted {
    /// Of this group.
    pub group: Option<String>,
    /// With each of these tags.
    pub tags: Vec<String>,
}

/// Which rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RowsWanted {
    /// Of one job.
    pub job: Option<String>,
    /// With one of these outcome words; empty: any.
    pub outcomes: Vec<String>,
    /// Due within this long.
    pub last: Option<std::time::Duration>,
    /// Of this revision.
    pub revision: Option<String>,
    /// At most so many.
    pub limit: usize,
}

impl Api {
    /// A way to ask, and the end at which the questions arrive.
    pub fn new(events: EventFeed) -> (Self, mpsc::Receiver<Asked>) {
        let (questions, arriving) = mpsc::channel(QUESTIONS_MAX);
        (Self { questions, events }, arriving)
    }

    /// Asks, and waits for the answer.
    pub async fn ask(&self, question: Question) -> Answer {
        let (answer, answered) = oneshot::channel();
        let stopping = || Refusal {
            code: "E0503",
            message: "the daemon is stopping".to_owned(),
            help: Some("ask again when it has started".to_owned()),
        };
        self.questions.send(Asked { question, answer }).await.map_err(|_| stopping())?;
        answered.await.map_err(|_| stopping())?
    }
}
