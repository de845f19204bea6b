//! What was done so that an execution ends whole and takes no more than it may (C8).

use std::collections::BTreeSet;

/// What was applied to the process of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Protection {
    /// How all its processes are known.
    pub by: ProtectedBy,
    /// The limits that held.
    pub limits: BTreeSet<LimitKind>,
}

/// How the processes of an execution are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProtectedBy {
    /// They were in a control group of their own: none can leave it unseen.
    Cgroup,
    /// By their process group, session, parents and a mark in their environment.
    Group,
}

/// A limit by its key in `limits`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LimitKind {
    /// Cores.
    Cpu,
    /// Open files.
    Files,
    /// Memory.
    Memory,
    /// Processes.
    Pids,
    /// CPU time.
    Time,
}

impl ProtectedBy {
    /// The word for people and files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cgroup => "cgroup",
            Self::Group => "group",
        }
    }

    /// The one with this word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Cgroup, Self::Group].into_iter().find(|by| by.as_str() == word)
    }
}

impl LimitKind {
    /// Every limit.
    pub const ALL: [Self; 5] = [Self::Cpu, Self::Files, Self::Memory, Self::Pids, Self::Time];

    /// Its key.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Files => "files",
            Self::Memory => "memory",
            Self::Pids => "pids",
            Self::Time => "time",
        }
    }

    /// The one with this key.
    pub fn parse(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == key)
    }
}
