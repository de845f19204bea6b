//! Rows, jobs and plans to write.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta};
use cronwright::engine::event::PlanWrites;
use cronwright::engine::execution::{
    Cause, Claim, Ending, Exception, ExecutionId, Exit, JobUid, Outcome, Output, Provenance, Row,
    State,
};
use cronwright::engine::overrides::{Override, OverrideAction, OverrideWrite, Pause, SkipNext};
use cronwright::engine::plan::{AppliedJob, Owner, Repair};
use cronwright::engine::request::RequestId;
use cronwright::spec::job::{Digest, JobMeta, JobName, JobSpec, SourcePlace};
use cronwright::spec::policy::{Misfire, OnRemove, Overlap};
use cronwright::spec::process::ProcessRules;
use cronwright::spec::task::Task;
use cronwright::spec::trigger::TriggerKind;
use cronwright::time::Timestamp;

/// The moment `minutes` after a fixed one.
pub(crate) fn at(minutes: i64) -> Timestamp {
    DateTime::from_timestamp(1_795_000_020, 0).unwrap() + TimeDelta::minutes(minutes)
}

/// A claimed row of job `name`, due at minute `minute`, slot 0, epoch 1, node `n1`.
pub(crate) fn row(name: &str, minute: i64) -> Row {
    let uid = JobUid(format!("{name}-1").into());
    Row {
        id: ExecutionId::occurrence(&uid, at(minute)),
        job: JobName::parse(name).unwrap(),
        uid,
        cause: Cause::Trigger,
        trigger: Some(TriggerKind::Cron),
        fire_time: at(minute),
        start_time: at(minute),
        range: None,
        provenance: Provenance {
            digest: Digest("d1".into()),
            revision: "r1".into(),
            source: SourcePlace { file: "jobs.d/a.yaml".to_owned(), line: 3 },
        },
        claim: Claim { node: "n1".into(), epoch: 1, nonce: "p-1".into() },
        claimed_at: at(minute),
        slot: Some(0),
        state: State::Claimed,
        attempts: Vec::new(),
        rules: None,
        params: [("day".to_owned(), "2026-01-31".to_owned())].into(),
        late_outcome: None,
        note: None,
    }
}

pub(crate) fn ending(outcome: Outcome) -> Box<Ending> {
    Box::new(Ending {
        outcome,
        started_at: Some(at(0)),
        finished_at: at(1),
        duration: Some(Duration::from_millis(59_990)),
        exit: Some(Exit::Code(3)),
        result: Some("{\"rows\":7}".to_owned()),
        exception: Some(Exception {
            kind: "Oops".to_owned(),
            message: "七".to_owned(),
            traceback: None,
        }),
        output: Output { head: vec![0xff, 0], tail: b"end".to_vec(), bytes: 9_000_000_000 },
        protection: None,
    })
}

pub(crate) fn job(name: &str) -> AppliedJob {
    AppliedJob {
        uid: JobUid(format!("{name}-1").into()),
        owner: Owner::source("jobs.d"),
        spec: Arc::new(JobSpec {
            name: JobName::parse(name).unwrap(),
            description: Some("what it does".to_owned()),
            enabled: true,
            triggers: Vec::new(),
            task: Task::Command(vec!["/bin/true".to_owned()]),
            env: std::collections::BTreeMap::new(),
            working_dir: None,
            secrets: std::collections::BTreeMap::new(),
            params: cronwright::spec::params::Params::default(),
            process: ProcessRules::default(),
            timeout: None,
            total_timeout: None,
            retry: None,
            kill_grace: Duration::from_secs(10),
            output_bytes_max: 131_072,
            overlap: Overlap::Skip,
            max_instances: 1,
            max_queued: 1,
            misfire: Misfire::default(),
            protect: false,
            previous_names: Vec::new(),
            on_remove: OnRemove::default(),
            meta: JobMeta::default(),
        }),
        digest: Digest("d1".into()),
        source: SourcePlace { file: "jobs.d/a.yaml".to_owned(), line: 3 },
        effective_at: at(0),
        anchors: std::collections::BTreeMap::from([("interval 5m UTC".to_owned(), at(-5))]),
    }
}

pub(crate) fn plan(expected_generation: u64, upserts: &[&str], removed: &[&str]) -> PlanWrites {
    PlanWrites {
        expected_generation,
        revision: format!("r{}", expected_generation + 1).into(),
        effective_at: at(0),
        upserts: upserts.iter().map(|name| job(name)).collect(),
        removed: removed.iter().map(|name| job(name)).collect(),
        changes: Vec::new(),
        overrides: Vec::new(),
        origin: "start".to_owned(),
        pin: None,
        repair: Repair::default(),
        deadline: cronwright::time::BootTime::NEVER,
    }
}

/// A change of what is said about job `name`.
pub(crate) fn said(name: &str, pause: Option<Pause>, skip_next: Option<SkipNext>) -> OverrideWrite {
    let uid = JobUid(format!("{name}-1").into());
    let request = Some(RequestId::parse("r-1").unwrap());
    let job = JobName::parse(name).unwrap();
    let to = Override { job, pause, skip_next, request };
    OverrideWrite { uid, action: OverrideAction::Pause, to }
}

/// A pause from minute `minute` to minute 60.
pub(crate) fn pause(minute: i64) -> Pause {
    let (by, reason) = ("li.wei".to_owned(), Some("维护".to_owned()));
    Pause { by, at: at(minute), reason, until: Some(at(60)) }
}
