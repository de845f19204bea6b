//! On folders laid out like cgroupfs: what is decided. That the kernel does it is for `tests/supervisor`.

#![expect(clippy::disallowed_methods, reason = "the supervisor reads and writes cgroupfs itself")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::groups::{Groups, clear};
use super::leaf::{Leaf, limit};
use super::mount::{Place, leaf_name, place_of, unit_of};
use super::offer::{Controller, Offer, Room, Unavailable, read, refusal};
use crate::supervisor::protocol::{GroupLimits, LimitHit};

const PURE: &str =
    "24 1 0:22 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";
const HYBRID: &str = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n\
    35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n\
    41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";

fn place(mount: &str, folder: &str) -> Place {
    Place { mount: mount.into(), folder: folder.into() }
}

/// A cgroupfs with these groups, each with its controllers and processes.
struct Tree {
    folder: tempfile::TempDir,
}

impl Tree {
    fn new(groups: &[(&str, &str, &str)]) -> Self {
        let tree = Self { folder: tempfile::tempdir().unwrap() };
        for (group, controllers, processes) in groups {
            let group = tree.path(group);
            fs::create_dir_all(&group).unwrap();
            fs::write(group.join("cgroup.controllers"), controllers).unwrap();
            fs::write(group.join("cgroup.procs"), processes).unwrap();
            fs::write(group.join("cgroup.subtree_control"), "").unwrap();
        }
        tree
    }

    fn path(&self, group: &str) -> PathBuf {
        self.folder.path().join(group)
    }

    /// Every group but the root of all has a type.
    fn with_type(self, group: &str) -> Self {
        fs::write(self.path(group).join("cgroup.type"), "domain\n").unwrap();
        self
    }

    fn offer(&self, group: &str, delegated: &str) -> Result<Offer, Unavailable> {
        let at = self.folder.path().display();
        let mounts = format!("24 1 0:22 / {at} rw - cgroup2 cgroup2 rw\n");
        let delegated = (!delegated.is_empty()).then(|| self.path(delegated));
        let is_delegated = |folder: &Path| Some(folder) == delegated.as_deref();
        read(&mounts, &format!("0::/{group}\n"), &is_delegated)
    }
}

fn memory(bytes: u64) -> GroupLimits {
    GroupLimits { memory_bytes_max: Some(bytes), ..GroupLimits::default() }
}

fn all_limits() -> GroupLimits {
    GroupLimits { cpu_thousandths_max: Some(1500), pids_max: Some(20), ..memory(1 << 30) }
}

#[test]
fn a_group_is_found_in_pure_and_in_hybrid_mounts_and_in_containers() {
    let unified = "/sys/fs/cgroup/unified";
    let service = "/sys/fs/cgroup/a.slice/b.service";
    let of_container = "24 1 0:22 /docker/1 /sys/fs/cgroup ro - cgroup2 cgroup2 ro\n\
        25 1 0:22 /docker/1 /my\\040groups rw - cgroup2 cgroup2 rw\n";
    for (mounts, groups, expected) in [
        (PURE, "0::/a.slice/b.service\n", Some(place("/sys/fs/cgroup", service))),
        (HYBRID, "4:memory:/x\n0::/\n", Some(place(unified, unified))),
        (HYBRID, "4:memory:/x\n0::/y\n", Some(place(unified, "/sys/fs/cgroup/unified/y"))),
        (of_container, "0::/docker/1/x\n", Some(place("/my groups", "/my groups/x"))),
        // Another container's, and one above the root of ours.
        (of_container, "0::/docker/2\n", None),
        (PURE, "0::/../other\n", None),
        (PURE, "4:memory:/x\n", None),
        ("", "0::/\n", None),
    ] {
        assert_eq!(place_of(mounts, groups), expected, "{mounts} {groups}");
    }
}

#[test]
fn names_are_told_from_units_and_made_of_anything() {
    assert_eq!(unit_of(Path::new("/a/cronwright.service")), Some("cronwright.service"));
    assert_eq!(unit_of(Path::new("/a/cronwright.service/daemon")), None);
    let name = leaf_name(false, 7, "a-1@2026-01-02T03:00:00Z#2");
    assert_eq!(name, "run-7-a-1_2026-01-02T03_00_00Z_2");
    assert_eq!(leaf_name(true, 8, "../x"), "keep-8-___x");
}

#[test]
fn what_was_delegated_is_used_and_what_systemd_keeps_is_not() {
    let every = "cpu memory pids";
    let groups = [("", every, ""), ("s.service", every, ""), ("s.service/daemon", "", "1\n")];
    let tree = Tree::new(&groups).with_type("s.service").with_type("s.service/daemon");
    let offer = tree.offer("s.service/daemon", "s.service").unwrap();
    let expected = Offer {
        base: tree.path("s.service"),
        controllers: Controller::ALL.into(),
        room: Room::Free,
    };
    assert_eq!(offer, expected, "`DelegateSubgroup=daemon`: nothing is in the unit's own group");

    let tree = Tree::new(&[("", "", ""), ("s.service", every, "1\n")]).with_type("s.service");
    assert_eq!(tree.offer("s.service", "s.service").unwrap().room, Room::Occupied);
    let kept = tree.offer("s.service", "");
    assert_eq!(kept, Err(Unavailable::NotDelegated("s.service".to_owned())));
}

#[test]
fn the_root_hands_down_and_a_container_moves_its_own_processes() {
    let root = Tree::new(&[("", "hugetlb pids", "1\n2\n")]);
    let offer = root.offer("", "").unwrap();
    assert_eq!((offer.room, offer.controllers), (Room::Free, BTreeSet::from([Controller::Pids])));
    let container = Tree::new(&[("", "memory", "1\n")]).with_type("");
    assert_eq!(container.offer("", "").unwrap().room, Room::WhenMoved);
    let elsewhere = Tree::new(&[("", "", ""), ("x", "memory", "1\n")]).with_type("x");
    assert_eq!(elsewhere.offer("x", "").unwrap().room, Room::Occupied);
    let absent = Tree::new(&[("", "", "")]);
    assert!(matches!(absent.offer("gone", ""), Err(Unavailable::NotWritable(_, _))));
}

#[test]
fn a_limit_that_cannot_hold_is_refused_with_the_next_act() {
    let offer = |controllers: &[Controller], room| {
        Ok(Offer { base: "/c".into(), controllers: controllers.iter().copied().collect(), room })
    };
    let pids = GroupLimits { pids_max: Some(9), ..GroupLimits::default() };
    assert_eq!(refusal(&offer(&[], Room::Occupied), &GroupLimits::default()), None);
    assert_eq!(refusal(&Err(Unavailable::NoMount), &GroupLimits::default()), None);
    assert_eq!(refusal(&offer(&Controller::ALL, Room::Free), &all_limits()), None);
    assert_eq!(refusal(&offer(&Controller::ALL, Room::WhenMoved), &all_limits()), None);
    let cases = [
        (
            offer(&[Controller::Memory], Room::Free),
            pids,
            "`limits.pids` needs the controller `pids` of cgroup v2, which /c does not have: cgroup v1 may hold it \
             (boot with `cgroup_no_v1=all`), or the group above does not hand it down",
        ),
        (
            offer(&Controller::ALL, Room::Occupied),
            memory(1 << 20),
            "`limits.memory` needs the controller `memory` of cgroup v2, which /c cannot hand down while the daemon \
             itself is in it: `DelegateSubgroup=daemon` in the unit (systemd 254) puts it below",
        ),
        (
            Err(Unavailable::NotDelegated("s.service".to_owned())),
            all_limits(),
            "`limits.cpu` needs the controller `cpu` of cgroup v2, and systemd keeps the control group of `s.service` \
             to itself: `Delegate=yes` and `DelegateSubgroup=daemon` in its unit give it to the daemon",
        ),
        (
            Err(Unavailable::NoMount),
            memory(1 << 20),
            "`limits.memory` needs the controller `memory` of cgroup v2, and cgroup v2 is not mounted where the \
             daemon can see it: mount it, in a container writable (docs/process.md)",
        ),
    ];
    for (offer, limits, expected) in cases {
        assert_eq!(refusal(&offer, &limits).as_deref(), Some(expected));
    }
}

/// The kernel makes these files; here somebody has to.
fn with_files(leaf: &Path, files: &[&str]) {
    fs::create_dir_all(leaf).unwrap();
    for file in files {
        fs::write(leaf.join(file), "").unwrap();
    }
}

#[test]
fn limits_are_written_in_the_words_of_the_kernel_and_only_where_it_has_them() {
    let tree = Tree::new(&[]);
    let path = tree.path("leaf");
    // Without its files nothing is pretended.
    assert!(Leaf::make(path.clone(), false, memory(1 << 30)).is_err());
    assert!(!path.exists(), "what could not be limited is removed");

    let of_memory = ["memory.max", "memory.swap.max", "memory.oom.group"];
    with_files(&path, &of_memory);
    with_files(&path, &["cpu.max", "pids.max"]);
    limit(&path, &all_limits()).unwrap();
    let text = |file: &str| fs::read_to_string(path.join(file)).unwrap();
    assert_eq!(of_memory.map(text), ["1073741824", "0", "1"]);
    assert_eq!(["cpu.max", "pids.max"].map(text), ["150000 100000", "20"]);
    fs::remove_file(path.join("memory.swap.max")).unwrap();
    limit(&path, &all_limits()).unwrap();
    assert!(!path.join("memory.swap.max").exists(), "a kernel without swap");
}

#[test]
fn what_is_wanted_is_handed_down_on_both_levels() {
    let tree = Tree::new(&[("", "cpu memory pids", "")]);
    let mut groups = Groups::new(tree.offer("", ""), "i");
    let subtree = tree.path("cronwright-i");
    with_files(&subtree, &["cgroup.subtree_control"]);
    // No kernel makes the leaf's files: the limits fail, and are told.
    let refused = groups.leaf(1, "a", false, memory(1 << 20)).unwrap_err();
    assert!(refused.starts_with("`limits` cannot be applied by a control group in "), "{refused}");
    for level in [tree.path(""), subtree.clone()] {
        let text = fs::read_to_string(level.join("cgroup.subtree_control")).unwrap();
        assert_eq!(text, "+memory", "{}", level.display());
    }
    let leaf = groups.leaf(2, "a", false, GroupLimits::default()).unwrap().unwrap();
    assert!(subtree.join("run-2-a").exists() && !leaf.is_kept());
    assert!(groups.leaf(3, "a", true, GroupLimits::default()).unwrap().is_none(), "of no use");
    groups.retire(leaf);
    assert!(!subtree.join("run-2-a").exists());
}

#[test]
fn processes_of_a_container_are_moved_out_of_the_way() {
    let tree = Tree::new(&[("", "memory", "17\n"), ("daemon", "", "")]).with_type("");
    let offer = tree.offer("", "").unwrap();
    let mut groups = Groups::new(Ok(offer), "i");
    with_files(&tree.path("cronwright-i"), &["cgroup.subtree_control"]);
    groups.leaf(1, "a", false, memory(1 << 20)).unwrap_err();
    let moved = fs::read_to_string(tree.path("daemon/cgroup.procs")).unwrap();
    assert_eq!(moved, "17", "each of them by its number");

    // The next supervisor is among those that were moved.
    fs::write(tree.path("cgroup.procs"), "").unwrap();
    fs::write(tree.path("daemon/cgroup.type"), "domain\n").unwrap();
    let offer = tree.offer("daemon", "").unwrap();
    assert_eq!((offer.base, offer.room), (tree.path(""), Room::Free));
}

#[test]
fn a_group_that_would_become_one_of_threads_stays_what_it_was() {
    let tree = Tree::new(&[("", "pids", "")]).with_type("");
    fs::write(tree.path("cgroup.type"), "domain threaded\n").unwrap();
    let mut groups = Groups::new(tree.offer("", ""), "i");
    let pids = GroupLimits { pids_max: Some(9), ..GroupLimits::default() };
    let refused = groups.leaf(1, "a", false, pids).unwrap_err();
    assert!(refused.ends_with("there are processes in the group above"), "{refused}");
    let control = fs::read_to_string(tree.path("cgroup.subtree_control")).unwrap();
    assert_eq!(control, "-pids");
}

#[test]
fn the_limit_that_was_hit_is_the_one_that_the_kernel_counted() {
    let tree = Tree::new(&[]);
    let path = tree.path("leaf");
    let mut leaf = Leaf::make(path.clone(), false, GroupLimits::default()).unwrap();
    let pids = GroupLimits { pids_max: Some(9), ..GroupLimits::default() };
    let killed = "low 0\noom 3\noom_kill 1\noom_group_kill 1\n";
    for (limits, memory_events, pids_events, expected) in [
        (all_limits(), killed, "max 4\n", Some(LimitHit::Memory)),
        (pids, killed, "max 4\n", Some(LimitHit::Pids)),
        (GroupLimits::default(), killed, "max 4\n", None),
        (all_limits(), "oom 3\noom_kill 0\n", "max 0\n", None),
        (all_limits(), "", "", None),
    ] {
        fs::write(path.join("memory.events"), memory_events).unwrap();
        fs::write(path.join("pids.events"), pids_events).unwrap();
        leaf = leaf.with_limits(limits);
        assert_eq!(leaf.hit(), expected, "{limits:?} {memory_events}{pids_events}");
    }
}

#[test]
fn a_predecessor_is_cleared_but_for_what_is_left_alone() {
    let tree = Tree::new(&[]);
    for leaf in ["s/run-1-a", "s/run-2-b/nested", "s/keep-3-c"] {
        fs::create_dir_all(tree.path(leaf)).unwrap();
    }
    clear(&tree.path("absent"));
    clear(&tree.path("s"));
    assert!(!tree.path("s").exists(), "nothing was in them");

    fs::create_dir_all(tree.path("s/keep-3-c")).unwrap();
    fs::create_dir_all(tree.path("s/run-4-d")).unwrap();
    // A folder with a file in it is what a populated group is: it cannot be removed.
    fs::write(tree.path("s/keep-3-c/cgroup.events"), "populated 1\n").unwrap();
    clear(&tree.path("s"));
    assert!(tree.path("s/keep-3-c").exists() && !tree.path("s/run-4-d").exists());
}
