//! Settings in force: `cronwright.toml`, over it the environment, over that the flags.
//!
//! Pure: the caller finds out what [`Places::to_look_for`] asks, reads the file that [`Places::file`]
//! names, and hands both to [`load`]. All mistakes are diagnostics with a place, also those in a
//! variable or a flag: the value is the text that they point into. Passwords are fetched last, by
//! [`Settings::resolve_passwords`], and never shown. One thing takes effect at once: the zone data (`tzdb`), from
//! which the zones of the settings themselves are read.

mod environment;
mod http;
mod kinit;
mod listen;
mod read;
mod sources;
mod tasks;
mod url;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use ipnet::IpNet;

pub use crate::daemon::settings::environment::{Environment, Flags, Places};
pub use crate::daemon::settings::http::{HttpSettings, TokenError, TokenSettings};
pub use crate::daemon::settings::kinit::KinitSettings;
pub use crate::daemon::settings::listen::Listen;
use crate::daemon::settings::read::Loader;
pub use crate::daemon::settings::sources::{GitSettings, SourceFolder};
pub use crate::daemon::settings::url::{PasswordError, PasswordSource, SecretUrl};
use crate::diagnostic::{Diagnostic, sort};
use crate::engine::plan::PruneGuard;
use crate::io::executor::python::Python;
use crate::spec::manifest::Known;
use crate::spec::operation::Operation;
pub use crate::spec::settings::{OnInvalid, SelfHeal};
use crate::spec::task::TaskKind;
use crate::time::ZoneSource;

/// The longest path of a Unix socket, in bytes.
pub const SOCKET_PATH_BYTES_MAX: usize = 107;

/// What a daemon runs with. All paths are absolute when the current folder was.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The settings file, when there is one.
    pub file: Option<PathBuf>,
    /// Its folder, else the current one: base of relative paths, default working directory of jobs.
    pub base_dir: PathBuf,
    /// The state directory.
    pub state_dir: PathBuf,
    /// Folders of manifests, in order.
    pub sources: Vec<SourceFolder>,
    /// A repository elsewhere, read after the folders.
    pub git: Option<GitSettings>,
    /// What manifests build upon.
    pub known: Known,
    /// Where classes are found; none: no class can be called.
    pub python: Option<Python>,
    /// Addresses that HTTP tasks may call although they are of a kind that may not.
    pub http_allow: Vec<IpNet>,
    /// Where jobs and executions are kept.
    pub store: StoreUrl,
    /// Requests through Redis.
    pub redis: Option<RedisSettings>,
    /// What is spoken with kinit's web admin.
    pub kinit: Option<KinitSettings>,
    /// Kinds of task that a job may have that no file declares.
    pub allow_tasks: BTreeSet<TaskKind>,
    /// Where the API listens; never empty.
    pub listen: Vec<Listen>,
    /// Who may ask over TCP.
    pub http: HttpSettings,
    /// How many executions may be in flight on this node at once; none: any number.
    pub max_running: Option<u32>,
    /// What becomes of a snapshot with invalid manifests.
    pub on_invalid: OnInvalid,
    /// What becomes of stored jobs that somebody edited in the store.
    pub self_heal: SelfHeal,
    /// When removals are so many that a person must confirm them.
    pub prune_guard: PruneGuard,
    /// The name of this daemon beside others.
    pub node: String,
    /// `CRONWRIGHT_REVISION`: what the manifests are, where no work tree says it.
    pub revision: Option<String>,
}

/// A store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreUrl {
    /// A file of `SQLite`.
    Sqlite(PathBuf),
    /// A `MongoDB` deployment.
    Mongo(SecretUrl),
}

/// Requests through Redis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisSettings {
    /// Server, user, database number.
    pub url: SecretUrl,
    /// What the names of streams begin with, without braces.
    pub prefix: String,
    /// Producers that have a stream of their own.
    pub producers: Vec<String>,
    /// The operations that are taken in.
    pub allow: BTreeSet<Operation>,
    /// Whether what happens is told there.
    pub events: bool,
}

/// The prefix of streams where none is given.
pub const REDIS_PREFIX: &str = "cronwright";

/// Lays flags over environment over the file that was read. None of settings when there is an error.
pub fn load(
    places: &Places,
    file: Option<&[u8]>,
    flags: &Flags,
    environment: &Environment,
) -> (Option<Settings>, Vec<Diagnostic>) {
    let mut loader = Loader { places, out: environment::check_names(environment) };
    let raw = loader.read_file(file);
    let settings = loader.settings(raw.as_ref(), flags, environment);
    let mut out = loader.out;
    sort(&mut out);
    let settings = settings.filter(|_| !out.iter().any(Diagnostic::is_error));
    (settings, out)
}

/// The zone data that the settings file names. For the command line, which reads zones (`--timezone`) before
/// the settings: [`load`] puts it in force too, and says what is wrong with it.
pub fn zone_source(places: &Places, file: Option<&[u8]>) -> Option<ZoneSource> {
    let mut loader = Loader { places, out: Vec::new() };
    let file = loader.read_file(file)?;
    loader.zone_source_of(&file.raw)
}

impl Settings {
    /// Puts passwords that are kept elsewhere into the URLs. `read` reads a file.
    pub fn resolve_passwords(
        &mut self,
        environment: &Environment,
        mut read: impl FnMut(&Path) -> std::io::Result<String>,
    ) -> Result<(), PasswordError> {
        if let StoreUrl::Mongo(url) = &mut self.store {
            url.resolve(environment, &mut read)?;
        }
        if let Some(redis) = &mut self.redis {
            redis.url.resolve(environment, &mut read)?;
        }
        if let Some(kinit) = &mut self.kinit {
            kinit.url.resolve(environment, &mut read)?;
        }
        Ok(())
    }
}
