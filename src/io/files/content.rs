//! One file, read whole: opened so that nothing is followed, waited for or created, judged on the open
//! descriptor, and compared with what the walk saw before and after.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::io::files::problem::FileProblem;
use crate::io::files::walk::{FILE_BYTES_MAX, Found, Stamp, kind_of, problem_of};

/// Why a file was not read.
#[derive(Debug)]
pub(super) enum ReadFault {
    /// It is not what the walk saw, or it changed while it was read: look again.
    Moved,
    /// It cannot be read, however often one looks.
    Problem(FileProblem),
}

/// Reads one file that is no part of a source: what the user names. Links are followed; nothing is waited
/// for, and at most [`FILE_BYTES_MAX`] bytes are read.
pub fn read_alone(path: &Path) -> Result<Vec<u8>, FileProblem> {
    let fault = |error: std::io::Error| problem_of(&error);
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let descriptor = rustix::fs::open(path, flags, Mode::empty()).map_err(|e| fault(e.into()))?;
    let mut file = File::from(descriptor);
    let stat = file.metadata().map_err(fault)?;
    if !stat.is_file() {
        return Err(FileProblem::NotRegular(kind_of(&stat)));
    }
    let mut bytes = Vec::new();
    file.by_ref().take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(fault)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(FileProblem::TooLarge(stat.len()));
    }
    Ok(bytes)
}

/// Opens the root of a source, as the anchor that its files are opened below.
pub(super) fn open_root(root: &Path) -> Option<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(root, flags, Mode::empty()).ok()
}

/// Reads the file that the walk found with this stamp.
pub(super) fn read_file(
    root: &OwnedFd,
    found: &Found,
    stamp: &Stamp,
) -> Result<Vec<u8>, ReadFault> {
    let descriptor = open_below(root.as_fd(), &found.real).map_err(|errno| match errno {
        Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV => ReadFault::Moved,
        other => ReadFault::Problem(problem_of(&other.into())),
    })?;
    let mut file = File::from(descriptor);
    let fault = |error: std::io::Error| ReadFault::Problem(problem_of(&error));
    unmoved(&file, stamp)?;
    let mut bytes = Vec::with_capacity(usize::try_from(stamp.bytes).unwrap_or(0));
    file.by_ref().take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(fault)?;
    unmoved(&file, stamp)?;
    if bytes.len() as u64 == stamp.bytes { Ok(bytes) } else { Err(ReadFault::Moved) }
}

/// Opens a file below the root without following any link and without waiting for a writer.
fn open_below(root: BorrowedFd<'_>, path: &Path) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    match rustix::fs::openat2(root, path, flags, Mode::empty(), resolve) {
        // Kernels before 5.6 do not know the call, and some sandboxes forbid it.
        Err(Errno::NOSYS | Errno::PERM) => rustix::fs::openat(root, path, flags, Mode::empty()),
        other => other,
    }
}

fn unmoved(file: &File, stamp: &Stamp) -> Result<(), ReadFault> {
    match file.metadata() {
        Ok(stat) if Stamp::of(&stat) == *stamp => Ok(()),
        Ok(_) => Err(ReadFault::Moved),
        Err(error) => Err(ReadFault::Problem(problem_of(&error))),
    }
}
