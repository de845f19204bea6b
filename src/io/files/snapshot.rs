//! A consistent reading of all sources.

use std::collections::{HashMap, HashSet};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::diagnostic::Diagnostic;
use crate::io::clock::wall;
use crate::io::files::content::{ReadFault, open_root, read_file};
use crate::io::files::problem::{FileProblem, FileWarning, SourceState};
use crate::io::files::revision::{Revision, git_lock};
use crate::io::files::walk::{Found, Stamp, Walk, walk};
use crate::spec::manifest::{Content, ManifestFile};

/// How much all manifests together may hold, in bytes.
pub const TOTAL_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// How long a reader waits for sources to settle before it reads them with [`Patience::Spent`].
pub const UNSETTLED_MAX: Duration = Duration::from_secs(30);
/// How often one reading looks again when something moved meanwhile.
const ATTEMPTS_MAX: usize = 3;
/// A file that changed less than this before it was read is read again next time: within the resolution
/// of a file system's clock (2 s on FAT), contents may change while the stamp stays equal.
const STAMP_RESOLUTION_SECONDS: i64 = 2;

/// What is read.
#[derive(Debug, Clone)]
pub struct Sources {
    /// The folders, in order.
    pub folders: Vec<Source>,
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
    /// Folders whose entries matter, without links.
    pub(crate) folders: Vec<PathBuf>,
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
    stamp: Option<Stamp>,
}

/// Bytes that need not be read again.
#[derive(Clone)]
struct Bytes {
    bytes: Arc<[u8]>,
    digest: [u8; 32],
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
        let sources = self.sources.iter().filter_map(of_source);
        sources.chain(self.files.iter().filter_map(of_file)).collect()
    }

    /// Reads all sources. Bytes of `previous` are used again where `stat` says that nothing changed, so
    /// that a rescan without changes opens no file.
    ///
    /// Files that every user may write, or replace, are refused; files that a shared group may write are
    /// read with a warning. A group that has the owner's number (umask 002) or is root's is not shared.
    /// This holds for a root daemon too, which does not ask who owns a manifest; folders above the
    /// source are never judged, so that a clone below `/tmp` works.
    ///
    /// Blocks on the file system: call it where that is allowed.
    pub fn read(sources: &Sources, previous: Option<&Self>, patience: Patience) -> Reading {
        let mut pool = previous.map(Self::settled_contents).unwrap_or_default();
        let mut moving = None;
        for _ in 0..ATTEMPTS_MAX {
            if let Some(lock) = lock_of(sources, patience) {
                return Reading::Unsettled(Unsettled::GitLock(lock));
            }
            let walks = walk_all(sources);
            let taken = Taken::read(&walks, &mut pool);
            let snapshot = Self::of(sources, &walks, taken.files, previous);
            // A folder that is searched while it changes may hide files that never left.
            let unchanged = previous.is_some_and(|p| p.digest == snapshot.digest);
            let settled = taken.moved.is_none() && (unchanged || walk_all(sources) == walks);
            if settled && lock_of(sources, patience).is_none() {
                return Reading::Settled(snapshot);
            }
            moving = taken.moved;
        }
        match patience {
            Patience::Left => Reading::Unsettled(Unsettled::Moving(moving)),
            Patience::Spent => {
                let walks = walk_all(sources);
                let files = Taken::read(&walks, &mut pool).files;
                Reading::Settled(Self::of(sources, &walks, files, previous))
            }
        }
    }

    /// What may be used again: everything whose stamp is older than the resolution of stamps.
    fn settled_contents(&self) -> HashMap<Stamp, Bytes> {
        let settled = |file: &SnapshotFile| {
            let bytes = file.content.as_ref().ok()?;
            let content = Bytes { bytes: Arc::clone(bytes), digest: file.content_digest };
            Some((file.stamp?, content))
        };
        self.files.iter().filter_map(settled).collect()
    }

    fn of(
        sources: &Sources,
        walks: &[Walk],
        files: Vec<SnapshotFile>,
        previous: Option<&Self>,
    ) -> Self {
        let mut readings = Vec::with_capacity(walks.len());
        let mut folders = Vec::new();
        for (source, walk) in sources.folders.iter().zip(walks) {
            let known = previous
                .and_then(|p| p.sources.iter().find(|known| known.name == source.name))
                .and_then(|known| known.filled_root);
            readings.push(source_reading(&source.name, walk, known));
            folders.extend(walk.folders.iter().cloned());
        }
        let digest = digest_of(&readings, &files);
        let paths: Vec<&Path> =
            sources.folders.iter().map(|source| source.path.as_path()).collect();
        let revision = Revision::find(&paths, sources.revision.as_deref(), &digest);
        Self { sources: readings, files, digest, revision, folders }
    }
}

/// What one attempt took in.
struct Taken {
    files: Vec<SnapshotFile>,
    /// How many files were opened.
    opened: usize,
    /// A file that changed under the reader.
    moved: Option<String>,
}

impl Taken {
    fn read(walks: &[Walk], pool: &mut HashMap<Stamp, Bytes>) -> Self {
        let mut taken = Self { files: Vec::new(), opened: 0, moved: None };
        let mut seen = HashSet::new();
        let mut left = TOTAL_BYTES_MAX;
        let settled_before = wall().timestamp() - STAMP_RESOLUTION_SECONDS;
        for (source, walk) in walks.iter().enumerate() {
            let root = walk.root.as_deref().and_then(open_root);
            for found in walk.files.iter().filter(|found| seen.insert(&found.path)) {
                let content = taken.content(root.as_ref(), found, pool, &mut left);
                let stamp = found.stamp.as_ref().ok();
                taken.files.push(SnapshotFile {
                    path: found.path.as_str().into(),
                    source,
                    warning: stamp.and_then(Stamp::warning),
                    content_digest: content.as_ref().map(|c| c.digest).unwrap_or_default(),
                    content: content.map(|c| c.bytes),
                    stamp: stamp.copied().filter(|s| s.changed.0 < settled_before),
                });
            }
        }
        taken
    }

    /// The bytes of one file: those of the pool, else read and added to it.
    fn content(
        &mut self,
        root: Option<&OwnedFd>,
        found: &Found,
        pool: &mut HashMap<Stamp, Bytes>,
        left: &mut u64,
    ) -> Result<Bytes, FileProblem> {
        let stamp = found.stamp.clone()?;
        *left = left.checked_sub(stamp.bytes).ok_or(FileProblem::NoRoom)?;
        if let Some(content) = pool.get(&stamp) {
            return Ok(content.clone());
        }
        self.opened += 1;
        let root = root.ok_or(FileProblem::Vanished)?;
        match read_file(root, found, &stamp) {
            Ok(bytes) => {
                let digest = *blake3::hash(&bytes).as_bytes();
                let content = Bytes { bytes: bytes.into(), digest };
                pool.insert(stamp, content.clone());
                Ok(content)
            }
            Err(ReadFault::Problem(problem)) => Err(problem),
            Err(ReadFault::Moved) => {
                self.moved = Some(found.path.clone());
                Err(FileProblem::Moving)
            }
        }
    }
}

fn walk_all(sources: &Sources) -> Vec<Walk> {
    sources.folders.iter().map(|source| walk(&source.path, &source.name)).collect()
}

fn lock_of(sources: &Sources, patience: Patience) -> Option<PathBuf> {
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
fn digest_of(sources: &[SourceReading], files: &[SnapshotFile]) -> Arc<str> {
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
            revision: None,
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
