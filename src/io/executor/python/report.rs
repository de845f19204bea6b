//! What a call came to, as its process wrote it to the result file.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::engine::execution::Exception;

/// What a call came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// The process ended before the call had.
    Unended,
    /// The call ended the interpreter with an exit code of its own.
    Exited,
    /// `main` returned this JSON text; none: `None`.
    Returned(Option<String>),
    /// An exception came out of it.
    Raised(Exception),
}

#[derive(Deserialize)]
struct Document<'d> {
    #[serde(rename = "cronwright.class")]
    version: u32,
    ended: bool,
    #[serde(default)]
    exit: bool,
    #[serde(borrow)]
    result: Option<&'d RawValue>,
    exception: Option<ExceptionDocument>,
}

#[derive(Deserialize)]
struct ExceptionDocument {
    #[serde(rename = "type")]
    kind: String,
    message: String,
    traceback: Option<String>,
}

/// The version of the form.
const VERSION: u32 = 1;

impl Report {
    /// The report in a result file; none: it was written by something else.
    pub fn parse(text: &str) -> Option<Self> {
        let document: Document<'_> = serde_json::from_str(text).ok()?;
        if document.version != VERSION {
            return None;
        }
        if !document.ended {
            return Some(Self::Unended);
        }
        if let Some(ExceptionDocument { kind, message, traceback }) = document.exception {
            return Some(Self::Raised(Exception { kind, message, traceback }));
        }
        if document.exit {
            return Some(Self::Exited);
        }
        Some(Self::Returned(document.result.map(|value| value.get().to_owned())))
    }
}
