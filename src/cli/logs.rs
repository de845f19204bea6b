//! `logs`: what an execution printed.

use std::time::Duration;

use clap::Args;

use crate::cli::Session;
use crate::cli::cancel::is_job;
use crate::cli::client::{Client, encoded, path};
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::{Format, Shape, print, print_bytes};
use crate::io::http::documents::executions::{ExecutionsDocument, OutputDocument};

/// How often new output is asked for.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(250);

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
    let path = format!("/api/v1/executions/{}/output", encoded(&id));
    let mut shown = 0;
    loop {
        let document = client.get(&path).await?;
        if !matches!(session.output.format, Format::Table | Format::Wide) {
            let shape = Shape { list: None, name: "/execution_id" };
            session.output.document(&document, shape, |_: &OutputDocument, _| String::new())?;
            return Ok(Exit::Done);
        }
        let output: OutputDocument = document.read()?;
        let bytes = news(&output, shown).ok_or_else(damaged)?;
        shown = output.bytes;
        if args.raw {
            print_bytes(&bytes)?;
        } else {
            let text = harmless(&String::from_utf8_lossy(&bytes));
            print(args.tail.map_or(text.as_str(), |lines| last_lines(&text, lines)))?;
        }
        if !args.follow || !output.running {
            return Ok(Exit::Done);
        }
        tokio::time::sleep(FOLLOW_INTERVAL).await;
    }
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

/// The bytes after the first `shown`, with a mark where some were dropped; none: the document is damaged.
fn news(output: &OutputDocument, shown: u64) -> Option<Vec<u8>> {
    let (head, tail) = output.parts()?;
    let tail_at = output.bytes.checked_sub(tail.len() as u64)?;
    let head_end = head.len() as u64;
    let from = |bytes: &[u8], at: u64| {
        let skip = usize::try_from(shown.saturating_sub(at)).unwrap_or(usize::MAX);
        bytes.get(skip..).unwrap_or_default().to_vec()
    };
    let mut news = from(&head, 0);
    let dropped = tail_at.saturating_sub(head_end.max(shown));
    if dropped > 0 {
        news.extend(format!("\n[… {dropped} bytes were not kept …]\n").into_bytes());
    }
    news.extend(from(&tail, tail_at));
    Some(news)
}

/// Output without what steers a terminal: escape sequences and control characters but tab and newline.
fn harmless(text: &str) -> String {
    let stripped = anstream::adapter::strip_str(text).to_string();
    stripped.chars().filter(|c| matches!(c, '\n' | '\t') || !c.is_control()).collect()
}

fn last_lines(text: &str, lines: usize) -> &str {
    let body = text.strip_suffix('\n').unwrap_or(text);
    let begins = body.rmatch_indices('\n').nth(lines.saturating_sub(1)).map_or(0, |(at, _)| at + 1);
    if lines == 0 { "" } else { &text[begins..] }
}

fn damaged() -> Failure {
    Failure::new(Exit::Usage, "the daemon's answer cannot be read: the output is damaged")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(head: &str, tail: &str, bytes: u64) -> OutputDocument {
        OutputDocument {
            schema: OutputDocument::SCHEMA.to_owned(),
            execution_id: "x".to_owned(),
            running: true,
            encoding: "utf-8".to_owned(),
            head: head.to_owned(),
            tail: tail.to_owned(),
            bytes,
            truncated: bytes > (head.len() + tail.len()) as u64,
        }
    }

    #[test]
    fn only_what_is_new_is_printed_and_what_was_dropped_is_marked() {
        for (head, tail, bytes, shown, expected) in [
            ("abc", "", 3, 0, "abc"),
            ("abc", "", 3, 2, "c"),
            ("abc", "", 3, 3, ""),
            ("abc", "de", 5, 0, "abcde"),
            ("abc", "de", 5, 4, "e"),
            ("abc", "yz", 26, 0, "abc\n[… 21 bytes were not kept …]\nyz"),
            ("abc", "yz", 26, 20, "\n[… 4 bytes were not kept …]\nyz"),
            ("abc", "yz", 26, 25, "z"),
        ] {
            let news = news(&output(head, tail, bytes), shown).unwrap();
            assert_eq!(String::from_utf8(news).unwrap(), expected, "{head} {tail} {bytes} {shown}");
        }
        assert_eq!(news(&output("", "toolong", 3), 0), None);
    }

    #[test]
    fn nothing_in_an_output_steers_the_terminal() {
        let text = "a\u{1b}[31mb\u{1b}[0m\r\n\u{1b}]0;title\u{7}c\td\u{9b}2J\u{8}e\n";
        assert_eq!(harmless(text), "ab\nc\td2Je\n");
    }

    #[test]
    fn the_last_lines_are_whole_lines() {
        let text = "1\n2\n3\n";
        for (lines, expected) in [(0, ""), (1, "3\n"), (2, "2\n3\n"), (3, text), (9, text)] {
            assert_eq!(last_lines(text, lines), expected, "{lines}");
        }
        assert_eq!(last_lines("1\n2", 1), "2");
    }
}
