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
