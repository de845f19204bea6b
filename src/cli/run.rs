//! `run`: runs a job now. The execution's id goes to stdout, all else to stderr.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::Args;
use serde_json::Value;

use crate::cli::client::{Client, encoded};
use crate::cli::exit::{Exit, Failure};
use crate::cli::follow::Follower;
use crate::cli::output::{Document, Look, Shape, print_to_stderr};
use crate::cli::table::plain;
use crate::cli::{Session, times};
use crate::diagnostic::quoted;
use crate::io::clock;
use crate::io::http::documents::executions::{ExecutionDocument, ExecutionEntry, RunDocument};
use crate::io::http::documents::request::{
    ArgsDocument, ENVELOPE_VERSION, ReplyDocument, RequestDocument,
};
use crate::time::parse_duration;

/// How often the daemon is asked about an execution that it no longer waits for.
const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// Arguments of `run`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("waits").args(["wait", "follow"]).multiple(true))]
#[command(
    before_help = "Examples:\n  cronwright run backup\n  cronwright run backup --wait --timeout 10m\n  cronwright run load --param day=2026-01-31"
)]
pub(super) struct RunArgs {
    /// The job.
    name: String,
    /// A value of one of the job's parameters, for example `day=2026-01-31`; once for each.
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = param)]
    params: Vec<(String, String)>,
    /// Wait until it has ended; exit 0 if it succeeded, 1 if not.
    #[arg(long)]
    wait: bool,
    /// Wait, and print meanwhile what it prints, to stderr.
    #[arg(long)]
    follow: bool,
    /// Wait at most so long, for example `10m`; then exit 124, and the execution goes on.
    #[arg(long, value_name = "DURATION", requires = "waits")]
    timeout: Option<String>,
}

pub(super) async fn run(args: RunArgs, session: Session) -> Result<Exit, Failure> {
    let timeout = args.timeout.as_deref().map(parse_duration).transpose();
    let timeout =
        timeout.map_err(|error| Failure::new(Exit::Usage, format!("--timeout: {error}")))?;
    let mut request = envelope("run");
    request.job = Some(args.name);
    request.args.params = given(args.params)?;
    let id = request.id.clone().unwrap_or_default();
    let reply: ReplyDocument = session.client.post("/api/v1/requests", &request).await?.read()?;
    if let Some(failure) = reply_failure(&reply) {
        return Err(failure);
    }
    if let Some(note) = reply.result.as_ref().and_then(|result| result.note.as_deref()) {
        session.output.note(&plain(note));
    }
    let id = reply.execution_id.unwrap_or(id);
    if !args.wait && !args.follow {
        return printed(&session, id, None).map(|()| Exit::Done);
    }
    session.output.note(&format!("waiting for {id}"));
    let limit = timeout.unwrap_or(Duration::MAX);
    let entry = async {
        if args.follow {
            Follower::new(false).expected().follow(&session.client, &id, print_to_stderr).await?;
        }
        ended(&session.client, &id).await
    };
    let Ok(entry) = tokio::time::timeout(limit, entry).await else {
        session.output.note(&format!("it has not ended yet; `cronwright cancel {id}` ends it"));
        return printed(&session, id, None).map(|()| Exit::TimedOut);
    };
    let entry = entry?;
    session.output.note(&told(&entry));
    let succeeded = entry.outcome.as_deref() == Some("succeeded");
    printed(&session, id, Some(entry))?;
    Ok(if succeeded { Exit::Done } else { Exit::No })
}

/// Reads `NAME=VALUE`.
pub(super) fn param(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        Some(_) | None => Err("write it as NAME=VALUE".to_owned()),
    }
}

/// Parameters as they are sent; each may be given once.
pub(super) fn given(params: Vec<(String, String)>) -> Result<BTreeMap<String, Value>, Failure> {
    let mut given = BTreeMap::new();
    for (name, value) in params {
        if given.insert(name.clone(), Value::String(value)).is_some() {
            let message = format!("--param: {} is given twice", quoted(&name));
            return Err(Failure::new(Exit::Usage, message));
        }
    }
    Ok(given)
}

/// An envelope with an id of its own, so that a request whose answer is lost is known again.
pub(super) fn envelope(op: &str) -> RequestDocument {
    RequestDocument {
        v: ENVELOPE_VERSION,
        id: Some(clock::unique_id()),
        op: op.to_owned(),
        job: None,
        args: ArgsDocument::default(),
        reply_to: None,
        idempotency_key: None,
        dry_run: false,
        issued_at: None,
        expires_at: None,
        actor: Some(actor()),
    }
}

/// Why a reply is a refusal.
pub(super) fn reply_failure(reply: &ReplyDocument) -> Option<Failure> {
    let error = reply.error.as_ref()?;
    let exit = if error.code == "E0404" { Exit::NotFound } else { Exit::Refused };
    Some(Failure {
        exit,
        code: Some(error.code.clone()),
        message: error.message.clone(),
        help: error.help.clone(),
    })
}

/// Asks about an execution until it has ended. A daemon that is being restarted is waited for.
async fn ended(client: &Client, id: &str) -> Result<ExecutionEntry, Failure> {
    let path = format!("/api/v1/executions/{}", encoded(id));
    loop {
        match client.get(&path).await {
            Ok(document) => {
                let entry = document.read::<ExecutionDocument>()?.execution;
                if entry.outcome.is_some() {
                    return Ok(entry);
                }
            }
            // Accepted, and its row not yet to be seen; or nobody there to ask.
            Err(failure) if matches!(failure.exit, Exit::NotFound | Exit::Unreachable) => {}
            Err(failure) => return Err(failure),
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

fn printed(session: &Session, id: String, entry: Option<ExecutionEntry>) -> Result<(), Failure> {
    let document = RunDocument {
        schema: RunDocument::SCHEMA.to_owned(),
        state: entry.as_ref().map_or("claimed", |entry| &entry.state).to_owned(),
        outcome: entry.and_then(|entry| entry.outcome),
        execution_id: id,
    };
    let shape = Shape { list: None, name: "/execution_id" };
    let table = |run: &RunDocument, _: &Look| format!("{}\n", plain(&run.execution_id));
    session.output.document(&Document::of(&document)?, shape, table)
}

/// How it ended, for people: `failed (exit) after 3 s, exit code 3`.
pub(super) fn told(entry: &ExecutionEntry) -> String {
    let outcome = entry.outcome.clone().unwrap_or_default();
    let reason = entry.reason.as_ref().map(|reason| format!(" ({reason})"));
    let length = entry.duration_seconds.map(|length| format!(" after {}", times::seconds(length)));
    let code = entry.exit_code.filter(|code| *code != 0).map(|code| format!(", exit code {code}"));
    let exception = entry.exception.as_ref().map(|exception| format!(": {}", exception.message));
    let parts = [Some(outcome), reason, length, code, exception];
    plain(&parts.into_iter().flatten().collect::<String>()).into_owned()
}

/// Who asks, for the row.
pub(super) fn actor() -> String {
    let name = ["LOGNAME", "USER"].into_iter().find_map(std::env::var_os);
    let name = name.and_then(|name| name.into_string().ok());
    let usable =
        name.filter(|n| !n.is_empty() && n.len() <= 64 && !n.chars().any(char::is_control));
    let uid = || format!("uid {}", rustix::process::getuid().as_raw());
    format!("cli:{}", usable.unwrap_or_else(uid))
}
