//! A consistent reading of all sources.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::diagnostic::Diagnostic;
use crate::io::files::guard::Guard;
use crate::io::files::problem::{FileProblem, FileWarning, SourceState};
use crate::io::files::revision::{Revision, git_lock};
use crate::io::files::taken::{Pool, Taken};
use crate::io::files::walk::{Stamp, Walk, walk};
use crate::io::files::written::{WRITTEN_SOURCE, Written};
use crate::io::git::GitReading;
use crate::spec::manifest::{Content, ManifestFile};

/// How much all manifests together may hold, in bytes.
pub const TOTAL_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// How long a reader waits for sources to settle before it reads them with [`Patience::Spent`].
pub const UNSETTLED_MAX: Duration = Duration::from_secs(30);
/// How often one reading looks again when something moved meanwhile.
const ATTEMPTS_MAX: usize = 3;

/// What is read.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The folders, in order.
    pub folders: Vec<Source>,
    /// The repository elsewhere, as it was last fetched; it comes after the folders.
    pub git: Option<Arc<GitReading>>,
    /// What the program itself declares; it comes last.
    pub written: Option<Arc<Written>>,
    /// How strictly files of folders are judged.
    pub guard: Guard,
    /// `CRONWRIGHT_REVISION`.
    pub revision: Option<String>,
}

/// A folder of manifests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// As the settings name it; the paths of its files begin with it.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
}

/// Whether a reading may answer "not now".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// It may.
    Left,
    /// It has done so for [`UNSETTLED_MAX`]: a stale lock is ignored, a file that is always being
    /// written is a problem of that file.
    Spent,
}

/// The answer of a reading.
#[derive(Debug, Clone)]
pub enum Reading {
    /// Nothing moved while it was read.
    Settled(Snapshot),
    /// Look again in a moment.
    Unsettled(Unsettled),
}

/// Why the sources are not settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unsettled {
    /// git is at work: this lock stands.
    GitLock(PathBuf),
    /// Files moved in each attempt; the path of one, where it is known.
    Moving(Option<String>),
}

/// All sources at one moment.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// In the order of the settings.
    pub sources: Vec<SourceReading>,
    /// By source, then by path. A file that two sources hold belongs to the first.
    pub files: Vec<SnapshotFile>,
    /// BLAKE3 over paths, contents and problems, in hexadecimal. Equal digests: nothing to do.
    pub digest: Arc<str>,
    /// What it is called.
    pub revision: Revision,
    /// What is wrong with the repository elsewhere, beside its state as a source.
    git_fault: Option<Box<Diagnostic>>,
    /// Folders whose entries matter, without links.
    pub(crate) folders: Vec<PathBuf>,
    /// Roots of the folders that are sources, without links, when each file has but one path: none was found
    /// behind a link, and no source lies in another.
    pub(super) plain_roots: Option<Vec<PathBuf>>,
}

/// A source at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceReading {
    /// As the settings name it.
    pub name: String,
    /// Whether all of it was seen.
    pub state: SourceState,
    /// Device and inode of its root when it last held manifests.
    filled_root: Option<(u64, u64)>,
}

/// A manifest at one moment.
#[derive(Debug, Clone)]
pub struct SnapshotFile {
    /// Name of its source and path below it, with `/`.
    pub path: Arc<str>,
    /// Index into [`Snapshot::sources`].
    pub source: usize,
    /// Its bytes.
    pub content: Result<Arc<[u8]>, FileProblem>,
    /// What is suspicious about it.
    pub warning: Option<FileWarning>,
    /// Digest of its bytes; all zero when it could not be read.
    pub content_digest: [u8; 32],
    /// Under which its bytes may be used again.
    pub(super) stamp: Option<Stamp>,
}

impl SnapshotFile {
    /// The file as manifests are loaded from it.
    pub fn manifest(&self, sources: &[SourceReading]) -> ManifestFile {
        let content = match &self.content {
            Ok(bytes) => Content::Bytes(Arc::clone(bytes)),
            Err(problem) => Content::Refused(problem.diagnostic(&self.path)),
        };
        let source = sources.get(self.source).map(|source| source.name.as_str());
        let source = source.unwrap_or_default().into();
        ManifestFile { path: Arc::clone(&self.path), source, content }
    }
}

impl Snapshot {
    /// The files as manifests are loaded from them.
    pub fn manifests(&self) -> Vec<ManifestFile> {
        self.files.iter().map(|file| file.manifest(&self.sources)).collect()
    }

    /// What is wrong or suspicious about sources and files, beside what loading them says.
    pub fn diagnostics(&self) -> Vec<Diagnostic> {
        let of_source = |source: &SourceReading| source.state.diagnostic(&source.name);
        let of_file = |file: &SnapshotFile| Some(file.warning?.diagnostic(&file.path));
        // Its fault says more than that nothing was fetched.
        let told = |source: &&SourceReading| {
            source.state != SourceState::NotFetched || self.git_fault.is_none()
        };
        let sources = self.sources.iter().filter(told).filter_map(of_source);
        let files = self.files.iter().filter_map(of_file);
        sources.chain(self.git_fault.as_deref().cloned()).chain(files).collect()
    }

    /// The source that was read and may be behind, because it could not be fetched since: its name.
    pub fn behind(&self) -> Option<&str> {
        let fetched = self.sources.iter().all(|source| source.state != SourceState::NotFetched);
        self.git_fault.as_deref().filter(|_| fetched).map(Diagnostic::path)
    }

    /// Reads all sources. Bytes of `previous` are used again where `stat` says that nothing changed, so
    /// that a rescan without changes opens no file.
    ///
    /// Files that every user may write, or replace, are refused, and what else [`Guard`] says. What git
    /// holds has no modes.
    ///
    /// Blocks on the file system: call it where that is allowed.
    pub fn read(sources: &Sources, previous: Option<&Self>, patience: Patience) -> Reading {
        let mut pool = Pool::of(previous);
        let mut moving = None;
        for _ in 0..ATTEMPTS_MAX {
            if let Some(lock) = lock_of(sources, patience) {
                return Reading::Unsettled(Unsettled::GitLock(lock));
            }
            let walks = walk_all(sources);
            let mut taken = Taken::read(&walks, &mut pool);
            let moved = taken.moved.take();
            let snapshot = Self::of(sources, &walks, taken, previous);
            // A folder that is searched while it changes may hide files that never left.
            let unchanged = previous.is_some_and(|p| p.digest == snapshot.digest);
            let settled = moved.is_none() && (unchanged || walk_all(sources) == walks);
            if settled && lock_of(sources, patience).is_none() {
                return Reading::Settled(snapshot);
            }
            moving = moved;
        }
        match patience {
            Patience::Left => Reading::Unsettled(Unsettled::Moving(moving)),
            Patience::Spent => {
                let walks = walk_all(sources);
                let taken = Taken::read(&walks, &mut pool);
                Reading::Settled(Self::of(sources, &walks, taken, previous))
            }
        }
    }

    fn of(sources: &Sources, walks: &[Walk], mut taken: Taken, previous: Option<&Self>) -> Self {
        let mut readings = Vec::with_capacity(walks.len() + 2);
        let mut folders = Vec::new();
        for (source, walk) in sources.folders.iter().zip(walks) {
            let known = previous
                .and_then(|p| p.sources.iter().find(|known| known.name == source.name))
                .and_then(|known| known.filled_root);
            readings.push(source_reading(&source.name, walk, known));
            folders.extend(walk.folders.iter().cloned());
        }
        if let Some(git) = &sources.git {
            taken.add(git, readings.len(), previous);
            let (name, state) = (git.name.to_string(), git.state());
            readings.push(SourceReading { name, state, filled_root: None });
        }
        if let Some(written) = &sources.written {
            taken.add_written(written, readings.len(), previous);
            // It is always seen whole.
            let (name, state) = (WRITTEN_SOURCE.to_owned(), SourceState::Read);
            readings.push(SourceReading { name, state, filled_root: None });
        }
        let same = previous.filter(|previous| taken.is_same(previous, &readings));
        let digest = same.map(|previous| Arc::clone(&previous.digest));
        let digest = digest.unwrap_or_else(|| digest_of(&readings, &taken.files));
        let revision = Revision::find(sources, &digest);
        let git_fault = sources.git.as_ref().and_then(|git| git.diagnostic()).map(Box::new);
        let plain_roots =
            plain_roots(walks).filter(|_| sources.git.is_none() && sources.written.is_none());
        let files = taken.files;
        Self { sources: readings, files, digest, revision, git_fault, folders, plain_roots }
    }
}

fn plain_roots(walks: &[Walk]) -> Option<Vec<PathBuf>> {
    let root = |walk: &Walk| walk.root.clone().filter(|_| !walk.has_links);
    let roots: Vec<PathBuf> = walks.iter().map(root).collect::<Option<_>>()?;
    let lies_in = |at: usize| {
        let mut others = roots.iter().enumerate().filter(|(other, _)| *other != at);
        others.any(|(_, other)| roots[at].starts_with(other))
    };
    (!(0..roots.len()).any(lies_in)).then_some(roots)
}

fn walk_all(sources: &Sources) -> Vec<Walk> {
    let walk = |source: &Source| walk(&source.path, &source.name, sources.guard);
    sources.folders.iter().map(walk).collect()
}

pub(super) fn lock_of(sources: &Sources, patience: Patience) -> Option<PathBuf> {
    match patience {
        Patience::Left => sources.folders.iter().find_map(|source| git_lock(&source.path)),
        Patience::Spent => None,
    }
}

/// What became of a source, given where its manifests last were.
fn source_reading(name: &str, walk: &Walk, known: Option<(u64, u64)>) -> SourceReading {
    let moved_and_empty =
        walk.state == SourceState::Empty && known.is_some() && known != walk.root_id;
    let state = if moved_and_empty { SourceState::Unmounted } else { walk.state.clone() };
    let filled_root = if walk.files.is_empty() { known } else { walk.root_id };
    SourceReading { name: name.to_owned(), state, filled_root }
}

/// The digest over everything that makes a difference. Each text ends with a byte that no UTF-8 holds,
/// so that no two snapshots spell the same.
pub(super) fn digest_of(sources: &[SourceReading], files: &[SnapshotFile]) -> Arc<str> {
    const END: &[u8] = &[0xff];
    let mut hash = blake3::Hasher::new();
    for source in sources {
        let state = source.state.as_str().as_bytes();
        hash.update(source.name.as_bytes()).update(END).update(state).update(END);
    }
    for file in files {
        let problem = file.content.as_ref().err().map(ToString::to_string).unwrap_or_default();
        hash.update(file.path.as_bytes()).update(END).update(problem.as_bytes()).update(END);
        hash.update(&file.content_digest);
    }
    hash.finalize().to_hex().as_str().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(reading: Reading) -> Snapshot {
        match reading {
            Reading::Settled(snapshot) => snapshot,
            Reading::Unsettled(why) => panic!("unsettled: {why:?}"),
        }
    }

    #[test]
    fn a_rescan_opens_no_file_whose_stamp_is_old_and_equal() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("a.yaml");
        #[expect(clippy::disallowed_methods, reason = "the test plays the user")]
        std::fs::write(&path, "jobs: {}").unwrap();
        let sources = Sources {
            folders: vec![Source { name: "jobs.d".into(), path: base.path().to_path_buf() }],
            ..Sources::default()
        };
        let mut first = settled(Snapshot::read(&sources, None, Patience::Left));
        let bytes = Arc::clone(first.files[0].content.as_ref().unwrap());

        let young = settled(Snapshot::read(&sources, Some(&first), Patience::Left));
        assert!(!Arc::ptr_eq(&bytes, young.files[0].content.as_ref().unwrap()), "stamp too young");

        first.files[0].stamp = Some(Stamp::of(&path.metadata().unwrap()));
        let old = settled(Snapshot::read(&sources, Some(&first), Patience::Left));
        assert!(Arc::ptr_eq(&bytes, old.files[0].content.as_ref().unwrap()), "read again");
        assert_eq!(old.digest, first.digest);
    }
}
