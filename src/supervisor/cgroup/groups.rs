//! The control groups of one supervisor: made when they are needed, removed when nothing is in them.

#![expect(clippy::disallowed_methods, reason = "the supervisor reads and writes cgroupfs itself")]

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::supervisor::cgroup::leaf::{Leaf, folders_in, is_populated, kill_all, removed, write};
use crate::supervisor::cgroup::mount::{KEPT, OTHERS, leaf_name, subtree_name};
use crate::supervisor::cgroup::offer::{Controller, Offer, Room, Unavailable, offered_to, refusal};
use crate::supervisor::clock;
use crate::supervisor::protocol::GroupLimits;

/// How long it is waited for the end of what was killed, of a predecessor and at our own end.
const SWEEP: Duration = Duration::from_secs(1);

/// How often it is looked whether they have ended.
const PAUSE: Duration = Duration::from_millis(1);

/// How often processes of our container are moved out of the way: others may be started meanwhile.
const MOVES_MAX: usize = 8;

/// The most groups that are remembered because something was still in them.
const RETIRED_MAX: usize = 1024;

/// The groups below ours.
#[derive(Debug)]
pub(in crate::supervisor) struct Groups {
    offer: Result<Offer, Unavailable>,
    subtree: PathBuf,
    /// What has been handed down already.
    handed_down: BTreeSet<Controller>,
    retired: Vec<Leaf>,
}

impl Groups {
    /// The groups of a supervisor with this instance. What its predecessor, who died, left in its own is killed.
    pub(in crate::supervisor) fn take_over(instance: &str, predecessor: Option<&str>) -> Self {
        let groups = Self::new(offered_to(None), instance);
        match &groups.offer {
            Ok(offer) => tracing::info!(base = %offer.base.display(), "control groups"),
            Err(why) => tracing::info!(%why, "no control groups"),
        }
        if let (Ok(offer), Some(predecessor)) = (&groups.offer, predecessor) {
            clear(&offer.base.join(subtree_name(predecessor)));
        }
        groups
    }

    pub(super) fn new(offer: Result<Offer, Unavailable>, instance: &str) -> Self {
        let base = offer.as_ref().map(|offer| offer.base.clone()).unwrap_or_default();
        let subtree = base.join(subtree_name(instance));
        Self { offer, subtree, handed_down: BTreeSet::new(), retired: Vec::new() }
    }

    /// A group for process `number` of the execution `id`. None: there are no groups, and no limits are wanted that need
    /// one. The error is one sentence.
    pub(in crate::supervisor) fn leaf(
        &mut self,
        number: u64,
        id: &str,
        is_kept: bool,
        limits: GroupLimits,
    ) -> Result<Option<Leaf>, String> {
        if let Some(refusal) = refusal(&self.offer, &limits) {
            return Err(refusal);
        }
        // Nobody kills what is kept: a group would only be in the way.
        let is_of_use = !is_kept || limits != GroupLimits::default();
        if self.offer.is_err() || !is_of_use {
            return Ok(None);
        }
        let path = self.subtree.join(leaf_name(is_kept, number, id));
        match self.make(path, is_kept, limits) {
            Ok(leaf) => Ok(Some(leaf)),
            Err(error) if limits == GroupLimits::default() => {
                tracing::warn!(%error, subtree = %self.subtree.display(), "cannot make a control group");
                Ok(None)
            }
            Err(error) => {
                let at = self.subtree.display();
                Err(format!("`limits` cannot be applied by a control group in {at}: {error}"))
            }
        }
    }

    /// Makes a group; what it stands in is made when it is missed, which is nearly never.
    fn make(&mut self, path: PathBuf, is_kept: bool, limits: GroupLimits) -> io::Result<Leaf> {
        if Controller::of(&limits).is_subset(&self.handed_down) {
            match Leaf::make(path.clone(), is_kept, limits) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                made => return made,
            }
        }
        self.prepare(&limits)?;
        Leaf::make(path, is_kept, limits)
    }

    /// Makes the subtree, and hands down what limits need.
    fn prepare(&mut self, limits: &GroupLimits) -> io::Result<()> {
        match fs::create_dir(&self.subtree) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            Ok(()) => self.handed_down.clear(),
            Err(_) => {}
        }
        let Ok(offer) = &self.offer else { return Ok(()) };
        let wanted = Controller::of(limits);
        if wanted.is_subset(&self.handed_down) {
            return Ok(());
        }
        if offer.room == Room::WhenMoved {
            hand_down_from_container(&offer.base, &wanted)?;
        } else {
            hand_down(&offer.base, &wanted)?;
        }
        hand_down(&self.subtree, &wanted)?;
        self.handed_down.extend(wanted);
        Ok(())
    }

    /// A group is needed no more: it is removed when nothing is in it any more.
    pub(in crate::supervisor) fn retire(&mut self, leaf: Leaf) {
        if !leaf.remove() && self.retired.len() < RETIRED_MAX {
            self.retired.push(leaf);
        }
    }

    /// Processes have ended: groups that were in use may be empty now.
    pub(in crate::supervisor) fn tidy(&mut self) {
        self.retired.retain(|leaf| !leaf.remove());
    }

    /// Nothing is started any more.
    pub(in crate::supervisor) fn leave(&mut self) {
        let give_up_at = clock::now() + SWEEP;
        self.tidy();
        while self.retired.iter().any(|leaf| !leaf.is_kept()) && clock::now() < give_up_at {
            std::thread::sleep(PAUSE);
            self.tidy();
        }
        if self.offer.is_ok() {
            removed(&self.subtree);
        }
    }
}

/// Kills what a predecessor left, and removes its groups, as far as nothing is in them that is to be left alone.
pub(super) fn clear(subtree: &Path) {
    let is_kept = |folder: &PathBuf| {
        folder.file_name().is_some_and(|name| name.to_string_lossy().starts_with(KEPT))
    };
    let left: Vec<PathBuf> =
        folders_in(subtree).into_iter().filter(|folder| !is_kept(folder)).collect();
    for folder in left.iter().filter(|folder| is_populated(folder)) {
        if let Err(error) = kill_all(folder) {
            tracing::warn!(path = %folder.display(), %error, "cannot kill what is left");
        }
    }
    let give_up_at = clock::now() + SWEEP;
    for folder in &left {
        while !removed(folder) && clock::now() < give_up_at {
            std::thread::sleep(PAUSE);
        }
    }
    removed(subtree);
}

/// Gives controllers to the groups below one. With a process in it the kernel would take some of them, and make the
/// group one of threads, below which there is no room for processes any more: that is undone.
fn hand_down(group: &Path, wanted: &BTreeSet<Controller>) -> io::Result<()> {
    let control = group.join("cgroup.subtree_control");
    write(&control, &order('+', wanted))?;
    let kind = fs::read_to_string(group.join("cgroup.type")).unwrap_or_default();
    if kind.trim() != "domain threaded" {
        return Ok(());
    }
    write(&control, &order('-', wanted))?;
    Err(io::Error::new(io::ErrorKind::ResourceBusy, "there are processes in the group above"))
}

fn order(sign: char, controllers: &BTreeSet<Controller>) -> String {
    let names = controllers.iter().map(|one| format!("{sign}{}", one.as_str()));
    names.collect::<Vec<_>>().join(" ")
}

/// The same where the processes of our container are in the group: they go into one below it, we among them.
fn hand_down_from_container(base: &Path, wanted: &BTreeSet<Controller>) -> io::Result<()> {
    let others = base.join(OTHERS);
    match fs::create_dir(&others) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        Ok(()) | Err(_) => {}
    }
    for _ in 0..MOVES_MAX {
        let here = fs::read_to_string(base.join("cgroup.procs")).unwrap_or_default();
        if here.trim().is_empty() && hand_down(base, wanted).is_ok() {
            return Ok(());
        }
        for pid in here.lines() {
            // One that has ended meanwhile is out of the way too.
            if let Err(error) = write(&others.join("cgroup.procs"), pid) {
                tracing::debug!(pid, %error, "a process was not moved");
            }
        }
    }
    hand_down(base, wanted)
}
