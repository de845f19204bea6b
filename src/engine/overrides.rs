//! Operator overrides: a pause, and the skip of one fire time. Their own layer beside definitions (D10):
//! keyed by uid, so that an edit, a rename, and a removal with a return all keep them.
//!
//! Pure: whether an override holds a fire time depends on that fire time and on nothing else, so that it is
//! the same however late it is asked, and after any crash. Who changes overrides, and when they are over, is
//! `engine/scheduler/overrides.rs`.

use std::collections::BTreeMap;

use crate::engine::execution::{JobUid, Skipped};
use crate::engine::plan::AppliedJob;
use crate::engine::request::RequestId;
use crate::engine::schedule::{self, Occurrence};
use crate::spec::job::JobName;
use crate::time::Timestamp;

/// The longest reason, in bytes.
pub const REASON_BYTES_MAX: usize = 300;
/// How many jobs one change of overrides may concern: they are written as one document (MongoDB: 16 MiB).
pub const JOBS_PER_CHANGE_MAX: usize = 10_000;

/// The overrides of all jobs, by uid.
pub type Overrides = BTreeMap<JobUid, Override>;

/// What operators have said about one job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    /// The job's name when it was said: for people, the uid counts.
    pub job: JobName,
    /// It does not fire.
    pub pause: Option<Pause>,
    /// It leaves one fire time out.
    pub skip_next: Option<SkipNext>,
    /// The last request that changed this: one that is delivered twice has its effect once.
    pub request: Option<RequestId>,
}

/// A pause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    /// Who said so.
    pub by: String,
    /// Since when: fire times strictly after this are held.
    pub at: Timestamp,
    /// Why.
    pub reason: Option<String>,
    /// Until when: fire times strictly before this are held. None: until it is resumed.
    pub until: Option<Timestamp>,
}

/// The skip of one fire time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkipNext {
    /// Who said so.
    pub by: String,
    /// When: it takes the first fire time strictly after this, and after the definition's beginning.
    pub at: Timestamp,
    /// Why.
    pub reason: Option<String>,
}

/// One change of an override, as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OverrideWrite {
    /// The job.
    pub uid: JobUid,
    /// What is done.
    pub action: OverrideAction,
    /// What holds from then on.
    pub to: Override,
}

/// What a change of an override does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OverrideAction {
    /// An operator pauses the job, or says anew why or until when.
    Pause,
    /// An operator takes back what holds the job.
    Resume,
    /// An operator skips the next fire time.
    SkipNext,
    /// A pause has come to its end.
    PauseEnded,
    /// The fire time of a skip has come.
    SkipUsed,
}

impl OverrideAction {
    /// The word for people and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::SkipNext => "skip_next",
            Self::PauseEnded => "pause_ended",
            Self::SkipUsed => "skip_used",
        }
    }
}

impl Override {
    /// Nothing said about a job yet.
    pub fn none(job: JobName) -> Self {
        Self { job, pause: None, skip_next: None, request: None }
    }

    /// Whether nothing holds the job.
    pub fn is_empty(&self) -> bool {
        self.pause.is_none() && self.skip_next.is_none()
    }

    /// The pause, unless it has ended by `now`.
    pub fn pause_at(&self, now: Timestamp) -> Option<&Pause> {
        self.pause.as_ref().filter(|pause| !pause.has_ended(now))
    }
}

impl Pause {
    /// Whether a fire time lies in it.
    pub fn holds(&self, fire_time: Timestamp) -> bool {
        self.at < fire_time && self.until.is_none_or(|until| fire_time < until)
    }

    /// Whether it holds nothing from `now` on.
    pub fn has_ended(&self, now: Timestamp) -> bool {
        self.until.is_some_and(|until| until <= now)
    }
}

/// Which fire times of one definition are held, and why.
#[derive(Debug, Clone, Copy, Default)]
pub struct Holds<'a> {
    pause: Option<&'a Pause>,
    /// The fire time that is skipped.
    pub skipped: Option<Timestamp>,
}

impl<'a> Holds<'a> {
    /// What an override holds of a job's fire times.
    pub fn of(job: &AppliedJob, said: Option<&'a Override>) -> Self {
        let Some(said) = said else { return Self::default() };
        let skipped = said.skip_next.as_ref().and_then(|skip| skipped_by(job, skip));
        Self { pause: said.pause.as_ref(), skipped }
    }

    /// Why a fire time is held, if it is (B2). The skip of a fire time inside a pause changes nothing.
    pub fn why(&self, fire_time: Timestamp) -> Option<Skipped> {
        if self.pause.is_some_and(|pause| pause.holds(fire_time)) {
            Some(Skipped::Paused)
        } else if self.skipped == Some(fire_time) {
            Some(Skipped::SkipNext)
        } else {
            None
        }
    }
}

/// The fire time that a skip takes: the first after it was said and after the definition began.
pub fn skipped_by(job: &AppliedJob, skip: &SkipNext) -> Option<Timestamp> {
    let after = skip.at.max(job.effective_at);
    schedule::next_after(job, after).map(|next| next.fire_time)
}

/// The first occurrence after `now` that nothing holds.
pub fn next_to_run(
    job: &AppliedJob,
    said: Option<&Override>,
    now: Timestamp,
) -> Option<Occurrence> {
    let holds = Holds::of(job, said);
    let mut after = now;
    loop {
        let next = schedule::next_after(job, after)?;
        after = match holds.why(next.fire_time) {
            None => return Some(next),
            Some(Skipped::Paused) => schedule::just_before(holds.pause?.until?),
            Some(
                Skipped::SkipNext
                | Skipped::Coalesced
                | Skipped::Overlap
                | Skipped::QueueFull
                | Skipped::Replaced
                | Skipped::Removed,
            ) => next.fire_time,
        };
    }
}
