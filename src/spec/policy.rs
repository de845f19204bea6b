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
    /// It waits until one of them has ended; `max_queued` says how many may wait.
    Queue,
    /// The oldest of them is cancelled, and it starts when that has ended.
    Replace,
    /// It starts all the same; `max_instances` does not apply.
    Allow,
}

/// How many occurrences of a job wait at most, where nothing else is said (B3).
pub const MAX_QUEUED: u32 = 1;

impl Overlap {
    /// The word in a manifest.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::Queue => "queue",
            Self::Replace => "replace",
            Self::Allow => "allow",
        }
    }
}

/// The most attempts after the first.
pub const RETRY_LIMIT_MAX: u32 = 100;

/// Further attempts after one that failed or timed out (C3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retry {
    /// How many, after the first attempt: 1 to [`RETRY_LIMIT_MAX`].
    pub limit: u32,
    /// The wait before the first of them.
    pub delay: Duration,
    /// How the waits grow.
    pub backoff: Backoff,
    /// No wait is longer; not less than `delay`.
    pub max_delay: Duration,
    /// By how many thousandths of itself a wait is shortened at most.
    pub jitter_permille: u32,
    /// Only after these exit codes, ascending, each once; empty: after every failure and timeout.
    pub on_exit_codes: Vec<i32>,
    /// What becomes of an execution of which an attempt is lost.
    pub on_lost: OnLost,
}

impl Retry {
    /// What is built in where only a number of retries is given.
    pub fn of_limit(limit: u32) -> Self {
        Self {
            limit,
            delay: Duration::from_secs(10),
            backoff: Backoff::Exponential,
            max_delay: Duration::from_mins(10),
            jitter_permille: 200,
            on_exit_codes: Vec::new(),
            on_lost: OnLost::Record,
        }
    }
}

/// What becomes of an execution whose owner vanished with an attempt under way (C4).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnLost {
    /// It ends as lost: nobody knows what the attempt did.
    #[default]
    Record,
    /// The attempt counts as one that failed, and `retry` decides. What it began may be done twice.
    Retry,
}

impl OnLost {
    /// The word in a manifest.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Record => "record",
            Self::Retry => "retry",
        }
    }
}

/// How the waits between attempts grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Backoff {
    /// Each is twice the one before.
    Exponential,
    /// They do not.
    Fixed,
}

impl Backoff {
    /// Every one.
    pub const ALL: [Self; 2] = [Self::Exponential, Self::Fixed];

    /// The word in a manifest.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Exponential => "exponential",
            Self::Fixed => "fixed",
        }
    }

    /// The one with this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|backoff| backoff.as_str() == word)
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
