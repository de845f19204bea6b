//! Triggers in words, for people: English and 简体中文.
//!
//! This file says *what* is to be told: which times, which days. [`english`] and [`chinese`] say
//! how. Weekdays are always named, since their numbers mean something else in each dialect (A4).

mod chinese;
mod english;

use crate::spec::trigger::cron::CronTrigger;
use crate::spec::trigger::expr::{ALL_DAYS, ALL_MONTHS, ALL_WEEKDAYS, CronExpr, bits};
use crate::spec::trigger::shift_notes::ShiftNote;
use crate::spec::trigger::{Schedule, Trigger};
use crate::time::{DurationText, Timestamp, Zone};

/// A language that triggers can be described in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// English.
    English,
    /// 简体中文.
    Chinese,
}

impl Language {
    /// Every language.
    pub const ALL: [Self; 2] = [Self::English, Self::Chinese];

    /// The code of ISO 639.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Chinese => "zh",
        }
    }

    /// The language with this code.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|language| language.as_str() == word)
    }
}

/// More clock times than this are told field by field.
const CLOCK_TIMES_MAX: usize = 6;

/// Says in one line when a trigger fires.
pub fn describe(trigger: &Trigger, language: Language) -> String {
    let rule = match (&trigger.schedule, language) {
        (Schedule::Cron(cron), Language::English) => english::cron(cron),
        (Schedule::Cron(cron), Language::Chinese) => chinese::cron(cron),
        (Schedule::Interval(interval), Language::English) => english::interval(interval),
        (Schedule::Interval(interval), Language::Chinese) => chinese::interval(interval),
        (Schedule::Date(date), Language::English) => english::date(date),
        (Schedule::Date(date), Language::Chinese) => chinese::date(date),
    };
    rule + &conditions(trigger, language)
}

/// What of a trigger removes fire times, or delays starts.
fn conditions(trigger: &Trigger, language: Language) -> String {
    let days = trigger.filter.calendar.as_ref().map(|_| match language {
        Language::English => "; only on the days of its calendar".to_owned(),
        Language::Chinese => "；仅限日历中的日期".to_owned(),
    });
    let excludes = !trigger.filter.exclude.is_empty();
    let windows = excludes.then(|| match language {
        Language::English => "; not inside the windows that it excludes".to_owned(),
        Language::Chinese => "；排除的时段内不触发".to_owned(),
    });
    let jitter = DurationText(trigger.jitter);
    let delay = (!trigger.jitter.is_zero()).then(|| match language {
        Language::English => format!("; started up to {jitter} later"),
        Language::Chinese => format!("；启动最多推迟 {jitter}"),
    });
    [days, windows, delay].into_iter().flatten().collect()
}

/// Says in one line what a change of clocks does to a trigger.
pub fn describe_shift(cron: &CronTrigger, note: &ShiftNote, language: Language) -> String {
    match language {
        Language::English => english::shift_note(cron, note),
        Language::Chinese => chinese::shift_note(cron, note),
    }
}

/// Says in one line when a cron trigger fires.
pub fn describe_cron(cron: &CronTrigger, language: Language) -> String {
    match language {
        Language::English => english::cron(cron),
        Language::Chinese => chinese::cron(cron),
    }
}

/// Says in one line whether a trigger follows the real clock where clocks are changed, why, and what
/// that means (A9).
pub fn describe_clock_rule(cron: &CronTrigger, language: Language) -> String {
    match language {
        Language::English => english::clock_rule(cron),
        Language::Chinese => chinese::clock_rule(cron),
    }
}

/// The name of a weekday, Monday = 0.
pub fn weekday_word(weekday: u32, language: Language) -> &'static str {
    match language {
        Language::English => english::weekday_name(weekday),
        Language::Chinese => chinese::weekday_name(weekday),
    }
}

/// The times of day at which an expression fires.
enum TimesOfDay {
    /// So few that they can be listed: seconds of the day.
    Listed(Vec<u32>),
    /// By field.
    Fields { second: Spread, minute: Spread, hour: Spread },
}

/// Which values of a field match.
enum Spread {
    /// All.
    Every,
    /// Every so many, from a first one to the end.
    Step { first: u32, step: u32 },
    /// Ranges, first and last of each.
    Ranges(Vec<(u32, u32)>),
}

/// The days on which an expression fires.
struct Days {
    /// By date; none when every date matches.
    dates: Option<Vec<DateWords>>,
    /// By weekday; none when every weekday matches.
    weekdays: Option<Vec<WeekdayWords>>,
    /// Of date and weekday one suffices.
    either: bool,
    /// None: every month.
    months: Option<Vec<(u32, u32)>>,
    /// None: every year.
    years: Option<YearWords>,
}

/// The years of an expression.
enum YearWords {
    Ranges(Vec<(u32, u32)>),
    Step { first: u32, last: u32, step: u32 },
}

/// An item of the day field.
enum DateWords {
    Range(u32, u32),
    EveryNth(u32),
    FromEnd(u32),
    Nearest(u32),
    NearestFromEnd(u32),
}

/// An item of the weekday field; Monday is 0.
enum WeekdayWords {
    Range(u32, u32),
    Nth(u32, u32),
    Last(u32),
}

impl TimesOfDay {
    /// Whether they go on through the whole day, so that `every day` need not be said.
    fn never_pauses(&self) -> bool {
        matches!(self, Self::Fields { hour: Spread::Every, .. })
    }

    fn of(expr: &CronExpr) -> Self {
        let count = expr.seconds.count_ones() * expr.minutes.count_ones() * expr.hours.count_ones();
        if count as usize > CLOCK_TIMES_MAX {
            return Self::Fields {
                second: Spread::of(expr.seconds, 59),
                minute: Spread::of(expr.minutes, 59),
                hour: Spread::of_hours(expr.hours.into()),
            };
        }
        let values = |mask: u64| (0..60).filter(move |value| mask >> value & 1 != 0);
        let times = values(expr.hours.into()).flat_map(|hour| {
            values(expr.minutes).flat_map(move |minute| {
                values(expr.seconds).map(move |second| hour * 3600 + minute * 60 + second)
            })
        });
        Self::Listed(times.collect())
    }
}

impl Spread {
    fn of(mask: u64, max: u32) -> Self {
        if mask.count_ones() == max + 1 {
            return Self::Every;
        }
        let first = mask.trailing_zeros();
        let rest = mask & mask.saturating_sub(1);
        let step = rest.trailing_zeros().saturating_sub(first);
        let is_step = step > 1
            && mask.count_ones() > 2
            && (first..=max).step_by(step as usize).fold(0, |all, value| all | 1 << value) == mask;
        if is_step { Self::Step { first, step } } else { Self::Ranges(ranges(mask)) }
    }

    /// Hours may run over midnight: `22:00 to 02:59`.
    fn of_hours(mask: u64) -> Self {
        let spread = Self::of(mask, 23);
        if let Self::Ranges(ranges) = &spread
            && let [(0, head), middle @ .., (tail, 23)] = &ranges[..]
        {
            let over_midnight = (*tail, *head);
            return Self::Ranges(middle.iter().copied().chain([over_midnight]).collect());
        }
        spread
    }
}

impl Days {
    fn of(expr: &CronExpr) -> Self {
        let dates = (expr.days != ALL_DAYS).then(|| date_words(expr));
        let weekdays = (expr.weekdays != ALL_WEEKDAYS).then(|| weekday_words(expr));
        let months = (expr.months != ALL_MONTHS).then(|| split_pairs(ranges(expr.months.into())));
        let years =
            expr.years.as_ref().map(|years| YearWords::of(&years.iter().collect::<Vec<_>>()));
        Self { dates, weekdays, either: expr.either_day, months, years }
    }
}

impl YearWords {
    fn of(years: &[u32]) -> Self {
        if let [first, second, _, .., last] = *years
            && second > first + 1
            && years.windows(2).all(|pair| pair[1] - pair[0] == second - first)
        {
            return Self::Step { first, last, step: second - first };
        }
        let runs = years.chunk_by(|year, next| year + 1 == *next);
        Self::Ranges(runs.filter_map(|run| Some((*run.first()?, *run.last()?))).collect())
    }
}

fn date_words(expr: &CronExpr) -> Vec<DateWords> {
    let mut words = Vec::new();
    match Spread::of(u64::from(expr.days) >> 1, 30) {
        Spread::Step { first: 0, step } => words.push(DateWords::EveryNth(step)),
        Spread::Every | Spread::Step { .. } | Spread::Ranges(_) => {
            let dates = split_pairs(ranges(expr.days.into()));
            words.extend(dates.into_iter().map(|(first, last)| DateWords::Range(first, last)));
        }
    }
    words.extend(bits(expr.nearest).map(DateWords::Nearest));
    words.extend(bits(expr.last_days).map(DateWords::FromEnd));
    words.extend(bits(expr.last_nearest).map(DateWords::NearestFromEnd));
    words
}

fn weekday_words(expr: &CronExpr) -> Vec<WeekdayWords> {
    let monday_first = u64::from(expr.weekdays >> 1 | (expr.weekdays & 1) << 6);
    let runs = split_pairs(ranges(monday_first)).into_iter();
    let mut words: Vec<WeekdayWords> =
        runs.map(|(first, last)| WeekdayWords::Range(first, last)).collect();
    for nth in 1..=5 {
        let week = expr.nth_weekdays >> (7 * (nth - 1)) & u64::from(ALL_WEEKDAYS);
        let named = (0..7).filter(|day| week >> day & 1 != 0);
        words.extend(named.map(|day| WeekdayWords::Nth((day + 6) % 7, nth)));
    }
    words.extend(bits(expr.last_weekdays.into()).map(|day| WeekdayWords::Last((day + 6) % 7)));
    words
}

/// Neighbouring values as ranges.
fn ranges(mask: u64) -> Vec<(u32, u32)> {
    let mut found: Vec<(u32, u32)> = Vec::new();
    for value in (0..64).filter(|value| mask >> value & 1 != 0) {
        match found.last_mut() {
            Some((_, last)) if *last + 1 == value => *last = value,
            Some(_) | None => found.push((value, value)),
        }
    }
    found
}

/// Two neighbours are better said as two: Saturday and Sunday.
fn split_pairs(ranges: Vec<(u32, u32)>) -> Vec<(u32, u32)> {
    let split = |(first, last)| match last - first {
        1 => vec![(first, first), (last, last)],
        _ => vec![(first, last)],
    };
    ranges.into_iter().flat_map(split).collect()
}

/// A time of day as `09:30`, with seconds only where there are some.
fn clock(second_of_day: u32) -> String {
    let (hour, minute, second) =
        (second_of_day / 3600, second_of_day / 60 % 60, second_of_day % 60);
    match second {
        0 => format!("{hour:02}:{minute:02}"),
        _ => format!("{hour:02}:{minute:02}:{second:02}"),
    }
}

/// An instant as the zone's clocks show it.
fn local_text(zone: &Zone, at: Timestamp) -> String {
    zone.local(at).format("%Y-%m-%d %H:%M:%S").to_string()
}
