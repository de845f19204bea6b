//! The additions of `standard` (A3) against the brute-force evaluator, one by one: what stands here has
//! no vectors. Zones and instants are those at which clocks do something odd.

use chrono::TimeDelta;
use cronwright::ledger::evaluator::Evaluator;
use cronwright::spec::trigger::{CronExpr, CronTrigger, Dialect};
use cronwright::time::{Timestamp, Zone};

const EXPRESSIONS: [&str; 62] = [
    // Seconds in front, years at the end.
    "30 15 2 * * *",
    "*/20 30 1 * * *",
    "0 0 0 1 1 * 2026-2030/2",
    "0 30 2 29 2 * 2028,2096",
    "59 59 23 31 12 * 2026/1",
    "0 0 12 ? * ? 2027",
    // Open steps.
    "10/25 2 * * *",
    "0 1/1 * * *",
    "5/20 0/6 * * *",
    "0 0 10/7 * *",
    "0 3 * 2/5 *",
    "0 3 * * 2/2",
    "59/1 1 * * *",
    "0 23/1 * * *",
    "0 0 31/1 * *",
    // Question marks.
    "0 3 ? * mon",
    "0 3 15 * ?",
    "0 3 ? * ?",
    // Ranges over the end.
    "0 22-2 * * *",
    "50-10/5 1 * * *",
    "0 3 28-3 * *",
    "0 3 1 nov-feb *",
    "0 3 * * fri-mon",
    "0 3 * * 5-1",
    "0 3 * * 6-0",
    "0 22-4/3 * * sat-tue",
    "0 3 30-2/2 * *",
    "0 3 * * 7-2",
    "45-15/10 */2 * * *",
    // Days from the end of the month.
    "0 3 L * *",
    "0 3 L-3 * *",
    "0 3 L-30 * *",
    "0 3 LW * *",
    "0 3 L-2W * *",
    "0 3 L-15W 2 *",
    "0 3 L,15 * *",
    "0 3 1,L-1 2 *",
    "0 3 L 2 * ",
    // Working days.
    "0 3 1W * *",
    "0 3 15W * *",
    "0 3 31W * *",
    "0 3 30W 2 *",
    "0 3 1W,LW * *",
    "0 3 5-7,15W * *",
    "0 3 29W 2 *",
    // Weekdays of the month.
    "0 3 * * fri#2",
    "0 3 * * 5#5",
    "0 3 * * 0#1",
    "0 3 * * 7#5",
    "0 3 * * mon#1,mon#3",
    "0 3 * * friL",
    "0 3 * * 0L",
    "0 3 * * 7L",
    "0 3 * * mon,friL",
    "0 3 * 2 thu#5,satL",
    // Both day fields, one of them special: either, unless one begins with a star.
    "0 3 L * fri",
    "0 3 13 * fri#2",
    "0 3 15W * mon",
    "0 3 L-1 * sunL",
    "0 3 */2 * monL",
    "0 3 LW * *",
    "0 3 1/2 * tue#1",
];

/// Zones with shifts of an hour, of half an hour, at midnight, and of a whole day.
const ZONES: [(&str, &str); 7] = [
    ("UTC", "2027-12-30T00:00:00Z"),
    ("Europe/Berlin", "2026-03-28T00:00:00Z"),
    ("America/New_York", "2025-11-01T00:00:00Z"),
    ("Australia/Lord_Howe", "2026-04-03T00:00:00Z"),
    ("America/Havana", "2026-03-07T00:00:00Z"),
    ("Africa/Casablanca", "2025-02-20T00:00:00Z"),
    ("Pacific/Apia", "2011-12-28T00:00:00Z"),
];

/// How far each expression is followed from each instant.
const HORIZON: TimeDelta = TimeDelta::days(800);

/// More fires than this are not compared.
const FIRES_MAX: usize = 60;

#[test]
fn a3_what_standard_adds_agrees_with_brute_force() {
    let mut compared = 0;
    for text in EXPRESSIONS {
        for (zone, after) in ZONES {
            compared += compare(text, zone, after.parse().unwrap());
        }
    }
    println!("standard: {compared} fire times of {} expressions agree", EXPRESSIONS.len());
}

/// Compares an expression from an instant on; returns how many fires were compared.
#[track_caller]
fn compare(text: &str, zone: &str, after: Timestamp) -> usize {
    let expr =
        CronExpr::parse(text, Dialect::Standard).unwrap_or_else(|error| panic!("{text}: {error}"));
    let cron = CronTrigger::new(expr, Zone::load(zone).unwrap());
    let fires = std::iter::successors(cron.next_after(after), |last| cron.next_after(*last));
    let horizon = after + HORIZON;
    let found: Vec<Timestamp> = fires.take_while(|at| *at <= horizon).take(FIRES_MAX).collect();
    let until = if found.len() == FIRES_MAX { found[FIRES_MAX - 1] } else { horizon };
    let evaluator = Evaluator::read(&format!("cron {text} {zone}")).unwrap();
    let expected = evaluator.due_times(after + TimeDelta::nanoseconds(1)..=until, None);
    assert_eq!(found, expected, "{text} in {zone} after {after}");
    found.len()
}
