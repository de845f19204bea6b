//! The contents of what walks have found: those known already, else read.

use std::collections::{HashMap, HashSet};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use crate::io::clock::wall;
use crate::io::files::content::{ReadFault, open_root, read_file};
use crate::io::files::problem::FileProblem;
use crate::io::files::snapshot::{Snapshot, SnapshotFile, SourceReading, TOTAL_BYTES_MAX};
use crate::io::files::walk::{Found, Stamp, Walk};
use crate::io::files::written::Written;
use crate::io::git::{GitFile, GitReading};

/// A file that changed less than this before it was read is read again next time: within the resolution
/// of a file system's clock (2 s on FAT), contents may change while the stamp stays equal.
const STAMP_RESOLUTION_SECONDS: i64 = 2;

/// What one attempt took in.
pub(super) struct Taken {
    pub(super) files: Vec<SnapshotFile>,
    /// A file that changed under the reader.
    pub(super) moved: Option<String>,
    /// Whether every file so far is, in order, the one of the snapshot before.
    same: bool,
}

/// Contents that need not be read again: of the snapshot before, where its stamps are older than their
/// resolution, and of earlier attempts of this reading.
pub(super) struct Pool<'p> {
    previous: &'p [SnapshotFile],
    /// Where in `previous` the last file was found: both are in the same order.
    at: usize,
    /// Files of `previous` by stamp, once one is asked for that has moved.
    moved: Option<HashMap<Stamp, usize>>,
    read: HashMap<Stamp, Bytes>,
}

/// Bytes of a file, and their BLAKE3.
#[derive(Clone)]
struct Bytes {
    bytes: Arc<[u8]>,
    digest: [u8; 32],
}

impl Bytes {
    fn of(file: &SnapshotFile) -> Option<Self> {
        let bytes = Arc::clone(file.content.as_ref().ok()?);
        Some(Self { bytes, digest: file.content_digest })
    }
}

impl<'p> Pool<'p> {
    pub(super) fn of(previous: Option<&'p Snapshot>) -> Self {
        let previous = previous.map(|previous| previous.files.as_slice()).unwrap_or_default();
        Self { previous, at: 0, moved: None, read: HashMap::new() }
    }

    /// The file of this path in the snapshot before. Quick when files are asked for in order.
    fn known(&mut self, source: usize, path: &str) -> Option<(usize, &'p SnapshotFile)> {
        let rest = self.previous.get(self.at..)?;
        let before = |file: &&SnapshotFile| (file.source, &*file.path) < (source, path);
        self.at += rest.iter().take_while(before).count();
        let file = self.previous.get(self.at)?;
        (file.source == source && *file.path == *path).then_some((self.at, file))
    }

    /// What has this stamp, wherever it was.
    fn elsewhere(&mut self, stamp: &Stamp) -> Option<Bytes> {
        if let Some(bytes) = self.read.get(stamp) {
            return Some(bytes.clone());
        }
        let stamped = |(at, file): (usize, &SnapshotFile)| Some((file.stamp?, at));
        let moved = self
            .moved
            .get_or_insert_with(|| self.previous.iter().enumerate().filter_map(stamped).collect());
        self.previous.get(*moved.get(stamp)?).and_then(Bytes::of)
    }
}

impl Taken {
    /// Reads what was found, as far as the pool does not hold it.
    pub(super) fn read(walks: &[Walk], pool: &mut Pool<'_>) -> Self {
        let count = walks.iter().map(|walk| walk.files.len()).sum();
        let mut taken = Self { files: Vec::with_capacity(count), moved: None, same: true };
        let mut seen = HashSet::new();
        let mut left = TOTAL_BYTES_MAX;
        let settled_before = settled_before();
        pool.at = 0;
        for (source, walk) in walks.iter().enumerate() {
            let root = walk.root.as_deref().and_then(open_root);
            for found in &walk.files {
                // One source alone names each file once.
                if walks.len() > 1 && !seen.insert(&found.path) {
                    continue;
                }
                let known = pool.known(source, &found.path);
                let stamp = found.stamp.as_ref().ok();
                let kept =
                    known.filter(|(_, file)| stamp.is_some() && file.stamp.as_ref() == stamp);
                let content = match kept.and_then(|(_, file)| Bytes::of(file)) {
                    Some(bytes) => room(stamp, &mut left).map(|()| bytes),
                    None => taken.content(root.as_ref(), found, pool, &mut left),
                };
                let file = SnapshotFile {
                    path: known
                        .map_or_else(|| found.path.as_str().into(), |(_, k)| Arc::clone(&k.path)),
                    source,
                    warning: found.warning,
                    content_digest: content.as_ref().map(|c| c.digest).unwrap_or_default(),
                    content: content.map(|c| c.bytes),
                    stamp: stamp.copied().filter(|s| s.changed.0 < settled_before),
                };
                taken.push(file, known);
            }
        }
        taken
    }

    /// Adds what git holds, as the source of this number.
    pub(super) fn add(&mut self, git: &GitReading, source: usize, previous: Option<&Snapshot>) {
        let Some((_, tree)) = &git.accepted else { return };
        let mut pool = Pool::of(previous);
        let file = |file: &GitFile| SnapshotFile {
            path: Arc::clone(&file.path),
            source,
            warning: None,
            content_digest: file.digest,
            content: file.content.clone(),
            stamp: None,
        };
        for file in tree.files.iter().map(file) {
            let known = pool.known(source, &file.path);
            self.push(file, known);
        }
    }

    /// Adds what the program declares, as the source of this number.
    pub(super) fn add_written(
        &mut self,
        written: &Written,
        source: usize,
        previous: Option<&Snapshot>,
    ) {
        let mut pool = Pool::of(previous);
        for (path, bytes) in written.manifests() {
            let file = SnapshotFile {
                path: Arc::clone(path),
                source,
                warning: None,
                content_digest: *blake3::hash(bytes).as_bytes(),
                content: Ok(Arc::clone(bytes)),
                stamp: None,
            };
            let known = pool.known(source, path);
            self.push(file, known);
        }
    }

    /// Whether this is what the snapshot before holds, so that its digest is this one's.
    pub(super) fn is_same(&self, previous: &Snapshot, sources: &[SourceReading]) -> bool {
        let states_are = sources.len() == previous.sources.len()
            && sources
                .iter()
                .zip(&previous.sources)
                .all(|(a, b)| (&a.name, &a.state) == (&b.name, &b.state));
        self.same && states_are && self.files.len() == previous.files.len()
    }

    fn push(&mut self, file: SnapshotFile, known: Option<(usize, &SnapshotFile)>) {
        let is_known = known.is_some_and(|(at, known)| {
            at == self.files.len()
                && known.content_digest == file.content_digest
                && known.content.as_ref().err() == file.content.as_ref().err()
        });
        self.same &= is_known;
        self.files.push(file);
    }

    /// The bytes of one file: those of the pool, else read and added to it.
    fn content(
        &mut self,
        root: Option<&OwnedFd>,
        found: &Found,
        pool: &mut Pool<'_>,
        left: &mut u64,
    ) -> Result<Bytes, FileProblem> {
        let stamp = found.stamp.clone()?;
        room(Some(&stamp), left)?;
        if let Some(content) = pool.elsewhere(&stamp) {
            return Ok(content);
        }
        let root = root.ok_or(FileProblem::Vanished)?;
        match read_file(root, found, &stamp) {
            Ok(bytes) => {
                let digest = *blake3::hash(&bytes).as_bytes();
                let content = Bytes { bytes: bytes.into(), digest };
                pool.read.insert(stamp, content.clone());
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

/// The moment, in Unix seconds, before which a file must have changed for its stamp to stand for its contents.
pub(super) fn settled_before() -> i64 {
    wall().timestamp() - STAMP_RESOLUTION_SECONDS
}

/// Takes the room of a file from what all of them may hold, also when it need not be read.
fn room(stamp: Option<&Stamp>, left: &mut u64) -> Result<(), FileProblem> {
    let bytes = stamp.map_or(0, |stamp| stamp.bytes);
    *left = left.checked_sub(bytes).ok_or(FileProblem::NoRoom)?;
    Ok(())
}
