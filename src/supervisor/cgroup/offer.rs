//! What a machine offers of control groups, and what can be done with that. Reading is one function; the decisions are
//! pure functions over what was read.

#![expect(clippy::disallowed_methods, reason = "the supervisor reads /proc and cgroupfs itself")]

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, accessat, getxattr};

use crate::supervisor::cgroup::mount::{OTHERS, Place, place_of, unit_of};
use crate::supervisor::protocol::GroupLimits;

/// A controller that a limit needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Controller {
    /// `limits.cpu`.
    Cpu,
    /// `limits.memory`.
    Memory,
    /// `limits.pids`.
    Pids,
}

/// What is offered where there are groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The group below which ours go.
    pub base: PathBuf,
    /// The controllers that it may hand down.
    pub controllers: BTreeSet<Controller>,
    /// Whether it may hand them down.
    pub room: Room,
}

/// Whether a group may hand controllers down: only one that has no process of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// It may.
    Free,
    /// It may when its processes, which are those of our container, have been moved into a group below it.
    WhenMoved,
    /// The processes in it are not ours to move.
    Occupied,
}

/// Why there are no groups.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// No mount.
    #[error(
        "cgroup v2 is not mounted where the daemon can see it: mount it, in a container writable (docs/process.md)"
    )]
    NoMount,
    /// systemd keeps it to itself.
    #[error(
        "systemd keeps the control group of `{0}` to itself: `Delegate=yes` and `DelegateSubgroup=daemon` in its unit give it to the daemon"
    )]
    NotDelegated(String),
    /// No permission.
    #[error(
        "the daemon may not make control groups in {folder} ({why}): under systemd `Delegate=yes` gives it the right to, in a container a writable cgroup v2 mount",
        folder = .0.display(), why = .1
    )]
    NotWritable(PathBuf, String),
}

impl Controller {
    /// Every controller.
    pub const ALL: [Self; 3] = [Self::Cpu, Self::Memory, Self::Pids];

    /// Its name, which is also that of its limit.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Pids => "pids",
        }
    }

    /// Those that limits need.
    pub fn of(limits: &GroupLimits) -> BTreeSet<Self> {
        let wanted = [
            (Self::Cpu, limits.cpu_thousandths_max.is_some()),
            (Self::Memory, limits.memory_bytes_max.is_some()),
            (Self::Pids, limits.pids_max.is_some()),
        ];
        wanted.into_iter().filter(|(_, is_wanted)| *is_wanted).map(|(one, _)| one).collect()
    }

    /// Those in a list of names.
    pub(super) fn listed(text: &str) -> BTreeSet<Self> {
        let names: BTreeSet<&str> = text.split_ascii_whitespace().collect();
        Self::ALL.into_iter().filter(|controller| names.contains(controller.as_str())).collect()
    }
}

/// What this machine offers to a process: to ourselves, or to another one that we may look at.
pub fn offered_to(pid: Option<u32>) -> Result<Offer, Unavailable> {
    let pid = pid.map_or_else(|| "self".to_owned(), |pid| pid.to_string());
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    read(&mounts, &groups, &is_delegated)
}

/// What is offered where the texts of /proc say that.
pub(super) fn read(
    mounts: &str,
    groups: &str,
    is_delegated: &dyn Fn(&Path) -> bool,
) -> Result<Offer, Unavailable> {
    let place = place_of(mounts, groups).ok_or(Unavailable::NoMount)?;
    let delegated = delegated(&place, is_delegated);
    if delegated.is_none()
        && let Some(unit) = unit_of(&place.folder)
    {
        return Err(Unavailable::NotDelegated(unit.to_owned()));
    }
    let base = delegated.or_else(|| container_of(&place)).unwrap_or_else(|| place.folder.clone());
    may_write(&base).map_err(|errno| {
        let why = io::Error::from(errno).to_string();
        Unavailable::NotWritable(base.clone(), why)
    })?;
    let text = |file: &str| fs::read_to_string(base.join(file)).unwrap_or_default();
    // The root of all groups has no type, and may hold processes and hand down controllers.
    let is_root = !base.join("cgroup.type").exists();
    let is_empty = text("cgroup.procs").trim().is_empty();
    let room = match (is_root || is_empty, base == place.mount) {
        (true, _) => Room::Free,
        (false, true) => Room::WhenMoved,
        (false, false) => Room::Occupied,
    };
    let controllers = Controller::listed(&text("cgroup.controllers"));
    Ok(Offer { base, controllers, room })
}

/// The nearest group, upwards, that was delegated.
fn delegated(place: &Place, is_delegated: &dyn Fn(&Path) -> bool) -> Option<PathBuf> {
    let above = place.folder.ancestors().take_while(|folder| folder.starts_with(&place.mount));
    above.map(Path::to_path_buf).find(|folder| is_delegated(folder))
}

/// The group of our container, where an earlier supervisor has moved its processes, us among them, below it.
fn container_of(place: &Place) -> Option<PathBuf> {
    let is_moved = place.folder == place.mount.join(OTHERS);
    (is_moved && place.mount.join("cgroup.type").exists()).then(|| place.mount.clone())
}

/// systemd says so at the folder.
fn is_delegated(folder: &Path) -> bool {
    let mut value = [0; 8];
    ["user.delegate", "trusted.delegate"].iter().any(|name| {
        getxattr(folder, *name, &mut value).is_ok_and(|length| value.get(..length) == Some(b"1"))
    })
}

/// Whether groups can be made in `base`, and processes put there.
fn may_write(base: &Path) -> rustix::io::Result<()> {
    accessat(CWD, base, Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS)?;
    accessat(CWD, base.join("cgroup.procs"), Access::WRITE_OK, AtFlags::EACCESS)
}

/// Why limits cannot be applied, and what helps, in one sentence; none: they can.
pub fn refusal(offer: &Result<Offer, Unavailable>, limits: &GroupLimits) -> Option<String> {
    let wanted = Controller::of(limits);
    let first = wanted.first()?;
    let needs = |one: Controller| {
        format!("`limits.{0}` needs the controller `{0}` of cgroup v2", one.as_str())
    };
    let offer = match offer {
        Ok(offer) => offer,
        Err(why) => return Some(format!("{}, and {why}", needs(*first))),
    };
    let base = offer.base.display();
    if let Some(missing) = wanted.iter().find(|one| !offer.controllers.contains(one)) {
        return Some(format!(
            "{}, which {base} does not have: cgroup v1 may hold it (boot with `cgroup_no_v1=all`), or the group above does not hand it down",
            needs(*missing)
        ));
    }
    match offer.room {
        Room::Free | Room::WhenMoved => None,
        Room::Occupied => Some(format!(
            "{}, which {base} cannot hand down while the daemon itself is in it: `DelegateSubgroup=daemon` in the unit (systemd 254) puts it below",
            needs(*first)
        )),
    }
}
