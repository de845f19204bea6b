//! The server on a unix socket.

use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use axum::Extension;
use rustix::fs::{Mode, fchmod};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use tokio::net::UnixListener;

use crate::io::http::api::Api;
use crate::io::http::auth::Caller;
use crate::io::http::routes::router;

/// How many connections may wait to be accepted.
const BACKLOG: i32 = 128;

/// Why the API cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Somebody answers there.
    #[error("cannot listen at {}: another daemon answers there", path.display())]
    Held {
        /// The socket.
        path: PathBuf,
    },
    /// Another program listens at the address, or the machine does not have it.
    #[error("cannot listen at {address}: {source}")]
    Tcp {
        /// The address.
        address: String,
        /// The system's words.
        source: std::io::Error,
    },
    /// There is something that is not a socket.
    #[error("cannot listen at {}: a file that is not a socket stands there", path.display())]
    NotASocket {
        /// The path.
        path: PathBuf,
    },
    /// The system refuses.
    #[error("cannot listen at {}: {source}", path.display())]
    System {
        /// The socket.
        path: PathBuf,
        /// Its words.
        source: std::io::Error,
    },
}

/// A socket that is listened at. It is removed when this is dropped.
#[derive(Debug)]
pub struct Listener {
    listener: UnixListener,
    place: Place,
}

/// A socket of ours in the file system.
#[derive(Debug)]
struct Place {
    path: PathBuf,
    id: Option<(u64, u64)>,
}

impl Listener {
    /// Listens at `path`, for this user only. A socket that nobody answers at is replaced.
    pub fn bind(path: &Path) -> Result<Self, ListenError> {
        let system = |source| ListenError::System { path: path.to_path_buf(), source };
        make_way(path)?;
        let socket = private_socket(path).map_err(|errno| system(errno.into()))?;
        let listener = std::os::unix::net::UnixListener::from(socket);
        let listener = UnixListener::from_std(listener).map_err(system)?;
        let id = path.symlink_metadata().ok().map(|stat| (stat.dev(), stat.ino()));
        Ok(Self { listener, place: Place { path: path.to_path_buf(), id } })
    }

    /// Answers until `stop` ends, and then what was asked before.
    pub async fn serve(
        self,
        api: Api,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> std::io::Result<()> {
        let Self { listener, place } = self;
        let router = router(api).layer(Extension(Caller::Owner));
        let served = axum::serve(listener, router).with_graceful_shutdown(stop).await;
        drop(place);
        served
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let found = self.path.symlink_metadata().ok().map(|stat| (stat.dev(), stat.ino()));
        // Somebody else's socket may stand there by now; and what cannot be removed is replaced by
        // the next daemon.
        if found.is_some() && found == self.id {
            std::fs::remove_file(&self.path).ok();
        }
    }
}

/// Removes a socket that nobody answers at.
fn make_way(path: &Path) -> Result<(), ListenError> {
    let at = || path.to_path_buf();
    match path.symlink_metadata() {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(ListenError::System { path: at(), source }),
        Ok(stat) if !stat.file_type().is_socket() => {
            return Err(ListenError::NotASocket { path: at() });
        }
        Ok(_) => {}
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path).map_err(|source| ListenError::System { path: at(), source })
        }
        // One that is too busy to answer is alive.
        Ok(_) | Err(_) => Err(ListenError::Held { path: at() }),
    }
}

/// A listening socket that only this user may connect to, from its first moment: the mode that the
/// socket has before it is bound becomes that of its file.
fn private_socket(path: &Path) -> rustix::io::Result<OwnedFd> {
    let address = SocketAddrUnix::new(path)?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
    rustix::net::bind(&socket, &address)?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(socket)
}
