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
#[test]
fn scratch() {
    for (d, text) in [
        (Dialect::Standard, "0 3 * * *"), (Dialect::Standard, "*/5 9-17 * * mon-fri"), (Dialect::Standard, "0 * * * *"), (Dialect::Standard, "* * * * *"),
        (Dialect::Standard, "* * * * * *"), (Dialect::Standard, "*/10 * * * * *"), (Dialect::Standard, "30 */15 * * * *"), (Dialect::Standard, "0 */2 * * *"),
        (Dialect::Standard, "0,30 9,12,17 * * *"), (Dialect::Standard, "15,45 0-23 * * *"), (Dialect::Standard, "0 0 1,15 * *"), (Dialect::Standard, "0 0 13 * fri"),
        (Dialect::Standard, "0 0 */2 * mon"), (Dialect::Standard, "0 0 L * *"), (Dialect::Standard, "0 0 L-3,15W * *"), (Dialect::Standard, "0 0 LW 3,6,9,12 *"),
        (Dialect::Standard, "0 0 * jun-aug friL"), (Dialect::Standard, "0 0 * * mon#2"), (Dialect::Standard, "0 0 * * sat,sun"), (Dialect::Standard, "0 30 4 29 2 * 2028-2096/4"),
        (Dialect::Standard, "*/20 22-2 * * *"), (Dialect::Quartz, "0 15 10 ? * 1"), (Dialect::Apscheduler, "0 15 10 ? * 1"), (Dialect::Standard, "5-10 3/20 * * * *"), (Dialect::Standard, "* 30 9 * * *"),
    ] {
        let t = Trigger::Cron(cron(text, d, DayMatch::Any, "Asia/Shanghai"));
        let [e, c] = both(&t);
        println!("{text}\n    {e}\n    {c}");
    }
}
