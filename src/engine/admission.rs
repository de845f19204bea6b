//! Admission: what becomes of due occurrences (B1–B3, B5).
//!
//! Pure tables: who asks gives what is due and what is in flight, and gets a verdict for each
//! occurrence. Order of the rules: what an override holds, misfire, then overlap.

use std::collections::VecDeque;
use std::time::Duration;

use chrono::TimeDelta;

use crate::engine::execution::{Cause, Missed, Outcome, Range, Skipped};
use crate::spec::job::JobSpec;
use crate::spec::policy::{GraceTime, Misfire, Overlap};
use crate::time::Timestamp;

/// Within this, an occurrence is on time, whatever `grace_time` (B1).
pub const ON_TIME: Duration = Duration::from_secs(1);

/// A stretch in which nothing could be started, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// What kept us.
    pub kind: GapKind,
    /// Its end; start times up to here fell into it.
    pub until: Timestamp,
}

/// What keeps a scheduler from starting anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GapKind {
    /// No daemon ran, or none led.
    Downtime,
    /// No store answered.
    Outage,
    /// The clock was set forward, or the machine was suspended.
    ClockJump,
}

impl GapKind {
    /// The reason of an occurrence that is missed because of it.
    pub fn missed(self) -> Missed {
        match self {
            Self::Downtime => Missed::Downtime,
            Self::Outage => Missed::Outage,
            Self::ClockJump => Missed::ClockJump,
        }
    }
}

/// A due occurrence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// When it was due.
    pub fire_time: Timestamp,
    /// When it was to start: lateness counts from here (A10).
    pub start_time: Timestamp,
    /// Whether the occurrence before it, among all of the job, is before it in the same stream too, and is
    /// held as this one is. A range row covers neighbours only.
    pub adjoins: bool,
    /// An operator's override holds it: it is not run, however late it is (B2).
    pub held: Option<Skipped>,
}

/// What becomes of due occurrences before overlap is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Misfired {
    /// This one is admitted.
    Admit {
        /// When it was due.
        fire_time: Timestamp,
        /// When it was to start.
        start_time: Timestamp,
        /// On its time, or after a gap.
        cause: Cause,
    },
    /// These are not run.
    Cover(Range, Outcome),
}

/// Applies B1 to the due occurrences of one job, oldest first, but for those that an override holds.
///
/// `due` are ascending. One that starts after `now` is on time: an edit cuts its delay short. Long stretches become ranges, so that a year of
/// downtime is one row.
pub fn misfire(
    now: Timestamp,
    policy: &Misfire,
    gap: Option<Gap>,
    due: impl Iterator<Item = Due>,
) -> Vec<Misfired> {
    let mut verdicts = Vec::new();
    let mut backlog = Backlog::new(policy);
    for due in due {
        let fell_in_gap = gap.filter(|gap| due.start_time <= gap.until);
        if let Some(held) = due.held {
            cover(&mut verdicts, due, Outcome::Skipped(held));
        } else if too_late(now, policy.grace_time, due.start_time) {
            let reason = fell_in_gap.map_or(Missed::Late, |gap| gap.kind.missed());
            cover(&mut verdicts, due, Outcome::Missed(reason));
        } else if fell_in_gap.is_some() {
            backlog.push(due);
        } else {
            backlog.drain_into(now, &mut verdicts);
            let Due { fire_time, start_time, .. } = due;
            verdicts.push(Misfired::Admit { fire_time, start_time, cause: Cause::Trigger });
        }
    }
    backlog.drain_into(now, &mut verdicts);
    verdicts
}

/// Adds an occurrence that is not run: to the last range when it adjoins that and has the same outcome.
pub fn cover(verdicts: &mut Vec<Misfired>, due: Due, outcome: Outcome) {
    match verdicts.last_mut() {
        Some(Misfired::Cover(range, last)) if *last == outcome && due.adjoins => {
            range.last = due.fire_time;
            range.count += 1;
        }
        Some(Misfired::Cover(..) | Misfired::Admit { .. }) | None => {
            verdicts.push(Misfired::Cover(single(due.fire_time), outcome));
        }
    }
}

/// Occurrences of a gap that are within `grace_time`: the newest run, the earlier are folded.
struct Backlog {
    /// How many of the newest run.
    keep: usize,
    /// What the earlier ones become.
    fold: Outcome,
    folded: Vec<Misfired>,
    newest: VecDeque<Due>,
}

impl Backlog {
    fn new(policy: &Misfire) -> Self {
        let (keep, fold) = if policy.coalesce {
            (1, Outcome::Skipped(Skipped::Coalesced))
        } else {
            (policy.max_catch_up as usize, Outcome::Missed(Missed::CatchUpLimit))
        };
        Self { keep, fold, folded: Vec::new(), newest: VecDeque::new() }
    }

    fn push(&mut self, due: Due) {
        self.newest.push_back(due);
        if self.newest.len() > self.keep
            && let Some(oldest) = self.newest.pop_front()
        {
            cover(&mut self.folded, oldest, self.fold);
        }
    }

    fn drain_into(&mut self, now: Timestamp, verdicts: &mut Vec<Misfired>) {
        verdicts.append(&mut self.folded);
        for Due { fire_time, start_time, .. } in self.newest.drain(..) {
            let on_time = lateness(now, start_time) <= ON_TIME;
            let cause = if on_time { Cause::Trigger } else { Cause::CatchUp };
            verdicts.push(Misfired::Admit { fire_time, start_time, cause });
        }
    }
}

/// A range of one.
pub fn single(fire_time: Timestamp) -> Range {
    Range { first: fire_time, last: fire_time, count: 1 }
}

fn lateness(now: Timestamp, start_time: Timestamp) -> Duration {
    (now - start_time).to_std().unwrap_or(Duration::ZERO)
}

fn too_late(now: Timestamp, grace_time: GraceTime, start_time: Timestamp) -> bool {
    match grace_time {
        GraceTime::Unlimited => false,
        GraceTime::Within(grace) => lateness(now, start_time) > grace.max(ON_TIME),
    }
}

/// How many executions wait on a node at most, whatever their jobs allow.
pub const QUEUED_MAX: usize = 10_000;

/// What B3 and B5 say to one admitted occurrence or request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Surplus {
    /// There is room: it starts and holds a slot.
    Start,
    /// It starts and holds no slot: the limit does not apply.
    StartUnlimited,
    /// It waits.
    Wait,
    /// It is skipped.
    Skip(Skipped),
}

/// What a job says about its executions at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// What a surplus occurrence becomes.
    pub policy: Overlap,
    /// How many may be in flight.
    pub max_instances: u32,
    /// How many may wait, where surplus ones do.
    pub max_queued: u32,
}

/// What stands beside one occurrence that is admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// The job's executions that are claimed, running or between two attempts.
    pub in_flight: usize,
    /// The job's executions that wait.
    pub queued: usize,
    /// Those of them that go before this one: all but what a pause holds.
    pub ahead: usize,
    /// How many more executions may start on the node, after those that wait for that; none: any number.
    pub room: Option<usize>,
    /// How many executions wait on the node.
    pub queued_on_node: usize,
}

impl Limits {
    /// The limits of a definition.
    pub fn of(spec: &JobSpec) -> Self {
        let JobSpec { overlap: policy, max_instances, max_queued, .. } = *spec;
        Self { policy, max_instances, max_queued }
    }

    /// How many more executions the job may have in flight.
    pub fn free(&self, in_flight: usize) -> usize {
        match self.policy {
            Overlap::Allow => usize::MAX,
            Overlap::Skip | Overlap::Queue | Overlap::Replace => {
                (self.max_instances as usize).saturating_sub(in_flight)
            }
        }
    }
}

/// Applies B3 and then B5 to one admitted occurrence or request. Whoever waits goes before it.
pub fn overlap(limits: Limits, load: Load) -> Surplus {
    let free = limits.free(load.in_flight);
    let surplus_queued = load.queued.saturating_sub(load.ahead.min(free));
    let wanted = match limits.policy {
        Overlap::Allow => Surplus::StartUnlimited,
        // One that waits for the node alone has its place among the job's own.
        Overlap::Skip if load.queued < free => Surplus::Start,
        Overlap::Skip => Surplus::Skip(Skipped::Overlap),
        Overlap::Queue | Overlap::Replace if load.ahead < free => Surplus::Start,
        Overlap::Queue if surplus_queued < limits.max_queued as usize => Surplus::Wait,
        Overlap::Queue => Surplus::Skip(Skipped::QueueFull),
        // It takes the place of whoever waits.
        Overlap::Replace => Surplus::Wait,
    };
    let decided = match wanted {
        Surplus::Start | Surplus::StartUnlimited if load.room == Some(0) => Surplus::Wait,
        Surplus::Start | Surplus::StartUnlimited | Surplus::Wait | Surplus::Skip(_) => wanted,
    };
    match decided {
        Surplus::Wait if load.queued_on_node >= QUEUED_MAX => Surplus::Skip(Skipped::QueueFull),
        Surplus::Start | Surplus::StartUnlimited | Surplus::Wait | Surplus::Skip(_) => decided,
    }
}

/// Until when an execution may wait for the node (B5); none: however long.
pub fn capacity_end(grace_time: GraceTime, start_time: Timestamp) -> Option<Timestamp> {
    match grace_time {
        GraceTime::Unlimited => None,
        GraceTime::Within(grace) => {
            let grace = TimeDelta::from_std(grace.max(ON_TIME)).ok()?;
            start_time.checked_add_signed(grace)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decided(policy: Overlap, in_flight: usize, queued: usize, room: Option<usize>) -> Surplus {
        let limits = Limits { policy, max_instances: 2, max_queued: 2 };
        overlap(limits, Load { in_flight, queued, ahead: queued, room, queued_on_node: queued })
    }

    #[test]
    fn b3_policy_by_what_is_in_flight_and_what_waits() {
        use Surplus::{Skip, Start, StartUnlimited, Wait};
        let overlapped = Skip(Skipped::Overlap);
        let full = Skip(Skipped::QueueFull);
        // In flight, queued; then skip, queue, replace, allow. Two may be in flight, two may wait.
        for (in_flight, queued, expected) in [
            (0, 0, [Start, Start, Start, StartUnlimited]),
            (1, 0, [Start, Start, Start, StartUnlimited]),
            (2, 0, [overlapped, Wait, Wait, StartUnlimited]),
            (3, 0, [overlapped, Wait, Wait, StartUnlimited]),
            // A place is free, and whoever waits takes it first.
            (1, 1, [overlapped, Wait, Wait, StartUnlimited]),
            (0, 1, [Start, Start, Start, StartUnlimited]),
            (2, 1, [overlapped, Wait, Wait, StartUnlimited]),
            (2, 2, [overlapped, full, Wait, StartUnlimited]),
            // One of the two that wait is about to have a place.
            (1, 2, [overlapped, Wait, Wait, StartUnlimited]),
            (1, 3, [overlapped, full, Wait, StartUnlimited]),
        ] {
            let policies = [Overlap::Skip, Overlap::Queue, Overlap::Replace, Overlap::Allow];
            let found = policies.map(|policy| decided(policy, in_flight, queued, None));
            assert_eq!(found, expected, "{in_flight} in flight, {queued} queued");
        }
    }

    #[test]
    fn b3_what_a_pause_holds_in_the_queue_goes_before_nobody() {
        let limits = Limits { policy: Overlap::Queue, max_instances: 1, max_queued: 1 };
        let load = Load { in_flight: 0, queued: 1, ahead: 0, room: None, queued_on_node: 1 };
        assert_eq!(overlap(limits, load), Surplus::Start);
        let full = Surplus::Skip(Skipped::QueueFull);
        assert_eq!(overlap(limits, Load { in_flight: 1, ..load }), full);
    }

    #[test]
    fn b5_without_room_on_the_node_what_would_start_waits() {
        use Surplus::{Skip, Start, StartUnlimited, Wait};
        for (policy, in_flight, room, expected) in [
            (Overlap::Skip, 0, Some(1), Start),
            (Overlap::Skip, 0, Some(0), Wait),
            (Overlap::Skip, 2, Some(0), Skip(Skipped::Overlap)),
            (Overlap::Queue, 0, Some(0), Wait),
            (Overlap::Replace, 0, Some(0), Wait),
            (Overlap::Allow, 9, Some(1), StartUnlimited),
            (Overlap::Allow, 9, Some(0), Wait),
        ] {
            assert_eq!(decided(policy, in_flight, 0, room), expected, "{policy:?} {in_flight}");
        }
        let limits = Limits { policy: Overlap::Allow, max_instances: 1, max_queued: 1 };
        let load =
            Load { in_flight: 0, queued: 0, ahead: 0, room: Some(0), queued_on_node: QUEUED_MAX };
        assert_eq!(overlap(limits, load), Skip(Skipped::QueueFull));
    }
}
