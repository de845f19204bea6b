//! A repository on this machine, which is only read.

use std::fs::canonicalize;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::DateTime;

use crate::diagnostic::quoted;
use crate::io::files::git_folder;
use crate::io::git::GitError;
use crate::io::git::command::{Access, Git};
use crate::time::Timestamp;

/// How long reading from a repository on this machine may take.
pub(super) const READ_WITHIN: Duration = Duration::from_secs(30);
/// The longest name of a commit that is passed on, in bytes.
const REF_BYTES_MAX: usize = 255;
/// The longest path within a repository that is passed on, in bytes.
const PATH_BYTES_MAX: usize = 4096;
/// The largest commit object that is read, in bytes.
const COMMIT_BYTES_MAX: u64 = 16 << 20;

/// A repository: of a work tree, or bare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    /// Where its objects are; absolute.
    pub(super) git_dir: PathBuf,
    /// The work tree around it, without links; none: it is bare.
    top: Option<PathBuf>,
}

/// A commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// Its full hash.
    pub id: Arc<str>,
    /// The branch by which it was found (`main`, `origin/main`); none: by another name.
    pub branch: Option<Arc<str>>,
    /// When it was committed, as it says itself; none: it does not say so in a way that can be read.
    pub committed_at: Option<Timestamp>,
}

impl Repository {
    /// The repository whose work tree `folder` is in, or the bare one that it is.
    pub fn open(folder: &Path) -> Result<Self, GitError> {
        let none = || GitError::NoRepository(quoted(&folder.display().to_string()));
        let real = canonicalize(folder).map_err(|_| none())?;
        let is_bare = |folder: &Path| {
            folder.join("HEAD").is_file()
                && folder.join("objects").is_dir()
                && folder.join("refs").is_dir()
        };
        if is_bare(&real) {
            return Ok(Self { git_dir: real, top: None });
        }
        let (top, git_dir) = git_folder(&real).ok_or_else(none)?;
        let git_dir = canonicalize(git_dir).map_err(|_| none())?;
        Ok(Self { git_dir, top: Some(top) })
    }

    /// A bare repository that is there, or will be. The path is absolute.
    pub(super) fn bare(git_dir: PathBuf) -> Self {
        Self { git_dir, top: None }
    }

    /// The path that a place of the work tree has in the repository, with `/`; empty for the work tree
    /// itself. What does not exist any more is fine, as long as the folder around it does.
    pub fn path_of(&self, place: &Path) -> Option<String> {
        let real = match (canonicalize(place), place.parent(), place.file_name()) {
            (Ok(real), _, _) => real,
            (Err(_), Some(parent), Some(name)) => {
                let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
                canonicalize(parent).ok()?.join(name)
            }
            (Err(_), _, _) => return None,
        };
        Some(real.strip_prefix(self.top.as_ref()?).ok()?.to_str()?.to_owned())
    }

    /// The commit that a text names: a branch, a tag, a hash, and what else git takes (`HEAD~2`).
    pub fn resolve(&self, name: &str) -> Result<Commit, GitError> {
        let plain = !name.is_empty()
            && name.len() <= REF_BYTES_MAX
            && !name.starts_with(['-', '^', ':'])
            && !name.contains(|sign: char| sign.is_control() || sign == ' ' || sign == ':');
        if !plain {
            return Err(GitError::BadRef(quoted(name)));
        }
        let asked = format!("{name}^{{commit}}");
        let found = self.git("rev-parse").args(&["--verify", "--quiet", &asked]).run()?;
        let id = String::from_utf8_lossy(&found.output).trim().to_owned();
        if !found.status.success() {
            return Err(GitError::NoRef(quoted(name)));
        }
        if !is_hash(&id) {
            return Err(GitError::Damaged("rev-parse"));
        }
        let text = self.git("cat-file").args(&["commit", &id]).output_max(COMMIT_BYTES_MAX);
        let committed_at = committed_at(&text.output()?);
        Ok(Commit { id: id.into(), branch: self.branch(name)?, committed_at })
    }

    /// The branch behind a name, if that is one.
    fn branch(&self, name: &str) -> Result<Option<Arc<str>>, GitError> {
        let full = self.git("rev-parse").args(&["--symbolic-full-name", name]).run()?;
        let full = String::from_utf8_lossy(&full.output);
        let full = full.trim();
        let branch = full.strip_prefix("refs/heads/").or(full.strip_prefix("refs/remotes/"));
        Ok(branch.map(Arc::from))
    }

    pub(super) fn git(&self, what: &'static str) -> Git<'static> {
        Git::new(what, &self.git_dir, Access::Objects, READ_WITHIN)
    }
}

/// A path within a repository as git takes it, without `.` and a slash at the end; empty: its root.
pub fn tree_path(path: &str) -> Result<String, GitError> {
    let bad = || GitError::BadPath(quoted(path));
    if path.len() > PATH_BYTES_MAX || path.contains(char::is_control) {
        return Err(bad());
    }
    let mut parts = Vec::new();
    for part in Path::new(path).components() {
        match part {
            Component::Normal(name) => parts.push(name.to_str().ok_or_else(bad)?),
            Component::CurDir => {}
            Component::Prefix(_) | Component::RootDir | Component::ParentDir => return Err(bad()),
        }
    }
    Ok(parts.join("/"))
}

/// Whether a text is the full name of an object.
pub(super) fn is_hash(text: &str) -> bool {
    (text.len() == 40 || text.len() == 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The time in a commit object: `committer Name <mail> SECONDS +ZONE`.
fn committed_at(object: &[u8]) -> Option<Timestamp> {
    let lines = object.split(|byte| *byte == b'\n').take_while(|line| !line.is_empty());
    let line = lines.into_iter().find_map(|line| line.strip_prefix(b"committer "))?;
    let mut words = line.rsplit(|byte| *byte == b' ');
    let (_zone, seconds) = (words.next()?, words.next()?);
    DateTime::from_timestamp(str::from_utf8(seconds).ok()?.parse().ok()?, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_within_a_repository_leads_nowhere_else() {
        let path = |text: &str| tree_path(text).ok();
        assert_eq!(path("jobs.d").as_deref(), Some("jobs.d"));
        assert_eq!(path("./ops//jobs.d/").as_deref(), Some("ops/jobs.d"));
        assert_eq!(path("").as_deref(), Some(""));
        assert_eq!(path(".").as_deref(), Some(""));
        assert_eq!(path("-x").as_deref(), Some("-x"));
        for bad in ["/etc", "..", "jobs.d/../..", "a\nb", "a\0b", &"x".repeat(5000)] {
            assert_eq!(path(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn the_time_of_a_commit_is_the_committers() {
        let text = "tree 1\nauthor A <a@x> 1 +0000\ncommitter B C <b@x> 1795350000 -0300\n\ncommitter D <d> 5 +0000\n";
        let at = committed_at(text.as_bytes()).unwrap();
        assert_eq!(at.timestamp(), 1_795_350_000);
        for bad in
            ["", "committer", "committer x", "committer x y z", "tree 1\n\ncommitter A <a> 5 +0"]
        {
            assert_eq!(committed_at(bad.as_bytes()), None, "{bad:?}");
        }
    }
}
