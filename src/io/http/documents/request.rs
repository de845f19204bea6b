//! The envelope of requests, the same at every door, and of replies. What it asks for is told by `meaning`.

mod meaning;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::engine::execution::Outcome;
use crate::engine::request::{Refusal, Reply, ReplyStatus, Request, RequestId};
use crate::io::http::documents::{At, ErrorEntry};

/// The largest envelope that is read, in bytes.
pub const ENVELOPE_BYTES_MAX: usize = 64 * 1024;
/// The version of the envelope.
pub const ENVELOPE_VERSION: u32 = 1;

/// A request as it is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestDocument {
    /// [`ENVELOPE_VERSION`].
    pub v: u32,
    /// Its identity; none: the door makes one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// `run`, `cancel`, `pause`, `resume`, `skip_next`, `add`, `update`, `remove`, `has`, `get`, `list`, `running`,
    /// `history`, `sync` or `ping`.
    pub op: String,
    /// The job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// What else the operation needs.
    #[serde(default)]
    pub args: ArgsDocument,
    /// Where replies go; the door's business.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<String>,
    /// What it is about, as the producer knows it: of several requests with one key, operation and job, the first
    /// has its effect, and the others are duplicates of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// Say what would be done, and do nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    /// When it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issued_at: Option<At>,
    /// After this it is not carried out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<At>,
    /// Who asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
}

/// Arguments of an operation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArgsDocument {
    /// `run`: values of the job's parameters, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub params: BTreeMap<String, Value>,
    /// `run`: answer when it has ended.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub wait: bool,
    /// `cancel`: KILL at once.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub force: bool,
    /// `add`, `update`: the job's keys, as in a manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec: Option<Value>,
    /// `history`: at most so many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// `cancel`: the execution, instead of a job. `history`: what became of this one, or of the request of this id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution_id: Option<String>,
    /// `pause`, `resume`, `skip_next`: these jobs, instead of `job`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub jobs: Vec<String>,
    /// `pause`, `resume`, `skip_next`: the jobs of this group, instead of `job`. `list`: those alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// `pause`, `resume`, `skip_next`: all jobs, instead of `job`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub all: bool,
    /// `pause`, `skip_next`: why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// `pause`: until when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<At>,
}

/// A request with what only its door needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// What is asked for. Its id is that of the effect: it comes from the idempotency key, where there is one.
    pub request: Request,
    /// The id that the request brought, and that its replies name.
    pub asked_as: RequestId,
    /// When it was made.
    pub issued_at: Option<At>,
    /// Where replies go.
    pub reply_to: Option<String>,
    /// After this it is not carried out.
    pub expires_at: Option<At>,
}

/// A reply as it is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplyDocument {
    /// [`ENVELOPE_VERSION`].
    pub v: u32,
    /// The request's id.
    pub in_reply_to: String,
    /// `accepted`, `started`, `finished`, `rejected`, `expired` or `duplicate`.
    pub status: String,
    /// The execution concerned.
    pub execution_id: Option<String>,
    /// What there is to know once it is finished.
    pub result: Option<ResultEntry>,
    /// Why it was rejected.
    pub error: Option<ErrorEntry>,
}

/// What there is to know of a finished request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResultEntry {
    /// How the execution ended.
    pub outcome: Option<String>,
    /// Why it ended so.
    pub reason: Option<String>,
    /// What a person should know.
    pub note: Option<String>,
    /// The answer to a question: the document that the API has for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<Value>,
}

impl ResultEntry {
    /// A note alone.
    fn noted(note: &str) -> Self {
        Self { outcome: None, reason: None, note: Some(note.to_owned()), document: None }
    }
}

impl Envelope {
    /// Reads an envelope. `fallback_id` is its id when it brings none.
    pub fn read(bytes: &[u8], fallback_id: &str) -> Result<Self, Refusal> {
        if bytes.len() > ENVELOPE_BYTES_MAX {
            let help = format!("send at most {ENVELOPE_BYTES_MAX} bytes");
            return Err(refusal("E0413", "the request is too large".into(), &help));
        }
        let document: RequestDocument = serde_json::from_slice(bytes).map_err(|error| {
            let help = "send one JSON object with `v`, `op` and what the operation needs";
            refusal("E0400", format!("not a request: {error}"), help)
        })?;
        document.meant(fallback_id)
    }
}

impl ReplyDocument {
    /// The document of a reply.
    pub fn of(reply: &Reply) -> Self {
        let (result, error) = match &reply.status {
            ReplyStatus::Finished { outcome, note } => {
                let result = ResultEntry {
                    outcome: outcome.map(|outcome| outcome.as_str().to_owned()),
                    reason: outcome.and_then(Outcome::reason).map(str::to_owned),
                    note: note.clone(),
                    document: None,
                };
                (Some(result), None)
            }
            ReplyStatus::Answered(document) => {
                let document = Some(Value::clone(document));
                let result = ResultEntry { outcome: None, reason: None, note: None, document };
                (Some(result), None)
            }
            ReplyStatus::Rejected(refusal) => (None, Some(ErrorEntry::of(refusal))),
            ReplyStatus::Accepted { note } => (note.as_deref().map(ResultEntry::noted), None),
            ReplyStatus::Started | ReplyStatus::Expired | ReplyStatus::Duplicate => (None, None),
        };
        Self {
            v: ENVELOPE_VERSION,
            in_reply_to: reply.in_reply_to.to_string(),
            status: reply.status.as_str().to_owned(),
            execution_id: reply.execution.as_ref().map(ToString::to_string),
            result,
            error,
        }
    }
}

impl ErrorEntry {
    /// The document of a refusal.
    pub fn of(refusal: &Refusal) -> Self {
        Self {
            code: refusal.code.to_owned(),
            message: refusal.message.clone(),
            help: refusal.help.clone(),
        }
    }
}

pub(super) fn refusal(code: &'static str, message: String, help: &str) -> Refusal {
    Refusal { code, message, help: Some(help.to_owned()) }
}
