//! Where the state directory and the daemon's socket are.

use std::path::{Path, PathBuf};

use crate::cli::exit::{Exit, Failure};

/// The socket's name in the state directory.
pub const SOCKET_NAME: &str = "cronwright.sock";
/// The longest path of a socket, in bytes.
pub const SOCKET_PATH_BYTES_MAX: usize = 107;

/// What decides where the state directory is.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// `--state-dir`, else `CRONWRIGHT_STATE_DIR`.
    pub given: Option<PathBuf>,
    /// `STATE_DIRECTORY`, set by systemd: the first of its list.
    pub systemd: Option<PathBuf>,
    /// The current folder holds `cronwright.toml` or `jobs.d`.
    pub in_project: bool,
    /// The user is root.
    pub root: bool,
    /// `XDG_STATE_HOME`.
    pub xdg_state_home: Option<PathBuf>,
    /// `HOME`.
    pub home: Option<PathBuf>,
}

impl Surroundings {
    /// The surroundings of this process.
    pub fn of_process(given: Option<PathBuf>) -> Self {
        let folder = |name: &str| {
            let path = PathBuf::from(std::env::var_os(name)?);
            path.is_absolute().then_some(path)
        };
        let systemd = std::env::var_os("STATE_DIRECTORY")
            .and_then(|list| std::env::split_paths(&list).next().filter(|path| path.is_absolute()));
        Self {
            given,
            systemd,
            in_project: Path::new("cronwright.toml").exists() || Path::new("jobs.d").exists(),
            root: rustix::process::geteuid().is_root(),
            xdg_state_home: folder("XDG_STATE_HOME"),
            home: folder("HOME"),
        }
    }

    /// The state directory; relative ones count from the current folder.
    pub fn state_dir(&self) -> PathBuf {
        if let Some(given) = self.given.as_ref().or(self.systemd.as_ref()) {
            return given.clone();
        }
        if self.in_project {
            return ".cronwright".into();
        }
        if self.root {
            return "/var/lib/cronwright".into();
        }
        let state_home = self
            .xdg_state_home
            .clone()
            .or_else(|| self.home.as_ref().map(|home| home.join(".local/state")));
        state_home.map_or_else(|| ".cronwright".into(), |folder| folder.join("cronwright"))
    }
}

/// The socket that `--server` or `CRONWRIGHT_SERVER` names, else the one in the state directory.
pub fn socket(server: Option<&str>, state_dir: &Path) -> Result<PathBuf, Failure> {
    let path = match server {
        None => state_dir.join(SOCKET_NAME),
        Some(server) => match server.strip_prefix("unix:") {
            Some(path) => PathBuf::from(path),
            None if server.starts_with(['/', '.']) => PathBuf::from(server),
            None => {
                let message = format!("`--server {server}` is not the address of a daemon");
                return Err(Failure::new(Exit::Usage, message)
                    .help("write `unix:PATH`; other addresses are not supported yet"));
            }
        },
    };
    if path.as_os_str().len() > SOCKET_PATH_BYTES_MAX {
        let message = format!(
            "the socket's path {} is longer than {SOCKET_PATH_BYTES_MAX} bytes",
            path.display()
        );
        return Err(Failure::new(Exit::Usage, message)
            .help("name a shorter one with `--server unix:PATH` (`serve --listen unix:PATH`)"));
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_directory_is_the_first_that_is_said() {
        let all = Surroundings {
            given: Some("given".into()),
            systemd: Some("/run/systemd".into()),
            in_project: true,
            root: true,
            xdg_state_home: Some("/xdg".into()),
            home: Some("/home/li".into()),
        };
        let places = [
            (all.clone(), "given"),
            (Surroundings { given: None, ..all.clone() }, "/run/systemd"),
            (Surroundings { given: None, systemd: None, ..all.clone() }, ".cronwright"),
            (Surroundings { root: true, ..Surroundings::default() }, "/var/lib/cronwright"),
            (
                Surroundings { xdg_state_home: all.xdg_state_home, ..Surroundings::default() },
                "/xdg/cronwright",
            ),
            (
                Surroundings { home: all.home, ..Surroundings::default() },
                "/home/li/.local/state/cronwright",
            ),
            (Surroundings::default(), ".cronwright"),
        ];
        for (surroundings, expected) in places {
            assert_eq!(surroundings.state_dir(), Path::new(expected), "{surroundings:?}");
        }
    }

    #[test]
    fn a_server_is_a_socket() {
        let dir = Path::new("/state");
        assert_eq!(socket(None, dir).unwrap(), Path::new("/state/cronwright.sock"));
        assert_eq!(socket(Some("unix:x.sock"), dir).unwrap(), Path::new("x.sock"));
        assert_eq!(socket(Some("./x.sock"), dir).unwrap(), Path::new("./x.sock"));
        assert_eq!(socket(Some("http://h:1"), dir).unwrap_err().exit, Exit::Usage);
        let long = format!("/{}", "x".repeat(107));
        assert_eq!(socket(Some(&long), dir).unwrap_err().exit, Exit::Usage);
    }
}
