//! The checker of attempts (C3): which follow each other, when, and that none is started twice.

use std::time::Duration;

use chrono::TimeDelta;
use cronwright::engine::execution::{AttemptId, Outcome, Row};
use cronwright::spec::policy::{Backoff, OnLost, Retry};
use cronwright::time::Timestamp;

use super::checker::RECOVERED_WITHIN;
use super::world::World;

/// How long after its time an attempt is begun at the latest, when nothing is broken.
const BEGUN_WITHIN: TimeDelta = TimeDelta::seconds(10);

/// Everything that is wrong.
pub(super) fn findings(world: &World) -> Vec<String> {
    let mut findings = Vec::new();
    for (id, starts) in &world.later_starts {
        if starts.len() > 1 {
            findings.push(format!("{id} was started {} times", starts.len()));
        }
        let before = AttemptId { number: id.number - 1, ..id.clone() };
        let rows = world.ledger.all_rows();
        let row = rows.get(&id.execution);
        let ended = row.and_then(|row| ended_badly(world, row, &before));
        match (row, ended, starts.first()) {
            (Some(row), Some(failed), Some(start)) => {
                begun(world, id, row, failed, *start, &mut findings);
            }
            (_, None, _) => findings.push(format!("{id} follows one that did not fail")),
            (None, ..) | (.., None) => findings.push(format!("{id} has no row")),
        }
    }
    for row in world.ledger.all_rows().values().filter(|row| row.rules.is_some()) {
        given_up(world, row, &mut findings);
    }
    for row in world.ledger.all_rows().values() {
        let lost = row.attempts.iter().filter(|attempt| attempt.outcome == Outcome::Lost).count();
        if lost >= 3 {
            findings.push(format!("{} goes on after {lost} lost attempts", row.id));
        }
    }
    findings.truncate(12);
    findings
}

/// When an attempt failed, or was given up as lost by an execution that is tried again then (C4).
fn ended_badly(world: &World, row: &Row, id: &AttemptId) -> Option<Timestamp> {
    let retry = row.rules.as_deref()?.retry.as_ref()?;
    let index = usize::try_from(id.number).ok()?.checked_sub(1)?;
    let lost = row.attempts.get(index).filter(|attempt| attempt.outcome == Outcome::Lost);
    let lost = lost.filter(|_| retry.on_lost == OnLost::Retry);
    lost.map(|attempt| attempt.finished_at).or_else(|| world.failed.get(id).copied())
}

/// The shortest and the longest wait after an attempt, by arithmetic of our own.
fn waits(retry: &Retry, attempt: u32) -> (Duration, Duration) {
    let mut longest = retry.delay;
    for _ in 1..attempt {
        if retry.backoff == Backoff::Exponential {
            longest = (longest * 2).min(retry.max_delay);
        }
    }
    (longest * (1_000 - retry.jitter_permille) / 1_000, longest)
}

/// An attempt begins after its wait, and, when nothing is broken, not much later.
fn begun(
    world: &World,
    id: &AttemptId,
    row: &Row,
    failed: Timestamp,
    start: Timestamp,
    findings: &mut Vec<String>,
) {
    let Some(retry) = row.rules.as_deref().and_then(|rules| rules.retry.as_ref()) else {
        findings.push(format!("{id} was not asked for"));
        return;
    };
    if id.number > retry.limit + 1 {
        findings.push(format!("{id} is one too many"));
    }
    let (shortest, longest) = waits(retry, id.number - 1);
    let waited = (start - failed).to_std().unwrap_or_default();
    // Stores keep whole milliseconds.
    if waited + Duration::from_millis(1) < shortest {
        findings.push(format!("{id} began {waited:?} after the one before, not {shortest:?}"));
    }
    let latest = failed + TimeDelta::from_std(longest).unwrap() + BEGUN_WITHIN;
    if start > latest && world.was_calm(failed - RECOVERED_WITHIN * 5, latest) {
        findings.push(format!("{id} began {waited:?} after the one before, not {longest:?}"));
    }
}

/// An execution fails for good when its attempts are used up, its time is, or its job is gone. It is lost only
/// when nobody knows how an attempt ended.
fn given_up(world: &World, row: &Row, findings: &mut Vec<String>) {
    let Some(rules) = row.rules.as_deref() else { return };
    let last = AttemptId { execution: row.id.clone(), number: row.attempt() };
    let failed = world.failed.get(&last).copied();
    let listed = row.attempts.iter().zip(1..).all(|(_, number)| {
        let id = AttemptId { execution: row.id.clone(), number };
        ended_badly(world, row, &id).is_some()
    });
    if !listed {
        findings.push(format!("{} lists an attempt that did not fail", row.id));
    }
    let settled = world.clock().wall - RECOVERED_WITHIN;
    match row.outcome() {
        Some(Outcome::Failed(_)) => {
            let used_up = rules.retry.as_ref().is_none_or(|retry| row.attempt() > retry.limit);
            let timed = rules.total_timeout.is_some();
            let ended = failed.or_else(|| row.attempts.last().map(|last| last.finished_at));
            let is_gone = |at: Timestamp| {
                let removed = world.ledger.removals(&row.uid.0);
                let soon = RECOVERED_WITHIN * 30;
                removed.iter().any(|gone| *gone - soon < at && at < *gone + soon)
            };
            let calm = ended.is_some_and(|at| world.was_calm(at - RECOVERED_WITHIN * 5, at));
            if !used_up && !timed && calm && !ended.is_some_and(is_gone) {
                let tried = row.attempt();
                findings.push(format!("{} was given up after attempt {tried}", row.id));
            }
        }
        Some(Outcome::Lost) if world.size() == 1 && failed.is_some_and(|at| at < settled) => {
            findings.push(format!("{} is lost, and {last} ended", row.id));
        }
        _ => {}
    }
}
