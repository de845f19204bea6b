//! What surrounds a daemon: flags, variables, folders; and the places that follow from them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::diagnostic::suggest::nearest;
use crate::diagnostic::{Diagnostic, Place, SourceText, codes, quoted};

/// Flags of `serve` and of the verbs that look for the same places. What is not given is empty.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Flags {
    /// `--config`.
    pub config: Option<PathBuf>,
    /// `--state-dir`.
    pub state_dir: Option<PathBuf>,
    /// `--source`, each.
    pub sources: Vec<String>,
    /// `--store`.
    pub store: Option<String>,
    /// `--redis`.
    pub redis: Option<String>,
    /// `--listen`, each.
    pub listen: Vec<String>,
}

/// What the caller found out about its process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Environment {
    /// Variables. An empty value counts as none.
    pub variables: BTreeMap<String, String>,
    /// The current folder.
    pub cwd: PathBuf,
    /// Whether the effective user is root.
    pub is_root: bool,
    /// The name of the host.
    pub host_name: String,
    /// Which of [`Places::to_look_for`] exist.
    pub present: BTreeSet<PathBuf>,
}

/// Variables that are settings.
const SETTINGS: [&str; 8] = [
    "CRONWRIGHT_CONFIG",
    "CRONWRIGHT_STATE_DIR",
    "CRONWRIGHT_STORE",
    "CRONWRIGHT_REDIS",
    "CRONWRIGHT_LISTEN",
    "CRONWRIGHT_SERVER",
    "CRONWRIGHT_TOKEN",
    "CRONWRIGHT_REVISION",
];

/// Variables that a job receives: a daemon that a job starts must not mind them.
const OF_JOBS: [&str; 9] = [
    "CRONWRIGHT_JOB",
    "CRONWRIGHT_EXECUTION_ID",
    "CRONWRIGHT_ATTEMPT",
    "CRONWRIGHT_CAUSE",
    "CRONWRIGHT_TRIGGER",
    "CRONWRIGHT_SCHEDULED_TIME",
    "CRONWRIGHT_DATA_INTERVAL_START",
    "CRONWRIGHT_FENCE",
    "CRONWRIGHT_RESULT",
];

/// Beginnings of names that others set: tests, and Kubernetes for a service called `cronwright`.
const OF_OTHERS: [&str; 3] = ["CRONWRIGHT_TEST_", "CRONWRIGHT_SERVICE_", "CRONWRIGHT_PORT"];

impl Environment {
    /// The value of a variable that is not empty.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }
}

/// Variables that look like settings and are none.
pub(super) fn check_names(environment: &Environment) -> Vec<Diagnostic> {
    let of_others = |name: &str| OF_OTHERS.iter().any(|prefix| name.starts_with(prefix));
    let unknown = environment.variables.keys().filter(|name| {
        name.starts_with("CRONWRIGHT_")
            && !SETTINGS.contains(&name.as_str())
            && !OF_JOBS.contains(&name.as_str())
            && !of_others(name)
    });
    let complain = |name: &String| {
        let source = Arc::new(SourceText::new("environment", name.clone()));
        let place = Place::new(&source, 0, name.len());
        let message = format!("{} is not a variable that is read", quoted(name));
        let diagnostic = Diagnostic::new(codes::UNKNOWN_VARIABLE, message).at(place);
        match nearest(
            &name.to_lowercase(),
            SETTINGS.map(str::to_lowercase).iter().map(String::as_str),
        ) {
            Some(word) => diagnostic.label(format!("did you mean `{}`?", word.to_uppercase())),
            None => diagnostic.help(format!("those are {}", SETTINGS.join(", "))),
        }
    };
    unknown.map(complain).collect()
}

/// Where a daemon finds its settings and keeps its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// The settings file: named by a flag or variable, or present where it is looked for.
    pub file: Option<PathBuf>,
    /// Its folder, else the current one.
    pub base_dir: PathBuf,
    /// The state directory.
    pub state_dir: PathBuf,
    /// The current folder: base of paths in flags and variables.
    pub cwd: PathBuf,
}

const FILE_NAME: &str = "cronwright.toml";
const SYSTEM_FILE: &str = "/etc/cronwright/cronwright.toml";
const SYSTEM_STATE: &str = "/var/lib/cronwright";

impl Places {
    /// The paths of which the caller must find out whether they exist.
    pub fn to_look_for(cwd: &Path) -> [PathBuf; 3] {
        [cwd.join(FILE_NAME), cwd.join("jobs.d"), PathBuf::from(SYSTEM_FILE)]
    }

    /// The places for these flags in this environment.
    pub fn find(flags: &Flags, environment: &Environment) -> Self {
        let cwd = &environment.cwd;
        let variable = |name: &str| environment.value(name).map(PathBuf::from);
        let named = flags.config.clone().or_else(|| variable("CRONWRIGHT_CONFIG"));
        let [own_file, jobs, system_file] = Self::to_look_for(cwd);
        let is_present = |path: &PathBuf| environment.present.contains(path);
        let file = named
            .map(|path| cwd.join(path))
            .or_else(|| [own_file.clone(), system_file].into_iter().find(is_present));
        let folder = file.as_ref().and_then(|file| file.parent());
        let base_dir = folder.map_or_else(|| cwd.clone(), Path::to_path_buf);
        // systemd may name several folders, separated by colons.
        let first_of = |paths: &str| paths.split(':').next().map(PathBuf::from);
        let state_dir = flags
            .state_dir
            .clone()
            .or_else(|| variable("CRONWRIGHT_STATE_DIR"))
            .or_else(|| environment.value("STATE_DIRECTORY").and_then(first_of))
            .or_else(|| [own_file, jobs].iter().any(is_present).then(|| ".cronwright".into()))
            .unwrap_or_else(|| home_of_state(environment));
        Self { file, base_dir, state_dir: cwd.join(state_dir), cwd: cwd.clone() }
    }
}

/// Where state is kept when nothing in the current folder asks for it.
fn home_of_state(environment: &Environment) -> PathBuf {
    if environment.is_root {
        return PathBuf::from(SYSTEM_STATE);
    }
    // The specification of these folders ignores relative paths.
    let absolute =
        |name: &str| environment.value(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state_home = absolute("XDG_STATE_HOME");
    let state_home = state_home.or_else(|| absolute("HOME").map(|home| home.join(".local/state")));
    // A user without a home keeps it where he stands.
    state_home.map_or_else(|| PathBuf::from(".cronwright"), |home| home.join("cronwright"))
}
