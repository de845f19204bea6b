//! What the reconciler is asked to look for, and what it answers.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::oneshot;

use crate::daemon::settings::Settings;
use crate::daemon::view::Sync;
use crate::engine::condition::{Condition, Unmet};
use crate::engine::declaration::Wish;
use crate::engine::plan::{Owner, Plan, PruneGuard};
use crate::engine::request::Refusal;
use crate::engine::rollback::{Pin, TakenBack};
use crate::spec::job::JobName;
use crate::spec::settings::{OnInvalid, SelfHeal};

/// Why it looks.
#[derive(Debug)]
pub enum Look {
    /// SIGHUP.
    Hangup,
    /// Somebody asked, and waits.
    Asked {
        /// Who.
        actor: String,
        /// Under which conditions it is applied.
        only: Condition,
        /// What became of it.
        done: oneshot::Sender<Result<Looked, Unmet>>,
    },
    /// Somebody wants the jobs as they were, and that they stay so.
    GoBack {
        /// How far.
        back: Back,
        /// The number of removals that go with it.
        allow_prune: Option<usize>,
        /// What became of it.
        done: oneshot::Sender<Result<Looked, Unmet>>,
    },
    /// Somebody wants the sources to count again.
    Resume {
        /// Who.
        actor: String,
        /// What became of it.
        done: oneshot::Sender<Result<Looked, Unmet>>,
    },
    /// Somebody whose jobs stand in no source declares some, or takes them back.
    Declare {
        /// Which.
        declare: Declare,
        /// What became of it.
        done: oneshot::Sender<Declared>,
    },
    /// Somebody wants to know what would change; nothing is applied.
    Preview {
        /// The plan, with what is wrong.
        done: oneshot::Sender<Preview>,
    },
}

/// Jobs of an owner that is no source, declared or taken back by name. All that can be applied is applied, in one plan.
#[derive(Debug, Clone)]
pub struct Declare {
    /// `request`, or an adapter.
    pub owner: Owner,
    /// Who asks, for the record.
    pub actor: String,
    /// What becomes of which job. A definition is a manifest in JSON that declares this one job.
    pub wishes: BTreeMap<JobName, Wish<Arc<[u8]>>>,
    /// Nothing is applied.
    pub dry_run: bool,
}

/// What became of it.
#[derive(Debug, Clone)]
pub struct Declared {
    /// What was changed, or would be.
    pub plan: Plan,
    /// What was refused, and why.
    pub refused: BTreeMap<JobName, Refusal>,
}

/// How far somebody goes back.
#[derive(Debug, Clone)]
pub struct Back {
    /// What is taken back, the newest plan first.
    pub plans: Vec<Vec<TakenBack>>,
    /// The store's generation behind the first of them.
    pub from: u64,
    /// What is pinned then.
    pub pin: Pin,
}

/// What a look led to.
#[derive(Debug, Clone)]
pub struct Looked {
    /// What was changed.
    pub plan: Plan,
    /// How things stand now.
    pub sync: Sync,
}

/// What a look would lead to.
#[derive(Debug, Clone)]
pub struct Preview {
    /// What would change.
    pub plan: Plan,
    /// What is wrong with the manifests.
    pub sync: Sync,
    /// The digest of the sources.
    pub sources_digest: Arc<str>,
}

/// What the settings say about applying.
#[derive(Debug, Clone, Copy)]
pub(super) struct Policy {
    /// What an invalid manifest does to its revision.
    pub(super) on_invalid: OnInvalid,
    /// What becomes of stored jobs that somebody edited.
    pub(super) self_heal: SelfHeal,
    /// When removals wait for a person.
    pub(super) guard: PruneGuard,
}

impl Policy {
    /// As the settings have it.
    pub(super) fn of(settings: &Settings) -> Self {
        Self {
            on_invalid: settings.on_invalid,
            self_heal: settings.self_heal,
            guard: settings.prune_guard,
        }
    }
}
