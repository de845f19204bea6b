//! The thread that makes endings durable in groups: one file, one fsync for all that waits.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use crate::supervisor::spool::folder::{Folder, Place};

/// The most endings in one file.
const GROUP_ENDINGS_MAX: usize = 256;

/// A group that has this many bytes takes no further ending.
const GROUP_BYTES_MAX: usize = 8 * 1024 * 1024;

/// An ending to write.
#[derive(Debug)]
pub(super) struct Ending {
    /// The execution.
    pub(super) id: Arc<str>,
    /// Its line, without the line feed.
    pub(super) line: Arc<str>,
}

/// What became of a group.
#[derive(Debug)]
pub(super) enum Commit {
    /// On disk: the place of each.
    Written { file: u64, endings: Vec<(Arc<str>, Place)> },
    /// The disk refused.
    Refused { endings: Vec<Ending>, error: io::Error },
}

/// Handle of the thread. What waits is bounded by the executions that ran.
#[derive(Debug)]
pub(super) struct Writer {
    orders: Sender<Order>,
    commits: Receiver<Commit>,
    thread: JoinHandle<()>,
}

#[derive(Debug)]
enum Order {
    Write(Ending),
    Delete(u64),
}

impl Writer {
    /// Starts the thread; its first file has the number `next`.
    pub(super) fn start(folder: Folder, next: u64, wake: OwnedFd) -> io::Result<Self> {
        let (orders, to_do) = channel();
        let (done, commits) = channel();
        let thread = std::thread::Builder::new()
            .name("spool".to_owned())
            .spawn(move || work(&folder, next, &to_do, &done, &wake))?;
        Ok(Self { orders, commits, thread })
    }

    /// Orders an ending to be written.
    pub(super) fn write(&self, ending: Ending) {
        self.order(Order::Write(ending));
    }

    /// Orders a file to be removed.
    pub(super) fn delete(&self, file: u64) {
        self.order(Order::Delete(file));
    }

    /// The next group that was committed or refused.
    pub(super) fn committed(&self) -> Option<Commit> {
        self.commits.try_recv().ok()
    }

    /// Lets the thread do all that waits, and ends it.
    pub(super) fn close(self) {
        drop(self.orders);
        if self.thread.join().is_err() {
            tracing::error!("the spool's thread had panicked");
        }
    }

    fn order(&self, order: Order) {
        if self.orders.send(order).is_err() {
            tracing::error!("the spool's thread has ended");
        }
    }
}

fn work(
    folder: &Folder,
    mut next: u64,
    orders: &Receiver<Order>,
    done: &Sender<Commit>,
    wake: &OwnedFd,
) {
    while let Ok(first) = orders.recv() {
        let mut group = Vec::new();
        let mut bytes = 0;
        let mut order = Some(first);
        while let Some(current) = order {
            match current {
                Order::Write(ending) => {
                    bytes += ending.line.len();
                    group.push(ending);
                }
                Order::Delete(file) => folder.remove(file),
            }
            let full = group.len() >= GROUP_ENDINGS_MAX || bytes >= GROUP_BYTES_MAX;
            order = if full { None } else { orders.try_recv().ok() };
        }
        if group.is_empty() {
            continue;
        }
        let commit = match commit(folder, next, &group) {
            Ok(endings) => Commit::Written { file: next, endings },
            Err(error) => Commit::Refused { endings: group, error },
        };
        next += 1;
        if done.send(commit).is_err() {
            return;
        }
        if let Err(errno) = rustix::io::write(wake, &1_u64.to_ne_bytes()) {
            tracing::error!(%errno, "cannot wake the supervisor");
        }
    }
}

fn commit(folder: &Folder, file: u64, group: &[Ending]) -> io::Result<Vec<(Arc<str>, Place)>> {
    let mut bytes = Vec::new();
    let mut places = Vec::new();
    for ending in group {
        let place = Place { file, offset: bytes.len() as u64, length: ending.line.len() };
        places.push((Arc::clone(&ending.id), place));
        bytes.extend_from_slice(ending.line.as_bytes());
        bytes.push(b'\n');
    }
    folder.write(file, &bytes)?;
    Ok(places)
}
