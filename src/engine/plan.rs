//! Plans: what must change so that what runs equals what is declared (D).
//!
//! [`diff`] compares the declared jobs with the applied ones and answers a [`Plan`]; the scheduler
//! applies it. Start-up is a plan against what the store held, a reload is a plan, and a plan against
//! an equal set is empty. Nothing here reads a file: what is wrong with the sources arrives as
//! [`Sources`].

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use crate::engine::execution::{JobUid, Provenance};
use crate::spec::job::{DeclaredJob, Digest, JobName, JobSet, JobSpec, SourcePlace};
use crate::spec::manifest::InvalidManifest;
use crate::time::Timestamp;

/// Who may change or prune a job (D9).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Owner(pub Arc<str>);

impl Owner {
    /// The owner of the jobs that a source declares.
    pub fn source(name: &str) -> Self {
        Self(format!("file:{name}").into())
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A job as it is applied.
#[derive(Debug, Clone, PartialEq)]
pub struct AppliedJob {
    /// Its lasting identity.
    pub uid: JobUid,
    /// Who may change it.
    pub owner: Owner,
    /// Its definition.
    pub spec: Arc<JobSpec>,
    /// Digest of the definition.
    pub digest: Digest,
    /// Where the definition stands.
    pub source: SourcePlace,
    /// Since when this definition counts; fire times up to here belong to the one before (D2).
    pub effective_at: Timestamp,
    /// Stored anchors, by trigger in normal form (A5).
    pub anchors: BTreeMap<String, Timestamp>,
}

/// The applied jobs, by name.
pub type AppliedSet = BTreeMap<JobName, AppliedJob>;

impl AppliedJob {
    /// What an execution of this definition carries.
    pub fn provenance(&self, revision: &Arc<str>) -> Provenance {
        Provenance {
            digest: self.digest.clone(),
            revision: Arc::clone(revision),
            source: self.source.clone(),
        }
    }
}

/// One difference.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// A job that is new.
    Create {
        /// Its definition.
        to: DeclaredJob,
        /// Who declares it.
        owner: Owner,
    },
    /// A job whose definition differs.
    Update {
        /// What is applied.
        from: AppliedJob,
        /// What is declared.
        to: DeclaredJob,
    },
    /// A job that is no longer declared.
    Remove {
        /// What is applied.
        from: AppliedJob,
    },
}

impl Change {
    /// The job.
    pub fn job(&self) -> &JobName {
        match self {
            Self::Create { to, .. } | Self::Update { to, .. } => &to.spec.name,
            Self::Remove { from } => &from.spec.name,
        }
    }

    /// The definition that it leads to; none: it removes the job.
    pub fn declared(&self) -> Option<&DeclaredJob> {
        match self {
            Self::Create { to, .. } | Self::Update { to, .. } => Some(to),
            Self::Remove { .. } => None,
        }
    }

    /// The word for people and JSON.
    pub fn action(&self) -> &'static str {
        match self {
            Self::Create { .. } => "create",
            Self::Update { .. } => "update",
            Self::Remove { .. } => "remove",
        }
    }
}

/// Why a removal is held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hold {
    /// A manifest that cannot be used declared it, or its name stands in one (D7).
    InvalidManifest,
    /// The snapshot declares no job at all (D11).
    EmptySource,
    /// Its source is missing, unreadable or looks unmounted (D7).
    UnreadableSource,
    /// Only one snapshot lacks it so far (D11).
    Unconfirmed,
}

impl Hold {
    /// The word for people and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidManifest => "invalid_manifest",
            Self::EmptySource => "empty_source",
            Self::UnreadableSource => "unreadable_source",
            Self::Unconfirmed => "unconfirmed",
        }
    }

    /// Whether a person may lift it. What a manifest that cannot be used declares, nobody knows, and
    /// the second snapshot comes by itself.
    pub fn is_confirmable(self) -> bool {
        match self {
            Self::EmptySource | Self::UnreadableSource => true,
            Self::InvalidManifest | Self::Unconfirmed => false,
        }
    }
}

/// A job that is not declared and stays applied all the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldRemoval {
    /// The job.
    pub job: JobName,
    /// Why it stays.
    pub hold: Hold,
}

/// A declared job whose name another owner holds (D9).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnerConflict {
    /// The job.
    pub job: JobName,
    /// Who holds the name.
    pub held_by: Owner,
    /// Where it is declared as well.
    pub declared_at: SourcePlace,
}

/// What the snapshot says beside the jobs it declares.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The sources' names, in order: folders as the settings name them.
    pub names: Vec<String>,
    /// Sources that were not seen whole, and why nothing of theirs is removed.
    pub incomplete: BTreeMap<String, Hold>,
    /// Manifests that cannot be used.
    pub invalid: Vec<InvalidManifest>,
    /// Jobs declared twice: the applied one stays (D8).
    pub conflicts: BTreeSet<JobName>,
    /// Jobs that the snapshot before this one did not declare either (D11).
    pub confirmed_absent: BTreeSet<JobName>,
    /// Jobs whose removal a person has confirmed: confirmable holds do not apply to them.
    pub confirmed: BTreeSet<JobName>,
}

/// What must change.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Plan {
    /// The store's generation that it was made against.
    pub generation: u64,
    /// The revision that it leads to.
    pub revision: Arc<str>,
    /// The differences, by job name.
    pub changes: Vec<Change>,
    /// Jobs that only stand elsewhere now; nothing is written for them.
    pub moved: Vec<(JobName, SourcePlace)>,
    /// Removals that are held back, by job name.
    pub held: Vec<HeldRemoval>,
    /// Declared jobs that somebody else owns.
    pub owner_conflicts: Vec<OwnerConflict>,
    /// Jobs that do not change.
    pub unchanged: usize,
    /// What set it off: `start`, `watch`, `rescan`, `hangup`, `apply` …
    pub origin: String,
    /// Jobs that go on with their last good definition because a manifest cannot be used (D7).
    pub stale: BTreeSet<JobName>,
}

/// How many hexadecimal digits of the digest stand in the id of a plan.
const PLAN_ID_DIGITS: usize = 8;

impl Plan {
    /// Whether applying it would write nothing.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Names it: the generation that it was made against, and a digest of what it leads to and of what
    /// it holds back. A removal that waits for its second snapshot counts as made: the look that makes
    /// it leads to the same jobs.
    pub fn id(&self) -> String {
        let mut hash = blake3::Hasher::new();
        let mut parts: BTreeSet<[&str; 3]> = BTreeSet::new();
        for change in &self.changes {
            let digest = change.declared().map_or("", |to| &to.digest.0);
            parts.insert([change.job().as_str(), change.action(), digest]);
        }
        for held in &self.held {
            let is_made = held.hold == Hold::Unconfirmed;
            let (action, hold) =
                if is_made { ("remove", "") } else { ("held", held.hold.as_str()) };
            parts.insert([held.job.as_str(), action, hold]);
        }
        for text in parts.iter().flatten() {
            hash.update(text.as_bytes()).update(&[0]);
        }
        let hex = hash.finalize().to_hex();
        format!("{}-{}", self.generation, hex.get(..PLAN_ID_DIGITS).unwrap_or_default())
    }

    /// This plan and the one that was applied right after it, as one: what was done together.
    #[must_use]
    pub fn followed_by(mut self, then: Self) -> Self {
        self.changes.extend(then.changes);
        self.changes.sort_by(|a, b| a.job().cmp(b.job()));
        self.moved.extend(then.moved);
        Self { changes: self.changes, moved: self.moved, generation: self.generation, ..then }
    }

    /// Whether a removal waits for a second snapshot.
    pub fn wants_second_look(&self) -> bool {
        self.held.iter().any(|held| held.hold == Hold::Unconfirmed)
    }
}

/// Compares what is declared with what is applied.
///
/// The same inputs give the same plan, byte for byte. A job is the same when its digest is: formatting,
/// comments, key order, file and line do not count (I36).
pub fn diff(
    generation: u64,
    revision: Arc<str>,
    desired: &JobSet,
    actual: &AppliedSet,
    sources: &Sources,
) -> Plan {
    let mut plan = Plan { generation, revision, ..Plan::default() };
    let names: BTreeSet<&JobName> = desired.keys().chain(actual.keys()).collect();
    for name in names {
        match (desired.get(name), actual.get(name)) {
            (Some(to), None) => {
                plan.changes
                    .push(Change::Create { to: to.clone(), owner: owner_of(sources, &to.source) });
            }
            (Some(to), Some(from)) => compare(&mut plan, from, to, sources),
            (None, Some(from)) => undeclared(&mut plan, from, desired, sources),
            (None, None) => {}
        }
    }
    plan
}

/// A job that is declared and applied.
fn compare(plan: &mut Plan, from: &AppliedJob, to: &DeclaredJob, sources: &Sources) {
    let name = &to.spec.name;
    if from.owner != owner_of(sources, &to.source) && !is_source(&from.owner, sources) {
        plan.owner_conflicts.push(OwnerConflict {
            job: name.clone(),
            held_by: from.owner.clone(),
            declared_at: to.source.clone(),
        });
        plan.unchanged += 1;
    } else if from.digest != to.digest {
        plan.changes.push(Change::Update { from: from.clone(), to: to.clone() });
    } else {
        if from.source != to.source {
            plan.moved.push((name.clone(), to.source.clone()));
        }
        plan.unchanged += 1;
    }
}

/// A job that is applied and not declared: removed, or held.
fn undeclared(plan: &mut Plan, from: &AppliedJob, desired: &JobSet, sources: &Sources) {
    let name = &from.spec.name;
    if !is_source(&from.owner, sources) {
        plan.unchanged += 1;
        return;
    }
    match hold(from, desired, sources) {
        None => plan.changes.push(Change::Remove { from: from.clone() }),
        Some(hold) => {
            if hold == Hold::InvalidManifest {
                plan.stale.insert(name.clone());
            }
            plan.held.push(HeldRemoval { job: name.clone(), hold });
        }
    }
}

/// Whether, and why, the removal of `from` is held. In the order in which people should hear of it.
fn hold(from: &AppliedJob, desired: &JobSet, sources: &Sources) -> Option<Hold> {
    let name = &from.spec.name;
    let declared_by_invalid =
        |invalid: &InvalidManifest| *invalid.path == *from.source.file || invalid.mentions(name);
    let lifted = |hold: Hold| hold.is_confirmable() && sources.confirmed.contains(name);
    let own_source = sources.incomplete.iter().find(|(name, _)| from.owner == Owner::source(name));
    if sources.conflicts.contains(name) || sources.invalid.iter().any(declared_by_invalid) {
        Some(Hold::InvalidManifest)
    } else if let Some((_, hold)) = own_source.filter(|(_, hold)| !lifted(**hold)) {
        Some(*hold)
    } else if desired.is_empty() && !lifted(Hold::EmptySource) {
        Some(Hold::EmptySource)
    } else if !sources.confirmed_absent.contains(name) {
        Some(Hold::Unconfirmed)
    } else {
        None
    }
}

/// The owner of what stands at `place`: the source whose folder holds the file, the longest name first.
fn owner_of(sources: &Sources, place: &SourcePlace) -> Owner {
    let holds = |source: &&String| {
        place.file.strip_prefix(source.as_str()).is_some_and(|rest| rest.starts_with('/'))
    };
    let source = sources.names.iter().filter(holds).max_by_key(|name| name.len());
    Owner::source(source.map_or("", String::as_str))
}

/// Whether the owner is one of the sources: jobs of a source that the settings no longer name, and of
/// requests, are not this snapshot's to change.
fn is_source(owner: &Owner, sources: &Sources) -> bool {
    sources.names.iter().any(|name| *owner == Owner::source(name))
}
