//! `events`: what happens to jobs and executions.

use std::time::Duration;

use clap::Args;
use serde::{Deserialize, Serialize};
use tokio::signal::ctrl_c;
use tokio::time::sleep;

use crate::cli::Session;
use crate::cli::client::{Client, path};
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::{Document, Format, Look, Output, Shape, print_while_read};
use crate::cli::sse::{Lines, Piece};
use crate::cli::table::{Cell, columns, plain};
use crate::io::http::documents::event::EventDocument;

/// The pause before a daemon that went away is asked again.
const AGAIN: Duration = Duration::from_millis(500);
/// The type of what must not be left out.
const GAP: &str = "events.gap";

/// Arguments of `events`.
#[derive(Debug, Args)]
#[command(
    before_help = "Examples:\n  cronwright events\n  cronwright events -f --type execution.finished\n  cronwright events -f -o jsonl"
)]
pub(super) struct EventsArgs {
    /// Go on with what happens from now on, until Ctrl-C.
    #[arg(short, long)]
    follow: bool,
    /// What came after this event; 0: all that the daemon still holds.
    #[arg(long, value_name = "ID")]
    since: Option<String>,
    /// Only of this type: `execution.finished`, or all of `execution`; may be given more than once.
    #[arg(long = "type", value_name = "TYPE")]
    types: Vec<String>,
}

/// Events that a daemon holds.
#[derive(Debug, Serialize, Deserialize)]
struct EventsDocument {
    schema: String,
    events: Vec<EventDocument>,
}

pub(super) async fn events(args: EventsArgs, session: Session) -> Result<Exit, Failure> {
    if args.follow {
        if matches!(session.output.format, Format::Yaml | Format::Name) {
            let message = "events that go on are printed as a table or as JSON lines";
            return Err(Failure::new(Exit::Usage, message).help("write `-o jsonl`"));
        }
        return tokio::select! {
            interrupt = ctrl_c() => interrupt.map(|()| Exit::Done).map_err(|error| {
                Failure::new(Exit::Usage, format!("cannot wait for signals: {error}"))
            }),
            ended = follow(args, &session) => ended.map(|()| Exit::Done),
        };
    }
    let mut events = Vec::new();
    let mut at = args.since;
    read(&session.client, &mut at, false, |event, _| {
        events.extend(Some(event).filter(|event| is_wanted(event, &args.types)));
        Ok(true)
    })
    .await?;
    let document =
        Document::of(&EventsDocument { schema: "cronwright.events/v1".to_owned(), events })?;
    let shape = Shape { list: Some("events"), name: "/id" };
    session.output.document(&document, shape, |document: &EventsDocument, look| {
        shown(&document.events, look)
    })?;
    Ok(Exit::Done)
}

/// Prints what comes until nobody reads it any more. A daemon that is being restarted is waited for.
async fn follow(args: EventsArgs, session: &Session) -> Result<(), Failure> {
    let Session { client, output } = session;
    let (mut at, mut was_away) = (args.since, false);
    let mut is_known = false;
    loop {
        let print = |event: EventDocument, text: &str| {
            if !is_wanted(&event, &args.types) {
                return Ok(true);
            }
            print_while_read(&one(&event, text, output))
        };
        let before = at.clone();
        match read(client, &mut at, true, print).await {
            Ok(true) => is_known = true,
            Ok(false) => return Ok(()),
            Err(failure) if is_known && failure.exit == Exit::Unreachable && is_away(&failure) => {}
            Err(failure) => return Err(failure),
        }
        if before != at {
            was_away = false;
        }
        if !was_away {
            output.note("the daemon has gone; waiting for it");
            was_away = true;
        }
        sleep(AGAIN).await;
    }
}

/// Whether a daemon that cannot be asked may be there later: it has not refused us.
fn is_away(failure: &Failure) -> bool {
    failure.code.as_deref().is_none_or(|code| code == "E0503")
}

/// Takes in what came after `at`, and goes on from there; whether the stream ended, not whoever takes it.
async fn read(
    client: &Client,
    at: &mut Option<String>,
    follow: bool,
    mut take: impl FnMut(EventDocument, &str) -> Result<bool, Failure>,
) -> Result<bool, Failure> {
    let parameters = [("since", at.clone()), ("follow", Some(follow.to_string()))];
    let mut stream = client.stream(&path("/api/v1/events", &parameters)).await?;
    let mut lines = Lines::default();
    while let Some(bytes) = stream.next().await.map_err(|why| client.unreachable(&why))? {
        for piece in lines.take(&bytes).ok_or_else(damaged)? {
            match piece {
                Piece::Id(id) => *at = Some(id),
                Piece::Data(text) => {
                    let event = serde_json::from_str(&text).map_err(|_| damaged())?;
                    if !take(event, &text)? {
                        return Ok(false);
                    }
                }
            }
        }
    }
    Ok(true)
}

fn damaged() -> Failure {
    Failure::new(Exit::Usage, "the daemon's events cannot be read")
        .help("use the same version of cronwright as the daemon")
}

/// Whether an event is of one of the types, each given whole or as its first words. A gap is in all of them.
fn is_wanted(event: &EventDocument, types: &[String]) -> bool {
    let word = event.word();
    let begins = |wanted: &String| {
        let rest = word.strip_prefix(wanted.as_str());
        *wanted == event.kind || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    types.is_empty() || word == GAP || types.iter().any(begins)
}

/// One event on its own line.
fn one(event: &EventDocument, text: &str, output: &Output) -> String {
    match output.format {
        Format::Table | Format::Wide => {
            let [time, word, subject, detail] = pieces(event, &output.look());
            format!("{time}  {word:<24}  {subject}  {detail}").trim_end().to_owned() + "\n"
        }
        Format::Json | Format::Jsonl | Format::Yaml | Format::Name => format!("{text}\n"),
    }
}

fn shown(events: &[EventDocument], look: &Look) -> String {
    let time = look.clock.heading("TIME");
    let rows: Vec<Vec<Cell>> =
        events.iter().map(|event| pieces(event, look).map(Cell::from).to_vec()).collect();
    columns(&[&time, "TYPE", "SUBJECT", "DETAIL"], &rows, look.colour)
}

/// Time, type, what it is about, and how it ended.
fn pieces(event: &EventDocument, look: &Look) -> [String; 4] {
    let data = &event.data;
    let count = data.count.filter(|count| *count > 1).map(|count| format!("{count} occurrences"));
    let lost = data.lost.map(|lost| format!("{lost} events were not read"));
    let message = data.exception.as_ref().map(|exception| exception.message.clone());
    let from = data.from.as_ref().map(|from| format!("was {from}"));
    let details = [data.outcome.clone(), data.reason.clone(), count, lost, from, message];
    let details: Vec<String> = details.into_iter().flatten().collect();
    let subject = event.subject.as_deref().unwrap_or("-");
    [
        look.clock.time(&event.time),
        plain(event.word()).into_owned(),
        plain(subject).into_owned(),
        plain(&details.join(" ")).into_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::output::tests::look;

    fn event(word: &str, data: &serde_json::Value) -> EventDocument {
        serde_json::from_value(serde_json::json!({
            "specversion": "1.0", "id": "7-1", "source": "cronwright://a", "subject": "etl",
            "type": format!("dev.cronwright.{word}.v1"), "time": "2026-11-22T12:59:58Z",
            "datacontenttype": "application/json", "data": data,
        }))
        .unwrap()
    }

    #[test]
    fn a_type_is_wanted_by_its_whole_name_or_its_first_words() {
        let finished = event("execution.finished", &serde_json::json!({}));
        let is_of = |wanted: &str| is_wanted(&finished, &[wanted.to_owned()]);
        assert!(is_of("execution.finished") && is_of("execution"));
        assert!(is_of("dev.cronwright.execution.finished.v1"));
        assert!(!is_of("exec") && !is_of("execution.finish") && !is_of("job"));
        assert!(is_wanted(&finished, &[]));
        let gap = event(GAP, &serde_json::json!({ "after": "6-1" }));
        assert!(
            is_wanted(&gap, &["job".to_owned()]),
            "nobody is to miss that something is missing"
        );
    }

    #[test]
    fn a_table_says_what_happened_to_whom_and_how_it_ended() {
        let events = [
            event("job.added", &serde_json::json!({ "job": "etl" })),
            event(
                "execution.skipped",
                &serde_json::json!({ "outcome": "skipped", "reason": "overlap", "count": 3 }),
            ),
        ];
        assert_eq!(
            shown(&events, &look()),
            "TIME                        TYPE               SUBJECT  DETAIL\n\
             2026-11-22 12:59:58 +00:00  job.added          etl      \n\
             2026-11-22 12:59:58 +00:00  execution.skipped  etl      skipped overlap 3 occurrences\n"
        );
    }
}
