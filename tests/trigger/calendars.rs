//! Calendars and windows against their definition: all fire times, less those that a look at each one
//! removes. The engine jumps over what it removes; here nothing is jumped over.

use std::time::Duration;

use chrono::{Datelike, Days, NaiveDate, TimeDelta, Weekday};
use cronwright::spec::trigger::{
    CronExpr, CronTrigger, DayCalendar, DayRange, Dialect, FireFilter, IntervalTrigger, Trigger,
    Window,
};
use cronwright::time::{Timestamp, Zone};

use super::random::Random;

/// How many triggers one `cargo test` looks at.
const TRIGGERS: u64 = 300;
/// How many days of each.
const DAYS: i64 = 100;

const ZONES: [&str; 6] = [
    "UTC",
    "Asia/Shanghai",
    "America/New_York",
    "America/Santiago",
    "Africa/Cairo",
    "Australia/Lord_Howe",
];

const RULES: [&str; 6] = [
    "0 * * * *",
    "*/30 0-2 * * *",
    "15 2 * * *",
    "0 0 * * *",
    "59 23 * * *",
    "30 4,12 * * mon-sat",
];

/// What a calendar was made of.
struct Declared {
    weekdays: Vec<Weekday>,
    except: Vec<DayRange>,
    also: Vec<DayRange>,
}

impl Declared {
    fn draw(random: &mut Random, from: NaiveDate) -> Self {
        let week = [
            Weekday::Mon,
            Weekday::Tue,
            Weekday::Wed,
            Weekday::Thu,
            Weekday::Fri,
            Weekday::Sat,
            Weekday::Sun,
        ];
        let mut ranges = |most: u64| -> Vec<DayRange> {
            let count = random.below(most);
            let mut range = || {
                let first = from + Days::new(random.below(DAYS.unsigned_abs()));
                DayRange { first, last: first + Days::new(random.below(12)) }
            };
            std::iter::repeat_with(&mut range).take(usize::try_from(count).unwrap()).collect()
        };
        let (except, also) = (ranges(8), ranges(5));
        let weekdays = week.into_iter().filter(|_| random.one_in(2)).collect();
        Self { weekdays, except, also }
    }

    fn has(&self, day: NaiveDate) -> bool {
        let inside = |range: &DayRange| range.first <= day && day <= range.last;
        self.also.iter().any(inside)
            || (self.weekdays.contains(&day.weekday()) && !self.except.iter().any(inside))
    }
}

fn cron(text: &str, zone: &Zone) -> CronTrigger {
    CronTrigger::new(CronExpr::parse(text, Dialect::Standard).unwrap(), zone.clone())
}

/// The fire times in (`from`, `until`].
fn fires(trigger: &Trigger, from: Timestamp, until: Timestamp) -> Vec<Timestamp> {
    let next = |last: &Timestamp| trigger.next_after(*last, None);
    std::iter::successors(next(&from), next).take_while(|at| *at <= until).collect()
}

/// A window with the stretches of time that it is.
fn window(random: &mut Random, zone: &Zone, from: Timestamp, until: Timestamp) -> Stretches {
    let length = TimeDelta::minutes(i64::try_from(random.below(4_000)).unwrap() + 1);
    if random.one_in(2) {
        let start = from + TimeDelta::minutes(i64::try_from(random.below(140_000)).unwrap());
        let window = Window::Once { start, end: start + length };
        return (window, vec![(start, start + length)]);
    }
    let begins = *random.pick(&["0 22 * * sat", "30 1 * * *", "0 0 1,15 * *"]);
    let begins = cron(begins, zone);
    let starts = fires(&Trigger::from(begins.clone()), from - TimeDelta::days(10), until);
    let duration: Duration = length.to_std().unwrap();
    let stretches = starts.into_iter().map(|start| (start, start + length)).collect();
    (Window::Recurring { cron: Box::new(begins), duration }, stretches)
}

type Stretches = (Window, Vec<(Timestamp, Timestamp)>);

#[test]
fn what_remains_is_what_a_look_at_each_fire_time_leaves() {
    let mut random = Random(2_026);
    let (mut all, mut left) = (0, 0);
    for _ in 0..TRIGGERS {
        let zone = *random.pick(&ZONES);
        let zone = Zone::load(zone).unwrap();
        let year = i32::try_from(random.below(60)).unwrap() + 1990;
        let day =
            NaiveDate::from_yo_opt(year, 1 + u32::try_from(random.below(300)).unwrap()).unwrap();
        let from = day.and_hms_opt(5, 0, 0).unwrap().and_utc();
        let until = from + TimeDelta::days(DAYS);
        let plain = if random.one_in(4) {
            let interval = IntervalTrigger::new(Duration::from_mins(50), zone.clone()).unwrap();
            Trigger::from(interval.with_anchor(from))
        } else {
            let rule = *random.pick(&RULES);
            Trigger::from(cron(rule, &zone))
        };
        let declared = (!random.one_in(4)).then(|| Declared::draw(&mut random, day));
        let windows: Vec<Stretches> =
            (0..random.below(3)).map(|_| window(&mut random, &zone, from, until)).collect();
        let filter = FireFilter {
            calendar: declared.as_ref().map(|days| {
                DayCalendar::new(&days.weekdays, days.except.clone(), days.also.clone()).into()
            }),
            exclude: windows.iter().map(|(window, _)| window.clone()).collect(),
        };
        let filtered = Trigger { filter, ..plain.clone() };
        let stays = |at: &Timestamp| {
            let inside = |(start, end): &(Timestamp, Timestamp)| start <= at && at < end;
            declared.as_ref().is_none_or(|days| days.has(zone.local(*at).date()))
                && !windows.iter().any(|(_, stretches)| stretches.iter().any(inside))
        };
        let every = fires(&plain, from, until);
        all += every.len();
        let expected: Vec<Timestamp> = every.into_iter().filter(stays).collect();
        left += expected.len();
        assert_eq!(fires(&filtered, from, until), expected, "{filtered} from {from}");
    }
    println!("calendars: {TRIGGERS} triggers, {left} of {all} fire times remain");
}
