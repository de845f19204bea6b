//! File systems that do not tell of all changes: those made elsewhere, on a server or a host.

use std::path::Path;

/// File systems by their number in `statfs`, whose contents change without an event here. Overlays are not
/// among them: what is changed through one is told, and the root of most containers is one.
const SILENT: [(u64, &str); 17] = [
    (0x0000_6969, "NFS"),
    (0x0000_517b, "SMB"),
    (0xfe53_4d42, "SMB 2"),
    (0xff53_4d42, "CIFS"),
    (0x0102_1997, "9P"),
    (0x6573_5546, "FUSE or virtiofs"),
    (0x5346_414f, "AFS"),
    (0x6b41_4653, "AFS"),
    (0x00c3_6400, "Ceph"),
    (0x7375_7245, "Coda"),
    (0x0bd0_0bd0, "Lustre"),
    (0x4750_4653, "GPFS"),
    (0x1983_0326, "BeeGFS"),
    (0x0116_1970, "GFS2"),
    (0x7461_636f, "OCFS2"),
    (0x786f_4256, "a shared folder of VirtualBox"),
    (0xbacb_acbc, "a shared folder of VMware"),
];

/// The kind of file system that `folder` is on, when it is one of those.
pub(super) fn silent_file_system(folder: &Path) -> Option<&'static str> {
    name_of(u64::try_from(rustix::fs::statfs(folder).ok()?.f_type).ok()?)
}

fn name_of(number: u64) -> Option<&'static str> {
    SILENT.iter().find(|(known, _)| *known == number).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_systems_of_this_machine_alone_are_trusted_to_tell() {
        for (number, expected) in [
            (0x6969, Some("NFS")),
            (0x6573_5546, Some("FUSE or virtiofs")),
            (0x0102_1994, None), // tmpfs
            (0xef53, None),      // ext4
            (0x9123_683e, None), // btrfs
            (0x794c_7630, None), // overlayfs
        ] {
            assert_eq!(name_of(number), expected, "{number:x}");
        }
        assert_eq!(silent_file_system(Path::new("/proc")), None);
        assert_eq!(silent_file_system(Path::new("/no/such/folder")), None);
    }
}
