//! What is wrong with manifests.

use serde::{Deserialize, Serialize};

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
