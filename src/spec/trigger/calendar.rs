//! Calendars and exclusions: they remove fire times, and never move one (A7).
//!
//! Days and windows are those of the trigger's zone. [`FireFilter`] is what a trigger asks.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chrono::{Datelike, NaiveDate, TimeDelta, Weekday};

use crate::spec::trigger::cron::CronTrigger;
use crate::spec::trigger::expr::DayMatch;
use crate::time::{DurationText, LocalTime, Timestamp, Zone, rfc3339};

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
    /// From each fire time of a cron on, for this long.
    Recurring {
        /// Begins the window.
        cron: Box<CronTrigger>,
        /// How long it lasts.
        duration: Duration,
    },
}

/// Which fire times of a trigger remain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FireFilter {
    /// Only on its days.
    pub calendar: Option<Arc<DayCalendar>>,
    /// Never inside these.
    pub exclude: Vec<Window>,
}

/// What a search for a fire time found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Search {
    /// The next fire time.
    Found(Timestamp),
    /// There is none any more.
    Finished,
    /// None up to here; whether there is one later would take too long to find out in one go.
    Unknown(Timestamp),
}

/// How many fire times and windows a search looks at before it gives up: a few milliseconds.
pub const SEARCH_STEPS_MAX: usize = 20_000;

impl DayCalendar {
    /// The days of some weekdays, without `except`, with `also`. An addition wins. Order, repetition
    /// and whether neighbours are written as one range do not matter.
    pub fn new(weekdays: &[Weekday], except: Vec<DayRange>, also: Vec<DayRange>) -> Self {
        let is_listed = |from_monday: usize| {
            weekdays.iter().any(|day| day.num_days_from_monday() as usize == from_monday)
        };
        let weekdays = std::array::from_fn(is_listed);
        Self { weekdays, except: apart(except), also: apart(also) }
    }

    /// Its weekdays, Monday first.
    pub fn weekdays(&self) -> impl Iterator<Item = Weekday> {
        WEEK.into_iter().zip(self.weekdays).filter_map(|(day, is_in)| is_in.then_some(day))
    }

    /// The days that are taken out of its weekdays, ascending.
    pub fn except(&self) -> &[DayRange] {
        &self.except
    }

    /// The days that are added, ascending.
    pub fn also(&self) -> &[DayRange] {
        &self.also
    }

    /// The first day of the set, at this day or after it.
    pub fn first_from(&self, day: NaiveDate) -> Option<NaiveDate> {
        let added = range_from(&self.also, day).map(|range| range.first.max(day));
        added.into_iter().chain(self.first_regular_from(day)).min()
    }

    /// The first of its weekdays from `day` on that is not taken out.
    fn first_regular_from(&self, day: NaiveDate) -> Option<NaiveDate> {
        if !self.weekdays.contains(&true) {
            return None;
        }
        let mut day = day;
        // Each turn passes a range for good, or a day between two of its weekdays.
        loop {
            let weekday = day.weekday().num_days_from_monday() as usize;
            day = match range_from(&self.except, day) {
                Some(range) if range.contains(day) => range.last.succ_opt()?,
                Some(_) | None if self.weekdays.get(weekday) == Some(&true) => return Some(day),
                Some(_) | None => day.succ_opt()?,
            };
        }
    }
}

impl fmt::Display for DayCalendar {
    /// `mon,tue without 2026-01-01..2026-01-03 with 2026-01-04`; equal texts mean equal sets as written.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.weekdays().map(weekday_name).collect();
        f.write_str(&names.join(","))?;
        for (word, ranges) in [("without", &self.except), ("with", &self.also)] {
            let ranges: Vec<String> = ranges.iter().map(ToString::to_string).collect();
            if !ranges.is_empty() {
                write!(f, " {word} {}", ranges.join(","))?;
            }
        }
        Ok(())
    }
}

/// The name of a weekday as manifests write it.
pub fn weekday_name(day: Weekday) -> &'static str {
    match day {
        Weekday::Mon => "mon",
        Weekday::Tue => "tue",
        Weekday::Wed => "wed",
        Weekday::Thu => "thu",
        Weekday::Fri => "fri",
        Weekday::Sat => "sat",
        Weekday::Sun => "sun",
    }
}

/// The days of the week in the order of their names in manifests.
const WEEK: [Weekday; 7] = [
    Weekday::Mon,
    Weekday::Tue,
    Weekday::Wed,
    Weekday::Thu,
    Weekday::Fri,
    Weekday::Sat,
    Weekday::Sun,
];

impl fmt::Display for DayRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.first)?;
        if self.last == self.first { Ok(()) } else { write!(f, "..{}", self.last) }
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Once { start, end } => write!(f, "{}..{}", rfc3339(*start), rfc3339(*end)),
            Self::Recurring { cron, duration } => {
                f.write_str(&cron.expr.to_string())?;
                if cron.expr.day_match() != DayMatch::Any {
                    write!(f, " day_match={}", cron.expr.day_match().as_str())?;
                }
                write!(f, " for {}", DurationText(*duration))
            }
        }
    }
}

impl fmt::Display for FireFilter {
    /// Nothing, or ` calendar=(…) exclude=(…; …)`, to stand behind the rule that it filters.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(calendar) = &self.calendar {
            write!(f, " calendar=({calendar})")?;
        }
        if !self.exclude.is_empty() {
            let windows: Vec<String> = self.exclude.iter().map(ToString::to_string).collect();
            write!(f, " exclude=({})", windows.join("; "))?;
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

impl Window {
    /// The end of a window that an instant lies in; none when it lies in none.
    fn end_around(&self, at: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Once { start, end } => (*start..*end).contains(&at).then_some(*end),
            Self::Recurring { cron, duration } => {
                let duration = TimeDelta::from_std(*duration).ok()?;
                // Windows that began earlier are over. One of several that overlap will do.
                let start = cron.next_after(at.checked_sub_signed(duration)?)?;
                let end = start.checked_add_signed(duration)?;
                (start <= at).then_some(end)
            }
        }
    }
}

impl FireFilter {
    /// Only on the days of a calendar, never inside the windows. Order and repetition of windows do not
    /// matter.
    pub fn new(calendar: Option<Arc<DayCalendar>>, exclude: Vec<Window>) -> Self {
        Self { calendar, exclude: normal_windows(exclude) }
    }

    /// Whether it removes nothing.
    pub fn is_idle(&self) -> bool {
        self.calendar.is_none() && self.exclude.is_empty()
    }

    /// Whether a fire time remains.
    pub fn admits(&self, zone: &Zone, at: Timestamp) -> bool {
        self.removed_until(zone, at).is_none()
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
        for _ in 0..=SEARCH_STEPS_MAX / self.cost() {
            let Some(at) = next(after) else { return Search::Finished };
            match self.removed_until(zone, at) {
                None => return Search::Found(at),
                Some(end) => {
                    let before_end = end.checked_sub_signed(TimeDelta::nanoseconds(1));
                    after = before_end.unwrap_or(end).max(at);
                }
            }
        }
        Search::Unknown(after)
    }

    /// What looking at one fire time costs, in steps: a window that recurs asks its expression, 32 others
    /// are compared in that time.
    fn cost(&self) -> usize {
        let is_once = |window: &&Window| matches!(window, Window::Once { .. });
        let once = self.exclude.iter().filter(is_once).count();
        1 + (self.exclude.len() - once) + once / 32
    }

    /// For a removed fire time, the first instant that the same rule does not remove.
    fn removed_until(&self, zone: &Zone, at: Timestamp) -> Option<Timestamp> {
        if let Some(calendar) = &self.calendar {
            let day = zone.local(at).date();
            match calendar.first_from(day) {
                Some(first) if first == day => {}
                Some(first) => return Some(midnight(zone, first)),
                None => return Some(Timestamp::MAX_UTC),
            }
        }
        self.exclude.iter().find_map(|window| window.end_around(at))
    }
}

/// Ranges in order, those that touch made one.
fn apart(mut ranges: Vec<DayRange>) -> Vec<DayRange> {
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

/// Of ranges that are in order and apart, the first that does not end before a day.
fn range_from(ranges: &[DayRange], day: NaiveDate) -> Option<DayRange> {
    ranges.get(ranges.partition_point(|range| range.last < day)).copied()
}

/// Windows from instant to instant in order, those that touch made one; then the recurring ones.
fn normal_windows(windows: Vec<Window>) -> Vec<Window> {
    let (mut spans, mut recurring) = (Vec::new(), Vec::new());
    for window in windows {
        match window {
            Window::Once { start, end } => spans.push((start, end)),
            Window::Recurring { .. } => recurring.push(window),
        }
    }
    spans.retain(|(start, end)| start < end);
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
    apart.into_iter().map(|(start, end)| Window::Once { start, end }).chain(recurring).collect()
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
    use crate::spec::trigger::{CronExpr, Dialect};

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
        let filter = FireFilter { calendar: Some(Arc::new(calendar)), exclude: Vec::new() };
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
        let filter = FireFilter { calendar: None, exclude: vec![freeze] };
        assert_eq!(
            fires(&filter, &cron("0 */12 * * *", &zone), "2026-11-09T12:00:00Z", 2),
            ["2026-11-12T00:00:00+00:00", "2026-11-12T12:00:00+00:00"]
        );
        let weekly = Window::Recurring {
            cron: Box::new(cron("0 22 * * sat", &zone)),
            duration: Duration::from_hours(6),
        };
        let filter = FireFilter { calendar: None, exclude: vec![weekly] };
        assert_eq!(
            fires(&filter, &cron("0 */2 * * *", &zone), "2026-11-21T19:00:00Z", 3),
            ["2026-11-21T20:00:00+00:00", "2026-11-22T04:00:00+00:00", "2026-11-22T06:00:00+00:00"]
        );
    }

    #[test]
    fn a_day_begins_after_a_gap_over_midnight() {
        let zone = Zone::load("America/Santiago").unwrap();
        let sundays = DayCalendar::new(&[Weekday::Sun], Vec::new(), Vec::new());
        let filter = FireFilter { calendar: Some(Arc::new(sundays)), exclude: Vec::new() };
        assert_eq!(
            fires(&filter, &cron("0 * * * *", &zone), "2026-09-05T12:00:00Z", 2),
            ["2026-09-06T01:00:00-03:00", "2026-09-06T02:00:00-03:00"]
        );
    }

    #[test]
    fn a_calendar_without_days_ends_the_search() {
        let calendar = DayCalendar::new(&[], Vec::new(), Vec::new());
        let filter = FireFilter { calendar: Some(Arc::new(calendar)), exclude: Vec::new() };
        let every_second = cron("* * * * * *", &Zone::utc());
        assert_eq!(fires(&filter, &every_second, "2026-01-01T00:00:00Z", 1), [""; 0]);
    }
}
