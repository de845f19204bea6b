//! The attempts of an execution, and what bounds them, as they are stored in its row.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::engine::execution::{Attempt, AttemptRules, Outcome};
use crate::io::store::document::ending::ExitDocument;
use crate::spec::policy::{Backoff, OnLost, Retry};
use crate::time::Timestamp;

/// Fields of an [`AttemptDocument`] that are times.
pub const ATTEMPT_TIMES: [&str; 2] = ["started_at", "finished_at"];

/// An attempt that another followed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptDocument {
    /// How it ended.
    pub outcome: String,
    /// Why it ended so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When its process began.
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
}

impl AttemptDocument {
    /// The stored form of an attempt.
    pub fn of(attempt: &Attempt) -> Self {
        Self {
            outcome: attempt.outcome.as_str().to_owned(),
            reason: attempt.outcome.reason().map(str::to_owned),
            started_at: attempt.started_at,
            finished_at: attempt.finished_at,
            duration_ms: attempt.duration.map(milliseconds),
            exit: attempt.exit.map(ExitDocument::of),
        }
    }

    /// Reads the document; the error says what is wrong with it.
    pub fn attempt(&self) -> Result<Attempt, &'static str> {
        Ok(Attempt {
            outcome: Outcome::parse(&self.outcome, self.reason.as_deref())
                .ok_or("unknown outcome of an attempt")?,
            started_at: self.started_at,
            finished_at: self.finished_at,
            duration: self.duration_ms.map(duration),
            exit: self.exit.and_then(ExitDocument::exit),
        })
    }
}

/// What bounds the attempts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RulesDocument {
    /// Further attempts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetryDocument>,
    /// Of one attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<i64>,
    /// Of waiting and all attempts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_timeout_ms: Option<i64>,
}

/// Further attempts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryDocument {
    /// How many.
    pub limit: u32,
    /// The wait before the first of them.
    pub delay_ms: i64,
    /// How the waits grow.
    pub backoff: String,
    /// No wait is longer.
    pub max_delay_ms: i64,
    /// By how many thousandths of itself a wait is shortened at most.
    pub jitter_permille: u32,
    /// Only after these exit codes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on_exit_codes: Vec<i32>,
    /// A lost attempt counts as one that failed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub after_lost: bool,
}

impl RulesDocument {
    /// The stored form of rules.
    pub fn of(rules: &AttemptRules) -> Self {
        Self {
            retry: rules.retry.as_ref().map(|retry| RetryDocument {
                limit: retry.limit,
                delay_ms: milliseconds(retry.delay),
                backoff: retry.backoff.as_str().to_owned(),
                max_delay_ms: milliseconds(retry.max_delay),
                jitter_permille: retry.jitter_permille,
                on_exit_codes: retry.on_exit_codes.clone(),
                after_lost: retry.on_lost == OnLost::Retry,
            }),
            timeout_ms: rules.timeout.map(milliseconds),
            total_timeout_ms: rules.total_timeout.map(milliseconds),
        }
    }

    /// Reads the document; the error says what is wrong with it.
    pub fn rules(self) -> Result<AttemptRules, &'static str> {
        let retry = |stored: RetryDocument| -> Result<Retry, &'static str> {
            Ok(Retry {
                limit: stored.limit,
                delay: duration(stored.delay_ms),
                backoff: Backoff::parse(&stored.backoff).ok_or("unknown backoff")?,
                max_delay: duration(stored.max_delay_ms),
                jitter_permille: stored.jitter_permille,
                on_exit_codes: stored.on_exit_codes,
                on_lost: if stored.after_lost { OnLost::Retry } else { OnLost::Record },
            })
        };
        Ok(AttemptRules {
            retry: self.retry.map(retry).transpose()?,
            timeout: self.timeout_ms.map(duration),
            total_timeout: self.total_timeout_ms.map(duration),
        })
    }
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn duration(milliseconds: i64) -> Duration {
    Duration::from_millis(milliseconds.unsigned_abs())
}
