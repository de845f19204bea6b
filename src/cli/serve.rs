//! `serve`: the daemon, in the foreground.

use std::fs::DirBuilder;
use std::io::IsTerminal;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tracing::info;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::cli::Global;
use crate::cli::doors::Doors;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::complain;
use crate::cli::process;
use crate::daemon::api::Answers;
use crate::daemon::events::{self, Outlets, Queue};
use crate::daemon::lifecycle::{Lifecycle, Subscription};
use crate::daemon::reconciler::Look;
use crate::daemon::settings::{self, Environment, Flags, Listen, Places, RedisSettings, Settings};
use crate::daemon::view::RedisHealth;
use crate::daemon::zone_watch::{FILE_NAME, watch_zones};
use crate::daemon::{DaemonError, Ended, Handle, Incoming, Program, open_store, start};
use crate::diagnostic::render::{Colour, render_all};
use crate::io::clock;
use crate::io::executor::handlers::Handlers;
use crate::io::http::api::Api;
use crate::io::http::auth::Gate;
use crate::io::store::StoreError;
use crate::time::zone_database;

/// How long a stop waits for answers that are under way.
const LAST_ANSWERS_WITHIN: Duration = Duration::from_secs(1);

/// Arguments of `serve`.
#[derive(Debug, Args)]
#[command(
    before_help = "Examples:\n  cronwright serve\n  cronwright serve --source jobs.d --store sqlite:/var/lib/cw.db\n  \
    cronwright serve --config /etc/cronwright/cronwright.toml"
)]
pub(super) struct ServeArgs {
    /// A folder of manifests; may be given more than once [default: `sources` of the settings, else jobs.d].
    #[arg(long = "source", value_name = "DIR")]
    sources: Vec<String>,
    /// Where jobs and executions are kept: `sqlite:PATH` or `mongodb://…`.
    #[arg(long, value_name = "URL")]
    store: Option<String>,
    /// Requests through Redis: `redis://…`.
    #[arg(long, value_name = "URL")]
    redis: Option<String>,
    /// Where the API listens: `unix:PATH`, or `HOST:PORT` for who has a token; may be given more than once.
    #[arg(long, value_name = "ADDRESS")]
    listen: Vec<String>,
    /// Log more.
    #[arg(short, long)]
    verbose: bool,
}

pub(super) fn serve(args: ServeArgs, global: &Global) -> Result<Exit, Failure> {
    log(args.verbose, global.quiet)?;
    let flags = Flags {
        sources: args.sources,
        store: args.store,
        redis: args.redis,
        listen: args.listen,
        ..global.flags()
    };
    let environment = process::environment()?;
    let settings = Arc::new(settings_of(&flags, &environment, global)?);
    let gate = gate_of(&settings, &environment)?;
    private_folder(&settings.state_dir)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let failed =
        |error: std::io::Error| Failure::new(Exit::Usage, format!("cannot start: {error}"));
    let runtime = runtime.map_err(failed)?;
    let exit = runtime.block_on(run(settings, environment, gate, global.handlers.clone()));
    // Threads that read files may be waiting for a dead file system.
    runtime.shutdown_background();
    exit
}

/// The settings, or exit 78 with everything that is wrong with them.
fn settings_of(
    flags: &Flags,
    environment: &Environment,
    global: &Global,
) -> Result<Settings, Failure> {
    let places = Places::find(flags, environment);
    let file = process::settings_file(&places)?;
    let (settings, diagnostics) = settings::load(&places, file.as_deref(), flags, environment);
    if !diagnostics.is_empty() {
        let colour = if global.color.on_stderr() { Colour::Ansi } else { Colour::Plain };
        complain(render_all(&diagnostics, colour).trim_end());
    }
    let mut settings = settings.ok_or_else(|| {
        Failure::new(Exit::BadSettings, "the settings cannot be used; nothing was started")
    })?;
    settings
        .resolve_passwords(environment, read_text)
        .map_err(|error| Failure::new(Exit::BadSettings, error.to_string()))?;
    Ok(settings)
}

/// Who is let in over TCP.
fn gate_of(settings: &Settings, environment: &Environment) -> Result<Gate, Failure> {
    let tokens = settings.http.fetch_tokens(environment, read_text).map_err(|error| {
        let help = "put one there that nobody can guess, for example of `openssl rand -hex 32`";
        Failure::new(Exit::BadSettings, error.to_string()).help(help)
    })?;
    let listening: Vec<_> = settings.listen.iter().filter_map(Listen::tcp).cloned().collect();
    Ok(Gate::new(tokens, &settings.http.hosts, &listening))
}

fn read_text(path: &Path) -> std::io::Result<String> {
    let bytes = crate::io::files::read_alone(path)
        .map_err(|problem| std::io::Error::other(problem.to_string()))?;
    String::from_utf8(bytes).map_err(|_| std::io::Error::other("it is not UTF-8"))
}

fn private_folder(path: &Path) -> Result<(), Failure> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|error| {
        let message = format!("cannot make the state directory {}: {error}", path.display());
        Failure::new(Exit::BadSettings, message).help("name another one with `--state-dir`")
    })
}

async fn run(
    settings: Arc<Settings>,
    environment: Environment,
    gate: Gate,
    handlers: Handlers,
) -> Result<Exit, Failure> {
    let started_at = clock::wall();
    let store = open_store(&settings).await.map_err(|error| store_failure(&error))?;
    let doors = Doors::open(&settings.listen, gate).await?;
    let exe = std::env::current_exe().map_err(|error| {
        Failure::new(Exit::Usage, format!("cannot find this program itself: {error}"))
    })?;
    let environment = environment.variables;
    let lifecycle = Lifecycle::default();
    let (subscription, told) = (lifecycle.subscribe(), lifecycle.subscribe());
    let program = Program { exe, environment, handlers, lifecycle, written: None };
    let (handle, daemon) =
        start(Arc::clone(&settings), store, program).await.map_err(start_failure)?;
    let feed = events::feed();
    let (api, asked) = Api::new(feed.clone());
    let (redis_health, redis_now) = watch::channel(RedisHealth::Unused);
    let (problems, unserved) = watch::channel(Vec::new());
    let answers = Answers { handle: handle.clone(), redis: redis_now, unserved, started_at };
    if let Some(redis) = &settings.redis {
        open_redis(redis, answers.clone(), redis_health)?;
    }
    serve_kinit(&settings, &handle, told, problems).await?;
    let outlets = Outlets { node: Arc::clone(&handle.node), feed, redis: open_events(&settings)? };
    tokio::spawn(answers.give(asked));
    let (stop, stopped) = watch::channel(false);
    let mut serving = doors.serve(&api, &stopped);
    let telling = outlets.tell(subscription, stopped);
    serving.spawn(async {
        telling.await;
        Ok(())
    });
    announce(&settings, &handle);
    tokio::spawn(watch_zones(settings.state_dir.join(FILE_NAME), handle.applied.clone()));
    let ended = obey_signals(&handle, daemon).await?;
    stop.send_replace(true);
    // Each removes its socket. Who keeps a connection open is not waited for, and neither is Redis.
    drop(timeout(LAST_ANSWERS_WITHIN, serving.join_all()).await);
    Ok(said_goodbye(&handle, ended).await)
}

#[cfg(feature = "redis")]
fn open_events(settings: &Settings) -> Result<Option<Queue>, Failure> {
    crate::daemon::redis_events::events_to_redis(settings)
        .map_err(|error| Failure::new(Exit::BadSettings, error.to_string()))
}

#[cfg(not(feature = "redis"))]
fn open_events(_settings: &Settings) -> Result<Option<Queue>, Failure> {
    Ok(None)
}

#[cfg(feature = "redis")]
fn open_redis(
    settings: &RedisSettings,
    answers: Answers,
    health: watch::Sender<RedisHealth>,
) -> Result<(), Failure> {
    crate::daemon::redis::serve(settings, answers, health)
        .map_err(|error| Failure::new(Exit::BadSettings, error.to_string()))
}

#[cfg(not(feature = "redis"))]
fn open_redis(
    _settings: &RedisSettings,
    _answers: Answers,
    _health: watch::Sender<RedisHealth>,
) -> Result<(), Failure> {
    Err(not_built("redis"))
}

#[cfg(all(feature = "mongo", feature = "redis"))]
async fn serve_kinit(
    settings: &Settings,
    handle: &Handle,
    told: Subscription,
    problems: watch::Sender<Vec<String>>,
) -> Result<(), Failure> {
    crate::daemon::kinit::serve(settings, handle.clone(), told, problems)
        .await
        .map_err(|error| Failure::new(Exit::BadSettings, error.to_string()))
}

#[cfg(not(all(feature = "mongo", feature = "redis")))]
#[expect(clippy::unused_async, reason = "as where it is built")]
async fn serve_kinit(
    settings: &Settings,
    _handle: &Handle,
    _told: Subscription,
    _problems: watch::Sender<Vec<String>>,
) -> Result<(), Failure> {
    match &settings.kinit {
        None => Ok(()),
        Some(_) => Err(not_built("mongo` and `redis")),
    }
}

#[cfg(not(all(feature = "mongo", feature = "redis")))]
fn not_built(feature: &str) -> Failure {
    Failure::new(Exit::BadSettings, format!("this program was built without `{feature}`"))
        .help("build with the feature")
}

/// Waits until the daemon has ended, passing signals on. None: a second signal cut the stop short.
async fn obey_signals(
    handle: &Handle,
    mut daemon: JoinHandle<Ended>,
) -> Result<Option<Ended>, Failure> {
    let listen = |kind| {
        signal(kind).map_err(|error| {
            Failure::new(Exit::Usage, format!("cannot listen for signals: {error}"))
        })
    };
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    let mut hangup = listen(SignalKind::hangup())?;
    let mut stopping = false;
    loop {
        tokio::select! {
            ended = &mut daemon => {
                return ended.map(Some).map_err(|error| {
                    Failure::new(Exit::Usage, format!("the daemon broke down: {error}"))
                });
            }
            _ = hangup.recv() => {
                handle.looks.send(Look::Hangup).await.ok();
                continue;
            }
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        };
        if stopping {
            return Ok(None);
        }
        stopping = true;
        handle.incoming.send(Incoming::Stop).await.ok();
    }
}

/// What people see first.
fn announce(settings: &Settings, handle: &Handle) {
    let folders = settings.sources.iter().map(|source| source.name.as_str());
    let git = settings.git.iter().map(|git| git.name.as_str());
    let sources: Vec<&str> = folders.chain(git).collect();
    info!(
        version = env!("CARGO_PKG_VERSION"),
        node = %handle.node,
        sources = sources.join(", "),
        store = handle.store.describe(),
        state_dir = %settings.state_dir.display(),
        tzdb = zone_database(),
        "serving; `cronwright list` shows the jobs, Ctrl-C stops"
    );
}

/// What people see last: what goes on without the daemon, and how to end it.
async fn said_goodbye(handle: &Handle, ended: Option<Ended>) -> Exit {
    match ended {
        None => {
            info!("stopped at once; the next `cronwright serve` settles what was not recorded yet");
            Exit::No
        }
        Some(Ended::Stopped { running: 0 }) => {
            info!("stopped; nothing runs");
            Exit::Done
        }
        Some(Ended::Stopped { running }) => {
            let rows = timeout(LAST_ANSWERS_WITHIN, handle.store.in_flight()).await;
            for row in rows.into_iter().flatten().flatten() {
                if !row.waits() {
                    info!(job = %row.job, execution_id = %row.id, "goes on under the supervisor");
                }
            }
            info!(
                running,
                "stopped; the next `cronwright serve` takes over what runs, and `cronwright cancel` ends it"
            );
            Exit::Done
        }
        Some(Ended::Replaced) => {
            complain("error: another daemon has taken this one's place");
            Exit::Refused
        }
    }
}

/// Logs go to stderr: text on a terminal, else one JSON document a line.
fn log(verbose: bool, quiet: bool) -> Result<(), Failure> {
    let level = match (verbose, quiet) {
        (true, _) => LevelFilter::DEBUG,
        (false, true) => LevelFilter::WARN,
        (false, false) => LevelFilter::INFO,
    };
    let filter = Targets::new().with_default(LevelFilter::WARN).with_target("cronwright", level);
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let registry = tracing_subscriber::registry().with(filter);
    let begun = if std::io::stderr().is_terminal() {
        registry.with(layer.with_target(false)).try_init()
    } else {
        registry.with(layer.json().flatten_event(true)).try_init()
    };
    begun.map_err(|error| Failure::new(Exit::Usage, format!("cannot log: {error}")))
}

fn store_failure(error: &StoreError) -> Failure {
    let exit = match error {
        StoreError::Held { .. } => Exit::Refused,
        StoreError::NotBuilt(_) => Exit::BadSettings,
        StoreError::Unreachable { .. }
        | StoreError::Newer { .. }
        | StoreError::Failed { .. }
        | StoreError::Damaged { .. } => Exit::Usage,
    };
    Failure::new(exit, error.to_string())
}

fn start_failure(error: DaemonError) -> Failure {
    match error {
        DaemonError::Store(error) => store_failure(&error),
        DaemonError::StateDir { .. } | DaemonError::Thread(_) | DaemonError::Supervisor(_) => {
            Failure::new(Exit::Usage, error.to_string())
        }
    }
}
