//! The face: one file per verb, and the only place that prints.
//!
//! A verb asks the daemon for a document ([`client`]) and prints it ([`output`]) as it is, or as a table
//! that a pure function makes of it. Exit codes: [`exit`].

mod apply;
mod cancel;
pub mod client;
mod declare;
mod doors;
mod events;
mod exec;
pub mod exit;
mod explain;
mod export;
mod expression;
mod follow;
mod here;
mod history;
mod list;
mod logs;
mod next;
pub mod output;
mod pause;
pub mod plan;
pub mod process;
mod run;
mod schema;
mod serve;
mod show;
mod simulate;
mod sse;
mod status;
mod supervisor;
mod sync;
pub mod table;
pub mod times;
mod validate;
mod version;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::cli::client::Client;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::{ColourChoice, Format, Output};
use crate::cli::times::Clock;
use crate::daemon::settings::{Flags, Listen};
use crate::io::executor::handlers::Handlers;
use crate::io::{clock, http_task};
use crate::time::Zone;

/// A declarative scheduler with hot reload that can account for every due time.
#[derive(Debug, Parser)]
#[command(name = "cronwright", disable_version_flag = true, propagate_version = false)]
#[command(
    before_help = "Examples:\n  cronwright serve                  run the daemon on ./jobs.d\n  \
    cronwright list                   what is scheduled\n  cronwright run backup --wait      run a job now"
)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    verb: Verb,
}

/// Flags that every verb takes.
#[derive(Debug, Args)]
struct Global {
    /// The settings file [default: ./cronwright.toml, else /etc/cronwright/cronwright.toml].
    #[arg(short, long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The state directory, in which the daemon's socket is.
    #[arg(
        long,
        global = true,
        env = "CRONWRIGHT_STATE_DIR",
        hide_env_values = true,
        value_name = "DIR"
    )]
    state_dir: Option<PathBuf>,
    /// The daemon: `unix:PATH` or `http://HOST:PORT`.
    #[arg(
        long,
        global = true,
        env = "CRONWRIGHT_SERVER",
        hide_env_values = true,
        value_name = "URL"
    )]
    server: Option<String>,
    /// The token for `http://…`, in a file [default: `CRONWRIGHT_TOKEN`].
    #[arg(long, global = true, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// The form of the result.
    #[arg(short, long, global = true, value_enum, default_value = "table", value_name = "FORM")]
    output: Format,
    /// Short for `-o json`.
    #[arg(long, global = true, conflicts_with = "output")]
    json: bool,
    /// Colours: state is always a word too.
    #[arg(long, global = true, value_enum, default_value = "auto", value_name = "WHEN")]
    color: ColourChoice,
    /// Print results and errors only.
    #[arg(short, long, global = true)]
    quiet: bool,
    /// Times in UTC.
    #[arg(long, global = true, conflicts_with = "timezone")]
    utc: bool,
    /// Times in this zone; without it each time is in its job's own.
    #[arg(long, global = true, value_name = "ZONE")]
    timezone: Option<String>,
    /// What this program has compiled in.
    #[arg(skip)]
    handlers: Handlers,
}

/// The verbs.
#[derive(Debug, Subcommand)]
enum Verb {
    /// The daemon, in the foreground.
    Serve(serve::ServeArgs),
    /// Everything that is wrong with manifests, without a daemon.
    Validate(validate::ValidateArgs),
    /// The JSON Schema of manifests or settings.
    Schema(schema::SchemaArgs),
    /// What would change, were the sources applied now.
    Plan(plan::PlanArgs),
    /// The same as a unified diff; exits 1 when something would change.
    Diff(plan::DiffArgs),
    /// The daemon looks at its sources now.
    #[command(visible_alias = "reload")]
    Apply(apply::ApplyArgs),
    /// How what is declared and what runs agree; what is held back; what was applied.
    Sync(sync::SyncArgs),
    /// All jobs: when they run next, how they ended last.
    #[command(visible_alias = "ls")]
    List(list::ListArgs),
    /// One job, whole.
    Show(show::ShowArgs),
    /// Run a job now.
    Run(run::RunArgs),
    /// End an execution.
    Cancel(cancel::CancelArgs),
    /// Add jobs that no file declares.
    Add(declare::AddArgs),
    /// Remove a job that was added.
    Remove(declare::RemoveArgs),
    /// Hold jobs back, with who, why and until when.
    Pause(pause::PauseArgs),
    /// Take back what holds jobs.
    Resume(pause::ResumeArgs),
    /// What operators have said, to be moved into git.
    Export(export::ExportArgs),
    /// Coming fire times.
    Next(next::NextArgs),
    /// A cron expression, or a code of a diagnostic, in words.
    Explain(explain::ExplainArgs),
    /// The fire times of a range, and what comes together in it, without a daemon.
    Simulate(simulate::SimulateArgs),
    /// Runs one job's task here and now, without a daemon, and records nothing.
    Exec(exec::ExecArgs),
    /// What ran, and what did not and why.
    History(history::HistoryArgs),
    /// What an execution printed.
    Logs(logs::LogsArgs),
    /// What happens to jobs and executions, as events.
    Events(events::EventsArgs),
    /// How the daemon is.
    Status(status::StatusArgs),
    /// Owns the processes of jobs; started by the daemon.
    #[command(hide = true)]
    Supervisor(supervisor::SupervisorArgs),
    /// Makes the HTTP call of a job; started by the supervisor.
    #[command(hide = true, name = http_task::VERB)]
    HttpCall,
    /// The program's version.
    Version(version::VersionArgs),
}

/// What a verb that asks a daemon works with.
struct Session {
    client: Client,
    output: Output,
}

/// Does what the command line says.
pub fn main() -> ExitCode {
    main_with(Handlers::new())
}

/// Whether this verb is of a process that a daemon starts, and that a program with a daemon in it must be as well.
pub(crate) fn is_helper(verb: &str) -> bool {
    verb == "supervisor" || verb == http_task::VERB
}

/// The same in a program of one's own, which has handlers for `class` tasks.
pub fn main_with(handlers: Handlers) -> ExitCode {
    let mut cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help goes to stdout and is no failure; a mistake goes to stderr.
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Done };
            drop(error.print());
            return exit.into();
        }
    };
    cli.global.handlers = handlers;
    if !matches!(cli.verb, Verb::Supervisor(_)) {
        process::choose_zone_source(&cli.global.flags());
    }
    match cli.global.output().and_then(|output| obey(cli.verb, &cli.global, &output)) {
        Ok(code) => code,
        Err(failure) => {
            output::complain(&failure.to_string());
            failure.exit.into()
        }
    }
}

fn obey(verb: Verb, global: &Global, output: &Output) -> Result<ExitCode, Failure> {
    let session = || Ok(Session { client: global.client()?, output: output.clone() });
    let exit = match verb {
        Verb::Serve(args) => serve::serve(args, global)?,
        Verb::Validate(args) => validate::validate(&args, global, output)?,
        Verb::Schema(args) => schema::schema(&args)?,
        Verb::Plan(args) => plan::plan(&args, global, output)?,
        Verb::Diff(args) => plan::diff(&args, global, output)?,
        Verb::Apply(args) => wait_for(apply::apply(args, session()?))?,
        Verb::Sync(args) => wait_for(sync::sync(args, session()?))?,
        Verb::List(args) => wait_for(list::list(args, session()?))?,
        Verb::Show(args) => wait_for(show::show(args, session()?))?,
        Verb::Run(args) => wait_for(run::run(args, session()?))?,
        Verb::Cancel(args) => wait_for(cancel::cancel(args, session()?))?,
        Verb::Add(args) => wait_for(declare::add(args, session()?))?,
        Verb::Remove(args) => wait_for(declare::remove(args, session()?))?,
        Verb::Pause(args) => wait_for(pause::pause(args, session()?))?,
        Verb::Resume(args) => wait_for(pause::resume(args, session()?))?,
        Verb::Export(args) => wait_for(export::export(args, session()?))?,
        Verb::Next(args) => wait_for(next::next(args, global, session()?))?,
        Verb::Explain(args) => explain::explain(&args, output)?,
        Verb::Exec(args) => wait_for(exec::exec(args, global, output))?,
        Verb::Simulate(args) => simulate::simulate(&args, global, output)?,
        Verb::History(args) => wait_for(history::history(args, session()?))?,
        Verb::Logs(args) => wait_for(logs::logs(args, session()?))?,
        Verb::Events(args) => wait_for(events::events(args, session()?))?,
        Verb::Status(args) => wait_for(status::status(args, session()?))?,
        Verb::Supervisor(args) => {
            return supervisor::supervisor(&args, global.state_dir.clone());
        }
        Verb::HttpCall => {
            let succeeded = wait_for(async { Ok(http_task::run(&process::variables()).await) })?;
            if succeeded { Exit::Done } else { Exit::No }
        }
        Verb::Version(args) => version::version(args, output)?,
    };
    Ok(exit.into())
}

/// Runs a verb that waits for others.
fn wait_for<T>(verb: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let failed =
        |error: std::io::Error| Failure::new(Exit::Usage, format!("cannot start: {error}"));
    runtime.map_err(failed)?.block_on(verb)
}

impl Global {
    fn output(&self) -> Result<Output, Failure> {
        let zone =
            if self.utc {
                Some(Zone::utc())
            } else {
                self.timezone.as_deref().map(Zone::load).transpose().map_err(|error| {
                    Failure::new(Exit::Usage, error.to_string()).help(error.help)
                })?
            };
        Ok(Output {
            format: if self.json { Format::Json } else { self.output },
            colour: self.color.on_stdout(),
            quiet: self.quiet,
            clock: Clock { now: clock::wall(), zone },
        })
    }

    fn client(&self) -> Result<Client, Failure> {
        match process::server(self.server.as_deref(), &self.flags())? {
            Listen::Unix(socket) => Ok(Client::new(socket)),
            Listen::Tcp(address) => {
                Ok(Client::over_tcp(address, process::token(self.token_file.as_deref())?))
            }
        }
    }

    /// The flags that say where settings and state are.
    fn flags(&self) -> Flags {
        Flags { config: self.config.clone(), state_dir: self.state_dir.clone(), ..Flags::default() }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Cli;

    #[test]
    fn the_command_line_is_consistent_and_every_help_begins_with_an_example() {
        let mut command = Cli::command();
        command.clone().debug_assert();
        command.build();
        for verb in command.get_subcommands_mut().filter(|verb| !verb.is_hide_set()) {
            let name = verb.get_name().to_owned();
            let help = verb.render_help().to_string();
            if name != "help" {
                assert!(help.starts_with("Examples:\n  cronwright"), "{name}:\n{help}");
            }
            assert!(help.lines().count() <= 40, "the help of {name} is over one screen:\n{help}");
        }
    }
}
