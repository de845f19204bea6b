//! Jobs: names, checked definitions, and the set of them that a snapshot declares.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::spec::policy::{Misfire, Overlap};
use crate::spec::task::Task;
use crate::spec::trigger::Trigger;

/// The identity of a job for people: `[a-z0-9][a-z0-9._-]{0,62}`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobName(Arc<str>);

/// The longest job name, in bytes.
pub const JOB_NAME_BYTES_MAX: usize = 63;

/// Why a text is not a job name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a job name: use 1 to 63 of a-z, 0-9, `.`, `_` and `-`, beginning with a letter or digit"
)]
pub struct JobNameError(pub String);

impl JobName {
    /// Reads a job name.
    pub fn parse(text: &str) -> Result<Self, JobNameError> {
        let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b);
        let begins =
            text.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        if begins && text.len() <= JOB_NAME_BYTES_MAX && text.bytes().all(inner) {
            Ok(Self(text.into()))
        } else {
            Err(JobNameError(text.to_owned()))
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for JobName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A checked definition: all defaults filled in, nothing left to interpret.
#[derive(Debug, Clone, PartialEq)]
pub struct JobSpec {
    /// The job's name.
    pub name: JobName,
    /// Free text.
    pub description: Option<String>,
    /// `false`: declared off; nothing is due.
    pub enabled: bool,
    /// When it is due; empty: only on request.
    pub triggers: Vec<Trigger>,
    /// What is done.
    pub task: Task,
    /// Environment variables of the job process.
    pub env: BTreeMap<String, String>,
    /// As written; relative to the folder of the settings file, which is also the default.
    pub working_dir: Option<String>,
    /// Of one attempt; none: no limit. Never zero.
    pub timeout: Option<Duration>,
    /// Between TERM and KILL.
    pub kill_grace: Duration,
    /// How much of stdout and stderr together is kept, half head, half tail.
    pub output_bytes_max: u64,
    /// What a surplus occurrence becomes.
    pub overlap: Overlap,
    /// How many executions may be in flight; at least 1.
    pub max_instances: u32,
    /// What a late occurrence becomes.
    pub misfire: Misfire,
}

/// The digest of a job spec in canonical form: 32 hexadecimal digits (128 bits of BLAKE3).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub Arc<str>);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where a definition stands: path relative to the folder of the settings, and line (from 1).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct SourcePlace {
    /// The manifest.
    pub file: String,
    /// The line of the job's name.
    pub line: u32,
}

/// A job as a snapshot declares it.
#[derive(Debug, Clone, PartialEq)]
pub struct DeclaredJob {
    /// The definition.
    pub spec: Arc<JobSpec>,
    /// Digest of [`JobSpec::canonical`].
    pub digest: Digest,
    /// Where it stands.
    pub source: SourcePlace,
}

/// The jobs of a snapshot, by name: unique by construction.
pub type JobSet = BTreeMap<JobName, DeclaredJob>;

impl JobSpec {
    /// Placeholder until the manifest grammar stands here.
    pub fn canonical(&self) -> String {
        "{}".to_owned()
    }
}
