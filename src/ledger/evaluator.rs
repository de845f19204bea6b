//! The independent evaluator: the due times of a trigger by brute force, from its normal form.
//!
//! It walks days, then hours, minutes and seconds, and asks for every local time which instants
//! show it. Slow on purpose and by definition: `verify` holds the daemon's own engine against it.
//! The only thing both use is the table of a zone's shifts.

use std::ops::RangeInclusive;
use std::time::Duration;

use chrono::{NaiveDate, TimeDelta};

use crate::ledger::expression::Expression;
use crate::ledger::filter::Filter;
use crate::time::{Shift, Timestamp, Zone, parse_duration};

/// A trigger, read from its normal form.
pub struct Evaluator {
    kind: Kind,
    zone: Zone,
    filter: Filter,
    start: Option<Timestamp>,
    end: Option<Timestamp>,
}

enum Kind {
    Cron(Box<Cron>),
    Interval { period: TimeDelta, anchor: Option<Timestamp>, start: IntervalStart },
    Date(Timestamp),
}

/// A cron expression in a zone.
pub(super) struct Cron {
    expression: Expression,
    zone: Zone,
    gap_fires: bool,
    first_pass_fires: bool,
    second_pass_fires: bool,
}

enum IntervalStart {
    Applied,
    AfterApplied,
    Declared,
}

/// A text that is not the normal form of a trigger.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a trigger in normal form")]
pub struct NotATrigger(pub String);

/// A shift of this size or more is followed by the real clock (A9).
const LARGE_SHIFT: Duration = Duration::from_hours(3);

/// No offset from UTC is larger, in seconds.
const OFFSET_MAX_S: i64 = 26 * 3600;

const DAY_S: i64 = 86_400;

impl Evaluator {
    /// Reads a trigger: kind, expression, zone, `key=value` …, `calendar=(…)`, `exclude=(…)`.
    pub fn read(normal_form: &str) -> Result<Self, NotATrigger> {
        read(normal_form).ok_or_else(|| NotATrigger(normal_form.to_owned()))
    }

    /// The due times of a range, ascending. `stored` is the stored anchor of an interval.
    ///
    /// Every second of every matching day is looked at: ask for dense triggers day by day.
    pub fn due_times(
        &self,
        range: RangeInclusive<Timestamp>,
        stored: Option<Timestamp>,
    ) -> Vec<Timestamp> {
        let mut found = match &self.kind {
            Kind::Cron(cron) => cron.due_times(&range),
            Kind::Interval { period, anchor, start } => {
                let (first, grid) = match (start, anchor, self.start, stored) {
                    (IntervalStart::Applied, None, _, Some(applied)) => {
                        let Some(first) = applied.checked_add_signed(*period) else {
                            return Vec::new();
                        };
                        (first, applied)
                    }
                    (IntervalStart::Applied, Some(anchor), ..) => (*anchor, *anchor),
                    (IntervalStart::AfterApplied, anchor, _, Some(first))
                    | (IntervalStart::Declared, anchor, Some(first), _) => {
                        (first, anchor.unwrap_or(first))
                    }
                    _ => return Vec::new(),
                };
                grid_points(grid, *period, first.max(grid).max(*range.start()), *range.end())
            }
            Kind::Date(at) => vec![*at],
        };
        found.sort_unstable();
        found.dedup();
        found.retain(|at| {
            range.contains(at)
                && self.start.is_none_or(|start| *at >= start)
                && self.end.is_none_or(|end| *at <= end)
        });
        self.filter.retain(&self.zone, &range, &mut found);
        found
    }
}

impl Cron {
    /// Its due times in a range, in no order.
    pub(super) fn due_times(&self, range: &RangeInclusive<Timestamp>) -> Vec<Timestamp> {
        let local_times = self.local_range(range.start().timestamp(), range.end().timestamp());
        let mut found = Vec::new();
        let days = local_times.start().div_euclid(DAY_S)..=local_times.end().div_euclid(DAY_S);
        for day in days {
            let date = i32::try_from(day).ok().and_then(NaiveDate::from_epoch_days);
            if date.is_some_and(|date| self.expression.matches_day(date)) {
                self.add_day(day * DAY_S, &local_times, &mut found);
            }
        }
        found.into_iter().filter_map(|at_s| Timestamp::from_timestamp(at_s, 0)).collect()
    }

    /// The local times that clocks show, or skip, in a range of instants. In seconds.
    fn local_range(&self, start_s: i64, end_s: i64) -> RangeInclusive<i64> {
        let mut offset_min = self.zone.offset_at(start_s);
        let mut offset_max = offset_min;
        for shift in shifts_in(&self.zone, start_s - DAY_S..=end_s + DAY_S) {
            offset_min = offset_min.min(shift.before_s).min(shift.after_s);
            offset_max = offset_max.max(shift.before_s).max(shift.after_s);
        }
        start_s + i64::from(offset_min)..=end_s + i64::from(offset_max)
    }

    fn add_day(&self, midnight_s: i64, within: &RangeInclusive<i64>, found: &mut Vec<i64>) {
        let may_matter = |start_s: i64, length_s: i64| {
            start_s <= *within.end() && start_s + length_s > *within.start()
        };
        for (hour_s, hour_matches) in (midnight_s..).step_by(3600).zip(self.expression.hours) {
            if !hour_matches || !may_matter(hour_s, 3600) {
                continue;
            }
            for (minute_s, minute_matches) in (hour_s..).step_by(60).zip(self.expression.minutes) {
                if !minute_matches || !may_matter(minute_s, 60) {
                    continue;
                }
                for (local_s, second_matches) in (minute_s..).zip(self.expression.seconds) {
                    if second_matches && within.contains(&local_s) {
                        self.add_local_time(local_s, found);
                    }
                }
            }
        }
    }

    /// Adds the instants at which one matching local time is due (A9).
    fn add_local_time(&self, local_s: i64, found: &mut Vec<i64>) {
        let near: Vec<Shift> =
            shifts_in(&self.zone, local_s - OFFSET_MAX_S..=local_s + OFFSET_MAX_S).collect();
        let Some(first) = near.first() else {
            found.push(local_s - i64::from(self.zone.offset_at(local_s)));
            return;
        };
        // The stretches of constant offset around: begin, end, offset.
        let mut stretches = vec![(i64::MIN, first.at_s, first.before_s)];
        for (index, shift) in near.iter().enumerate() {
            let end_s = near.get(index + 1).map_or(i64::MAX, |next| next.at_s);
            stretches.push((shift.at_s, end_s, shift.after_s));
        }
        let shown: Vec<i64> = stretches
            .into_iter()
            .map(|(begin_s, end_s, offset_s)| (begin_s, end_s, local_s - i64::from(offset_s)))
            .filter(|(begin_s, end_s, at_s)| (begin_s..end_s).contains(&at_s))
            .map(|(.., at_s)| at_s)
            .collect();
        match shown[..] {
            [] => {
                let skipped_by = near.iter().find(|shift| {
                    let before_s = shift.at_s + i64::from(shift.before_s);
                    let after_s = shift.at_s + i64::from(shift.after_s);
                    (before_s..after_s).contains(&local_s)
                });
                let small = skipped_by.filter(|shift| shift.size() < LARGE_SHIFT);
                if self.gap_fires {
                    found.extend(small.map(|shift| shift.at_s));
                }
            }
            [first_s, second_s] if second_s - first_s < LARGE_SHIFT.as_secs().cast_signed() => {
                found.extend(self.first_pass_fires.then_some(first_s));
                found.extend(self.second_pass_fires.then_some(second_s));
            }
            _ => found.extend(shown),
        }
    }
}

/// The shifts in a range of seconds.
fn shifts_in(zone: &Zone, range: RangeInclusive<i64>) -> impl Iterator<Item = Shift> {
    let first = zone.shifts_until(*range.start() - 1);
    let later = zone.shifts().iter().skip(first).copied();
    later.take_while(move |shift| shift.at_s <= *range.end())
}

/// The points of a grid from one instant to another.
fn grid_points(
    grid: Timestamp,
    period: TimeDelta,
    from: Timestamp,
    to: Timestamp,
) -> Vec<Timestamp> {
    let period_ms = period.num_milliseconds().max(1);
    // Begin a little early rather than think about remainders.
    let behind = ((from - grid).num_milliseconds() / period_ms - 1).max(0);
    let mut at_ms = grid.timestamp_millis() + behind * period_ms;
    let mut found = Vec::new();
    while at_ms <= to.timestamp_millis() {
        found.extend(Timestamp::from_timestamp_millis(at_ms).filter(|at| *at >= from));
        at_ms += period_ms;
    }
    found
}

/// The last word that stands before the options.
fn zone_name(normal_form: &str) -> Option<&str> {
    let words = normal_form.split([' ', '\t']).filter(|word| !word.is_empty());
    words.take_while(|word| !word.contains('=')).last()
}

fn read(normal_form: &str) -> Option<Evaluator> {
    let zone = Zone::load(zone_name(normal_form)?).ok()?;
    let (rule, filter) = Filter::split(normal_form, &zone)?;
    let (kind, rest) = rule.split_once(' ')?;
    let words: Vec<&str> = rest.split([' ', '\t']).filter(|word| !word.is_empty()).collect();
    let option_count = words.iter().rev().take_while(|word| word.contains('=')).count();
    let (given, options) = words.split_at(words.len() - option_count);
    let (_, fields) = given.split_last()?;
    let option =
        |key: &str| options.iter().find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
    let date = |key: &str| option(key)?.parse::<Timestamp>().ok();
    let is_relative = option("start_date").is_some_and(|start| start.starts_with('+'));
    let start = if is_relative { None } else { date("start_date") };
    let kind = match kind {
        "cron" => Kind::Cron(Box::new(read_cron(&fields.join(" "), zone.name(), &option)?)),
        "interval" => Kind::Interval {
            period: TimeDelta::from_std(parse_duration(fields.first()?).ok()?).ok()?,
            anchor: date("anchor"),
            start: match (is_relative, start) {
                (true, _) => IntervalStart::AfterApplied,
                (false, Some(_)) => IntervalStart::Declared,
                (false, None) => IntervalStart::Applied,
            },
        },
        "date" => Kind::Date(fields.first()?.parse().ok()?),
        _ => return None,
    };
    Some(Evaluator { kind, zone, filter, start, end: date("end_date") })
}

/// Reads an expression and what is said beside it.
pub(super) fn read_cron<'a>(
    fields: &str,
    zone: &str,
    option: &impl Fn(&str) -> Option<&'a str>,
) -> Option<Cron> {
    let dialect = option("dialect").unwrap_or("standard");
    let expression = Expression::read(fields, dialect, option("day_match") == Some("all"))?;
    let follows_the_clock = expression.follows_the_clock;
    let gap_fires = match option("gap") {
        Some(gap) => gap == "next",
        None => !follows_the_clock,
    };
    let (first_pass_fires, second_pass_fires) = match option("fold") {
        Some(fold) => (fold != "last", fold != "first"),
        None => (true, follows_the_clock),
    };
    let zone = Zone::load(zone).ok()?;
    Some(Cron { expression, zone, gap_fires, first_pass_fires, second_pass_fires })
}
