//! A snapshot of which a few files were written again: those alone are read, whatever else there is.
//!
//! A shortcut for what a person does all day, saving one file among thousands. It takes in what is plain:
//! files that are known already, without links. Everything else (files that are new or gone, folders, whatever
//! is not seen whole) asks for a reading of everything, and so does every rescan.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use crate::io::files::content::{open_root, read_file};
use crate::io::files::problem::SourceState;
use crate::io::files::revision::Revision;
use crate::io::files::snapshot::{
    Patience, Snapshot, SnapshotFile, Sources, TOTAL_BYTES_MAX, digest_of, lock_of,
};
use crate::io::files::taken::settled_before;
use crate::io::files::walk::Found;

impl Snapshot {
    /// This snapshot with the files that stand at `paths` as they are now. None: read everything.
    ///
    /// Blocks on the file system.
    pub fn with_touched(&self, sources: &Sources, paths: &BTreeSet<PathBuf>) -> Option<Self> {
        let is_whole = self.sources.iter().all(|source| source.state == SourceState::Read);
        if !is_whole
            || sources.git.is_some()
            || sources.written.is_some()
            || lock_of(sources, Patience::Left).is_some()
        {
            return None;
        }
        let mut snapshot = self.clone();
        for path in paths {
            let at = self.at(path)?;
            let touched = self.touched(sources, at, path)?;
            snapshot.files[at] = touched;
        }
        let bytes =
            |file: &SnapshotFile| file.content.as_ref().map_or(0, |bytes| bytes.len() as u64);
        let is_too_much = snapshot.files.iter().map(bytes).sum::<u64>() > TOTAL_BYTES_MAX;
        // A checkout that has begun meanwhile.
        if is_too_much || lock_of(sources, Patience::Left).is_some() {
            return None;
        }
        snapshot.digest = digest_of(&snapshot.sources, &snapshot.files);
        snapshot.revision = Revision::find(sources, &snapshot.digest);
        Some(snapshot)
    }

    /// Which file stands at `path`, if it is a known one that has no other path.
    fn at(&self, path: &std::path::Path) -> Option<usize> {
        let roots = self.plain_roots.as_ref()?;
        let below =
            |(source, root): (usize, &PathBuf)| Some((source, path.strip_prefix(root).ok()?));
        let (source, real) = roots.iter().enumerate().find_map(below)?;
        let shown = format!("{}/{}", self.sources.get(source)?.name, real.to_str()?);
        let key = |file: &SnapshotFile| (file.source, &*file.path).cmp(&(source, shown.as_str()));
        self.files.binary_search_by(key).ok()
    }

    /// The file as it is now; none: it is nothing plain, or it is being written.
    fn touched(
        &self,
        sources: &Sources,
        at: usize,
        path: &std::path::Path,
    ) -> Option<SnapshotFile> {
        let file = self.files.get(at)?;
        let root = self.plain_roots.as_ref()?.get(file.source)?;
        let found = Found::look(root, path.strip_prefix(root).ok()?, &file.path, sources.guard)?;
        let stamp = *found.stamp.as_ref().ok()?;
        let bytes = read_file(&open_root(root)?, &found, &stamp).ok()?;
        Some(SnapshotFile {
            path: Arc::clone(&file.path),
            source: file.source,
            content_digest: *blake3::hash(&bytes).as_bytes(),
            content: Ok(bytes.into()),
            warning: found.warning,
            stamp: Some(stamp).filter(|stamp| stamp.changed.0 < settled_before()),
        })
    }
}
