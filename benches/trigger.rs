//! How fast triggers answer, side by side with the crates `cron` and `croner`.
//!
//! `cargo bench --bench trigger`. Each call asks for the fire time after the one before, so a
//! figure is the mean of one step through a schedule.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench prints, and may fail")]

use std::hint::black_box;
use std::str::FromStr;

use chrono::DateTime;
use chrono_tz::Tz;
use cronwright::spec::trigger::{CronExpr, CronTrigger, Dialect};
use cronwright::time::{Timestamp, Zone};
use divan::Bencher;
use divan::counter::ItemsCount;

/// Name, our text, and the same for crates that want six fields with Sunday = 1.
const EXPRESSIONS: [(&str, &str, &str); 3] = [
    ("every_second", "* * * * * *", "* * * * * *"),
    ("office_hours", "*/5 9-17 * * mon-fri", "0 */5 9-17 * * MON-FRI"),
    ("leap_day", "0 12 29 2 *", "0 0 12 29 2 *"),
];

const ZONES: [&str; 2] = ["UTC", "America/New_York"];

/// Steps before a schedule is begun again: from 2026 on, `cron` knows no more leap days.
const STEPS: usize = 16;

/// Walks per measurement, so that the clock is not what is measured.
const WALKS: usize = 32;

fn start() -> Timestamp {
    Timestamp::from_timestamp(1_767_225_600, 0).unwrap_or_default()
}

/// One expression in one zone.
struct Case {
    index: usize,
    zone: &'static str,
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", EXPRESSIONS[self.index].0, self.zone)
    }
}

fn cases() -> impl Iterator<Item = Case> {
    (0..EXPRESSIONS.len()).flat_map(|index| ZONES.map(|zone| Case { index, zone }))
}

#[divan::bench_group]
mod next_after {
    use super::{
        Bencher, CronExpr, CronTrigger, DateTime, Dialect, EXPRESSIONS, FromStr, ItemsCount, STEPS,
        Tz, WALKS, Zone, black_box, cases, start,
    };

    #[divan::bench(args = cases())]
    fn cronwright(bencher: Bencher<'_, '_>, case: &super::Case) {
        let expr = CronExpr::parse(EXPRESSIONS[case.index].1, Dialect::Standard).unwrap();
        let trigger = CronTrigger::new(expr, Zone::load(case.zone).unwrap());
        bencher.counter(ItemsCount::new(STEPS * WALKS)).bench_local(|| {
            for _ in 0..WALKS {
                let next = |at, _| trigger.next_after(black_box(at)).unwrap();
                black_box((0..STEPS).fold(start(), next));
            }
        });
    }

    #[divan::bench(args = cases())]
    fn cron(bencher: Bencher<'_, '_>, case: &super::Case) {
        let schedule = cron::Schedule::from_str(EXPRESSIONS[case.index].2).unwrap();
        let zone = Tz::from_str(case.zone).unwrap();
        bencher.counter(ItemsCount::new(STEPS * WALKS)).bench_local(|| {
            for _ in 0..WALKS {
                let after: DateTime<Tz> = black_box(start()).with_timezone(&zone);
                black_box(schedule.after(&after).take(STEPS).last());
            }
        });
    }

    #[divan::bench(args = cases())]
    fn croner(bencher: Bencher<'_, '_>, case: &super::Case) {
        let cron = croner::Cron::from_str(EXPRESSIONS[case.index].2).unwrap();
        let zone = Tz::from_str(case.zone).unwrap();
        bencher.counter(ItemsCount::new(STEPS * WALKS)).bench_local(|| {
            for _ in 0..WALKS {
                let after: DateTime<Tz> = black_box(start()).with_timezone(&zone);
                black_box(cron.iter_after(after).take(STEPS).last());
            }
        });
    }
}

#[divan::bench_group]
mod parse {
    use super::{CronExpr, Dialect, EXPRESSIONS, FromStr, black_box};

    #[divan::bench(args = 0..EXPRESSIONS.len())]
    fn cronwright(index: usize) -> CronExpr {
        CronExpr::parse(black_box(EXPRESSIONS[index].1), Dialect::Standard).unwrap()
    }

    #[divan::bench(args = 0..EXPRESSIONS.len())]
    fn cron(index: usize) -> cron::Schedule {
        cron::Schedule::from_str(black_box(EXPRESSIONS[index].2)).unwrap()
    }

    #[divan::bench(args = 0..EXPRESSIONS.len())]
    fn croner(index: usize) -> croner::Cron {
        croner::Cron::from_str(black_box(EXPRESSIONS[index].2)).unwrap()
    }
}

fn main() {
    println!(
        "bytes of a compiled expression, without what it points to: cronwright {}, cron {}, croner {}",
        size_of::<CronExpr>(),
        size_of::<cron::Schedule>(),
        size_of::<croner::Cron>(),
    );
    divan::main();
}
