//! What is wrong with manifests.

use serde::{Deserialize, Serialize};

use crate::diagnostic::Diagnostic;
use crate::diagnostic::report::Entry;

/// One complaint; all four numbers are absent where a file could not be read at all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiagnosticEntry {
    /// `E0107`.
    pub code: String,
    /// `error` or `warning`.
    pub severity: String,
    /// One sentence.
    pub message: String,
    /// The next act.
    pub help: Option<String>,
    /// Its path, relative to the folder of the settings.
    pub file: String,
    /// First line, from 1.
    pub line: Option<usize>,
    /// First column, from 1, in characters.
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

impl DiagnosticEntry {
    /// The document of a complaint: the same as `validate` prints, in a form that can be read back.
    pub fn of(diagnostic: &Diagnostic) -> Self {
        let entry = Entry::new(diagnostic);
        Self {
            code: entry.code.to_owned(),
            severity: entry.severity.to_owned(),
            message: entry.message,
            help: entry.help,
            file: entry.file,
            line: entry.line,
            column: entry.column,
            end_line: entry.end_line,
            end_column: entry.end_column,
            job: entry.job,
            pointer: entry.pointer,
        }
    }
}
