//! What a call of a class or an HTTP call came to, as its process wrote it to the result file.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::engine::execution::{Exception, Failed};

/// What a call came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// The process ended before the call had.
    Unended,
    /// The call ended the interpreter with an exit code of its own.
    Exited,
    /// `main` returned this JSON text; none: `None`.
    Returned(Option<String>),
    /// It failed, and why.
    Failed(Failed, Exception),
}

#[derive(Deserialize)]
struct Document<'d> {
    /// The mark of a call of a class: the version of the form.
    #[serde(rename = "cronwright.class")]
    class: Option<u32>,
    /// The mark of an HTTP call.
    #[serde(rename = "cronwright.http")]
    http: Option<u32>,
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
        let failed = match (document.class, document.http) {
            (Some(VERSION), None) => Failed::Exception,
            (None, Some(VERSION)) => Failed::Http,
            (_, _) => return None,
        };
        if !document.ended {
            return Some(Self::Unended);
        }
        if let Some(ExceptionDocument { kind, message, traceback }) = document.exception {
            return Some(Self::Failed(failed, Exception { kind, message, traceback }));
        }
        if document.exit {
            return Some(Self::Exited);
        }
        Some(Self::Returned(document.result.map(|value| value.get().to_owned())))
    }
}
