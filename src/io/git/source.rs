//! A source that is a repository elsewhere: what it held when it was last fetched, and what is wrong
//! with it since.

use std::sync::Arc;

use crate::diagnostic::{Diagnostic, codes, quoted};
use crate::io::files::SourceState;
use crate::io::git::{Commit, GitTree};

/// What stands before the path in the name of such a source: `git:jobs.d`.
pub const SOURCE_PREFIX: &str = "git:";
/// How many digits of a commit are shown to people.
const SHORT_DIGITS: usize = 12;

/// A source out of git at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitReading {
    /// Its name as a source.
    pub name: Arc<str>,
    /// The commit that counts, and what it holds; none: nothing has been fetched yet.
    pub accepted: Option<(Commit, Arc<GitTree>)>,
    /// Why it may not be the newest.
    pub fault: Option<GitFault>,
}

/// Why what counts may not be the newest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GitFault {
    /// There was no attempt yet.
    NotTried,
    /// The attempt failed: the words of git.
    NotFetched(String),
    /// The server has no such ref.
    RefGone(String),
    /// This commit was refused, because its signature was not verified: the words of git.
    Unsigned(String, String),
}

impl GitReading {
    /// Whether all of it was seen.
    pub fn state(&self) -> SourceState {
        self.accepted.as_ref().map_or(SourceState::NotFetched, |(_, tree)| tree.state.clone())
    }

    /// What is wrong with it, beside its state.
    pub fn diagnostic(&self) -> Option<Diagnostic> {
        let name = quoted(&self.name);
        let (code, message, help) = match self.fault.as_ref()? {
            GitFault::NotTried => return None,
            GitFault::NotFetched(words) => (
                codes::NOT_FETCHED,
                format!("the source {name} cannot be fetched: {words}"),
                "run `git ls-remote` with its URL as the daemon's user".to_owned(),
            ),
            GitFault::RefGone(reference) => (
                codes::REF_GONE,
                format!("the source {name} has no ref {} any more", quoted(reference)),
                "restore it on the server, or change `source.git.ref`".to_owned(),
            ),
            GitFault::Unsigned(commit, words) => (
                codes::COMMIT_UNSIGNED,
                format!(
                    "the source {name} is at {}, whose signature is not good: {words}",
                    short(commit)
                ),
                "sign it with a key that the daemon's git trusts, or take `require_signed` back"
                    .to_owned(),
            ),
        };
        let stays = match &self.accepted {
            Some((commit, _)) => format!("what was applied stays, at {}", short(&commit.id)),
            None => "nothing was fetched before".to_owned(),
        };
        let message = format!("{message}; {stays}");
        Some(Diagnostic::new(code, message).in_file(&*self.name).help(help))
    }
}

/// A commit for people.
fn short(commit: &str) -> &str {
    commit.get(..SHORT_DIGITS).unwrap_or(commit)
}
