//! Triggers: when a job is due. Pure: fire times are a function of the trigger and, for some
//! intervals, of a stored anchor (A2).
//!
//! Start at [`Trigger`]. A cron trigger is text ([`parse`] over [`field`]) compiled to masks
//! ([`expr`]), asked for local times, which [`zone`] maps to instants; [`normal`] is the way back.

mod calendar;
mod civil;
mod cron;
mod date;
mod error;
mod explanation;
mod expr;
mod field;
mod interval;
mod jitter;
mod normal;
mod parse;
mod shift_notes;
mod special;
mod words;
mod zone;

use std::fmt;

pub use crate::spec::trigger::calendar::{
    DayCalendar, DayRange, FireFilter, SEARCH_STEPS_MAX, Window,
};
pub use crate::spec::trigger::cron::CronTrigger;
pub use crate::spec::trigger::date::{DateTextError, DateTrigger, parse_date_text};
pub use crate::spec::trigger::error::{CronError, Field};
pub use crate::spec::trigger::explanation::other_readings;
pub use crate::spec::trigger::expr::{CronExpr, DayMatch, Dialect, YEAR_LAST};
pub use crate::spec::trigger::interval::{
    IntervalStart, IntervalTrigger, PERIOD_MIN, PeriodError, PeriodTextError, parse_period_fields,
};
pub use crate::spec::trigger::jitter::start_time;
pub use crate::spec::trigger::parse::EXPRESSION_BYTES_MAX;
pub use crate::spec::trigger::shift_notes::{ShiftEffect, ShiftNote};
pub use crate::spec::trigger::words::{
    Language, describe, describe_clock_rule, describe_cron, describe_shift, weekday_word,
};
pub use crate::spec::trigger::zone::{FoldRule, GapRule, LARGE_SHIFT};
use crate::time::{Timestamp, Zone};

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
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trigger {
    /// At the times that match a cron expression.
    Cron(CronTrigger),
    /// Every so often.
    Interval(IntervalTrigger),
    /// Once.
    Date(DateTrigger),
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cron(cron) => cron.fmt(f),
            Self::Interval(interval) => interval.fmt(f),
            Self::Date(date) => date.fmt(f),
        }
    }
}

impl Trigger {
    /// The first fire time strictly after `after`.
    ///
    /// `anchor` is the stored anchor of a trigger that needs one ([`Self::first_anchor`]).
    pub fn next_after(&self, after: Timestamp, anchor: Option<Timestamp>) -> Option<Timestamp> {
        match self {
            Self::Cron(cron) => cron.next_after(after),
            Self::Interval(interval) => interval.next_after(after, anchor),
            Self::Date(date) => date.next_after(after),
        }
    }

    /// The anchor to store when the trigger is first applied at `applied_at`; none when the trigger
    /// itself says all (A5).
    pub fn first_anchor(&self, applied_at: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Interval(interval) => interval.first_anchor(applied_at),
            Self::Cron(_) | Self::Date(_) => None,
        }
    }

    /// Whether there is any fire time at all, past ones included (A11). Independent of today: a
    /// trigger for which this is false is a mistake, one whose times are over is only finished.
    pub fn can_ever_fire(&self) -> bool {
        // Where the anchor of an interval will lie is not known; as early as possible is fairest.
        let anchor = self.first_anchor(Timestamp::UNIX_EPOCH);
        self.next_after(Timestamp::MIN_UTC, anchor).is_some()
    }

    /// The kind.
    pub fn kind(&self) -> TriggerKind {
        match self {
            Self::Cron(_) => TriggerKind::Cron,
            Self::Interval(_) => TriggerKind::Interval,
            Self::Date(_) => TriggerKind::Date,
        }
    }

    /// The zone in which it was written and is shown.
    pub fn zone(&self) -> &Zone {
        match self {
            Self::Cron(cron) => &cron.zone,
            Self::Interval(interval) => interval.zone(),
            Self::Date(date) => date.zone(),
        }
    }
}
