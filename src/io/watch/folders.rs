//! Which folders are watched, and keeping it so while they come and go.

use std::collections::{BTreeMap, HashSet};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use std::os::unix::fs::MetadataExt;

use crate::io::clock::boot;
use crate::io::files::{Snapshot, Source};
use crate::io::watch::settle::Sign;
use crate::io::watch::silent::silent_file_system;
use crate::io::watch::{FOLDERS_WATCHED_MAX, Hints, Slot};

/// How many links on the way to a source are looked behind.
const LINKS_MAX: usize = 16;

/// What matters among all that the watcher sees.
#[derive(Debug, Default)]
pub(super) struct Scope {
    /// Folders of the sources, without links: every entry matters.
    pub(super) folders: HashSet<PathBuf>,
    /// Entries elsewhere that lead to a source: links, missing folders, the roots themselves.
    pub(super) guards: HashSet<PathBuf>,
}

/// Why hints come by the clock.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WatchWarning {
    /// The system offers no watcher.
    #[error("cannot watch the sources ({0}); they are looked at every 2 s instead")]
    Unavailable(String),
    /// Not all folders can be watched.
    #[error(
        "cannot watch all folders of the sources ({0}); they are looked at every 2 s instead: \
         raise fs.inotify.max_user_watches"
    )]
    Limit(String),
    /// A source is on a file system that does not tell of all changes.
    #[error("{0} is on {1}, which does not tell of all changes; it is looked at every 2 s too")]
    Silent(String, &'static str),
    /// The program was built without the feature `watch`.
    #[error("built without `watch`; the sources are looked at every 2 s")]
    NotBuilt,
}

/// Watches folders. Its methods block for a moment on the file system.
#[derive(Debug)]
pub struct Watch {
    sources: Vec<PathBuf>,
    backend: Option<Backend>,
    slot: Arc<Slot>,
    watched: BTreeMap<PathBuf, FolderId>,
    warning: Option<WatchWarning>,
}

/// Tells a folder from another one that took its place, also when the number of its inode is used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FolderId {
    device: u64,
    inode: u64,
    born: Option<SystemTime>,
}

impl Watch {
    /// Begins to watch the roots of the sources; [`Self::refresh`] adds what is below.
    pub fn start(sources: &[Source]) -> (Self, Hints) {
        let slot = Arc::new(Slot::default());
        let (backend, warning) = match Backend::start(&slot) {
            Ok(backend) => (Some(backend), None),
            Err(warning) => (None, Some(warning)),
        };
        let sources = sources.iter().filter_map(|s| std::path::absolute(&s.path).ok()).collect();
        let mut watch =
            Self { sources, backend, slot: Arc::clone(&slot), watched: BTreeMap::new(), warning };
        slot.seen().hinted_at = boot();
        watch.follow(&[]);
        (watch, Hints { slot })
    }

    /// Watches the folders that a snapshot has searched, forgets those that are gone, and watches anew
    /// those that were replaced. Where that is anything new, a hint follows: something may have happened
    /// in a folder between the look and the watch.
    ///
    /// Call it after each snapshot.
    pub fn refresh(&mut self, snapshot: &Snapshot) {
        if self.follow(&snapshot.folders) {
            self.slot.note(boot(), Sign::Written, None);
        }
    }

    /// Why hints come by the clock; none: all is watched.
    pub fn warning(&self) -> Option<&WatchWarning> {
        self.warning.as_ref()
    }

    /// Watches exactly these folders and what leads to the sources; whether that is anything new.
    fn follow(&mut self, folders: &[PathBuf]) -> bool {
        let mut scope = Scope { folders: folders.iter().cloned().collect(), ..Scope::default() };
        scope.folders.extend(self.sources.iter().filter_map(|s| s.canonicalize().ok()));
        for source in &self.sources {
            guard(source, LINKS_MAX, &mut scope.guards);
        }
        let parents = scope.guards.iter().filter_map(|entry| entry.parent());
        let wanted: BTreeMap<PathBuf, FolderId> = parents
            .chain(scope.folders.iter().map(PathBuf::as_path))
            .filter_map(|folder| Some((folder.to_path_buf(), FolderId::of(folder)?)))
            .take(FOLDERS_WATCHED_MAX)
            .collect();
        let silent = Self::silent(&wanted, &scope);
        // In force before the watches are, so that no event is taken for somebody else's.
        self.slot.seen().scope = scope;
        let Some(backend) = &mut self.backend else {
            self.slot.seen().polling = true;
            return false;
        };
        for folder in self.watched.keys().filter(|folder| !wanted.contains_key(*folder)) {
            backend.forget(folder);
        }
        self.watched.retain(|folder, id| wanted.get(folder) == Some(id));
        let mut failure = (wanted.len() == FOLDERS_WATCHED_MAX)
            .then(|| format!("more than {FOLDERS_WATCHED_MAX}"));
        let mut added = false;
        for (folder, id) in wanted {
            if self.watched.contains_key(&folder) {
                continue;
            }
            backend.forget(&folder);
            match backend.watch(&folder) {
                Ok(Attempt::Watched) => {
                    added = true;
                    self.watched.insert(folder, id);
                }
                Ok(Attempt::Gone) => {}
                Err(error) => failure = Some(error),
            }
        }
        self.warning = failure.map(WatchWarning::Limit).or(silent);
        self.slot.seen().polling = self.warning.is_some();
        added
    }

    /// Says so when a folder of the sources is where changes are not all told. One is asked for each device.
    fn silent(wanted: &BTreeMap<PathBuf, FolderId>, scope: &Scope) -> Option<WatchWarning> {
        let mut devices = HashSet::new();
        let of_sources = wanted.iter().filter(|(folder, _)| scope.folders.contains(*folder));
        let mut asked = of_sources.filter(|(_, id)| devices.insert(id.device));
        asked.find_map(|(folder, _)| {
            let name = silent_file_system(folder)?;
            Some(WatchWarning::Silent(folder.display().to_string(), name))
        })
    }
}

impl FolderId {
    fn of(folder: &Path) -> Option<Self> {
        let stat = folder.metadata().ok().filter(std::fs::Metadata::is_dir)?;
        Some(Self { device: stat.dev(), inode: stat.ino(), born: stat.created().ok() })
    }
}

/// Collects the entries whose change would lead the path elsewhere: each link on it, its first part that
/// does not exist, and its end; with the folders that they stand in free of links.
fn guard(path: &Path, links_left: usize, guards: &mut HashSet<PathBuf>) {
    let mut real = PathBuf::from("/");
    for part in path.components() {
        let name = match part {
            Component::Normal(name) => name,
            Component::ParentDir => {
                real.pop();
                continue;
            }
            Component::Prefix(_) | Component::RootDir | Component::CurDir => continue,
        };
        let entry = real.join(name);
        match entry.read_link() {
            Ok(target) => {
                guards.insert(entry.clone());
                if links_left > 0 {
                    guard(&real.join(target), links_left - 1, guards);
                }
                let Ok(behind) = entry.canonicalize() else { return };
                real = behind;
            }
            Err(_) if entry.symlink_metadata().is_ok() => real = entry,
            Err(_) => {
                guards.insert(entry);
                return;
            }
        }
    }
    guards.insert(real);
}

/// What became of an attempt to watch a folder.
enum Attempt {
    /// It is watched.
    #[cfg_attr(not(feature = "watch"), expect(dead_code, reason = "nothing can be watched"))]
    Watched,
    /// It went away meanwhile.
    #[cfg_attr(not(feature = "watch"), expect(dead_code, reason = "nothing can be watched"))]
    Gone,
}

/// The system's watcher.
#[cfg(feature = "watch")]
#[derive(Debug)]
struct Backend(notify::RecommendedWatcher);

#[cfg(feature = "watch")]
impl Backend {
    fn start(slot: &Arc<Slot>) -> Result<Self, WatchWarning> {
        let slot = Arc::clone(slot);
        let handler = move |event: notify::Result<notify::Event>| match &event {
            Ok(event) => {
                let sign = crate::io::watch::sign::sign_of(event, &slot.seen().scope);
                let path = match &event.paths[..] {
                    [path] => Some(path.as_path()),
                    _ => None,
                };
                if let Some(sign) = sign {
                    slot.note(boot(), sign, path);
                }
            }
            Err(_) => slot.note(boot(), Sign::Written, None),
        };
        notify::recommended_watcher(handler)
            .map(Self)
            .map_err(|error| WatchWarning::Unavailable(error.to_string()))
    }

    fn watch(&mut self, folder: &Path) -> Result<Attempt, String> {
        use notify::{ErrorKind, RecursiveMode, Watcher};
        match self.0.watch(folder, RecursiveMode::NonRecursive) {
            Ok(()) => Ok(Attempt::Watched),
            // The watch on its parent says so too.
            Err(error) if matches!(error.kind, ErrorKind::PathNotFound) => Ok(Attempt::Gone),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Fails when the system has forgotten it already, which is as good.
    fn forget(&mut self, folder: &Path) {
        use notify::Watcher;
        drop(self.0.unwatch(folder));
    }
}

/// What stands for the system's watcher where none is built in.
#[cfg(not(feature = "watch"))]
#[derive(Debug)]
enum Backend {}

#[cfg(not(feature = "watch"))]
impl Backend {
    fn start(_slot: &Arc<Slot>) -> Result<Self, WatchWarning> {
        Err(WatchWarning::NotBuilt)
    }

    fn watch(&mut self, _folder: &Path) -> Result<Attempt, String> {
        match *self {}
    }

    fn forget(&mut self, _folder: &Path) {
        match *self {}
    }
}
