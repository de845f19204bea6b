//! The checker: what must hold of the rows and the evidence when a history has come to rest.
//!
//! The due set comes from the definitions that the store has, and from arithmetic of its own: it walks
//! second by second and asks no trigger for its next fire time.

use std::collections::BTreeMap;

use chrono::{TimeDelta, Timelike};
use cronwright::engine::execution::{Cause, Outcome, Row};
use cronwright::io::store::document::JobDocument;
use cronwright::spec::trigger::{Schedule, Trigger};
use cronwright::time::Timestamp;

use super::world::World;

/// Everything that is wrong.
pub(super) fn findings(world: &World) -> Vec<String> {
    let mut findings = Vec::new();
    coverage(world, &mut findings);
    evidence(world, &mut findings);
    findings.truncate(12);
    findings
}

/// I01, I02: due = covered, each once.
fn coverage(world: &World, findings: &mut Vec<String>) {
    let mut covering: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
    for row in world.ledger.all_rows().values().filter(|row| row.cause != Cause::Request) {
        covering.entry(&row.uid.0).or_default().push(row);
    }
    let contents = world.ledger.load();
    let Some(watermark) = contents.watermark else {
        findings.push("no watermark".to_owned());
        return;
    };
    if world.clock().wall - watermark > TimeDelta::seconds(3_700) {
        findings.push(format!("the watermark {watermark} lags"));
    }
    let removed: BTreeMap<&str, Option<Timestamp>> =
        contents.jobs.iter().map(|job| (job.uid.as_str(), job.removed_at)).collect();
    let mut specs: BTreeMap<&str, Vec<&JobDocument>> = BTreeMap::new();
    for spec in world.ledger.specs() {
        specs.entry(&spec.uid).or_default().push(spec);
    }
    let mut due_of: BTreeMap<&str, Vec<Timestamp>> = BTreeMap::new();
    for (uid, mut of_job) in specs {
        of_job.sort_by_key(|spec| spec.effective_at);
        let removals = world.ledger.removals(uid);
        for (index, spec) in of_job.iter().enumerate() {
            let next = of_job.get(index + 1).map(|next| next.effective_at);
            let gone = removals.iter().copied().find(|at| *at >= spec.effective_at);
            let last = removed.get(uid).copied().flatten().filter(|_| next.is_none());
            let until = [next, gone, last, Some(watermark)].into_iter().flatten().min().unwrap();
            due_of.entry(uid).or_default().extend(due(world, spec, until));
        }
    }
    for (uid, rows) in covering {
        let due = due_of.remove(uid).unwrap_or_default();
        compare(uid, &due, &rows, watermark, findings);
    }
    for (uid, due) in due_of.into_iter().filter(|(_, due)| !due.is_empty()) {
        findings.push(format!("{uid}: {} due, no rows", due.len()));
    }
}

fn compare(
    uid: &str,
    due: &[Timestamp],
    rows: &[&Row],
    watermark: Timestamp,
    findings: &mut Vec<String>,
) {
    let mut covered: BTreeMap<Timestamp, u64> = due.iter().map(|at| (*at, 0)).collect();
    for row in rows {
        let (first, last, count) =
            row.range.map_or((row.fire_time, row.fire_time, 1), |r| (r.first, r.last, r.count));
        let mut inside = 0;
        for (_, times) in covered.range_mut(first..=last) {
            *times += 1;
            inside += 1;
        }
        if inside != count && last <= watermark {
            findings.push(format!(
                "{uid}: row {} ({:?}) covers {inside} of its {count}",
                row.id,
                row.outcome()
            ));
        }
    }
    for (at, times) in covered.into_iter().filter(|(_, times)| *times != 1) {
        findings.push(format!("{uid}: {at} is covered {times} times"));
    }
}

/// I03, I14: started at most once; what the row says is what happened.
fn evidence(world: &World, findings: &mut Vec<String>) {
    for (id, starts) in &world.starts {
        if *starts > 1 {
            findings.push(format!("{id} was started {starts} times"));
        }
        let Some(row) = world.ledger.all_rows().get(id) else {
            findings.push(format!("{id} was started and has no row"));
            continue;
        };
        let completed = world.completed.contains(id);
        let outcome = row.outcome();
        let late = row.late_outcome == Some(Outcome::Succeeded);
        if completed && outcome != Some(Outcome::Succeeded) && !late {
            findings.push(format!("{id} completed and its row says {outcome:?}"));
        }
        if outcome.is_some_and(|outcome| !outcome.ran()) {
            findings.push(format!("{id} was started and its row says {outcome:?}"));
        }
    }
    for row in world.ledger.all_rows().values() {
        let started = world.starts.contains_key(&row.id);
        if row.outcome() == Some(Outcome::Succeeded) && !started {
            findings.push(format!("{} succeeded and was never started", row.id));
        }
        let old = world.clock().wall - row.fire_time > TimeDelta::seconds(600);
        if row.outcome().is_none() && old {
            findings.push(format!("{} is still {}", row.id, row.state.as_str()));
        }
    }
}

/// The due times of a definition in (effective, until].
fn due(world: &World, spec: &JobDocument, until: Timestamp) -> Vec<Timestamp> {
    let job = world.spec_of(&spec.digest);
    let mut due = Vec::new();
    if !job.enabled {
        return due;
    }
    for trigger in &job.triggers {
        let rule = Rule::of(trigger, spec);
        let mut second = spec.effective_at.with_nanosecond(0).unwrap();
        while second <= until {
            due.extend(rule.due_in(second).filter(|at| *at > spec.effective_at && *at <= until));
            second += TimeDelta::seconds(1);
        }
    }
    due.sort_unstable();
    due.dedup();
    due
}

/// What a trigger says of one second, in plain numbers.
enum Rule {
    /// Due at the start of a second whose number in the hour is `rest` modulo `of`.
    Second {
        of: u32,
        rest: Vec<u32>,
    },
    Every {
        anchor: Timestamp,
        period_ms: i64,
        first_k: i64,
    },
}

impl Rule {
    fn of(trigger: &Trigger, spec: &JobDocument) -> Self {
        match &trigger.schedule {
            Schedule::Cron(_) => {
                let text = trigger.to_string();
                let fields: Vec<&str> = text.split_whitespace().collect();
                let (of, rest) = match &fields[1..fields.len() - 1] {
                    ["*", "*", ..] => (60, vec![0]),
                    ["*/5", "*", ..] => (300, vec![0]),
                    ["7/30", "*", ..] => (3_600, vec![420, 2_220]),
                    ["0", "*", ..] => (3_600, vec![0]),
                    ["*/20", "*", ..] => (20, vec![0]),
                    other => panic!("unknown expression {other:?}"),
                };
                Self::Second { of, rest }
            }
            Schedule::Interval(interval) => {
                let stored = spec.anchors.get(&trigger.to_string()).copied();
                Self::Every {
                    anchor: interval.anchor().or(stored).expect("an anchor"),
                    period_ms: i64::try_from(interval.period().as_millis()).unwrap(),
                    first_k: i64::from(interval.anchor().is_none()),
                }
            }
            Schedule::Date(_) => panic!("the world declares no dates"),
        }
    }

    fn due_in(&self, second: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Second { of, rest } => {
                let in_hour = second.minute() * 60 + second.second();
                rest.contains(&(in_hour % of)).then_some(second)
            }
            Self::Every { anchor, period_ms, first_k } => {
                let from = (second - anchor).num_milliseconds();
                let whole = from.rem_euclid(*period_ms) == 0;
                let k = from.div_euclid(*period_ms) + i64::from(!whole);
                let at = *anchor + TimeDelta::milliseconds(k * period_ms);
                (k >= *first_k && at < second + TimeDelta::seconds(1)).then_some(at)
            }
        }
    }
}
