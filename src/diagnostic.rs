//! Diagnostics: what is wrong with a user's file, where, and what to do about it.
//!
//! A [`Diagnostic`] is data. [`render`] draws it for people; `cli` prints it, or its JSON form.
//! Codes: 01 structure, 02 syntax, 03 time and task semantics, 04 requests, 05 sources and plans, 06 settings.

use std::sync::Arc;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The file, or the job, cannot be used.
    Error,
    /// It can be used, and probably does not mean what its author thinks.
    Warning,
}

/// A text that diagnostics point into.
#[derive(Debug, PartialEq, Eq)]
pub struct SourceText {
    /// Path as the user knows it, with `/`.
    pub path: String,
    /// The whole text.
    pub text: String,
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

/// One complaint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Stable: `E0107`, `W0311`.
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

/// The candidate that a misspelt `name` most probably means: at most two edits away, or a third of its length.
pub fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (name.chars().count() / 3).max(2);
    let scored = candidates.map(|candidate| (edits(name, candidate), candidate));
    scored.filter(|(edits, _)| *edits <= limit).min().map(|(_, candidate)| candidate)
}

/// How many insertions, deletions, replacements and swaps of neighbours turn `a` into `b`.
fn edits(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    for j in 0..=b.len() {
        rows[0][j] = j;
    }
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let replace = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = replace.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = least;
        }
    }
    rows[a.len()][b.len()]
}
