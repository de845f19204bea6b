//! Attempts: the tries of one execution, what they are called, and what bounds them (C3).

use std::fmt;
use std::time::Duration;

use crate::engine::execution::{Ending, ExecutionId, Exit, Outcome};
use crate::spec::job::JobSpec;
use crate::spec::policy::Retry;
use crate::time::Timestamp;

/// What parts the id of an execution from the number of an attempt. It stands in no id.
const SEPARATOR: char = '#';

/// One attempt of an execution: what the executor knows it by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttemptId {
    /// The execution.
    pub execution: ExecutionId,
    /// From 1.
    pub number: u32,
}

impl AttemptId {
    /// The first attempt of an execution.
    pub fn first(execution: ExecutionId) -> Self {
        Self { execution, number: 1 }
    }

    /// Reads what [`fmt::Display`] writes.
    pub fn parse(text: &str) -> Self {
        let later = text.rsplit_once(SEPARATOR).and_then(|(id, number)| {
            let number: u32 = number.parse().ok().filter(|number| *number > 1)?;
            Some(Self { execution: ExecutionId(id.into()), number })
        });
        later.unwrap_or_else(|| Self::first(ExecutionId(text.into())))
    }
}

impl fmt::Display for AttemptId {
    /// The first attempt is called as its execution, the second has `#2` behind that.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.number {
            0 | 1 => write!(f, "{}", self.execution),
            number => write!(f, "{}{SEPARATOR}{number}", self.execution),
        }
    }
}

/// An attempt that ended and was not to be the last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// How it ended.
    pub outcome: Outcome,
    /// When its process began; none: it could not be started.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Timestamp,
    /// By the monotonic clock.
    pub duration: Option<Duration>,
    /// How the process ended.
    pub exit: Option<Exit>,
}

impl Attempt {
    /// What is kept of an attempt's ending.
    pub fn of(ending: &Ending) -> Self {
        Self {
            outcome: ending.outcome,
            started_at: ending.started_at,
            finished_at: ending.finished_at,
            duration: ending.duration,
            exit: ending.exit,
        }
    }
}

/// What bounds the attempts of an execution: the definition it began with, so that an edit does not touch
/// it, and so that any daemon can go on with it (C2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptRules {
    /// Further attempts.
    pub retry: Option<Retry>,
    /// Of one attempt.
    pub timeout: Option<Duration>,
    /// Of waiting and all attempts together, from the claim on.
    pub total_timeout: Option<Duration>,
}

impl AttemptRules {
    /// The rules of a definition; none: there is one attempt, and the supervisor alone limits it.
    pub fn of(spec: &JobSpec) -> Option<Box<Self>> {
        let rules = Self {
            retry: spec.retry.clone(),
            timeout: spec.timeout,
            total_timeout: spec.total_timeout,
        };
        (rules.retry.is_some() || rules.total_timeout.is_some()).then(|| Box::new(rules))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_attempts_read_back() {
        for text in ["etl-1@2026-01-01T00:00:00Z", "request-7", "a@b#2", "a@b#100"] {
            assert_eq!(AttemptId::parse(text).to_string(), text);
        }
        let second = AttemptId { execution: ExecutionId("a@b".into()), number: 2 };
        assert_eq!(AttemptId::parse("a@b#2"), second);
        for odd in ["a#1", "a#0", "a#x", "a#"] {
            assert_eq!(AttemptId::parse(odd), AttemptId::first(ExecutionId(odd.into())));
        }
    }
}
