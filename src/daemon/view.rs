//! What the daemon tells about itself: values that others read without asking the loop.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::daemon::store_task::StoreHealth;
use crate::diagnostic::Diagnostic;
use crate::engine::overrides::Overrides;
use crate::engine::plan::{AppliedSet, HeldRemoval, OwnerConflict};
use crate::engine::rollback::Pin;
use crate::engine::scheduler::Phase;
use crate::io::store::document::Drift;
use crate::spec::job::JobName;
use crate::time::Timestamp;

/// What is applied. Published whenever it changes.
#[derive(Debug, Clone)]
pub struct Applied {
    /// What the scheduler is doing.
    pub phase: Phase,
    /// Number of plans applied to the store.
    pub generation: u64,
    /// The revision that is applied.
    pub revision: Arc<str>,
    /// What keeps the sources from being applied.
    pub pin: Option<Pin>,
    /// The jobs.
    pub jobs: Arc<AppliedSet>,
    /// What operators have said about jobs.
    pub overrides: Arc<Overrides>,
}

/// How far what is declared and what is applied agree.
#[derive(Debug, Clone, Default)]
pub struct Sync {
    /// The revision that was looked at last.
    pub attempted: Arc<str>,
    /// When it was looked at.
    pub looked_at: Option<Timestamp>,
    /// What is wrong with the manifests.
    pub diagnostics: Arc<Vec<Diagnostic>>,
    /// How many files there are.
    pub files: usize,
    /// Removals that are held back.
    pub held: Vec<HeldRemoval>,
    /// Names that somebody else owns.
    pub owner_conflicts: Vec<OwnerConflict>,
    /// Jobs that go on with their last good definition.
    pub stale: BTreeSet<JobName>,
    /// Sources that cannot be read whole.
    pub unreadable: Vec<String>,
    /// What keeps a plan from being applied.
    pub waiting: Option<String>,
    /// The id of the plan that holds removals back which a person may lift.
    pub confirm: Option<String>,
    /// How many changes are not applied because a manifest is invalid (`on_invalid = "reject"`), or something
    /// is pinned.
    pub rejected: usize,
    /// Whether something is pinned.
    pub is_pinned: bool,
    /// Where the store's copy of the jobs is another one than what is applied, and stays so.
    pub drift: Arc<Vec<Drift>>,
    /// What was mended in the store.
    pub mended: Mended,
}

/// What was mended in the store since the daemon began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mended {
    /// How many stored jobs.
    pub jobs: u64,
    /// When last.
    pub at: Option<Timestamp>,
}

/// Whether Redis answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RedisHealth {
    /// The settings name none.
    Unused,
    /// It answers.
    Connected,
    /// It does not.
    Away {
        /// What the last try said, without password.
        error: String,
    },
}

impl Sync {
    /// Whether something that was read is not applied, and stays as it was before.
    pub fn is_part_left_out(&self) -> bool {
        self.diagnostics.iter().any(Diagnostic::is_error)
            || !(self.held.is_empty() && self.owner_conflicts.is_empty() && self.stale.is_empty())
    }

    /// The word for people and JSON.
    pub fn state(&self) -> &'static str {
        if !self.unreadable.is_empty() {
            "Stalled"
        } else if self.diagnostics.iter().any(Diagnostic::is_error) || !self.drift.is_empty() {
            "Degraded"
        } else if self.is_pinned || !self.held.is_empty() || !self.owner_conflicts.is_empty() {
            "Blocked"
        } else if self.looked_at.is_none() || self.waiting.is_some() {
            "Progressing"
        } else {
            "Synced"
        }
    }
}

impl StoreHealth {
    /// Whether it answers.
    pub fn is_healthy(&self) -> bool {
        *self == Self::Healthy
    }
}
