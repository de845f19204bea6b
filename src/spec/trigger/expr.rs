//! Compiled cron expressions: bit masks, and the next local time that matches them.
//!
//! Knows fields and the calendar, nothing of time zones ([`super::zone`]). How text becomes masks
//! is [`super::parse`], how masks become text [`super::normal`].
//!
//! A [`CronExpr`] holds what an expression means, not how it was written: `0 0 * * 7` and `@weekly`
//! are equal.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::spec::trigger::civil::{
    CivilDate, DAY_NUMBER_MAX, EPOCH_DAY, month_length, next_leap_year, weekday,
};

/// How an expression is read (A4). Never guessed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// All of crontab(5), and more where crontab has an error.
    Standard,
    /// crontab(5): five fields.
    Crontab,
    /// Quartz: seconds first, Sunday = 1, exactly one day field is `?`.
    Quartz,
    /// `APScheduler`'s fields in cron's order: seconds first, Monday = 0, all must match.
    Apscheduler,
}

impl Dialect {
    /// Every dialect.
    pub const ALL: [Self; 4] = [Self::Standard, Self::Crontab, Self::Quartz, Self::Apscheduler];

    /// The word in a manifest.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Crontab => "crontab",
            Self::Quartz => "quartz",
            Self::Apscheduler => "apscheduler",
        }
    }

    /// The dialect with this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dialect| dialect.as_str() == word)
    }
}

/// What two restricted day fields mean together (A3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DayMatch {
    /// The dialect's own rule.
    Any,
    /// Both must match.
    All,
}

impl DayMatch {
    /// Both rules.
    pub const ALL: [Self; 2] = [Self::Any, Self::All];

    /// The word in a manifest.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::All => "all",
        }
    }

    /// The rule with this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|rule| rule.as_str() == word)
    }
}

/// A cron expression, compiled. Bit `n` of a mask stands for the value `n`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CronExpr {
    pub(super) seconds: u64,
    pub(super) minutes: u64,
    pub(super) hours: u32,
    /// Days of the month by number, bits 1 to 31.
    pub(super) days: u32,
    pub(super) months: u16,
    /// Sunday is bit 0.
    pub(super) weekdays: u8,
    /// `nL`: the last such weekday of the month.
    pub(super) last_weekdays: u8,
    /// `n#k`: bit `7 * (k - 1) + n`.
    pub(super) nth_weekdays: u64,
    /// `L-n`: bit `n`.
    pub(super) last_days: u32,
    /// `nW`: bit `n`.
    pub(super) nearest: u32,
    /// `L-nW`: bit `n`; `LW` is bit 0.
    pub(super) last_nearest: u32,
    /// None: every year.
    pub(super) years: Option<Box<Years>>,
    pub(super) dialect: Dialect,
    /// Of two restricted day fields one suffices.
    pub(super) either_day: bool,
    pub(super) interval_like: bool,
    pub(super) leap_days: LeapDays,
}

/// What an expression has to do with 29 February, so that it is found without a walk over months.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LeapDays {
    /// Other days can match.
    AmongOthers,
    /// No other day can match: other years need no look.
    Only,
    /// It matches in every leap year, and no other day does.
    Each,
}

/// A set of years from [`YEAR_FIRST`] on. Bit `n % 64` of word `n / 64` is the year `YEAR_FIRST + n`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Years([u64; 4]);

/// The first year that a year field may name.
pub(super) const YEAR_FIRST: u32 = 1970;

/// The last year in which a cron expression fires.
pub const YEAR_LAST: u32 = 2199;

/// Local times before the year 1 are not looked at: its first second since day 0 of the calendar.
const FIRST_S: i64 = 306 * DAY_S;

/// The first second of 1970 since day 0 of the calendar.
const EPOCH_S: i64 = EPOCH_DAY as i64 * DAY_S;

const DAY_S: i64 = 86_400;

pub(super) const ALL_SIXTY: u64 = (1 << 60) - 1;
pub(super) const ALL_HOURS: u32 = (1 << 24) - 1;
pub(super) const ALL_DAYS: u32 = u32::MAX - 1;
pub(super) const ALL_MONTHS: u16 = 0b1_1111_1111_1110;
pub(super) const ALL_WEEKDAYS: u8 = 0b111_1111;

impl CronExpr {
    /// The dialect in which it was written.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Whether the schedule follows the real clock where clocks are changed (A9).
    pub fn is_interval_like(&self) -> bool {
        self.interval_like
    }

    /// The first matching local time strictly after `after_s`, to the end of [`YEAR_LAST`].
    /// Local seconds since 1970 as if they were UTC.
    ///
    /// Bounded: at most one look at each month up to the last year. Allocates nothing.
    pub fn next_local(&self, after_s: i64) -> Option<i64> {
        let from_s = (after_s + 1 + EPOCH_S).max(FIRST_S).cast_unsigned();
        let from_day = u32::try_from(from_s / DAY_S.cast_unsigned()).ok()?;
        if from_day > DAY_NUMBER_MAX {
            return None;
        }
        let date = CivilDate::from_day_number(from_day);
        let mut search = self.month_search(date, from_day);
        if search.days >> date.day & 1 != 0 {
            let second_of_day = u32::try_from(from_s % DAY_S.cast_unsigned()).ok()?;
            if let Some(time_s) = self.time_from(second_of_day) {
                return Some(i64::from(from_day) * DAY_S + i64::from(time_s) - EPOCH_S);
            }
            search.days &= search.days - 1;
        }
        let day = i64::from(self.first_day(&search)?);
        Some(day * DAY_S + i64::from(self.first_time()) - EPOCH_S)
    }

    /// The matching days of the date's own month from that day on.
    fn month_search(&self, date: CivilDate, day_number: u32) -> MonthSearch {
        let CivilDate { year, month, day } = date;
        if self.years.is_some() && self.next_year(year) != Some(year) {
            // Nothing is left of a year that does not match.
            return MonthSearch { year, month: 12, days: 0 };
        }
        let first = day_number + 1 - day;
        let is_listed = self.months >> month & 1 != 0 && year <= YEAR_LAST;
        let days = if is_listed { self.days_of_month(year, month, || first) } else { 0 };
        MonthSearch { year, month, days: days & (u64::MAX << day) }
    }

    /// The first matching day of a search, as a day number.
    fn first_day(&self, search: &MonthSearch) -> Option<u32> {
        let MonthSearch { mut year, mut month, mut days } = *search;
        if days == 0 && self.leap_days == LeapDays::Each {
            // One step instead of a walk over months.
            let year = self.next_year(year + u32::from(month >= 2))?;
            return Some(CivilDate { year, month: 2, day: 29 }.day_number());
        }
        while days == 0 {
            let months_left = u32::from(self.months) >> (month + 1);
            if months_left == 0 {
                year = self.next_year(year + 1)?;
                month = self.months.trailing_zeros();
            } else {
                month += 1 + months_left.trailing_zeros();
            }
            let first = || CivilDate { year, month, day: 1 }.day_number();
            days = self.days_of_month(year, month, first);
        }
        (year <= YEAR_LAST)
            .then(|| CivilDate { year, month, day: days.trailing_zeros() }.day_number())
    }

    /// The first matching year from one on.
    fn next_year(&self, from: u32) -> Option<u32> {
        let mut year = match self.leap_days {
            LeapDays::AmongOthers => from,
            LeapDays::Only | LeapDays::Each => next_leap_year(from),
        };
        if let Some(years) = &self.years {
            year = years.next_from(year)?;
        }
        (year <= YEAR_LAST).then_some(year)
    }

    /// The days of a month on which the day fields match, bits 1 to 31. The day number of its first
    /// is asked for only where weekdays matter.
    fn days_of_month(&self, year: u32, month: u32, first_day: impl FnOnce() -> u32) -> u64 {
        let length = month_length(year, month);
        let every_day = ((1_u64 << length) - 1) << 1;
        let by_number = u64::from(self.days) & every_day;
        let has_special_days = (self.last_days | self.nearest | self.last_nearest) != 0;
        if !has_special_days && !self.either_day {
            // Most months of most expressions are decided without knowing the weekday of the 1st.
            if by_number == 0 || self.weekdays == ALL_WEEKDAYS {
                return by_number;
            }
        }
        let first_weekday = weekday(first_day());
        let mut by_date = by_number;
        if has_special_days {
            by_date |= self.special_days(length, first_weekday);
        }
        let by_weekday = self.weekdays_of_month(length, first_weekday) & every_day;
        if self.either_day { by_date | by_weekday } else { by_date & by_weekday }
    }

    /// The days on which the weekday field matches, bits 1 to 35.
    fn weekdays_of_month(&self, length: u32, first_weekday: u32) -> u64 {
        let week = rotated(self.weekdays.into(), first_weekday);
        let mut found = (week | week << 7 | week << 14 | week << 21 | week << 28) << 1;
        if self.nth_weekdays != 0 {
            for nth in 0..5 {
                let wanted = self.nth_weekdays >> (7 * nth) & u64::from(ALL_WEEKDAYS);
                found |= rotated(wanted, first_weekday) << (7 * nth + 1);
            }
        }
        if self.last_weekdays != 0 {
            let last_week_first = length - 6;
            let its_weekday = (first_weekday + last_week_first - 1) % 7;
            found |= rotated(self.last_weekdays.into(), its_weekday) << last_week_first;
        }
        found
    }

    /// The days that `L-n`, `nW` and `L-nW` name in a month.
    fn special_days(&self, length: u32, first_weekday: u32) -> u64 {
        let mut found = 0;
        for back in bits(self.last_days) {
            if back < length {
                found |= 1 << (length - back);
            }
        }
        let from_the_end = bits(self.last_nearest).filter_map(|back| length.checked_sub(back));
        for day in bits(self.nearest).chain(from_the_end) {
            if (1..=length).contains(&day) {
                found |= 1 << nearest_working_day(day, length, first_weekday);
            }
        }
        found
    }

    /// The first matching time of day at or after one, in seconds.
    fn time_from(&self, second_of_day: u32) -> Option<u32> {
        let (hour, minute, second) =
            (second_of_day / 3600, second_of_day / 60 % 60, second_of_day % 60);
        if self.hours >> hour & 1 != 0 {
            if self.minutes >> minute & 1 != 0 {
                let seconds_left = self.seconds >> second;
                if seconds_left != 0 {
                    return Some(second_of_day + seconds_left.trailing_zeros());
                }
            }
            let minutes_left = self.minutes >> (minute + 1);
            if minutes_left != 0 {
                let next_minute = minute + 1 + minutes_left.trailing_zeros();
                return Some(hour * 3600 + next_minute * 60 + self.seconds.trailing_zeros());
            }
        }
        let hours_left = self.hours >> (hour + 1);
        let hours_on = 1 + hours_left.trailing_zeros();
        (hours_left != 0).then(|| (hour + hours_on) * 3600 + self.first_time() % 3600)
    }

    /// The first matching time of a day, in seconds.
    fn first_time(&self) -> u32 {
        self.hours.trailing_zeros() * 3600
            + self.minutes.trailing_zeros() * 60
            + self.seconds.trailing_zeros()
    }
}

/// A month and the days in it that may still match.
struct MonthSearch {
    year: u32,
    month: u32,
    days: u64,
}

impl Years {
    /// Adds a year. One before [`YEAR_FIRST`] or after [`YEAR_LAST`] has no fire and is left out.
    pub(super) fn insert(&mut self, year: u32) {
        if year <= YEAR_LAST {
            self.set(year);
        }
    }

    /// Makes the set one that never matches, yet is not empty.
    pub(super) fn insert_never(&mut self) {
        self.set(YEAR_LAST + 1);
    }

    fn set(&mut self, year: u32) {
        let Some(index) = year.checked_sub(YEAR_FIRST) else { return };
        if let Some(word) = self.0.get_mut(index as usize / 64) {
            *word |= 1 << (index % 64);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0 == [0; 4]
    }

    /// The years, ascending.
    pub(super) fn iter(&self) -> impl Iterator<Item = u32> {
        let mut from = YEAR_FIRST;
        std::iter::from_fn(move || {
            let year = self.next_from(from)?;
            from = year + 1;
            Some(year)
        })
    }

    /// The first year of the set from one on.
    fn next_from(&self, year: u32) -> Option<u32> {
        let start = year.saturating_sub(YEAR_FIRST);
        let mut mask = u64::MAX << (start % 64);
        for (word, base) in self.0.iter().zip((0..).step_by(64)).skip(start as usize / 64) {
            if word & mask != 0 {
                let offset = base + (word & mask).trailing_zeros();
                return Some(YEAR_FIRST + offset);
            }
            mask = u64::MAX;
        }
        None
    }
}

/// The values of a mask, ascending.
pub(super) fn bits(mask: u32) -> impl Iterator<Item = u32> {
    (0..32).filter(move |bit| mask >> bit & 1 != 0)
}

/// Seven weekdays as seven days in a row, the first of which is `first_weekday`.
fn rotated(weekdays: u64, first_weekday: u32) -> u64 {
    (weekdays >> first_weekday | weekdays << (7 - first_weekday)) & u64::from(ALL_WEEKDAYS)
}

/// Monday to Friday, nearest to a day, inside its month.
fn nearest_working_day(day: u32, length: u32, first_weekday: u32) -> u32 {
    match (first_weekday + day - 1) % 7 {
        6 if day == 1 => 3,
        6 => day - 1,
        0 if day == length => day - 2,
        0 => day + 1,
        _ => day,
    }
}
