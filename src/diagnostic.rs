//! Diagnostics: what is wrong with a user's file, where, and what to do about it.
//!
//! A [`Diagnostic`] is data; [`codes`] lists every code. [`render`] draws it for people, [`report`]
//! gives its JSON form; `cli` prints. Nothing here decides what is wrong: messages are made at the
//! rule that finds the fault.

pub mod codes;
pub mod explanation;
pub mod render;
pub mod report;
pub mod suggest;

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The file, or the job, cannot be used.
    Error,
    /// It can be used, and probably does not mean what its author thinks.
    Warning,
}

impl Severity {
    /// The word in messages and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// A text that diagnostics point into.
#[derive(Debug, PartialEq, Eq)]
pub struct SourceText {
    /// Path as the user knows it, with `/`.
    pub path: String,
    /// The whole text, without a byte order mark.
    pub text: String,
    /// Byte offset of the first byte of each line; made on first use.
    line_starts: OnceLock<Vec<usize>>,
}

/// A line and a column, both from 1; the column counts characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LineColumn {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl SourceText {
    /// A text with the path that messages give.
    pub fn new(path: impl Into<String>, text: impl Into<String>) -> Self {
        Self { path: path.into(), text: text.into(), line_starts: OnceLock::new() }
    }

    fn line_starts(&self) -> &[usize] {
        self.line_starts.get_or_init(|| {
            let breaks = self.text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
            std::iter::once(0).chain(breaks.map(|(at, _)| at + 1)).collect()
        })
    }

    /// The line (from 1) of a byte offset.
    pub fn line(&self, offset: usize) -> usize {
        self.line_starts().partition_point(|start| *start <= offset)
    }

    /// Line and column of a byte offset.
    pub fn line_column(&self, offset: usize) -> LineColumn {
        let line = self.line(offset);
        let start = self.line_range(line).start;
        let before = self.text.get(start..offset).unwrap_or_default();
        LineColumn { line, column: before.chars().count() + 1 }
    }

    /// The bytes of a line (from 1), without its line break.
    pub fn line_range(&self, line: usize) -> std::ops::Range<usize> {
        let starts = self.line_starts();
        let start = starts.get(line.saturating_sub(1)).copied().unwrap_or(self.text.len());
        let end = starts.get(line).map_or(self.text.len(), |next| next - 1);
        let end = if self.text[start..end].ends_with('\r') { end - 1 } else { end };
        start..end
    }
}

/// A place in a text: byte offsets, `start <= end <= text.len()`, both on character boundaries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The text.
    pub source: Arc<SourceText>,
    /// First byte.
    pub start: usize,
    /// The byte after the last.
    pub end: usize,
}

impl Place {
    /// A place; offsets outside the text or inside a character are moved to the next boundary
    /// before them.
    pub fn new(source: &Arc<SourceText>, start: usize, end: usize) -> Self {
        let start = source.text.floor_char_boundary(start);
        let end = source.text.floor_char_boundary(end).max(start);
        Self { source: Arc::clone(source), start, end }
    }

    /// Where it begins.
    pub fn line_column(&self) -> LineColumn {
        self.source.line_column(self.start)
    }

    /// Where it ends: the character after the last.
    pub fn end_line_column(&self) -> LineColumn {
        self.source.line_column(self.end)
    }
}

/// One complaint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Stable: `E0107`, `W0311`. One of [`codes`].
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// One sentence with the value in backticks.
    pub message: String,
    /// The offending text; none only when a whole file cannot be read.
    pub place: Option<Place>,
    /// What stands under the underline.
    pub label: String,
    /// The next act.
    pub help: Option<String>,
    /// Other places that belong to it, each with its label (the other definition of a duplicate name).
    pub related: Vec<(Place, String)>,
    /// File, when there is no place.
    pub file: Option<String>,
    /// The job concerned.
    pub job: Option<String>,
    /// JSON pointer of the value, for example `/jobs/etl/comand`.
    pub pointer: Option<String>,
}

impl Diagnostic {
    /// A complaint with one of [`codes`], whose first letter gives the severity.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: codes::severity(code),
            message: message.into(),
            place: None,
            label: String::new(),
            help: None,
            related: Vec::new(),
            file: None,
            job: None,
            pointer: None,
        }
    }

    /// Points at the offending text.
    #[must_use]
    pub fn at(mut self, place: Place) -> Self {
        self.place = Some(place);
        self
    }

    /// Names the file, where no place in it can be given.
    #[must_use]
    pub fn in_file(mut self, path: impl Into<String>) -> Self {
        self.file = Some(path.into());
        self
    }

    /// Writes under the underline.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// Says the next act.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds another place that belongs to it.
    #[must_use]
    pub fn related(mut self, place: Place, label: impl Into<String>) -> Self {
        self.related.push((place, label.into()));
        self
    }

    /// The path of the file concerned.
    pub fn path(&self) -> &str {
        let at_place = self.place.as_ref().map(|place| place.source.path.as_str());
        at_place.or(self.file.as_deref()).unwrap_or_default()
    }

    /// Whether it is an error.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// Puts diagnostics in the order of files and places, errors before warnings, and drops repetitions
/// (a fault in a YAML anchor is found once per use).
pub fn sort(diagnostics: &mut Vec<Diagnostic>) {
    let start = |diagnostic: &Diagnostic| diagnostic.place.as_ref().map(|place| place.start);
    diagnostics.sort_by(|a, b| {
        (a.path(), start(a), a.severity, a.code, &a.message).cmp(&(
            b.path(),
            start(b),
            b.severity,
            b.code,
            &b.message,
        ))
    });
    diagnostics.dedup_by(|a, b| {
        a.code == b.code && a.message == b.message && a.path() == b.path() && start(a) == start(b)
    });
}

/// Text of a user inside a message: control characters, also those that change the direction of
/// writing, become visible escapes.
pub fn escape(text: &str) -> Cow<'_, str> {
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2028}' | '\u{2029}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    if !text.chars().any(hidden) {
        return Cow::Borrowed(text);
    }
    let escaped = text
        .chars()
        .map(|c| if hidden(c) { c.escape_default().to_string() } else { c.to_string() });
    Cow::Owned(escaped.collect())
}

/// The most characters of a user's value that a message repeats.
const QUOTED_CHARS_MAX: usize = 60;

/// A user's value in backticks, escaped and shortened.
pub fn quoted(text: &str) -> String {
    let short: String = text.chars().take(QUOTED_CHARS_MAX).collect();
    let mark = if short.len() < text.len() { "…" } else { "" };
    format!("`{}{mark}`", escape(&short))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_count_characters_from_one() {
        let source = SourceText::new("a.yaml", "é: 1\r\nb: 2\n");
        assert_eq!(source.line_column(0), LineColumn { line: 1, column: 1 });
        assert_eq!(source.line_column(4), LineColumn { line: 1, column: 4 });
        assert_eq!(source.line_column(7), LineColumn { line: 2, column: 1 });
        assert_eq!(source.line_column(12), LineColumn { line: 3, column: 1 });
        assert_eq!(&source.text[source.line_range(1)], "é: 1");
        assert_eq!(&source.text[source.line_range(3)], "");
    }

    #[test]
    fn what_cannot_be_seen_is_escaped() {
        assert_eq!(escape("plain é"), "plain é");
        assert_eq!(escape("a\u{1b}[31m\u{202e}\n"), "a\\u{1b}[31m\\u{202e}\\n");
    }
}
