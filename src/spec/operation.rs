//! The operations of requests, as settings and envelopes name them.

use schemars::JsonSchema;
use serde::Deserialize;

/// An operation of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// Run a job now.
    Run,
    /// End an execution.
    Cancel,
    /// Hold the fire times of jobs back.
    Pause,
    /// Take back what holds jobs.
    Resume,
    /// Leave out the next fire time of jobs.
    SkipNext,
    /// Add a job.
    Add,
    /// Change a job that was added.
    Update,
    /// Remove a job that was added.
    Remove,
    /// Ask whether a job is there.
    Has,
    /// Ask for a job.
    Get,
    /// Ask for the jobs.
    List,
    /// Ask what runs.
    Running,
    /// Ask what ran.
    History,
    /// Look at the sources now.
    Sync,
    /// Answer.
    Ping,
}

impl Operation {
    /// Every operation.
    pub const ALL: [Self; 15] = [
        Self::Run,
        Self::Cancel,
        Self::Pause,
        Self::Resume,
        Self::SkipNext,
        Self::Add,
        Self::Update,
        Self::Remove,
        Self::Has,
        Self::Get,
        Self::List,
        Self::Running,
        Self::History,
        Self::Sync,
        Self::Ping,
    ];

    /// The word of the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Cancel => "cancel",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::SkipNext => "skip_next",
            Self::Add => "add",
            Self::Update => "update",
            Self::Remove => "remove",
            Self::Has => "has",
            Self::Get => "get",
            Self::List => "list",
            Self::Running => "running",
            Self::History => "history",
            Self::Sync => "sync",
            Self::Ping => "ping",
        }
    }

    /// Whether it changes which jobs there are.
    pub fn declares(self) -> bool {
        matches!(self, Self::Add | Self::Update | Self::Remove)
    }
}
