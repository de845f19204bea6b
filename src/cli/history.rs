//! `history`: rows of the ledger.

use clap::Args;

use crate::cli::client::path;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::{Look, Shape};
use crate::cli::table::{Cell, Paint, columns};
use crate::cli::{Session, times};
use crate::io::http::documents::executions::{ExecutionEntry, ExecutionsDocument, ProtectionEntry};
use crate::time::{DurationText, parse_duration};

/// Arguments of `history`.
#[derive(Debug, Args)]
#[command(before_help = "Examples:\n  cronwright history backup\n  \
    cronwright history --last 24h --outcome failed,timed_out,lost\n  cronwright history -o jsonl --limit 1000")]
pub(super) struct HistoryArgs {
    /// Rows of this job.
    name: Option<String>,
    /// Due within this long, for example `7d`.
    #[arg(long, value_name = "DURATION")]
    last: Option<String>,
    /// With one of these outcomes.
    #[arg(long, value_name = "OUTCOME", value_delimiter = ',', value_parser = OUTCOMES)]
    outcome: Vec<String>,
    /// Of this revision.
    #[arg(long, value_name = "REVISION")]
    revision: Option<String>,
    /// At most so many, newest first.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
}

/// The words of outcomes.
const OUTCOMES: [&str; 7] =
    ["succeeded", "failed", "timed_out", "cancelled", "lost", "skipped", "missed"];

pub(super) async fn history(args: HistoryArgs, session: Session) -> Result<Exit, Failure> {
    let last = args.last.as_deref().map(parse_duration).transpose();
    let last = last.map_err(|error| Failure::new(Exit::Usage, format!("--last: {error}")))?;
    let outcomes = args.outcome.join(",");
    let parameters = [
        ("job", args.name),
        ("last", last.map(|length| DurationText(length).to_string())),
        ("outcome", (!outcomes.is_empty()).then_some(outcomes)),
        ("revision", args.revision),
        ("limit", Some(args.limit.to_string())),
    ];
    let document = session.client.get(&path("/api/v1/executions", &parameters)).await?;
    let shape = Shape { list: Some("executions"), name: "/id" };
    session.output.document(&document, shape, table)?;
    Ok(Exit::Done)
}

fn table(document: &ExecutionsDocument, look: &Look) -> String {
    if document.executions.is_empty() {
        return "no executions\n".to_owned();
    }
    rows(&document.executions, look)
}

/// Executions as a table.
pub(super) fn rows(executions: &[ExecutionEntry], look: &Look) -> String {
    let due = look.clock.heading("DUE");
    let mut headings = vec![due.as_str(), "JOB", "OUTCOME", "DURATION", "CAUSE", "ID"];
    if look.wide {
        headings.extend(["DELAY", "EXIT", "BOUNDS", "NODE", "REVISION", "SOURCE", "NOTE"]);
    }
    let rows: Vec<Vec<Cell>> = executions.iter().map(|entry| row(entry, look)).collect();
    columns(&headings, &rows, look.colour)
}

fn row(entry: &ExecutionEntry, look: &Look) -> Vec<Cell> {
    let mut cells = vec![
        Cell::maybe(entry.fire_time.as_ref().map(|at| look.clock.time(at))),
        entry.job.as_str().into(),
        outcome(entry),
        Cell::maybe(entry.duration_seconds.map(times::seconds)),
        entry.cause.as_str().into(),
        entry.id.as_str().into(),
    ];
    if look.wide {
        let exit = entry.exit_code.map(|code| code.to_string());
        let signal = entry.signal.map(|signal| format!("signal {signal}"));
        cells.extend([
            Cell::maybe(entry.delay_seconds.map(times::seconds)),
            Cell::maybe(exit.or(signal)),
            Cell::maybe(entry.protection.as_ref().map(bounds)),
            entry.node.as_str().into(),
            entry.revision.as_str().into(),
            format!("{}:{}", entry.source.file, entry.source.line).into(),
            Cell::maybe(entry.note.clone()),
        ]);
    }
    cells
}

/// `cgroup`, `cgroup: memory, pids`, `group: files`.
fn bounds(protection: &ProtectionEntry) -> String {
    let limits = protection.limits.join(", ");
    if limits.is_empty() { protection.by.clone() } else { format!("{}: {limits}", protection.by) }
}

/// `succeeded`, `skipped (overlap)`, `missed (downtime) ×120`, `running`, `failed (exit), attempt 3`,
/// `retry_wait, attempt 2 next`.
pub(super) fn outcome(entry: &ExecutionEntry) -> Cell {
    let word = entry.outcome.as_deref().unwrap_or(&entry.state);
    let mut text = word.to_owned();
    if let Some(reason) = &entry.reason {
        text = format!("{text} ({reason})");
    }
    if entry.count > 1 {
        text = format!("{text} ×{}", entry.count);
    }
    if entry.retry_at.is_some() {
        text = format!("{text}, attempt {} next", entry.attempt_list.len() + 1);
    } else if entry.attempts > 1 {
        text = format!("{text}, attempt {}", entry.attempts);
    }
    Cell::painted(text, Paint::of(word))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::cli::output::tests::{look, wide};

    pub(in crate::cli) const EXECUTIONS: &str = r#"[
        {"id":"0193b2c4-7d1e","job":"etl","state":"running","outcome":null,"reason":null,
         "cause":"request","fire_time":"2026-11-22T20:59:30+08:00","started_at":"2026-11-22T20:59:31+08:00",
         "finished_at":null,"duration_seconds":null,"delay_seconds":1.0,"attempts":1,"exit_code":null,
         "result":null,"exception":null,"revision":"8f3c2a1","source":{"file":"jobs.d/b.toml","line":1},
         "node":"host-1","first":null,"last":null,"count":1,"note":"cli:root"},
        {"id":"etl-1@2026-11-22T18:30:00Z","job":"etl","state":"ended","outcome":"failed","reason":"exit",
         "cause":"trigger","fire_time":"2026-11-22T18:30:00+08:00","started_at":"2026-11-22T18:30:00.002+08:00",
         "finished_at":"2026-11-22T18:30:03.010+08:00","duration_seconds":3.008,"delay_seconds":0.002,
         "attempts":1,"exit_code":3,"result":null,"exception":null,
         "protection":{"by":"cgroup","limits":["memory","pids"]},"revision":"8f3c2a1",
         "source":{"file":"jobs.d/b.toml","line":1},"node":"host-1","first":null,"last":null,"count":1},
        {"id":"etl-1@2026-11-21T18:30:00Z","job":"etl","state":"ended","outcome":"missed","reason":"downtime",
         "cause":"trigger","fire_time":"2026-11-21T18:30:00+08:00","started_at":null,"finished_at":
         "2026-11-22T08:00:00+08:00","duration_seconds":null,"delay_seconds":null,"attempts":0,"exit_code":null,
         "result":null,"exception":null,"revision":"8f3c2a1","source":{"file":"jobs.d/b.toml","line":1},
         "node":"host-1","first":"2026-11-21T18:30:00+08:00","last":"2026-11-22T07:30:00+08:00","count":14}]"#;

    #[test]
    fn rows_say_what_became_of_each_due_time() {
        let executions: Vec<ExecutionEntry> = serde_json::from_str(EXECUTIONS).unwrap();
        assert_eq!(
            rows(&executions, &look()),
            "DUE                         JOB  OUTCOME                DURATION  CAUSE    ID\n\
             2026-11-22 20:59:30 +08:00  etl  running                -         request  0193b2c4-7d1e\n\
             2026-11-22 18:30:00 +08:00  etl  failed (exit)          3.008 s   trigger  etl-1@2026-11-22T18:30:00Z\n\
             2026-11-21 18:30:00 +08:00  etl  missed (downtime) ×14  -         trigger  etl-1@2026-11-21T18:30:00Z\n"
        );
        assert_eq!(
            rows(&executions[1..2], &wide()),
            "DUE (UTC)            JOB  OUTCOME        DURATION  CAUSE    ID                          DELAY    EXIT  BOUNDS                NODE    REVISION  SOURCE           NOTE\n\
             2026-11-22 10:30:00  etl  failed (exit)  3.008 s   trigger  etl-1@2026-11-22T18:30:00Z  0.002 s  3     cgroup: memory, pids  host-1  8f3c2a1   jobs.d/b.toml:1  -\n"
        );
    }
}
