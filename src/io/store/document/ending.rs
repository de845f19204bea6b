//! How an execution ended, as it is stored: what an ending adds to its row.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

use crate::engine::execution::{Ending, Exit, LimitKind, Outcome, Output, ProtectedBy, Protection};
use crate::time::Timestamp;

/// What an ending writes into its row, beside `state` and `slot`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EndingDocument {
    /// How it ended.
    pub outcome: String,
    /// Why it ended so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When its process began; absent: what the row says already.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Timestamp,
    /// How long it ran, by the monotonic clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<i64>,
    /// How its process ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit: Option<ExitDocument>,
    /// What it returned: JSON text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exception: Option<ExceptionDocument>,
    /// What it printed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<OutputDocument>,
    /// What kept its process within its bounds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protection: Option<ProtectionDocument>,
}

/// What kept a process within its bounds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProtectionDocument {
    /// `cgroup` or `group`.
    pub by: String,
    /// The limits that held, by their keys.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<String>,
}

impl ProtectionDocument {
    /// The stored form.
    pub fn of(protection: &Protection) -> Self {
        let limits = protection.limits.iter().map(|kind| kind.as_str().to_owned()).collect();
        Self { by: protection.by.as_str().to_owned(), limits }
    }

    /// Reads the document. A limit that a later version knows is left out.
    pub fn protection(&self) -> Result<Protection, &'static str> {
        let by = ProtectedBy::parse(&self.by).ok_or("unknown protection")?;
        Ok(Protection {
            by,
            limits: self.limits.iter().filter_map(|key| LimitKind::parse(key)).collect(),
        })
    }
}

/// How a process ended: one of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitDocument {
    /// With this code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<i32>,
    /// By this signal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
}

impl ExitDocument {
    /// The stored form of an exit.
    pub fn of(exit: Exit) -> Self {
        match exit {
            Exit::Code(code) => Self { code: Some(code), signal: None },
            Exit::Signal(signal) => Self { code: None, signal: Some(signal) },
        }
    }

    /// Reads the document.
    pub fn exit(self) -> Option<Exit> {
        self.code.map(Exit::Code).or_else(|| self.signal.map(Exit::Signal))
    }
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExceptionDocument {
    /// Kind of error.
    #[serde(rename = "type")]
    pub kind: String,
    /// One sentence.
    pub message: String,
    /// Where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traceback: Option<String>,
}

/// What was kept of an output. `encoding` says `base64` when it is not UTF-8 text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputDocument {
    /// The first bytes.
    pub head: String,
    /// The last bytes, when not all is in `head`.
    pub tail: String,
    /// `base64`, or absent: text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoding: Option<String>,
    /// How many bytes were written in all.
    pub bytes: i64,
    /// Whether bytes were dropped.
    pub truncated: bool,
}

/// An outcome that came late.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LateOutcome {
    /// Its word.
    pub outcome: String,
    /// Its reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl EndingDocument {
    /// The stored form of an ending.
    pub fn of(ending: &Ending) -> Self {
        Self {
            outcome: ending.outcome.as_str().to_owned(),
            reason: ending.outcome.reason().map(str::to_owned),
            started_at: ending.started_at,
            finished_at: ending.finished_at,
            duration_ms: ending
                .duration
                .map(|duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)),
            exit: ending.exit.map(ExitDocument::of),
            result: ending.result.clone(),
            exception: ending.exception.as_ref().map(|exception| ExceptionDocument {
                kind: exception.kind.clone(),
                message: exception.message.clone(),
                traceback: exception.traceback.clone(),
            }),
            output: (ending.output.bytes > 0).then(|| OutputDocument::of(&ending.output)),
            protection: ending.protection.as_ref().map(ProtectionDocument::of),
        }
    }
}

impl OutputDocument {
    fn of(output: &Output) -> Self {
        let text =
            std::str::from_utf8(&output.head).is_ok() && std::str::from_utf8(&output.tail).is_ok();
        let encode = |bytes: &[u8]| {
            if text { String::from_utf8_lossy(bytes).into_owned() } else { BASE64.encode(bytes) }
        };
        Self {
            head: encode(&output.head),
            tail: encode(&output.tail),
            encoding: (!text).then(|| "base64".to_owned()),
            bytes: i64::try_from(output.bytes).unwrap_or(i64::MAX),
            truncated: output.truncated(),
        }
    }

    /// Reads the document; the error says what is wrong with it.
    pub fn output(self) -> Result<Output, &'static str> {
        let decode = |text: String| match self.encoding.as_deref() {
            None => Ok(text.into_bytes()),
            Some("base64") => BASE64.decode(text).map_err(|_| "output is not base64"),
            Some(_) => Err("unknown encoding of output"),
        };
        Ok(Output {
            head: decode(self.head)?,
            tail: decode(self.tail)?,
            bytes: self.bytes.unsigned_abs(),
        })
    }
}

impl LateOutcome {
    /// The stored form of an outcome.
    pub fn of(outcome: Outcome) -> Self {
        Self { outcome: outcome.as_str().to_owned(), reason: outcome.reason().map(str::to_owned) }
    }
}
