//! Starting a scheduler inside of another program.

use std::collections::BTreeSet;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::watch;

use crate::cli::process;
use crate::daemon::lifecycle::{Lifecycle, Subscription};
use crate::daemon::settings::{self, Environment, Flags, Places, Settings};
use crate::daemon::{DaemonError, Program, open_store, start};
use crate::diagnostic::render::{Colour, render_all};
use crate::embed::job::Job;
use crate::embed::{EmbedError, Embedded, faults_of};
use crate::engine::condition::Condition;
use crate::io::executor::handlers::Handlers;
use crate::io::files::written::Written;

/// What a scheduler is started with.
#[derive(Debug)]
pub struct Builder {
    flags: Flags,
    handlers: Handlers,
    jobs: Vec<Job>,
    lifecycle: Lifecycle,
    helper: Option<PathBuf>,
}

impl Builder {
    pub(super) fn new(state_dir: PathBuf) -> Self {
        Self {
            flags: Flags { state_dir: Some(state_dir), ..Flags::default() },
            handlers: Handlers::new(),
            jobs: Vec::new(),
            lifecycle: Lifecycle::default(),
            helper: None,
        }
    }

    /// A settings file, as `serve --config` reads it. Without one, and unless said otherwise here, the store is a file
    /// in the state directory and there are no sources beside the code. The sockets that it names are not opened.
    #[must_use]
    pub fn settings(mut self, file: impl Into<PathBuf>) -> Self {
        self.flags.config = Some(file.into());
        self
    }

    /// The store: `sqlite:PATH` or `mongodb://…`.
    #[must_use]
    pub fn store(mut self, url: &str) -> Self {
        self.flags.store = Some(url.to_owned());
        self
    }

    /// One more folder of manifests.
    #[must_use]
    pub fn source(mut self, folder: &str) -> Self {
        self.flags.sources.push(folder.to_owned());
        self
    }

    /// What `class` tasks may call.
    #[must_use]
    pub fn handlers(mut self, handlers: Handlers) -> Self {
        self.handlers = handlers;
        self
    }

    /// A job that is declared from the beginning.
    #[must_use]
    pub fn job(mut self, job: Job) -> Self {
        self.jobs.push(job);
        self
    }

    /// The program that is started to own the processes of jobs, where it is not this one, whose `main` begins with
    /// [`helper`](crate::embed::helper): a `cronwright` of the same version.
    #[must_use]
    pub fn helper_program(mut self, path: impl Into<PathBuf>) -> Self {
        self.helper = Some(path.into());
        self
    }

    /// Everything that happens, from the start on.
    pub fn events(&self) -> Subscription {
        self.lifecycle.subscribe()
    }

    /// Starts it. Its jobs are in force when this returns.
    ///
    /// # Errors
    ///
    /// When the settings, the store or a job cannot be used, or another daemon has the state directory.
    pub async fn start(self) -> Result<Embedded, EmbedError> {
        let Self { flags, handlers, jobs, lifecycle, helper } = self;
        let environment =
            process::environment().map_err(|why| EmbedError::Settings(why.to_string()))?;
        let settings = Arc::new(settings_of(&flags, &environment)?);
        let failed = |source| DaemonError::StateDir { path: settings.state_dir.clone(), source };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&settings.state_dir)
            .map_err(failed)?;
        let store = open_store(&settings).await?;
        let mut written = Written::default();
        for job in &jobs {
            written.put(job.name(), &job.manifest());
        }
        let (written, declared) = watch::channel(Arc::new(written));
        let program = Program {
            exe: helper.map_or_else(std::env::current_exe, Ok).map_err(failed)?,
            environment: environment.variables,
            handlers,
            lifecycle,
            written: Some(declared),
        };
        let (handle, daemon) = start(settings, store, program).await?;
        let scheduler = Embedded { handle, daemon, written };
        let looked = scheduler.look(Condition::default()).await?;
        let faults: Vec<_> = jobs.iter().flat_map(|job| faults_of(job.name(), &looked)).collect();
        if !faults.is_empty() {
            scheduler.stop().await;
            return Err(EmbedError::Invalid(
                render_all(&faults, Colour::Plain).trim_end().to_owned(),
            ));
        }
        Ok(scheduler)
    }
}

/// What the program says counts, and a settings file where it names one: neither the folder that it runs in nor the
/// variables that are meant for `cronwright` itself.
fn settings_of(flags: &Flags, environment: &Environment) -> Result<Settings, EmbedError> {
    let mut own = Environment { present: BTreeSet::new(), ..environment.clone() };
    own.variables.retain(|name, _| !name.starts_with("CRONWRIGHT_"));
    let places = Places::find(flags, &own);
    let failed = |why: String| EmbedError::Settings(why);
    let file = process::settings_file(&places).map_err(|why| failed(why.to_string()))?;
    let (settings, diagnostics) = settings::load(&places, file.as_deref(), flags, &own);
    let text = render_all(&diagnostics, Colour::Plain).trim_end().to_owned();
    let mut settings = settings.ok_or_else(|| failed(text))?;
    if flags.sources.is_empty() && file.is_none() {
        settings.sources.clear();
    }
    let read = |path: &std::path::Path| {
        let bytes = crate::io::files::read_alone(path);
        let bytes = bytes.map_err(|problem| std::io::Error::other(problem.to_string()))?;
        String::from_utf8(bytes).map_err(|_| std::io::Error::other("it is not UTF-8"))
    };
    settings.resolve_passwords(&own, read).map_err(|why| failed(why.to_string()))?;
    Ok(settings)
}
