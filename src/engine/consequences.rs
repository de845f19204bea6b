//! What follows from a change: which fire times come and go, and what becomes of that which is due or
//! runs at the moment of the switch.
//!
//! Pure: `now` is the moment at which the change would be applied. It counts fire times as declared;
//! pauses hold some of them back, and are told apart from this. Nothing here decides anything: the rules
//! are those of `engine/scheduler`, which is asked for them.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;

use crate::engine::admission::{self, Due, Gap, GapKind, Misfired};
use crate::engine::execution::JobUid;
use crate::engine::plan::{AppliedJob, Change};
use crate::engine::schedule::{self, Occurrence, occurrences};
use crate::engine::scheduler::{keeps, preview};
use crate::spec::policy::OnRemove;
use crate::spec::trigger::Trigger;
use crate::time::Timestamp;

/// How far ahead fire times are compared.
pub const AHEAD: TimeDelta = TimeDelta::days(7);
/// How many fire times of a definition are compared; one with more says nothing about them.
pub const FIRES_COMPARED_MAX: usize = 20_000;
/// How many of the fire times that come or go are named.
pub const FIRES_NAMED: usize = 3;

/// The moment of a change.
#[derive(Debug, Clone, Copy)]
pub struct Moment<'m> {
    /// When it would be applied.
    pub now: Timestamp,
    /// How many executions of each job run; none: not known.
    pub running: Option<&'m BTreeMap<JobUid, usize>>,
    /// Up to when every fire time has its row; none: up to `now`, as in a daemon that runs.
    pub accounted: Option<Timestamp>,
}

/// What follows from a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consequences {
    /// The job after it; none: it is removed.
    pub fires: Fires,
    /// Due occurrences that it has start now: delayed by jitter, or not accounted for before.
    pub caught_up: u64,
    /// Due occurrences that it keeps from starting.
    pub dropped: u64,
    /// Executions of the job that run.
    pub running: Option<Running>,
}

/// What becomes of the fire times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fires {
    /// Nothing moves: the triggers are the same, and so are their phases.
    Unmoved,
    /// They are others.
    Moved {
        /// The next one before the change.
        next_before: Option<Timestamp>,
        /// The next one after it.
        next_after: Option<Timestamp>,
        /// Those of the next [`AHEAD`]; none: too many to count.
        week: Option<Week>,
    },
}

/// Fire times that come and go within [`AHEAD`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Week {
    /// That were not there before.
    pub gained: Counted,
    /// That are not there after.
    pub lost: Counted,
}

/// So many, and the first of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// All of them.
    pub count: u64,
    /// At most [`FIRES_NAMED`], earliest first.
    pub first: Vec<Timestamp>,
}

/// Executions that run at the moment of the change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Running {
    /// How many.
    pub count: usize,
    /// What becomes of them.
    pub fate: Fate,
}

/// What becomes of executions that run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// They end as they will, under the definition they started with (D6).
    Finish,
    /// They are cancelled, for the job is removed and says so (D4).
    Cancel,
}

impl Fate {
    /// The word for people and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Finish => "finish",
            Self::Cancel => "cancel",
        }
    }
}

/// What follows from a change.
pub fn consequences(moment: &Moment<'_>, change: &Change) -> Consequences {
    let (before, after) = (change.applied(), preview(moment.now, change));
    let (caught_up, dropped) =
        before.map_or((0, 0), |before| due_now(moment, before, after.as_ref()));
    Consequences {
        fires: fires(moment.now, before, after.as_ref()),
        caught_up,
        dropped,
        running: before.and_then(|before| running(moment, before, change)),
    }
}

/// Compares the fire times of two definitions.
fn fires(now: Timestamp, before: Option<&AppliedJob>, after: Option<&AppliedJob>) -> Fires {
    if let (Some(before), Some(after)) = (before, after)
        && fires_alike(before, after)
    {
        return Fires::Unmoved;
    }
    let next = |job: Option<&AppliedJob>| Some(schedule::next_after(job?, now)?.fire_time);
    Fires::Moved {
        next_before: next(before),
        next_after: next(after),
        week: week(now, before, after),
    }
}

/// Whether two definitions have the same triggers, in the same phase. Their order and their jitter move no
/// fire time.
fn fires_alike(before: &AppliedJob, after: &AppliedJob) -> bool {
    let due = |job: &AppliedJob| -> BTreeSet<(String, Option<Timestamp>)> {
        let anchored = |trigger: &Trigger| {
            let normal = trigger.to_string();
            let anchor = job.anchors.get(&normal).copied();
            (normal, anchor)
        };
        let triggers = if job.spec.enabled { &job.spec.triggers[..] } else { &[] };
        triggers.iter().map(anchored).collect()
    };
    due(before) == due(after)
}

/// The fire times of the coming week that only one of the two has; none: too many to count.
fn week(now: Timestamp, before: Option<&AppliedJob>, after: Option<&AppliedJob>) -> Option<Week> {
    let until = now + AHEAD;
    let all = |job: Option<&AppliedJob>| -> Option<BTreeSet<Timestamp>> {
        let Some(job) = job else { return Some(BTreeSet::new()) };
        let fires = occurrences(job, now, until).map(|due| due.fire_time);
        let fires: BTreeSet<Timestamp> = fires.take(FIRES_COMPARED_MAX + 1).collect();
        (fires.len() <= FIRES_COMPARED_MAX).then_some(fires)
    };
    let (before, after) = (all(before)?, all(after)?);
    let only = |these: &BTreeSet<Timestamp>, those: &BTreeSet<Timestamp>| Counted {
        count: these.difference(those).count() as u64,
        first: these.difference(those).take(FIRES_NAMED).copied().collect(),
    };
    Some(Week { gained: only(&after, &before), lost: only(&before, &after) })
}

/// How many occurrences that are due the change has start at once, and how many it takes away: those of
/// triggers that stay are admitted, those of triggers that go are not (D2, D12).
fn due_now(moment: &Moment<'_>, before: &AppliedJob, after: Option<&AppliedJob>) -> (u64, u64) {
    let now = moment.now;
    let jitter = before.spec.triggers.iter().map(|trigger| trigger.jitter).max();
    let jitter = TimeDelta::from_std(jitter.unwrap_or_default()).unwrap_or_default();
    // What is accounted for and still waits is due within a whole jitter.
    let from = moment.accounted.or_else(|| now.checked_sub_signed(jitter)).unwrap_or(now);
    let from = from.max(before.effective_at);
    let waits = |due: &Occurrence| {
        moment.accounted.is_some_and(|at| due.fire_time > at) || due.start_time > now
    };
    let due: Vec<Occurrence> =
        occurrences(before, from, now).take(FIRES_COMPARED_MAX).filter(waits).collect();
    let Some(after) = after else { return (0, due.len() as u64) };
    let kept: Vec<&Occurrence> = due.iter().filter(|due| keeps(before, after, **due)).collect();
    let gap = moment.accounted.map(|_| Gap { kind: GapKind::Downtime, until: now });
    let dues = kept.iter().map(|due| Due {
        fire_time: due.fire_time,
        start_time: due.start_time,
        adjoins: true,
        held: None,
    });
    let verdicts = admission::misfire(now, &after.spec.misfire, gap, dues);
    let admitted = verdicts.iter().filter(|verdict| matches!(verdict, Misfired::Admit { .. }));
    (admitted.count() as u64, (due.len() - kept.len()) as u64)
}

/// What becomes of the job's executions.
fn running(moment: &Moment<'_>, before: &AppliedJob, change: &Change) -> Option<Running> {
    let count = *moment.running?.get(&before.uid)?;
    let is_removed = change.declared().is_none();
    let fate = match before.spec.on_remove {
        OnRemove::Cancel if is_removed => Fate::Cancel,
        OnRemove::Cancel | OnRemove::Finish => Fate::Finish,
    };
    (count > 0).then_some(Running { count, fate })
}
