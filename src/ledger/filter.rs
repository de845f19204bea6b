//! Calendars and exclusions by definition: every due time is held against every day and window.
//!
//! Part of [`super::evaluator`]. Nothing is passed over, no next day is sought.

use std::ops::RangeInclusive;

use chrono::{Datelike, NaiveDate, TimeDelta};

use crate::ledger::evaluator::{Cron, read_cron};
use crate::time::{Timestamp, Zone, parse_duration};

/// What removes due times.
#[derive(Default)]
pub(super) struct Filter {
    days: Option<Days>,
    windows: Vec<Window>,
}

struct Days {
    /// Monday first.
    weekdays: Vec<String>,
    without: Vec<(NaiveDate, NaiveDate)>,
    with: Vec<(NaiveDate, NaiveDate)>,
}

enum Window {
    Once(Timestamp, Timestamp),
    Recurring(Box<Cron>, TimeDelta),
}

const WEEKDAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

impl Filter {
    /// Takes `calendar=(…)` and `exclude=(…)` off the end of a normal form; the rest is the rule.
    pub(super) fn split(normal_form: &str, zone: &Zone) -> Option<(String, Self)> {
        let mut rule = normal_form.to_owned();
        let mut take = |key: &str| {
            let start = rule.find(&format!(" {key}=("))?;
            let inner = start + key.len() + 3;
            let end = inner + rule.get(inner..)?.find(')')?;
            let value = rule.get(inner..end)?.to_owned();
            rule.replace_range(start..=end, "");
            Some(value)
        };
        let (days, windows) = (take("calendar"), take("exclude"));
        let days = match days {
            Some(text) => Some(Days::read(&text)?),
            None => None,
        };
        let windows = windows.iter().flat_map(|text| text.split("; "));
        let windows = windows.map(|text| Window::read(text, zone)).collect::<Option<_>>()?;
        Some((rule, Self { days, windows }))
    }

    /// Removes what is not due after all, of times in a range.
    pub(super) fn retain(
        &self,
        zone: &Zone,
        range: &RangeInclusive<Timestamp>,
        times: &mut Vec<Timestamp>,
    ) {
        if let Some(days) = &self.days {
            times.retain(|at| days.contain(zone.local(*at).date()));
        }
        for window in &self.windows {
            match window {
                Window::Once(start, end) => times.retain(|at| at < start || at >= end),
                Window::Recurring(cron, duration) => {
                    let first = range.start().checked_sub_signed(*duration);
                    let mut starts =
                        cron.due_times(&(first.unwrap_or(*range.start())..=*range.end()));
                    starts.sort_unstable();
                    // All last equally long: the one that began last ends last.
                    let last = |at: &Timestamp| {
                        starts.get(starts.partition_point(|start| start <= at).checked_sub(1)?)
                    };
                    let inside = |at: &Timestamp| last(at).is_some_and(|s| *at - s < *duration);
                    times.retain(|at| !inside(at));
                }
            }
        }
    }
}

impl Days {
    /// `mon,tue without 2026-01-01..2026-01-03 with 2026-01-04`.
    fn read(text: &str) -> Option<Self> {
        let (text, with) = text.split_once(" with ").unwrap_or((text, ""));
        let (weekdays, without) = text.split_once(" without ").unwrap_or((text, ""));
        let weekdays = weekdays.split(',').map(str::to_owned).collect();
        Some(Self { weekdays, without: ranges(without)?, with: ranges(with)? })
    }

    fn contain(&self, day: NaiveDate) -> bool {
        let is_in = |ranges: &[(NaiveDate, NaiveDate)]| {
            ranges.iter().any(|(first, last)| *first <= day && day <= *last)
        };
        let name = WEEKDAYS.get(day.weekday().num_days_from_monday() as usize);
        let is_named = self.weekdays.iter().any(|weekday| Some(&weekday.as_str()) == name);
        is_in(&self.with) || (is_named && !is_in(&self.without))
    }
}

fn ranges(text: &str) -> Option<Vec<(NaiveDate, NaiveDate)>> {
    let texts = text.split(',').filter(|text| !text.is_empty());
    let read = |text: &str| {
        let (first, last) = text.split_once("..").unwrap_or((text, text));
        Some((first.parse().ok()?, last.parse().ok()?))
    };
    texts.map(read).collect()
}

impl Window {
    /// `2026-11-10T00:00:00Z..2026-11-12T00:00:00Z`, or `0 22 * * sat day_match=all for 6h`.
    fn read(text: &str, zone: &Zone) -> Option<Self> {
        if let Some((start, end)) = text.split_once("..") {
            return Some(Self::Once(start.parse().ok()?, end.parse().ok()?));
        }
        let (fields, duration) = text.split_once(" for ")?;
        let (fields, day_match) = match fields.split_once(" day_match=") {
            Some((fields, day_match)) => (fields, Some(day_match)),
            None => (fields, None),
        };
        let option = |key: &str| day_match.filter(|_| key == "day_match");
        let cron = read_cron(fields, zone.name(), &option)?;
        let duration = TimeDelta::from_std(parse_duration(duration).ok()?).ok()?;
        Some(Self::Recurring(Box::new(cron), duration))
    }
}
