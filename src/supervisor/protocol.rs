//! The protocol between a daemon and its supervisor: JSON lines over a Unix socket, versioned.
//!
//! The daemon says [`ToSupervisor`], the supervisor [`FromSupervisor`]. The first message each way is
//! `Hello`; when the versions differ the supervisor says its own `Hello` and closes. Times are Unix milliseconds (wall clock) and durations milliseconds (monotonic clock).
//! Nothing here decides what an ending means: that is `io::executor`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Version of this protocol. A supervisor speaks one; a daemon knows this and the one before.
pub const PROTOCOL_VERSION: u32 = 1;

/// The longest line either side accepts, in bytes.
pub const LINE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The most output that is kept of one execution, in bytes: what fits a line as base64.
pub const OUTPUT_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// The longest result that is taken from `$CRONWRIGHT_RESULT`, in bytes.
pub const RESULT_BYTES_MAX: usize = 64 * 1024;

/// Variable that holds the path of the result file; set by the supervisor.
pub const RESULT_VARIABLE: &str = "CRONWRIGHT_RESULT";

/// Variable by which leftovers of an execution are found again; set by the supervisor.
pub const MARK_VARIABLE: &str = "CRONWRIGHT_SUPERVISOR";

/// What a daemon says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ToSupervisor {
    /// First message.
    Hello {
        /// Version of the daemon's protocol.
        protocol: u32,
    },
    /// Start a process. Answered by `Started`, or by `Ended` when it could not be started.
    /// An id that the supervisor already knows is not started again: the answer is `Started` while it
    /// runs, its `Ended` until that is recorded, `Known` afterwards.
    Start(Box<StartProcess>),
    /// End the tree of a process: TERM, its grace, KILL. `force`: KILL at once.
    Stop {
        /// The execution.
        id: String,
        /// KILL at once.
        force: bool,
    },
    /// The ending of this execution is recorded in the store: the spool may forget it.
    Recorded {
        /// The execution.
        id: String,
    },
    /// Answered by `Output`: what the execution has printed so far.
    Output {
        /// The execution.
        id: String,
    },
    /// Leave at once, killing what runs (tests, and a daemon whose state directory is being removed).
    Quit,
}

/// A process to start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StartProcess {
    /// The execution.
    pub id: String,
    /// Program and arguments; the program is looked up in the PATH of `env` when it has no slash.
    pub argv: Vec<String>,
    /// The whole environment; the supervisor adds `RESULT_VARIABLE` and `MARK_VARIABLE` only.
    pub env: BTreeMap<String, String>,
    /// Absolute working directory.
    pub working_dir: String,
    /// After this long: TERM, grace, KILL, and the ending says `timed_out`.
    pub timeout_ms: Option<u64>,
    /// Between TERM and KILL.
    pub kill_grace_ms: u64,
    /// How many bytes of stdout and stderr together are kept, half head, half tail; at most
    /// `OUTPUT_BYTES_MAX`.
    pub output_bytes_max: u64,
    /// What differs from a plain process.
    #[serde(default, skip_serializing_if = "is_default")]
    pub rules: StartRules,
}

/// Where a process finds the file that [`StartRules::script`] names: its descriptor 4.
pub const SCRIPT_PATH: &str = "/proc/self/fd/4";

/// What differs from a plain process: each field is absent where nothing does.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StartRules {
    /// Exit codes that count as success; empty: 0 alone. Said again with the ending.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub success_exit_codes: Vec<i32>,
    /// File mode creation mask; none: the supervisor's, which is the daemon's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub umask: Option<u32>,
    /// Whether the processes that the main process leaves running are left alone.
    #[serde(skip_serializing_if = "is_default")]
    pub leave_leftovers: bool,
    /// Whether stdout is thrown away.
    #[serde(skip_serializing_if = "is_default")]
    pub discard_stdout: bool,
    /// Whether stderr is thrown away.
    #[serde(skip_serializing_if = "is_default")]
    pub discard_stderr: bool,
    /// How many files each process may hold open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open_files_max: Option<u64>,
    /// How much CPU time each process may take, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_seconds_max: Option<u64>,
    /// Who the process is; none: who the supervisor is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_as: Option<RunAs>,
    /// What all its processes together may use; such a limit needs a control group.
    #[serde(skip_serializing_if = "is_default")]
    pub group_limits: GroupLimits,
    /// A file that the process can read at [`SCRIPT_PATH`], whoever it is and wherever the file lies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub script: Option<String>,
    /// Variables of `env` whose values are masked in output and result.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub secret_variables: Vec<String>,
    /// How the process serves one call after the other; none: it is one of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warm: Option<WarmRules>,
}

/// What a process that serves calls is given with each call, and when it is not kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WarmRules {
    /// Variables of `env` that come with the call; the others are those of the process.
    pub call_variables: Vec<String>,
    /// A process that has more than this in memory after a call is not kept.
    pub memory_bytes_max: u64,
}

/// Who a process is: only root may make it somebody else.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunAs {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// All groups, that one included.
    pub groups: Vec<u32>,
}

/// What all processes of an execution together may use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GroupLimits {
    /// Thousandths of a core.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_thousandths_max: Option<u32>,
    /// Memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_bytes_max: Option<u64>,
    /// Processes and threads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pids_max: Option<u32>,
}

/// What was done so that an execution ends whole and takes no more than it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Applied {
    /// Whether its processes were in a control group of its own; else they were told by their process group, their
    /// session, their parents and a mark.
    pub is_in_group: bool,
    /// Limits of that group.
    #[serde(default, skip_serializing_if = "is_default")]
    pub group_limits: GroupLimits,
    /// Whether open files were limited.
    #[serde(default, skip_serializing_if = "is_default")]
    pub limits_files: bool,
    /// Whether CPU time was limited.
    #[serde(default, skip_serializing_if = "is_default")]
    pub limits_time: bool,
}

/// A limit of a control group that an execution ran into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitHit {
    /// The kernel killed it for want of memory.
    Memory,
    /// It wanted more processes.
    Pids,
}

impl StartProcess {
    /// The values that are masked in what is kept.
    pub(super) fn secrets(&self) -> impl Iterator<Item = &str> {
        let names = self.rules.secret_variables.iter();
        names.filter_map(|name| self.env.get(name)).map(String::as_str)
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// What a supervisor says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FromSupervisor {
    /// First message: everything it holds. Endings not yet recorded follow as `Ended`, then `Ready`.
    Hello {
        /// Version of the supervisor's protocol.
        protocol: u32,
        /// Its process id.
        pid: u32,
        /// Drawn anew by each supervisor process: tells a restarted one from the one known before.
        instance: String,
        /// What runs.
        running: Vec<RunningProcess>,
    },
    /// All endings that were spooled have been said.
    Ready,
    /// A process runs.
    Started(RunningProcess),
    /// A process ended, or could not be started. On disk before it is said; said again after each `Hello` until `Recorded`.
    Ended(Box<ProcessEnding>),
    /// Not started: this id was started before, and its ending is recorded already.
    Known {
        /// The execution.
        id: String,
    },
    /// What an execution has printed so far; none: the supervisor does not know it.
    Output {
        /// The execution.
        id: String,
        /// Its output.
        output: Option<KeptOutput>,
    },
    /// Another daemon has taken over. What this one had sent is carried out; the connection ends.
    Replaced,
    /// The supervisor leaves and nothing runs: a `Start` that it has not answered was not carried out.
    Leaving,
}

/// A process that runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunningProcess {
    /// The execution.
    pub id: String,
    /// Process id, which is also its process group and session.
    pub pid: u32,
    /// Wall clock at its start, Unix milliseconds.
    pub started_at_ms: i64,
}

/// How a process ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProcessEnding {
    /// The execution.
    pub id: String,
    /// Wall clock at its start; none when it could not be started.
    pub started_at_ms: Option<i64>,
    /// Wall clock at its end, Unix milliseconds.
    pub finished_at_ms: i64,
    /// By the monotonic clock.
    pub duration_ms: Option<u64>,
    /// How.
    pub how: HowEnded,
    /// What it printed.
    pub output: KeptOutput,
    /// What it wrote to `$CRONWRIGHT_RESULT`, when that was JSON of at most 64 KiB.
    pub result: Option<String>,
    /// Exit codes that count as success, as the order said; empty: 0 alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub success_exit_codes: Vec<i32>,
    /// What was done to keep it within its bounds; none: it was not started, or nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied: Option<Applied>,
    /// The limit that it ran into.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hit: Option<LimitHit>,
}

/// The ways a process ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum HowEnded {
    /// By itself, with this code.
    Exited {
        /// Exit code.
        code: i32,
    },
    /// By a signal that the supervisor did not send.
    Signalled {
        /// Signal number.
        signal: i32,
    },
    /// The supervisor ended it because `timeout_ms` had passed.
    TimedOut,
    /// The supervisor ended it because a daemon said `Stop`.
    Stopped,
    /// It could not be started: errno as text, with the path.
    NotStarted {
        /// One sentence.
        message: String,
    },
    /// KILL did not end it within a second (uninterruptible sleep); it is no longer watched.
    Unkillable,
    /// The supervisor itself had died: said by the daemon's client, never by a supervisor.
    Vanished,
}

/// Output that is kept: bytes as base64 text, so that any byte survives.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptOutput {
    /// The first bytes, base64.
    pub head: String,
    /// The last bytes when not all is in `head`, base64.
    pub tail: String,
    /// How many bytes were written in all.
    pub bytes: u64,
}
