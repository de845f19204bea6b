//! `export`: what operators have said about jobs, as a manifest would say it.

use clap::{Args, ValueEnum};

use crate::cli::Session;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::{Look, Shape, print};
use crate::cli::table::{Cell, Page, columns, plain};
use crate::io::http::documents::overrides::{OverrideEntry, OverridesDocument, PauseEntry};

/// Words that YAML reads as something else than text.
const YAML_WORDS: [&str; 9] = ["null", "true", "false", "yes", "no", "on", "off", "y", "n"];

/// Arguments of `export`.
#[derive(Debug, Args)]
#[command(
    before_help = "Examples:\n  cronwright export overrides --as-yaml\n  cronwright export overrides -o json"
)]
pub(super) struct ExportArgs {
    /// What.
    #[arg(value_enum)]
    what: What,
    /// As the keys to write into the jobs' manifests.
    #[arg(long, conflicts_with_all = ["output", "json"])]
    as_yaml: bool,
}

/// What can be exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// Pauses and skips.
    Overrides,
}

pub(super) async fn export(args: ExportArgs, session: Session) -> Result<Exit, Failure> {
    let What::Overrides = args.what;
    let document = session.client.get("/api/v1/overrides").await?;
    if args.as_yaml {
        print(&yaml(&document.read()?, &session.output.look()))?;
    } else {
        let shape = Shape { list: Some("overrides"), name: "/job" };
        session.output.document(&document, shape, table)?;
    }
    Ok(Exit::Done)
}

/// The paused jobs with `enabled: false`, and who paused them. A skip passes by itself.
fn yaml(document: &OverridesDocument, look: &Look) -> String {
    let paused: Vec<(&OverrideEntry, &PauseEntry)> = document
        .overrides
        .iter()
        .filter_map(|entry| Some((entry, entry.pause.as_ref()?)))
        .collect();
    let mut page = Page::default();
    page.line("# Write `enabled: false` into each job, then `cronwright resume` it.");
    page.line(if paused.is_empty() { "jobs: {}" } else { "jobs:" });
    for (entry, pause) in paused {
        let place = match &entry.source {
            Some(source) => format!("{}:{}", source.file, source.line),
            None => "no manifest declares it any more".to_owned(),
        };
        let since = look.clock.time(&pause.since);
        let until = pause.until.as_ref().map(|until| format!(" until {}", look.clock.time(until)));
        let why = pause.reason.as_ref().map(|reason| format!(": {reason}"));
        let (until, why) = (until.unwrap_or_default(), why.unwrap_or_default());
        let said = format!("paused by {} since {since}{until}{why}", pause.by);
        let (place, said) = (plain(&place), plain(&said));
        let key = key(&entry.job);
        page.line(format!("  # {place}\n  # {said}\n  {key}:\n    enabled: false"));
    }
    page.text()
}

/// A job name as a key that YAML reads as text.
fn key(name: &str) -> String {
    let is_text = name.starts_with(|c: char| c.is_ascii_lowercase()) && !YAML_WORDS.contains(&name);
    if is_text { name.to_owned() } else { format!("\"{}\"", plain(name)) }
}

fn table(document: &OverridesDocument, look: &Look) -> String {
    if document.overrides.is_empty() {
        return "no job is paused, and no fire time is skipped\n".to_owned();
    }
    let mut rows = Vec::new();
    for entry in &document.overrides {
        if let Some(pause) = &entry.pause {
            let until = pause.until.as_ref().map(|until| look.clock.time(until));
            rows.push(row(entry, "paused", &pause.by, until, pause.reason.as_deref()));
        }
        if let Some(skip) = &entry.skip_next {
            let fire_time = skip.fire_time.as_ref().map(|at| look.clock.time(at));
            rows.push(row(entry, "skip_next", &skip.by, fire_time, skip.reason.as_deref()));
        }
    }
    columns(&["NAME", "STATE", "UNTIL", "BY", "REASON"], &rows, look.colour)
}

fn row(
    entry: &OverrideEntry,
    state: &str,
    by: &str,
    until: Option<String>,
    reason: Option<&str>,
) -> Vec<Cell> {
    vec![
        entry.job.as_str().into(),
        Cell::word(Some(state)),
        Cell::maybe(until),
        by.into(),
        Cell::maybe(reason.map(str::to_owned)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::output::tests::look;

    const OVERRIDES: &str = r#"{"schema":"cronwright.overrides/v1","overrides":[
        {"job":"1st","source":null,"skip_next":null,
         "pause":{"by":"zoe","since":"2026-11-22T08:00:00+08:00","until":null,"reason":null}},
        {"job":"backup","source":{"file":"jobs.d/b.yaml","line":3},"pause":null,
         "skip_next":{"by":"zoe","since":"2026-11-22T08:00:00+08:00","reason":"disk",
                      "fire_time":"2026-11-23T03:00:00+08:00"}},
        {"job":"vendor-pull","source":{"file":"jobs.d/v.yaml","line":12},"skip_next":null,
         "pause":{"by":"li.wei","since":"2026-11-20T08:00:00+08:00","reason":"API down\u2028- x",
                  "until":"2026-11-24T08:00:00+08:00"}}]}"#;

    #[test]
    fn pauses_are_told_as_keys_of_manifests_in_valid_yaml() {
        let document: OverridesDocument = serde_json::from_str(OVERRIDES).unwrap();
        let text = yaml(&document, &look());
        assert_eq!(
            text,
            "# Write `enabled: false` into each job, then `cronwright resume` it.\n\
             jobs:\n  \
               # no manifest declares it any more\n  \
               # paused by zoe since 2026-11-22 08:00:00 +08:00\n  \
               \"1st\":\n    \
                 enabled: false\n  \
               # jobs.d/v.yaml:12\n  \
               # paused by li.wei since 2026-11-20 08:00:00 +08:00 until 2026-11-24 08:00:00 +08:00: API down\\u{2028}- x\n  \
               vendor-pull:\n    \
                 enabled: false\n"
        );
        let read: serde_json::Value = serde_yaml::from_str(&text).unwrap();
        assert_eq!(read["jobs"]["1st"]["enabled"], false);
    }

    #[test]
    fn overrides_are_listed_one_a_line() {
        let document: OverridesDocument = serde_json::from_str(OVERRIDES).unwrap();
        assert_eq!(
            table(&document, &look()),
            "NAME         STATE      UNTIL                       BY      REASON\n\
             1st          paused     -                           zoe     -\n\
             backup       skip_next  2026-11-23 03:00:00 +08:00  zoe     disk\n\
             vendor-pull  paused     2026-11-24 08:00:00 +08:00  li.wei  API down\\u{2028}- x\n"
        );
    }
}
