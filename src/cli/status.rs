//! `status`: how the daemon is, on one screen.

use clap::Args;

use crate::cli::Session;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::{Look, Shape};
use crate::cli::table::{Cell, Page, Paint, columns, plain};
use crate::io::http::documents::status::{RunningEntry, StatusDocument};

/// Arguments of `status`.
#[derive(Debug, Args)]
#[command(
    before_help = "Examples:\n  cronwright status\n  cronwright status --probe && echo healthy"
)]
pub(super) struct StatusArgs {
    /// Print nothing: the exit code is the answer (0 healthy, 1 degraded, 4 no daemon).
    #[arg(long)]
    probe: bool,
}

pub(super) async fn status(args: StatusArgs, session: Session) -> Result<Exit, Failure> {
    let document = session.client.get("/api/v1/status").await?;
    let status: StatusDocument = document.read()?;
    if !args.probe {
        session.output.document(&document, Shape { list: None, name: "/node" }, table)?;
    }
    Ok(if status.health == "healthy" { Exit::Done } else { Exit::No })
}

fn table(status: &StatusDocument, look: &Look) -> String {
    let mut page = Page::default();
    let health = Paint::of(&status.health).on(&plain(&status.health), look.colour);
    let started = status.started_at.as_ref().map(|at| look.clock.relative(at));
    let started = started.map(|ago| format!(", started {ago}")).unwrap_or_default();
    let (version, node, role) = (plain(&status.version), plain(&status.node), plain(&status.role));
    let pid = status.pid;
    page.line(format!(
        "{health}  cronwright {version}, node {node}, {role}, process {pid}{started}"
    ));
    for problem in &status.problems {
        page.line(format!("  {} {}", Paint::Bad.on("!", look.colour), plain(problem)));
    }
    let facts = [
        ("store", connection(Some(&status.store.url), status.store.connected)),
        ("redis", connection(status.redis.url.as_deref(), status.redis.connected)),
        ("sync", sync(status)),
        ("jobs", jobs(status, look)),
        ("zones", status.tzdb.clone()),
        ("failed", format!("{} in 24 h", status.failed_24h)),
        ("running", running_count(status)),
    ];
    for (name, value) in facts {
        page.line(format!("{name:<8} {}", plain(&value)));
    }
    if !status.running.is_empty() {
        page.indented(&running(status, look));
    }
    page.text()
}

fn running_count(status: &StatusDocument) -> String {
    let running = status.running.len();
    match status.queued {
        0 => running.to_string(),
        queued => format!("{running}, {queued} queued"),
    }
}

fn running(status: &StatusDocument, look: &Look) -> String {
    let row = |running: &RunningEntry| {
        vec![
            running.job.as_str().into(),
            Cell::maybe(running.started_at.as_ref().map(|at| look.clock.relative(at))),
            running.node.as_str().into(),
            running.execution_id.as_str().into(),
        ]
    };
    let rows: Vec<Vec<Cell>> = status.running.iter().map(row).collect();
    columns(&["JOB", "STARTED", "NODE", "ID"], &rows, look.colour)
}

fn connection(url: Option<&str>, connected: bool) -> String {
    match (url, connected) {
        (None, _) => "not set".to_owned(),
        (Some(url), true) => url.to_owned(),
        (Some(url), false) => format!("{url} does not answer"),
    }
}

fn sync(status: &StatusDocument) -> String {
    let sync = &status.sync;
    let applied = sync.applied.as_deref().unwrap_or("nothing");
    let in_part = if sync.applied_in_part { " in part" } else { "" };
    match sync.attempted.as_deref() {
        Some(attempted) if attempted != applied => {
            format!("{}, revision {applied} applied{in_part}, {attempted} read", sync.state)
        }
        Some(_) | None => format!("{}, revision {applied} applied{in_part}", sync.state),
    }
}

fn jobs(status: &StatusDocument, look: &Look) -> String {
    let jobs = &status.jobs;
    let mut parts = vec![jobs.total.to_string()];
    for (count, what) in
        [(jobs.disabled, "disabled"), (jobs.paused, "paused"), (jobs.stale, "stale")]
    {
        if count > 0 {
            parts.push(format!("{count} {what}"));
        }
    }
    let counts = parts.join(", ");
    match (&jobs.next_fire_at, &jobs.next_job) {
        (Some(at), Some(job)) => {
            let (time, relative) = (look.clock.time(at), look.clock.relative(at));
            format!("{counts}; next {job} {time} ({relative})")
        }
        (None, _) | (_, None) => counts,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::output::tests::look;
    use crate::io::http::documents::status::SyncEntry;

    #[test]
    fn the_daemon_is_told_on_one_screen() {
        let document = serde_json::json!({
            "schema": "cronwright.status/v1", "health": "degraded", "role": "leader", "node": "host-1",
            "problems": ["1 manifest is invalid"], "version": "0.1.0", "pid": 4711,
            "started_at": "2026-11-22T10:00:00+00:00",
            "store": {"url": "sqlite:.cronwright/cronwright.db", "connected": true},
            "redis": {"url": "redis://127.0.0.1/0", "connected": false},
            "sync": {"state": "degraded", "applied": "51de0b7", "attempted": "8f3c2a1"},
            "tzdb": "2026f, bundled",
            "jobs": {"total": 212, "disabled": 3, "paused": 2, "stale": 1, "next_job": "pg-dump",
                     "next_fire_at": "2026-11-23T00:00:00+08:00"},
            "running": [{"execution_id": "0193b2c4-7d1e", "job": "etl", "node": "host-1",
                         "started_at": "2026-11-22T20:59:31+08:00"}],
            "queued": 3,
            "failed_24h": 2,
        });
        let status: StatusDocument = serde_json::from_value(document).unwrap();
        assert_eq!(
            table(&status, &look()),
            "degraded  cronwright 0.1.0, node host-1, leader, process 4711, started 3 h ago\n  \
               ! 1 manifest is invalid\n\
             store    sqlite:.cronwright/cronwright.db\n\
             redis    redis://127.0.0.1/0 does not answer\n\
             sync     degraded, revision 51de0b7 applied, 8f3c2a1 read\n\
             jobs     212, 3 disabled, 2 paused, 1 stale; next pg-dump 2026-11-23 00:00:00 +08:00 (in 3 h)\n\
             zones    2026f, bundled\n\
             failed   2 in 24 h\n\
             running  1, 3 queued\n  \
               JOB  STARTED   NODE    ID\n  \
               etl  29 s ago  host-1  0193b2c4-7d1e\n"
        );
        let whole = SyncEntry { attempted: status.sync.applied.clone(), ..status.sync.clone() };
        let mut status = StatusDocument { sync: whole, ..status };
        assert_eq!(sync(&status), "degraded, revision 51de0b7 applied");
        status.sync.applied_in_part = true;
        assert_eq!(sync(&status), "degraded, revision 51de0b7 applied in part");
    }
}
