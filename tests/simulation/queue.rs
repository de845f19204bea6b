//! The checker of the queue (B3, B5, B7): who waits, in which order, and that nobody is forgotten.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use cronwright::engine::execution::{Cancelled, Cause, JobUid, Outcome, Row, Skipped, State};
use cronwright::spec::job::JobSpec;
use cronwright::spec::policy::Overlap;
use cronwright::time::Timestamp;

use super::checker::RECOVERED_WITHIN;
use super::world::World;

/// How long after a place is free it is taken at the latest, when nothing is broken.
const TAKEN_WITHIN: TimeDelta = TimeDelta::seconds(10);

/// The rows of each job.
type Rows<'w> = BTreeMap<&'w JobUid, Vec<&'w Row>>;

/// Everything that is wrong.
pub(super) fn findings(world: &World) -> Vec<String> {
    let mut findings = world.crowded.clone();
    let mut rows = Rows::new();
    for row in world.ledger.all_rows().values() {
        rows.entry(&row.uid).or_default().push(row);
    }
    for (uid, rows) in &rows {
        if !world.definitions(&uid.0).iter().any(|spec| waits(spec)) && world.max_running.is_none()
        {
            continue;
        }
        order(world, rows, &mut findings);
        reasons(rows, &mut findings);
        forgotten(world, uid, rows, &mut findings);
    }
    findings.truncate(12);
    findings
}

/// Whether surplus occurrences of a job wait.
pub(super) fn waits(spec: &JobSpec) -> bool {
    matches!(spec.overlap, Overlap::Queue | Overlap::Replace)
}

fn started(world: &World, row: &Row) -> Option<Timestamp> {
    world.starts.get(&row.id).and_then(|at| at.first()).copied()
}

/// First in, first out, by fire time: nobody starts before one that is older and waits already.
fn order(world: &World, rows: &[&Row], findings: &mut Vec<String>) {
    let was_paused =
        world.ledger.said().iter().any(|(_, said)| rows.iter().any(|row| row.uid == said.uid));
    if was_paused {
        return;
    }
    for older in rows {
        let Some(late) = started(world, older) else { continue };
        for newer in rows.iter().filter(|newer| newer.fire_time > older.fire_time) {
            let Some(early) = started(world, newer) else { continue };
            let calm = world.was_calm(older.claimed_at - RECOVERED_WITHIN * 5, late);
            if early < late && older.claimed_at + TAKEN_WITHIN < early && calm {
                findings.push(format!("{} began before {}, which is older", newer.id, older.id));
            }
        }
    }
}

/// What is said of a queue that was full, and of what was replaced, can be so.
fn reasons(rows: &[&Row], findings: &mut Vec<String>) {
    for row in rows {
        let is_newer = |other: &&&Row| other.fire_time > row.fire_time;
        let was_there = |other: &&&Row| {
            let ended = match &other.state {
                State::Ended(ending) => ending.finished_at,
                _ => Timestamp::MAX_UTC,
            };
            other.id != row.id && other.claimed_at <= row.claimed_at && ended >= row.claimed_at
        };
        let told = match row.outcome() {
            Some(Outcome::Cancelled(Cancelled::Replaced) | Outcome::Skipped(Skipped::Replaced)) => {
                rows.iter().any(|other| is_newer(&other))
            }
            Some(Outcome::Skipped(Skipped::QueueFull)) => {
                rows.iter().any(|other| was_there(&other))
            }
            _ => true,
        };
        if !told {
            findings.push(format!("{} is {:?}, and nothing else is there", row.id, row.outcome()));
        }
    }
}

/// Nobody waits while there is a place, when the history has come to rest.
fn forgotten(world: &World, uid: &JobUid, rows: &[&Row], findings: &mut Vec<String>) {
    let now = world.clock().wall;
    let since = now - TAKEN_WITHIN;
    let contents = world.ledger.load();
    let job = contents.jobs.iter().find(|job| job.uid == *uid.0);
    let spec = job
        .filter(|job| job.removed_at.is_none_or(|at| at > since))
        .map(|job| world.spec_of(&job.digest));
    let is_paused = contents.overrides.iter().any(|said| said.uid == *uid.0);
    let recent =
        |rows: &mut dyn Iterator<Item = &&Row>| rows.filter(|row| holds_place(row, since)).count();
    for row in rows.iter().filter(|row| row.state == State::Queued && row.claimed_at < since) {
        if is_paused && row.cause != Cause::Request {
            continue;
        }
        let Some(spec) = &spec else {
            findings.push(format!("{} waits, and its job is gone", row.id));
            continue;
        };
        let all: Vec<&Row> = world.ledger.all_rows().values().collect();
        let room = world
            .max_running
            .is_none_or(|max| recent(&mut all.iter()) < usize::try_from(max).unwrap());
        let free = spec.overlap == Overlap::Allow
            || recent(&mut rows.iter()) < usize::try_from(spec.max_instances).unwrap();
        if room && free {
            findings.push(format!("{} waits since {}, and there is room", row.id, row.claimed_at));
        }
    }
}

/// Whether a row has held a place since then, at some time.
fn holds_place(row: &Row, since: Timestamp) -> bool {
    match &row.state {
        State::Queued => false,
        State::Claimed | State::Running { .. } | State::RetryWait { .. } => true,
        State::Ended(ending) => ending.outcome.ran() && ending.finished_at >= since,
    }
}
