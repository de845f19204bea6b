//! Triggers: when a job is due. Pure: fire times are a function of the trigger and, for some
//! intervals, of a stored anchor (A2).
//!
//! Start at [`Trigger`]: a [`Schedule`], a [`FireFilter`] and jitter. A cron trigger is text ([`parse`] over [`field`]) compiled to masks
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
use std::time::Duration;

use chrono::TimeDelta;

use crate::spec::params::ParamValues;
pub use crate::spec::trigger::calendar::{
    DayCalendar, DayRange, FireFilter, SEARCH_STEPS_MAX, Search, Window, weekday_name,
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

/// How many searches of [`SEARCH_STEPS_MAX`] steps follow each other at most, to find out what is due.
const SEARCHES_MAX: usize = 10;

/// When a job is due: fire times by a rule, less those that a filter removes.
///
/// `Display` is the normal form of the due set: equal texts mean equal fire times (D1). Jitter is not
/// part of it: it moves starts, not fire times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trigger {
    /// The rule.
    pub schedule: Schedule,
    /// What remains of its fire times.
    pub filter: FireFilter,
    /// By how much the start of an execution may be delayed, drawn for each fire time (A10).
    pub jitter: Duration,
    /// What its executions are given; not part of the due set either.
    pub params: ParamValues,
}

/// The rule that fire times follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Schedule {
    /// At the times that match a cron expression.
    Cron(CronTrigger),
    /// Every so often.
    Interval(IntervalTrigger),
    /// Once.
    Date(DateTrigger),
}

impl From<CronTrigger> for Trigger {
    fn from(cron: CronTrigger) -> Self {
        Self::plain(Schedule::Cron(cron))
    }
}

impl From<IntervalTrigger> for Trigger {
    fn from(interval: IntervalTrigger) -> Self {
        Self::plain(Schedule::Interval(interval))
    }
}

impl From<DateTrigger> for Trigger {
    fn from(date: DateTrigger) -> Self {
        Self::plain(Schedule::Date(date))
    }
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.schedule {
            Schedule::Cron(cron) => cron.fmt(f),
            Schedule::Interval(interval) => interval.fmt(f),
            Schedule::Date(date) => date.fmt(f),
        }?;
        self.filter.fmt(f)
    }
}

impl Trigger {
    /// All fire times of a rule, without jitter.
    pub fn plain(schedule: Schedule) -> Self {
        Self {
            schedule,
            filter: FireFilter::default(),
            jitter: Duration::ZERO,
            params: ParamValues::new(),
        }
    }

    /// The first fire time strictly after `after`; none, too, when finding it would take more than a few
    /// milliseconds ([`Self::search`] tells the two apart). For looks at what is written; what is due is
    /// asked of [`Self::next_due_after`].
    ///
    /// `anchor` is the stored anchor of a trigger that needs one ([`Self::first_anchor`]).
    pub fn next_after(&self, after: Timestamp, anchor: Option<Timestamp>) -> Option<Timestamp> {
        match self.search(after, anchor) {
            Search::Found(at) => Some(at),
            Search::Finished | Search::Unknown(_) => None,
        }
    }

    /// As [`Self::next_after`], for as long as windows as narrow as a minute take to pass a season: no job
    /// may fall silent because much is removed in a row.
    pub fn next_due_after(&self, after: Timestamp, anchor: Option<Timestamp>) -> Option<Timestamp> {
        let mut after = after;
        for _ in 0..SEARCHES_MAX {
            match self.search(after, anchor) {
                Search::Found(at) => return Some(at),
                Search::Finished => return None,
                Search::Unknown(at) => after = at,
            }
        }
        None
    }

    /// The first fire time strictly after `after`, as far as it can be found in bounded time.
    pub fn search(&self, after: Timestamp, anchor: Option<Timestamp>) -> Search {
        let next = |after| self.schedule.next_after(after, anchor);
        if self.filter.is_idle() {
            return next(after).map_or(Search::Finished, Search::Found);
        }
        self.filter.search(self.zone(), after, next)
    }

    /// The anchor to store when the trigger is first applied at `applied_at`; none when the trigger
    /// itself says all (A5).
    pub fn first_anchor(&self, applied_at: Timestamp) -> Option<Timestamp> {
        match &self.schedule {
            Schedule::Interval(interval) => interval.first_anchor(applied_at),
            Schedule::Cron(_) | Schedule::Date(_) => None,
        }
    }

    /// Whether there is any fire time at all, past ones included (A11). Independent of today: a
    /// trigger for which this is false is a mistake, one whose times are over is only finished. False,
    /// too, for one whose first fire time takes too long to find.
    pub fn can_ever_fire(&self) -> bool {
        // Where the anchor of an interval will lie is not known; as early as possible is fairest.
        let anchor = self.first_anchor(Timestamp::UNIX_EPOCH);
        let first = self.schedule.next_after(Timestamp::MIN_UTC, anchor);
        if self.filter.is_idle() || first.is_none() {
            return first.is_some();
        }
        if anchor.is_none() {
            return self.next_after(Timestamp::MIN_UTC, None).is_some();
        }
        // Any second may turn out to lie on its grid.
        let end = self.schedule.end_date();
        let every_second = |after: Timestamp| {
            let at = after.checked_add_signed(TimeDelta::seconds(1))?;
            end.is_none_or(|end| at <= end).then_some(at)
        };
        let found = self.filter.search(self.zone(), Timestamp::UNIX_EPOCH, every_second);
        matches!(found, Search::Found(_))
    }

    /// Whether both have the same fire times (D1); jitter may differ.
    pub fn is_due_like(&self, other: &Self) -> bool {
        self.schedule == other.schedule && self.filter == other.filter
    }

    /// The kind.
    pub fn kind(&self) -> TriggerKind {
        match &self.schedule {
            Schedule::Cron(_) => TriggerKind::Cron,
            Schedule::Interval(_) => TriggerKind::Interval,
            Schedule::Date(_) => TriggerKind::Date,
        }
    }

    /// The zone in which it was written and is shown.
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

    fn end_date(&self) -> Option<Timestamp> {
        match self {
            Self::Cron(cron) => cron.end_date,
            Self::Interval(interval) => interval.end_date(),
            Self::Date(_) => None,
        }
    }
}
