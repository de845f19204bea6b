//! Diagnostics for people: the offending line, underlined, as compilers show it.
//!
//! Drawn by `annotate-snippets`, which only this file names. Control characters are made visible, and
//! passwords inside URLs are covered, so that the text may go to a terminal or a CI log.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::{Arc, LazyLock};

use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Renderer, Snippet};
use regex::Regex;

use crate::diagnostic::{Diagnostic, Place, Severity, SourceText, escape};

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
        group = group.element(annotate_snippets::Origin::path(diagnostic.path().to_owned()));
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

/// One snippet per file concerned, that of the place itself first.
fn snippets(diagnostic: &Diagnostic) -> Vec<Snippet<'static, Annotation<'static>>> {
    let Some(place) = &diagnostic.place else { return Vec::new() };
    let mut marks = vec![(AnnotationKind::Primary, place, diagnostic.label.as_str())];
    marks.extend(
        diagnostic
            .related
            .iter()
            .map(|(place, label)| (AnnotationKind::Context, place, label.as_str())),
    );
    let mut sources: Vec<&Arc<SourceText>> = Vec::new();
    for (_, place, _) in &marks {
        if !sources.iter().any(|known| known.path == place.source.path) {
            sources.push(&place.source);
        }
    }
    sources
        .into_iter()
        .map(|source| {
            let here: Vec<_> =
                marks.iter().filter(|(_, place, _)| place.source.path == source.path).collect();
            snippet(source, &here)
        })
        .collect()
}

type Mark<'d> = (AnnotationKind, &'d Place, &'d str);

/// The lines from the first to the last mark; `annotate-snippets` folds what lies between.
fn snippet(source: &SourceText, marks: &[&Mark<'_>]) -> Snippet<'static, Annotation<'static>> {
    let ranges: Vec<Range<usize>> = marks.iter().map(|(_, place, _)| first_line(place)).collect();
    let first = ranges.iter().map(|range| source.line(range.start)).min().unwrap_or(1);
    let last = ranges.iter().map(|range| source.line(range.end)).max().unwrap_or(first);
    let window = source.line_range(first).start..source.line_range(last).end;
    let shown = cover_passwords(&source.text[window.clone()]).into_owned();
    let annotations = marks.iter().zip(ranges).map(|((kind, _, label), range)| {
        let annotation = kind.span(range.start - window.start..range.end - window.start);
        if label.is_empty() { annotation } else { annotation.label(escape(label).into_owned()) }
    });
    Snippet::source(shown)
        .line_start(first)
        .path(source.path.clone())
        .annotations(annotations.collect::<Vec<_>>())
}

/// The part of a place on its first line: a value of many lines is pointed at, not repeated.
fn first_line(place: &Place) -> Range<usize> {
    let line = place.source.line_range(place.source.line(place.start));
    let start = place.start.min(line.end);
    start..place.end.clamp(start, line.end)
}

/// Replaces the password of every URL by as many `*`, so that offsets stay what they were.
fn cover_passwords(text: &str) -> Cow<'_, str> {
    static USERINFO: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"(://[^\s:/@]*:)([^\s/@]+)@").ok());
    let Some(pattern) = USERINFO.as_ref() else { return Cow::Borrowed(text) };
    pattern.replace_all(text, |found: &regex::Captures<'_>| {
        format!("{}{}@", &found[1], "*".repeat(found[2].len()))
    })
}
