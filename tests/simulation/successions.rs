//! The checker of what goes on when names change, and of what ends when jobs go.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use cronwright::engine::execution::{Attempt, Cancelled, JobUid, Outcome, Row};
use cronwright::io::store::document::JobDocument;
use cronwright::spec::job::Digest;
use cronwright::spec::policy::{OnRemove, Overlap};
use cronwright::time::Timestamp;

use super::checker::RECOVERED_WITHIN;
use super::world::World;

/// How long after a removal, or a recovery, what runs on may take to end.
const ENDED_WITHIN: TimeDelta = TimeDelta::seconds(120);

/// The longest execution.
const RUNS_AT_MOST: TimeDelta = TimeDelta::seconds(400);

/// The definitions of each job, oldest first.
type Definitions<'w> = BTreeMap<&'w str, Vec<&'w JobDocument>>;

/// Everything that is wrong.
pub(super) fn findings(world: &World) -> Vec<String> {
    let mut findings = Vec::new();
    let mut definitions = Definitions::new();
    for spec in world.ledger.specs() {
        definitions.entry(&spec.uid).or_default().push(spec);
    }
    for of_job in definitions.values_mut() {
        of_job.sort_by_key(|spec| spec.effective_at);
    }
    identity(world, &mut findings);
    phase(&definitions, &mut findings);
    slots(world, &mut findings);
    removals(world, &definitions, &mut findings);
    stops(world, &definitions, &mut findings);
    findings.truncate(12);
    findings
}

/// D4, D5: a definition belongs to the job of which the plan made it.
fn identity(world: &World, findings: &mut Vec<String>) {
    for spec in world.ledger.specs() {
        let Some(planned) = world.planned.get(&Digest(spec.digest.as_str().into())) else {
            findings.push(format!("{} has a definition that no plan made", spec.uid));
            continue;
        };
        let uid = Some(JobUid(spec.uid.as_str().into()));
        if !planned.contains(&None) && !planned.contains(&uid) {
            findings.push(format!("{} is {}, not {planned:?}", spec.name, spec.uid));
        }
    }
}

/// D1, D5: a trigger that stays keeps its phase, whatever the job is called, and after a return too.
fn phase(definitions: &Definitions<'_>, findings: &mut Vec<String>) {
    for (before, after) in definitions.values().flat_map(|of_job| of_job.iter().zip(&of_job[1..])) {
        for (trigger, anchor) in &after.anchors {
            if before.anchors.get(trigger).is_some_and(|kept| kept != anchor) {
                findings.push(format!("{}: {trigger} begins anew at {anchor}", after.uid));
            }
        }
    }
}

/// B3: what runs has its slot, also when it was started under another name.
fn slots(world: &World, findings: &mut Vec<String>) {
    let started = |row: &Row| world.starts.get(&row.id).and_then(|at| at.first()).copied();
    let mut runs: BTreeMap<&JobUid, Vec<(&Row, Timestamp)>> = BTreeMap::new();
    for row in world.ledger.all_rows().values() {
        if let Some(at) = started(row) {
            runs.entry(&row.uid).or_default().push((row, at));
        }
    }
    for runs in runs.values_mut() {
        runs.sort_by_key(|(row, at)| (*at, &row.id));
        for (index, (row, at)) in runs.iter().enumerate() {
            let spec = world.spec_of(&row.provenance.digest.0);
            if spec.overlap == Overlap::Allow {
                continue;
            }
            let earlier = runs[..index].iter().rev();
            let recent = earlier.take_while(|(_, began)| *at - began <= RUNS_AT_MOST);
            let in_the_way = recent.filter(|(other, _)| {
                let runs_on = world.ends.get(&other.id).is_none_or(|end| end > at);
                let lost = |attempt: &Attempt| attempt.outcome == Outcome::Lost;
                let given_up =
                    other.outcome() == Some(Outcome::Lost) || other.attempts.iter().any(lost);
                // One that waited was written long before it started.
                let came_first = other.claimed_at <= row.claimed_at || world.may_wait(row);
                came_first && runs_on && !given_up
            });
            let count = in_the_way.count();
            if count >= usize::try_from(spec.max_instances).unwrap() {
                findings.push(format!("{} was started beside {count} others", row.id));
            }
        }
    }
}

/// The removals of a job, each with the definition that was removed.
fn removed<'w>(
    world: &World,
    definitions: &Definitions<'w>,
    uid: &str,
) -> Vec<(Timestamp, &'w JobDocument)> {
    let of_job = definitions.get(uid).map_or(&[][..], Vec::as_slice);
    let in_force = |at: Timestamp| of_job.iter().rfind(|spec| spec.effective_at <= at).copied();
    world.ledger.removals(uid).into_iter().filter_map(|at| Some((at, in_force(at)?))).collect()
}

/// D4, D11: a protected job goes only when somebody has said so; with `on_remove: cancel` nothing runs on,
/// also when a crash comes between the switch and the order to end.
fn removals(world: &World, definitions: &Definitions<'_>, findings: &mut Vec<String>) {
    for uid in definitions.keys() {
        for (at, gone) in removed(world, definitions, uid) {
            let spec = world.spec_of(&gone.digest);
            if spec.protect && !world.confirmed.contains(&spec.name) {
                findings.push(format!("{uid} is protected and was removed at {at}"));
            }
            // What another node runs is not reached: docs/failure.md.
            if spec.on_remove == OnRemove::Finish || world.size() > 1 {
                continue;
            }
            let back =
                definitions[uid].iter().map(|spec| spec.effective_at).find(|next| *next > at);
            for row in world.ledger.all_rows().values().filter(|row| *row.uid.0 == **uid) {
                let began = world.starts.get(&row.id).and_then(|starts| starts.first());
                let Some((began, end)) = began.zip(world.completed.get(&row.id)) else { continue };
                let runs_on = *end - at.max(*began) > ENDED_WITHIN && *began < at + ENDED_WITHIN;
                let is_gone = back.is_none_or(|back| back > *end);
                if runs_on && is_gone && world.was_calm(*end - ENDED_WITHIN, *end) {
                    findings.push(format!("{} ran on until {end}, removed at {at}", row.id));
                }
            }
        }
    }
}

/// D4: what was ended on order was of a removed job, and its row says so. A daemon that dies between the
/// order and the end leaves nobody who knows why.
fn stops(world: &World, definitions: &Definitions<'_>, findings: &mut Vec<String>) {
    for (id, stopped) in &world.stopped {
        let Some(row) = world.ledger.all_rows().get(id) else { continue };
        let removals = removed(world, definitions, &row.uid.0);
        let replaces =
            world.definitions(&row.uid.0).iter().any(|spec| spec.overlap == Overlap::Replace);
        let ordered = replaces
            || removals.iter().any(|(at, gone)| {
                at <= stopped && world.spec_of(&gone.digest).on_remove == OnRemove::Cancel
            });
        if !ordered {
            findings.push(format!("{id} was ended and its job was not removed"));
        }
        let calm = world.was_calm(*stopped - RECOVERED_WITHIN * 3, *stopped + RECOVERED_WITHIN);
        let told = |outcome| match outcome {
            Some(Outcome::Cancelled(Cancelled::Removed)) => true,
            Some(Outcome::Cancelled(Cancelled::Replaced)) => replaces,
            Some(Outcome::Cancelled(Cancelled::Requested)) => !calm,
            _ => false,
        };
        if !told(row.outcome()) && !told(row.late_outcome) {
            findings.push(format!("{id} was ended and its row says {:?}", row.outcome()));
        }
    }
}
