//! The checker: what must hold of the rows and the evidence when a history has come to rest.
//!
//! The due set comes from the definitions that the store has, and from arithmetic of its own: it walks
//! second by second and asks no trigger for its next fire time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{Datelike, TimeDelta, Timelike};
use cronwright::engine::execution::{Cause, Outcome, Row, Skipped, State};
use cronwright::engine::overrides::Override;
use cronwright::engine::scheduler::PAUSE_FLUSHED_WITHIN;
use cronwright::io::store::document::JobDocument;
use cronwright::spec::job::JobName;
use cronwright::spec::trigger::{CronTrigger, FireFilter, Schedule, Trigger, Window, start_time};
use cronwright::time::Timestamp;

use super::world::{JITTER_MAX, World};

/// How long after its start time an occurrence is decided at the latest, when nothing is broken.
const DECIDED_WITHIN: TimeDelta = TimeDelta::seconds(10);
/// How long after a fault everything is as usual again.
pub(super) const RECOVERED_WITHIN: TimeDelta = TimeDelta::seconds(60);

/// The longest time that an execution with all its attempts takes.
const ALL_ATTEMPTS: TimeDelta = TimeDelta::seconds(4 * 400 + 3 * 240);

/// An occurrence, by the checker's own arithmetic.
#[derive(Debug, Clone, Copy)]
struct Due {
    fire_time: Timestamp,
    start_time: Timestamp,
    /// What operators have said holds it.
    held: Option<Skipped>,
}

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
    watermark_follows(world, watermark, findings);
    let now = world.clock().wall;
    let removed: BTreeMap<&str, Option<Timestamp>> =
        contents.jobs.iter().map(|job| (job.uid.as_str(), job.removed_at)).collect();
    let mut specs: BTreeMap<&str, Vec<&JobDocument>> = BTreeMap::new();
    for spec in world.ledger.specs() {
        specs.entry(&spec.uid).or_default().push(spec);
    }
    let mut due_of: BTreeMap<&str, Vec<Due>> = BTreeMap::new();
    for (uid, mut of_job) in specs {
        of_job.sort_by_key(|spec| spec.effective_at);
        let removals = world.ledger.removals(uid);
        for (index, spec) in of_job.iter().enumerate() {
            let next = of_job.get(index + 1).map(|next| next.effective_at);
            let gone = removals.iter().copied().find(|at| *at >= spec.effective_at);
            let last = removed.get(uid).copied().flatten().filter(|_| next.is_none());
            let until = [next, gone, last, Some(now)].into_iter().flatten().min().unwrap();
            due_of.entry(uid).or_default().extend(due(world, spec, until));
        }
    }
    for (uid, due) in &mut due_of {
        hold(world, uid, due);
    }
    for (uid, rows) in covering {
        let due = due_of.remove(uid).unwrap_or_default();
        reasons(&due, &rows, findings);
        compare(uid, &due, &rows, watermark, now, findings);
        punctual(world, &due, &rows, findings);
    }
    for (uid, due) in due_of {
        compare(uid, &due, &[], watermark, now, findings);
    }
}

/// Which occurrences are held: each by what was in force at its fire time. A change counts for fire times
/// strictly after it. A skip takes the first fire time after it was said, of whatever definition.
fn hold(world: &World, uid: &str, due: &mut [Due]) {
    let said: Vec<(Timestamp, &Override)> = world
        .ledger
        .said()
        .iter()
        .filter(|(_, write)| *write.uid.0 == *uid)
        .map(|(at, write)| (*at, &write.to))
        .collect();
    let fire_times: Vec<Timestamp> = due.iter().map(|due| due.fire_time).collect();
    for Due { fire_time, held, .. } in due {
        let in_force = said.iter().rfind(|(at, _)| at < fire_time).map(|(_, said)| said);
        let Some(said) = in_force else { continue };
        let paused = said.pause.as_ref().is_some_and(|pause| {
            pause.at < *fire_time && pause.until.is_none_or(|until| *fire_time < until)
        });
        let skipped = said
            .skip_next
            .as_ref()
            .is_some_and(|skip| fire_times.iter().find(|at| **at > skip.at) == Some(fire_time));
        *held = match (paused, skipped) {
            (true, _) => Some(Skipped::Paused),
            (false, true) => Some(Skipped::SkipNext),
            (false, false) => None,
        };
    }
}

/// B2, F3: the row of an occurrence says that it was paused, or skipped by an operator, exactly when it was.
fn reasons(due: &[Due], rows: &[&Row], findings: &mut Vec<String>) {
    for row in rows {
        let (first, last) = row.range.map_or((row.fire_time, row.fire_time), |r| (r.first, r.last));
        let says = match row.outcome() {
            Some(Outcome::Skipped(held @ (Skipped::Paused | Skipped::SkipNext))) => Some(held),
            _ => None,
        };
        let inside = due.iter().filter(|due| first <= due.fire_time && due.fire_time <= last);
        for wrong in inside.filter(|due| due.held != says) {
            let Due { fire_time, held, .. } = wrong;
            findings.push(format!("{}: {fire_time} is held by {held:?}, not {says:?}", row.id));
        }
    }
}

/// The watermark is not far behind the last batch: as far as an occurrence may wait for its start.
fn watermark_follows(world: &World, watermark: Timestamp, findings: &mut Vec<String>) {
    let calm = |at: &Timestamp| world.was_calm(*at - RECOVERED_WITHIN * 5, *at);
    let rows = world.ledger.all_rows().values();
    let last_batch = rows.map(|row| row.claimed_at).filter(calm).max();
    let slack = TimeDelta::from_std(JITTER_MAX).unwrap() + RECOVERED_WITHIN;
    if last_batch.is_some_and(|batch| batch - watermark > slack) {
        findings.push(format!("the watermark {watermark} lags"));
    }
}

/// A10: no row is written, and nothing started, before the start time, unless an edit of the job cut the
/// delay short; and without a fault not much later either.
fn punctual(world: &World, due: &[Due], rows: &[&Row], findings: &mut Vec<String>) {
    let starts: BTreeMap<Timestamp, Timestamp> =
        due.iter().map(|due| (due.fire_time, due.start_time)).collect();
    let held =
        |row: &Row| due.iter().any(|due| due.fire_time == row.fire_time && due.held.is_some());
    // One that waited bears the name that its job had when it began, and may have been written under another.
    let definitions = rows.first().map(|row| world.definitions(&row.uid.0)).unwrap_or_default();
    let names: BTreeSet<&JobName> = definitions.iter().map(|spec| &spec.name).collect();
    for row in rows {
        let (first, last) = row.range.map_or((row.fire_time, row.fire_time), |r| (r.first, r.last));
        let (Some(first_start), Some(last_start)) = (starts.get(&first), starts.get(&last)) else {
            continue;
        };
        let done = world.starts.get(&row.id).into_iter().flatten().copied();
        let earliest = done.clone().chain([row.claimed_at]).min().unwrap_or(row.claimed_at);
        let done = done.filter(|_| !world.may_wait(row));
        let latest = done.max().unwrap_or(row.claimed_at).max(row.claimed_at);
        let mut edits = names.iter().filter_map(|name| world.edits.get(name)).flatten();
        let edited = |at: &Timestamp| (last..=row.claimed_at).contains(at);
        if earliest < *last_start && !held(row) && !edits.any(edited) {
            findings.push(format!("{} was decided at {earliest}, before {last_start}", row.id));
        }
        if row.range.is_none() && row.start_time > *last_start {
            findings.push(format!("{} says {}, not {last_start}", row.id, row.start_time));
        }
        let lag = if held(row) { PAUSE_FLUSHED_WITHIN } else { Duration::ZERO };
        let allowed = *first_start + lag + DECIDED_WITHIN;
        if latest > allowed && world.was_calm(*first_start - RECOVERED_WITHIN, allowed) {
            findings.push(format!("{} was decided at {latest}, after {first_start}", row.id));
        }
    }
}

fn compare(
    uid: &str,
    due: &[Due],
    rows: &[&Row],
    watermark: Timestamp,
    now: Timestamp,
    findings: &mut Vec<String>,
) {
    // What has had its start is covered, also beyond the watermark, which stays before whoever waits.
    // What a pause holds has its row an hour later.
    let is_over = |due: &Due| match due.held {
        Some(Skipped::Paused) => due.start_time < now - PAUSE_FLUSHED_WITHIN - RECOVERED_WITHIN,
        _ => due.fire_time <= watermark || due.start_time < now - RECOVERED_WITHIN,
    };
    let mut covered: BTreeMap<Timestamp, (u64, bool)> =
        due.iter().map(|due| (due.fire_time, (0, is_over(due)))).collect();
    for row in rows {
        let (first, last, count) =
            row.range.map_or((row.fire_time, row.fire_time, 1), |r| (r.first, r.last, r.count));
        let mut inside = 0;
        for (_, (times, _)) in covered.range_mut(first..=last) {
            *times += 1;
            inside += 1;
        }
        if inside != count {
            findings.push(format!(
                "{uid}: row {} ({:?}) covers {inside} of its {count}",
                row.id,
                row.outcome()
            ));
        }
    }
    for (at, (times, _)) in covered.into_iter().filter(|(_, (n, over))| *n > 1 || *over && *n == 0)
    {
        findings.push(format!("{uid}: {at} is covered {times} times"));
    }
}

/// I03, I14: started at most once; what the row says is what happened.
fn evidence(world: &World, findings: &mut Vec<String>) {
    for (id, starts) in &world.starts {
        if starts.len() > 1 {
            findings.push(format!("{id} was started {} times", starts.len()));
        }
        let Some(row) = world.ledger.all_rows().get(id) else {
            findings.push(format!("{id} was started and has no row"));
            continue;
        };
        let completed = world.completed.contains_key(id);
        let outcome = row.outcome();
        let late = row.late_outcome == Some(Outcome::Succeeded);
        // One that was given up for lost may go on beside the next.
        let lost = row.attempts.iter().any(|attempt| attempt.outcome == Outcome::Lost);
        if completed && outcome != Some(Outcome::Succeeded) && !late && !lost {
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
        let longest = if row.rules.is_some() { ALL_ATTEMPTS } else { TimeDelta::seconds(600) };
        let begun = world.starts.get(&row.id).and_then(|starts| starts.first()).copied();
        let since = begun.filter(|_| world.may_wait(row)).unwrap_or(row.start_time);
        let old = world.clock().wall - since > longest && row.state != State::Queued;
        if row.outcome().is_none() && old {
            findings.push(format!("{} is still {}", row.id, row.state.as_str()));
        }
    }
}

/// What is due by a definition in (effective, until]. A delay ends before the next fire time, which
/// matters as far ahead as the longest delay goes.
fn due(world: &World, spec: &JobDocument, until: Timestamp) -> Vec<Due> {
    let job = world.spec_of(&spec.digest);
    let mut fires = Vec::new();
    if !job.enabled {
        return Vec::new();
    }
    let horizon = until + TimeDelta::from_std(JITTER_MAX).unwrap();
    for trigger in &job.triggers {
        let rule = Rule::of(trigger, spec);
        let mut second = spec.effective_at.with_nanosecond(0).unwrap();
        while second <= horizon {
            let found = rule.due_in(second).filter(|at| *at > spec.effective_at);
            fires.extend(
                found
                    .filter(|at| remains(&trigger.filter, *at))
                    .map(|fire_time| (fire_time, trigger.jitter)),
            );
            second += TimeDelta::seconds(1);
        }
    }
    // Stable: of several triggers that are due at once the first listed decides.
    fires.sort_by_key(|(fire_time, _)| *fire_time);
    fires.dedup_by_key(|(fire_time, _)| *fire_time);
    let next = fires.iter().skip(1).map(|(fire_time, _)| Some(*fire_time)).chain([None]);
    fires
        .iter()
        .zip(next)
        .take_while(|((fire_time, _), _)| *fire_time <= until)
        .map(|((fire_time, jitter), next)| Due {
            fire_time: *fire_time,
            start_time: start_time(&spec.uid, *fire_time, *jitter, next),
            held: None,
        })
        .collect()
}

/// A7: whether the filter leaves a fire time.
fn remains(filter: &FireFilter, at: Timestamp) -> bool {
    let in_window = |window: &Window| match window {
        Window::Once { start, end } => *start <= at && at < *end,
        Window::Recurring { cron, duration } => {
            let begins = Rule::of_cron(cron);
            let second = at.with_nanosecond(0).unwrap();
            let seconds_ago = 0..i64::try_from(duration.as_secs()).unwrap();
            seconds_ago
                .filter_map(|ago| begins.due_in(second - TimeDelta::seconds(ago)))
                .any(|start| start <= at && at < start + TimeDelta::from_std(*duration).unwrap())
        }
    };
    let on_day = filter
        .calendar
        .as_ref()
        .is_none_or(|calendar| calendar.weekdays().any(|day| day == at.weekday()));
    on_day && !filter.exclude.iter().any(in_window)
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
            Schedule::Cron(cron) => Self::of_cron(cron),
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

    fn of_cron(cron: &CronTrigger) -> Self {
        let text = cron.to_string();
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
