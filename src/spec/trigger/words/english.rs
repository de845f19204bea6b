//! Triggers in English.

use std::time::Duration;

use crate::spec::trigger::cron::CronTrigger;
use crate::spec::trigger::date::DateTrigger;
use crate::spec::trigger::interval::{IntervalStart, IntervalTrigger};
use crate::spec::trigger::shift_notes::{ShiftEffect, ShiftNote};
use crate::spec::trigger::words::{
    DateWords, Days, Spread, TimesOfDay, WeekdayWords, YearWords, clock, local_text,
};
use crate::spec::trigger::zone::{FoldRule, GapRule};
use crate::time::{Timestamp, Zone};

const WEEKDAYS: [&str; 7] =
    ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// `at 03:00 on Monday to Friday, Asia/Shanghai time`.
pub(super) fn cron(cron: &CronTrigger) -> String {
    let times_of_day = TimesOfDay::of(&cron.expr);
    let days = days(&Days::of(&cron.expr));
    let days = match days.strip_prefix("every day") {
        Some(rest) if times_of_day.never_pauses() => rest.to_owned(),
        Some(_) | None => format!(" {days}"),
    };
    let bounds = bounds(&cron.zone, cron.start_date, cron.end_date);
    format!("{}{days}, {}{bounds}", times(&times_of_day), zone_words(&cron.zone))
}

/// `every 6 hours, counted from 2026-01-01 01:00:00, UTC`.
pub(super) fn interval(interval: &IntervalTrigger) -> String {
    let zone = interval.zone();
    let mut text = format!("every {}", duration(interval.period()));
    if let Some(anchor) = interval.anchor() {
        text = format!("{text}, counted from {}", local_text(zone, anchor));
    }
    let start = match interval.start() {
        IntervalStart::At(at) => Some(at),
        IntervalStart::Applied => {
            if interval.anchor().is_none() {
                text += ", counted from when it is first applied";
            }
            None
        }
        IntervalStart::AfterApplied(delay) => {
            text = format!("{text}, from {} after it is first applied", duration(delay));
            None
        }
    };
    format!("{text}, {}{}", zone_words(zone), bounds(zone, start, interval.end_date()))
}

/// `once, at 2026-03-01 09:00:00, Asia/Shanghai time`.
pub(super) fn date(date: &DateTrigger) -> String {
    format!("once, at {}, {}", local_text(date.zone(), date.at()), zone_words(date.zone()))
}

/// `2026-03-29: clocks skip 02:00 to 03:00; what is due then fires once, at 03:00`.
pub(super) fn shift_note(cron: &CronTrigger, note: &ShiftNote) -> String {
    let (verb, effect) = match note.effect {
        ShiftEffect::FiresAfterGap => {
            let end = cron.zone.local(note.at).format("%H:%M").to_string();
            ("skip", format!("what is due then fires once, at {end}"))
        }
        ShiftEffect::NotFired => ("skip", "nothing fires then".to_owned()),
        ShiftEffect::FiresFirst => ("repeat", "only the first pass fires".to_owned()),
        ShiftEffect::FiresLast => ("repeat", "only the second pass fires".to_owned()),
        ShiftEffect::FiresTwice => ("repeat", "both passes fire".to_owned()),
    };
    let (start, end) = (note.local_start, note.local_end);
    let end_text = if start.date() == end.date() { "%H:%M" } else { "%Y-%m-%d %H:%M" };
    format!(
        "{}: clocks {verb} {} to {}; {effect}",
        start.format("%Y-%m-%d"),
        start.format("%H:%M"),
        end.format(end_text)
    )
}

/// `fixed-time, since …: what clocks skip fires once, right after the gap; …`.
pub(super) fn clock_rule(cron: &CronTrigger) -> String {
    let kind = match cron.expr.wild_item() {
        Some((field, item)) => {
            format!("interval-like, since its {field} field begins with `{item}`")
        }
        None => "fixed-time, since no second, minute or hour field begins with `*`, `*/n` or `a/n`"
            .to_owned(),
    };
    let gap = match cron.gap_rule() {
        GapRule::Next => "what clocks skip fires once, right after the gap",
        GapRule::Skip => "what clocks skip does not fire",
    };
    let fold = match cron.fold_rule() {
        FoldRule::First => "what they repeat fires in the first pass",
        FoldRule::Last => "what they repeat fires in the second pass",
        FoldRule::Both => "what they repeat fires in both passes",
    };
    let declared = |is_declared| if is_declared { " (declared)" } else { "" };
    let (by_gap, by_fold) = (declared(cron.gap.is_some()), declared(cron.fold.is_some()));
    format!("{kind}: {gap}{by_gap}; {fold}{by_fold}")
}

fn zone_words(zone: &Zone) -> String {
    if zone.name() == "UTC" { "UTC".to_owned() } else { format!("{zone} time") }
}

fn bounds(zone: &Zone, start: Option<Timestamp>, end: Option<Timestamp>) -> String {
    let start = start.map(|at| format!(", from {}", local_text(zone, at))).unwrap_or_default();
    let end = end.map(|at| format!(", until {}", local_text(zone, at))).unwrap_or_default();
    start + &end
}

fn times(times: &TimesOfDay) -> String {
    let (second, minute, hour) = match times {
        TimesOfDay::Listed(times) => {
            return format!("at {}", and(times.iter().map(|time| clock(*time))));
        }
        TimesOfDay::Fields { second, minute, hour } => (second, minute, hour),
    };
    let minute_is_listed = matches!(minute, Spread::Ranges(_));
    let second_is_listed = matches!(second, Spread::Ranges(_));
    let second = match second {
        Spread::Ranges(ranges) if ranges[..] == [(0, 0)] => String::new(),
        Spread::Every | Spread::Step { .. } | Spread::Ranges(_) => of_unit(second, "second") + " ",
    };
    let minute = match minute {
        Spread::Every if !second_is_listed => String::new(),
        Spread::Every | Spread::Step { .. } | Spread::Ranges(_) if second.is_empty() => {
            of_unit(minute, "minute")
        }
        Spread::Every | Spread::Step { .. } | Spread::Ranges(_) => {
            format!("of {}", of_unit(minute, "minute").replacen("at ", "", 1))
        }
    };
    let hour = match hour {
        Spread::Every if minute_is_listed => "of every hour".to_owned(),
        Spread::Every => String::new(),
        Spread::Step { first: 0, step } => format!("of every {} hour", ordinal(*step)),
        Spread::Step { first, step } => {
            format!("of every {} hour from {first:02}:00", ordinal(*step))
        }
        Spread::Ranges(ranges) => {
            and(ranges.iter().map(|(first, last)| format!("from {first:02}:00 to {last:02}:59")))
        }
    };
    [second.trim_end(), &minute, &hour]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

/// `every minute`, `every 5 minutes`, `at minutes 0 and 30`.
fn of_unit(spread: &Spread, unit: &str) -> String {
    match spread {
        Spread::Every => format!("every {unit}"),
        Spread::Step { first: 0, step } => format!("every {step} {unit}s"),
        Spread::Step { first, step } => format!("every {step} {unit}s from {unit} {first}"),
        Spread::Ranges(ranges) => {
            let is_one = matches!(ranges[..], [(first, last)] if first == last);
            let plural = if is_one { "" } else { "s" };
            format!("at {unit}{plural} {}", and(ranges.iter().copied().map(range)))
        }
    }
}

fn days(days: &Days) -> String {
    let months = days.months.as_ref().map(|months| {
        and(months.iter().map(|(first, last)| {
            let (first, last) = (name(&MONTHS, first - 1), name(&MONTHS, last - 1));
            if first == last { first } else { format!("{first} to {last}") }
        }))
    });
    let of_month = months.as_deref().unwrap_or("the month");
    let dates = days.dates.as_ref().map(|dates| dates_text(dates, of_month));
    let weekdays = days.weekdays.as_ref().map(|weekdays| weekdays_text(weekdays, of_month));
    // `the last Friday of June` has said it already.
    let is_plain = |weekday: &WeekdayWords| matches!(weekday, WeekdayWords::Range(..));
    let says_months = days.weekdays.iter().flatten().any(|weekday| !is_plain(weekday));
    let in_months = months.as_ref().filter(|_| !says_months);
    let in_months = in_months.map(|months| format!(" in {months}")).unwrap_or_default();
    let text = match (dates, weekdays) {
        (None, None) => format!("every day{in_months}"),
        (Some(dates), None) => format!("on {dates}"),
        (None, Some(weekdays)) => format!("on {weekdays}{in_months}"),
        (Some(dates), Some(weekdays)) if days.either => {
            format!("on {dates} or on {weekdays}{in_months}")
        }
        (Some(dates), Some(weekdays)) => format!("on {dates} when it is {weekdays}"),
    };
    let years = days.years.as_ref().map(|years| match years {
        YearWords::Step { first, last, step } => {
            format!(" every {step} years from {first} to {last}")
        }
        YearWords::Ranges(ranges) => format!(" in {}", and(ranges.iter().copied().map(range))),
    });
    text + &years.unwrap_or_default()
}

fn dates_text(dates: &[DateWords], of_month: &str) -> String {
    let item = |date: &DateWords| match date {
        DateWords::Range(first, last) if first == last => format!("the {}", ordinal(*first)),
        DateWords::Range(first, last) => format!("the {} to {}", ordinal(*first), ordinal(*last)),
        DateWords::EveryNth(step) => format!("every {} day from the 1st", ordinal(*step)),
        DateWords::FromEnd(0) => "the last day".to_owned(),
        DateWords::FromEnd(1) => "the day before the last".to_owned(),
        DateWords::FromEnd(back) => format!("the day {back} days before the last"),
        DateWords::Nearest(day) => format!("the working day nearest to the {}", ordinal(*day)),
        DateWords::NearestFromEnd(0) => "the last working day".to_owned(),
        DateWords::NearestFromEnd(back) => {
            format!("the working day nearest to the day {back} days before the last")
        }
    };
    format!("{} of {of_month}", and(dates.iter().map(item)))
}

fn weekdays_text(weekdays: &[WeekdayWords], of_month: &str) -> String {
    let nth = ["first", "second", "third", "fourth", "fifth"];
    and(weekdays.iter().map(|weekday| match weekday {
        WeekdayWords::Range(first, last) if first == last => name(&WEEKDAYS, *first),
        WeekdayWords::Range(first, last) => {
            format!("{} to {}", name(&WEEKDAYS, *first), name(&WEEKDAYS, *last))
        }
        WeekdayWords::Nth(day, k) => {
            format!("the {} {} of {of_month}", name(&nth, *k - 1), name(&WEEKDAYS, *day))
        }
        WeekdayWords::Last(day) => format!("the last {} of {of_month}", name(&WEEKDAYS, *day)),
    }))
}

pub(super) fn weekday_name(weekday: u32) -> &'static str {
    WEEKDAYS.get(weekday as usize).copied().unwrap_or_default()
}

fn duration(duration: Duration) -> String {
    let units = [("day", 86_400_000), ("hour", 3_600_000), ("minute", 60_000), ("second", 1_000)];
    let mut left_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let mut parts = Vec::new();
    for (unit, unit_ms) in units.into_iter().chain([("millisecond", 1)]) {
        let count = left_ms / unit_ms;
        left_ms %= unit_ms;
        match count {
            0 => {}
            1 => parts.push(format!("1 {unit}")),
            _ => parts.push(format!("{count} {unit}s")),
        }
    }
    if parts.is_empty() { "0 seconds".to_owned() } else { parts.join(" ") }
}

fn range((first, last): (u32, u32)) -> String {
    if first == last { first.to_string() } else { format!("{first} to {last}") }
}

fn name(names: &[&str], index: u32) -> String {
    names.get(index as usize).copied().unwrap_or_default().to_owned()
}

fn ordinal(number: u32) -> String {
    let ending = match (number % 100, number % 10) {
        (11..=13, _) => "th",
        (_, 1) => "st",
        (_, 2) => "nd",
        (_, 3) => "rd",
        _ => "th",
    };
    format!("{number}{ending}")
}

/// `a`, `a and b`, `a, b and c`.
fn and(items: impl Iterator<Item = String>) -> String {
    let items: Vec<String> = items.collect();
    match items.split_last() {
        None => String::new(),
        Some((last, [])) => last.clone(),
        Some((last, before)) => format!("{} and {last}", before.join(", ")),
    }
}
