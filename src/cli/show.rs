//! `show`: one job, whole.

use clap::Args;

use crate::cli::client::encoded;
use crate::cli::exit::{Exit, Failure};
use crate::cli::list::schedule;
use crate::cli::output::{Look, Shape};
use crate::cli::table::{Page, Paint, plain};
use crate::cli::{Session, history};
use crate::io::http::documents::jobs::{JobDocument, JobEntry};

/// Arguments of `show`.
#[derive(Debug, Args)]
#[command(before_help = "Examples:\n  cronwright show backup\n  cronwright show backup -o json")]
pub(super) struct ShowArgs {
    /// The job.
    name: String,
}

/// What is said of a job whose manifest cannot be used.
const STALE: &str = " (its manifest is invalid: this is the last good definition)";

pub(super) async fn show(args: ShowArgs, session: Session) -> Result<Exit, Failure> {
    let path = format!("/api/v1/jobs/{}", encoded(&args.name));
    let document = session.client.get(&path).await?;
    session.output.document(&document, Shape { list: None, name: "/job/name" }, table)?;
    Ok(Exit::Done)
}

fn table(document: &JobDocument, look: &Look) -> String {
    let job = &document.job;
    let heading = |text: &str| Paint::Bold.on(text, look.colour);
    let mut page = Page::default();
    let state = Paint::of(&job.state).on(&plain(&job.state), look.colour);
    let warning = if job.stale { STALE } else { "" };
    page.line(format!("{}  {state}{warning}", heading(&plain(&job.name))));
    page.indented(&job.description.as_deref().map(plain).unwrap_or_default());
    for note in said(job, look) {
        page.line(format!("  {} {}", Paint::Notice.on("!", look.colour), plain(&note)));
    }
    let place = format!("{}:{}", job.source.file, job.source.line);
    let facts = [
        ("schedule", schedule(&job.schedule)),
        ("timezone", job.timezone.clone().unwrap_or_else(|| "-".to_owned())),
        ("source", format!("{place} at revision {}", document.revision)),
        ("since", look.clock.time(&document.effective_at)),
        ("owner", job.owner.clone()),
        ("uid", document.uid.clone()),
        ("digest", document.digest.clone()),
    ];
    for (name, value) in facts {
        page.line(format!("  {name:<9} {}", plain(&value)));
    }
    page.line(format!("\n{}", heading("definition")));
    for line in serde_yaml::to_string(&document.spec).unwrap_or_default().lines() {
        page.line(format!("  {}", plain(line)));
    }
    page.line(format!("\n{}", heading(&look.clock.heading("next fires"))));
    for (index, at) in document.next.iter().enumerate() {
        let starts = document.next_starts.get(index).filter(|starts| *starts != at);
        let starts = starts.map(|starts| format!("  starts {}", look.clock.time(starts)));
        let (due, relative) = (look.clock.time(at), look.clock.relative(at));
        let skipped = document.next_skipped.get(index).cloned().flatten();
        let skipped = skipped.map(|why| format!("  skipped ({})", plain(&why)));
        let (starts, skipped) = (starts.unwrap_or_default(), skipped.unwrap_or_default());
        page.line(format!("  {due}  {relative}{starts}{skipped}"));
    }
    if document.next.is_empty() {
        page.line("  none");
    }
    page.line(format!("\n{}", heading("last executions")));
    if document.executions.is_empty() {
        page.line("  none");
    } else {
        page.indented(&history::rows(&document.executions, look));
    }
    page.text()
}

/// What operators have said about a job, in sentences.
fn said(job: &JobEntry, look: &Look) -> Vec<String> {
    let why = |reason: &Option<String>| {
        reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default()
    };
    let pause = job.pause.as_ref().map(|pause| {
        let (since, why) = (look.clock.time(&pause.since), why(&pause.reason));
        let until = pause.until.as_ref().map(|until| format!(" until {}", look.clock.time(until)));
        format!("paused by {} since {since}{}{why}", pause.by, until.unwrap_or_default())
    });
    let skip = job.skip_next.as_ref().map(|skip| {
        let fire_time = skip.fire_time.as_ref().map(|at| look.clock.time(at));
        let fire_time = fire_time.unwrap_or_else(|| "its next fire time".to_owned());
        format!("{fire_time} is skipped by {}{}", skip.by, why(&skip.reason))
    });
    pause.into_iter().chain(skip).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::history::tests::EXECUTIONS;
    use crate::cli::output::tests::look;

    #[test]
    fn a_job_is_shown_whole() {
        let executions: serde_json::Value = serde_json::from_str(EXECUTIONS).unwrap();
        let document = serde_json::json!({
            "schema": "cronwright.job/v1",
            "job": {
                "name": "etl", "state": "scheduled", "stale": true, "owner": "file:jobs.d",
                "source": {"file": "jobs.d/b.toml", "line": 1},
                "next_fire_at": "2026-11-22T22:30:00+08:00", "last": null,
                "schedule": ["cron 30 * * * * Asia/Shanghai"], "timezone": "Asia/Shanghai",
                "description": "loads\u{1b}[2J",
                "pause": {"by": "li.wei", "since": "2026-11-22T08:00:00+08:00", "reason": "vendor down",
                          "until": "2026-11-22T23:00:00+08:00"},
                "skip_next": {"by": "zoe", "since": "2026-11-22T08:00:00+08:00", "reason": null,
                              "fire_time": "2026-11-22T23:30:00+08:00"},
            },
            "uid": "etl-1", "digest": "ab12", "revision": "8f3c2a1",
            "effective_at": "2026-11-20T08:00:00+08:00",
            "spec": {"command": ["/bin/true"], "cron": "30 * * * *"},
            "next": ["2026-11-22T22:30:00+08:00", "2026-11-22T23:30:00+08:00"],
            "next_skipped": ["paused", "skip_next"],
            "next_starts": ["2026-11-22T22:30:00+08:00", "2026-11-22T23:34:10+08:00"],
            "executions": [executions[1]],
        });
        let document: JobDocument = serde_json::from_value(document).unwrap();
        assert_eq!(
            table(&document, &look()),
            "etl  scheduled (its manifest is invalid: this is the last good definition)\n  \
               loads\\u{1b}[2J\n  \
               ! paused by li.wei since 2026-11-22 08:00:00 +08:00 until 2026-11-22 23:00:00 +08:00: vendor down\n  \
               ! 2026-11-22 23:30:00 +08:00 is skipped by zoe\n  \
               schedule  cron 30 * * * * Asia/Shanghai\n  \
               timezone  Asia/Shanghai\n  \
               source    jobs.d/b.toml:1 at revision 8f3c2a1\n  \
               since     2026-11-20 08:00:00 +08:00\n  \
               owner     file:jobs.d\n  \
               uid       etl-1\n  \
               digest    ab12\n\
             \ndefinition\n  \
               command:\n  \
               - /bin/true\n  \
               cron: 30 * * * *\n\
             \nnext fires\n  \
               2026-11-22 22:30:00 +08:00  in 1 h 30 m  skipped (paused)\n  \
               2026-11-22 23:30:00 +08:00  in 2 h 30 m  starts 2026-11-22 23:34:10 +08:00  skipped (skip_next)\n\
             \nlast executions\n  \
               DUE                         JOB  OUTCOME        DURATION  CAUSE    ID\n  \
               2026-11-22 18:30:00 +08:00  etl  failed (exit)  3.008 s   trigger  etl-1@2026-11-22T18:30:00Z\n"
        );
    }
}
