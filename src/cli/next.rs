//! `next`: coming fire times: of jobs, as the daemon knows them, else as the manifests say; or of a cron
//! expression.

use clap::Args;

use crate::cli::client::path;
use crate::cli::exit::{Exit, Failure};
use crate::cli::expression::{Reading, refused};
use crate::cli::here::Here;
use crate::cli::output::{Document, Look, Shape};
use crate::cli::table::{Cell, columns};
use crate::cli::times::Clock;
use crate::cli::validate::snapshot;
use crate::cli::{Global, Session};
use crate::daemon::api::{coming, common_zone};
use crate::diagnostic::quoted;
use crate::engine::overrides::Overrides;
use crate::engine::plan::{AppliedJob, Change, Owner};
use crate::engine::scheduler::preview;
use crate::io::http::documents::at_in;
use crate::io::http::documents::jobs::{FireEntry, NextDocument};
use crate::spec::manifest::load;
use crate::spec::trigger::CronTrigger;
use crate::time::{Timestamp, Zone, rfc3339};

/// Arguments of `next`.
#[derive(Debug, Args)]
#[command(before_help = "Examples:\n  cronwright next\n  cronwright next backup -n 3 --utc\n  \
    cronwright next --cron '30 2 * * mon-fri' --timezone Asia/Shanghai")]
pub(super) struct NextArgs {
    /// Fire times of these jobs; without any, of all jobs.
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Fire times of this expression, in `--timezone` (else UTC); asks no daemon.
    #[arg(long, value_name = "EXPRESSION", conflicts_with = "names")]
    cron: Option<String>,
    #[command(flatten)]
    reading: Reading,
    /// Fire times after this, RFC 3339; without it, after now.
    #[arg(long, value_name = "TIME")]
    from: Option<Timestamp>,
    /// Fire times before this, RFC 3339.
    #[arg(long, value_name = "TIME")]
    until: Option<Timestamp>,
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
        Some(text) => {
            let zone = session.output.clock.zone.clone().unwrap_or_else(Zone::utc);
            match args.reading.trigger(text, zone) {
                Ok(trigger) => Document::of(&of_trigger(&trigger, &args, &session))?,
                Err(error) => return refused("--cron", text, error, &session.output),
            }
        }
        None => of_jobs(&args, global, &session).await?,
    };
    let shape = Shape { list: Some("fires"), name: "/at" };
    session.output.document(&document, shape, table)?;
    Ok(Exit::Done)
}

/// Asks the daemon; where none answers, looks into the manifests.
async fn of_jobs(args: &NextArgs, global: &Global, session: &Session) -> Result<Document, Failure> {
    let names = args.names.join(",");
    let parameters = [
        ("job", (!names.is_empty()).then_some(names)),
        ("from", args.from.map(rfc3339)),
        ("until", args.until.map(rfc3339)),
        ("n", Some(args.count.to_string())),
    ];
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
    let Here { sources, known, .. } = Here::find(global)?;
    let loaded = load(&snapshot(sources)?.manifests(), &known);
    let wanted = |name: &str| args.names.is_empty() || args.names.iter().any(|one| one == name);
    let declared = loaded.jobs.into_values().filter(|job| wanted(job.spec.name.as_str()));
    // What is new now counts from now on: an interval without an anchor begins here.
    let applied = |to| preview(now, &Change::Create { to, owner: Owner::source("") });
    let jobs: Vec<AppliedJob> = declared.filter_map(applied).collect();
    let is_declared = |name: &&String| jobs.iter().any(|job| job.spec.name.as_str() == **name);
    if let Some(name) = args.names.iter().find(|name| !is_declared(name)) {
        let message = format!("no valid manifest declares {}", quoted(name));
        return Err(Failure::new(Exit::NotFound, message)
            .help("`cronwright validate` says what is wrong with them"));
    }
    // What operators have said is known to the daemon only.
    let (said, from) = (Overrides::new(), args.from.unwrap_or(now));
    let fires = coming(&jobs, &said, from, args.until, args.count as usize);
    let timezone = common_zone(&jobs);
    Ok(NextDocument { schema: NextDocument::SCHEMA.to_owned(), timezone, fires })
}

fn of_trigger(trigger: &CronTrigger, args: &NextArgs, session: &Session) -> NextDocument {
    let zone = &trigger.zone;
    let from = args.from.unwrap_or(session.output.clock.now);
    let fires = std::iter::successors(trigger.next_after(from), |last| trigger.next_after(*last))
        .take_while(|at| args.until.is_none_or(|until| *at < until));
    let entry = |at| FireEntry {
        job: None,
        at: at_in(zone, at),
        starts_at: at_in(zone, at),
        skipped: None,
    };
    NextDocument {
        schema: NextDocument::SCHEMA.to_owned(),
        timezone: Some(zone.name().to_owned()),
        fires: fires.take(args.count as usize).map(entry).collect(),
    }
}

fn table(document: &NextDocument, look: &Look) -> String {
    if document.fires.is_empty() {
        return "no coming fire times\n".to_owned();
    }
    let skips = document.fires.iter().any(|fire| fire.skipped.is_some());
    // Jitter moves the start away from the fire time; without it there is nothing more to say.
    let starts_later = document.fires.iter().any(|fire| fire.starts_at != fire.at);
    let row = |fire: &FireEntry| {
        let mut row: Vec<Cell> = vec![look.clock.time(&fire.at).into()];
        if starts_later {
            row.push(look.clock.time(&fire.starts_at).into());
        }
        row.extend([look.clock.relative(&fire.at).into(), Cell::maybe(fire.job.clone())]);
        if skips {
            row.push(Cell::word(Some(fire.skipped.as_deref().unwrap_or_default())));
        }
        row
    };
    let rows: Vec<Vec<Cell>> = document.fires.iter().map(row).collect();
    let next = heading(document, &look.clock);
    let starts = starts_later.then_some("STARTS");
    let skipped = skips.then_some("SKIPPED");
    let headings: Vec<&str> =
        [Some(&*next), starts, Some(""), Some("JOB"), skipped].into_iter().flatten().collect();
    columns(&headings, &rows, look.colour)
}

/// The zone stands in the heading when all times are in one.
fn heading(document: &NextDocument, clock: &Clock) -> String {
    match (&clock.zone, &document.timezone) {
        (None, Some(zone)) => format!("NEXT ({zone})"),
        (Some(_), _) | (None, None) => clock.heading("NEXT"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::output::tests::look;

    fn document(timezone: Option<&str>, starts: [&str; 2]) -> NextDocument {
        let document = serde_json::json!({
            "schema": "cronwright.next/v1", "timezone": timezone,
            "fires": [
                {"job": "a", "at": "2026-11-22T13:00:05+00:00", "starts_at": starts[0]},
                {"job": "b", "at": "2026-11-23T03:00:00+08:00", "starts_at": starts[1]},
            ],
        });
        serde_json::from_value(document).unwrap()
    }

    #[test]
    fn fire_times_are_told_with_how_far_away_they_are() {
        let document = document(None, ["2026-11-22T13:00:05+00:00", "2026-11-23T03:00:00+08:00"]);
        assert_eq!(
            table(&document, &look()),
            "NEXT                                JOB\n\
             2026-11-22 13:00:05 +00:00  in 5 s  a\n\
             2026-11-23 03:00:00 +08:00  in 6 h  b\n"
        );
    }

    #[test]
    fn what_operators_hold_back_is_marked() {
        let mut document =
            document(None, ["2026-11-22T13:00:05+00:00", "2026-11-23T03:00:00+08:00"]);
        document.fires[1].skipped = Some("paused".to_owned());
        assert_eq!(
            table(&document, &look()),
            "NEXT                                JOB  SKIPPED\n\
             2026-11-22 13:00:05 +00:00  in 5 s  a    \n\
             2026-11-23 03:00:00 +08:00  in 6 h  b    paused\n"
        );
    }

    #[test]
    fn start_times_stand_beside_fire_times_that_jitter_moves() {
        let starts = ["2026-11-22T13:00:05+00:00", "2026-11-23T03:00:17+08:00"];
        assert_eq!(
            table(&document(Some("Asia/Shanghai"), starts), &look()),
            "NEXT (Asia/Shanghai)        STARTS                              JOB\n\
             2026-11-22 13:00:05 +00:00  2026-11-22 13:00:05 +00:00  in 5 s  a\n\
             2026-11-23 03:00:00 +08:00  2026-11-23 03:00:17 +08:00  in 6 h  b\n"
        );
    }
}
