//! Diagnostics for people: the offending line, underlined, as compilers show it.
//!
//! Drawn by `annotate-snippets`, which only this file names. Control characters are made visible, and
//! passwords inside URLs are covered, so that the text may go to a terminal or a CI log.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::LazyLock;

use annotate_snippets::{AnnotationKind, Element, Group, Level, Origin, Renderer, Snippet};
use regex::Regex;

use crate::diagnostic::{Diagnostic, Place, Severity, SourceText, escape};

/// Places of one file that lie at most so many lines apart are shown together.
const NEAR_LINES: usize = 50;
/// What is shown of a long line after its last underline.
const SHOWN_AFTER_BYTES: usize = 200;
/// A longer piece of text (a file that is one line) is not shown, only where in it.
const SHOWN_BYTES_MAX: usize = 8 * 1024;

/// With or without terminal colours; the words are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// Plain text.
    Plain,
    /// ANSI colours.
    Ansi,
}

/// One diagnostic as text, ending in a line break.
pub fn render(diagnostic: &Diagnostic, colour: Colour) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(escape(&diagnostic.message)).id(diagnostic.code);
    let mut group = Group::with_title(title);
    for snippet in snippets(diagnostic) {
        group = group.element(snippet);
    }
    if diagnostic.place.is_none() && !diagnostic.path().is_empty() {
        group = group.element(Origin::path(diagnostic.path().to_owned()));
    }
    if let Some(help) = &diagnostic.help {
        group = group.element(Level::HELP.message(escape(help)));
    }
    let renderer = match colour {
        Colour::Plain => Renderer::plain(),
        Colour::Ansi => Renderer::styled(),
    };
    let mut text = renderer.render(&[group]);
    text.push('\n');
    text
}

/// All diagnostics as text, an empty line between them.
pub fn render_all(diagnostics: &[Diagnostic], colour: Colour) -> String {
    let texts: Vec<_> = diagnostics.iter().map(|diagnostic| render(diagnostic, colour)).collect();
    texts.join("\n")
}

/// The last line of `validate`: `41 files, 212 jobs: 2 errors, 1 warning`.
pub fn summary(files: usize, jobs: usize, diagnostics: &[Diagnostic]) -> String {
    let errors = diagnostics.iter().filter(|diagnostic| diagnostic.is_error()).count();
    let warnings = diagnostics.len() - errors;
    format!(
        "{}, {}: {}, {}",
        numbered(files, "file"),
        numbered(jobs, "job"),
        numbered(errors, "error"),
        numbered(warnings, "warning")
    )
}

/// `1 job`, `2 jobs`.
fn numbered(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// A place to underline, and what stands under it.
struct Mark<'d> {
    kind: AnnotationKind,
    source: &'d SourceText,
    /// On one line.
    range: Range<usize>,
    line: usize,
    label: &'d str,
}

impl<'d> Mark<'d> {
    fn new(kind: AnnotationKind, place: &'d Place, label: &'d str) -> Self {
        let range = first_line(place);
        let line = place.source.line(range.start);
        Self { kind, source: &place.source, range, line, label }
    }

    /// Whether both are shown in one piece of text.
    fn is_near(&self, other: &Self) -> bool {
        self.source.path == other.source.path && self.line.abs_diff(other.line) <= NEAR_LINES
    }
}

/// One piece of text per place, that of the place itself first; near ones share it.
fn snippets(diagnostic: &Diagnostic) -> Vec<Element<'static>> {
    let Some(place) = &diagnostic.place else { return Vec::new() };
    let mut pieces =
        vec![vec![Mark::new(AnnotationKind::Primary, place, diagnostic.label.as_str())]];
    for (place, label) in &diagnostic.related {
        let mark = Mark::new(AnnotationKind::Context, place, label);
        match pieces.iter_mut().find(|piece| piece.iter().any(|known| known.is_near(&mark))) {
            Some(piece) => piece.push(mark),
            None => pieces.push(vec![mark]),
        }
    }
    pieces.iter().filter_map(|piece| snippet(piece)).collect()
}

/// The lines from the first to the last mark.
fn snippet(marks: &[Mark<'_>]) -> Option<Element<'static>> {
    let first = marks.iter().min_by_key(|mark| mark.line)?;
    let last = marks.iter().max_by_key(|mark| mark.range.end)?;
    let source = first.source;
    let start = source.line_range(first.line).start;
    let line_end = source.line_range(last.line).end;
    let end = source.text.floor_char_boundary(line_end.min(last.range.end + SHOWN_AFTER_BYTES));
    if end - start > SHOWN_BYTES_MAX {
        let at = source.line_column(first.range.start);
        let origin = Origin::path(source.path.clone()).line(at.line).char_column(at.column);
        return Some(origin.into());
    }
    let annotations = marks.iter().map(|mark| {
        let annotation = mark.kind.span(mark.range.start - start..mark.range.end.min(end) - start);
        let label = escape(mark.label).into_owned();
        if label.is_empty() { annotation } else { annotation.label(label) }
    });
    let snippet = Snippet::source(shown(&source.text[start..end]))
        .line_start(first.line)
        .path(source.path.clone())
        .annotations(annotations.collect::<Vec<_>>());
    Some(snippet.into())
}

/// The part of a place on its first line: a value of many lines is pointed at, not repeated.
fn first_line(place: &Place) -> Range<usize> {
    let line = place.source.line_range(place.source.line(place.start));
    let start = place.start.min(line.end);
    start..place.end.clamp(start, line.end)
}

/// A text as it may be shown, every byte at its offset: passwords in URLs are covered by as many `*`,
/// and control characters that the renderer would pass on become dots of the same size.
fn shown(text: &str) -> String {
    static USERINFO: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r#"(://[^\s:/@"']*:)([^"'\n]+)@"#).ok());
    let covered = USERINFO.as_ref().map_or(Cow::Borrowed(text), |pattern| {
        pattern.replace_all(text, |found: &regex::Captures<'_>| {
            format!("{}{}@", &found[1], "*".repeat(found[2].len()))
        })
    });
    covered
        .chars()
        .map(|sign| if ('\u{80}'..='\u{9f}').contains(&sign) { '·' } else { sign })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn passwords_are_covered_and_offsets_stay() {
        for (text, expected) in [
            ("store = \"mongodb://u:p/w@rd@h/db\"", "store = \"mongodb://u:******@h/db\""),
            ("redis://:geheim@h", "redis://:******@h"),
            ("mongodb://u:a b@h", "mongodb://u:***@h"),
            ("http://h:80/x", "http://h:80/x"),
            ("a\u{85}b", "a·b"),
        ] {
            assert_eq!(shown(text), expected);
            assert_eq!(shown(text).len(), text.len());
        }
    }
}
