//! Endings that no daemon has recorded yet: on disk, so that neither the daemon's death nor our own
//! loses one.
//!
//! A file holds the endings of one group commit, one JSON line each, and is removed when the last of
//! them is recorded. Writing happens on a thread ([`writer`]), so that a slow disk delays no kill and
//! no pipe. While the disk refuses, endings are kept in memory, said all the same, and written again
//! later.

mod folder;
mod writer;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::supervisor::protocol::{FromSupervisor, KeptOutput, ProcessEnding};
use crate::supervisor::spool::folder::{Folder, Place};
use crate::supervisor::spool::writer::{Commit, Ending, Writer};

/// How long after a refusal the disk is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Endings that are not recorded.
#[derive(Debug)]
pub(super) struct Spool {
    folder: Folder,
    writer: Writer,
    entries: HashMap<Arc<str>, Entry>,
    /// How many unrecorded endings each file holds.
    files: BTreeMap<u64, usize>,
    retry_at: Option<Instant>,
}

/// Where an ending is.
#[derive(Debug)]
enum Entry {
    /// With the writer; not said yet.
    Pending(Arc<str>),
    /// On disk.
    Disk(Place),
    /// Only here: the disk refused it.
    Memory(Arc<str>),
}

/// An ending, as far as it may be said.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// The line to say: a whole `FromSupervisor::Ended`.
    Ready(String),
    /// It is still being written.
    NotYet,
    /// It is recorded, or was never here.
    Gone,
}

impl Spool {
    /// Opens the folder, and takes over what a predecessor left. `wake` is written to when
    /// [`Spool::committed`] has something.
    pub(super) fn open(folder: &Path, wake: OwnedFd) -> io::Result<Self> {
        let folder = Folder::open(folder)?;
        let files = folder.files()?;
        let next = files.last().map_or(1, |last| last + 1);
        let mut spool = Self {
            writer: Writer::start(folder.clone(), next, wake)?,
            folder,
            entries: HashMap::new(),
            files: BTreeMap::new(),
            retry_at: None,
        };
        for file in files {
            spool.take_over(file);
        }
        Ok(spool)
    }

    /// Makes an ending durable.
    pub(super) fn add(&mut self, ending: ProcessEnding) {
        let id: Arc<str> = ending.id.as_str().into();
        match serde_json::to_string(&FromSupervisor::Ended(Box::new(ending))) {
            Ok(line) => {
                let line: Arc<str> = line.into();
                self.writer.write(Ending { id: Arc::clone(&id), line: Arc::clone(&line) });
                self.entries.insert(id, Entry::Pending(line));
            }
            Err(error) => tracing::error!(id = &*id, %error, "cannot write an ending as JSON"),
        }
    }

    /// Takes what the writer has done; the ids that may be said from now on.
    pub(super) fn committed(&mut self, now: Instant) -> Vec<Arc<str>> {
        let mut ready = Vec::new();
        while let Some(commit) = self.writer.committed() {
            match commit {
                Commit::Written { file, endings } => {
                    let mut unrecorded = 0;
                    for (id, place) in endings {
                        let Some(entry) = self.entries.get_mut(&id) else { continue };
                        unrecorded += 1;
                        if matches!(entry, Entry::Pending(_)) {
                            ready.push(id);
                        }
                        *entry = Entry::Disk(place);
                    }
                    self.holds(file, unrecorded);
                }
                Commit::Refused { endings, error } => {
                    tracing::error!(%error, endings = endings.len(), "cannot spool; kept in memory");
                    self.retry_at = Some(now + RETRY_AFTER);
                    for ending in endings {
                        let Some(entry) = self.entries.get_mut(&ending.id) else { continue };
                        if matches!(entry, Entry::Pending(_)) {
                            *entry = Entry::Memory(ending.line);
                            ready.push(ending.id);
                        }
                    }
                }
            }
        }
        ready
    }

    /// When [`Spool::retry`] is to be called.
    pub(super) fn retry_at(&self) -> Option<Instant> {
        self.retry_at
    }

    /// Tries again to write what the disk refused.
    pub(super) fn retry(&mut self) {
        self.retry_at = None;
        for (id, entry) in &self.entries {
            if let Entry::Memory(line) = entry {
                self.writer.write(Ending { id: Arc::clone(id), line: Arc::clone(line) });
            }
        }
    }

    /// A daemon has recorded this ending; whether it was unrecorded.
    pub(super) fn recorded(&mut self, id: &str) -> bool {
        match self.entries.remove(id) {
            Some(Entry::Disk(place)) => {
                let left = self.files.get(&place.file).map_or(0, |count| count.saturating_sub(1));
                self.holds(place.file, left);
                true
            }
            Some(Entry::Pending(_) | Entry::Memory(_)) => true,
            None => false,
        }
    }

    /// The line of an ending.
    pub(super) fn line(&self, id: &str) -> Line {
        match self.entries.get(id) {
            None => Line::Gone,
            Some(Entry::Pending(_)) => Line::NotYet,
            Some(Entry::Memory(line)) => Line::Ready(line.to_string()),
            Some(Entry::Disk(place)) => match self.folder.line(*place) {
                Ok(line) => Line::Ready(line),
                Err(error) => {
                    tracing::error!(id, file = place.file, %error, "cannot read a spooled ending");
                    Line::Gone
                }
            },
        }
    }

    /// What an execution printed, when its ending is here.
    pub(super) fn output(&self, id: &str) -> Option<KeptOutput> {
        let line = match self.entries.get(id)? {
            Entry::Pending(line) | Entry::Memory(line) => line.to_string(),
            Entry::Disk(place) => self.folder.line(*place).ok()?,
        };
        match serde_json::from_str(&line) {
            Ok(FromSupervisor::Ended(ending)) => Some(ending.output),
            Ok(_) | Err(_) => None,
        }
    }

    /// Whether this ending is here.
    pub(super) fn contains(&self, id: &str) -> bool {
        self.entries.contains_key(id)
    }

    /// All endings, oldest first.
    pub(super) fn ids(&self) -> Vec<Arc<str>> {
        let place = |entry: &Entry| match entry {
            Entry::Disk(place) => Some(*place),
            Entry::Pending(_) | Entry::Memory(_) => None,
        };
        let mut ids: Vec<_> =
            self.entries.iter().map(|(id, entry)| (place(entry), Arc::clone(id))).collect();
        ids.sort_by_key(|(place, _)| (place.is_none(), *place));
        ids.into_iter().map(|(_, id)| id).collect()
    }

    /// Whether all that is unrecorded is on disk, or about to be.
    pub(super) fn is_durable(&self) -> bool {
        !self.entries.values().any(|entry| matches!(entry, Entry::Memory(_)))
    }

    /// Waits until the writer has done everything.
    pub(super) fn close(self) {
        self.writer.close();
    }

    fn holds(&mut self, file: u64, unrecorded: usize) {
        if unrecorded == 0 {
            self.files.remove(&file);
            self.writer.delete(file);
        } else {
            self.files.insert(file, unrecorded);
        }
    }

    /// Takes the endings of a file; one that is damaged is moved aside, and its good lines written
    /// anew.
    fn take_over(&mut self, file: u64) {
        let bytes = match self.folder.read(file) {
            Ok(bytes) => bytes,
            Err(error) => {
                tracing::error!(file, %error, "cannot read spooled endings");
                return;
            }
        };
        let (endings, damaged) = parse_file(file, &bytes);
        if damaged {
            match self.folder.move_aside(file) {
                Ok(aside) => tracing::error!(aside, "spooled endings are damaged; moved aside"),
                Err(error) => tracing::error!(file, %error, "cannot move damaged endings aside"),
            }
            for (ending, _) in endings {
                self.add(ending);
            }
            return;
        }
        let count = endings.len();
        for (ending, place) in endings {
            self.entries.insert(ending.id.into(), Entry::Disk(place));
        }
        self.holds(file, count);
    }
}

/// The endings of a file with their places, and whether anything else is in it.
fn parse_file(file: u64, bytes: &[u8]) -> (Vec<(ProcessEnding, Place)>, bool) {
    let mut endings = Vec::new();
    let mut damaged = false;
    let mut offset = 0;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let length = line.strip_suffix(b"\n").map_or(0, <[u8]>::len);
        match serde_json::from_slice(line) {
            Ok(FromSupervisor::Ended(ending)) if length > 0 => {
                endings.push((*ending, Place { file, offset, length }));
            }
            Ok(_) | Err(_) => damaged = true,
        }
        offset += line.len() as u64;
    }
    (endings, damaged)
}

#[cfg(test)]
mod tests;
