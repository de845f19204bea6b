//! Cron fields by definition: every question about a value is answered from the text of its field.
//!
//! Part of [`super::evaluator`]. No masks, no canonical forms: an item of a list stays an item, and
//! a value is tried against each.

use chrono::{Datelike, NaiveDate, Weekday};

/// An expression, field by field.
pub(super) struct Expression {
    pub(super) seconds: [bool; 60],
    pub(super) minutes: [bool; 60],
    pub(super) hours: [bool; 24],
    day: Vec<Item>,
    month: Vec<Item>,
    weekday: Vec<Item>,
    year: Vec<Item>,
    numbering: Numbering,
    both_days_must_match: bool,
    /// Second, minute or hour begins with `*`, `*/s` or `a/s` (A9).
    pub(super) follows_the_clock: bool,
}

/// How weekdays are numbered.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Numbering {
    /// 0 and 7 are Sunday.
    Unix,
    /// 1 is Sunday.
    Quartz,
    /// 0 is Monday.
    Apscheduler,
}

/// One item of a list.
enum Item {
    /// `*`, `n`, `a-b`, `a/s`, `a-b/s`; the last below the first wraps around.
    Walk { first: u32, last: u32, step: u32 },
    /// `L-n`.
    Last(u32),
    /// `nW`.
    Nearest(u32),
    /// `L-nW`.
    LastNearest(u32),
    /// `n#k`.
    Nth { weekday: u32, nth: u32 },
    /// `nL`.
    LastWeekday(u32),
}

/// The last year that is looked at.
const YEAR_MAX: i32 = 2199;

const MONTHS: [&str; 12] =
    ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

/// The fields from the most to the least significant.
const YEAR: usize = 0;
const MONTH: usize = 1;
const DAY: usize = 2;
const WEEKDAY: usize = 3;
const HOUR: usize = 4;
const MINUTE: usize = 5;
const SECOND: usize = 6;

impl Expression {
    /// Reads an expression; none when it cannot be understood.
    pub(super) fn read(text: &str, dialect: &str, day_match_all: bool) -> Option<Self> {
        let numbering = match dialect {
            "standard" | "crontab" => Numbering::Unix,
            "quartz" => Numbering::Quartz,
            "apscheduler" => Numbering::Apscheduler,
            _ => return None,
        };
        let upper = expand_nickname(text.trim()).to_ascii_uppercase();
        let written: Vec<&str> = upper.split([' ', '\t']).filter(|part| !part.is_empty()).collect();
        let by_significance = match written[..] {
            [minute, hour, day, month, weekday] => ["*", month, day, weekday, hour, minute, "0"],
            [second, minute, hour, day, month, weekday] => {
                ["*", month, day, weekday, hour, minute, second]
            }
            [second, minute, hour, day, month, weekday, year] => {
                [year, month, day, weekday, hour, minute, second]
            }
            _ => return None,
        };
        let fields = match numbering {
            Numbering::Apscheduler => with_minimums(by_significance),
            Numbering::Unix | Numbering::Quartz => {
                by_significance.map(|field| if field == "?" { "*" } else { field })
            }
        };
        let items = |index: usize, min, max| read_items(fields[index], index, min, max, numbering);
        let (weekday_min, weekday_max) = match numbering {
            Numbering::Unix | Numbering::Apscheduler => (0, 6),
            Numbering::Quartz => (1, 7),
        };
        let year_max = if numbering == Numbering::Apscheduler { 9999 } else { 2199 };
        let starred = fields[DAY].starts_with('*') || fields[WEEKDAY].starts_with('*');
        let is_wild = |index: usize| {
            let first = fields[index].split(',').next().unwrap_or_default();
            first.starts_with('*') || (first.contains('/') && !first.contains('-'))
        };
        Some(Self {
            seconds: table(&items(SECOND, 0, 59)?, 60),
            minutes: table(&items(MINUTE, 0, 59)?, 60),
            hours: table(&items(HOUR, 0, 23)?, 24),
            day: items(DAY, 1, 31)?,
            month: items(MONTH, 1, 12)?,
            weekday: items(WEEKDAY, weekday_min, weekday_max)?,
            year: if fields[YEAR] == "*" { Vec::new() } else { items(YEAR, 1970, year_max)? },
            numbering,
            both_days_must_match: numbering != Numbering::Unix || starred || day_match_all,
            follows_the_clock: [SECOND, MINUTE, HOUR].into_iter().any(is_wild),
        })
    }

    /// Whether year, month, day and weekday match.
    pub(super) fn matches_day(&self, date: NaiveDate) -> bool {
        let year = u32::try_from(date.year()).unwrap_or_default();
        let year_matches = self.year.is_empty() || walks_to(&self.year, year, 0);
        if date.year() > YEAR_MAX || !year_matches || !walks_to(&self.month, date.month(), 12) {
            return false;
        }
        let day = self.day.iter().any(|item| item.is_day(date));
        let weekday = self.weekday.iter().any(|item| self.is_weekday(item, date));
        if self.both_days_must_match { day && weekday } else { day || weekday }
    }

    fn is_weekday(&self, item: &Item, date: NaiveDate) -> bool {
        let from_sunday = date.weekday().num_days_from_sunday();
        let number = match self.numbering {
            Numbering::Unix => from_sunday,
            Numbering::Quartz => from_sunday + 1,
            Numbering::Apscheduler => date.weekday().num_days_from_monday(),
        };
        // Sunday is 7, too, in crontab.
        let is_same = |wanted: u32| {
            wanted == number || (self.numbering == Numbering::Unix && wanted % 7 == number)
        };
        match *item {
            Item::Walk { .. } => {
                item.walks_to(number, 7)
                    || (self.numbering == Numbering::Unix && item.walks_to(number + 7, 7))
            }
            Item::Nth { weekday, nth } => is_same(weekday) && (date.day() - 1) / 7 + 1 == nth,
            Item::LastWeekday(weekday) => {
                is_same(weekday) && date.day() + 7 > u32::from(date.num_days_in_month())
            }
            Item::Last(_) | Item::Nearest(_) | Item::LastNearest(_) => false,
        }
    }
}

impl Item {
    /// Whether a walk from the first to the last value, around the end if need be, comes by.
    fn walks_to(&self, value: u32, cycle: u32) -> bool {
        let Self::Walk { first, last, step } = *self else { return false };
        let last = if last < first { last + cycle } else { last };
        let reached =
            |value: u32| (first..=last).contains(&value) && (value - first).is_multiple_of(step);
        reached(value) || (cycle > 0 && reached(value + cycle))
    }

    fn is_day(&self, date: NaiveDate) -> bool {
        let length = u32::from(date.num_days_in_month());
        match *self {
            Self::Walk { .. } => self.walks_to(date.day(), 31),
            Self::Last(back) => date.day() + back == length,
            Self::Nearest(day) => is_nearest_working_day(date, day),
            Self::LastNearest(back) => {
                length.checked_sub(back).is_some_and(|day| is_nearest_working_day(date, day))
            }
            Self::Nth { .. } | Self::LastWeekday(_) => false,
        }
    }
}

/// Tries the days of the month in order of their distance from the wanted one.
fn is_nearest_working_day(date: NaiveDate, wanted: u32) -> bool {
    if date.with_day(wanted).is_none() {
        return false;
    }
    let is_working = |day: u32| {
        let day = date.with_day(day);
        day.is_some_and(|day| !matches!(day.weekday(), Weekday::Sat | Weekday::Sun))
    };
    let near = [wanted, wanted.wrapping_sub(1), wanted + 1, wanted.wrapping_sub(2), wanted + 2];
    near.into_iter().find(|day| is_working(*day)) == Some(date.day())
}

fn walks_to(items: &[Item], value: u32, cycle: u32) -> bool {
    items.iter().any(|item| item.walks_to(value, cycle))
}

fn table<const N: usize>(items: &[Item], cycle: u32) -> [bool; N] {
    std::array::from_fn(|value| {
        u32::try_from(value).is_ok_and(|value| walks_to(items, value, cycle))
    })
}

/// `APScheduler`: what is less significant than the last field given takes its minimum.
fn with_minimums(fields: [&str; 7]) -> [&str; 7] {
    let is_given = |field: &str| field != "*" && field != "?";
    let last_given = fields.iter().rposition(|field| is_given(field));
    std::array::from_fn(|index| {
        let field = fields[index];
        if is_given(field) {
            return field;
        }
        match last_given {
            Some(last) if index > last => match index {
                MONTH | DAY => "1",
                HOUR | MINUTE | SECOND => "0",
                _ => "*",
            },
            Some(_) | None => "*",
        }
    })
}

fn expand_nickname(text: &str) -> &str {
    match text {
        "@yearly" | "@annually" => "0 0 1 1 *",
        "@monthly" => "0 0 1 * *",
        "@weekly" => "0 0 * * 0",
        "@daily" | "@midnight" => "0 0 * * *",
        "@hourly" => "0 * * * *",
        _ => text,
    }
}

fn read_items(
    field: &str,
    index: usize,
    min: u32,
    max: u32,
    numbering: Numbering,
) -> Option<Vec<Item>> {
    let value = |text: &str| read_value(text, index, numbering);
    field.split(',').map(|item| read_item(item, index, (min, max), &value)).collect()
}

fn read_item(
    item: &str,
    index: usize,
    (min, max): (u32, u32),
    value: &impl Fn(&str) -> Option<u32>,
) -> Option<Item> {
    if index == DAY {
        if item == "LAST" {
            return Some(Item::Last(0));
        }
        if let Some(day) = item.strip_suffix('W') {
            return match read_last(day) {
                Some(back) => Some(Item::LastNearest(back)),
                None => Some(Item::Nearest(day.parse().ok()?)),
            };
        }
        if let Some(back) = read_last(item) {
            return Some(Item::Last(back));
        }
    }
    if index == WEEKDAY {
        if item == "L" {
            return Some(Item::Walk { first: 7, last: 7, step: 1 });
        }
        if let Some((weekday, nth)) = item.split_once('#') {
            return Some(Item::Nth { weekday: value(weekday)?, nth: nth.parse().ok()? });
        }
        if let Some(weekday) = item.strip_suffix('L') {
            return Some(Item::LastWeekday(value(weekday)?));
        }
    }
    let (base, step) = match item.split_once('/') {
        Some((base, step)) => (base, Some(step.parse().ok().filter(|step| *step > 0)?)),
        None => (item, None),
    };
    let (first, last) = match base.split_once('-') {
        _ if base == "*" => (min, max),
        Some((first, last)) => (value(first)?, value(last)?),
        None if step.is_some() => (value(base)?, max.max(value(base)?)),
        None => (value(base)?, value(base)?),
    };
    Some(Item::Walk { first, last, step: step.unwrap_or(1) })
}

/// `L` as 0, `L-3` as 3.
fn read_last(text: &str) -> Option<u32> {
    match text.strip_prefix('L')? {
        "" => Some(0),
        rest => rest.strip_prefix('-')?.parse().ok(),
    }
}

fn read_value(text: &str, index: usize, numbering: Numbering) -> Option<u32> {
    let named = |names: &[&str]| {
        let found = names.iter().position(|name| *name == text)?;
        u32::try_from(found).ok()
    };
    match index {
        MONTH if text.starts_with(char::is_alphabetic) => named(&MONTHS).map(|month| month + 1),
        WEEKDAY if text.starts_with(char::is_alphabetic) => {
            named(&WEEKDAYS).map(|from_sunday| match numbering {
                Numbering::Unix => from_sunday,
                Numbering::Quartz => from_sunday + 1,
                Numbering::Apscheduler => (from_sunday + 6) % 7,
            })
        }
        _ => text.parse().ok(),
    }
}
