//! What a verb prints: a document for programs, or a table of it for people.
//!
//! Results go to stdout, everything else to stderr. A reader that closes the pipe early is no failure.

use std::io::{Error, ErrorKind, Write};

use anstream::{AutoStream, ColorChoice};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::cli::exit::{Exit, Failure};
use crate::cli::times::Clock;

/// The forms of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Columns; not for programs.
    Table,
    /// More columns.
    Wide,
    /// One JSON document.
    Json,
    /// One JSON document a line.
    Jsonl,
    /// One YAML document.
    Yaml,
    /// Names or ids only, one a line.
    Name,
}

/// When colours are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum ColourChoice {
    /// On a terminal, unless `NO_COLOR` or `TERM=dumb` says otherwise; `CLICOLOR_FORCE` forces them.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// How results are to be printed.
#[derive(Debug, Clone)]
pub struct Output {
    /// The form.
    pub format: Format,
    /// Whether stdout shows colours.
    pub colour: bool,
    /// Leave out what is only good to know.
    pub quiet: bool,
    /// From where times are looked at.
    pub clock: Clock,
}

/// A JSON document, in the order in which it was written.
#[derive(Debug, Clone)]
pub struct Document {
    text: String,
    value: Value,
}

/// How a document is taken apart for `jsonl` and `name`.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// The key of its list; none: it is one thing.
    pub list: Option<&'static str>,
    /// JSON pointer to the name, in an entry of the list or in the document.
    pub name: &'static str,
}

/// What a table needs to know beside its document.
#[derive(Debug, Clone)]
pub struct Look {
    /// From where times are looked at.
    pub clock: Clock,
    /// More columns.
    pub wide: bool,
    /// Colours are shown.
    pub colour: bool,
}

impl ColourChoice {
    /// Whether stdout shows colours.
    pub fn on_stdout(self) -> bool {
        match self {
            Self::Auto => AutoStream::choice(&std::io::stdout()) != ColorChoice::Never,
            Self::Always => true,
            Self::Never => false,
        }
    }

    /// Whether stderr shows colours.
    pub fn on_stderr(self) -> bool {
        match self {
            Self::Auto => AutoStream::choice(&std::io::stderr()) != ColorChoice::Never,
            Self::Always => true,
            Self::Never => false,
        }
    }
}

impl Document {
    /// A document that was received.
    pub fn parse(text: String) -> Result<Self, serde_json::Error> {
        Ok(Self { value: serde_json::from_str(&text)?, text })
    }

    /// A document that is made here.
    pub fn of(document: &impl Serialize) -> Result<Self, Failure> {
        let text = serde_json::to_string_pretty(document).and_then(Self::parse);
        text.map_err(|error| Failure::new(Exit::Usage, format!("cannot write JSON: {error}")))
    }

    /// The document as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What the document says.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        T::deserialize(&self.value).map_err(|error| {
            let message = format!("the daemon's answer cannot be read: {error}");
            Failure::new(Exit::Usage, message)
                .help("use the same version of cronwright as the daemon, or `-o json`")
        })
    }
}

impl Output {
    /// Prints a document in the form that was asked for.
    pub fn document<T: DeserializeOwned>(
        &self,
        document: &Document,
        shape: Shape,
        table: impl FnOnce(&T, &Look) -> String,
    ) -> Result<(), Failure> {
        let value = &document.value;
        let text = match self.format {
            Format::Table | Format::Wide => table(&document.read()?, &self.look()),
            Format::Json => format!("{}\n", document.text.trim_end()),
            Format::Jsonl => lines(shape.entries(value).iter().map(ToString::to_string)),
            Format::Yaml => serde_yaml::to_string(value).map_err(|error| {
                Failure::new(Exit::Usage, format!("cannot write YAML: {error}"))
            })?,
            Format::Name => shape.names(value),
        };
        print(&text)
    }

    /// What a table needs to know.
    pub fn look(&self) -> Look {
        Look {
            clock: self.clock.clone(),
            wide: self.format == Format::Wide,
            colour: self.colour && matches!(self.format, Format::Table | Format::Wide),
        }
    }

    /// Says something that is only good to know, on stderr.
    pub fn note(&self, text: &str) {
        if !self.quiet {
            complain(text);
        }
    }
}

impl Shape {
    fn entries<'a>(&self, document: &'a Value) -> Vec<&'a Value> {
        match self.list.and_then(|key| document.get(key)).and_then(Value::as_array) {
            Some(list) => list.iter().collect(),
            None => vec![document],
        }
    }

    fn names(&self, document: &Value) -> String {
        let name = |entry: &&Value| entry.pointer(self.name)?.as_str().map(str::to_owned);
        lines(self.entries(document).iter().filter_map(name))
    }
}

fn lines(texts: impl Iterator<Item = String>) -> String {
    texts.flat_map(|text| [text, "\n".to_owned()]).collect()
}

/// Writes a result to stdout.
pub fn print(text: &str) -> Result<(), Failure> {
    print_bytes(text.as_bytes())
}

/// Writes a result to stdout, byte by byte as it is.
pub fn print_bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(|error: Error| {
            Failure::new(Exit::Usage, format!("cannot write to stdout: {error}"))
        }),
    }
}

/// Writes a part of a result to stdout; whether anybody reads it still.
pub fn print_while_read(text: &str) -> Result<bool, Failure> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::new(Exit::Usage, format!("cannot write to stdout: {error}"))),
    }
}

/// Writes what is no result to stderr, byte by byte as it is.
pub fn print_to_stderr(bytes: &[u8]) -> Result<(), Failure> {
    // As a complaint: where even that fails there is nobody to tell.
    drop(std::io::stderr().lock().write_all(bytes));
    Ok(())
}

/// Writes a line to stderr. Where even that fails there is nobody to tell.
pub fn complain(text: &str) {
    let written = writeln!(std::io::stderr().lock(), "{text}");
    drop(written);
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::time::Zone;

    /// A narrow table without colours, seen at 2026-11-22 13:00:00 UTC, times as they come.
    pub(in crate::cli) fn look() -> Look {
        let now = "2026-11-22T13:00:00Z".parse().unwrap();
        Look { clock: Clock { now, zone: None }, wide: false, colour: false }
    }

    /// The same, wide and in UTC.
    pub(in crate::cli) fn wide() -> Look {
        let clock = Clock { zone: Some(Zone::utc()), ..look().clock };
        Look { clock, wide: true, colour: false }
    }

    #[test]
    fn documents_are_taken_apart_by_their_shape() {
        let document = Document::parse(
            r#"{"schema":"cronwright.jobs/v1","jobs":[{"name":"b"},{"name":"a"}]}"#.to_owned(),
        )
        .unwrap();
        let shape = Shape { list: Some("jobs"), name: "/name" };
        assert_eq!(shape.names(&document.value), "b\na\n");
        assert_eq!(shape.entries(&document.value).len(), 2);
        let whole = Shape { list: None, name: "/jobs/1/name" };
        assert_eq!(whole.names(&document.value), "a\n");
    }
}
