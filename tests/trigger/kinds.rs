//! Rules A2, A5, A6, A7 and A11 on whole triggers.

use chrono::TimeDelta;
use cronwright::ledger::evaluator::Evaluator;
use cronwright::spec::trigger::{
    CronExpr, CronTrigger, DateTrigger, Dialect, FoldRule, GapRule, IntervalStart, IntervalTrigger,
    Trigger,
};
use cronwright::time::{Timestamp, Zone, parse_duration, rfc3339};

use super::random::Random;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn every(period: &str) -> IntervalTrigger {
    IntervalTrigger::new(parse_duration(period).unwrap(), Zone::utc()).unwrap()
}

fn cron(text: &str, zone: &str) -> CronTrigger {
    let expr = CronExpr::parse(text, Dialect::Standard).unwrap();
    CronTrigger::new(expr, Zone::load(zone).unwrap())
}

/// The first fires after an instant, of a trigger that was applied at 12:00:00.5 on 15 June.
fn fires(trigger: &Trigger, after: &str, count: usize) -> Vec<String> {
    let anchor = trigger.first_anchor(at("2026-06-15T12:00:00.500Z"));
    let next = |last: &Timestamp| trigger.next_after(*last, anchor);
    let fires = std::iter::successors(Some(at(after)), next);
    fires.skip(1).take(count).map(rfc3339).collect()
}

#[test]
fn a5_where_the_grid_of_an_interval_lies() {
    let after = "2026-06-15T12:00:00.500Z";
    let start = IntervalStart::At(at("2026-06-15T14:00:00Z"));
    let soon = IntervalStart::AfterApplied(parse_duration("5s").unwrap());
    let anchor = at("2026-01-01T01:00:00Z");
    let table: [(&str, IntervalTrigger, [&str; 2]); 6] = [
        ("applied", every("1h"), ["2026-06-15T13:00:00.500Z", "2026-06-15T14:00:00.500Z"]),
        (
            "anchor",
            every("6h").with_anchor(anchor),
            ["2026-06-15T13:00:00Z", "2026-06-15T19:00:00Z"],
        ),
        ("start", every("1h").with_start(start), ["2026-06-15T14:00:00Z", "2026-06-15T15:00:00Z"]),
        (
            "anchor and start",
            every("6h").with_anchor(anchor).with_start(start),
            ["2026-06-15T19:00:00Z", "2026-06-16T01:00:00Z"],
        ),
        (
            "soon",
            every("5m").with_start(soon),
            ["2026-06-15T12:00:05.500Z", "2026-06-15T12:05:05.500Z"],
        ),
        (
            "anchor and soon",
            every("5m").with_anchor(anchor).with_start(soon),
            ["2026-06-15T12:05:00Z", "2026-06-15T12:10:00Z"],
        ),
    ];
    for (name, interval, expected) in table {
        assert_eq!(fires(&Trigger::from(interval), after, 2), expected, "{name}");
    }
}

#[test]
fn a5_only_intervals_without_a_declared_phase_store_an_anchor() {
    let applied = at("2026-06-15T12:00:00.500Z");
    let start = IntervalStart::At(at("2026-06-15T14:00:00Z"));
    let anchor = at("2026-01-01T01:00:00Z");
    assert_eq!(every("1h").first_anchor(applied), Some(applied));
    assert_eq!(every("1h").with_anchor(anchor).first_anchor(applied), None);
    assert_eq!(every("1h").with_start(start).first_anchor(applied), None);
    assert_eq!(Trigger::from(cron("0 3 * * *", "UTC")).first_anchor(applied), None);
    // Without the anchor it needs, an interval waits rather than guess.
    assert_eq!(every("1h").next_after(applied, None), None);
}

#[test]
fn a5_intervals_agree_with_brute_force() {
    let mut random = Random(5);
    for _ in 0..20_000 {
        let base = at("2026-01-01T00:00:00Z").timestamp_millis();
        let mut instant = || {
            let ms = base + random.below(100_000_000).cast_signed();
            Timestamp::from_timestamp_millis(ms).unwrap()
        };
        let (anchor, start, end, after, applied) =
            (instant(), instant(), instant(), instant(), instant());
        let period = std::time::Duration::from_millis(1_000 + random.below(9_000_000));
        let mut interval = IntervalTrigger::new(period, Zone::utc()).unwrap();
        if random.one_in(2) {
            interval = interval.with_anchor(anchor);
        }
        interval = match random.below(3) {
            0 => interval,
            1 => interval.with_start(IntervalStart::At(start)),
            _ => interval.with_start(IntervalStart::AfterApplied(period)),
        };
        if random.one_in(3) {
            interval = interval.with_end(end);
        }
        let stored = interval.first_anchor(applied);
        let found: Vec<Timestamp> =
            std::iter::successors(Some(after), |last| interval.next_after(*last, stored))
                .skip(1)
                .take(5)
                .collect();
        let until = if found.len() == 5 { found[4] } else { after + TimeDelta::days(9) };
        let range = after + TimeDelta::milliseconds(1)..=until;
        let expected = Evaluator::read(&interval.to_string()).unwrap().due_times(range, stored);
        assert_eq!(found, expected, "{interval} after {after}, stored {stored:?}");
    }
}

#[test]
fn a6_a_date_fires_once() {
    let date = Trigger::from(DateTrigger::new(at("2026-06-15T14:00:00Z"), Zone::utc()));
    assert_eq!(fires(&date, "2026-06-15T13:59:59.999Z", 2), ["2026-06-15T14:00:00Z"]);
    assert_eq!(fires(&date, "2026-06-15T14:00:00Z", 2), [""; 0]);
}

#[test]
fn a7_bounds_are_inclusive() {
    let mut daily = cron("0 3 * * *", "UTC");
    daily.start_date = Some(at("2026-06-16T03:00:00Z"));
    daily.end_date = Some(at("2026-06-18T03:00:00Z"));
    let daily = Trigger::from(daily);
    assert_eq!(
        fires(&daily, "2026-01-01T00:00:00Z", 9),
        ["2026-06-16T03:00:00Z", "2026-06-17T03:00:00Z", "2026-06-18T03:00:00Z"]
    );
}

#[test]
fn a9_gap_and_fold_can_be_set() {
    let zone = Zone::load("America/New_York").unwrap();
    let on_the_day = |gap, fold, text: &str, day: &str| -> Vec<String> {
        let mut trigger = cron(text, "America/New_York");
        (trigger.gap, trigger.fold) = (gap, fold);
        let start = at(&format!("{day}T04:59:00Z"));
        std::iter::successors(Some(start), |last| trigger.next_after(*last))
            .skip(1)
            .take_while(|fire| *fire < start + TimeDelta::hours(4))
            .map(|fire| zone.rfc3339(fire)[11..].to_owned())
            .collect()
    };
    let gap = |rule, text| on_the_day(rule, None, text, "2025-03-09");
    assert_eq!(gap(None, "30 2 * * *"), ["03:00:00-04:00"]);
    assert_eq!(gap(Some(GapRule::Skip), "30 2 * * *"), [""; 0]);
    assert_eq!(gap(None, "*/30 2 * * *"), [""; 0]);
    assert_eq!(gap(Some(GapRule::Next), "*/30 2 * * *"), ["03:00:00-04:00"]);
    let fold = |rule, text| on_the_day(None, rule, text, "2025-11-02");
    assert_eq!(fold(None, "30 1 * * *"), ["01:30:00-04:00"]);
    assert_eq!(fold(Some(FoldRule::Last), "30 1 * * *"), ["01:30:00-05:00"]);
    assert_eq!(fold(Some(FoldRule::Both), "30 1 * * *"), ["01:30:00-04:00", "01:30:00-05:00"]);
    assert_eq!(
        fold(None, "*/30 1 * * *"),
        ["01:00:00-04:00", "01:30:00-04:00", "01:00:00-05:00", "01:30:00-05:00"]
    );
    assert_eq!(fold(Some(FoldRule::First), "*/30 1 * * *"), ["01:00:00-04:00", "01:30:00-04:00"]);
}

#[test]
fn a11_what_can_never_fire_is_told_from_what_is_over() {
    let never = |trigger: &Trigger| !trigger.can_ever_fire();
    let of = |text: &str| Trigger::from(cron(text, "Europe/Berlin"));
    assert!(never(&of("0 0 30 2 *")));
    assert!(never(&of("0 0 31 4,6,9,11 *")));
    assert!(never(&of("0 0 0 29 2 * 2025")));
    assert!(!never(&of("0 0 29 2 *")));
    assert!(!never(&of("0 0 0 1 1 * 2001")));
    assert!(!never(&Trigger::from(DateTrigger::new(at("2001-01-01T00:00:00Z"), Zone::utc()))));
    let mut bounded = cron("0 0 1 2 *", "UTC");
    bounded.start_date = Some(at("2026-01-01T00:00:00Z"));
    bounded.end_date = Some(at("2026-01-31T00:00:00Z"));
    assert!(never(&Trigger::from(bounded)));
    let start = IntervalStart::At(at("2026-01-01T00:00:00Z"));
    assert!(!never(&Trigger::from(every("1h").with_start(start))));
    let ended = every("1h").with_start(start).with_end(at("2025-01-01T00:00:00Z"));
    assert!(never(&Trigger::from(ended)));
    assert!(!never(&Trigger::from(every("1h"))));
}

#[test]
fn a2_no_search_is_long() {
    // The worst expressions found: those that never match, asked for the whole of time.
    #[expect(clippy::disallowed_methods, reason = "the bound is one of real time")]
    let started = std::time::Instant::now();
    for text in
        ["0 0 30 2 *", "0 0 0 31 2,4,6,9,11 * 1970-2199", "0 0 L-30W 2 *", "0 0 0 29 2 * 2001"]
    {
        assert!(!Trigger::from(cron(text, "America/New_York")).can_ever_fire(), "{text}");
    }
    assert!(started.elapsed().as_millis() < 100, "{:?}", started.elapsed());
}
