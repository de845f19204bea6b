//! Waiting executions: what becomes of one that is queued, at one moment (B3, B5, B7).
//!
//! Pure. Who may join the queue is `admission`; the queue itself is `scheduler/queued.rs`.

use crate::engine::admission::{Limits, capacity_end};
use crate::engine::execution::{Cause, Missed, Outcome, Skipped};
use crate::engine::retry;
use crate::spec::job::JobSpec;
use crate::spec::policy::Overlap;
use crate::time::Timestamp;

/// An execution that waits, and what stands around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// Why it exists.
    pub cause: Cause,
    /// When it was to start.
    pub start_time: Timestamp,
    /// Since when it waits.
    pub since: Timestamp,
    /// A newer one of its job waits as well.
    pub is_followed: bool,
    /// Its job is paused.
    pub is_paused: bool,
    /// The job's executions in flight.
    pub in_flight: usize,
    /// How many more executions may start on the node; none: any number.
    pub room: Option<usize>,
}

/// What becomes of an execution that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It starts.
    Start,
    /// It waits on.
    Stay {
        /// When it is to be looked at again, even if nothing happens before.
        until: Option<Timestamp>,
        /// The oldest execution of its job in flight is in its way, and is to be cancelled.
        replaces: bool,
    },
    /// It ends without having been started.
    End(Outcome),
}

/// What becomes of an execution that waits, by what its job says now; none: the job is gone.
pub fn fate(now: Timestamp, spec: Option<&JobSpec>, waiting: &Waiting) -> Fate {
    // A request runs a disabled job too.
    let is_on = |spec: &&JobSpec| spec.enabled || waiting.cause == Cause::Request;
    let Some(spec) = spec.filter(is_on) else {
        return Fate::End(Outcome::Skipped(Skipped::Removed));
    };
    if spec.overlap == Overlap::Replace && waiting.is_followed {
        return Fate::End(Outcome::Skipped(Skipped::Replaced));
    }
    let total_end = spec.total_timeout.and_then(|total| retry::end_after(waiting.since, total));
    if total_end.is_some_and(|end| end <= now) {
        return Fate::End(Outcome::Missed(Missed::Waited));
    }
    if waiting.is_paused && waiting.cause != Cause::Request {
        return Fate::Stay { until: total_end, replaces: false };
    }
    if Limits::of(spec).free(waiting.in_flight) == 0 {
        return Fate::Stay { until: total_end, replaces: spec.overlap == Overlap::Replace };
    }
    if waiting.room != Some(0) {
        return Fate::Start;
    }
    let late = capacity_end(spec.misfire.grace_time, waiting.start_time);
    if late.is_some_and(|late| late <= now) {
        return Fate::End(Outcome::Missed(Missed::Capacity));
    }
    Fate::Stay { until: total_end.into_iter().chain(late).min(), replaces: false }
}
