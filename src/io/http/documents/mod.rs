//! The JSON documents that others may build on: what the API serves and `-o json` prints.
//!
//! Every document begins with its `schema`; within `v1` fields are only added. Times carry an offset,
//! durations are seconds as numbers. A reader ignores fields that it does not know, and takes states and
//! outcomes as words, so that an older reader understands a newer writer.

pub mod diagnostics;
pub mod event;
pub mod executions;
pub mod jobs;
pub mod overrides;
pub mod plan;
pub mod planned;
pub mod request;
pub mod status;
pub mod sync;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::{Timestamp, Zone};

/// An instant as it is written: with the offset of the zone it is about.
pub type At = chrono::DateTime<chrono::FixedOffset>;

/// An instant with a zone's offset.
pub fn at_in(zone: &Zone, at: Timestamp) -> At {
    let offset = chrono::FixedOffset::east_opt(zone.offset_at(at.timestamp()));
    offset.map_or_else(|| at.fixed_offset(), |offset| at.with_timezone(&offset))
}

/// A duration as seconds, to the millisecond.
pub fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1000.0).round() / 1000.0
}

/// Why a request over HTTP has no other answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorDocument {
    /// [`ErrorDocument::SCHEMA`].
    pub schema: String,
    /// What is wrong.
    pub error: ErrorEntry,
}

/// What is wrong, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorEntry {
    /// Stable: `E0404`.
    pub code: String,
    /// One sentence.
    pub message: String,
    /// The next act.
    #[serde(default)]
    pub help: Option<String>,
}

impl ErrorDocument {
    /// Name and version of this document.
    pub const SCHEMA: &str = "cronwright.error/v1";

    /// A document about this error.
    pub fn new(error: ErrorEntry) -> Self {
        Self { schema: Self::SCHEMA.to_owned(), error }
    }
}
