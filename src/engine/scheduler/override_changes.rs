//! How overrides change: because somebody asks for it, and because they are over (D10).
//!
//! A change is a plan of its own: the jobs are settled up to now and stand still, their rows become durable,
//! the store writes the overrides whole or not at all, and its answer is the switch. One change is under way
//! at a time; requests wait for it, and for a plan of the reconciler.

use std::collections::{BTreeMap, BTreeSet};

use crate::diagnostic::quoted;
use crate::diagnostic::suggest::nearest;
use crate::engine::event::{Effect, PlanWrites};
use crate::engine::execution::JobUid;
use crate::engine::overrides::{
    JOBS_PER_CHANGE_MAX, Override, OverrideAction, OverrideWrite, Pause, SkipNext, skipped_by,
};
use crate::engine::plan::{AppliedJob, Repair};
use crate::engine::request::{OverrideChange, Refusal, ReplyStatus, RequestId, Selection};
use crate::engine::schedule::{self, Occurrence, just_before};
use crate::engine::scheduler::overrides::who_and_why;
use crate::engine::scheduler::plans::{PendingPlan, PlanKind, PlanStage};
use crate::engine::scheduler::requests::not_active;
use crate::engine::scheduler::{Job, Phase, Scheduler};
use crate::spec::job::JobName;
use crate::time::{BootTime, Now, Timestamp, rfc3339};

/// How many changes of overrides may wait for the plan under way.
const WAITING_MAX: usize = 256;
/// How many jobs a note names.
const NAMED_MAX: usize = 5;

/// A request to change overrides.
#[derive(Debug)]
pub(super) struct OverrideRequest {
    pub(super) id: RequestId,
    pub(super) jobs: Selection,
    pub(super) change: OverrideChange,
    pub(super) actor: Option<String>,
}

/// A request that is to change overrides.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) request: OverrideRequest,
    /// The store was asked to carry it out, and its answer was lost.
    pub(super) again: bool,
}

/// A change of overrides under way.
#[derive(Debug)]
pub(super) struct Change {
    /// What holds the jobs of the change back is accounted for up to here.
    pub(super) accounted_until: Timestamp,
    /// The jobs that stand still.
    pub(super) held: Vec<JobName>,
    /// Who asked, and what there is to know; none: the scheduler itself.
    pub(super) asked: Option<(OverrideRequest, Option<String>)>,
}

impl Scheduler {
    /// Takes in a request that changes overrides; it is carried out as soon as no plan is under way.
    pub(super) fn ask_override(&mut self, request: OverrideRequest, effects: &mut Vec<Effect>) {
        let under_way = self.plan.as_ref().is_some_and(|plan| plan.is_asked(&request.id));
        let waits = self.overrides.waiting.iter().any(|asked| asked.request.id == request.id);
        let status = if under_way || waits {
            ReplyStatus::Duplicate
        } else if self.phase != Phase::Active {
            ReplyStatus::Rejected(not_active(self.phase))
        } else if self.overrides.waiting.len() >= WAITING_MAX {
            ReplyStatus::Rejected(too_many())
        } else {
            return self.overrides.waiting.push_back(Asked { request, again: false });
        };
        effects.push(Effect::Reply { to: request.id, status, execution: None });
    }

    /// Another node decides now.
    pub(super) fn refuse_overrides(&mut self, effects: &mut Vec<Effect>) {
        for Asked { request, again } in std::mem::take(&mut self.overrides.waiting) {
            let refusal = if again { in_doubt() } else { not_active(self.phase) };
            let status = ReplyStatus::Rejected(refusal);
            effects.push(Effect::Reply { to: request.id, status, execution: None });
        }
    }

    /// Begins the change that is next in turn: one that was asked for, else one of those that are over.
    pub(super) fn tend_overrides(&mut self, now: Now, effects: &mut Vec<Effect>) {
        while self.tends_overrides()
            && let Some(asked) = self.overrides.waiting.pop_front()
        {
            let to = asked.request.id.clone();
            if let Err(status) = self.begin_asked(now, asked) {
                effects.push(Effect::Reply { to, status, execution: None });
            }
        }
        if self.tends_overrides() {
            self.begin_clearing(now);
        }
        self.save_plan_when_settled(now, effects);
    }

    fn tends_overrides(&self) -> bool {
        self.phase == Phase::Active && self.plan.is_none() && self.clock_held_until.is_none()
    }

    /// When the first pause ends, if that is something to wake up for.
    pub(super) fn first_pause_end(&self) -> Option<Timestamp> {
        let (until, _) = self.overrides.ends.first().filter(|_| self.tends_overrides())?;
        Some(*until)
    }

    fn begin_asked(&mut self, now: Now, asked: Asked) -> Result<(), ReplyStatus> {
        let Asked { request, again } = asked;
        let names = self.selected(&request.jobs).map_err(ReplyStatus::Rejected)?;
        if names.iter().any(|name| self.was_carried_out(name, &request.id)) {
            let was = ReplyStatus::Accepted { note: None };
            return Err(if again { was } else { ReplyStatus::Duplicate });
        }
        if let OverrideChange::Pause { until: Some(until), .. } = &request.change
            && *until <= now.wall
        {
            return Err(ReplyStatus::Rejected(has_passed(*until)));
        }
        let mut writes = Vec::new();
        let mut left_out = Vec::new();
        let mut change = Change { accounted_until: now.wall, held: Vec::new(), asked: None };
        for name in names {
            // What is due is accounted for under what is said so far, and may use up a skip.
            let next = self.draft_due(now, &name);
            match self.jobs.get(&name).and_then(|job| self.said(now, &request, &job.applied)) {
                Some(write) => {
                    writes.push(write);
                    self.hold_back(now, name, next, &mut change);
                }
                None => left_out.push(name),
            }
        }
        let note = left_out_note(&request.change, &left_out);
        if writes.is_empty() {
            return Err(ReplyStatus::Finished { outcome: None, note });
        }
        let origin = origin(&request);
        change.asked = Some((request, note));
        self.begin_change(now, writes, origin, change);
        Ok(())
    }

    /// The jobs that a change names: all of them are there, or nothing is done.
    fn selected(&self, jobs: &Selection) -> Result<Vec<JobName>, Refusal> {
        let names: BTreeSet<JobName> = match jobs {
            Selection::Named(names) => names.iter().cloned().collect(),
            Selection::Group(group) => self.group(group),
            Selection::All => self.jobs.keys().cloned().collect(),
        };
        if let (Selection::Group(group), true) = (jobs, names.is_empty()) {
            return Err(self.no_such_group(group));
        }
        if let Some(unknown) = names.iter().find(|name| !self.jobs.contains_key(*name)) {
            return Err(self.no_such_job(unknown));
        }
        if names.len() > JOBS_PER_CHANGE_MAX {
            return Err(too_many_jobs(names.len()));
        }
        Ok(names.into_iter().collect())
    }

    fn group(&self, group: &str) -> BTreeSet<JobName> {
        let is_in = |job: &&Job| job.applied.spec.meta.group.as_deref() == Some(group);
        self.jobs.values().filter(is_in).map(|job| job.applied.spec.name.clone()).collect()
    }

    fn no_such_group(&self, group: &str) -> Refusal {
        let groups = self.jobs.values().filter_map(|job| job.applied.spec.meta.group.as_deref());
        Refusal {
            code: "E0404",
            message: format!("no job is in the group {}", quoted(group)),
            help: nearest(group, groups).map(|near| format!("did you mean `{near}`?")),
        }
    }

    fn was_carried_out(&self, name: &JobName, id: &RequestId) -> bool {
        let said = self.jobs.get(name).and_then(|job| self.overrides.of(&job.applied.uid));
        said.is_some_and(|said| said.request.as_ref() == Some(id))
    }

    /// What a request says of one job; none: there is nothing to do.
    fn said(&self, now: Now, request: &OverrideRequest, job: &AppliedJob) -> Option<OverrideWrite> {
        let mut to = self.without_what_is_over(now, job);
        let by = || request.actor.clone().unwrap_or_else(|| "somebody".to_owned());
        let action = match &request.change {
            OverrideChange::Pause { reason, until } => {
                // Said anew, it goes on from where it began: what it held is held.
                let at = to.pause.as_ref().map_or(now.wall, |pause| pause.at);
                let (reason, until) = (reason.clone(), *until);
                to.pause = Some(Pause { by: by(), at, reason, until });
                OverrideAction::Pause
            }
            OverrideChange::Resume => {
                if to.is_empty() {
                    return None;
                }
                (to.pause, to.skip_next) = (None, None);
                OverrideAction::Resume
            }
            OverrideChange::SkipNext { reason } => {
                let at = to.skip_next.as_ref().map_or(now.wall, |skip| skip.at);
                let skip = SkipNext { by: by(), at, reason: reason.clone() };
                skipped_by(job, &skip)?;
                to.skip_next = Some(skip);
                OverrideAction::SkipNext
            }
        };
        to.request = Some(request.id.clone());
        Some(OverrideWrite { uid: job.uid.clone(), action, to })
    }

    /// What is said about a job, without a pause that has ended. A skip that is used up is gone already.
    fn without_what_is_over(&self, now: Now, job: &AppliedJob) -> Override {
        let none = || Override::none(job.spec.name.clone());
        let mut said = self.overrides.of(&job.uid).cloned().unwrap_or_else(none);
        said.job.clone_from(&job.spec.name);
        said.pause = said.pause.filter(|pause| !pause.has_ended(now.wall));
        said
    }

    /// Has a job stand still until the store has what is said about it. An occurrence that waits for its
    /// start is not decided by that: its fire time belongs to the time before, and the watermark stays there.
    fn hold_back(
        &mut self,
        now: Now,
        name: JobName,
        next: Option<Occurrence>,
        change: &mut Change,
    ) {
        if let Some(waits) = next.filter(|next| next.fire_time <= now.wall) {
            change.accounted_until = change.accounted_until.min(just_before(waits.fire_time));
        }
        self.queue.set(&name, None);
        change.held.push(name);
    }

    /// Takes back what is over: pauses that have ended, skips that are used up.
    fn begin_clearing(&mut self, now: Now) {
        let ended = self.overrides.ends.iter().take_while(|(until, _)| *until <= now.wall);
        let ended = ended.map(|(_, uid)| (uid.clone(), OverrideAction::PauseEnded));
        let used_up = self.overrides.used_up.iter();
        let used_up = used_up.map(|uid| (uid.clone(), OverrideAction::SkipUsed));
        let over: BTreeMap<JobUid, OverrideAction> =
            used_up.chain(ended).take(JOBS_PER_CHANGE_MAX).collect();
        let mut writes: Vec<OverrideWrite> = Vec::new();
        for (uid, action) in over {
            let Some(name) = self.name_of(&uid) else { continue };
            if action == OverrideAction::PauseEnded {
                // The last range row of the pause.
                self.draft_due(now, &name);
            }
            writes.extend(self.cleared(now, &uid, action));
        }
        if writes.is_empty() {
            return;
        }
        let action = |write: &OverrideWrite| write.action == OverrideAction::PauseEnded;
        let origin = if writes.iter().any(action) { "pause ended" } else { "skip-next used" };
        let change = Change { accounted_until: now.wall, held: Vec::new(), asked: None };
        self.begin_change(now, writes, origin.to_owned(), change);
    }

    /// What remains of what is said about a job once what is over is taken back. A skip that is used up is
    /// gone from memory already.
    fn cleared(&self, now: Now, uid: &JobUid, action: OverrideAction) -> Option<OverrideWrite> {
        let mut to = self.overrides.of(uid)?.clone();
        to.pause = to.pause.filter(|pause| !pause.has_ended(now.wall));
        Some(OverrideWrite { uid: uid.clone(), action, to })
    }

    fn begin_change(
        &mut self,
        now: Now,
        overrides: Vec<OverrideWrite>,
        origin: String,
        change: Change,
    ) {
        let jobs: BTreeSet<JobName> =
            overrides.iter().filter_map(|write| self.name_of(&write.uid)).collect();
        let jobs = jobs.into_iter().chain(change.held.iter().cloned()).collect();
        let stage = PlanStage::Settling(self.await_rows(&jobs));
        let writes = PlanWrites {
            expected_generation: self.generation,
            revision: self.revision.clone(),
            effective_at: now.wall,
            upserts: Vec::new(),
            removed: Vec::new(),
            changes: Vec::new(),
            overrides,
            origin,
            pin: self.pin.clone(),
            repair: Repair::default(),
            deadline: BootTime::NEVER,
        };
        let kind = PlanKind::Overrides(change);
        self.plan = Some(PendingPlan { writes, moved: Vec::new(), stage, kind });
    }

    /// The switch.
    pub(super) fn overrides_changed(&mut self, change: Change, effects: &mut Vec<Effect>) {
        for name in &change.held {
            let Some(job) = self.jobs.get(name) else { continue };
            let (applied, cursor) = (job.applied.clone(), job.cursor);
            self.queue_next(&applied, schedule::next_after(&applied, cursor));
        }
        if let Some((request, note)) = change.asked {
            let status = ReplyStatus::Accepted { note };
            effects.push(Effect::Reply { to: request.id, status, execution: None });
        }
    }
}

impl PendingPlan {
    fn is_asked(&self, id: &RequestId) -> bool {
        match &self.kind {
            PlanKind::Jobs => false,
            PlanKind::Overrides(change) => {
                change.asked.as_ref().is_some_and(|(request, _)| request.id == *id)
            }
        }
    }
}
/// What set a change off, for the record: `pause by li.wei: vendor API down`.
fn origin(request: &OverrideRequest) -> String {
    let (what, reason) = match &request.change {
        OverrideChange::Pause { reason, .. } => ("pause", reason.as_deref()),
        OverrideChange::Resume => ("resume", None),
        OverrideChange::SkipNext { reason } => ("skip-next", reason.as_deref()),
    };
    let by = request.actor.as_deref().unwrap_or("somebody");
    format!("{what} by {}", who_and_why(by, reason))
}

/// What is said of the jobs for which there was nothing to do.
fn left_out_note(change: &OverrideChange, left_out: &[JobName]) -> Option<String> {
    let (first, others) = left_out.split_first()?;
    let named = others.iter().take(NAMED_MAX - 1).map(|name| format!(", `{name}`"));
    let more = left_out.len().saturating_sub(NAMED_MAX);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let named = format!("`{first}`{}{more}", named.collect::<String>());
    let are = if others.is_empty() { "is" } else { "are" };
    Some(match change {
        OverrideChange::SkipNext { .. } => {
            format!("{named} {are} not due again: there is nothing to skip")
        }
        OverrideChange::Pause { .. } | OverrideChange::Resume => {
            format!("{named} {are} not paused")
        }
    })
}

fn too_many() -> Refusal {
    Refusal {
        code: "E0429",
        message: format!("{WAITING_MAX} changes of overrides wait for the store already"),
        help: Some("nothing was done; send the request again later".to_owned()),
    }
}

fn too_many_jobs(count: usize) -> Refusal {
    Refusal {
        code: "E0413",
        message: format!("{count} jobs are too many at once"),
        help: Some(format!("name at most {JOBS_PER_CHANGE_MAX} jobs")),
    }
}

fn in_doubt() -> Refusal {
    Refusal {
        code: "E0503",
        message: "the store's answer was lost, and another daemon leads now".to_owned(),
        help: Some("it may be done or not: send the request again with the same id".to_owned()),
    }
}

fn has_passed(until: Timestamp) -> Refusal {
    Refusal {
        code: "E0400",
        message: format!("`until` has passed: {}", rfc3339(until)),
        help: Some("name a time to come".to_owned()),
    }
}
