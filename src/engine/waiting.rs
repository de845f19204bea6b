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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::job::JobName;

    fn spec(rest: &str) -> JobSpec {
        let name = JobName::parse("job").unwrap();
        JobSpec::from_canonical(&name, &format!("{{\"command\":[\"a\"],{rest}}}")).unwrap()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_timestamp(second, 0).unwrap()
    }

    /// One that was due at 0, has waited since, and could start.
    const FREE: Waiting = Waiting {
        cause: Cause::Trigger,
        start_time: Timestamp::UNIX_EPOCH,
        since: Timestamp::UNIX_EPOCH,
        is_followed: false,
        is_paused: false,
        in_flight: 0,
        room: None,
    };

    fn stay(until: Option<i64>) -> Fate {
        Fate::Stay { until: until.map(at), replaces: false }
    }

    #[test]
    fn b3_one_that_waits_starts_when_its_job_has_a_place() {
        let queue = spec(r#""overlap":"queue""#);
        let replace = spec(r#""overlap":"replace""#);
        let fate = |spec: &JobSpec, waiting| fate(at(5), Some(spec), &waiting);
        assert_eq!(fate(&queue, FREE), Fate::Start);
        assert_eq!(fate(&queue, Waiting { in_flight: 1, ..FREE }), stay(None));
        assert_eq!(
            fate(&replace, Waiting { in_flight: 1, ..FREE }),
            Fate::Stay { until: None, replaces: true }
        );
        let replaced = Fate::End(Outcome::Skipped(Skipped::Replaced));
        assert_eq!(fate(&replace, Waiting { is_followed: true, ..FREE }), replaced);
        assert_eq!(fate(&queue, Waiting { is_followed: true, ..FREE }), Fate::Start);
    }

    #[test]
    fn d4_one_that_waits_ends_with_its_job_and_a_request_runs_a_job_that_is_off() {
        let removed = Fate::End(Outcome::Skipped(Skipped::Removed));
        let off = spec(r#""enabled":false"#);
        assert_eq!(fate(at(5), None, &FREE), removed);
        assert_eq!(fate(at(5), Some(&off), &FREE), removed);
        let request = Waiting { cause: Cause::Request, ..FREE };
        assert_eq!(fate(at(5), Some(&off), &request), Fate::Start);
    }

    #[test]
    fn b7_waiting_counts_to_total_timeout_also_in_a_pause() {
        let spec = spec(r#""overlap":"queue","total_timeout":"1m""#);
        let fate = |second, waiting| fate(at(second), Some(&spec), &waiting);
        let crowded = Waiting { in_flight: 1, ..FREE };
        assert_eq!(fate(59, crowded), stay(Some(60)));
        let waited = Fate::End(Outcome::Missed(Missed::Waited));
        assert_eq!(fate(60, crowded), waited);
        let paused = Waiting { is_paused: true, ..FREE };
        assert_eq!(fate(59, paused), stay(Some(60)));
        assert_eq!(fate(60, paused), waited);
        assert_eq!(fate(59, Waiting { cause: Cause::Request, ..paused }), Fate::Start);
    }

    #[test]
    fn b5_who_waits_for_the_node_is_missed_when_it_is_too_late() {
        let spec = spec(r#""misfire":{"grace_time":"10s"}"#);
        let fate = |second, waiting| fate(at(second), Some(&spec), &waiting);
        let full = Waiting { room: Some(0), ..FREE };
        assert_eq!(fate(9, full), stay(Some(10)));
        assert_eq!(fate(10, full), Fate::End(Outcome::Missed(Missed::Capacity)));
        assert_eq!(fate(10, Waiting { room: Some(1), ..FREE }), Fate::Start);
        // Who waits for its own job is not late by that.
        assert_eq!(fate(10, Waiting { in_flight: 1, ..full }), stay(None));
    }
}
