//! Plans: what must change so that what runs equals what is declared (D).
//!
//! [`diff()`] compares the declared jobs with the applied ones and answers a [`Plan`]; the scheduler
//! applies it. Start-up is a plan against what the store held, a reload is a plan, and a plan against
//! an equal set is empty. Nothing here reads a file: what is wrong with the sources arrives as
//! [`Sources`].

mod diff;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use crate::engine::execution::{JobUid, Provenance};
use crate::engine::rollback::PinChange;
use crate::spec::job::{DeclaredJob, Digest, JobName, JobSpec, SourcePlace};
use crate::spec::manifest::InvalidManifest;
use crate::time::Timestamp;

pub use self::diff::diff;

/// Who may change or prune a job (D9).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Owner(pub Arc<str>);

impl Owner {
    /// The owner of the jobs that a source declares.
    pub fn source(name: &str) -> Self {
        Self(format!("file:{name}").into())
    }

    /// The owner of jobs that were added by request.
    pub fn request() -> Self {
        Self("request".into())
    }

    /// The source that it is, if it is one.
    pub fn as_source(&self) -> Option<&str> {
        self.0.strip_prefix("file:")
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
        /// Who declares it.
        owner: Owner,
    },
    /// A job that goes on under another name (D5); its definition may differ as well.
    Rename {
        /// What is applied, under the name before.
        from: AppliedJob,
        /// What is declared.
        to: DeclaredJob,
        /// Who declares it.
        owner: Owner,
    },
    /// A job that is no longer declared.
    Remove {
        /// What is applied.
        from: AppliedJob,
    },
}

impl Change {
    /// The job, by the name that it leads to.
    pub fn job(&self) -> &JobName {
        match self {
            Self::Create { to, .. } | Self::Update { to, .. } | Self::Rename { to, .. } => {
                &to.spec.name
            }
            Self::Remove { from } => &from.spec.name,
        }
    }

    /// What is applied before it; none: it is new.
    pub fn applied(&self) -> Option<&AppliedJob> {
        match self {
            Self::Create { .. } => None,
            Self::Update { from, .. } | Self::Rename { from, .. } | Self::Remove { from } => {
                Some(from)
            }
        }
    }

    /// The definition that it leads to; none: it removes the job.
    pub fn declared(&self) -> Option<&DeclaredJob> {
        match self {
            Self::Create { to, .. } | Self::Update { to, .. } | Self::Rename { to, .. } => Some(to),
            Self::Remove { .. } => None,
        }
    }

    /// The word for people and JSON.
    pub fn action(&self) -> &'static str {
        match self {
            Self::Create { .. } => "create",
            Self::Update { .. } => "update",
            Self::Rename { .. } => "rename",
            Self::Remove { .. } => "remove",
        }
    }
}

/// Why a removal is held back. In the order in which people should hear of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hold {
    /// A manifest that cannot be used declared it, or its name stands in one (D7).
    InvalidManifest,
    /// Its source is missing or unreadable (D7).
    UnreadableSource,
    /// Its source is empty, and not the folder that it was: a mount is gone (D11).
    Unmounted,
    /// Its source, or the whole snapshot, declares no job at all (D11).
    EmptySource,
    /// Only one snapshot lacks it so far (D11).
    Unconfirmed,
    /// It says `protect: true` (D11).
    Protected,
    /// Too many jobs of its source would go at once (D11, [`PruneGuard`]).
    MassRemoval,
    /// The settings do not name its source any more, and no other one declares it.
    SourceDropped,
}

impl Hold {
    /// The word for people and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidManifest => "invalid_manifest",
            Self::UnreadableSource => "unreadable_source",
            Self::Unmounted => "unmounted",
            Self::EmptySource => "empty_source",
            Self::Unconfirmed => "unconfirmed",
            Self::Protected => "protected",
            Self::MassRemoval => "mass_removal",
            Self::SourceDropped => "source_dropped",
        }
    }

    /// Whether a person may lift it. A manifest is mended instead; a second snapshot comes by itself.
    pub fn is_confirmable(self) -> bool {
        match self {
            Self::InvalidManifest | Self::Unconfirmed => false,
            Self::UnreadableSource
            | Self::Unmounted
            | Self::EmptySource
            | Self::Protected
            | Self::MassRemoval
            | Self::SourceDropped => true,
        }
    }
}

/// When removals are too many to be meant (D11): at least so many at once, and more than this share of
/// the jobs of their source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PruneGuard {
    /// Fewer than this are always few.
    pub removals: usize,
    /// Of the applied jobs of the source.
    pub percent: u8,
}

impl Default for PruneGuard {
    fn default() -> Self {
        Self { removals: 5, percent: 30 }
    }
}

/// A job that is not declared and stays applied all the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldRemoval {
    /// The job.
    pub job: JobName,
    /// Why it stays.
    pub hold: Hold,
    /// The name under which it would go on; that job is not created either (D5).
    pub renamed_to: Option<JobName>,
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
    /// The sources' names, in order: folders as the settings name them, and `git:` with a folder of a
    /// repository, whose files have paths that begin with that folder alone.
    pub names: Vec<String>,
    /// Sources that were not seen whole, and why nothing of theirs is removed.
    pub incomplete: BTreeMap<String, Hold>,
    /// Manifests that cannot be used.
    pub invalid: Vec<InvalidManifest>,
    /// Jobs declared twice: the applied one stays (D8).
    pub conflicts: BTreeSet<JobName>,
    /// Jobs that an earlier snapshot lacked as well ([`crate::engine::absence::Absences`], D11).
    pub confirmed_absent: BTreeSet<JobName>,
    /// When removals are too many.
    pub guard: PruneGuard,
    /// Jobs whose removal a person has confirmed: no hold that is confirmable keeps them.
    pub confirmed: BTreeSet<JobName>,
    /// Applied jobs that go on under another name although none lists them in `previous_names`: what they
    /// are called, and what they will be.
    pub renamed: BTreeMap<JobName, JobName>,
}

/// How the store's copy of the jobs is made what is applied again, after somebody edited it (D9).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Repair {
    /// Applied jobs whose copy is another one, or gone.
    pub write: Vec<AppliedJob>,
    /// Stored jobs that nobody applied.
    pub remove: Vec<AppliedJob>,
}

impl Repair {
    /// Whether there is nothing to mend.
    pub fn is_empty(&self) -> bool {
        self.write.is_empty() && self.remove.is_empty()
    }
}

/// How many hexadecimal digits a plan's id has behind the generation.
const PLAN_ID_DIGITS: usize = 8;

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
    /// How many changes were found and are not made ([`Plan::reject`]).
    pub rejected: usize,
    /// What it does about the pin, if anything.
    pub pin: Option<PinChange>,
    /// What it mends in the store; nothing of it is felt by a job.
    pub repair: Repair,
}

impl Plan {
    /// Makes none of its changes: a manifest is invalid and the settings ask for all of a revision or nothing,
    /// or somebody has pinned what is applied. `applied` is the revision that stays.
    pub fn reject(&mut self, applied: Arc<str>) {
        self.rejected = std::mem::take(&mut self.changes).len();
        self.moved.clear();
        self.revision = applied;
    }

    /// Whether applying it would write nothing.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.pin.is_none() && self.repair.is_empty()
    }

    /// Names it: the generation that it was made against, and a digest of what it changes and holds back.
    pub fn id(&self) -> String {
        let mut hash = blake3::Hasher::new();
        let mut add = |texts: [&str; 4]| {
            for text in texts {
                hash.update(text.as_bytes()).update(&[0xff]);
            }
        };
        for change in &self.changes {
            let digest = change.declared().map_or("", |job| &*job.digest.0);
            let before = change.applied().map_or("", |job| job.spec.name.as_str());
            add([change.action(), before, change.job().as_str(), digest]);
        }
        for held in &self.held {
            let to = held.renamed_to.as_ref().map_or("", JobName::as_str);
            add(["held", held.job.as_str(), to, held.hold.as_str()]);
        }
        format!("{}-{}", self.generation, &hash.finalize().to_hex()[..PLAN_ID_DIGITS])
    }

    /// Whether a removal waits for a second snapshot.
    pub fn wants_second_look(&self) -> bool {
        self.held.iter().any(|held| held.hold == Hold::Unconfirmed)
    }
}
