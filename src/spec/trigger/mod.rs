//! Triggers: when a job is due. Pure: fire times are a function of the trigger and, for some
//! intervals, of a stored anchor (A2).

use crate::time::Timestamp;

/// The kinds of trigger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TriggerKind {
    /// A cron expression.
    Cron,
    /// A period.
    Interval,
    /// One instant.
    Date,
}

impl TriggerKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Cron, Self::Interval, Self::Date];

    /// The key in a manifest, and `CRONWRIGHT_TRIGGER`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cron => "cron",
            Self::Interval => "interval",
            Self::Date => "date",
        }
    }

    /// The kind with this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// When a job is due. `Display` is the normal form: equal texts mean equal triggers (D1).
#[derive(Debug, Clone, PartialEq)]
pub enum Trigger {
    /// Placeholder until the variants of this file's owner stand here.
    Never,
}

impl std::fmt::Display for Trigger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("never")
    }
}

impl Trigger {
    /// The first fire time strictly after `after`.
    ///
    /// `anchor` is the stored anchor of a trigger that needs one ([`Self::first_anchor`]).
    pub fn next_after(&self, _after: Timestamp, _anchor: Option<Timestamp>) -> Option<Timestamp> {
        None
    }

    /// The anchor to store when the trigger is first applied at `applied_at`; none when the trigger
    /// itself says all (A5).
    pub fn first_anchor(&self, _applied_at: Timestamp) -> Option<Timestamp> {
        None
    }

    /// The kind.
    pub fn kind(&self) -> TriggerKind {
        TriggerKind::Cron
    }
}
