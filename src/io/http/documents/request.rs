//! The envelope of requests, the same at every door, and of replies.
//!
//! What the program cannot do yet is refused: an argument that is accepted and does nothing is a defect.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::engine::execution::{ExecutionId, Outcome};
use crate::engine::overrides::REASON_BYTES_MAX;
use crate::engine::request::{
    CancelTarget, Op, Refusal, Reply, ReplyStatus, Request, RequestId, RequestIdError, Selection,
};
use crate::io::http::documents::{At, ErrorEntry};
use crate::spec::job::{JobName, JobNameError};
use crate::time::Timestamp;

/// The largest envelope that is read, in bytes.
pub const ENVELOPE_BYTES_MAX: usize = 64 * 1024;
/// The version of the envelope.
pub const ENVELOPE_VERSION: u32 = 1;
/// The longest actor, in bytes.
const ACTOR_BYTES_MAX: usize = 256;
/// Operations that exist and are not built yet.
const OPS_NOT_YET: [&str; 9] =
    ["backfill", "add", "update", "remove", "has", "get", "list", "running", "history"];

/// A request as it is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestDocument {
    /// [`ENVELOPE_VERSION`].
    pub v: u32,
    /// Its identity; none: the door makes one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// `run`, `cancel`, `pause`, `resume`, `skip_next`, `sync` or `ping`.
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
    /// `cancel`: the execution, instead of a job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution_id: Option<String>,
    /// `pause`, `resume`, `skip_next`: these jobs, instead of `job`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub jobs: Vec<String>,
    /// `pause`, `resume`, `skip_next`: the jobs of this group, instead of `job`.
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
    /// For the scheduler.
    pub request: Request,
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
}

impl ResultEntry {
    /// A note alone.
    fn noted(note: &str) -> Self {
        Self { outcome: None, reason: None, note: Some(note.to_owned()) }
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

impl RequestDocument {
    /// What the document asks for.
    fn meant(self, fallback_id: &str) -> Result<Envelope, Refusal> {
        if self.v != ENVELOPE_VERSION {
            let message = format!("`v` is {}; this program knows {ENVELOPE_VERSION}", self.v);
            return Err(refusal("E0400", message, "send `\"v\": 1`"));
        }
        let id = RequestId::parse(self.id.as_deref().unwrap_or(fallback_id)).map_err(
            |RequestIdError| refusal("E0400", RequestIdError.to_string(), "send another `id`"),
        )?;
        let actor = self.actor.as_deref().unwrap_or_default();
        if actor.len() > ACTOR_BYTES_MAX || actor.chars().any(char::is_control) {
            let message = format!("`actor` is not a text of at most {ACTOR_BYTES_MAX} bytes");
            return Err(refusal("E0400", message, "name who asks in one short line"));
        }
        let op = self.op()?;
        let request = Request { id, op, actor: self.actor };
        Ok(Envelope { request, reply_to: self.reply_to, expires_at: self.expires_at })
    }

    fn op(&self) -> Result<Op, Refusal> {
        let ArgsDocument { params, wait, force, execution_id, reason, until, .. } = &self.args;
        match self.op.as_str() {
            "run" => {
                self.takes(&["job", "args.params", "args.wait"])?;
                Ok(Op::Run { job: self.job()?, params: params.clone(), wait: *wait })
            }
            "cancel" => {
                let target = if let Some(id) = execution_id {
                    self.takes(&["args.execution_id", "args.force"])?;
                    CancelTarget::Execution(ExecutionId(id.as_str().into()))
                } else {
                    self.takes(&["job", "args.force"])?;
                    CancelTarget::Job(self.job()?)
                };
                Ok(Op::Cancel { target, force: *force })
            }
            "pause" => {
                self.takes(&[
                    "job",
                    "args.jobs",
                    "args.group",
                    "args.all",
                    "args.reason",
                    "args.until",
                ])?;
                let (jobs, reason) = (self.selection()?, checked_reason(reason.as_deref())?);
                let until = until.map(|until| cut_to_milliseconds(until.to_utc()));
                Ok(Op::Pause { jobs, reason, until })
            }
            "resume" => {
                self.takes(&["job", "args.jobs", "args.group", "args.all"])?;
                Ok(Op::Resume { jobs: self.selection()? })
            }
            "skip_next" => {
                self.takes(&["job", "args.jobs", "args.group", "args.all", "args.reason"])?;
                Ok(Op::SkipNext {
                    jobs: self.selection()?,
                    reason: checked_reason(reason.as_deref())?,
                })
            }
            "sync" => self.takes(&[]).map(|()| Op::Sync),
            "ping" => self.takes(&[]).map(|()| Op::Ping),
            other => {
                let known = "this program knows `run`, `cancel`, `pause`, `resume`, `skip_next`, \
                             `sync` and `ping`";
                let message = if OPS_NOT_YET.contains(&other) {
                    format!("`{other}` is not supported yet")
                } else {
                    format!("`{}` is no operation", other.escape_debug())
                };
                Err(refusal("E0405", message, known))
            }
        }
    }

    /// Refuses what is given and not among what the operation takes.
    fn takes(&self, known: &[&str]) -> Result<(), Refusal> {
        let ArgsDocument { params, wait, force, execution_id, jobs, group, all, reason, until } =
            &self.args;
        let given = [
            ("job", self.job.is_some()),
            ("args.params", !params.is_empty()),
            ("args.wait", *wait),
            ("args.force", *force),
            ("args.execution_id", execution_id.is_some()),
            ("args.jobs", !jobs.is_empty()),
            ("args.group", group.is_some()),
            ("args.all", *all),
            ("args.reason", reason.is_some()),
            ("args.until", until.is_some()),
        ];
        let idle = given.iter().find(|(name, is_given)| *is_given && !known.contains(name));
        let Some((name, _)) = idle else { return Ok(()) };
        let message = format!("`{name}` does nothing in `{}`", self.op);
        Err(refusal("E0400", message, "leave it out"))
    }

    /// The jobs of a change of overrides: named in exactly one way.
    fn selection(&self) -> Result<Selection, Refusal> {
        let ArgsDocument { jobs, group, all, .. } = &self.args;
        let named = (!jobs.is_empty()).then(|| {
            let names = jobs.iter().map(|name| job_name(name)).collect::<Result<_, _>>();
            names.map(Selection::Named)
        });
        let ways = [
            self.job.as_deref().map(|name| Ok(Selection::Named(vec![job_name(name)?]))),
            named,
            group.clone().map(|group| Ok(Selection::Group(group))),
            all.then_some(Ok(Selection::All)),
        ];
        let mut ways = ways.into_iter().flatten();
        if let (Some(jobs), None) = (ways.next(), ways.next()) {
            return jobs;
        }
        let ways = "`job`, `args.jobs`, `args.group` and `args.all`";
        let message = format!("`{}` needs one of {ways}", self.op);
        Err(refusal("E0400", message, "name the jobs in one way"))
    }

    fn job(&self) -> Result<JobName, Refusal> {
        let Some(text) = self.job.as_deref() else {
            let message = format!("`{}` needs a `job`", self.op);
            return Err(refusal("E0400", message, "name the job"));
        };
        job_name(text)
    }
}

fn job_name(text: &str) -> Result<JobName, Refusal> {
    JobName::parse(text).map_err(|JobNameError(text)| {
        let message = format!("no job `{}`", text.escape_debug());
        refusal("E0404", message, "job names are 1 to 63 of a-z, 0-9, `.`, `_` and `-`")
    })
}

fn checked_reason(reason: Option<&str>) -> Result<Option<String>, Refusal> {
    let text = reason.unwrap_or_default();
    if text.len() > REASON_BYTES_MAX || text.chars().any(char::is_control) {
        let message = format!("`args.reason` is not a text of at most {REASON_BYTES_MAX} bytes");
        return Err(refusal("E0400", message, "say why in one line"));
    }
    Ok(Some(text.to_owned()).filter(|reason| !reason.is_empty()))
}

/// A time as every store keeps it.
fn cut_to_milliseconds(at: Timestamp) -> Timestamp {
    at - TimeDelta::nanoseconds(i64::from(at.timestamp_subsec_nanos() % 1_000_000))
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
                };
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

fn refusal(code: &'static str, message: String, help: &str) -> Refusal {
    Refusal { code, message, help: Some(help.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an envelope means, or why it is refused.
    fn read(text: &str) -> String {
        match Envelope::read(text.as_bytes(), "made-here") {
            Ok(envelope) => {
                let Request { id, op, actor } = envelope.request;
                format!("{id} {op:?} {}", actor.unwrap_or_default())
            }
            Err(refusal) => format!("{}: {}", refusal.code, refusal.message),
        }
    }

    #[test]
    fn envelopes_mean_what_they_say_and_nothing_is_ignored() {
        #[rustfmt::skip]
        let table = [
            (r#"{"v":1,"op":"run","job":"etl","id":"7","actor":"li"}"#,
             r#"7 Run { job: JobName("etl"), params: {}, wait: false } li"#),
            (r#"{"v":1,"op":"run","job":"etl","args":{"wait":true}}"#,
             r#"made-here Run { job: JobName("etl"), params: {}, wait: true } "#),
            (r#"{"v":1,"op":"cancel","job":"etl"}"#,
             r#"made-here Cancel { target: Job(JobName("etl")), force: false } "#),
            (r#"{"v":1,"op":"cancel","args":{"execution_id":"e@1","force":true}}"#,
             r#"made-here Cancel { target: Execution(ExecutionId("e@1")), force: true } "#),
            (r#"{"v":1,"op":"sync"}"#, "made-here Sync "),
            (r#"{"v":1,"op":"ping"}"#, "made-here Ping "),
            (r#"{"v":2,"op":"ping"}"#, "E0400: `v` is 2; this program knows 1"),
            (r#"{"v":1,"op":"ping","id":"a b"}"#,
             "E0400: a request id is 1 to 64 of A-Z, a-z, 0-9, `.`, `_` and `-`"),
            (r#"{"v":1,"op":"ping","job":"x"}"#, "E0400: `job` does nothing in `ping`"),
            (r#"{"v":1,"op":"run"}"#, "E0400: `run` needs a `job`"),
            (r#"{"v":1,"op":"run","job":"ETL"}"#, "E0404: no job `ETL`"),
            (r#"{"v":1,"op":"run","job":"x","args":{"force":true}}"#,
             "E0400: `args.force` does nothing in `run`"),
            (r#"{"v":1,"op":"run","job":"x","args":{"params":{"rows":5}}}"#,
             r#"made-here Run { job: JobName("x"), params: {"rows": Number(5)}, wait: false } "#),
            (r#"{"v":1,"op":"run","job":"x","args":{"parms":{}}}"#,
             "E0400: not a request: unknown field `parms`, expected one of `params`, `wait`, `force`, `execution_id`, `jobs`, `group`, `all`, `reason`, `until` at line 1 column 43"),
            (r#"{"v":1,"op":"pause","job":"x","args":{"params":{"a":1}}}"#,
             "E0400: `args.params` does nothing in `pause`"),
            (r#"{"v":1,"op":"pause","job":"x"}"#,
             r#"made-here Pause { jobs: Named([JobName("x")]), reason: None, until: None } "#),
            (r#"{"v":1,"op":"pause","args":{"jobs":["x","y"],"reason":"r","until":"2026-11-22T10:00:00+08:00"}}"#,
             r#"made-here Pause { jobs: Named([JobName("x"), JobName("y")]), reason: Some("r"), until: Some(2026-11-22T02:00:00Z) } "#),
            (r#"{"v":1,"op":"resume","args":{"all":true}}"#, "made-here Resume { jobs: All } "),
            (r#"{"v":1,"op":"skip_next","job":"x","args":{"reason":""}}"#,
             r#"made-here SkipNext { jobs: Named([JobName("x")]), reason: None } "#),
            (r#"{"v":1,"op":"skip_next","job":"x","args":{"until":"2026-11-22T10:00:00Z"}}"#,
             "E0400: `args.until` does nothing in `skip_next`"),
            (r#"{"v":1,"op":"resume","job":"x","args":{"all":true}}"#,
             "E0400: `resume` needs one of `job`, `args.jobs`, `args.group` and `args.all`"),
            (r#"{"v":1,"op":"pause","job":"x","args":{"reason":"a\nb"}}"#,
             "E0400: `args.reason` is not a text of at most 300 bytes"),
            (r#"{"v":1,"op":"backfill","job":"x"}"#, "E0405: `backfill` is not supported yet"),
            (r#"{"v":1,"op":"x\u001b"}"#, "E0405: `x\\u{1b}` is no operation"),
            (r#"{"v":1,"op":"ping","actor":"\n"}"#,
             "E0400: `actor` is not a text of at most 256 bytes"),
            ("not json", "E0400: not a request: expected ident at line 1 column 2"),
            ("", "E0400: not a request: EOF while parsing a value at line 1 column 0"),
        ];
        for (text, expected) in table {
            assert_eq!(read(text), expected, "{text}");
        }
        assert_eq!(read(&"x".repeat(70_000)), "E0413: the request is too large");
    }
}
