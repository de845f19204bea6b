//! Triggers in 简体中文.

use std::time::Duration;

use crate::spec::trigger::cron::CronTrigger;
use crate::spec::trigger::date::DateTrigger;
use crate::spec::trigger::error::Field;
use crate::spec::trigger::interval::{IntervalStart, IntervalTrigger};
use crate::spec::trigger::shift_notes::{ShiftEffect, ShiftNote};
use crate::spec::trigger::words::{
    DateWords, Days, Spread, TimesOfDay, WeekdayWords, YearWords, clock, local_text,
};
use crate::spec::trigger::zone::{FoldRule, GapRule};
use crate::time::{Timestamp, Zone};

const EVERY_DAY: &str = "每天";

/// `周一至周五 02:30（Asia/Shanghai 时间）`.
pub(super) fn cron(cron: &CronTrigger) -> String {
    let times_of_day = TimesOfDay::of(&cron.expr);
    let mut parts = days(&Days::of(&cron.expr));
    if times_of_day.never_pauses() {
        parts.retain(|part| part != EVERY_DAY);
    }
    parts.push(times(&times_of_day));
    let bounds = bounds(&cron.zone, cron.start_date, cron.end_date);
    format!("{}（{} 时间{bounds}）", joined(&parts), cron.zone)
}

/// `每 6 小时一次，自 2026-01-01 01:00:00 起算（UTC 时间）`.
pub(super) fn interval(interval: &IntervalTrigger) -> String {
    let zone = interval.zone();
    let mut text = format!("每 {}一次", duration(interval.period()));
    if let Some(anchor) = interval.anchor() {
        text = format!("{text}，自 {} 起算", local_text(zone, anchor));
    }
    let start = match interval.start() {
        IntervalStart::At(at) => Some(at),
        IntervalStart::Applied => {
            if interval.anchor().is_none() {
                text += "，自首次生效起算";
            }
            None
        }
        IntervalStart::AfterApplied(delay) => {
            text = format!("{text}，自首次生效后 {}开始", duration(delay));
            None
        }
    };
    format!("{text}（{zone} 时间{}）", bounds(zone, start, interval.end_date()))
}

/// `仅一次：2026-03-01 09:00:00（Asia/Shanghai 时间）`.
pub(super) fn date(date: &DateTrigger) -> String {
    format!("仅一次：{}（{} 时间）", local_text(date.zone(), date.at()), date.zone())
}

/// `2026-03-29：时钟跳过 02:00 至 03:00，其间应触发的在 03:00 触发一次`.
pub(super) fn shift_note(cron: &CronTrigger, note: &ShiftNote) -> String {
    let (verb, effect) = match note.effect {
        ShiftEffect::FiresAfterGap => {
            let end = cron.zone.local(note.at).format("%H:%M").to_string();
            ("跳过", format!("其间应触发的在 {end} 触发一次"))
        }
        ShiftEffect::NotFired => ("跳过", "其间不触发".to_owned()),
        ShiftEffect::FiresFirst => ("重复", "只在第一遍触发".to_owned()),
        ShiftEffect::FiresLast => ("重复", "只在第二遍触发".to_owned()),
        ShiftEffect::FiresTwice => ("重复", "两遍都触发".to_owned()),
    };
    let (start, end) = (note.local_start, note.local_end);
    let end_text = if start.date() == end.date() { "%H:%M" } else { "%Y-%m-%d %H:%M" };
    format!(
        "{}：时钟{verb} {} 至 {}，{effect}",
        start.format("%Y-%m-%d"),
        start.format("%H:%M"),
        end.format(end_text)
    )
}

/// `固定时刻：…；被跳过的时刻在跳变后立即触发一次，…`.
pub(super) fn clock_rule(cron: &CronTrigger) -> String {
    let kind = match cron.expr.wild_item() {
        Some((field, item)) => {
            let name = match field {
                Field::Second => "秒",
                Field::Minute => "分钟",
                Field::Hour => "小时",
                Field::Expression | Field::Day | Field::Month | Field::Weekday | Field::Year => "",
            };
            format!("类似间隔（{name}字段以 `{item}` 开头）")
        }
        None => "固定时刻（秒、分钟、小时字段都不以 `*`、`*/n` 或 `a/n` 开头）".to_owned(),
    };
    let gap = match cron.gap_rule() {
        GapRule::Next => "被时钟跳过的时刻在跳变后立即触发一次",
        GapRule::Skip => "被时钟跳过的时刻不触发",
    };
    let fold = match cron.fold_rule() {
        FoldRule::First => "重复的时刻只在第一遍触发",
        FoldRule::Last => "重复的时刻只在第二遍触发",
        FoldRule::Both => "重复的时刻两遍都触发",
    };
    let declared = |is_declared| if is_declared { "（已声明）" } else { "" };
    let (by_gap, by_fold) = (declared(cron.gap.is_some()), declared(cron.fold.is_some()));
    format!("{kind}：{gap}{by_gap}，{fold}{by_fold}")
}

fn bounds(zone: &Zone, start: Option<Timestamp>, end: Option<Timestamp>) -> String {
    let start = start.map(|at| format!("，{} 起", local_text(zone, at))).unwrap_or_default();
    let end = end.map(|at| format!("，{} 止", local_text(zone, at))).unwrap_or_default();
    start + &end
}

fn times(times: &TimesOfDay) -> String {
    let (second, minute, hour) = match times {
        TimesOfDay::Listed(times) => return list(times.iter().map(|time| clock(*time))),
        TimesOfDay::Fields { second, minute, hour } => (second, minute, hour),
    };
    let hour = match hour {
        Spread::Every => String::new(),
        Spread::Step { first: 0, step } => format!("每 {step} 小时的"),
        Spread::Step { first, step } => format!("{first} 点起每 {step} 小时的"),
        Spread::Ranges(ranges) => {
            let span = |(first, last): &(u32, u32)| format!("{first:02}:00 至 {last:02}:59");
            list(ranges.iter().map(span)) + " 之间"
        }
    };
    let second_is_zero = matches!(second, Spread::Ranges(ranges) if ranges[..] == [(0, 0)]);
    let minute = match minute {
        Spread::Every if !second_is_zero => String::new(),
        Spread::Ranges(_) if hour.is_empty() => format!("每小时{}", of_unit(minute, "分", "分钟")),
        Spread::Every | Spread::Step { .. } | Spread::Ranges(_) => of_unit(minute, "分", "分钟"),
    };
    let second = match second {
        _ if second_is_zero => String::new(),
        Spread::Ranges(_) if minute.is_empty() => format!("每分钟{}", of_unit(second, "秒", "秒")),
        Spread::Every | Spread::Step { .. } | Spread::Ranges(_) => of_unit(second, "秒", "秒"),
    };
    joined(&[hour, minute, second])
}

/// `每分钟`, `每 5 分钟`, `第 0、30 分`.
fn of_unit(spread: &Spread, unit: &str, span: &str) -> String {
    match spread {
        Spread::Every => format!("每{span}"),
        Spread::Step { first: 0, step } => format!("每 {step} {span}"),
        Spread::Step { first, step } => format!("第 {first} {unit}起每 {step} {span}"),
        Spread::Ranges(ranges) => format!("第 {} {unit}", list(ranges.iter().copied().map(range))),
    }
}

fn days(days: &Days) -> Vec<String> {
    let years = days.years.as_ref().map(|years| match years {
        YearWords::Step { first, last, step } => format!("{first} 至 {last} 年每 {step} 年"),
        YearWords::Ranges(ranges) => format!("{} 年", list(ranges.iter().copied().map(range))),
    });
    let every_month = days.months.is_none();
    let months = days
        .months
        .as_ref()
        .map(|months| format!("{} 月", list(months.iter().copied().map(range))));
    let dates = days.dates.as_ref().map(|dates| list(dates.iter().map(date_text)));
    let weekdays = days
        .weekdays
        .as_ref()
        .map(|weekdays| list(weekdays.iter().map(|weekday| weekday_text(every_month, weekday))));
    let text = match (dates, weekdays) {
        (None, None) => EVERY_DAY.to_owned(),
        (Some(dates), None) => month_prefix(every_month, &dates),
        (None, Some(weekdays)) => weekdays,
        (Some(dates), Some(weekdays)) if days.either => {
            format!("{}或{weekdays}", month_prefix(every_month, &dates))
        }
        (Some(dates), Some(weekdays)) => {
            format!("{}且为{weekdays}", month_prefix(every_month, &dates))
        }
    };
    [years, months, Some(text)].into_iter().flatten().collect()
}

/// Puts a blank only beside digits and Latin letters.
fn joined(parts: &[String]) -> String {
    let mut text = String::new();
    for part in parts {
        let is_latin = |c: char| c.is_ascii();
        if text.ends_with(is_latin) || (!text.is_empty() && part.starts_with(is_latin)) {
            text.push(' ');
        }
        text += part;
    }
    text.trim_end().to_owned()
}

fn month_prefix(every_month: bool, dates: &str) -> String {
    if every_month { joined(&["每月".to_owned(), dates.to_owned()]) } else { dates.to_owned() }
}

fn date_text(date: &DateWords) -> String {
    match date {
        DateWords::Range(first, last) => format!("{} 日", range((*first, *last))),
        DateWords::EveryNth(step) => format!("1 日起每 {step} 天"),
        DateWords::FromEnd(0) => "最后一天".to_owned(),
        DateWords::FromEnd(back) => format!("倒数第 {} 天", back + 1),
        DateWords::Nearest(day) => format!("离 {day} 日最近的工作日"),
        DateWords::NearestFromEnd(0) => "最后一个工作日".to_owned(),
        DateWords::NearestFromEnd(back) => format!("离倒数第 {} 天最近的工作日", back + 1),
    }
}

fn weekday_text(every_month: bool, weekday: &WeekdayWords) -> String {
    let month = if every_month { "每月" } else { "" };
    match weekday {
        WeekdayWords::Range(first, last) if first == last => weekday_name(*first).to_owned(),
        WeekdayWords::Range(first, last) => {
            format!("{}至{}", weekday_name(*first), weekday_name(*last))
        }
        WeekdayWords::Nth(day, nth) => format!("{month}第 {nth} 个{}", weekday_name(*day)),
        WeekdayWords::Last(day) => format!("{month}最后一个{}", weekday_name(*day)),
    }
}

pub(super) fn weekday_name(weekday: u32) -> &'static str {
    const NAMES: [&str; 7] = ["周一", "周二", "周三", "周四", "周五", "周六", "周日"];
    NAMES.get(weekday as usize).copied().unwrap_or_default()
}

fn duration(duration: Duration) -> String {
    let units = [("天", 86_400_000), ("小时", 3_600_000), ("分钟", 60_000), ("秒", 1_000)];
    let mut left_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let mut parts = Vec::new();
    for (unit, unit_ms) in units.into_iter().chain([("毫秒", 1)]) {
        let count = left_ms / unit_ms;
        left_ms %= unit_ms;
        if count > 0 {
            parts.push(format!("{count} {unit}"));
        }
    }
    if parts.is_empty() { "0 秒".to_owned() } else { parts.join(" ") }
}

fn range((first, last): (u32, u32)) -> String {
    if first == last { first.to_string() } else { format!("{first} 至 {last}") }
}

fn list(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join("、")
}
