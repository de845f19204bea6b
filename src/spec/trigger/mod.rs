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
use std::time::Duration;

use chrono::TimeDelta;

pub use crate::spec::trigger::calendar::{
    DayCalendar, DayRange, FireFilter, SEARCH_STEPS_MAX, Search, WEEKDAY_NAMES, Window,
};
pub use crate::spec::trigger::cron::CronTrigger;
pub use crate::spec::trigger::date::{DateTextError, DateTrigger, parse_date_text};
pub use crate::spec::trigger::error::{CronError, Field};
pub use crate::spec::trigger::expr::{CronExpr, DayMatch, Dialect, YEAR_LAST};
pub use crate::spec::trigger::interval::{
    IntervalStart, IntervalTrigger, PERIOD_MIN, PeriodError, PeriodTextError, parse_period_fields,
};
pub use crate::spec::trigger::jitter::start_time;
pub use crate::spec::trigger::parse::EXPRESSION_BYTES_MAX;
pub use crate::spec::trigger::shift_notes::{ShiftEffect, ShiftNote};
pub use crate::spec::trigger::words::{Language, describe, describe_shift};
pub use crate::spec::trigger::zone::{FoldRule, GapRule, LARGE_SHIFT};
use crate::time::{DurationText, Timestamp, Zone};

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

/// When a job is due. `Display` is the normal form: equal texts mean equal triggers. A trigger
/// whose every fire time remains, without jitter, is written as its schedule alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trigger {
    /// The fire times before any is removed.
    pub schedule: Schedule,
    /// Which of them remain.
    pub filter: FireFilter,
    /// Executions start less than this after their fire time (A10); zero: on it. No part of the
    /// due set: an edit of it alone keeps the phase and the fire times that have not started.
    pub jitter: Duration,
}

/// The kinds of trigger with what each says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Schedule {
    /// At the times that match a cron expression.
    Cron(CronTrigger),
    /// Every so often.
    Interval(IntervalTrigger),
    /// Once.
    Date(DateTrigger),
}

/// The normal form of a trigger's due set: schedule and filter, without the jitter. Triggers with
/// equal texts are due at the same times (D1).
#[derive(Debug, Clone, Copy)]
pub struct DueSet<'t>(&'t Trigger);

impl fmt::Display for DueSet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.0.schedule, self.0.filter)
    }
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.due_set().fmt(f)?;
        if self.jitter.is_zero() {
            return Ok(());
        }
        write!(f, " jitter={}", DurationText(self.jitter))
    }
}

impl From<Schedule> for Trigger {
    fn from(schedule: Schedule) -> Self {
        Self { schedule, filter: FireFilter::default(), jitter: Duration::ZERO }
    }
}

impl From<CronTrigger> for Trigger {
    fn from(cron: CronTrigger) -> Self {
        Schedule::Cron(cron).into()
    }
}

impl From<IntervalTrigger> for Trigger {
    fn from(interval: IntervalTrigger) -> Self {
        Schedule::Interval(interval).into()
    }
}

impl From<DateTrigger> for Trigger {
    fn from(date: DateTrigger) -> Self {
        Schedule::Date(date).into()
    }
}

impl Trigger {
    /// The first fire time strictly after `after`; none, too, when finding it would take too long
    /// ([`Self::search`] tells the two apart).
    ///
    /// `anchor` is the stored anchor of a trigger that needs one ([`Self::first_anchor`]).
    pub fn next_after(&self, after: Timestamp, anchor: Option<Timestamp>) -> Option<Timestamp> {
        match self.search(after, anchor) {
            Search::Found(at) => Some(at),
            Search::Finished | Search::Unknown(_) => None,
        }
    }

    /// The first fire time strictly after `after`, as far as it can be found in bounded time.
    pub fn search(&self, after: Timestamp, anchor: Option<Timestamp>) -> Search {
        let next = |after| self.schedule.next_after(after, anchor);
        if self.filter.is_empty() {
            return next(after).map_or(Search::Finished, Search::Found);
        }
        self.filter.search(self.zone(), after, next)
    }

    /// The anchor to store when the trigger is first applied at `applied_at`; none when the trigger
    /// itself says all (A5).
    pub fn first_anchor(&self, applied_at: Timestamp) -> Option<Timestamp> {
        self.schedule.first_anchor(applied_at)
    }

    /// The normal form of when it is due, without the jitter: what decides whether an edit changes
    /// it (D1), and the key of its stored anchor.
    pub fn due_set(&self) -> DueSet<'_> {
        DueSet(self)
    }

    /// Whether both are due at the same times by what they say (D1).
    pub fn is_due_like(&self, other: &Self) -> bool {
        self.schedule == other.schedule && self.filter == other.filter
    }

    /// Whether there is any fire time at all, past ones included (A11). Independent of today: a
    /// trigger for which this is false is a mistake, or its filter takes too long to pass; one
    /// whose times are over is only finished.
    pub fn can_ever_fire(&self) -> bool {
        // Where the anchor of an interval will lie is not known; as early as possible is fairest.
        let anchor = self.first_anchor(Timestamp::UNIX_EPOCH);
        let first = self.schedule.next_after(Timestamp::MIN_UTC, anchor);
        if self.filter.is_empty() || first.is_none() {
            return first.is_some();
        }
        if anchor.is_none() {
            return matches!(self.search(Timestamp::MIN_UTC, None), Search::Found(_));
        }
        // Any second may turn out to be on its grid.
        let end = self.schedule.end_date();
        let every_second = |after: Timestamp| {
            let at = after.checked_add_signed(TimeDelta::seconds(1))?;
            end.is_none_or(|end| at <= end).then_some(at)
        };
        let found = self.filter.search(self.zone(), Timestamp::UNIX_EPOCH, every_second);
        matches!(found, Search::Found(_))
    }

    /// The kind.
    pub fn kind(&self) -> TriggerKind {
        match &self.schedule {
            Schedule::Cron(_) => TriggerKind::Cron,
            Schedule::Interval(_) => TriggerKind::Interval,
            Schedule::Date(_) => TriggerKind::Date,
        }
    }

    /// The zone in which it was written and is shown; days and windows are in it.
    pub fn zone(&self) -> &Zone {
        match &self.schedule {
            Schedule::Cron(cron) => &cron.zone,
            Schedule::Interval(interval) => interval.zone(),
            Schedule::Date(date) => date.zone(),
        }
    }
}

impl Schedule {
    /// The first fire time strictly after `after`, before any is removed.
    fn next_after(&self, after: Timestamp, anchor: Option<Timestamp>) -> Option<Timestamp> {
        match self {
            Self::Cron(cron) => cron.next_after(after),
            Self::Interval(interval) => interval.next_after(after, anchor),
            Self::Date(date) => date.next_after(after),
        }
    }

    fn first_anchor(&self, applied_at: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Interval(interval) => interval.first_anchor(applied_at),
            Self::Cron(_) | Self::Date(_) => None,
        }
    }

    fn end_date(&self) -> Option<Timestamp> {
        match self {
            Self::Cron(cron) => cron.end_date,
            Self::Interval(interval) => interval.end_date(),
            Self::Date(_) => None,
        }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cron(cron) => cron.fmt(f),
            Self::Interval(interval) => interval.fmt(f),
            Self::Date(date) => date.fmt(f),
        }
    }
}
