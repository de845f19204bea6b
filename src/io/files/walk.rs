//! The walk over one source: names and `stat`, no contents.
//!
//! Folders are entered once each. A link to a file is resolved inside the source; a link to a folder is
//! followed only where its target would not be found under its own name: the hidden folders in which
//! Kubernetes keeps the versions of a mounted `ConfigMap`.

use std::collections::HashSet;
use std::fs::{Metadata, read_dir};
use std::io::{Error, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Component, Path, PathBuf};

use rustix::io::Errno;

use crate::io::files::guard::{Guard, judge};
use crate::io::files::problem::{FileProblem, FileWarning, SourceState};

/// The largest manifest that is read, in bytes.
pub const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// How many manifests a source may hold.
pub const FILES_MAX: usize = 20_000;
/// How many entries of any kind are looked at in a source.
pub const ENTRIES_MAX: usize = 200_000;
/// How many folders below its root a source is searched.
pub const DEPTH_MAX: usize = 16;

/// What `stat` says about a file or folder: equal stamps mean equal contents, unless it was written
/// within the resolution of its times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Stamp {
    pub(super) device: u64,
    pub(super) inode: u64,
    pub(super) bytes: u64,
    modified: (i64, i64),
    /// Seconds and nanoseconds of the last change of contents, owner or mode.
    pub(super) changed: (i64, i64),
    pub(super) mode: u32,
    pub(super) owner: u32,
    pub(super) group: u32,
    /// How many names it has.
    pub(super) links: u64,
}

/// A manifest, as the walk sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// For people: below the source as it is named, with `/`.
    pub(super) path: String,
    /// Without links, relative to the real root of its source.
    pub(super) real: PathBuf,
    /// What it is, or why it cannot be read.
    pub(super) stamp: Result<Stamp, FileProblem>,
    /// What is suspicious about it.
    pub(super) warning: Option<FileWarning>,
}

/// What a walk found. Two equal walks saw the same source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Walk {
    /// Without links; none when there is no such folder.
    pub(super) root: Option<PathBuf>,
    /// Device and inode of the root.
    pub(super) root_id: Option<(u64, u64)>,
    pub(super) state: SourceState,
    /// Sorted by path.
    pub(super) files: Vec<Found>,
    /// Every folder whose entries were looked at, and those of the targets of links: what to watch.
    pub(super) folders: Vec<PathBuf>,
    /// Whether anything was found behind a link, so that a file may have several paths.
    pub(super) has_links: bool,
}

/// Whether a file of this name is a manifest.
///
/// ```
/// use cronwright::io::files::is_manifest_name;
/// assert!(is_manifest_name("etl.yaml"));
/// assert!(!is_manifest_name(".etl.yaml") && !is_manifest_name("etl.yaml~"));
/// ```
pub fn is_manifest_name(name: &str) -> bool {
    const EXTENSIONS: [&str; 4] = ["yaml", "yml", "toml", "json"];
    let scratch = name.starts_with(['.', '#']);
    let extension = name.rsplit_once('.').map(|(_, extension)| extension);
    !scratch && extension.is_some_and(|e| EXTENSIONS.contains(&e))
}

impl Stamp {
    pub(super) fn of(stat: &Metadata) -> Self {
        Self {
            device: stat.dev(),
            inode: stat.ino(),
            bytes: stat.size(),
            modified: (stat.mtime(), stat.mtime_nsec()),
            changed: (stat.ctime(), stat.ctime_nsec()),
            mode: stat.mode(),
            owner: stat.uid(),
            group: stat.gid(),
            links: stat.nlink(),
        }
    }

    #[cfg(test)]
    pub(super) fn of_mode(mode: u32, owner: u32, group: u32, links: u64) -> Self {
        let (modified, changed) = ((0, 0), (0, 0));
        Self { device: 0, inode: 0, bytes: 0, modified, changed, mode, owner, group, links }
    }
}

/// Walks the source `folder`, whose files people know as `shown/…`.
pub(super) fn walk(folder: &Path, shown: &str, guard: Guard) -> Walk {
    let mut walk = Walk {
        root: None,
        root_id: None,
        state: SourceState::Missing,
        files: Vec::new(),
        folders: Vec::new(),
        has_links: false,
    };
    let (root, stat) = match folder.canonicalize().and_then(|r| r.metadata().map(|s| (r, s))) {
        Ok(found) => found,
        Err(error) => {
            walk.state = if error.kind() == ErrorKind::NotFound {
                SourceState::Missing
            } else if error.kind() == ErrorKind::NotADirectory {
                SourceState::NotFolder
            } else {
                SourceState::Unreadable(words(&error))
            };
            return walk;
        }
    };
    if !stat.is_dir() {
        walk.state = SourceState::NotFolder;
        return walk;
    }
    walk.root_id = Some((stat.dev(), stat.ino()));
    walk.root = Some(root.clone());
    let mut walker =
        Walker { root: &root, guard, walk, entered: HashSet::new(), entries: 0, todo: vec![] };
    walker.todo.push(Folder { real: root.clone(), shown: shown.to_owned(), depth: 0 });
    let ended = walker.enter_all();
    let mut walk = walker.walk;
    walk.files.sort_by(|a, b| a.path.cmp(&b.path));
    walk.folders.sort();
    walk.folders.dedup();
    walk.state = match ended {
        Err(state) => state,
        Ok(()) if walk.files.is_empty() => SourceState::Empty,
        Ok(()) => SourceState::Read,
    };
    walk
}

/// A folder to enter.
struct Folder {
    real: PathBuf,
    shown: String,
    depth: usize,
}

/// A walk that is under way.
struct Walker<'a> {
    root: &'a Path,
    guard: Guard,
    walk: Walk,
    entered: HashSet<(u64, u64)>,
    entries: usize,
    todo: Vec<Folder>,
}

impl Walker<'_> {
    /// Enters every folder. A folder that cannot be searched makes the source incomplete, and the
    /// others are searched all the same; a source beyond its bounds counts as holding nothing.
    fn enter_all(&mut self) -> Result<(), SourceState> {
        let mut state = Ok(());
        while let Some(folder) = self.todo.pop() {
            if folder.depth > DEPTH_MAX {
                state = Err(SourceState::TooDeep(folder.shown));
                continue;
            }
            match self.enter(&folder) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::QuotaExceeded => {
                    self.walk.files.clear();
                    return Err(SourceState::TooManyFiles);
                }
                Err(error) => {
                    let shown = &folder.shown;
                    state = Err(SourceState::Unreadable(format!("`{shown}`: {}", words(&error))));
                }
            }
        }
        state
    }

    /// Looks at the entries of one folder. `QuotaExceeded`: the source is beyond its bounds.
    fn enter(&mut self, folder: &Folder) -> Result<(), Error> {
        let stat = folder.real.metadata()?;
        if !self.entered.insert((stat.dev(), stat.ino())) {
            return Ok(());
        }
        self.walk.folders.push(folder.real.clone());
        let open_to_all = is_open_to_all(&stat);
        for entry in read_dir(&folder.real)? {
            let entry = entry?;
            self.entries += 1;
            if self.entries > ENTRIES_MAX || self.walk.files.len() >= FILES_MAX {
                return Err(ErrorKind::QuotaExceeded.into());
            }
            let name = entry.file_name();
            let lossy = name.to_string_lossy();
            if lossy.starts_with('.') {
                continue;
            }
            let is_manifest = is_manifest_name(&lossy);
            let kind = entry.file_type()?;
            let here = Entry {
                real: entry.path(),
                shown: format!("{}/{lossy}", folder.shown),
                depth: folder.depth + 1,
                is_manifest,
            };
            if kind.is_dir() {
                self.todo.push(Folder { real: here.real, shown: here.shown, depth: here.depth });
            } else if kind.is_symlink() {
                self.link(here, folder, open_to_all);
            } else if is_manifest && name.to_str().is_none() {
                self.found(here, Err(FileProblem::NameNotUtf8));
            } else if is_manifest {
                let stat = entry.metadata();
                self.file(here, stat, folder, open_to_all);
            }
        }
        Ok(())
    }

    /// A link: to a manifest, to a folder, to nothing.
    fn link(&mut self, mut entry: Entry, folder: &Folder, open_to_all: bool) {
        self.walk.has_links = true;
        let target = entry.real.canonicalize().and_then(|t| t.symlink_metadata().map(|s| (t, s)));
        let (target, stat) = match target {
            Ok(found) => found,
            Err(_) if !entry.is_manifest => return,
            Err(error) => return self.found(entry, Err(problem_of(&error))),
        };
        let Ok(inside) = target.strip_prefix(self.root) else {
            if entry.is_manifest || stat.is_dir() {
                self.found(entry, Err(FileProblem::OutsideSource));
            }
            return;
        };
        if stat.is_dir() {
            if goes_through_hidden(inside) {
                self.todo.push(Folder { real: target, shown: entry.shown, depth: entry.depth });
            }
        } else if entry.is_manifest {
            self.walk.folders.extend(target.parent().map(Path::to_path_buf));
            entry.real = target;
            self.file(entry, Ok(stat), folder, open_to_all);
        }
    }

    /// A manifest by its name: whatever it is.
    fn file(
        &mut self,
        entry: Entry,
        stat: Result<Metadata, Error>,
        folder: &Folder,
        open_to_all: bool,
    ) {
        self.found(entry, stamp_of(stat, &folder.shown, open_to_all));
    }

    fn found(&mut self, entry: Entry, stamp: Result<Stamp, FileProblem>) {
        let real = entry.real.strip_prefix(self.root).unwrap_or(&entry.real).to_path_buf();
        self.walk.files.push(Found::judged(entry.shown, real, stamp, self.guard));
    }
}

impl Found {
    fn judged(
        path: String,
        real: PathBuf,
        stamp: Result<Stamp, FileProblem>,
        guard: Guard,
    ) -> Self {
        let judged = stamp.and_then(|stamp| Ok((stamp, judge(&stamp, guard)?)));
        let warning = judged.as_ref().ok().and_then(|(_, warning)| *warning);
        let stamp = judged.map(|(stamp, _)| stamp);
        Self { path, real, stamp, warning }
    }

    /// The manifest that people know as `shown`, at `real` below `root`, without a walk: what one would
    /// find there if no link leads to it.
    pub(super) fn look(root: &Path, real: &Path, shown: &str, guard: Guard) -> Option<Self> {
        let place = root.join(real);
        let folder = place.parent()?.symlink_metadata().ok()?;
        let stat = place.symlink_metadata();
        let is_plain = folder.is_dir() && stat.as_ref().is_ok_and(Metadata::is_file);
        let shown_folder = shown.rsplit_once('/').map_or("", |(folder, _)| folder);
        let stamp = stamp_of(stat, shown_folder, is_open_to_all(&folder));
        is_plain.then(|| Self::judged(shown.to_owned(), real.to_path_buf(), stamp, guard))
    }
}

/// Whether every user may replace the entries of a folder.
fn is_open_to_all(folder: &Metadata) -> bool {
    folder.mode() & 0o002 != 0
}

fn stamp_of(
    stat: Result<Metadata, Error>,
    folder: &str,
    open_to_all: bool,
) -> Result<Stamp, FileProblem> {
    match stat {
        Err(error) => Err(problem_of(&error)),
        Ok(stat) if !stat.is_file() => Err(FileProblem::NotRegular(kind_of(&stat))),
        Ok(_) if open_to_all => Err(FileProblem::FolderWorldWritable(folder.to_owned())),
        Ok(stat) if stat.size() > FILE_BYTES_MAX => Err(FileProblem::TooLarge(stat.size())),
        Ok(stat) => Ok(Stamp::of(&stat)),
    }
}

/// An entry of a folder.
struct Entry {
    real: PathBuf,
    shown: String,
    depth: usize,
    is_manifest: bool,
}

/// Whether a walk would not come by there.
fn goes_through_hidden(inside: &Path) -> bool {
    inside.components().any(|part| match part {
        Component::Normal(name) => name.as_encoded_bytes().starts_with(b"."),
        Component::Prefix(_) | Component::RootDir | Component::CurDir | Component::ParentDir => {
            false
        }
    })
}

/// The problem behind an error of the system.
pub(super) fn problem_of(error: &Error) -> FileProblem {
    let kind = error.kind();
    if kind == ErrorKind::NotFound || kind == ErrorKind::NotADirectory {
        FileProblem::Vanished
    } else if Errno::from_io_error(error) == Some(Errno::LOOP) {
        FileProblem::LinkLoop
    } else {
        FileProblem::Unreadable(words(error))
    }
}

/// The system's words, without Rust's number behind them.
fn words(error: &Error) -> String {
    let text = error.to_string();
    let end = text.find(" (os error").unwrap_or(text.len());
    text[..end].to_lowercase()
}

pub(super) fn kind_of(stat: &Metadata) -> &'static str {
    let kind = stat.file_type();
    if kind.is_fifo() {
        "FIFO"
    } else if kind.is_socket() {
        "socket"
    } else if kind.is_dir() {
        "folder"
    } else {
        "device"
    }
}
