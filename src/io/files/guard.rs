//! Who may have written a manifest: judged by its mode, owner and names before it may run anything.
//!
//! The judgement counts for the descriptor that is read: what was opened is compared with what was
//! judged. Folders above a source are never judged, so that a clone below `/tmp` works.

use crate::io::files::problem::{FileProblem, FileWarning, RootFault};
use crate::io::files::walk::Stamp;

/// How strictly manifests are judged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Guard {
    /// What everybody may write is refused, and what a shared group may write is warned about.
    #[default]
    Usual,
    /// For a daemon that is root: nobody but root decides what it runs. The file is root's, no group but
    /// root's may write it, it has one name, and no bit of setuid or setgid.
    Root,
}

/// Whether a file may be read, and what is suspicious about it.
pub(super) fn judge(stamp: &Stamp, guard: Guard) -> Result<Option<FileWarning>, FileProblem> {
    if stamp.mode & 0o002 != 0 {
        return Err(FileProblem::WorldWritable);
    }
    // The group of root has the members that root gave it.
    let group_writes = stamp.mode & 0o020 != 0 && stamp.group != 0;
    match guard {
        Guard::Usual => {
            // A group that has the owner's number is the owner's own (umask 002).
            let shared = group_writes && stamp.group != stamp.owner;
            Ok(shared.then_some(FileWarning::GroupWritable))
        }
        Guard::Root => {
            let fault = if stamp.owner != 0 {
                RootFault::Owner(stamp.owner)
            } else if group_writes {
                RootFault::GroupWritable
            } else if stamp.mode & 0o6000 != 0 {
                RootFault::Setuid
            } else if stamp.links != 1 {
                RootFault::Names(stamp.links)
            } else {
                return Ok(None);
            };
            Err(FileProblem::UnsafeForRoot(fault))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_owners_and_names_are_judged_as_the_table_says() {
        use FileProblem::{UnsafeForRoot, WorldWritable};
        use RootFault::{GroupWritable, Names, Owner, Setuid};
        const FINE: Result<Option<FileWarning>, FileProblem> = Ok(None);
        const WARNED: Result<Option<FileWarning>, FileProblem> =
            Ok(Some(FileWarning::GroupWritable));
        let root = |fault| Err(UnsafeForRoot(fault));
        #[rustfmt::skip]
        let table = [
            // mode, owner, group, names: for most daemons; for one that is root
            (0o644, (0, 0, 1),       FINE,               FINE),
            (0o600, (0, 0, 1),       FINE,               FINE),
            (0o444, (0, 0, 1),       FINE,               FINE),
            (0o755, (0, 0, 1),       FINE,               FINE),
            (0o664, (0, 0, 1),       FINE,               FINE),
            (0o664, (0, 50, 1),      WARNED,             root(GroupWritable)),
            (0o640, (0, 50, 1),      FINE,               FINE),
            (0o644, (1000, 1000, 1), FINE,               root(Owner(1000))),
            (0o664, (1000, 1000, 1), FINE,               root(Owner(1000))),
            (0o664, (1000, 50, 1),   WARNED,             root(Owner(1000))),
            (0o660, (1000, 0, 1),    FINE,               root(Owner(1000))),
            (0o646, (0, 0, 1),       Err(WorldWritable), Err(WorldWritable)),
            (0o666, (0, 0, 1),       Err(WorldWritable), Err(WorldWritable)),
            (0o602, (1000, 50, 1),   Err(WorldWritable), Err(WorldWritable)),
            (0o4644, (0, 0, 1),      FINE,               root(Setuid)),
            (0o2644, (0, 0, 1),      FINE,               root(Setuid)),
            (0o1644, (0, 0, 1),      FINE,               FINE),
            (0o644, (0, 0, 2),       FINE,               root(Names(2))),
            (0o644, (1000, 50, 2),   FINE,               root(Owner(1000))),
        ];
        for (mode, (owner, group, links), usual, strict) in table {
            let stamp = Stamp::of_mode(mode, owner, group, links);
            let name = format!("{mode:o} {owner}:{group} with {links} names");
            assert_eq!(judge(&stamp, Guard::Usual), usual, "{name}");
            assert_eq!(judge(&stamp, Guard::Root), strict, "{name}, root");
        }
    }
}
