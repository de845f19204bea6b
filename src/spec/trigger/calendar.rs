//! Calendars and exclusions: they remove fire times, and never move one (A7).
//!
//! Days and windows are those of the trigger's zone. [`FireFilter`] is what a trigger asks. Sets are
//! kept in a normal form, so that equal ones compare and print equal.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chrono::{Datelike, NaiveDate, TimeDelta, Weekday};

use crate::spec::trigger::cron::next_fire;
use crate::spec::trigger::expr::CronExpr;
use crate::time::{DurationText, LocalTime, Timestamp, Zone, rfc3339};

/// Which fire times of a trigger remain. `Display` is a part of its normal form: empty, or words
/// that begin with a blank.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FireFilter {
    calendar: Option<Arc<DayCalendar>>,
    exclude: Vec<Window>,
}

/// A set of days: some weekdays, without the exceptions, with the additions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DayCalendar {
    weekdays: [bool; 7],
    except: Vec<DayRange>,
    also: Vec<DayRange>,
}

/// Days from one to another, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct DayRange {
    /// The first day.
    pub first: NaiveDate,
    /// The last day.
    pub last: NaiveDate,
}

/// A stretch of time in which nothing fires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Window {
    /// From an instant, included, to another, excluded.
    Once {
        /// The first instant.
        start: Timestamp,
        /// The instant after the last.
        end: Timestamp,
    },
    /// From each time that matches an expression on, in the trigger's zone, for this long.
    Recurring {
        /// Begins the window.
        cron: Box<CronExpr>,
        /// How long it lasts; never zero.
        duration: Duration,
    },
}

/// What a search for a fire time found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Search {
    /// The next fire time.
    Found(Timestamp),
    /// There is none any more.
    Finished,
    /// None up to here; whether there is one later would take too long to find out now.
    Unknown(Timestamp),
}

/// How many windows a search looks at, and fire times it gets, before it gives up: a few
/// milliseconds.
pub const SEARCH_STEPS_MAX: usize = 20_000;

/// Weekdays as they are written, Monday first.
pub const WEEKDAY_NAMES: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

impl FireFilter {
    /// Only on the days of a calendar, and never inside the windows.
    pub fn new(calendar: Option<Arc<DayCalendar>>, exclude: Vec<Window>) -> Self {
        Self { calendar, exclude: normal_windows(exclude) }
    }

    /// The days on which fire times remain; none: every day.
    pub fn calendar(&self) -> Option<&DayCalendar> {
        self.calendar.as_deref()
    }

    /// The windows in which none remains; those from instant to instant in order and apart.
    pub fn exclude(&self) -> &[Window] {
        &self.exclude
    }

    /// Whether every fire time remains.
    pub fn is_empty(&self) -> bool {
        self.calendar.is_none() && self.exclude.is_empty()
    }

    /// Whether a fire time remains.
    pub fn admits(&self, zone: &Zone, at: Timestamp) -> bool {
        self.removed_until(zone, at) == Removed::No
    }

    /// The first fire time strictly after `after` that remains, given the next one of the schedule.
    /// Stretches that remove everything are passed over in one step.
    pub fn search(
        &self,
        zone: &Zone,
        after: Timestamp,
        next: impl Fn(Timestamp) -> Option<Timestamp>,
    ) -> Search {
        let mut after = after;
        let steps = SEARCH_STEPS_MAX / (1 + self.exclude.len());
        for _ in 0..steps.max(1) {
            let Some(at) = next(after) else { return Search::Finished };
            match self.removed_until(zone, at) {
                Removed::No => return Search::Found(at),
                Removed::ForEver => return Search::Finished,
                Removed::Until(end) => {
                    let before_end = end.checked_sub_signed(TimeDelta::nanoseconds(1));
                    after = before_end.unwrap_or(end).max(at);
                }
            }
        }
        Search::Unknown(after)
    }

    /// For how long the rule that removes a fire time goes on removing all.
    fn removed_until(&self, zone: &Zone, at: Timestamp) -> Removed {
        if let Some(calendar) = &self.calendar {
            let day = zone.local(at).date();
            match calendar.first_from(day) {
                Some(first) if first == day => {}
                Some(first) => return Removed::Until(midnight(zone, first)),
                None => return Removed::ForEver,
            }
        }
        let end = self.exclude.iter().find_map(|window| window.end_around(zone, at));
        end.map_or(Removed::No, Removed::Until)
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Removed {
    No,
    Until(Timestamp),
    ForEver,
}

impl fmt::Display for FireFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(calendar) = &self.calendar {
            write!(f, " calendar={calendar}")?;
        }
        for window in &self.exclude {
            write!(f, " exclude={window}")?;
        }
        Ok(())
    }
}

impl DayCalendar {
    /// The days of some weekdays, without `except`, with `also`. An addition wins.
    pub fn new(weekdays: &[Weekday], except: Vec<DayRange>, also: Vec<DayRange>) -> Self {
        let is_listed = |from_monday: usize| {
            weekdays.iter().any(|day| day.num_days_from_monday() as usize == from_monday)
        };
        Self {
            weekdays: std::array::from_fn(is_listed),
            except: normal_ranges(except),
            also: normal_ranges(also),
        }
    }

    /// The names of its weekdays, Monday first.
    pub fn weekday_names(&self) -> Vec<&'static str> {
        let named = WEEKDAY_NAMES.iter().zip(self.weekdays);
        named.filter(|(_, is_in)| *is_in).map(|(name, _)| *name).collect()
    }

    /// Days of those weekdays that are not in it; in order and apart.
    pub fn except(&self) -> &[DayRange] {
        &self.except
    }

    /// Further days, whatever else is said; in order and apart.
    pub fn also(&self) -> &[DayRange] {
        &self.also
    }

    /// Whether a day is in the set.
    pub fn contains(&self, day: NaiveDate) -> bool {
        self.first_from(day) == Some(day)
    }

    /// The first day of the set, from one on.
    fn first_from(&self, day: NaiveDate) -> Option<NaiveDate> {
        let added = range_from(&self.also, day).map(|range| range.first.max(day));
        let by_weekday = self.first_weekday_from(day, added);
        match (added, by_weekday) {
            (Some(added), Some(by_weekday)) => Some(added.min(by_weekday)),
            (found, None) | (None, found) => found,
        }
    }

    /// The first day by its weekday that is no exception; of no interest from `limit` on.
    fn first_weekday_from(&self, day: NaiveDate, limit: Option<NaiveDate>) -> Option<NaiveDate> {
        if self.weekdays == [false; 7] {
            return None;
        }
        let mut day = day;
        while limit.is_none_or(|limit| day < limit) {
            let weekday = day.weekday().num_days_from_monday() as usize;
            if !self.weekdays.get(weekday).copied().unwrap_or(false) {
                day = day.succ_opt()?;
            } else if let Some(range) = range_from(&self.except, day).filter(|r| r.contains(day)) {
                day = range.last.succ_opt()?;
            } else {
                return Some(day);
            }
        }
        None
    }
}

impl fmt::Display for DayCalendar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.weekday_names().join(","))?;
        for (key, ranges) in [("except", &self.except), ("also", &self.also)] {
            if !ranges.is_empty() {
                let ranges: Vec<String> = ranges.iter().map(ToString::to_string).collect();
                write!(f, ";{key}:{}", ranges.join(","))?;
            }
        }
        Ok(())
    }
}

impl DayRange {
    /// One day.
    pub fn day(day: NaiveDate) -> Self {
        Self { first: day, last: day }
    }

    /// Whether a day lies in it.
    pub fn contains(self, day: NaiveDate) -> bool {
        (self.first..=self.last).contains(&day)
    }
}

/// As it is written in a manifest.
impl fmt::Display for DayRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}..{}", self.first, self.last)
        }
    }
}

impl Window {
    /// The end of a window that an instant lies in; none when it lies in none.
    fn end_around(&self, zone: &Zone, at: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Once { start, end } => (*start..*end).contains(&at).then_some(*end),
            Self::Recurring { cron, duration } => {
                let duration = TimeDelta::from_std(*duration).ok()?;
                // Windows that began earlier are over. One of several that overlap will do.
                let begun_after = at.checked_sub_signed(duration)?;
                let start = next_fire(cron, zone, None, None, begun_after)?;
                let end = start.checked_add_signed(duration)?;
                (start <= at).then_some(end)
            }
        }
    }
}

/// Without blanks: a word of the trigger's normal form.
impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Once { start, end } => write!(f, "{}..{}", rfc3339(*start), rfc3339(*end)),
            Self::Recurring { cron, duration } => {
                write!(f, "{}/{}", DurationText(*duration), cron.to_string().replace(' ', "_"))
            }
        }
    }
}

/// Sorted, with those that touch made one.
fn normal_ranges(mut ranges: Vec<DayRange>) -> Vec<DayRange> {
    ranges.retain(|range| range.first <= range.last);
    ranges.sort_unstable();
    let mut apart: Vec<DayRange> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match apart.last_mut() {
            Some(last) if last.last.succ_opt().is_none_or(|next| range.first <= next) => {
                last.last = last.last.max(range.last);
            }
            Some(_) | None => apart.push(range),
        }
    }
    apart
}

/// Those from instant to instant sorted, with those that touch made one; then the recurring ones.
fn normal_windows(windows: Vec<Window>) -> Vec<Window> {
    let (mut spans, mut recurring) = (Vec::new(), Vec::new());
    for window in windows {
        match window {
            Window::Once { start, end } if start < end => spans.push((start, end)),
            Window::Once { .. } => {}
            Window::Recurring { .. } => recurring.push(window),
        }
    }
    spans.sort_unstable();
    let mut apart: Vec<(Timestamp, Timestamp)> = Vec::with_capacity(spans.len());
    for (start, end) in spans {
        match apart.last_mut() {
            Some(last) if start <= last.1 => last.1 = last.1.max(end),
            Some(_) | None => apart.push((start, end)),
        }
    }
    recurring.sort_by_cached_key(ToString::to_string);
    recurring.dedup();
    let spans = apart.into_iter().map(|(start, end)| Window::Once { start, end });
    spans.chain(recurring).collect()
}

/// Of ranges that are in order and apart, the first that does not end before a day.
fn range_from(ranges: &[DayRange], day: NaiveDate) -> Option<DayRange> {
    ranges.get(ranges.partition_point(|range| range.last < day)).copied()
}
/// The first instant of a day; where clocks skip midnight, the first after the gap.
fn midnight(zone: &Zone, day: NaiveDate) -> Timestamp {
    let at_s = match zone.resolve(day.and_time(chrono::NaiveTime::MIN).and_utc().timestamp()) {
        LocalTime::Once(at_s) | LocalTime::Fold { first: at_s, .. } => at_s,
        LocalTime::Gap(shift) => shift.at_s,
    };
    Timestamp::from_timestamp(at_s, 0).unwrap_or(Timestamp::MAX_UTC)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::trigger::{CronTrigger, Dialect};

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn cron(text: &str, zone: &Zone) -> CronTrigger {
        CronTrigger::new(CronExpr::parse(text, Dialect::Standard).unwrap(), zone.clone())
    }

    fn fires(filter: &FireFilter, cron: &CronTrigger, after: &str, count: usize) -> Vec<String> {
        let zone = &cron.zone;
        let after: Timestamp = after.parse().unwrap();
        std::iter::successors(Some(after), |last| {
            match filter.search(zone, *last, |after| cron.next_after(after)) {
                Search::Found(at) => Some(at),
                Search::Finished | Search::Unknown(_) => None,
            }
        })
        .skip(1)
        .take(count)
        .map(|at| zone.rfc3339(at))
        .collect()
    }

    #[test]
    fn holidays_out_and_make_up_days_in() {
        let zone = Zone::load("Asia/Shanghai").unwrap();
        let workdays = [Weekday::Mon, Weekday::Tue, Weekday::Wed, Weekday::Thu, Weekday::Fri];
        let holiday = DayRange { first: day("2026-02-15"), last: day("2026-02-23") };
        let calendar =
            DayCalendar::new(&workdays, vec![holiday], vec![DayRange::day(day("2026-02-14"))]);
        let filter = FireFilter::new(Some(Arc::new(calendar)), Vec::new());
        assert_eq!(
            fires(&filter, &cron("30 2 * * *", &zone), "2026-02-13T00:00:00Z", 3),
            ["2026-02-14T02:30:00+08:00", "2026-02-24T02:30:00+08:00", "2026-02-25T02:30:00+08:00"]
        );
    }

    #[test]
    fn windows_keep_their_end_and_lose_their_start() {
        let zone = Zone::utc();
        let freeze = Window::Once {
            start: "2026-11-10T00:00:00Z".parse().unwrap(),
            end: "2026-11-12T00:00:00Z".parse().unwrap(),
        };
        let filter = FireFilter::new(None, vec![freeze]);
        assert_eq!(
            fires(&filter, &cron("0 */12 * * *", &zone), "2026-11-09T12:00:00Z", 2),
            ["2026-11-12T00:00:00+00:00", "2026-11-12T12:00:00+00:00"]
        );
        let weekly = Window::Recurring {
            cron: Box::new(CronExpr::parse("0 22 * * sat", Dialect::Standard).unwrap()),
            duration: Duration::from_hours(6),
        };
        let filter = FireFilter::new(None, vec![weekly]);
        assert_eq!(
            fires(&filter, &cron("0 */2 * * *", &zone), "2026-11-21T19:00:00Z", 3),
            ["2026-11-21T20:00:00+00:00", "2026-11-22T04:00:00+00:00", "2026-11-22T06:00:00+00:00"]
        );
    }

    #[test]
    fn a_day_begins_after_a_gap_over_midnight() {
        let zone = Zone::load("America/Santiago").unwrap();
        let sundays = DayCalendar::new(&[Weekday::Sun], Vec::new(), Vec::new());
        let filter = FireFilter::new(Some(Arc::new(sundays)), Vec::new());
        assert_eq!(
            fires(&filter, &cron("0 * * * *", &zone), "2026-09-05T12:00:00Z", 2),
            ["2026-09-06T01:00:00-03:00", "2026-09-06T02:00:00-03:00"]
        );
    }

    #[test]
    fn a_calendar_without_days_ends_the_search() {
        let calendar = DayCalendar::new(&[], Vec::new(), Vec::new());
        let filter = FireFilter::new(Some(Arc::new(calendar)), Vec::new());
        let every_second = cron("* * * * * *", &Zone::utc());
        assert_eq!(fires(&filter, &every_second, "2026-01-01T00:00:00Z", 1), [""; 0]);
    }
}
