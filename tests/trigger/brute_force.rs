//! The engine against the evaluator that shares no code with it, in every zone, 1970 to 2100.

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use cronwright::ledger::evaluator::Evaluator;
use cronwright::spec::trigger::{
    CronExpr, CronTrigger, DayMatch, Dialect, FoldRule, GapRule, Trigger,
};
use cronwright::time::{Timestamp, Zone};

use super::random::{Random, expression, instant};

/// How long the test looks for differences; `CRONWRIGHT_TEST_SCALE` multiplies it.
const SLICE: Duration = Duration::from_mins(1);

/// The fires compared per triple.
const FIRES_MAX: usize = 12;

/// Fires further away than this are compared as absent.
const HORIZON: TimeDelta = TimeDelta::days(8 * 366);

fn variable(name: &str) -> Option<f64> {
    #[expect(clippy::disallowed_methods, reason = "tests are scaled by the environment")]
    std::env::var(name).ok()?.parse().ok()
}

/// A test over 1 s: its worth grows with its time. The number of triples goes to standard error.
#[test]
fn agrees_with_brute_force_in_every_zone() {
    let scale = variable("CRONWRIGHT_TEST_SCALE").unwrap_or(1.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a seed")]
    let seed = variable("CRONWRIGHT_TEST_SEED").unwrap_or(1970.0) as u64;
    let mut random = Random(seed);
    let zones: Vec<Zone> = Zone::names().iter().map(|name| Zone::load(name).unwrap()).collect();
    #[expect(clippy::disallowed_methods, reason = "the slice is one of real time")]
    let started = Instant::now();
    let (mut triples, mut fires, mut refused) = (0_u64, 0_u64, 0_u64);
    while started.elapsed() < SLICE.mul_f64(scale) {
        for _ in 0..500 {
            let zone = random.pick(&zones).clone();
            match check_one(&mut random, zone) {
                Checked::Agrees(count) => fires += count as u64,
                Checked::Refused => refused += 1,
            }
            triples += 1;
        }
    }
    writeln!(
        std::io::stderr(),
        "brute force: {triples} triples, {fires} fires, {} zones, seed {seed}: no difference \
         ({refused} expressions refused)",
        zones.len()
    )
    .unwrap();
    assert!(refused * 50 < triples, "the generator should make valid expressions");
}

enum Checked {
    Agrees(usize),
    Refused,
}

fn check_one(random: &mut Random, zone: Zone) -> Checked {
    let dialect = *random.pick(&Dialect::ALL);
    let day_match = if random.one_in(6) { DayMatch::All } else { DayMatch::Any };
    let text = expression(random, dialect);
    let Ok(expr) = CronExpr::parse_matching(&text, dialect, day_match) else {
        return Checked::Refused;
    };
    let after = instant(random, &zone);
    let mut cron = CronTrigger::new(expr, zone);
    if random.one_in(4) {
        cron.gap = Some(*random.pick(&GapRule::ALL));
        cron.fold = Some(*random.pick(&FoldRule::ALL));
    }
    if random.one_in(8) {
        cron.start_date = Some(after + TimeDelta::seconds(i64::from(random.between(0, 90_000))));
    }
    if random.one_in(8) {
        cron.end_date = Some(after + TimeDelta::seconds(i64::from(random.between(0, 900_000))));
    }
    let as_written = as_written(&cron, &text, day_match);
    let normal_form = Trigger::from(cron.clone()).to_string();
    let reread = CronExpr::parse_matching(&cron.expr.to_string(), dialect, cron.expr.day_match());
    assert!(reread.as_ref() == Ok(&cron.expr), "{as_written} reads back from {normal_form}");

    let mut found = Vec::new();
    let mut last = after;
    while found.len() < FIRES_MAX
        && let Some(at) = cron.next_after(last)
        && at <= after + HORIZON
    {
        assert!(at > last, "{as_written} goes from {last} to {at}");
        found.push(at);
        last = at;
    }
    let until = match cron.end_date {
        _ if found.len() == FIRES_MAX => last,
        Some(end) => end + TimeDelta::hours(1),
        None => after + HORIZON,
    };
    // Both texts must mean the same to the evaluator.
    let read = if random.one_in(2) { &as_written } else { &normal_form };
    let evaluator = Evaluator::read(read).unwrap();
    let expected = evaluator.due_times(after + TimeDelta::nanoseconds(1)..=until, None);
    assert!(
        found == expected,
        "{as_written}\n{normal_form}\nafter {}:{}",
        cron.zone.rfc3339(after),
        difference(&cron.zone, &found, &expected)
    );
    Checked::Agrees(found.len())
}

/// The trigger with its expression as the generator wrote it.
fn as_written(cron: &CronTrigger, text: &str, day_match: DayMatch) -> String {
    let normal_form = cron.to_string();
    let options: String = normal_form
        .split(' ')
        .filter(|word| word.contains('=') && !word.starts_with("day_match"))
        .fold(String::new(), |all, word| all + " " + word);
    format!("cron {text} {}{options} day_match={}", cron.zone, day_match.as_str())
}

fn difference(zone: &Zone, found: &[Timestamp], expected: &[Timestamp]) -> String {
    let mut text = String::new();
    for (name, times) in [("engine", found), ("brute force", expected)] {
        let shown: Vec<String> =
            times.iter().take(FIRES_MAX + 1).map(|at| zone.rfc3339(*at)).collect();
        write!(text, "\n  {name}: {shown:?}").unwrap();
    }
    text
}
