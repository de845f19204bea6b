//! How the process of a task is started, and what its end means. No behaviour: `io::executor` hands it to
//! the supervisor.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::spec::size::SizeText;
use crate::time::DurationText;

/// The rules of a process; where nothing is said, the built-in ones.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProcessRules {
    /// Exit codes that count as success, ascending, each once; empty: 0 alone.
    pub success_exit_codes: Vec<i32>,
    /// `NAME` or `NAME:GROUP`, or numbers in their place; none: the daemon's.
    pub user: Option<String>,
    /// File mode creation mask; none: the daemon's.
    pub umask: Option<u32>,
    /// Variables of the daemon's environment that it gets besides, ascending, each once.
    pub inherit_env: Vec<String>,
    /// What becomes of the processes that its main process leaves running.
    pub leftovers: Leftovers,
    /// Which of its streams are kept.
    pub capture: Capture,
    /// What it prints stands in the daemon's log as well.
    pub forward: bool,
    /// What it may use.
    pub limits: Limits,
}

impl ProcessRules {
    /// What differs from what is built in, by key; all but `capture` and `forward`, which are parts of `output`.
    pub fn said(&self) -> impl Iterator<Item = (&'static str, Value)> {
        let codes = &self.success_exit_codes;
        let limits = self.limits.said();
        let fields = [
            ("inherit_env", (!self.inherit_env.is_empty()).then(|| json!(self.inherit_env))),
            ("leftovers", (self.leftovers != Leftovers::default()).then(|| json!("leave"))),
            ("limits", (!limits.is_empty()).then_some(Value::Object(limits))),
            ("success_exit_codes", (!codes.is_empty()).then(|| json!(codes))),
            ("user", self.user.as_ref().map(|user| json!(user))),
            ("umask", self.umask.map(|umask| json!(format!("{umask:03o}")))),
        ];
        fields.into_iter().filter_map(|(key, value)| Some((key, value?)))
    }
}

/// What becomes of the processes that a main process leaves running (C11).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Leftovers {
    /// They are killed.
    #[default]
    Kill,
    /// They are left alone.
    Leave,
}

/// Which streams of a process are kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Capture {
    /// Both.
    #[default]
    Both,
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// Neither.
    None,
}

impl Capture {
    /// The word in a manifest.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Both => "both",
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
            Self::None => "none",
        }
    }
}

/// What a process may use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Open files of each of its processes; none: the machine's limit.
    pub files: Option<u32>,
    /// CPU time of each of its processes, in whole seconds; none: not limited. Never zero.
    pub time: Option<Duration>,
    /// CPU of all its processes together, in thousandths of a core. Never zero.
    pub cpu_thousandths: Option<u32>,
    /// Memory of all its processes together, in bytes.
    pub memory_bytes: Option<u64>,
    /// How many processes and threads it may be. Never zero.
    pub pids: Option<u32>,
}

impl Limits {
    /// Whether one of them needs a control group.
    pub fn needs_group(self) -> bool {
        self.cpu_thousandths.is_some() || self.memory_bytes.is_some() || self.pids.is_some()
    }

    fn said(self) -> Map<String, Value> {
        let time = self.time.map(|time| json!(DurationText(time).to_string()));
        let memory = self.memory_bytes.map(|bytes| json!(SizeText(bytes).to_string()));
        let fields = [
            ("cpu", self.cpu_thousandths.map(cores)),
            ("files", self.files.map(|files| json!(files))),
            ("memory", memory),
            ("pids", self.pids.map(|pids| json!(pids))),
            ("time", time),
        ];
        fields.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
    }
}

/// Whole numbers without a fraction: there is one way to write a value.
fn cores(thousandths: u32) -> Value {
    if thousandths.is_multiple_of(1000) {
        json!(thousandths / 1000)
    } else {
        json!(f64::from(thousandths) / 1000.0)
    }
}
