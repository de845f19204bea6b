//! Where the control group of a process is to be seen: from the texts of /proc to a folder. Pure.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// A group as a folder of a mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Where the hierarchy is mounted: nothing above it can be seen.
    pub mount: PathBuf,
    /// The group.
    pub folder: PathBuf,
}

/// The place of the group that `groups` (/proc/PID/cgroup) names, among the mounts of `mountinfo`
/// (/proc/self/mountinfo). Both of pure cgroup v2 and where it stands beside v1.
pub fn place_of(mountinfo: &str, groups: &str) -> Option<Place> {
    let group = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    let mounts = mountinfo.lines().filter_map(Mount::parse);
    let places = mounts.filter_map(|mount| {
        let below = Path::new(group).strip_prefix(&mount.root).ok()?;
        // Above what this process may see (`/../other`).
        if below.components().any(|part| part.as_os_str() == "..") {
            return None;
        }
        // Not with a slash behind it.
        let folder = mount.point.components().chain(below.components()).collect();
        Some((mount.is_writable, Place { mount: mount.point, folder }))
    });
    // A container may have one to look at beside one to write to.
    places.max_by_key(|(is_writable, _)| *is_writable).map(|(_, place)| place)
}

struct Mount {
    root: PathBuf,
    point: PathBuf,
    is_writable: bool,
}

impl Mount {
    /// Reads `36 35 98:0 /root /point rw,noatime shared:1 - cgroup2 cgroup2 rw`; none: something else is mounted.
    fn parse(line: &str) -> Option<Self> {
        let (mount, filesystem) = line.split_once(" - ")?;
        if filesystem.split(' ').next() != Some("cgroup2") {
            return None;
        }
        let mut fields = mount.split(' ').skip(3);
        let root = unescaped(fields.next()?);
        let point = unescaped(fields.next()?);
        let is_writable = fields.next()?.split(',').any(|option| option == "rw");
        Some(Self { root, point, is_writable })
    }
}

/// Blanks stand there as `\040`.
fn unescaped(text: &str) -> PathBuf {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let digits = behind.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        let code = digits.and_then(|digits| u8::from_str_radix(digits, 8).ok());
        let (byte, taken) = match code {
            Some(code) if *first == b'\\' => (code, 3),
            Some(_) | None => (*first, 0),
        };
        bytes.push(byte);
        rest = &behind[taken..];
    }
    PathBuf::from(OsString::from_vec(bytes))
}

/// The name of the unit of systemd that a group is the group of; none: it is none's.
pub fn unit_of(folder: &Path) -> Option<&str> {
    let name = folder.file_name()?.to_str()?;
    let is_unit = [".service", ".scope", ".slice"].iter().any(|kind| name.ends_with(kind));
    is_unit.then_some(name)
}

/// The name of the group of all that a supervisor starts. Its instance is also in the mark of its processes.
pub(super) fn subtree_name(instance: &str) -> String {
    format!("cronwright-{instance}")
}

/// The name of the group of a process. The number makes it unique, the id is for people.
pub(super) fn leaf_name(is_kept: bool, number: u64, id: &str) -> String {
    const ID_BYTES_MAX: usize = 128;
    let is_plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let plain = id.chars().map(|c| if is_plain(&c) { c } else { '_' }).take(ID_BYTES_MAX);
    let kind = if is_kept { KEPT } else { "run-" };
    format!("{kind}{number}-{}", plain.collect::<String>())
}

/// How the names of groups begin whose processes nobody kills.
pub(super) const KEPT: &str = "keep-";

/// The group into which the processes of a container are moved out of the way.
pub(super) const OTHERS: &str = "daemon";
