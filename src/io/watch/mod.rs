//! Hints that the sources may have changed: "look again", and, where only few files were [`Touched`], which.
//!
//! [`Watch`] tells the system which folders matter, [`Hints`] says when it is time to look, after the
//! quiet that [`settle`] asks for. Events may merge, repeat or be lost: whoever acts on hints also looks
//! every [`RESCAN_INTERVAL`]. Without inotify (or without the feature `watch`), and on file systems that
//! do not tell of all changes, the hint also comes every [`POLL_INTERVAL`], which costs one `stat` per file.
//!
//! Only folders are watched, each by itself: those that the last snapshot searched, and the parents of
//! every link or missing part on the way to a source, so that a folder that is replaced, deleted or late
//! is seen. Hidden folders (`.git`) are not watched.

mod folders;
pub mod settle;
#[cfg(feature = "watch")]
mod sign;
mod silent;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::io::clock::boot;
use crate::time::BootTime;

pub use folders::{Watch, WatchWarning};
use settle::{Settle, Sign};

/// How often the sources are looked at whatever the watcher says.
pub const RESCAN_INTERVAL: Duration = Duration::from_secs(30);
/// How often they are looked at where nothing can be watched.
pub const POLL_INTERVAL: Duration = Duration::from_secs(2);
/// How many folders are watched.
pub const FOLDERS_WATCHED_MAX: usize = 8192;

/// How many paths of one hint are told apart.
const TOUCHED_MAX: usize = 64;

/// What a hint is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Touched {
    /// Perhaps everything.
    Anything,
    /// All that was heard is about these entries of folders, without links. Something else may have changed
    /// unheard, so that sooner or later everything is looked at all the same.
    Only(BTreeSet<PathBuf>),
}

impl Touched {
    fn add(&mut self, path: Option<&Path>) {
        match (&mut *self, path) {
            (Self::Only(paths), Some(path)) if paths.len() < TOUCHED_MAX => {
                paths.insert(path.to_path_buf());
            }
            (Self::Only(_), _) => *self = Self::Anything,
            (Self::Anything, _) => {}
        }
    }
}

impl Default for Touched {
    fn default() -> Self {
        Self::Only(BTreeSet::new())
    }
}

/// Where the watcher's thread leaves word. It is never made to wait.
#[derive(Debug, Default)]
struct Slot {
    seen: Mutex<Seen>,
    changed: Notify,
}

/// What has been seen since the last hint.
#[derive(Debug, Default)]
struct Seen {
    settle: Settle,
    touched: Touched,
    scope: folders::Scope,
    /// Not everything can be watched: hints also come by the clock.
    polling: bool,
    hinted_at: BootTime,
}

impl Slot {
    /// A thread that panicked while it held the lock left nothing half done.
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of a sign about the entry `path`; none: about anything.
    fn note(&self, now: BootTime, sign: Sign, path: Option<&Path>) {
        let mut seen = self.seen();
        seen.settle.note(now, sign);
        seen.touched.add(path);
        drop(seen);
        self.changed.notify_one();
    }
}

/// The receiving end of a [`Watch`].
#[derive(Debug)]
pub struct Hints {
    slot: Arc<Slot>,
}

impl Hints {
    /// Waits until something has changed and is quiet again; answers what. Safe to drop before it ends.
    pub async fn settled(&mut self) -> Touched {
        loop {
            let now = boot();
            match self.deadline() {
                Some(deadline) if deadline <= now => return self.take(now),
                Some(deadline) => {
                    let left = deadline.since(now);
                    // Either way the deadline is asked for again.
                    let _either =
                        tokio::time::timeout(left, self.slot.changed.notified()).await.is_ok();
                }
                None => self.slot.changed.notified().await,
            }
        }
    }

    fn deadline(&self) -> Option<BootTime> {
        let seen = self.slot.seen();
        let poll = seen.polling.then(|| seen.hinted_at.plus(POLL_INTERVAL));
        seen.settle.deadline().into_iter().chain(poll).min()
    }

    fn take(&self, now: BootTime) -> Touched {
        let mut seen = self.slot.seen();
        seen.settle = Settle::default();
        seen.hinted_at = now;
        let touched = std::mem::take(&mut seen.touched);
        if seen.polling { Touched::Anything } else { touched }
    }
}
