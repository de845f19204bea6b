//! The daemon's health at a glance.

use serde::{Deserialize, Serialize};

use crate::io::http::documents::At;

/// One screen about the daemon.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StatusDocument {
    /// [`StatusDocument::SCHEMA`].
    pub schema: String,
    /// `healthy` or `degraded`.
    pub health: String,
    /// Why it is degraded, in sentences.
    #[serde(default)]
    pub problems: Vec<String>,
    /// `leader` or `standby`.
    pub role: String,
    /// The node's name.
    #[serde(default)]
    pub node: String,
    /// The program's version.
    #[serde(default)]
    pub version: String,
    /// The daemon's process id.
    #[serde(default)]
    pub pid: u32,
    /// Since when the daemon runs.
    #[serde(default)]
    pub started_at: Option<At>,
    /// Release and origin of the time zone data.
    #[serde(default)]
    pub tzdb: String,
    /// The store.
    pub store: StoreEntry,
    /// Redis.
    pub redis: RedisEntry,
    /// The sources.
    pub sync: SyncEntry,
    /// The jobs.
    pub jobs: JobCounts,
    /// Executions in flight.
    pub running: Vec<RunningEntry>,
    /// How many executions wait for a place.
    #[serde(default)]
    pub queued: u64,
    /// Executions that ended badly in the last 24 hours.
    #[serde(default)]
    pub failed_24h: u64,
}

impl StatusDocument {
    /// Name and version of this document.
    pub const SCHEMA: &str = "cronwright.status/v1";
}

/// The store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreEntry {
    /// Kind and place, without password.
    pub url: String,
    /// It answers.
    pub connected: bool,
}

/// Redis.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedisEntry {
    /// Without password; none: not set.
    pub url: Option<String>,
    /// It answers.
    pub connected: bool,
}

/// The sources in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncEntry {
    /// As in `sync`.
    pub state: String,
    /// The revision that is applied.
    pub applied: Option<String>,
    /// It is applied but for what is broken or held back: those jobs go on as they were.
    #[serde(default)]
    pub applied_in_part: bool,
    /// The revision that was read last.
    pub attempted: Option<String>,
}

/// How many jobs there are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobCounts {
    /// In all.
    pub total: usize,
    /// Declared off.
    pub disabled: usize,
    /// Held back by an operator.
    #[serde(default)]
    pub paused: usize,
    /// With an invalid manifest, going on with their last good definition.
    pub stale: usize,
    /// The next fire time of all that is not held back.
    pub next_fire_at: Option<At>,
    /// Whose it is.
    pub next_job: Option<String>,
}

/// An execution in flight.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunningEntry {
    /// Its id.
    pub execution_id: String,
    /// Its job.
    pub job: String,
    /// When its process began; none: not yet.
    pub started_at: Option<At>,
    /// The node that runs it.
    pub node: String,
}
