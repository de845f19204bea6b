//! Policies: settings of a job as closed enums. No behaviour: what they do is `engine::admission`.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

/// What happens to an occurrence that is due while `max_instances` executions are in flight (B3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    /// It is recorded as `skipped(overlap)`.
    Skip,
    /// It starts all the same; `max_instances` does not apply.
    Allow,
}

impl Overlap {
    /// The word in a manifest.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::Allow => "allow",
        }
    }
}

/// What happens to the executions of a job that is removed (D4).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnRemove {
    /// They end as they will.
    #[default]
    Finish,
    /// They are cancelled.
    Cancel,
}

impl OnRemove {
    /// The word in a manifest.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Finish => "finish",
            Self::Cancel => "cancel",
        }
    }
}

/// How late an occurrence may still start (B1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GraceTime {
    /// Not later than this after its start time.
    Within(Duration),
    /// However late.
    Unlimited,
}

/// What happens to occurrences that were not started on time (B1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Misfire {
    /// Later than this: `missed`.
    pub grace_time: GraceTime,
    /// Several at once after an outage: only the latest runs.
    pub coalesce: bool,
    /// Without `coalesce`: at most this many of the newest run.
    pub max_catch_up: u32,
}

impl Default for Misfire {
    fn default() -> Self {
        Self {
            grace_time: GraceTime::Within(Duration::from_hours(1)),
            coalesce: true,
            max_catch_up: 10,
        }
    }
}
