//! Requests: run-now and cancel (B6, C5). Those that change overrides are in `overrides`.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::engine::event::Effect;
use crate::engine::execution::{Cancelled, Cause, ExecutionId};
use crate::engine::plan::AppliedJob;
use crate::engine::request::{Act, CancelTarget, Order, Refusal, ReplyStatus, RequestId};
use crate::engine::scheduler::drafts::Verdict;
use crate::engine::scheduler::override_changes::OverrideRequest;
use crate::engine::scheduler::{Phase, Scheduler};
use crate::spec::job::JobName;
use crate::spec::params::{ParamError, ParamValues, Params};
use crate::time::Now;

/// How many rows may wait for a claim before run-now is refused.
const READY_MAX: usize = 10_000;

/// A run-now as it is asked for.
struct Asked {
    id: RequestId,
    params: BTreeMap<String, Value>,
    actor: Option<String>,
    waiter: Option<RequestId>,
    dry_run: bool,
}

/// A run-now that fits its job.
pub(super) struct RunNow {
    pub(super) execution: ExecutionId,
    pub(super) request: Option<RequestId>,
    pub(super) actor: Option<String>,
    pub(super) given: ParamValues,
    pub(super) waiter: Option<RequestId>,
}

impl Scheduler {
    pub(super) fn order(&mut self, now: Now, order: Order, effects: &mut Vec<Effect>) {
        let Order { id, act, actor } = order;
        let answer = match act {
            Act::Run { job, params, wait, dry_run } => {
                let waiter = wait.then(|| id.clone());
                let asked = Asked { id: id.clone(), params, actor, waiter, dry_run };
                self.run(now, &job, asked)
            }
            Act::Cancel { target, force } => Some(self.cancel(now, &target, force, effects)),
            Act::Override { jobs, change } => {
                return self.ask_override(OverrideRequest { id, jobs, change, actor }, effects);
            }
        };
        if let Some((status, execution)) = answer {
            effects.push(Effect::Reply { to: id, status, execution });
        }
    }

    /// Drafts the row of a run-now; answers at once only when it refuses.
    fn run(
        &mut self,
        now: Now,
        job: &JobName,
        asked: Asked,
    ) -> Option<(ReplyStatus, Option<ExecutionId>)> {
        if self.phase != Phase::Active {
            return Some((ReplyStatus::Rejected(not_active(self.phase)), None));
        }
        if self.ready.len() >= READY_MAX {
            return Some((ReplyStatus::Rejected(too_many()), None));
        }
        let Some(found) = self.jobs.get(job) else {
            return Some((ReplyStatus::Rejected(self.no_such_job(job)), None));
        };
        let execution = asked.id.execution();
        if self.flights.get(&execution).is_some() || self.is_asked(&asked.id) {
            return Some((ReplyStatus::Duplicate, Some(execution)));
        }
        let applied = found.applied.clone();
        let given = match given_of(&applied.spec.params, &asked.params) {
            Ok(given) => given,
            Err(refusal) => return Some((ReplyStatus::Rejected(refusal), None)),
        };
        if asked.dry_run {
            let note = Some(would_run(&applied, self.flights.all_of(&applied.uid).len()));
            return Some((ReplyStatus::Finished { outcome: None, note }, None));
        }
        let Asked { id, actor, waiter, .. } = asked;
        self.draft_run(
            now,
            &applied,
            RunNow { execution, request: Some(id), actor, given, waiter },
        );
        None
    }

    /// Whether a row for this request waits for a claim, or for its answer. One that starts is a flight
    /// as well; one that is skipped is not, and must not be decided a second time beside it.
    fn is_asked(&self, id: &RequestId) -> bool {
        let in_batch = self.batch.iter().flat_map(|batch| &batch.drafts);
        in_batch.chain(&self.ready).any(|draft| draft.request.as_ref() == Some(id))
    }

    /// Applies B3 to a run-now and drafts its row.
    pub(super) fn draft_run(&mut self, now: Now, job: &AppliedJob, asked: RunNow) {
        let RunNow { execution, request, actor, given, waiter } = asked;
        let params = &job.spec.params;
        let mut draft = self.draft_start(now, job, execution, now.wall, Cause::Request);
        if let Some(flight) = self.flights.get_mut(&draft.id) {
            flight.waiter = waiter;
        }
        draft.trigger = None;
        draft.previous_fire_time = None;
        draft.request = request;
        draft.params = params.values(&given, now.wall, &params.zone);
        if !matches!(draft.verdict, Verdict::End(_)) {
            draft.note = actor;
        }
        self.ready.push(draft);
    }

    fn cancel(
        &mut self,
        now: Now,
        target: &CancelTarget,
        force: bool,
        effects: &mut Vec<Effect>,
    ) -> (ReplyStatus, Option<ExecutionId>) {
        let ids = match target {
            CancelTarget::Execution(id) => vec![id.clone()],
            CancelTarget::Job(job) => match self.jobs.get(job) {
                // It may have had another name when they began.
                Some(found) => self.flights.all_of(&found.applied.uid),
                None => self.flights.of_job(job),
            },
        };
        let mut stopped = None;
        for id in ids {
            if self.cancel_flight(now, &id, Cancelled::Requested, force, effects) {
                stopped = Some(id);
            }
        }
        let status = match stopped {
            Some(_) => ReplyStatus::Accepted { note: None },
            None => ReplyStatus::Rejected(nothing_runs(target)),
        };
        (status, stopped)
    }

    pub(super) fn no_such_job(&self, job: &JobName) -> Refusal {
        let names = self.jobs.keys().map(JobName::as_str);
        Refusal {
            code: "E0404",
            message: format!("no job `{job}`"),
            help: crate::diagnostic::suggest::nearest(job.as_str(), names)
                .map(|name| format!("did you mean `{name}`?")),
        }
    }
}

/// What a run-now that only asks is told.
fn would_run(job: &AppliedJob, in_flight: usize) -> String {
    let name = &job.spec.name;
    match in_flight {
        0 => format!("nothing was done; `{name}` would run"),
        count => format!("nothing was done; of `{name}` {count} in flight: `overlap` would decide"),
    }
}

/// What a request gives a job, as it is kept.
fn given_of(params: &Params, asked: &BTreeMap<String, Value>) -> Result<ParamValues, Refusal> {
    let given = params.check(asked)?;
    match params.missing(&given) {
        Some(missing) => Err(missing.into()),
        None => Ok(given),
    }
}

impl From<ParamError> for Refusal {
    fn from(error: ParamError) -> Self {
        let help = match &error {
            ParamError::Unknown { near: Some(near), .. } => format!("did you mean `{near}`?"),
            ParamError::Unknown { near: None, .. }
            | ParamError::Misvalue { .. }
            | ParamError::Missing { .. } => "`cronwright show` lists what the job takes".to_owned(),
        };
        Self { code: "E0400", message: error.to_string(), help: Some(help) }
    }
}

pub(super) fn not_active(phase: Phase) -> Refusal {
    let message = match phase {
        Phase::Standby => "another daemon leads on this store",
        Phase::Recovering => "the store does not answer",
        Phase::AwaitingPlan => "the daemon is still reading its manifests",
        Phase::Stopping => "the daemon is stopping",
        Phase::Active => "the daemon is busy",
    };
    let help = "nothing was done; send the request again".to_owned();
    Refusal { code: "E0503", message: message.to_owned(), help: Some(help) }
}

fn too_many() -> Refusal {
    Refusal {
        code: "E0429",
        message: format!("{READY_MAX} executions wait for the store already"),
        help: Some("nothing was done; send the request again later".to_owned()),
    }
}

fn nothing_runs(target: &CancelTarget) -> Refusal {
    let message = match target {
        CancelTarget::Execution(id) => format!("no execution `{id}` runs on this node"),
        CancelTarget::Job(job) => format!("nothing of `{job}` runs on this node"),
    };
    Refusal { code: "E0404", message, help: Some("`cronwright history` shows what ran".to_owned()) }
}
