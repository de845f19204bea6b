//! `next`: coming fire times: of jobs, as the daemon knows them, else as the manifests say; or of a cron
//! expression.

use std::sync::Arc;

use clap::Args;

use crate::cli::client::path;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::{Document, Look, Output, Shape};
use crate::cli::table::{Cell, columns};
use crate::cli::validate::{snapshot, surroundings};
use crate::cli::{Global, Session};
use crate::daemon::api::coming;
use crate::diagnostic::render::{Colour, render};
use crate::diagnostic::report::Report;
use crate::diagnostic::{Diagnostic, Place, SourceText, codes, quoted};
use crate::engine::plan::{AppliedJob, Change, Owner};
use crate::engine::scheduler::preview;
use crate::io::http::documents::at_in;
use crate::io::http::documents::jobs::{FireEntry, NextDocument};
use crate::spec::manifest::load;
use crate::spec::trigger::{CronError, CronExpr, CronTrigger, DayMatch, Dialect};
use crate::time::{Timestamp, Zone};

/// Arguments of `next`.
#[derive(Debug, Args)]
#[command(before_help = "Examples:\n  cronwright next\n  cronwright next backup -n 3 --utc\n  \
    cronwright next --cron '30 2 * * mon-fri' --timezone Asia/Shanghai")]
pub(super) struct NextArgs {
    /// Fire times of this job; without it, of all jobs.
    name: Option<String>,
    /// Fire times of this expression, in `--timezone` (else UTC); asks no daemon.
    #[arg(long, value_name = "EXPRESSION", conflicts_with = "name")]
    cron: Option<String>,
    /// How the expression is read.
    #[arg(long, value_name = "DIALECT", requires = "cron", default_value = "standard",
          value_parser = Dialect::ALL.map(Dialect::as_str))]
    dialect: String,
    /// Whether day and weekday, both given, must both match.
    #[arg(long, value_name = "RULE", requires = "cron", default_value = "any",
          value_parser = DayMatch::ALL.map(DayMatch::as_str))]
    day_match: String,
    /// Fire times after this, RFC 3339; without it, after now.
    #[arg(long, value_name = "TIME", requires = "cron")]
    from: Option<Timestamp>,
    /// How many.
    #[arg(short = 'n', default_value_t = 10, value_name = "COUNT",
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    count: u32,
}

pub(super) async fn next(
    args: NextArgs,
    global: &Global,
    session: Session,
) -> Result<Exit, Failure> {
    let document = match &args.cron {
        Some(text) => match of_expression(text, &args, &session) {
            Ok(document) => Document::of(&document)?,
            Err(error) => return refused(text, error, &session.output),
        },
        None => of_jobs(&args, global, &session).await?,
    };
    let shape = Shape { list: Some("fires"), name: "/at" };
    session.output.document(&document, shape, table)?;
    Ok(Exit::Done)
}

/// Asks the daemon; where none answers, looks into the manifests.
async fn of_jobs(args: &NextArgs, global: &Global, session: &Session) -> Result<Document, Failure> {
    let parameters = [("job", args.name.clone()), ("n", Some(args.count.to_string()))];
    match session.client.get(&path("/api/v1/next", &parameters)).await {
        Err(failure) if failure.exit == Exit::Unreachable => {
            session
                .output
                .note("no daemon answers: these are the fire times that the manifests say");
            Document::of(&of_manifests(args, global, session.output.clock.now)?)
        }
        answer => answer,
    }
}

fn of_manifests(args: &NextArgs, global: &Global, now: Timestamp) -> Result<NextDocument, Failure> {
    let (sources, known, _) = surroundings(global)?;
    let loaded = load(&snapshot(sources)?.manifests(), &known);
    let wanted = |name: &str| args.name.as_ref().is_none_or(|wanted| wanted == name);
    let declared = loaded.jobs.into_values().filter(|job| wanted(job.spec.name.as_str()));
    // What is new now counts from now on: an interval without an anchor begins here.
    let applied = |to| preview(now, &Change::Create { to, owner: Owner::source("") });
    let jobs: Vec<AppliedJob> = declared.filter_map(applied).collect();
    if let (true, Some(name)) = (jobs.is_empty(), &args.name) {
        let message = format!("no valid manifest declares {}", quoted(name));
        return Err(Failure::new(Exit::NotFound, message)
            .help("`cronwright validate` says what is wrong with them"));
    }
    let fires = coming(&jobs, now, args.count as usize);
    Ok(NextDocument { schema: NextDocument::SCHEMA.to_owned(), timezone: None, fires })
}

fn of_expression(
    text: &str,
    args: &NextArgs,
    session: &Session,
) -> Result<NextDocument, CronError> {
    let zone = session.output.clock.zone.clone().unwrap_or_else(Zone::utc);
    // The words were checked when they were read.
    let dialect = Dialect::parse(&args.dialect).unwrap_or(Dialect::Standard);
    let day_match = DayMatch::parse(&args.day_match).unwrap_or(DayMatch::Any);
    let expr = CronExpr::parse_matching(text, dialect, day_match)?;
    let trigger = CronTrigger::new(expr, zone.clone());
    let from = args.from.unwrap_or(session.output.clock.now);
    let fires = std::iter::successors(trigger.next_after(from), |last| trigger.next_after(*last));
    let entry = |at| FireEntry { job: None, at: at_in(&zone, at), starts_at: at_in(&zone, at) };
    Ok(NextDocument {
        schema: NextDocument::SCHEMA.to_owned(),
        timezone: Some(zone.name().to_owned()),
        fires: fires.take(args.count as usize).map(entry).collect(),
    })
}

/// Says what is wrong with an expression, as `validate` would.
fn refused(text: &str, error: CronError, output: &Output) -> Result<Exit, Failure> {
    let source = Arc::new(SourceText::new("--cron", text));
    let message = format!("{} is not a cron expression", quoted(text));
    let mut diagnostic = Diagnostic::new(codes::BAD_CRON, message)
        .at(Place::new(&source, error.start, error.end))
        .label(error.message);
    diagnostic.help = error.help;
    let shape = Shape { list: Some("diagnostics"), name: "/code" };
    let report = Document::of(&Report::new(0, 0, std::slice::from_ref(&diagnostic)))?;
    let colour = if output.colour { Colour::Ansi } else { Colour::Plain };
    output.document(&report, shape, |_: &serde_json::Value, _| render(&diagnostic, colour))?;
    Ok(Exit::No)
}

fn table(document: &NextDocument, look: &Look) -> String {
    if document.fires.is_empty() {
        return "no coming fire times\n".to_owned();
    }
    let row = |fire: &FireEntry| {
        vec![
            look.clock.time(&fire.at).into(),
            look.clock.relative(&fire.at).into(),
            Cell::maybe(fire.job.clone()),
        ]
    };
    let rows: Vec<Vec<Cell>> = document.fires.iter().map(row).collect();
    columns(&[&look.clock.heading("NEXT"), "", "JOB"], &rows, look.colour)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::output::tests::look;

    #[test]
    fn fire_times_are_told_with_how_far_away_they_are() {
        let document = serde_json::json!({
            "schema": "cronwright.next/v1", "timezone": null,
            "fires": [
                {"job": "a", "at": "2026-11-22T13:00:05+00:00", "starts_at": "2026-11-22T13:00:05+00:00"},
                {"job": "b", "at": "2026-11-23T03:00:00+08:00", "starts_at": "2026-11-23T03:00:00+08:00"},
            ],
        });
        let document: NextDocument = serde_json::from_value(document).unwrap();
        assert_eq!(
            table(&document, &look()),
            "NEXT                                JOB\n\
             2026-11-22 13:00:05 +00:00  in 5 s  a\n\
             2026-11-23 03:00:00 +08:00  in 6 h  b\n"
        );
    }
}
