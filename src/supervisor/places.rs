//! Where a supervisor keeps its things in the state directory. Both sides of the socket use this.
//!
//! Every protocol version has names of its own, so that supervisors of two versions can live side by
//! side: the older one keeps its jobs while the newer one takes what starts from now on.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::supervisor::protocol::PROTOCOL_VERSION;

/// The longest path of a Unix socket, in bytes, without the closing zero.
pub const SOCKET_PATH_BYTES_MAX: usize = 107;

/// The places of the supervisor of one protocol version.
#[derive(Debug, Clone)]
pub struct Places {
    folder: PathBuf,
    suffix: String,
}

impl Places {
    /// The places of this program's version. A relative path counts from the current folder.
    pub fn new(state_dir: &Path) -> io::Result<Self> {
        Self::of_version(state_dir, PROTOCOL_VERSION)
    }

    /// The places of a supervisor that speaks `version`.
    pub fn of_version(state_dir: &Path, version: u32) -> io::Result<Self> {
        let suffix = if version == 1 { String::new() } else { format!("-v{version}") };
        let places = Self { folder: std::path::absolute(state_dir)?, suffix };
        let socket = places.socket();
        let length = socket.as_os_str().as_bytes().len();
        if length > SOCKET_PATH_BYTES_MAX {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!(
                    "the socket path `{}` has {length} bytes, and the system allows \
                     {SOCKET_PATH_BYTES_MAX}: choose a shorter state directory",
                    socket.display()
                ),
            ));
        }
        Ok(places)
    }

    /// The state directory, absolute.
    pub fn state_dir(&self) -> &Path {
        &self.folder
    }

    /// The socket that daemons connect to.
    pub fn socket(&self) -> PathBuf {
        self.folder.join(format!("supervisor{}.sock", self.suffix))
    }

    /// The file whose lock a living supervisor holds; holds its process id and its mark.
    pub fn lock(&self) -> PathBuf {
        self.folder.join(format!("supervisor{}.lock", self.suffix))
    }

    /// What the supervisor has to say to people.
    pub fn log(&self) -> PathBuf {
        self.folder.join(format!("supervisor{}.log", self.suffix))
    }

    /// The folder of endings that are not yet recorded.
    pub fn spool(&self) -> PathBuf {
        self.folder.join(format!("spool{}", self.suffix))
    }

    /// The folder of result files of what runs.
    pub fn results(&self) -> PathBuf {
        self.folder.join(format!("results{}", self.suffix))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_version_has_its_own_names() {
        let one = Places::of_version(Path::new("/s"), 1).unwrap();
        let two = Places::of_version(Path::new("/s"), 2).unwrap();
        assert_eq!(one.socket(), Path::new("/s/supervisor.sock"));
        assert_eq!(two.socket(), Path::new("/s/supervisor-v2.sock"));
        assert_eq!(one.spool(), Path::new("/s/spool"));
        assert_eq!(two.spool(), Path::new("/s/spool-v2"));
    }

    #[test]
    fn a_path_too_long_for_a_socket_is_refused_in_words() {
        let folder = format!("/{}", "x".repeat(100));
        let error = Places::new(Path::new(&folder)).unwrap_err().to_string();
        assert_eq!(
            error,
            format!(
                "the socket path `{folder}/supervisor.sock` has 117 bytes, and the system allows \
                 107: choose a shorter state directory"
            )
        );
    }
}
