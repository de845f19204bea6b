//! The document of a plan: the plan of the engine, with what follows from it at a moment. The same for a
//! daemon's plan and for one that is made of two commits.

use std::collections::BTreeMap;

use crate::engine::consequences::{Consequences, Counted, Fires, Moment, consequences};
use crate::engine::execution::JobUid;
use crate::engine::fields::{differences, shown};
use crate::engine::overrides::Overrides;
use crate::engine::plan::{AppliedJob, AppliedSet, Change, HeldRemoval, Hold, Plan};
use crate::io::http::documents::diagnostics::DiagnosticEntry;
use crate::io::http::documents::plan::{
    AgainstEntry, ChangeEntry, DefinitionEntry, DigestEntry, FieldEntry, FiresEntry, NextFireEntry,
    PausedEntry, PlanDocument, PlanSummary, RefusedEntry, RevisionEntry, RunningEntry,
};
use crate::io::http::documents::{At, at_in};
use crate::spec::job::JobSpec;
use crate::time::{Timestamp, Zone};

/// What a plan is seen in.
#[derive(Debug, Clone)]
pub struct Surroundings<'s> {
    /// When it is looked at.
    pub now: Timestamp,
    /// The jobs that are applied.
    pub applied: &'s AppliedSet,
    /// The revision that is applied.
    pub applied_revision: Option<String>,
    /// The commit that stands for what is applied; none: a daemon's plan.
    pub against: Option<AgainstEntry>,
    /// What operators have said.
    pub overrides: &'s Overrides,
    /// How many executions of each job run; none: not known.
    pub running: Option<&'s BTreeMap<JobUid, usize>>,
    /// What is wrong with the manifests.
    pub diagnostics: Vec<DiagnosticEntry>,
    /// The digest of the sources.
    pub sources_digest: Option<String>,
    /// The branch of the revision that the plan leads to.
    pub branch: Option<String>,
    /// Whether the work tree differs from its commit, where that is known.
    pub dirty: Option<bool>,
    /// What is to be known when reading it.
    pub notes: Vec<String>,
    /// Definitions are asked for.
    pub definitions: bool,
}

impl PlanDocument {
    /// The document of a plan.
    pub fn of(plan: &Plan, around: &Surroundings<'_>) -> Self {
        let moment = Moment { now: around.now, running: around.running, accounted: None };
        let confirmable = plan.held.iter().filter(|held| held.hold.is_confirmable()).count();
        let mut changes: Vec<ChangeEntry> = plan
            .changes
            .iter()
            .map(|change| changed(&moment, change, around.definitions))
            .collect();
        changes.extend(plan.held.iter().map(|held| held_entry(held, plan, around, confirmable)));
        changes.sort_by(|a, b| a.job.cmp(&b.job));
        let count = |action: &str| changes.iter().filter(|c| c.action == action).count();
        let summary = PlanSummary {
            create: count("create"),
            update: count("update"),
            rename: count("rename"),
            remove: count("remove"),
            blocked: plan.held.len(),
            confirmable,
            unchanged: plan.unchanged,
            moved: plan.moved.len(),
        };
        Self {
            schema: Self::SCHEMA.to_owned(),
            id: plan.id(),
            generation: plan.generation,
            revision: RevisionEntry {
                commit: plan.revision.to_string(),
                branch: around.branch.clone(),
                dirty: around.dirty,
            },
            applied: around.applied_revision.clone().filter(|revision| !revision.is_empty()),
            sources_digest: around.sources_digest.clone(),
            made_at: Some(around.now.fixed_offset()),
            against: around.against.clone(),
            changes,
            summary,
            paused: paused(around),
            refused: plan.owner_conflicts.iter().map(RefusedEntry::of).collect(),
            notes: around.notes.clone(),
            diagnostics: around.diagnostics.clone(),
        }
    }
}

/// The zone in which a job's times are told: that of its first trigger.
pub fn zone_of(spec: &JobSpec) -> Zone {
    spec.triggers.first().map_or_else(Zone::utc, |trigger| trigger.zone().clone())
}

/// The document of a change, and what follows from it.
fn changed(moment: &Moment<'_>, change: &Change, definitions: bool) -> ChangeEntry {
    let (before, to) = (change.applied(), change.declared());
    let specs = (before.map(|job| &*job.spec), to.map(|job| &*job.spec));
    let fields = match specs {
        (Some(from), Some(to)) => differences(from, to),
        (None, _) | (_, None) => Vec::new(),
    };
    let follows = consequences(moment, change);
    let (next_fire, fires_7d) = fires(&follows, specs);
    let source = to.map(|to| &to.source).or(before.map(|from| &from.source));
    let is_renamed = |from: &&AppliedJob| from.spec.name != *change.job();
    ChangeEntry {
        action: change.action().to_owned(),
        job: change.job().to_string(),
        renamed_from: before.filter(is_renamed).map(|from| from.spec.name.to_string()),
        blocked: None,
        blocked_because: None,
        source: source.cloned(),
        schedule: specs.1.map(schedule).unwrap_or_default(),
        fields: fields
            .into_iter()
            .map(|field| FieldEntry {
                pointer: field.pointer,
                from: field.from,
                to: field.to,
                secret: field.is_secret,
            })
            .collect(),
        schedule_moves: next_fire.is_some(),
        next_fire,
        fires_7d,
        caught_up: follows.caught_up,
        dropped: follows.dropped,
        running: follows.running.map(|running| RunningEntry {
            count: running.count,
            then: running.fate.as_str().to_owned(),
        }),
        digest: DigestEntry {
            from: before.map(|from| from.digest.to_string()),
            to: to.map(|to| to.digest.to_string()),
        },
        definition: definitions
            .then(|| DefinitionEntry { from: specs.0.map(shown), to: specs.1.map(shown) }),
    }
}

/// The triggers in normal form, as far as they count.
fn schedule(spec: &JobSpec) -> Vec<String> {
    spec.triggers.iter().map(ToString::to_string).collect()
}

/// What the document says of fire times that move, each in the zone of the definition that it is of.
fn fires(
    follows: &Consequences,
    (before, after): (Option<&JobSpec>, Option<&JobSpec>),
) -> (Option<NextFireEntry>, Option<FiresEntry>) {
    let Fires::Moved { next_before, next_after, week } = &follows.fires else {
        return (None, None);
    };
    let zone = |spec: Option<&JobSpec>| spec.map_or_else(Zone::utc, zone_of);
    let (before, after) = (zone(before), zone(after));
    let at = |zone: &Zone, at: &Option<Timestamp>| at.map(|at| at_in(zone, at));
    let named = |zone: &Zone, counted: &Counted| -> Vec<At> {
        counted.first.iter().map(|at| at_in(zone, *at)).collect()
    };
    let next = NextFireEntry { from: at(&before, next_before), to: at(&after, next_after) };
    let week = week.as_ref().map(|week| FiresEntry {
        gained: week.gained.count,
        lost: week.lost.count,
        gained_first: named(&after, &week.gained),
        lost_first: named(&before, &week.lost),
    });
    (Some(next), week)
}

/// A removal, or a rename, that is held back.
fn held_entry(
    held: &HeldRemoval,
    plan: &Plan,
    around: &Surroundings<'_>,
    confirmable: usize,
) -> ChangeEntry {
    let from = around.applied.get(&held.job);
    let file = from.map(|from| from.source.file.as_str()).unwrap_or_default();
    let to = held.renamed_to.as_ref();
    ChangeEntry {
        action: if to.is_some() { "rename" } else { "remove" }.to_owned(),
        job: to.unwrap_or(&held.job).to_string(),
        renamed_from: to.map(|_| held.job.to_string()),
        blocked_because: Some(because(held, plan, around, file, confirmable)),
        ..ChangeEntry::blocked(held, from)
    }
}

impl ChangeEntry {
    /// A removal that is held back, without the reason in words.
    pub fn blocked(held: &HeldRemoval, from: Option<&AppliedJob>) -> Self {
        Self {
            action: "remove".to_owned(),
            job: held.job.to_string(),
            renamed_from: None,
            blocked: Some(held.hold.as_str().to_owned()),
            blocked_because: None,
            source: from.map(|from| from.source.clone()),
            schedule: Vec::new(),
            fields: Vec::new(),
            schedule_moves: false,
            next_fire: None,
            fires_7d: None,
            caught_up: 0,
            dropped: 0,
            running: None,
            digest: DigestEntry { from: from.map(|from| from.digest.to_string()), to: None },
            definition: None,
        }
    }
}

/// Why a removal is held back, and the next act.
fn because(
    held: &HeldRemoval,
    plan: &Plan,
    around: &Surroundings<'_>,
    file: &str,
    confirmable: usize,
) -> String {
    let needs = format!("needs --allow-prune {confirmable}");
    match held.hold {
        Hold::InvalidManifest => {
            let is_broken = |entry: &&DiagnosticEntry| entry.severity == "error";
            let errors = || around.diagnostics.iter().filter(is_broken);
            let own = errors().find(|entry| entry.file == file);
            let named = errors().find(|entry| entry.job.as_deref() == Some(held.job.as_str()));
            match own.or(named).or_else(|| errors().next()) {
                Some(entry) => format!("held back: {} cannot be used", entry.file),
                None => "held back: a manifest that may declare it cannot be used".to_owned(),
            }
        }
        Hold::UnreadableSource => format!("its source cannot be read: mend that; or {needs}"),
        Hold::Unmounted => format!("its source looks unmounted: mount it; or {needs}"),
        Hold::EmptySource => format!("its source declares no job at all: {needs}"),
        Hold::Unconfirmed => "seen missing once: a second look decides".to_owned(),
        Hold::Protected => format!("protected: {needs}"),
        Hold::SourceDropped => {
            format!("the settings name its source no more: declare it in another; or {needs}")
        }
        Hold::MassRemoval => {
            let is_mass = |held: &&HeldRemoval| held.hold == Hold::MassRemoval;
            let all = plan.held.iter().filter(is_mass).count();
            format!("{all} removals at once are many: {needs}")
        }
    }
}

/// Paused jobs, by name.
fn paused(around: &Surroundings<'_>) -> Vec<PausedEntry> {
    let of = |job: &AppliedJob| {
        let pause = around.overrides.get(&job.uid)?.pause.as_ref()?;
        let is_over = pause.until.is_some_and(|until| until <= around.now);
        let zone = zone_of(&job.spec);
        (!is_over).then(|| PausedEntry {
            job: job.spec.name.to_string(),
            by: pause.by.clone(),
            since: at_in(&zone, pause.at),
            until: pause.until.map(|until| at_in(&zone, until)),
            reason: pause.reason.clone(),
        })
    };
    if around.overrides.is_empty() {
        return Vec::new();
    }
    around.applied.values().filter_map(of).collect()
}

impl RefusedEntry {
    fn of(conflict: &crate::engine::plan::OwnerConflict) -> Self {
        Self {
            job: conflict.job.to_string(),
            owner: conflict.held_by.to_string(),
            source: conflict.declared_at.clone(),
        }
    }
}
