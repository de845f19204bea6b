//! What an envelope asks for.
//!
//! Nothing is ignored: an argument that is accepted and does nothing is a defect.

use std::sync::Arc;

use chrono::TimeDelta;
use serde_json::{Map, json};

use crate::engine::declaration::Wish;
use crate::engine::execution::ExecutionId;
use crate::engine::overrides::REASON_BYTES_MAX;
use crate::engine::request::{
    Act, CancelTarget, Op, OverrideChange, Query, Refusal, Request, RequestId, RequestIdError,
    Selection,
};
use crate::io::http::documents::request::{
    ArgsDocument, ENVELOPE_VERSION, Envelope, RequestDocument, refusal,
};
use crate::spec::job::{JobName, JobNameError};
use crate::time::Timestamp;

/// A manifest in JSON.
type Manifest = Arc<[u8]>;

/// The longest actor, in bytes.
const ACTOR_BYTES_MAX: usize = 256;
/// The longest idempotency key, in bytes.
const KEY_BYTES_MAX: usize = 128;
/// How many hexadecimal digits of its digest name the effect of a key.
const KEY_DIGITS: usize = 32;
/// The operations.
const OPS: &str = "`run`, `cancel`, `pause`, `resume`, `skip_next`, `add`, `update`, `remove`, `has`, `get`, \
                   `list`, `running`, `history`, `sync` and `ping`";

impl RequestDocument {
    /// What the document asks for.
    pub(super) fn meant(self, fallback_id: &str) -> Result<Envelope, Refusal> {
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
        let effect = self.effect(&id)?;
        let request = Request { id: effect, op, actor: self.actor };
        let (reply_to, issued_at, expires_at) = (self.reply_to, self.issued_at, self.expires_at);
        Ok(Envelope { request, asked_as: id, reply_to, issued_at, expires_at })
    }

    /// The id of the effect: the same for all requests with one key about one job.
    fn effect(&self, id: &RequestId) -> Result<RequestId, Refusal> {
        let Some(key) = &self.idempotency_key else { return Ok(id.clone()) };
        if key.is_empty() || key.len() > KEY_BYTES_MAX || key.chars().any(char::is_control) {
            let message = format!("`idempotency_key` is not a text of 1 to {KEY_BYTES_MAX} bytes");
            return Err(refusal(
                "E0400",
                message,
                "name what the request is about in one short line",
            ));
        }
        let mut hash = blake3::Hasher::new();
        for part in [self.op.as_str(), self.job.as_deref().unwrap_or_default(), key] {
            hash.update(part.as_bytes()).update(&[0xff]);
        }
        let digest = hash.finalize().to_hex();
        let named = RequestId::parse(&format!("key-{}", &digest[..KEY_DIGITS]));
        Ok(named.unwrap_or_else(|_| id.clone()))
    }

    fn op(&self) -> Result<Op, Refusal> {
        let ArgsDocument { params, wait, force, group, limit, .. } = &self.args;
        let dry_run = self.dry_run;
        match self.op.as_str() {
            "run" => {
                self.takes(&["job", "args.params", "args.wait", "dry_run", "idempotency_key"])?;
                let (job, params) = (self.job()?, params.clone());
                Ok(Op::Act(Act::Run { job, params, wait: *wait, dry_run }))
            }
            "cancel" => {
                let target = if let Some(id) = self.execution() {
                    self.takes(&["args.execution_id", "args.force"])?;
                    CancelTarget::Execution(id)
                } else {
                    self.takes(&["job", "args.force"])?;
                    CancelTarget::Job(self.job()?)
                };
                Ok(Op::Act(Act::Cancel { target, force: *force }))
            }
            "pause" | "resume" | "skip_next" => self.override_change(),
            "add" => self.declares(Wish::Add),
            "update" => self.declares(Wish::Update),
            "remove" => {
                self.takes(&["job", "dry_run", "idempotency_key"])?;
                Ok(Op::Declare { job: self.job()?, wish: Wish::Remove, dry_run })
            }
            "has" => self.takes(&["job"]).and_then(|()| Ok(Op::Ask(Query::Has(self.job()?)))),
            "get" => self.takes(&["job"]).and_then(|()| Ok(Op::Ask(Query::Get(self.job()?)))),
            "list" => {
                self.takes(&["args.group"])?;
                Ok(Op::Ask(Query::List { group: group.clone() }))
            }
            "running" => {
                self.takes(&["job"])?;
                Ok(Op::Ask(Query::Running { job: self.named_job()? }))
            }
            "history" => {
                if let Some(id) = self.execution() {
                    self.takes(&["args.execution_id"])?;
                    return Ok(Op::Ask(Query::Outcome(id)));
                }
                self.takes(&["job", "args.limit"])?;
                Ok(Op::Ask(Query::History { job: self.named_job()?, limit: *limit }))
            }
            "sync" => self.takes(&[]).map(|()| Op::Sync),
            "ping" => self.takes(&[]).map(|()| Op::Ping),
            other => {
                let message = format!("`{}` is no operation", other.escape_debug());
                Err(refusal("E0405", message, &format!("this program knows {OPS}")))
            }
        }
    }

    fn override_change(&self) -> Result<Op, Refusal> {
        let which = ["job", "args.jobs", "args.group", "args.all", "idempotency_key"];
        let ArgsDocument { reason, until, .. } = &self.args;
        let takes = |more: &[&str]| self.takes(&[&which[..], more].concat());
        let change = match self.op.as_str() {
            "pause" => {
                takes(&["args.reason", "args.until"])?;
                let reason = checked_reason(reason.as_deref())?;
                let until = until.map(|until| cut_to_milliseconds(until.to_utc()));
                OverrideChange::Pause { reason, until }
            }
            "skip_next" => {
                takes(&["args.reason"])?;
                OverrideChange::SkipNext { reason: checked_reason(reason.as_deref())? }
            }
            _ => takes(&[]).map(|()| OverrideChange::Resume)?,
        };
        Ok(Op::Act(Act::Override { jobs: self.selection()?, change }))
    }

    /// The manifest of the one job that is sent.
    fn declares(&self, wish: fn(Manifest) -> Wish<Manifest>) -> Result<Op, Refusal> {
        self.takes(&["job", "args.spec", "dry_run", "idempotency_key"])?;
        let job = self.job()?;
        let Some(spec) = self.args.spec.as_ref().filter(|spec| spec.is_object()) else {
            let message = format!("`{}` needs `args.spec`, the job's keys", self.op);
            return Err(refusal("E0400", message, "write them as in a manifest"));
        };
        let jobs = Map::from_iter([(job.to_string(), spec.clone())]);
        let manifest = json!({ "jobs": jobs }).to_string().into_bytes();
        Ok(Op::Declare { job, wish: wish(manifest.into()), dry_run: self.dry_run })
    }

    fn execution(&self) -> Option<ExecutionId> {
        self.args.execution_id.as_deref().map(|id| ExecutionId(id.into()))
    }

    /// Refuses what is given and not among what the operation takes.
    fn takes(&self, known: &[&str]) -> Result<(), Refusal> {
        let ArgsDocument {
            params,
            wait,
            force,
            spec,
            limit,
            execution_id,
            jobs,
            group,
            all,
            reason,
            until,
        } = &self.args;
        let given = [
            ("job", self.job.is_some()),
            ("idempotency_key", self.idempotency_key.is_some()),
            ("dry_run", self.dry_run),
            ("args.params", !params.is_empty()),
            ("args.wait", *wait),
            ("args.force", *force),
            ("args.spec", spec.is_some()),
            ("args.limit", limit.is_some()),
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

    fn named_job(&self) -> Result<Option<JobName>, Refusal> {
        self.job.as_deref().map(job_name).transpose()
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
    #[expect(clippy::too_many_lines, reason = "a table")]
    fn envelopes_mean_what_they_say_and_nothing_is_ignored() {
        #[rustfmt::skip]
        let table = [
            (r#"{"v":1,"op":"run","job":"etl","id":"7","actor":"li"}"#,
             r#"7 Act(Run { job: JobName("etl"), params: {}, wait: false, dry_run: false }) li"#),
            (r#"{"v":1,"op":"run","job":"etl","args":{"wait":true}}"#,
             r#"made-here Act(Run { job: JobName("etl"), params: {}, wait: true, dry_run: false }) "#),
            (r#"{"v":1,"op":"cancel","job":"etl"}"#,
             r#"made-here Act(Cancel { target: Job(JobName("etl")), force: false }) "#),
            (r#"{"v":1,"op":"cancel","args":{"execution_id":"e@1","force":true}}"#,
             r#"made-here Act(Cancel { target: Execution(ExecutionId("e@1")), force: true }) "#),
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
             r#"made-here Act(Run { job: JobName("x"), params: {"rows": Number(5)}, wait: false, dry_run: false }) "#),
            (r#"{"v":1,"op":"run","job":"x","args":{"parms":{}}}"#,
             "E0400: not a request: unknown field `parms`, expected one of `params`, `wait`, `force`, `spec`, `limit`, `execution_id`, `jobs`, `group`, `all`, `reason`, `until` at line 1 column 43"),
            (r#"{"v":1,"op":"pause","job":"x","args":{"params":{"a":1}}}"#,
             "E0400: `args.params` does nothing in `pause`"),
            (r#"{"v":1,"op":"pause","job":"x"}"#,
             r#"made-here Act(Override { jobs: Named([JobName("x")]), change: Pause { reason: None, until: None } }) "#),
            (r#"{"v":1,"op":"pause","args":{"jobs":["x","y"],"reason":"r","until":"2026-11-22T10:00:00+08:00"}}"#,
             r#"made-here Act(Override { jobs: Named([JobName("x"), JobName("y")]), change: Pause { reason: Some("r"), until: Some(2026-11-22T02:00:00Z) } }) "#),
            (r#"{"v":1,"op":"resume","args":{"all":true}}"#, "made-here Act(Override { jobs: All, change: Resume }) "),
            (r#"{"v":1,"op":"skip_next","job":"x","args":{"reason":""}}"#,
             r#"made-here Act(Override { jobs: Named([JobName("x")]), change: SkipNext { reason: None } }) "#),
            (r#"{"v":1,"op":"skip_next","job":"x","args":{"until":"2026-11-22T10:00:00Z"}}"#,
             "E0400: `args.until` does nothing in `skip_next`"),
            (r#"{"v":1,"op":"resume","job":"x","args":{"all":true}}"#,
             "E0400: `resume` needs one of `job`, `args.jobs`, `args.group` and `args.all`"),
            (r#"{"v":1,"op":"pause","job":"x","args":{"reason":"a\nb"}}"#,
             "E0400: `args.reason` is not a text of at most 300 bytes"),
            (r#"{"v":1,"op":"backfill","job":"x"}"#, "E0405: `backfill` is no operation"),
            (r#"{"v":1,"op":"run","job":"x","dry_run":true}"#,
             r#"made-here Act(Run { job: JobName("x"), params: {}, wait: false, dry_run: true }) "#),
            (r#"{"v":1,"op":"run","job":"x","idempotency_key":"order-4711"}"#,
             r#"key-cb0b638525f8045734b8005ed58f4d57 Act(Run { job: JobName("x"), params: {}, wait: false, dry_run: false }) "#),
            (r#"{"v":1,"op":"run","job":"x","idempotency_key":""}"#,
             "E0400: `idempotency_key` is not a text of 1 to 128 bytes"),
            (r#"{"v":1,"op":"list","idempotency_key":"k"}"#,
             "E0400: `idempotency_key` does nothing in `list`"),
            (r#"{"v":1,"op":"cancel","job":"x","dry_run":true}"#,
             "E0400: `dry_run` does nothing in `cancel`"),
            (r#"{"v":1,"op":"remove","job":"x"}"#,
             r#"made-here Declare { job: JobName("x"), wish: Remove, dry_run: false } "#),
            (r#"{"v":1,"op":"add","job":"x"}"#, "E0400: `add` needs `args.spec`, the job's keys"),
            (r#"{"v":1,"op":"add","job":"x","args":{"spec":[]}}"#,
             "E0400: `add` needs `args.spec`, the job's keys"),
            (r#"{"v":1,"op":"has","job":"x"}"#, r#"made-here Ask(Has(JobName("x"))) "#),
            (r#"{"v":1,"op":"list","args":{"group":"g"}}"#, r#"made-here Ask(List { group: Some("g") }) "#),
            (r#"{"v":1,"op":"history","args":{"limit":5}}"#,
             "made-here Ask(History { job: None, limit: Some(5) }) "),
            (r#"{"v":1,"op":"history","args":{"execution_id":"7"}}"#,
             r#"made-here Ask(Outcome(ExecutionId("7"))) "#),
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
