//! The JSON form of diagnostics: `cronwright.diagnostics/v1`.

use serde::Serialize;

use crate::diagnostic::Diagnostic;

/// The document that `validate -o json` prints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// `cronwright.diagnostics/v1`.
    pub schema: &'static str,
    /// How many files were read.
    pub files: usize,
    /// How many jobs they declare.
    pub jobs: usize,
    /// The complaints, in the order of files and places.
    pub diagnostics: Vec<Entry>,
}

/// One complaint. Lines and columns count from 1, columns in characters; all four are null when a
/// file could not be read at all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// `E0107`.
    pub code: &'static str,
    /// `error` or `warning`.
    pub severity: &'static str,
    /// One sentence.
    pub message: String,
    /// The next act.
    pub help: Option<String>,
    /// The path as the user knows it.
    pub file: String,
    /// First line.
    pub line: Option<usize>,
    /// First column.
    pub column: Option<usize>,
    /// Last line.
    pub end_line: Option<usize>,
    /// The column after the last.
    pub end_column: Option<usize>,
    /// The job concerned.
    pub job: Option<String>,
    /// JSON pointer into the manifest.
    pub pointer: Option<String>,
}

impl Report {
    /// The document for these diagnostics.
    pub fn new(files: usize, jobs: usize, diagnostics: &[Diagnostic]) -> Self {
        Self {
            schema: "cronwright.diagnostics/v1",
            files,
            jobs,
            diagnostics: diagnostics.iter().map(Entry::new).collect(),
        }
    }
}

impl Entry {
    /// The JSON form of one diagnostic. Where there is no help line, the label says what to do.
    pub fn new(diagnostic: &Diagnostic) -> Self {
        let start = diagnostic.place.as_ref().map(super::Place::line_column);
        let end = diagnostic.place.as_ref().map(super::Place::end_line_column);
        let label = Some(&diagnostic.label).filter(|label| !label.is_empty());
        Self {
            code: diagnostic.code,
            severity: diagnostic.severity.as_str(),
            message: diagnostic.message.clone(),
            help: diagnostic.help.as_ref().or(label).cloned(),
            file: diagnostic.path().to_owned(),
            line: start.map(|at| at.line),
            column: start.map(|at| at.column),
            end_line: end.map(|at| at.line),
            end_column: end.map(|at| at.column),
            job: diagnostic.job.clone(),
            pointer: diagnostic.pointer.clone(),
        }
    }
}
