//! Which revision the sources are at: the commit of the repository around them, read by hand.
//!
//! No `git` program is started and no hook or attribute of the repository is looked at. Whether a work
//! tree differs from its commit would need an index reader; the snapshot's digest says it better.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::io::files::snapshot::Sources;
use crate::time::Timestamp;

/// How much of a file of the repository is read, in bytes (`packed-refs` of large ones).
const GIT_FILE_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// How many symbolic references are followed from `HEAD`.
const SYMBOLIC_REFS_MAX: usize = 5;
/// The longest revision taken from `.revision` or the environment, in bytes.
const REVISION_BYTES_MAX: usize = 128;
/// How many hexadecimal digits of the digest stand for a revision.
const DIGEST_DIGITS: usize = 12;

/// What the sources are at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revision {
    /// The commit, or what stands for it.
    pub id: Arc<str>,
    /// The branch that is checked out, when there is one.
    pub branch: Option<Arc<str>>,
    /// Whether what was read differs from the commit; none: not known.
    pub dirty: Option<bool>,
    /// When it was committed, where the commit itself was read.
    pub committed_at: Option<Timestamp>,
    /// Where `id` comes from.
    pub origin: RevisionOrigin,
}

/// Where a revision was found, in the order in which it is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RevisionOrigin {
    /// The commit that was read.
    Commit,
    /// `.git` at or above a source.
    Git,
    /// A link on the way to a source leads into a folder that has the name of a commit (git-sync).
    Link,
    /// `CRONWRIGHT_REVISION`.
    Environment,
    /// A file `.revision` in a source.
    File,
    /// Nobody says: the digest of the contents.
    Content,
}

impl Revision {
    /// The revision of the sources, whose contents have this digest.
    pub(super) fn find(sources: &Sources, digest: &str) -> Self {
        let plain = |id: &str, origin| Self {
            id: id.into(),
            branch: None,
            dirty: None,
            committed_at: None,
            origin,
        };
        if let Some((commit, _)) = sources.git.as_ref().and_then(|git| git.accepted.as_ref()) {
            return Self {
                id: Arc::clone(&commit.id),
                branch: commit.branch.clone(),
                dirty: Some(false),
                committed_at: commit.committed_at,
                origin: RevisionOrigin::Commit,
            };
        }
        let folders = || sources.folders.iter().map(|source| source.path.as_path());
        if let Some(commit) = folders().find_map(|folder| git_head(&git_folder(folder)?.1)) {
            return commit;
        }
        if let Some(id) = folders().find_map(linked_commit) {
            return plain(&id, RevisionOrigin::Link);
        }
        let given = sources.revision.as_deref();
        if let Some(id) = given.and_then(word) {
            return plain(id, RevisionOrigin::Environment);
        }
        let mut texts = folders().filter_map(|folder| small_text(&folder.join(".revision")));
        if let Some(text) = texts.find(|text| word(text).is_some()) {
            return plain(word(&text).unwrap_or_default(), RevisionOrigin::File);
        }
        plain(&digest[..DIGEST_DIGITS.min(digest.len())], RevisionOrigin::Content)
    }
}

/// The `index.lock` that stands while git rewrites the work tree around `folder`, if it does.
pub(super) fn git_lock(folder: &Path) -> Option<PathBuf> {
    let lock = git_folder(folder)?.1.join("index.lock");
    lock.symlink_metadata().is_ok().then_some(lock)
}

/// The work tree around `folder`, without links, and the folder of its repository.
pub(in crate::io) fn git_folder(folder: &Path) -> Option<(PathBuf, PathBuf)> {
    let real = folder.canonicalize().ok()?;
    let dot_git = real.ancestors().map(|a| a.join(".git")).find(|p| p.exists())?;
    let top = dot_git.parent()?.to_path_buf();
    if dot_git.is_dir() {
        return Some((top, dot_git));
    }
    // A linked work tree or a submodule: a file that names the place.
    let text = small_text(&dot_git)?;
    let target = text.strip_prefix("gitdir:")?.trim();
    let folder = top.join(target);
    Some((top, folder))
}

/// The commit and branch that `HEAD` of a repository stands for.
fn git_head(folder: &Path) -> Option<Revision> {
    let shared = small_text(&folder.join("commondir"))
        .map_or_else(|| folder.to_path_buf(), |text| folder.join(text.trim()));
    let mut text = small_text(&folder.join("HEAD"))?;
    let mut branch = None;
    for _ in 0..SYMBOLIC_REFS_MAX {
        let Some(name) = text.trim().strip_prefix("ref:").map(str::trim).map(str::to_owned) else {
            let commit = text.trim();
            let is_hash = commit.len() >= 40 && commit.bytes().all(|b| b.is_ascii_hexdigit());
            return is_hash.then(|| Revision {
                id: commit.into(),
                branch,
                dirty: None,
                committed_at: None,
                origin: RevisionOrigin::Git,
            });
        };
        if !name.starts_with("refs/") || name.split('/').any(|part| part == "..") {
            return None;
        }
        text = small_text(&folder.join(&name))
            .or_else(|| small_text(&shared.join(&name)))
            .or_else(|| packed_ref(&shared, &name))?;
        branch = Some(name.strip_prefix("refs/heads/").unwrap_or(&name).into());
    }
    None
}

/// The commit after which the last part of a link's target is called, for a link on the way to `folder`.
/// git-sync publishes so: it checks a commit out beside, and moves one link.
fn linked_commit(folder: &Path) -> Option<String> {
    let is_commit = |name: &str| {
        matches!(name.len(), 40 | 64) && name.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    let links = folder.ancestors().filter_map(|path| path.read_link().ok());
    let mut names = links.filter_map(|target| Some(target.file_name()?.to_str()?.to_owned()));
    names.find(|name| is_commit(name))
}

/// The commit of a reference that stands in `packed-refs`.
fn packed_ref(folder: &Path, name: &str) -> Option<String> {
    let text = small_text(&folder.join("packed-refs"))?;
    let pairs = text.lines().filter_map(|line| line.split_once(' '));
    pairs.into_iter().find(|(_, packed)| *packed == name).map(|(commit, _)| commit.to_owned())
}

/// The first line of a text, when it can stand for a revision.
fn word(text: &str) -> Option<&str> {
    let line = text.lines().next()?.trim();
    let plain = !line.is_empty() && line.chars().all(|c| c.is_ascii_graphic());
    (plain && line.len() <= REVISION_BYTES_MAX).then_some(line)
}

/// A regular file as text, when it is one of reasonable size.
fn small_text(path: &Path) -> Option<String> {
    // Asked first: opening a FIFO would wait for its writer.
    let regular = path.metadata().is_ok_and(|stat| stat.is_file());
    let file = regular.then(|| open(path)).flatten()?;
    let mut text = String::new();
    file.take(GIT_FILE_BYTES_MAX).read_to_string(&mut text).ok()?;
    Some(text)
}

fn open(path: &Path) -> Option<File> {
    let flags =
        rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::CLOEXEC;
    rustix::fs::open(path, flags, rustix::fs::Mode::empty()).ok().map(File::from)
}
