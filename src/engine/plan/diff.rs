//! What is declared against what is applied.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::engine::plan::{
    AppliedJob, AppliedSet, Change, HeldRemoval, Hold, Owner, OwnerConflict, Plan, Sources,
};
use crate::spec::job::{DeclaredJob, JobName, JobSet, SourcePlace};
use crate::spec::manifest::InvalidManifest;

/// Compares what is declared with what is applied.
///
/// The same inputs give the same plan, byte for byte. A job is the same when its digest is: formatting,
/// comments, key order, file and line do not count (I36). Every applied job ends in exactly one place of
/// the plan: unchanged, updated, renamed, removed or held.
pub fn diff(
    generation: u64,
    revision: Arc<str>,
    desired: &JobSet,
    actual: &AppliedSet,
    sources: &Sources,
) -> Plan {
    let plan = Plan { generation, revision, ..Plan::default() };
    let renames = renames(desired, actual, sources);
    let mut diff = Diff { plan, sources, desired, renames, gone: Vec::new() };
    let mut applied = actual.iter().peekable();
    for (name, to) in desired {
        while let Some((_, from)) = applied.next_if(|(other, _)| *other < name) {
            diff.undeclared(from);
        }
        match applied.next_if(|(other, _)| *other == name) {
            Some((_, from)) => diff.both(from, to),
            None => diff.created(to),
        }
    }
    applied.for_each(|(_, from)| diff.undeclared(from));
    diff.prune(actual);
    let mut plan = diff.plan;
    plan.changes.sort_by(|a, b| a.job().cmp(b.job()));
    plan.held.sort_by(|a, b| a.job.cmp(&b.job));
    plan
}

/// A plan in the making.
struct Diff<'d> {
    plan: Plan,
    sources: &'d Sources,
    desired: &'d JobSet,
    /// Jobs that go on under another name.
    renames: Renames<'d>,
    /// Jobs that nothing holds but the guard.
    gone: Vec<&'d AppliedJob>,
}

/// Old names with the one job that lists them, and the reverse.
#[derive(Default)]
struct Renames<'d> {
    to: BTreeMap<&'d JobName, &'d JobName>,
    from: BTreeMap<&'d JobName, &'d AppliedJob>,
}

impl<'d> Diff<'d> {
    /// A job that is declared and applied.
    fn both(&mut self, from: &AppliedJob, to: &DeclaredJob) {
        let source = source_of(self.sources, &to.source);
        if from.owner.as_source() != Some(source) && !is_source(&from.owner, self.sources) {
            self.refused(&from.owner, to);
            self.plan.unchanged += 1;
        } else if from.digest != to.digest {
            let (from, to, owner) = (from.clone(), to.clone(), Owner::source(source));
            self.plan.changes.push(Change::Update { from, to, owner });
        } else {
            if from.source != to.source {
                self.plan.moved.push((to.spec.name.clone(), to.source.clone()));
            }
            self.plan.unchanged += 1;
        }
    }

    /// A job that is declared and not applied: new, or known under another name.
    fn created(&mut self, to: &DeclaredJob) {
        let owner = Owner::source(source_of(self.sources, &to.source));
        let to = to.clone();
        match self.renames.from.get(&to.spec.name) {
            // Told where the old name is looked at.
            Some(from) if hold_unseen(from, self.sources).is_some() => {}
            Some(from) => {
                let from = AppliedJob::clone(from);
                self.plan.changes.push(Change::Rename { from, to, owner });
            }
            None => self.plan.changes.push(Change::Create { to, owner }),
        }
    }

    /// A job that is applied and not declared: renamed, held or gone.
    fn undeclared(&mut self, from: &'d AppliedJob) {
        let name = &from.spec.name;
        if !is_source(&from.owner, self.sources) {
            self.plan.unchanged += 1;
        } else if let Some(to) = self.renames.to.get(name).copied() {
            if let Some(hold) = hold_unseen(from, self.sources) {
                self.held(name, hold, Some(to.clone()));
            }
        } else {
            match self.hold(from) {
                Some(hold) => self.held(name, hold, None),
                None => self.gone.push(from),
            }
        }
    }

    fn refused(&mut self, held_by: &Owner, to: &DeclaredJob) {
        self.plan.owner_conflicts.push(OwnerConflict {
            job: to.spec.name.clone(),
            held_by: held_by.clone(),
            declared_at: to.source.clone(),
        });
    }

    fn held(&mut self, job: &JobName, hold: Hold, renamed_to: Option<JobName>) {
        if hold == Hold::InvalidManifest {
            self.plan.stale.insert(job.clone());
        }
        self.plan.held.push(HeldRemoval { job: job.clone(), hold, renamed_to });
    }

    /// Removes what is gone, unless that is too much of a source at once (D11).
    fn prune(&mut self, actual: &AppliedSet) {
        let sources = self.sources;
        let stands_in = |job: &AppliedJob| source_of(sources, &job.source);
        let mut removals: BTreeMap<&str, usize> = BTreeMap::new();
        for job in &self.gone {
            *removals.entry(stands_in(job)).or_default() += 1;
        }
        let guard = sources.guard;
        let is_mass = |source: &str, count: usize| {
            let all = actual.values().filter(|job| stands_in(job) == source).count();
            count >= guard.removals && count * 100 > all * usize::from(guard.percent)
        };
        let mass: BTreeSet<&str> = removals
            .into_iter()
            .filter(|(source, count)| is_mass(source, *count))
            .map(|(source, _)| source)
            .collect();
        for from in std::mem::take(&mut self.gone) {
            let is_confirmed = self.sources.confirmed.contains(&from.spec.name);
            if mass.contains(stands_in(from)) && !is_confirmed {
                self.held(&from.spec.name, Hold::MassRemoval, None);
            } else {
                self.plan.changes.push(Change::Remove { from: from.clone() });
            }
        }
    }

    /// Whether, and why, the removal of `from` is held whatever else goes.
    fn hold(&self, from: &AppliedJob) -> Option<Hold> {
        let name = &from.spec.name;
        let stands =
            |hold: &Hold| !(hold.is_confirmable() && self.sources.confirmed.contains(name));
        let is_absent = self.sources.confirmed_absent.contains(name);
        let when = |is_so: bool, hold: Hold| is_so.then_some(hold).filter(stands);
        hold_unseen(from, self.sources)
            .filter(stands)
            .or(when(self.desired.is_empty(), Hold::EmptySource))
            .or(when(!is_absent, Hold::Unconfirmed))
            .or(when(from.spec.protect, Hold::Protected))
    }
}

/// Whether nobody can tell that `from` is not declared any more.
fn hold_unseen(from: &AppliedJob, sources: &Sources) -> Option<Hold> {
    let name = &from.spec.name;
    // A job that was moved to another source stands there, whoever owned it first.
    let source = Some(source_of(sources, &from.source));
    let declared_by_invalid = |invalid: &InvalidManifest| {
        let is_hidden = invalid.hides_names() && source == Some(&*invalid.source);
        *invalid.path == *from.source.file || is_hidden || invalid.mentions(name)
    };
    if sources.conflicts.contains(name) || sources.invalid.iter().any(declared_by_invalid) {
        return Some(Hold::InvalidManifest);
    }
    sources.incomplete.get(source?).copied()
}

/// Which applied jobs go on under another name: those that exactly one new job lists (D5).
fn renames<'d>(desired: &'d JobSet, actual: &'d AppliedSet, sources: &Sources) -> Renames<'d> {
    let mut claims: BTreeMap<&JobName, Vec<&JobName>> = BTreeMap::new();
    for (name, to) in desired.iter().filter(|(_, to)| !to.spec.previous_names.is_empty()) {
        let is_former = |former: &&JobName| {
            !desired.contains_key(*former)
                && actual.get(*former).is_some_and(|job| is_source(&job.owner, sources))
        };
        if !actual.contains_key(name)
            && let Some(former) = to.spec.previous_names.iter().find(is_former)
        {
            claims.entry(former).or_default().push(name);
        }
    }
    let mut renames = Renames::default();
    for (former, names) in claims {
        if let ([name], Some(from)) = (&names[..], actual.get(former)) {
            renames.to.insert(&from.spec.name, name);
            renames.from.insert(name, from);
        }
    }
    renames
}

/// The source whose folder holds the file, the longest name first.
fn source_of<'s>(sources: &'s Sources, place: &SourcePlace) -> &'s str {
    let holds = |source: &&String| {
        place.file.strip_prefix(source.as_str()).is_some_and(|rest| rest.starts_with('/'))
    };
    sources.names.iter().filter(holds).max_by_key(|name| name.len()).map_or("", String::as_str)
}

/// Whether the owner is one of the sources: jobs of a source that the settings no longer name, and of
/// requests, are not this snapshot's to change.
fn is_source(owner: &Owner, sources: &Sources) -> bool {
    owner.as_source().is_some_and(|source| sources.names.iter().any(|name| name == source))
}
