//! Control groups, where this machine lets the tests make some.

use std::fs;
use std::path::{Path, PathBuf};

use cronwright::supervisor::cgroup::offer::offered_to;

/// The group below which supervisors make theirs; none, and said so: this machine does not permit it.
pub(crate) fn base(needed_by: &str) -> Option<PathBuf> {
    let offer = offered_to(None);
    if let Err(why) = &offer {
        println!("skipped: 1 test needs control groups: {needed_by}: {why}");
    }
    offer.ok().map(|offer| offer.base)
}

/// The group of the supervisor that a lock names, below `base`.
pub(crate) fn of_supervisor(base: &Path, lock: &Path) -> PathBuf {
    let lock = fs::read_to_string(lock).unwrap();
    base.join(format!("cronwright-{}", lock.split_whitespace().nth(1).unwrap()))
}

/// Removes what a supervisor that was killed has left, of which nothing lives any more.
pub(crate) fn remove_left(lock: &Path) {
    let Ok(offer) = offered_to(None) else { return };
    if lock.exists() {
        let subtree = of_supervisor(&offer.base, lock);
        for leaf in names(&subtree) {
            // What still lives there is what a test has failed about.
            drop(fs::remove_dir(subtree.join(leaf)));
        }
        drop(fs::remove_dir(subtree));
    }
}

/// The names of the groups in a group.
pub(crate) fn names(group: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(group) else { return Vec::new() };
    let folders = entries.map(Result::unwrap).filter(|entry| entry.file_type().unwrap().is_dir());
    folders.map(|entry| entry.file_name().into_string().unwrap()).collect()
}
