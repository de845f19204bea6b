//! Executions as processes: what is started for one, and what its end means.
//!
//! Pure translation between the engine's words and the supervisor's. The connection itself is
//! [`supervisor`].

mod bounds;
mod client;
mod connection;
pub mod feed;
pub mod handlers;
pub mod http;
pub mod provision;
pub mod python;
pub mod report;
pub mod secrets;
pub mod supervisor;
pub mod users;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::engine::execution::{
    AttemptId, Cancelled, Cause, Ending, Exception, Exit, Failed, Outcome, Output, TimedOut,
};
use crate::io::executor::handlers::{HandlerFacts, HandlerOrder};
use crate::io::executor::http::HttpCaller;
use crate::io::executor::provision::Provision;
use crate::io::executor::python::{CALL_VARIABLE, Caller, Keep};
use crate::io::executor::report::Report;
use crate::io::http_task::ORDER_VARIABLE;
use crate::spec::job::JobSpec;
use crate::spec::params::{ParamValues, Params, variable_of};
use crate::spec::process::{Capture, Leftovers, ProcessRules};
use crate::spec::task::Task;
use crate::spec::task::call::{Call, Filling};
use crate::spec::task::template::{self, Namespace, Template};
use crate::spec::trigger::TriggerKind;
use crate::supervisor::protocol::{
    HowEnded, KeptOutput, OUTPUT_BYTES_MAX, ProcessEnding, RunAs, StartProcess, StartRules,
    WarmRules,
};
use crate::time::{Timestamp, rfc3339};

/// The variables of the daemon's environment that a job process gets, beside `LC_*`. The others may
/// hold passwords.
pub const INHERITED: [&str; 8] =
    ["PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TZ", "TMPDIR"];

/// 128 bits.
const TRACE_ID_DIGITS: usize = 32;
/// 64 bits.
const SPAN_ID_DIGITS: usize = 16;

/// What a job process is told about its execution.
#[derive(Debug, Clone)]
pub struct Facts<'a> {
    /// The attempt, and its execution, whose id is the same for all of them.
    pub attempt: &'a AttemptId,
    /// How much of `total_timeout` is left.
    pub time_left: Option<Duration>,
    /// Why it exists.
    pub cause: Cause,
    /// The kind of trigger that made it due.
    pub trigger: Option<TriggerKind>,
    /// When it was due; for a request, when it was accepted.
    pub fire_time: Timestamp,
    /// The fire time before it.
    pub previous_fire_time: Option<Timestamp>,
    /// Revision of the snapshot that declared the job.
    pub revision: &'a str,
    /// The fencing token.
    pub fence: u64,
    /// What it was given.
    pub params: &'a ParamValues,
}

/// What the daemon gives to every job process.
#[derive(Debug, Clone)]
pub struct Surroundings<'a> {
    /// Folder of the settings file, absolute: where relative working directories count from.
    pub base_dir: &'a Path,
    /// The daemon's environment, of which only [`INHERITED`], `LC_*` and the job's `inherit_env` go on.
    pub environment: &'a BTreeMap<String, String>,
    /// What calls classes; none: the settings name no folder of them.
    pub caller: Option<&'a Caller>,
    /// What makes HTTP calls.
    pub http: &'a HttpCaller,
}

/// Why a task cannot be started as it is declared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// The settings name no folder of classes any more.
    #[error("the settings of this daemon name no folder of classes (`[python]`)")]
    NoCaller,
    /// A template has no value: a variable is not set, or the parameter came with a later definition.
    #[error("nothing can be filled in for `{0}`")]
    Template(String),
}

impl OrderError {
    /// The kind of exception that is recorded.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NoCaller => "NoCaller",
            Self::Template(_) => "TemplateError",
        }
    }
}

/// The process that does `spec` for an execution, with what it needs.
pub fn start_of(
    facts: &Facts<'_>,
    spec: &JobSpec,
    given: &Provision,
    surroundings: &Surroundings<'_>,
) -> Result<StartProcess, OrderError> {
    let base_dir = surroundings.base_dir;
    let working_dir = match &spec.working_dir {
        Some(working_dir) => base_dir.join(working_dir),
        None => base_dir.to_owned(),
    };
    let mut env = inherited(surroundings.environment, &spec.process.inherit_env);
    env.extend(given.account.variables.clone());
    env.extend(variables_of(facts, spec, &given.secrets));
    let secret_variables = given.secrets.keys().cloned().collect();
    let (mut keep, mut script) = (None, None);
    let argv = match &spec.task {
        Task::Command(argv) => {
            argv.iter().map(|argument| filled(argument, &env)).collect::<Result<_, _>>()?
        }
        Task::Script { text, shell } => shell.iter().chain([text]).cloned().collect(),
        Task::Class { call, .. } => {
            let call = filled_call(call, &spec.params, &env)?;
            let caller = surroundings.caller.ok_or(OrderError::NoCaller)?;
            keep = caller.keep(&spec.process);
            let process = caller.process(&call, keep, given.account.run_as.is_some());
            env.insert(CALL_VARIABLE.to_owned(), process.call);
            script = process.script;
            process.argv
        }
        Task::Http(call) => {
            let (argv, order) = surroundings.http.process(call);
            env.insert(ORDER_VARIABLE.to_owned(), order);
            argv
        }
    };
    Ok(StartProcess {
        id: facts.attempt.to_string(),
        argv,
        env,
        working_dir: working_dir.to_string_lossy().into_owned(),
        timeout_ms: timeout_of(facts, spec).map(milliseconds),
        kill_grace_ms: milliseconds(spec.kill_grace),
        output_bytes_max: spec.output_bytes_max.min(OUTPUT_BYTES_MAX),
        rules: StartRules {
            warm: keep.map(|keep| warm_rules(facts, spec, keep)),
            script,
            ..rules_of(&spec.process, given.account.run_as.clone(), secret_variables)
        },
    })
}

/// What tells one call from another comes with the call; what a job says of its environment, its process has.
fn warm_rules(facts: &Facts<'_>, spec: &JobSpec, keep: Keep) -> WarmRules {
    let own = own_variables(facts, spec).map(|(name, _)| name);
    let call_variables = own.chain([CALL_VARIABLE.to_owned()]).collect();
    WarmRules { call_variables, memory_bytes_max: keep.memory_bytes_max }
}

/// The variables of an execution, without what the daemon's own environment adds to them.
fn variables_of(
    facts: &Facts<'_>,
    spec: &JobSpec,
    secrets: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let mut variables: BTreeMap<String, String> = own_variables(facts, spec).collect();
    variables.extend(spec.env.clone());
    variables.extend(secrets.clone());
    variables
}

/// The call of a handler that does `spec` for an execution.
pub fn order_of(
    facts: &Facts<'_>,
    spec: &JobSpec,
    call: &Call,
    secrets: &BTreeMap<String, String>,
) -> Result<HandlerOrder, OrderError> {
    let variables = variables_of(facts, spec, secrets);
    Ok(HandlerOrder {
        attempt: facts.attempt.clone(),
        call: filled_call(call, &spec.params, &variables)?,
        facts: HandlerFacts {
            previous_fire_time: facts.previous_fire_time,
            fence: facts.fence,
            variables,
            ..HandlerFacts::new(spec.name.clone(), facts.attempt, facts.fire_time)
        },
        timeout: timeout_of(facts, spec),
        kill_grace: spec.kill_grace,
        output_bytes_max: spec.output_bytes_max,
        secrets: secrets.values().cloned().collect(),
    })
}

/// A text with its templates filled in.
fn filled(text: &str, variables: &BTreeMap<String, String>) -> Result<String, OrderError> {
    let fill = |found: &Template<'_>| variables.get(&*found.variable()?).cloned();
    template::expand(text, fill).map_err(OrderError::Template)
}

/// A call with its templates filled in.
fn filled_call(
    call: &Call,
    params: &Params,
    variables: &BTreeMap<String, String>,
) -> Result<Call, OrderError> {
    let fill = |found: &Template<'_>| {
        let text = variables.get(&*found.variable()?)?.clone();
        let param = match found.namespace {
            Namespace::Params => params.declared.get(found.name),
            Namespace::Secrets | Namespace::Env | Namespace::Execution => None,
        };
        Some(Filling { text, kind: param.map(|param| &param.kind) })
    };
    call.filled(fill).map_err(OrderError::Template)
}

/// How long an attempt may take.
fn timeout_of(facts: &Facts<'_>, spec: &JobSpec) -> Option<Duration> {
    spec.timeout.into_iter().chain(facts.time_left).min()
}

fn rules_of(
    rules: &ProcessRules,
    run_as: Option<RunAs>,
    secret_variables: Vec<String>,
) -> StartRules {
    StartRules {
        run_as,
        secret_variables,
        success_exit_codes: rules.success_exit_codes.clone(),
        umask: rules.umask,
        leave_leftovers: rules.leftovers == Leftovers::Leave,
        discard_stdout: matches!(rules.capture, Capture::Stderr | Capture::None),
        discard_stderr: matches!(rules.capture, Capture::Stdout | Capture::None),
        open_files_max: rules.limits.files.map(u64::from),
        cpu_seconds_max: rules.limits.time.map(|time| time.as_secs()),
        group_limits: bounds::group_limits(rules.limits),
        warm: None,
        script: None,
    }
}

/// What the end of a process means for its execution.
pub fn ending_of(ending: ProcessEnding) -> Ending {
    let (outcome, exit, exception) = meaning_of(ending.how, &ending.success_exit_codes);
    let outcome = bounds::judged(outcome, ending.hit);
    let plain = Ending {
        outcome,
        started_at: ending.started_at_ms.map(timestamp),
        finished_at: timestamp(ending.finished_at_ms),
        duration: ending.duration_ms.map(Duration::from_millis),
        exit,
        result: ending.result,
        exception,
        output: output_of(&ending.output),
        protection: ending.applied.map(bounds::protection_of),
    };
    match plain.result.as_deref().and_then(Report::parse) {
        None => plain,
        Some(report) => ending_of_call(plain, report),
    }
}

fn meaning_of(how: HowEnded, successes: &[i32]) -> (Outcome, Option<Exit>, Option<Exception>) {
    match how {
        HowEnded::Exited { code } => {
            let is_success = successes.contains(&code) || (successes.is_empty() && code == 0);
            let failed = Outcome::Failed(Failed::Exit);
            (if is_success { Outcome::Succeeded } else { failed }, Some(Exit::Code(code)), None)
        }
        HowEnded::Signalled { signal } => {
            (Outcome::Failed(Failed::Signal), Some(Exit::Signal(signal)), None)
        }
        HowEnded::TimedOut => (Outcome::TimedOut(TimedOut::Attempt), None, None),
        HowEnded::Stopped => (Outcome::Cancelled(Cancelled::Requested), None, None),
        HowEnded::NotStarted { message } => {
            let kind = "SpawnError".to_owned();
            let exception = Exception { kind, message, traceback: None };
            (Outcome::Failed(Failed::Spawn), None, Some(exception))
        }
        HowEnded::Unkillable => (Outcome::TimedOut(TimedOut::Unkillable), None, None),
        HowEnded::Vanished => (Outcome::Lost, None, None),
    }
}

/// The same for the process of a call, which says what the call came to. That it was ended by a time limit or
/// on purpose counts more.
fn ending_of_call(plain: Ending, report: Report) -> Ending {
    let ended_by_itself = plain.exit.is_some();
    match report {
        Report::Returned(result) => Ending { result, ..plain },
        Report::Failed(failed, exception) => {
            let failed = Outcome::Failed(failed);
            let outcome = if ended_by_itself { failed } else { plain.outcome };
            Ending { outcome, result: None, exception: Some(exception), ..plain }
        }
        Report::Unended if ended_by_itself => {
            let exception = Exception {
                kind: "WorkerDied".to_owned(),
                message: "the process ended before the call had".to_owned(),
                traceback: None,
            };
            let outcome = bounds::unended(plain.outcome);
            Ending { outcome, result: None, exception: Some(exception), ..plain }
        }
        Report::Exited | Report::Unended => Ending { result: None, ..plain },
    }
}

/// The ending of an attempt of which nothing was started.
pub fn unstarted(outcome: Outcome, now: Timestamp, exception: Option<Exception>) -> Ending {
    Ending {
        outcome,
        started_at: None,
        finished_at: now,
        duration: None,
        exit: None,
        result: None,
        exception,
        output: Output::default(),
        protection: None,
    }
}

/// The bytes of kept output.
pub fn output_of(kept: &KeptOutput) -> Output {
    // The supervisor encodes it: anything else is not its word, and there is nothing to show.
    let bytes = |base64: &str| STANDARD.decode(base64).unwrap_or_default();
    Output { head: bytes(&kept.head), tail: bytes(&kept.tail), bytes: kept.bytes }
}

fn inherited(
    environment: &BTreeMap<String, String>,
    besides: &[String],
) -> BTreeMap<String, String> {
    let passes = |name: &String| {
        INHERITED.contains(&name.as_str()) || name.starts_with("LC_") || besides.contains(name)
    };
    environment
        .iter()
        .filter(|(name, _)| passes(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

fn own_variables(facts: &Facts<'_>, spec: &JobSpec) -> impl Iterator<Item = (String, String)> {
    let variables = [
        ("CRONWRIGHT_JOB", Some(spec.name.to_string())),
        ("CRONWRIGHT_EXECUTION_ID", Some(facts.attempt.execution.to_string())),
        ("CRONWRIGHT_ATTEMPT", Some(facts.attempt.number.to_string())),
        ("CRONWRIGHT_CAUSE", Some(facts.cause.as_str().to_owned())),
        ("CRONWRIGHT_TRIGGER", facts.trigger.map(|kind| kind.as_str().to_owned())),
        ("CRONWRIGHT_SCHEDULED_TIME", Some(rfc3339(facts.fire_time))),
        ("CRONWRIGHT_DATA_INTERVAL_START", facts.previous_fire_time.map(rfc3339)),
        ("CRONWRIGHT_REVISION", Some(facts.revision.to_owned())),
        ("CRONWRIGHT_FENCE", Some(facts.fence.to_string())),
        ("TRACEPARENT", Some(trace_parent(facts.attempt))),
    ];
    let own = variables.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    own.chain(facts.params.iter().map(|(name, value)| (variable_of(name), value.clone())))
}

/// Where traces of the process hang (W3C Trace Context): one trace for an execution, one span for each attempt,
/// the same whoever works them out.
fn trace_parent(attempt: &AttemptId) -> String {
    let digits = |text: &str, count: usize| -> String {
        blake3::hash(text.as_bytes()).to_hex().chars().take(count).collect()
    };
    let trace = digits(&attempt.execution.to_string(), TRACE_ID_DIGITS);
    // The first attempt has the id of its execution.
    let span = digits(&format!("{}#{}", attempt.execution, attempt.number), SPAN_ID_DIGITS);
    format!("00-{trace}-{span}-01")
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Beyond what a timestamp can hold, the supervisor's clock is meaningless: the epoch says so.
fn timestamp(unix_ms: i64) -> Timestamp {
    Timestamp::from_timestamp_millis(unix_ms).unwrap_or_default()
}

#[cfg(test)]
mod tests;
