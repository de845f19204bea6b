//! The folder of the spool's files. File names are numbers, never ids.

use std::fs::{DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{AtFlags, Dir, Mode, OFlags, fsync, open, openat, renameat, unlinkat};

/// Ends the names of files that hold endings.
const SUFFIX: &str = "jsonl";

/// Ends the name of a file that is being written.
const DRAFT: &str = "draft";

/// Ends the name of a file that was moved aside.
const DAMAGED: &str = "damaged";

/// Where a line stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// Number of the file.
    pub(super) file: u64,
    /// Bytes before it.
    pub(super) offset: u64,
    /// Its bytes, without the line feed.
    pub(super) length: usize,
}

/// An open folder. It stays this very one: when somebody removes it and a successor makes another in its
/// place, nothing of ours gets among the successor's files.
#[derive(Debug, Clone)]
pub(super) struct Folder(Arc<OwnedFd>);

impl Folder {
    /// Opens the folder, which is made when it is not there.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self(Arc::new(open(path, flags, Mode::empty())?)))
    }

    /// The numbers of the files, in order.
    pub(super) fn files(&self) -> io::Result<Vec<u64>> {
        let mut files = Vec::new();
        for entry in Dir::read_from(&*self.0)? {
            let entry = entry?;
            let number = entry.file_name().to_str().ok().and_then(|name| {
                let (number, suffix) = name.split_once('.')?;
                (suffix == SUFFIX).then(|| number.parse::<u64>().ok())?
            });
            files.extend(number);
        }
        files.sort_unstable();
        Ok(files)
    }

    /// The whole of a file.
    pub(super) fn read(&self, file: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.file(&name(file, SUFFIX))?.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// One line of a file.
    pub(super) fn line(&self, place: Place) -> io::Result<String> {
        let mut bytes = vec![0; place.length];
        self.file(&name(place.file, SUFFIX))?.read_exact_at(&mut bytes, place.offset)?;
        String::from_utf8(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    /// Writes a file, whole and durable or not at all.
    pub(super) fn write(&self, file: u64, bytes: &[u8]) -> io::Result<()> {
        let draft = name(file, DRAFT);
        let renamed =
            self.write_draft(&draft, bytes).and_then(|()| self.rename(file, DRAFT, SUFFIX));
        if renamed.is_err() {
            self.unlink(&draft);
        }
        renamed?;
        Ok(fsync(&*self.0)?)
    }

    /// Removes a file. One that stays is read at the next start; its endings are then said once more.
    pub(super) fn remove(&self, file: u64) {
        self.unlink(&name(file, SUFFIX));
    }

    /// Renames a file so that it is looked at no more; its new name.
    pub(super) fn move_aside(&self, file: u64) -> io::Result<String> {
        self.rename(file, SUFFIX, DAMAGED)?;
        Ok(name(file, DAMAGED))
    }

    fn write_draft(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC;
        let mut file = File::from(openat(&*self.0, name, flags, Mode::RUSR | Mode::WUSR)?);
        file.write_all(bytes)?;
        file.sync_data()
    }

    fn rename(&self, file: u64, from: &str, to: &str) -> io::Result<()> {
        Ok(renameat(&*self.0, name(file, from), &*self.0, name(file, to))?)
    }

    fn file(&self, name: &str) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        Ok(File::from(openat(&*self.0, name, flags, Mode::empty())?))
    }

    fn unlink(&self, name: &str) {
        match unlinkat(&*self.0, name, AtFlags::empty()) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => {}
            Err(error) => tracing::warn!(name, %error, "cannot remove a spool file"),
        }
    }
}

fn name(file: u64, suffix: &str) -> String {
    format!("{file:012}.{suffix}")
}
