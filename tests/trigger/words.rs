//! Triggers in words, and what changes of clocks do to them.

use cronwright::spec::trigger::{
    CronExpr, CronTrigger, DateTrigger, DayMatch, Dialect, GapRule, IntervalStart, IntervalTrigger,
    Language, Trigger, describe, describe_shift,
};
use cronwright::time::{Timestamp, Zone, parse_duration};

fn cron(text: &str, dialect: Dialect, day_match: DayMatch, zone: &str) -> CronTrigger {
    let expr = CronExpr::parse_matching(text, dialect, day_match).unwrap();
    CronTrigger::new(expr, Zone::load(zone).unwrap())
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// English, then Chinese.
fn both(trigger: &Trigger) -> [String; 2] {
    [describe(trigger, Language::English), describe(trigger, Language::Chinese)]
}

/// Each block of the file: dialect and expression, English, Chinese.
#[test]
fn expressions() {
    for block in include_str!("words.txt").trim().split("\n\n") {
        let (head, words) = block.split_once('\n').unwrap();
        let (dialect, text) = head.split_once(": ").unwrap();
        let dialect = Dialect::parse(dialect).unwrap();
        let trigger = Trigger::from(cron(text, dialect, DayMatch::Any, "Asia/Shanghai"));
        assert_eq!(both(&trigger).join("\n"), words, "{head}");
    }
}

#[test]
fn intervals_and_dates() {
    let zone = Zone::load("Asia/Shanghai").unwrap();
    let every =
        |period: &str| IntervalTrigger::new(parse_duration(period).unwrap(), zone.clone()).unwrap();
    let table = [
        (
            Trigger::from(every("6h").with_anchor(at("2025-12-31T17:00:00Z"))),
            "every 6 hours, counted from 2026-01-01 01:00:00, Asia/Shanghai time",
            "每 6 小时一次，自 2026-01-01 01:00:00 起算（Asia/Shanghai 时间）",
        ),
        (
            Trigger::from(every("90m").with_end(at("2026-01-31T16:00:00Z"))),
            "every 1 hour 30 minutes, counted from when it is first applied, Asia/Shanghai time, \
             until 2026-02-01 00:00:00",
            "每 1 小时 30 分钟一次，自首次生效起算（Asia/Shanghai 时间，2026-02-01 00:00:00 止）",
        ),
        (
            Trigger::from(
                every("5m").with_start(IntervalStart::AfterApplied(parse_duration("5s").unwrap())),
            ),
            "every 5 minutes, from 5 seconds after it is first applied, Asia/Shanghai time",
            "每 5 分钟一次，自首次生效后 5 秒开始（Asia/Shanghai 时间）",
        ),
        (
            Trigger::from(DateTrigger::new(at("2026-03-01T01:00:00Z"), zone.clone())),
            "once, at 2026-03-01 09:00:00, Asia/Shanghai time",
            "仅一次：2026-03-01 09:00:00（Asia/Shanghai 时间）",
        ),
    ];
    for (trigger, english, chinese) in table {
        assert_eq!(both(&trigger), [english, chinese], "{trigger}");
    }
}

fn notes(cron: &CronTrigger, language: Language) -> Vec<String> {
    let notes = cron.shift_notes(at("2026-01-01T00:00:00Z"), at("2027-01-01T00:00:00Z"));
    notes.iter().map(|note| describe_shift(cron, note, language)).collect()
}

#[test]
fn changes_of_clocks() {
    let berlin = |text: &str| cron(text, Dialect::Standard, DayMatch::Any, "Europe/Berlin");
    let nightly = berlin("30 2 * * *");
    assert_eq!(
        notes(&nightly, Language::English),
        [
            "2026-03-29: clocks skip 02:00 to 03:00; what is due then fires once, at 03:00",
            "2026-10-25: clocks repeat 02:00 to 03:00; only the first pass fires",
        ]
    );
    assert_eq!(
        notes(&nightly, Language::Chinese),
        [
            "2026-03-29：时钟跳过 02:00 至 03:00，其间应触发的在 03:00 触发一次",
            "2026-10-25：时钟重复 02:00 至 03:00，只在第一遍触发",
        ]
    );
    assert_eq!(
        notes(&berlin("*/20 * * * *"), Language::English),
        [
            "2026-03-29: clocks skip 02:00 to 03:00; nothing fires then",
            "2026-10-25: clocks repeat 02:00 to 03:00; both passes fire",
        ]
    );
    let mut strict = berlin("30 2 * * *");
    strict.gap = Some(GapRule::Skip);
    assert_eq!(
        notes(&strict, Language::English)[0],
        "2026-03-29: clocks skip 02:00 to 03:00; nothing fires then"
    );
    // Neither a time of day that is never touched nor a zone without changes has anything to say.
    assert_eq!(notes(&berlin("0 9 * * *"), Language::English), [""; 0]);
    let shanghai = cron("30 2 * * *", Dialect::Standard, DayMatch::Any, "Asia/Shanghai");
    assert_eq!(notes(&shanghai, Language::English), [""; 0]);
}
