//! `list`: all jobs at a glance.

use clap::Args;

use crate::cli::client::path;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::{Look, Shape};
use crate::cli::table::{Cell, Paint, columns};
use crate::cli::{Session, times};
use crate::io::http::documents::jobs::{JobEntry, JobsDocument};

/// Arguments of `list`.
#[derive(Debug, Args)]
#[command(
    before_help = "Examples:\n  cronwright list\n  cronwright list -o name\n  cronwright list -o wide --utc\n  \
                   cronwright list --group etl --tag nightly --tag tier-1"
)]
pub(super) struct ListArgs {
    /// Jobs of this group.
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
    /// Jobs with this tag; given several times, or as a list with commas: with all of them.
    #[arg(long = "tag", value_name = "TAG", value_delimiter = ',')]
    tags: Vec<String>,
}

pub(super) async fn list(args: ListArgs, session: Session) -> Result<Exit, Failure> {
    let is_all = args.group.is_none() && args.tags.is_empty();
    let tags = args.tags.join(",");
    let parameters = [("group", args.group), ("tag", (!tags.is_empty()).then_some(tags))];
    let document = session.client.get(&path("/api/v1/jobs", &parameters)).await?;
    let shape = Shape { list: Some("jobs"), name: "/name" };
    session.output.document(&document, shape, |document: &JobsDocument, look| {
        if document.jobs.is_empty() && !is_all {
            return "no such jobs\n".to_owned();
        }
        table(document, look)
    })?;
    Ok(Exit::Done)
}

fn table(document: &JobsDocument, look: &Look) -> String {
    if document.jobs.is_empty() {
        return "no jobs: put a manifest into the source folder\n".to_owned();
    }
    let has_groups = document.jobs.iter().any(|job| job.group.is_some());
    let next = look.clock.heading("NEXT");
    let mut headings =
        vec!["NAME", "STATE", &next, "LEFT", "LAST", "OUTCOME", "DURATION", "SCHEDULE"];
    if has_groups {
        headings.insert(1, "GROUP");
    }
    if look.wide {
        headings.extend(["TAGS", "OWNER", "SOURCE"]);
    }
    let rows: Vec<Vec<Cell>> = document.jobs.iter().map(|job| row(job, has_groups, look)).collect();
    columns(&headings, &rows, look.colour)
}

fn row(job: &JobEntry, has_groups: bool, look: &Look) -> Vec<Cell> {
    let clock = &look.clock;
    let next = job.next_fire_at.as_ref();
    let last = job.last.as_ref();
    let state = if job.stale { format!("{}, stale", job.state) } else { job.state.clone() };
    let paint = Paint::of(if job.stale { "stale" } else { &job.state });
    let mut cells = vec![
        job.name.as_str().into(),
        Cell::painted(state, paint),
        Cell::maybe(next.map(|at| clock.time(at))),
        Cell::maybe(next.and_then(|at| clock.left(at))),
        Cell::maybe(last.map(|last| clock.relative(&last.fire_time))),
        Cell::word(last.and_then(|last| last.outcome.as_deref())),
        Cell::maybe(last.and_then(|last| last.duration_seconds).map(times::seconds)),
        schedule(&job.schedule).into(),
    ];
    if has_groups {
        cells.insert(1, Cell::maybe(job.group.clone()));
    }
    if look.wide {
        cells.push(Cell::maybe((!job.tags.is_empty()).then(|| job.tags.join(","))));
        cells.push(job.owner.as_str().into());
        cells.push(format!("{}:{}", job.source.file, job.source.line).into());
    }
    cells
}

/// The triggers of a job on one line.
pub(super) fn schedule(triggers: &[String]) -> String {
    if triggers.is_empty() { "on request".to_owned() } else { triggers.join("; ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::output::tests::{look, wide};

    const JOBS: &str = r#"{"schema":"cronwright.jobs/v1","jobs":[
        {"name":"backup","state":"scheduled","stale":false,"owner":"file:jobs.d",
         "source":{"file":"jobs.d/a.yaml","line":3},"next_fire_at":"2026-11-23T03:00:00+08:00",
         "last":{"fire_time":"2026-11-22T03:00:00+08:00","outcome":"succeeded","duration_seconds":3.25},
         "schedule":["cron 0 3 * * * Asia/Shanghai"]},
        {"name":"etl","state":"running","stale":true,"owner":"file:jobs.d",
         "source":{"file":"jobs.d/b.toml","line":1},"next_fire_at":null,
         "last":{"fire_time":"2026-11-22T20:59:30+08:00","outcome":null}}]}"#;

    #[test]
    fn jobs_are_listed_in_their_own_zone_or_in_the_one_asked_for() {
        let document: JobsDocument = serde_json::from_str(JOBS).unwrap();
        assert_eq!(
            table(&document, &look()),
            "NAME    STATE           NEXT                        LEFT  LAST      OUTCOME    DURATION  SCHEDULE\n\
             backup  scheduled       2026-11-23 03:00:00 +08:00  6 h   18 h ago  succeeded  3.25 s    cron 0 3 * * * Asia/Shanghai\n\
             etl     running, stale  -                           -     30 s ago  -          -         on request\n"
        );
        assert_eq!(
            table(&document, &wide()),
            "NAME    STATE           NEXT (UTC)           LEFT  LAST      OUTCOME    DURATION  SCHEDULE                      TAGS  OWNER        SOURCE\n\
             backup  scheduled       2026-11-22 19:00:00  6 h   18 h ago  succeeded  3.25 s    cron 0 3 * * * Asia/Shanghai  -     file:jobs.d  jobs.d/a.yaml:3\n\
             etl     running, stale  -                    -     30 s ago  -          -         on request                    -     file:jobs.d  jobs.d/b.toml:1\n"
        );
    }

    #[test]
    fn groups_have_a_column_when_there_are_some() {
        let text =
            JOBS.replacen(r#""stale":false"#, r#""stale":false,"group":"etl","tags":["a","b"]"#, 1);
        let document: JobsDocument = serde_json::from_str(&text).unwrap();
        assert_eq!(
            table(&document, &look()),
            "NAME    GROUP  STATE           NEXT                        LEFT  LAST      OUTCOME    DURATION  SCHEDULE\n\
             backup  etl    scheduled       2026-11-23 03:00:00 +08:00  6 h   18 h ago  succeeded  3.25 s    cron 0 3 * * * Asia/Shanghai\n\
             etl     -      running, stale  -                           -     30 s ago  -          -         on request\n"
        );
        assert!(table(&document, &wide()).contains("Asia/Shanghai  a,b   file:jobs.d"));
    }
}
