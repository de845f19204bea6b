//! The values of a job's secrets, read when an attempt starts. They go to the supervisor and nowhere else.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::io::files::{FileProblem, read_alone};
use crate::spec::secret::{CREDENTIALS, SecretSource};

/// The longest secret, in bytes.
const SECRET_BYTES_MAX: usize = 64 * 1024;

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
}

/// The values by name. `base_dir` is the folder of the settings, `environment` the daemon's own.
pub fn read(
    secrets: &BTreeMap<String, SecretSource>,
    base_dir: &Path,
    environment: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, SecretError> {
    let read_one = |(name, source): (&String, &SecretSource)| {
        value(source, base_dir, environment)
            .map(|value| (name.clone(), value))
            .map_err(|fault| SecretError { name: name.clone(), fault })
    };
    secrets.iter().map(read_one).collect()
}

fn value(
    source: &SecretSource,
    base_dir: &Path,
    environment: &BTreeMap<String, String>,
) -> Result<String, SecretFault> {
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
    }
}

/// The content of a file, without the line ends that editors put there.
fn of_file(path: PathBuf) -> Result<String, SecretFault> {
    let bytes = match read_alone(&path) {
        Ok(bytes) => bytes,
        Err(FileProblem::Vanished) => return Err(SecretFault::NoFile(path)),
        Err(problem) => return Err(SecretFault::Unreadable { path, problem }),
    };
    let unfit = |path, what| Err(SecretFault::Unfit { path, what });
    let Ok(text) = std::str::from_utf8(&bytes) else { return unfit(path, "is not UTF-8") };
    let value = text.trim_end_matches(['\n', '\r']);
    if value.is_empty() {
        unfit(path, "is empty")
    } else if value.contains('\0') {
        unfit(path, "holds a zero byte")
    } else if value.len() > SECRET_BYTES_MAX {
        unfit(path, "is longer than 64 KiB")
    } else {
        Ok(value.to_owned())
    }
}
