//! The store: what must outlive the daemon. Verbs of the domain, one meaning in every adapter.
//!
//! One conformance suite runs over all adapters (`tests/store`). An adapter translates and decides
//! nothing. Deadlines are the caller's: dropping an [`Answer`] leaves its effect unknown.

pub mod document;
pub mod memory;
#[cfg(feature = "mongo")]
pub mod mongo;
#[cfg(feature = "sqlite")]
pub mod sqlite;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::engine::event::{ClaimAnswer, ClaimBatch, Note, PlanWrites, RetryWait};
use crate::engine::execution::{AttemptId, Claim, Ending, ExecutionId, JobUid, Range, Row};
use crate::io::store::document::{JobDocument, OverrideDocument, PinDocument, PlanDocument};
use crate::spec::job::JobName;
use crate::time::Timestamp;

/// The version of the stored documents that this program writes. A store with a newer one is refused.
pub const STORE_VERSION: u32 = 1;

/// What a store operation will answer.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// Why a store operation failed. Whatever it should have written is then unknown.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It cannot be opened or reached.
    #[error("cannot reach the store at {store}: {message}")]
    Unreachable {
        /// The store, without password.
        store: String,
        /// What the driver says.
        message: String,
    },
    /// Somebody else has it.
    #[error("the store at {store} is held by {holder}")]
    Held {
        /// The store, without password.
        store: String,
        /// Node and process.
        holder: String,
    },
    /// A newer version of the program has written it.
    #[error(
        "the store at {store} is of version {found}; this program knows versions up to {STORE_VERSION}"
    )]
    Newer {
        /// The store, without password.
        store: String,
        /// Its version.
        found: u32,
    },
    /// The program was built without what it takes.
    #[error("this program was built without `{0}`: name another store, or build with the feature")]
    NotBuilt(&'static str),
    /// An operation failed.
    #[error("cannot {act} in the store: {message}")]
    Failed {
        /// What was to be done.
        act: &'static str,
        /// What the driver says.
        message: String,
    },
    /// A document cannot be read.
    #[error("the store holds a {kind} that cannot be read: `{id}`: {message}")]
    Damaged {
        /// The kind of document.
        kind: &'static str,
        /// Which.
        id: String,
        /// What is wrong with it.
        message: String,
    },
}

/// Who asks for the lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The node's name.
    pub node: Arc<str>,
    /// Drawn once per process.
    pub identity: Arc<str>,
}

/// Why the lease is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bid {
    /// By a process that has not led yet: it follows an earlier process of its own node at once, with a
    /// higher epoch.
    First,
    /// By one that has led: a younger process of its node that has taken its place keeps it.
    Again,
}

/// The answer to who leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeaseAnswer {
    /// The asker does.
    Held {
        /// The fencing token: higher at each change of holder.
        epoch: u64,
    },
    /// Another process does, and its lease has not ended.
    HeldBy {
        /// Its node.
        node: String,
    },
}

/// Everything a scheduler needs to go on, read under the lease.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Contents {
    /// Number of changes that were applied.
    pub generation: u64,
    /// Revision of the last applied plan.
    pub revision: String,
    /// What is pinned: the last plan says it.
    pub pin: Option<PinDocument>,
    /// Applied jobs, and removed ones (`removed_at` is set).
    pub jobs: Vec<JobDocument>,
    /// What operators have said about jobs.
    pub overrides: Vec<OverrideDocument>,
    /// Every occurrence up to here has its row, but for what a pause holds.
    pub watermark: Option<Timestamp>,
    /// Occurrences after the watermark, and of a paused job after the beginning of its pause, that have their
    /// row, whatever its state; not requests.
    pub covered: Vec<(JobUid, Range)>,
    /// Rows that have not ended.
    pub in_flight: Vec<Row>,
}

impl Contents {
    /// The jobs with the removed ones first, the newest removal last: of several that had one name it is
    /// the newest that comes back under it (D4).
    pub fn jobs_in_order(&mut self) -> Vec<JobDocument> {
        let mut jobs = std::mem::take(&mut self.jobs);
        jobs.sort_by_key(|job| (job.removed_at.is_none(), job.removed_at));
        jobs
    }
}

/// A change of a row.
#[derive(Debug, Clone, PartialEq)]
pub enum RowChange {
    /// It runs. Changes nothing when the row has ended.
    Started {
        /// The row.
        id: ExecutionId,
        /// Its fencing token.
        epoch: u64,
        /// When its process began.
        at: Timestamp,
    },
    /// An attempt ended, and another follows. Changes nothing when the row is beyond that attempt.
    Waits {
        /// Whose claim the row must be.
        guard: Guard,
        /// The attempt.
        wait: Box<RetryWait>,
    },
    /// It ended. When the row has ended already, the outcome is kept as `late_outcome` (C1). The ending of an
    /// attempt that another has followed changes nothing.
    Ended {
        /// The row, and which attempt was its last.
        id: AttemptId,
        /// Whose claim the row must be.
        guard: Guard,
        /// How.
        ending: Box<Ending>,
    },
}

impl RowChange {
    /// The row.
    pub fn row(&self) -> &ExecutionId {
        match self {
            Self::Started { id, .. } => id,
            Self::Waits { wait, .. } => &wait.id,
            Self::Ended { id, .. } => &id.execution,
        }
    }

    /// The attempt whose ending it is.
    pub fn ended(&self) -> Option<AttemptId> {
        match self {
            Self::Started { .. } => None,
            Self::Waits { wait, .. } => Some(wait.attempt()),
            Self::Ended { id, .. } => Some(id.clone()),
        }
    }
}

/// Whose claim a row must be for its ending to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Guard {
    /// The one with this fencing token.
    Epoch(u64),
    /// Any of this node's.
    Node(Arc<str>),
}

impl Guard {
    /// Whether a claim is the one.
    pub fn holds(&self, claim: &Claim) -> bool {
        match self {
            Self::Epoch(epoch) => claim.epoch == *epoch,
            Self::Node(node) => claim.node == *node,
        }
    }
}

/// What became of a row change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowAnswer {
    /// The row says so now, or did before.
    Recorded,
    /// The row had ended otherwise, or is another's: kept as `late_outcome`.
    Late,
    /// There is no such row.
    NoRow,
}

/// What became of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlanAnswer {
    /// It is written whole.
    Saved {
        /// The generation now.
        generation: u64,
    },
    /// The generation was another one; nothing was written.
    Stale,
}

/// The jobs as they are stored, read at one generation.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StoredJobs {
    /// Number of changes that were applied.
    pub generation: u64,
    /// Applied and removed jobs.
    pub jobs: Vec<JobDocument>,
    /// The uids of documents that cannot be read.
    pub damaged: Vec<String>,
}

/// News of rows that another node holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ForeignNews {
    /// They have ended.
    pub ended: Vec<ExecutionId>,
    /// Their node's lease has ended.
    pub ownerless: Vec<ExecutionId>,
    /// They wait for their next attempt.
    pub waiting: Vec<Row>,
}

/// Which rows to read, newest fire time first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// Of one job.
    pub job: Option<JobName>,
    /// With one of these outcome words; empty: any, ended or not.
    pub outcomes: Vec<String>,
    /// Due at or after.
    pub since: Option<Timestamp>,
    /// Of this revision.
    pub revision: Option<String>,
    /// At most so many.
    pub limit: usize,
}

/// Persistence.
pub trait Store: Send + Sync + fmt::Debug {
    /// Kind and place, without password: for people.
    fn describe(&self) -> String;

    /// Takes or renews the right to decide what fires, for `ttl` from now by the store's own clock.
    fn take_lease<'a>(
        &'a self,
        holder: &'a Holder,
        bid: Bid,
        ttl: Duration,
    ) -> Answer<'a, LeaseAnswer>;

    /// Gives the lease back, when `holder` has it.
    fn release_lease<'a>(&'a self, holder: &'a Holder) -> Answer<'a, ()>;

    /// Says that a node's executions are looked after for `ttl` from now (C4, C9).
    fn beat<'a>(&'a self, node: &'a str, ttl: Duration) -> Answer<'a, ()>;

    /// Reads everything a scheduler needs to go on.
    fn load(&self) -> Answer<'_, Contents>;

    /// Writes a plan, whole or not at all, if the generation is the expected one.
    fn save_plan<'a>(&'a self, plan: &'a PlanWrites) -> Answer<'a, PlanAnswer>;

    /// Inserts rows under their deterministic ids, and puts claimed rows into the place of those that wait, one
    /// answer each, durably (majority, synced). Moves the watermark only when the batch is decided by the answers ([`ClaimBatch::is_decided`]); never backward.
    fn claim<'a>(&'a self, batch: &'a ClaimBatch) -> Answer<'a, Vec<ClaimAnswer>>;

    /// Changes rows, one answer each. Doing it again changes nothing.
    fn record<'a>(&'a self, changes: &'a [RowChange]) -> Answer<'a, Vec<RowAnswer>>;

    /// Keeps a note beside the rows.
    fn note<'a>(&'a self, at: Timestamp, node: &'a str, note: &'a Note) -> Answer<'a, ()>;

    /// What became of rows in flight that other nodes hold.
    fn foreign_news<'a>(&'a self, ids: &'a [ExecutionId]) -> Answer<'a, ForeignNews>;

    /// Reads rows.
    fn rows<'a>(&'a self, query: &'a Query) -> Answer<'a, Vec<Row>>;

    /// Reads one row.
    fn row<'a>(&'a self, id: &'a ExecutionId) -> Answer<'a, Option<Row>>;

    /// Reads the newest row of each job that is, or was, applied.
    fn latest_rows(&self) -> Answer<'_, Vec<Row>>;

    /// Reads rows that have not ended.
    fn in_flight(&self) -> Answer<'_, Vec<Row>>;

    /// Reads the jobs as they are stored; none: a plan was written meanwhile.
    fn stored_jobs(&self) -> Answer<'_, Option<StoredJobs>>;

    /// Reads the newest applied plans.
    fn plans(&self, limit: usize) -> Answer<'_, Vec<PlanDocument>>;
}
