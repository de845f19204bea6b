//! Admission: what becomes of due occurrences (B1–B3).
//!
//! Pure tables: who asks gives what is due and what is in flight, and gets a verdict for each
//! occurrence. Order of the rules: what an override holds, misfire, then overlap.

use std::collections::VecDeque;
use std::time::Duration;

use crate::engine::execution::{Cause, Missed, Outcome, Range, Skipped};
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

/// What B3 says to one admitted occurrence or request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Surplus {
    /// There is room: it starts and holds a slot.
    Start,
    /// It starts and holds no slot: the limit does not apply.
    StartUnlimited,
    /// It is skipped.
    Skip,
}

/// Applies B3: `in_flight` counts the job's executions that are claimed or running.
pub fn overlap(policy: Overlap, max_instances: u32, in_flight: usize) -> Surplus {
    match policy {
        Overlap::Allow => Surplus::StartUnlimited,
        Overlap::Skip if in_flight < max_instances as usize => Surplus::Start,
        Overlap::Skip => Surplus::Skip,
    }
}
