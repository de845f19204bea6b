//! Calendars and exclusions: the engine against the evaluator that shares no code with it, and the work
//! that a search may cost.

use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{Days, NaiveDate, TimeDelta, Weekday};
use cronwright::ledger::evaluator::Evaluator;
use cronwright::spec::trigger::{
    CronExpr, CronTrigger, DateTrigger, DayCalendar, DayRange, Dialect, FireFilter, FoldRule,
    GapRule, IntervalTrigger, Search, Trigger, Window,
};
use cronwright::time::{Timestamp, Zone};

use super::random::{Random, expression, instant};

/// How many triggers are compared; `CRONWRIGHT_TEST_SCALE` multiplies it.
const TRIGGERS: u64 = 6_000;
/// The fires compared per trigger.
const FIRES_MAX: usize = 8;
/// Fires further away than this are compared as absent.
const HORIZON: TimeDelta = TimeDelta::days(40);

const WEEK: [Weekday; 7] = [
    Weekday::Mon,
    Weekday::Tue,
    Weekday::Wed,
    Weekday::Thu,
    Weekday::Fri,
    Weekday::Sat,
    Weekday::Sun,
];

#[test]
fn a7_filters_agree_with_brute_force_in_every_zone() {
    #[expect(clippy::disallowed_methods, reason = "tests are scaled by the environment")]
    let scale = std::env::var("CRONWRIGHT_TEST_SCALE").ok().and_then(|text| text.parse().ok());
    let mut random = Random(7);
    let zones: Vec<Zone> = Zone::names().iter().map(|name| Zone::load(name).unwrap()).collect();
    let (mut fires, mut given_up) = (0, 0);
    for _ in 0..TRIGGERS * scale.unwrap_or(1) {
        let zone = random.pick(&zones).clone();
        let after = instant(&mut random, &zone);
        let Some(trigger) = trigger(&mut random, &zone, after) else { continue };
        let (found, until) = engine(&trigger, after, &mut given_up);
        let evaluator = Evaluator::read(&trigger.to_string()).unwrap();
        let from = after + TimeDelta::nanoseconds(1);
        let expected =
            if from > until { Vec::new() } else { evaluator.due_times(from..=until, None) };
        assert_eq!(found, expected, "{trigger}\nafter {}", zone.rfc3339(after));
        fires += found.len();
    }
    writeln!(std::io::stderr(), "filters: {fires} fires, {given_up} searches given up").unwrap();
    assert!(fires > 10_000, "{fires}");
}

/// What the engine finds, and up to when that is all.
fn engine(trigger: &Trigger, after: Timestamp, given_up: &mut u64) -> (Vec<Timestamp>, Timestamp) {
    let mut found = Vec::new();
    let mut last = after;
    while found.len() < FIRES_MAX {
        match trigger.search(last, None) {
            Search::Found(at) if at <= after + HORIZON => {
                assert!(at > last, "{trigger}: {last} {at}");
                assert!(trigger.filter.admits(trigger.zone(), at), "{trigger}: {at}");
                found.push(at);
                last = at;
            }
            Search::Found(_) | Search::Finished => return (found, after + HORIZON),
            Search::Unknown(at) => {
                assert!(at > last, "{trigger}: {last} {at}");
                *given_up += 1;
                last = at;
                if at > after + HORIZON {
                    return (found, after + HORIZON);
                }
            }
        }
    }
    (found, last)
}

fn trigger(random: &mut Random, zone: &Zone, after: Timestamp) -> Option<Trigger> {
    let mut trigger = match random.below(6) {
        0 => {
            let period = Duration::from_secs(u64::from(random.between(60, 200_000)));
            let interval = IntervalTrigger::new(period, zone.clone()).unwrap();
            let back = TimeDelta::seconds(i64::from(random.between(0, 900_000)));
            Trigger::from(interval.with_anchor(after - back))
        }
        1 => {
            let ahead = TimeDelta::seconds(i64::from(random.between(0, 900_000)));
            Trigger::from(DateTrigger::new(after + ahead, zone.clone()))
        }
        _ => {
            let expr = CronExpr::parse(&expression(random, Dialect::Standard), Dialect::Standard);
            let mut cron = CronTrigger::new(expr.ok()?, zone.clone());
            if random.one_in(6) {
                cron.gap = Some(*random.pick(&GapRule::ALL));
                cron.fold = Some(*random.pick(&FoldRule::ALL));
            }
            Trigger::from(cron)
        }
    };
    let today = zone.local(after).date();
    let calendar = random.one_in(2).then(|| Arc::new(calendar(random, today)));
    let windows = (0..random.below(4)).filter_map(|_| window(random, zone, after)).collect();
    trigger.filter = FireFilter::new(calendar, windows);
    Some(trigger)
}

fn calendar(random: &mut Random, today: NaiveDate) -> DayCalendar {
    let weekdays: Vec<Weekday> = WEEK.into_iter().filter(|_| random.one_in(2)).collect();
    let mut ranges = |count: u64| -> Vec<DayRange> {
        let mut range = || {
            let first = today + Days::new(random.below(30));
            DayRange { first, last: first + Days::new(random.below(4)) }
        };
        (0..count).map(|_| range()).collect()
    };
    let (except, also) = (ranges(3), ranges(2));
    DayCalendar::new(&weekdays, except, also)
}

fn window(random: &mut Random, zone: &Zone, after: Timestamp) -> Option<Window> {
    if random.one_in(2) {
        let start = after + TimeDelta::seconds(i64::from(random.between(0, 2_000_000)));
        let end = start + TimeDelta::seconds(i64::from(random.between(1, 400_000)));
        return Some(Window::Once { start, end });
    }
    let expr = CronExpr::parse(&expression(random, Dialect::Crontab), Dialect::Standard).ok()?;
    let cron = Box::new(CronTrigger::new(expr, zone.clone()));
    let length = *random.pick(&[1, 59, 60, 3_600, 86_400]);
    Some(Window::Recurring { cron, duration: Duration::from_secs(length) })
}

fn excluding(text: &str, window: &str, seconds: u64) -> Trigger {
    let cron = |text: &str| {
        CronTrigger::new(CronExpr::parse(text, Dialect::Standard).unwrap(), Zone::utc())
    };
    let duration = Duration::from_secs(seconds);
    let window = Window::Recurring { cron: Box::new(cron(window)), duration };
    Trigger { filter: FireFilter::new(None, vec![window]), ..Trigger::from(cron(text)) }
}

/// A11: what takes too long is refused at load, quickly, and a search that gives up says from where to go on.
#[test]
fn a11_a_search_through_a_filter_is_bounded_and_can_be_resumed() {
    let all = excluding("* * * * * *", "* * * * * *", 1);
    #[expect(clippy::disallowed_methods, reason = "a bound of real time")]
    let started = Instant::now();
    assert!(!all.can_ever_fire());
    // A few milliseconds; this machine may be slow, and the build without optimisation.
    assert!(started.elapsed() < Duration::from_millis(200), "{:?}", started.elapsed());

    let june = excluding("* * * * *", "* * * 6 *", 60);
    assert!(june.can_ever_fire());
    let may: Timestamp = "2026-05-31T23:59:00Z".parse().unwrap();
    let july: Timestamp = "2026-07-01T00:00:00Z".parse().unwrap();
    assert_eq!(june.next_due_after(may, None), Some(july));
    let mut after = may;
    let mut rounds = 0;
    let found = loop {
        match june.search(after, None) {
            Search::Found(at) => break at,
            Search::Finished => panic!("it fires again in July"),
            Search::Unknown(at) => {
                assert!(at > after);
                after = at;
                rounds += 1;
            }
        }
    };
    assert_eq!(found, july);
    assert!(rounds > 0);
}

/// A11: whether an interval whose phase is not known yet can fire does not depend on where 1970 lies in the week.
#[test]
fn a11_an_interval_without_a_phase_may_fire_on_any_day_of_its_calendar() {
    let week = IntervalTrigger::new(Duration::from_hours(7 * 24), Zone::utc()).unwrap();
    let on = |weekdays: &[Weekday]| Trigger {
        filter: FireFilter::new(
            Some(Arc::new(DayCalendar::new(weekdays, Vec::new(), Vec::new()))),
            Vec::new(),
        ),
        ..Trigger::from(week.clone())
    };
    assert!(WEEK.iter().all(|day| on(&[*day]).can_ever_fire()));
    assert!(!on(&[]).can_ever_fire());
}

#[test]
fn equal_filters_have_equal_normal_forms() {
    let day = |text: &str| text.parse::<NaiveDate>().unwrap();
    let range = |first: &str, last: &str| DayRange { first: day(first), last: day(last) };
    let spring = DayCalendar::new(
        &[Weekday::Fri, Weekday::Mon],
        vec![range("2026-02-18", "2026-02-20"), range("2026-02-15", "2026-02-17")],
        vec![DayRange::day(day("2026-02-28")), DayRange::day(day("2026-02-28"))],
    );
    assert_eq!(spring.to_string(), "mon,fri without 2026-02-15..2026-02-20 with 2026-02-28");
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let once = |start: &str, end: &str| Window::Once { start: at(start), end: at(end) };
    let filter = FireFilter::new(
        None,
        vec![
            once("2026-01-03T00:00:00Z", "2026-01-04T00:00:00Z"),
            once("2026-01-01T00:00:00Z", "2026-01-03T00:00:00Z"),
        ],
    );
    assert_eq!(filter.to_string(), " exclude=(2026-01-01T00:00:00Z..2026-01-04T00:00:00Z)");
}
