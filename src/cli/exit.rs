//! How a verb ends: exit codes, and failures with the next act.

use std::fmt;
use std::process::ExitCode;

/// Exit codes, the same for every verb.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done, valid, no differences, the execution succeeded.
    Done,
    /// The answer is "no": invalid, differences found, the execution ended otherwise, degraded.
    No,
    /// Wrong usage, or the tool itself failed.
    Usage,
    /// There is no such job, execution or file.
    NotFound,
    /// No daemon answers, or it does not let us in.
    Unreachable,
    /// Refused: stale plan, blocked, held by somebody else.
    Refused,
    /// `serve` found its own settings invalid.
    BadSettings,
    /// Waiting took too long; what was waited for goes on.
    TimedOut,
}

impl Exit {
    /// The number.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::No => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::Unreachable => 4,
            Self::Refused => 5,
            Self::BadSettings => 78,
            Self::TimedOut => 124,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Why a verb could not do what it should, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// Stable code, where the daemon gave one.
    pub code: Option<String>,
    /// One sentence.
    pub message: String,
    /// The next act.
    pub help: Option<String>,
}

impl Failure {
    /// A failure without more to say.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, code: None, message: message.into(), help: None }
    }

    /// Says the next act.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = self.code.as_deref().map(|code| format!("[{code}]")).unwrap_or_default();
        write!(f, "error{code}: {}", self.message)?;
        match &self.help {
            Some(help) => write!(f, "\n  help: {help}"),
            None => Ok(()),
        }
    }
}
