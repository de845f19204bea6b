//! `exec`: one job's task, here and now, without a daemon.
//!
//! One attempt under a supervisor of its own, in a folder that is removed afterwards: so the task gets what it would get
//! from the daemon, and its limits, its leftovers, its secrets and its ending are treated in the same way. Nothing
//! is recorded.

mod handler;

use std::collections::BTreeMap;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use serde_json::Value;
use tokio::signal::ctrl_c;
use tokio::sync::mpsc;

use crate::cli::Global;
use crate::cli::exit::{Exit, Failure};
use crate::cli::follow::Follower;
use crate::cli::here::Here;
use crate::cli::output::{Document, Format, Look, Output, Shape, print_bytes, print_to_stderr};
use crate::cli::run::{actor, given, param, told};
use crate::cli::validate::of_paths;
use crate::diagnostic::suggest::nearest;
use crate::diagnostic::{Diagnostic, quoted};
use crate::engine::execution::{
    AttemptId, Cause, Claim, Ending, ExecutionId, JobUid, Provenance, Row, State,
};
use crate::io::clock;
use crate::io::executor::handlers::HandlerOrder;
use crate::io::executor::http::HttpCaller;
use crate::io::executor::provision::{Provision, for_handlers, provide};
use crate::io::executor::secrets::SecretPlaces;
use crate::io::executor::supervisor::{Launch, SupervisorEvent, SupervisorHandle};
use crate::io::executor::{Facts, Surroundings, ending_of, order_of, start_of};
use crate::io::http::documents::executions::{ExecutionDocument, ExecutionEntry, OutputDocument};
use crate::spec::job::DeclaredJob;
use crate::spec::params::{ParamError, ParamValues};
use crate::spec::task::Task;
use crate::supervisor::protocol::{OUTPUT_BYTES_MAX, StartProcess};
use crate::time::{Timestamp, Zone};

/// How often new output is asked for.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// What is said after the first Ctrl-C.
const ENDING_IT: &str = "ending it; Ctrl-C once more kills it";
/// How long the supervisor may take to leave.
const LEAVES_WITHIN: Duration = Duration::from_secs(5);
/// After this long without a daemon and a process it leaves by itself, should this program be killed.
const LEAVE_AFTER: Duration = Duration::from_secs(5);

/// Arguments of `exec`.
#[derive(Debug, Args)]
#[command(
    before_help = "Examples:\n  cronwright exec backup\n  cronwright exec backup jobs.d/draft.yaml -o json"
)]
pub(super) struct ExecArgs {
    /// The job.
    name: String,
    /// A value of one of the job's parameters, for example `day=2026-01-31`; once for each.
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = param)]
    params: Vec<(String, String)>,
    /// Folders, or single manifests; without them, the sources of the settings.
    paths: Vec<PathBuf>,
}

pub(super) async fn exec(
    args: ExecArgs,
    global: &Global,
    output: &Output,
) -> Result<Exit, Failure> {
    let here = Here::find(global)?.usable()?;
    let found = of_paths(&args.paths, here.sources.clone(), &here.known)?;
    let job = declared(&args.name, found.jobs, &found.diagnostics)?;
    let folder = Folder::make()?;
    let id = AttemptId { execution: ExecutionId(clock::unique_id().into()), number: 1 };
    let asked_at = clock::now().wall;
    let params = params_of(&job, &given(args.params)?, asked_at)?;
    let facts = facts_of(&job, &id, asked_at, &params);
    let places = SecretPlaces {
        base_dir: &here.base_dir,
        environment: &here.environment.variables,
        programs: here.known.exec_secrets,
    };
    let job = DeclaredJob { spec: for_handlers(job.spec.clone(), &global.handlers), ..job };
    let given =
        provide(&job.spec, &places).map_err(|error| Failure::new(Exit::No, error.to_string()))?;
    let shown = if matches!(output.format, Format::Table | Format::Wide) {
        print_bytes
    } else {
        print_to_stderr
    };
    let ending = match &job.spec.task {
        Task::Class { call, runtime } if global.handlers.take(&call.path, *runtime) => {
            let order = order_of(&facts, &job.spec, call, &given.secrets)
                .map_err(|error| Failure::new(Exit::No, error.to_string()))?;
            let order = HandlerOrder { output_bytes_max: OUTPUT_BYTES_MAX, ..order };
            handler::called(order, global.handlers.clone(), output, shown).await?
        }
        Task::Command(_) | Task::Script { .. } | Task::Class { .. } | Task::Http(_) => {
            let process = process_of(&job, &facts, &given, &here, &folder.0)?;
            carried_out(process, &folder.0, output, shown).await?
        }
    };
    let entry = recorded(&job, &facts, ending);
    output.note(&told(&entry));
    if job.spec.retry.is_some() && entry.outcome.as_deref() != Some("succeeded") {
        output.note("one attempt was made; the daemon would look at `retry` now");
    }
    let succeeded = entry.outcome.as_deref() == Some("succeeded");
    let document =
        ExecutionDocument { schema: ExecutionDocument::SCHEMA.to_owned(), execution: entry };
    let shape = Shape { list: None, name: "/execution/id" };
    // People have seen what it printed and how it ended.
    output.document(&Document::of(&document)?, shape, |_: &ExecutionDocument, _: &Look| {
        String::new()
    })?;
    Ok(if succeeded { Exit::Done } else { Exit::No })
}

/// The job of this name.
fn declared(
    name: &str,
    jobs: Vec<DeclaredJob>,
    diagnostics: &[Diagnostic],
) -> Result<DeclaredJob, Failure> {
    let names: Vec<String> = jobs.iter().map(|job| job.spec.name.to_string()).collect();
    jobs.into_iter().find(|job| job.spec.name.as_str() == name).ok_or_else(|| {
        let failure =
            Failure::new(Exit::NotFound, format!("no valid manifest declares {}", quoted(name)));
        if diagnostics.iter().any(Diagnostic::is_error) {
            failure.help("there are errors: `cronwright validate` shows them")
        } else if let Some(near) = nearest(name, names.iter().map(String::as_str)) {
            failure.help(format!("did you mean `{near}`?"))
        } else {
            failure
        }
    })
}

/// A folder for the supervisor, removed with this value.
struct Folder(PathBuf);

impl Folder {
    fn make() -> Result<Self, Failure> {
        let path = std::env::temp_dir().join(format!("cronwright-exec-{}", clock::unique_id()));
        // It must not be there yet: others may write beside it.
        DirBuilder::new().mode(0o700).create(&path).map_err(|error| {
            Failure::new(Exit::Usage, format!("cannot make the folder {}: {error}", path.display()))
        })?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed is in the folder for temporary files.
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// The values of its parameters, as the daemon would have found them.
fn params_of(
    job: &DeclaredJob,
    given: &BTreeMap<String, Value>,
    asked_at: Timestamp,
) -> Result<ParamValues, Failure> {
    let params = &job.spec.params;
    let refused = |error: ParamError| Failure::new(Exit::Usage, format!("--param: {error}"));
    let given = params.check(given).map_err(refused)?;
    match params.missing(&given) {
        Some(missing) => Err(refused(missing)),
        None => Ok(params.values(&given, asked_at, &params.zone)),
    }
}

/// What the task would be told if it had been asked for.
fn facts_of<'a>(
    job: &DeclaredJob,
    id: &'a AttemptId,
    asked_at: Timestamp,
    params: &'a ParamValues,
) -> Facts<'a> {
    Facts {
        attempt: id,
        time_left: job.spec.total_timeout,
        cause: Cause::Request,
        trigger: None,
        fire_time: asked_at,
        previous_fire_time: None,
        revision: "",
        fence: 0,
        params,
    }
}

/// The process that the daemon would start.
fn process_of(
    job: &DeclaredJob,
    facts: &Facts<'_>,
    given: &Provision,
    here: &Here,
    folder: &Path,
) -> Result<StartProcess, Failure> {
    let failed = |text: String| Failure::new(Exit::No, text);
    let settings = here.settings.as_ref();
    let python = settings.and_then(|settings| settings.python.clone());
    let python = python.map(|python| python.install(folder)).transpose();
    let caller = python.map_err(|error| failed(format!("cannot prepare for classes: {error}")))?;
    let exe = own_program()?;
    let allow = settings.map(|settings| settings.http_allow.clone()).unwrap_or_default();
    let http = HttpCaller { exe, allow };
    let environment = &here.environment.variables;
    let base_dir = &here.base_dir;
    let caller = caller.as_ref();
    let surroundings = Surroundings { base_dir, environment, caller, http: &http };
    let process = start_of(facts, &job.spec, given, &surroundings)
        .map_err(|error| failed(error.to_string()))?;
    // Somebody looks on: as much as there can be.
    Ok(StartProcess { output_bytes_max: OUTPUT_BYTES_MAX, ..process })
}

fn own_program() -> Result<PathBuf, Failure> {
    std::env::current_exe().map_err(|error| {
        Failure::new(Exit::Usage, format!("cannot find this program itself: {error}"))
    })
}

/// Starts the process and shows what it prints, until it has ended. Ctrl-C ends it, a second one at once.
async fn carried_out(
    process: StartProcess,
    folder: &Path,
    output: &Output,
    shown: fn(&[u8]) -> Result<(), Failure>,
) -> Result<Ending, Failure> {
    let failed = |text: String| Failure::new(Exit::Usage, text);
    let launch = Launch { leave_after: LEAVE_AFTER, ..Launch::new(folder, own_program()?) };
    let (supervisor, mut news) = SupervisorHandle::connect_or_start(launch)
        .await
        .map_err(|error| failed(error.to_string()))?;
    let id = process.id.clone();
    supervisor.start(process).map_err(|error| failed(error.to_string()))?;
    let mut follower = Follower::new(false);
    let mut outputs = outputs_of(supervisor.clone(), id.clone());
    let mut interrupts = 0;
    let ending = loop {
        tokio::select! {
            event = news.recv() => match event {
                Some(SupervisorEvent::Ended(ending)) => break ending_of(*ending),
                Some(
                    SupervisorEvent::Connected { .. }
                    | SupervisorEvent::Ready
                    | SupervisorEvent::Started(_)
                    | SupervisorEvent::Known { .. }
                    | SupervisorEvent::Replaced,
                ) => {}
                None => return Err(failed("the supervisor does not answer any more".to_owned())),
            },
            Some(now) = outputs.recv() => follower.show(&now, shown)?,
            interrupt = ctrl_c() => {
                interrupt.map_err(|error| failed(format!("cannot wait for signals: {error}")))?;
                let ordered = if interrupts == 0 { supervisor.stop(&id) } else { supervisor.kill(&id) };
                ordered.map_err(|error| failed(error.to_string()))?;
                interrupts += 1;
                output.note(ENDING_IT);
            }
        }
    };
    follower.show(&OutputDocument::of(&id, 1, false, &ending.output), shown)?;
    let left = supervisor.recorded(&id).and_then(|()| supervisor.quit());
    left.map_err(|error| failed(error.to_string()))?;
    drop((supervisor, outputs));
    drop(tokio::time::timeout(LEAVES_WITHIN, async { while news.recv().await.is_some() {} }).await);
    Ok(ending)
}

/// What a process has printed so far, again and again.
fn outputs_of(supervisor: SupervisorHandle, id: String) -> mpsc::Receiver<OutputDocument> {
    let (sender, outputs) = mpsc::channel(1);
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let Some(output) = supervisor.output(&id).await else { continue };
            if sender.send(OutputDocument::of(&id, 1, true, &output)).await.is_err() {
                return;
            }
        }
    });
    outputs
}

/// The row that the daemon would have written.
fn recorded(job: &DeclaredJob, facts: &Facts<'_>, ending: Ending) -> ExecutionEntry {
    let (spec, asked_at) = (&job.spec, facts.fire_time);
    let row = Row {
        id: facts.attempt.execution.clone(),
        job: spec.name.clone(),
        uid: JobUid(spec.name.as_str().into()),
        cause: Cause::Request,
        trigger: None,
        fire_time: asked_at,
        start_time: asked_at,
        range: None,
        provenance: Provenance {
            digest: job.digest.clone(),
            revision: "".into(),
            source: job.source.clone(),
        },
        claim: Claim { node: Arc::from("exec"), epoch: 0, nonce: "".into() },
        claimed_at: asked_at,
        slot: None,
        state: State::Ended(Box::new(ending)),
        attempts: Vec::new(),
        rules: None,
        params: facts.params.clone(),
        late_outcome: None,
        note: Some(actor()),
    };
    let zone = spec.triggers.first().map_or_else(Zone::utc, |trigger| trigger.zone().clone());
    ExecutionEntry::of(&row, &zone)
}
