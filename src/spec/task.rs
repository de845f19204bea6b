//! Tasks: what an execution does.

pub mod arguments;
pub mod call;
pub mod classes;
pub mod http;
pub mod signature;
pub mod template;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::spec::task::call::{Call, Runtime};
use crate::spec::task::http::HttpCall;

/// What is done. Kinds that the program cannot do yet are refused when a manifest is lowered.
#[derive(Debug, Clone, PartialEq)]
pub enum Task {
    /// A program with its arguments; no shell. Never empty.
    Command(Vec<String>),
    /// A text for a shell.
    Script {
        /// The text, the last argument of the shell.
        text: String,
        /// The shell and its arguments, for example `["/bin/sh", "-e", "-c"]`. Never empty.
        shell: Vec<String>,
    },
    /// A class of a closed registry.
    Class {
        /// The class with its arguments.
        call: Call,
        /// Where it is looked up; none: wherever it is.
        runtime: Option<Runtime>,
    },
    /// An HTTP call.
    Http(HttpCall),
}

/// The shell of a script that names none.
pub const DEFAULT_SHELL: [&str; 3] = ["/bin/sh", "-e", "-c"];

/// A kind of task, as settings name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TaskKind {
    /// A program.
    Command,
    /// A text for a shell.
    Script,
    /// A class of the registry.
    Class,
    /// An HTTP call.
    Http,
}

impl TaskKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Command, Self::Script, Self::Class, Self::Http];

    /// The key of such a task in a manifest.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::Script => "script",
            Self::Class => "class",
            Self::Http => "http",
        }
    }
}

impl Task {
    /// The key of the task in a manifest.
    pub fn kind(&self) -> &'static str {
        let kind = match self {
            Self::Command(_) => TaskKind::Command,
            Self::Script { .. } => TaskKind::Script,
            Self::Class { .. } => TaskKind::Class,
            Self::Http(_) => TaskKind::Http,
        };
        kind.as_str()
    }
}
