//! The lock that makes a supervisor the only one of its state directory. The file also says who it is.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

use crate::supervisor::clock;
use crate::supervisor::places::Places;

/// How long a lock is waited for whose holder does not listen: it is about to end.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often it is tried.
const PAUSE: Duration = Duration::from_millis(5);

/// The lock, held for as long as this value lives.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
    path: PathBuf,
}

impl Lock {
    /// Locks; none: its holder listens.
    pub(super) fn take(places: &Places) -> io::Result<Option<Self>> {
        let path = places.lock();
        let mut options = OpenOptions::new();
        let file =
            options.read(true).write(true).create(true).truncate(false).mode(0o600).open(&path)?;
        let give_up_at = clock::now() + PATIENCE;
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Some(Self { file, path })),
                Err(rustix::io::Errno::WOULDBLOCK) => {}
                Err(errno) => return Err(errno.into()),
            }
            if UnixStream::connect(places.socket()).is_ok() {
                tracing::info!("another supervisor listens already");
                return Ok(None);
            }
            if clock::now() >= give_up_at {
                let text =
                    format!("`{}` is locked by a supervisor that does not listen", path.display());
                return Err(io::Error::new(io::ErrorKind::AddrInUse, text));
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// The instance of the supervisor that held it last.
    pub(super) fn instance(&mut self) -> io::Result<Option<String>> {
        let mut text = String::new();
        self.file.seek(SeekFrom::Start(0))?;
        self.file.read_to_string(&mut text)?;
        Ok(text.split_ascii_whitespace().nth(1).map(str::to_owned))
    }

    /// Writes down who holds it.
    pub(super) fn write(&mut self, pid: u32, instance: &str) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        writeln!(self.file, "{pid} {instance}")
    }

    /// Whether the file is still in its place. When it is not, no daemon will ever find this supervisor again.
    pub(super) fn is_in_place(&self) -> bool {
        let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
        match (self.file.metadata(), fs::symlink_metadata(&self.path)) {
            (Ok(own), Ok(there)) => identity(own) == identity(there),
            (_, Err(error)) => error.kind() != io::ErrorKind::NotFound,
            (Err(_), Ok(_)) => true,
        }
    }
}
