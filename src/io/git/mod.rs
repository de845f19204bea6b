//! Manifests out of git: the blobs of one commit, read with the `git` program.
//!
//! [`Repository`] is any repository on this machine, work tree or bare, which is only read: a text is
//! resolved to a [`Commit`], and the manifests below a path of it are a [`GitTree`]. Objects are read
//! directly: nothing is checked out, and no hook, filter or attribute of the repository has a say.
//! [`Mirror`] follows a repository elsewhere by a bare clone; what it holds is a [`GitReading`].
//!
//! Does not watch, does not write into work trees, and does not parse manifests.

mod command;
mod mirror;
mod repository;
mod source;
mod tree;
mod url;

use std::time::Duration;

pub use mirror::{Accepted, Mirror, Remote, SshChoice};
pub use repository::{Commit, Repository, tree_path};
pub use source::{GitFault, GitReading, SOURCE_PREFIX};
pub use tree::{GitFile, GitTree};
pub use url::{GitRef, GitUrl, NameFault};

/// Why git did not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GitError {
    /// The program cannot be started; the system's words.
    #[error("the program `git` cannot be started ({0}): install it")]
    NoProgram(String),
    /// There is no repository at or above this folder.
    #[error("{0} is not in a git repository")]
    NoRepository(String),
    /// A text that names no commit, whatever the repository holds.
    #[error("{0} cannot be the name of a branch, tag or commit")]
    BadRef(String),
    /// The repository has no such commit.
    #[error(
        "there is no branch, tag or commit {0} here; a shallow clone may lack it: `git fetch` it first"
    )]
    NoRef(String),
    /// A path that leads out of the repository.
    #[error("{0} is not a path within a repository")]
    BadPath(String),
    /// It took too long, and was ended: what, and after how long.
    #[error("`git {0}` took longer than {1:?} and was ended")]
    TimedOut(&'static str, Duration),
    /// It says more than can be taken in, and was ended: what.
    #[error("`git {0}` says too much and was ended")]
    TooMuch(&'static str),
    /// It failed: what, and its words.
    #[error("`git {0}` failed: {1}")]
    Failed(&'static str, String),
    /// What it says makes no sense: what.
    #[error("`git {0}` gave an answer that cannot be read; the repository may be damaged")]
    Damaged(&'static str),
}
