//! The values of a job's secrets, read when an attempt starts. They go to the supervisor and nowhere else.
//!
//! Programs that tell some may take their time: who must not wait asks [`asks_programs`] first.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::io::files::{FileProblem, read_alone};
use crate::io::helper::{self, Bounds, HelperError};
use crate::spec::secret::{CREDENTIALS, SecretSource};

/// The longest secret, in bytes.
const SECRET_BYTES_MAX: usize = 64 * 1024;

/// How long a program may take to tell one.
const PROGRAM_WITHIN: Duration = Duration::from_secs(10);
/// The daemon's own variables, which may hold passwords of its store, begin so: they are not a program's.
const OWN_PREFIX: &str = "CRONWRIGHT_";

/// The variable in which systemd names the folder of [`CREDENTIALS`].
const CREDENTIALS_VARIABLE: &str = "CREDENTIALS_DIRECTORY";

/// Why a secret has no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the secret `{name}`: {fault}")]
pub struct SecretError {
    /// The variable that it was to become.
    pub name: String,
    /// What is wrong.
    pub fault: SecretFault,
}

/// What is wrong with the source of a secret. Nothing here repeats what stands there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretFault {
    /// The daemon has no such variable, or it is empty.
    #[error("the daemon has no variable `{0}`")]
    NoVariable(String),
    /// The daemon was not given credentials.
    #[error("the daemon has no `${CREDENTIALS_VARIABLE}` (`LoadCredential=` of systemd)")]
    NoCredentials,
    /// There is no such file.
    #[error("there is no file `{path}`", path = .0.display())]
    NoFile(PathBuf),
    /// The file cannot be read.
    #[error("`{path}` cannot be read: {problem}", path = path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        problem: FileProblem,
    },
    /// The file cannot be the value of a variable.
    #[error("`{path}` {what}", path = path.display())]
    Unfit {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The settings do not allow programs.
    #[error("`{0}` is not asked: the settings do not say `allow_exec_secrets`")]
    NotAllowed(String),
    /// The program did not come to an end.
    #[error("`{program}` could not be asked: {why}")]
    NotAsked {
        /// The program.
        program: String,
        /// Why.
        why: String,
    },
    /// The program failed; what it complained of may hold what it was to keep.
    #[error("`{program}` failed ({how}); run it by hand, as the user of the daemon")]
    Failed {
        /// The program.
        program: String,
        /// How it ended.
        how: String,
    },
    /// What the program printed cannot be the value of a variable.
    #[error("what `{program}` printed {what}")]
    UnfitAnswer {
        /// The program.
        program: String,
        /// What is wrong with it.
        what: &'static str,
    },
}

/// Where secrets are looked for.
#[derive(Debug, Clone)]
pub struct SecretPlaces<'a> {
    /// The folder of the settings.
    pub base_dir: &'a Path,
    /// The daemon's own environment.
    pub environment: &'a BTreeMap<String, String>,
    /// Whether programs may be asked.
    pub programs: bool,
}

/// Whether programs must be asked, which takes time.
pub fn asks_programs(secrets: &BTreeMap<String, SecretSource>) -> bool {
    secrets.values().any(SecretSource::is_program)
}

/// The values by name.
pub fn read(
    secrets: &BTreeMap<String, SecretSource>,
    places: &SecretPlaces<'_>,
) -> Result<BTreeMap<String, String>, SecretError> {
    let read_one = |(name, source): (&String, &SecretSource)| {
        value(source, places)
            .map(|value| (name.clone(), value))
            .map_err(|fault| SecretError { name: name.clone(), fault })
    };
    secrets.iter().map(read_one).collect()
}

fn value(source: &SecretSource, places: &SecretPlaces<'_>) -> Result<String, SecretFault> {
    let SecretPlaces { base_dir, environment, .. } = places;
    match source {
        SecretSource::Variable(name) => {
            let value = environment.get(name).filter(|value| !value.is_empty());
            value.cloned().ok_or_else(|| SecretFault::NoVariable(name.clone()))
        }
        SecretSource::File(path) => match path.strip_prefix(CREDENTIALS) {
            None => of_file(base_dir.join(path)),
            Some(name) => {
                let folder = environment.get(CREDENTIALS_VARIABLE);
                of_file(Path::new(folder.ok_or(SecretFault::NoCredentials)?).join(name))
            }
        },
        SecretSource::Program(argv) => of_program(argv, places),
    }
}

/// The content of a file.
fn of_file(path: PathBuf) -> Result<String, SecretFault> {
    let bytes = match read_alone(&path) {
        Ok(bytes) => bytes,
        Err(FileProblem::Vanished) => return Err(SecretFault::NoFile(path)),
        Err(problem) => return Err(SecretFault::Unreadable { path, problem }),
    };
    fit(&bytes).map_err(|what| SecretFault::Unfit { path, what })
}

/// What a program prints.
fn of_program(argv: &[String], places: &SecretPlaces<'_>) -> Result<String, SecretFault> {
    let Some((program, arguments)) = argv.split_first() else {
        return Err(SecretFault::NotAllowed(String::new()));
    };
    let program = program.clone();
    if !places.programs {
        return Err(SecretFault::NotAllowed(program));
    }
    #[expect(clippy::disallowed_methods, reason = "no job: it tells the daemon a secret of one")]
    let mut command = Command::new(&program);
    let own = |(name, _): &(&String, &String)| !name.starts_with(OWN_PREFIX);
    command.args(arguments).current_dir(places.base_dir).env_clear();
    command.envs(places.environment.iter().filter(own));
    let output_max = SECRET_BYTES_MAX as u64 + 2;
    let bounds = Bounds { within: PROGRAM_WITHIN, output_max, too_big: None };
    let said = match helper::run(command, b"", &bounds) {
        Ok(said) => said,
        Err(HelperError::TooMuch) => {
            return Err(SecretFault::UnfitAnswer { program, what: "is longer than 64 KiB" });
        }
        Err(error) => return Err(SecretFault::NotAsked { program, why: error.to_string() }),
    };
    if !said.status.success() {
        return Err(SecretFault::Failed { program, how: said.status.to_string() });
    }
    fit(&said.output).map_err(|what| SecretFault::UnfitAnswer { program, what })
}

/// The value of a variable, without the line ends that editors and programs put there; or why it cannot be one.
fn fit(bytes: &[u8]) -> Result<String, &'static str> {
    let text = std::str::from_utf8(bytes).map_err(|_| "is not UTF-8")?;
    let value = text.trim_end_matches(['\n', '\r']);
    if value.is_empty() {
        Err("is empty")
    } else if value.contains('\0') {
        Err("holds a zero byte")
    } else if value.len() > SECRET_BYTES_MAX {
        Err("is longer than 64 KiB")
    } else {
        Ok(value.to_owned())
    }
}
