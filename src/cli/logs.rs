//! `logs`: what an execution printed.

use clap::Args;

use crate::cli::Session;
use crate::cli::cancel::is_job;
use crate::cli::client::{Client, path};
use crate::cli::exit::{Exit, Failure};
use crate::cli::follow::{Follower, damaged, harmless, output_path};
use crate::cli::output::{Format, Shape, print, print_bytes};
use crate::io::http::documents::executions::{ExecutionsDocument, OutputDocument};

/// Arguments of `logs`.
#[derive(Debug, Args)]
#[command(
    before_help = "Examples:\n  cronwright logs backup\n  cronwright logs backup -f\n  cronwright logs backup --tail 20"
)]
pub(super) struct LogsArgs {
    /// An execution, or a job: its latest execution.
    target: String,
    /// Go on until it has ended.
    #[arg(short, long)]
    follow: bool,
    /// Only the last so many lines.
    #[arg(long, value_name = "LINES", conflicts_with = "follow")]
    tail: Option<usize>,
    /// Bytes as they are, also those that steer a terminal.
    #[arg(long)]
    raw: bool,
}

pub(super) async fn logs(args: LogsArgs, session: Session) -> Result<Exit, Failure> {
    let client = &session.client;
    let id = if is_job(client, &args.target).await? {
        latest(client, &args.target).await?
    } else {
        args.target.clone()
    };
    let path = output_path(&id);
    if args.follow && matches!(session.output.format, Format::Table | Format::Wide) {
        Follower::new(args.raw).follow(client, &id, print_bytes).await?;
        return Ok(Exit::Done);
    }
    let document = client.get(&path).await?;
    if !matches!(session.output.format, Format::Table | Format::Wide) {
        let shape = Shape { list: None, name: "/execution_id" };
        session.output.document(&document, shape, |_: &OutputDocument, _| String::new())?;
        return Ok(Exit::Done);
    }
    let output: OutputDocument = document.read()?;
    let bytes = Follower::new(true).news(&output).ok_or_else(damaged)?;
    if args.raw {
        print_bytes(&bytes)?;
    } else {
        let text = harmless(&String::from_utf8_lossy(&bytes));
        print(args.tail.map_or(text.as_str(), |lines| last_lines(&text, lines)))?;
    }
    Ok(Exit::Done)
}

async fn latest(client: &Client, job: &str) -> Result<String, Failure> {
    let parameters = [("job", Some(job.to_owned())), ("limit", Some("20".to_owned()))];
    let document: ExecutionsDocument =
        client.get(&path("/api/v1/executions", &parameters)).await?.read()?;
    // What was skipped or missed printed nothing; the latest that ran is meant.
    let ran = document.executions.into_iter().find(|entry| entry.started_at.is_some());
    ran.map(|entry| entry.id).ok_or_else(|| {
        Failure::new(Exit::NotFound, format!("`{job}` has not run yet"))
            .help(format!("`cronwright run {job}` runs it now"))
    })
}

fn last_lines(text: &str, lines: usize) -> &str {
    let body = text.strip_suffix('\n').unwrap_or(text);
    let begins = body.rmatch_indices('\n').nth(lines.saturating_sub(1)).map_or(0, |(at, _)| at + 1);
    if lines == 0 { "" } else { &text[begins..] }
}

#[cfg(test)]
mod tests {
    use super::last_lines;

    #[test]
    fn the_last_lines_are_whole_lines() {
        let text = "1\n2\n3\n";
        for (lines, expected) in [(0, ""), (1, "3\n"), (2, "2\n3\n"), (3, text), (9, text)] {
            assert_eq!(last_lines(text, lines), expected, "{lines}");
        }
        assert_eq!(last_lines("1\n2", 1), "2");
    }
}
