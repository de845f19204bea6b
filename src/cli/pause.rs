//! `pause`, `resume`: what operators say about jobs, beside their definitions.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use chrono::TimeDelta;
use clap::Args;

use crate::cli::Session;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::{Look, Shape};
use crate::cli::run::{envelope, reply_failure};
use crate::cli::table::plain;
use crate::io::http::documents::At;
use crate::io::http::documents::request::{ArgsDocument, ReplyDocument, RequestDocument};
use crate::time::parse_duration;

/// How many jobs are named one by one.
const NAMED_MAX: usize = 5;

/// Arguments of `pause`.
#[derive(Debug, Args)]
#[command(
    before_help = "Examples:\n  cronwright pause vendor-pull --for 2h --reason 'vendor API down'\n  \
    cronwright pause backup --next --reason 'disk is being replaced'\n  cronwright pause --group etl --until 2026-11-23T08:00:00+08:00"
)]
pub(super) struct PauseArgs {
    #[command(flatten)]
    jobs: JobsArgs,
    /// Skip the next fire time only.
    #[arg(long, conflicts_with_all = ["for", "until"])]
    next: bool,
    /// For so long, for example `2h`; without an end it lasts until `resume`.
    #[arg(long = "for", id = "for", value_name = "DURATION")]
    length: Option<String>,
    /// Until this time, RFC 3339 with offset.
    #[arg(long, conflicts_with = "for", value_name = "TIME")]
    until: Option<At>,
    /// Why, for those who wonder; on a terminal it is asked for.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

/// Arguments of `resume`.
#[derive(Debug, Args)]
#[command(before_help = "Examples:\n  cronwright resume vendor-pull\n  cronwright resume --all")]
pub(super) struct ResumeArgs {
    #[command(flatten)]
    jobs: JobsArgs,
}

/// Which jobs.
#[derive(Debug, Args)]
struct JobsArgs {
    /// The jobs.
    #[arg(value_name = "NAME", required_unless_present_any = ["group", "all"])]
    names: Vec<String>,
    /// The jobs of a group.
    #[arg(long, conflicts_with = "names", value_name = "GROUP")]
    group: Option<String>,
    /// All jobs.
    #[arg(long, conflicts_with_all = ["names", "group"])]
    all: bool,
}

pub(super) async fn pause(args: PauseArgs, session: Session) -> Result<Exit, Failure> {
    let until = match args.length.as_deref().map(parse_duration).transpose() {
        Ok(length) => length.map(|length| after(&session, length)).transpose()?.or(args.until),
        Err(error) => return Err(Failure::new(Exit::Usage, format!("--for: {error}"))),
    };
    let reason = match args.reason {
        Some(reason) => Some(reason),
        None => asked_reason(),
    };
    let op = if args.next { "skip_next" } else { "pause" };
    let said = if args.next { "skipping the next fire time of" } else { "paused" };
    let said = (said, until.map(|until| format!(" until {}", session.output.clock.time(&until))));
    let request = RequestDocument {
        args: ArgsDocument { reason, until, ..args.jobs.arguments() },
        ..envelope(op)
    };
    ask(&request, said, &session).await
}

pub(super) async fn resume(args: ResumeArgs, session: Session) -> Result<Exit, Failure> {
    let request = RequestDocument { args: args.jobs.arguments(), ..envelope("resume") };
    ask(&request, ("resumed", None), &session).await
}

impl JobsArgs {
    fn arguments(self) -> ArgsDocument {
        ArgsDocument {
            jobs: self.names,
            group: self.group,
            all: self.all,
            ..ArgsDocument::default()
        }
    }
}

/// Sends a change and tells what became of it.
async fn ask(
    request: &RequestDocument,
    (said, until): (&str, Option<String>),
    session: &Session,
) -> Result<Exit, Failure> {
    let document = session.client.post("/api/v1/requests", request).await?;
    let reply: ReplyDocument = document.read()?;
    if let Some(failure) = reply_failure(&reply) {
        return Err(failure);
    }
    if let Some(note) = reply.result.as_ref().and_then(|result| result.note.as_deref()) {
        session.output.note(&plain(note));
    }
    let shape = Shape { list: None, name: "/in_reply_to" };
    session.output.document(&document, shape, |reply: &ReplyDocument, _: &Look| {
        if reply.status == "accepted" {
            format!("{said} {}{}\n", named(&request.args), until.unwrap_or_default())
        } else {
            String::new()
        }
    })?;
    Ok(Exit::Done)
}

fn named(args: &ArgsDocument) -> String {
    if args.all {
        return "all jobs".to_owned();
    }
    if let Some(group) = &args.group {
        return format!("all jobs of the group {}", plain(group));
    }
    let more = args.jobs.len().saturating_sub(NAMED_MAX);
    let named: Vec<_> = args.jobs.iter().take(NAMED_MAX).map(|name| plain(name)).collect();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", named.join(", "))
}

fn after(session: &Session, length: std::time::Duration) -> Result<At, Failure> {
    let too_long = || Failure::new(Exit::Usage, "--for: it never ends; leave it out".to_owned());
    let length = TimeDelta::from_std(length).map_err(|_| too_long())?;
    let until = session.output.clock.now.checked_add_signed(length).ok_or_else(too_long)?;
    Ok(until.fixed_offset())
}

/// Asks for the reason, where somebody is there to ask; an empty line is none.
fn asked_reason() -> Option<String> {
    if !(std::io::stdin().is_terminal() && std::io::stderr().is_terminal()) {
        return None;
    }
    // Where even that cannot be written, nobody reads it.
    let mut stderr = std::io::stderr().lock();
    drop(write!(stderr, "reason: ").and_then(|()| stderr.flush()));
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).ok()?;
    Some(line.trim().to_owned()).filter(|line| !line.is_empty())
}
