//! Normal forms: one text for each meaning, and back.

use cronwright::spec::trigger::{
    CronExpr, CronTrigger, DateTrigger, DayMatch, Dialect, FoldRule, GapRule, IntervalStart,
    IntervalTrigger, Trigger,
};
use cronwright::time::{Timestamp, Zone, parse_duration};

fn normal(dialect: Dialect, day_match: DayMatch, text: &str) -> String {
    let expr = CronExpr::parse_matching(text, dialect, day_match)
        .unwrap_or_else(|error| panic!("{text}: {error}"));
    let mut trigger = Trigger::from(CronTrigger::new(expr, Zone::utc())).to_string();
    trigger = trigger.replacen("cron ", "", 1).replacen(" UTC", "", 1);
    trigger
}

#[track_caller]
fn check(dialect: Dialect, table: &[(&str, &str)]) {
    for (text, expected) in table {
        let found = normal(dialect, DayMatch::Any, text);
        assert_eq!(found, *expected, "{text}");
    }
}

#[test]
fn standard() {
    check(
        Dialect::Standard,
        &[
            ("0 3 * * *", "0 3 * * *"),
            ("@daily", "0 0 * * *"),
            ("@weekly", "0 0 * * sun"),
            ("@yearly", "0 0 1 1 *"),
            ("*/5 9-17 * * mon-fri", "*/5 9-17 * * mon-fri"),
            ("*/5 9-17 * * 1,2,3,4,5", "*/5 9-17 * * mon-fri"),
            ("0,15,30,45 0-23 * * *", "0-45/15 0-23 * * *"),
            ("*/15 0-23 * * *", "*/15 * * * *"),
            ("*/10,5 1 * * *", "*/10,5 1 * * *"),
            ("*/100 5 * * *", "*/60 5 * * *"),
            ("58/15 5 * * *", "58/2 5 * * *"),
            ("3/20 * * * *", "3/20 * * * *"),
            ("0 0 */2 * 1", "0 0 */2 * mon"),
            ("0 0 1-31/2 * 1", "0 0 1-31/2 * mon"),
            ("0 0 1-31 * 1", "0 0 * * *"),
            ("0 0 * * 1", "0 0 * * mon"),
            ("0 0 1 * 0-6", "0 0 * * *"),
            ("0 0 1,15 * mon", "0 0 1,15 * mon"),
            ("0 22-2 * * fri-mon", "0 22-2 * * fri-mon"),
            ("0 0 25-5 nov-feb *", "0 0 25-5 11-2 *"),
            ("0 0 L,15W,L-3,LW * *", "0 0 15W,L,L-3,LW * *"),
            ("0 0 ? * 5L,mon#1,7#2", "0 0 * * mon#1,sun#2,friL"),
            ("0 0 L-0 * sun#1", "0 0 L * sun#1"),
            ("0 0 * * 6,7", "0 0 * * sat,sun"),
            ("30 0 3 * * *", "30 0 3 * * *"),
            ("* * * * * *", "* * * * * *"),
            ("0-59 * * * * *", "* * * * * *"),
            ("0 0 12 1 1 ? 2026-2028,2030", "0 0 12 1 1 * 2026-2028,2030"),
            ("0 0 0 1 1 * 2020/4", "0 0 0 1 1 * 2020-2196/4"),
            ("0 1/2 * * *", "0 1/2 * * *"),
            ("0 0 1 */3 *", "0 0 1 */3 *"),
        ],
    );
}

#[test]
fn other_dialects() {
    check(
        Dialect::Crontab,
        &[
            ("*/5 * * * *", "*/5 * * * * dialect=crontab"),
            ("0 0 * * fri-sun", "0 0 * * fri-sun dialect=crontab"),
            ("5-55/10,3 */7 13 * 5", "3,5,15,25,35,45,55 */7 13 * fri dialect=crontab"),
        ],
    );
    check(
        Dialect::Quartz,
        &[
            ("0 0 12 ? * 2-6", "0 0 12 ? * mon-fri dialect=quartz"),
            ("0 0 12 * * ?", "0 0 12 * * ? dialect=quartz"),
            ("0 0 12 ? * L", "0 0 12 ? * sat dialect=quartz"),
            ("0 0 12 ? * 6#3", "0 0 12 ? * fri#3 dialect=quartz"),
            ("0 0 12 L-3W * ?", "0 0 12 L-3W * ? dialect=quartz"),
            ("58/15 0 12 1 * ?", "58 0 12/12 1 * ? dialect=quartz"),
            ("0 0 12 ? * *", "0 0 12 * * ? dialect=quartz"),
        ],
    );
    check(
        Dialect::Apscheduler,
        &[
            ("* 5 * * * ?", "0 5 * * * * dialect=apscheduler"),
            ("*/1 5 * * * ?", "*/1 5 * * * * dialect=apscheduler"),
            ("0-59 5 * * * ?", "*/1 5 * * * * dialect=apscheduler"),
            ("* * * * * ?", "* * * * * * dialect=apscheduler"),
            ("* * * ? * WED", "0 0 0 * * wed dialect=apscheduler"),
            ("* * * * * ? 2030", "0 0 0 1 1 * 2030 dialect=apscheduler"),
            ("* * * * 6 ?", "0 0 0 1 6 * dialect=apscheduler"),
            ("0 0 12 10,last * 0", "0 0 12 10,last * mon dialect=apscheduler"),
            ("0 0 0 1 1 ? 2500", "0 0 0 1 1 * 2200 dialect=apscheduler"),
        ],
    );
}

#[test]
fn day_match_all() {
    let table = [
        ("0 0 */2 * 1", "0 0 */2 * mon"),
        ("0 0 1-31/2 * 1", "0 0 */2 * mon"),
        ("0 0 13 * fri", "0 0 13 * fri day_match=all"),
        ("0 0 1-31 * fri", "0 0 * * fri"),
        ("0 0 13 * *", "0 0 13 * *"),
        ("0 0 L * fri", "0 0 L * fri day_match=all"),
    ];
    for (text, expected) in table {
        assert_eq!(normal(Dialect::Standard, DayMatch::All, text), expected, "{text}");
    }
}

fn instant(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[test]
fn whole_triggers() {
    let zone = Zone::load("Asia/Shanghai").unwrap();
    let mut cron = CronTrigger::new(CronExpr::parse("0 3 * * *", Dialect::Standard).unwrap(), zone);
    assert_eq!(cron.to_string(), "cron 0 3 * * * Asia/Shanghai");
    cron.start_date = Some(instant("2025-12-31T16:00:00Z"));
    cron.end_date = Some(instant("2026-12-31T15:59:59.5Z"));
    cron.gap = Some(GapRule::Skip);
    cron.fold = Some(FoldRule::Last);
    let cron = Trigger::from(cron);
    assert_eq!(
        cron.to_string(),
        "cron 0 3 * * * Asia/Shanghai start_date=2025-12-31T16:00:00Z \
         end_date=2026-12-31T15:59:59.500Z gap=skip fold=last"
    );

    let every =
        |period| IntervalTrigger::new(parse_duration(period).unwrap(), Zone::utc()).unwrap();
    let anchored = every("6h")
        .with_anchor(instant("2026-01-01T01:00:00Z"))
        .with_start(IntervalStart::At(instant("2026-02-01T00:00:00Z")))
        .with_end(instant("2026-03-01T00:00:00Z"));
    assert_eq!(
        anchored.to_string(),
        "interval 6h UTC anchor=2026-01-01T01:00:00Z start_date=2026-02-01T00:00:00Z \
         end_date=2026-03-01T00:00:00Z"
    );
    assert_eq!(every("90m").to_string(), "interval 1h30m UTC");
    let relative =
        every("5m").with_start(IntervalStart::AfterApplied(parse_duration("5s").unwrap()));
    assert_eq!(relative.to_string(), "interval 5m UTC start_date=+5s");

    let date = DateTrigger::new(instant("2026-03-01T09:00:00Z"), Zone::utc());
    assert_eq!(date.to_string(), "date 2026-03-01T09:00:00Z UTC");
}
