//! What is started for an execution, and what its end means.

use super::*;
use crate::engine::execution::ExecutionId;
use crate::spec::job::{JobMeta, JobName};
use crate::spec::policy::{Misfire, OnRemove, Overlap};
use crate::spec::process::Limits;
use crate::spec::task::Task;
use crate::supervisor::protocol::GroupLimits;

fn spec(working_dir: Option<&str>) -> JobSpec {
    JobSpec {
        name: JobName::parse("backup").unwrap(),
        description: None,
        enabled: true,
        triggers: Vec::new(),
        task: Task::Command(vec![
            "backup".into(),
            "--all".into(),
            "${params.day} of ${env.LEVEL}".into(),
        ]),
        env: BTreeMap::from([("LEVEL".into(), "9".into()), ("LANG".into(), "C".into())]),
        secrets: BTreeMap::new(),
        params: Params::default(),
        working_dir: working_dir.map(Into::into),
        process: ProcessRules::default(),
        timeout: Some(Duration::from_secs(90)),
        total_timeout: None,
        retry: None,
        kill_grace: Duration::from_millis(1500),
        output_bytes_max: 65_536,
        overlap: Overlap::Skip,
        max_instances: 1,
        max_queued: 1,
        misfire: Misfire::default(),
        protect: false,
        previous_names: Vec::new(),
        on_remove: OnRemove::default(),
        meta: JobMeta::default(),
    }
}

fn started(working_dir: Option<&str>, previous: Option<Timestamp>) -> StartProcess {
    let time_left = previous.map(|_| Duration::from_mins(1));
    let daemons = [
        ("PATH", "/bin"),
        ("LANG", "de_DE.UTF-8"),
        ("LC_TIME", "C"),
        ("TZ", "Asia/Shanghai"),
        ("CRONWRIGHT_STORE", "mongodb://user:password@host"),
        ("LD_PRELOAD", "/x.so"),
        ("PATHS", "no"),
    ];
    let environment =
        daemons.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let base_dir = Path::new("/etc/cronwright");
    let http = HttpCaller { exe: "/bin/cronwright".into(), allow: Vec::new() };
    let surroundings =
        Surroundings { base_dir, environment: &environment, caller: None, http: &http };
    let facts = Facts {
        attempt: &AttemptId {
            execution: ExecutionId("backup-1@2026-01-02T03:00:00Z".into()),
            number: 2,
        },
        time_left,
        cause: Cause::CatchUp,
        trigger: previous.map(|_| TriggerKind::Cron),
        fire_time: timestamp(1_767_322_800_000),
        previous_fire_time: previous,
        revision: "abc",
        fence: 7,
        params: &[("day".to_owned(), "2026-01-31".to_owned())].into(),
    };
    let secrets = BTreeMap::from([("PGPASSWORD".into(), "hunter2".into())]);
    let given = Provision { secrets, ..Provision::default() };
    start_of(&facts, &spec(working_dir), &given, &surroundings).unwrap()
}

#[test]
fn a_process_gets_its_facts_and_only_the_named_part_of_the_daemons_environment() {
    let process = started(None, Some(timestamp(1_767_236_400_000)));
    let env: Vec<String> =
        process.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(
        env,
        [
            "CRONWRIGHT_ATTEMPT=2",
            "CRONWRIGHT_CAUSE=catch_up",
            "CRONWRIGHT_DATA_INTERVAL_START=2026-01-01T03:00:00Z",
            "CRONWRIGHT_EXECUTION_ID=backup-1@2026-01-02T03:00:00Z",
            "CRONWRIGHT_FENCE=7",
            "CRONWRIGHT_JOB=backup",
            "CRONWRIGHT_REVISION=abc",
            "CRONWRIGHT_SCHEDULED_TIME=2026-01-02T03:00:00Z",
            "CRONWRIGHT_TRIGGER=cron",
            "LANG=C",
            "LC_TIME=C",
            "LEVEL=9",
            "PARAM_DAY=2026-01-31",
            "PATH=/bin",
            "PGPASSWORD=hunter2",
            "TRACEPARENT=00-7d40a30a52183b8a83b67f42c062ac57-530765673b6d1f3b-01",
            "TZ=Asia/Shanghai",
        ]
    );
    let expected = StartProcess {
        id: "backup-1@2026-01-02T03:00:00Z#2".to_owned(),
        argv: vec!["backup".to_owned(), "--all".to_owned(), "2026-01-31 of 9".to_owned()],
        env: process.env.clone(),
        working_dir: "/etc/cronwright".to_owned(),
        timeout_ms: Some(60_000),
        kill_grace_ms: 1500,
        output_bytes_max: 65_536,
        rules: StartRules {
            secret_variables: vec!["PGPASSWORD".to_owned()],
            ..StartRules::default()
        },
    };
    assert_eq!(process, expected);

    let by_request = started(None, None).env;
    assert!(!by_request.contains_key("CRONWRIGHT_TRIGGER"));
    assert!(!by_request.contains_key("CRONWRIGHT_DATA_INTERVAL_START"));
}

#[test]
fn what_a_job_says_about_its_process_is_ordered() {
    let rules = ProcessRules {
        success_exit_codes: vec![0, 3],
        user: Some("etl".to_owned()),
        umask: Some(0o027),
        inherit_env: vec!["HTTP_PROXY".to_owned()],
        leftovers: Leftovers::Leave,
        capture: Capture::Stderr,
        forward: true,
        limits: Limits {
            files: Some(64),
            time: Some(Duration::from_secs(5)),
            cpu_thousandths: Some(1500),
            memory_bytes: Some(1 << 30),
            pids: Some(20),
        },
    };
    let expected = StartRules {
        run_as: Some(RunAs { uid: 7, gid: 8, groups: vec![8, 9] }),
        warm: None,
        success_exit_codes: vec![0, 3],
        umask: Some(0o027),
        leave_leftovers: true,
        discard_stdout: true,
        discard_stderr: false,
        open_files_max: Some(64),
        cpu_seconds_max: Some(5),
        group_limits: GroupLimits {
            cpu_thousandths_max: Some(1500),
            memory_bytes_max: Some(1 << 30),
            pids_max: Some(20),
        },
        script: None,
        secret_variables: Vec::new(),
    };
    let run_as = Some(RunAs { uid: 7, gid: 8, groups: vec![8, 9] });
    assert_eq!(rules_of(&rules, run_as, Vec::new()), expected);
    let environment = ["HTTP_PROXY", "HTTPS_PROXY", "PATH"].map(|name| (name.into(), "x".into()));
    let inherited = inherited(&environment.into(), &rules.inherit_env);
    assert_eq!(inherited.into_keys().collect::<Vec<_>>(), ["HTTP_PROXY", "PATH"]);
}

#[test]
fn all_attempts_of_an_execution_hang_in_one_trace() {
    let attempt = |number| AttemptId { execution: ExecutionId("backup-1".into()), number };
    let (first, second) = (trace_parent(&attempt(1)), trace_parent(&attempt(2)));
    assert_eq!(first.len(), "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".len());
    assert!(first.starts_with("00-") && first.ends_with("-01"));
    assert_eq!(first[..36], second[..36]);
    assert_ne!(first[36..], second[36..]);
    assert_eq!(first, trace_parent(&attempt(1)));
}

#[test]
fn working_directories_count_from_the_folder_of_the_settings() {
    for (written, meant) in
        [(None, "/etc/cronwright"), (Some("data"), "/etc/cronwright/data"), (Some("/srv"), "/srv")]
    {
        assert_eq!(started(written, None).working_dir, meant);
    }
}

#[test]
fn each_way_to_end_has_its_outcome() {
    let spawn_error = Exception {
        kind: "SpawnError".to_owned(),
        message: "no such file".to_owned(),
        traceback: None,
    };
    let message = "no such file".to_owned();
    for (how, outcome, exit, exception) in [
        (HowEnded::Exited { code: 0 }, Outcome::Succeeded, Some(Exit::Code(0)), None),
        (HowEnded::Exited { code: 3 }, Outcome::Failed(Failed::Exit), Some(Exit::Code(3)), None),
        (HowEnded::Exited { code: 5 }, Outcome::Succeeded, Some(Exit::Code(5)), None),
        (
            HowEnded::Signalled { signal: 11 },
            Outcome::Failed(Failed::Signal),
            Some(Exit::Signal(11)),
            None,
        ),
        (HowEnded::TimedOut, Outcome::TimedOut(TimedOut::Attempt), None, None),
        (HowEnded::Stopped, Outcome::Cancelled(Cancelled::Requested), None, None),
        (HowEnded::NotStarted { message }, Outcome::Failed(Failed::Spawn), None, Some(spawn_error)),
        (HowEnded::Unkillable, Outcome::TimedOut(TimedOut::Unkillable), None, None),
        (HowEnded::Vanished, Outcome::Lost, None, None),
    ] {
        let ending = ending_of(ProcessEnding {
            id: "a".to_owned(),
            started_at_ms: Some(1000),
            finished_at_ms: 3500,
            duration_ms: Some(2499),
            how,
            output: KeptOutput { head: "/wA=".to_owned(), tail: "YQ==".to_owned(), bytes: 9 },
            result: Some("1".to_owned()),
            success_exit_codes: vec![0, 5],
            applied: None,
            hit: None,
        });
        let expected = Ending {
            outcome,
            started_at: Some(timestamp(1000)),
            finished_at: timestamp(3500),
            duration: Some(Duration::from_millis(2499)),
            exit,
            result: Some("1".to_owned()),
            exception,
            output: Output { head: vec![0xff, 0], tail: b"a".to_vec(), bytes: 9 },
            protection: None,
        };
        assert_eq!(ending, expected);
    }
}

#[test]
fn the_process_of_a_call_says_what_the_call_came_to() {
    let ending = |how: HowEnded, report: &str| {
        let ending = ending_of(ProcessEnding {
            id: "a".to_owned(),
            started_at_ms: Some(1000),
            finished_at_ms: 3500,
            duration_ms: Some(2499),
            how,
            output: KeptOutput::default(),
            result: Some(format!("{{\"cronwright.class\": 1, {report}}}")),
            success_exit_codes: Vec::new(),
            applied: None,
            hit: None,
        });
        let outcome = (ending.outcome.as_str(), ending.outcome.reason().unwrap_or_default());
        let exception = ending.exception.map(|e| format!("{}: {}", e.kind, e.message));
        let result = ending.result.unwrap_or_default();
        format!(
            "{} {} {:?} {} {}",
            outcome.0,
            outcome.1,
            ending.exit,
            result,
            exception.unwrap_or_default()
        )
    };
    let exited = |code| HowEnded::Exited { code };
    let raised = "\"ended\": true, \"exception\": {\"type\": \"E\", \"message\": \"m\", \"traceback\": \"t\"}";
    for (how, report, meant) in [
        (exited(0), "\"ended\": true, \"result\": [1]", "succeeded  Some(Code(0)) [1] "),
        (exited(0), "\"ended\": true, \"result\": null", "succeeded  Some(Code(0))  "),
        (exited(1), raised, "failed exception Some(Code(1))  E: m"),
        (HowEnded::TimedOut, raised, "timed_out attempt None  E: m"),
        (exited(3), "\"ended\": true, \"exit\": true", "failed exit Some(Code(3))  "),
        (
            exited(0),
            "\"ended\": false",
            "failed worker_died Some(Code(0))  WorkerDied: the process ended before the call had",
        ),
        (
            HowEnded::Signalled { signal: 11 },
            "\"ended\": false",
            "failed worker_died Some(Signal(11))  WorkerDied: the process ended before the call had",
        ),
        (HowEnded::Stopped, "\"ended\": false", "cancelled requested None  "),
    ] {
        assert_eq!(ending(how, report), meant);
    }
    assert_eq!(Report::parse("{\"cronwright.class\": 2, \"ended\": true}"), None);
    assert_eq!(Report::parse("[1]"), None);
}
