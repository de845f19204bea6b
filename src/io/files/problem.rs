//! What may be wrong with a file or a source, and the words for it.

use std::fmt;

use crate::diagnostic::{Diagnostic, codes, quoted};
use crate::io::files::snapshot::TOTAL_BYTES_MAX;
use crate::io::files::walk::{DEPTH_MAX, ENTRIES_MAX, FILE_BYTES_MAX, FILES_MAX};

/// Why a manifest cannot be read, shown with the next act. Its jobs stay at their last good definition
/// (D7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileProblem {
    /// The system refuses; its words.
    Unreadable(String),
    /// Larger than [`FILE_BYTES_MAX`]: so many bytes.
    TooLarge(u64),
    /// A FIFO, socket or device: which.
    NotRegular(&'static str),
    /// A link that leads out of its source.
    OutsideSource,
    /// A link that leads back to itself.
    LinkLoop,
    /// A link in a commit, which nothing follows.
    LinkInGit,
    /// It was there and is not any more, or it is a link to nothing.
    Vanished,
    /// Its name is not UTF-8.
    NameNotUtf8,
    /// Every user of the machine may write it.
    WorldWritable,
    /// Every user of the machine may replace it: its folder (path) is writable by all.
    FolderWorldWritable(String),
    /// The daemon is root, and not root alone decides what the file says.
    UnsafeForRoot(RootFault),
    /// It is being written all the time.
    Moving,
    /// All files together are more than [`TOTAL_BYTES_MAX`].
    NoRoom,
}

/// Why a root daemon does not read a manifest that others would.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RootFault {
    /// It belongs to this user.
    Owner(u32),
    /// A group other than root's may write it.
    GroupWritable,
    /// It has the bit of setuid or setgid.
    Setuid,
    /// It has so many names.
    Names(u64),
}

/// What is suspicious about a manifest that was read all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileWarning {
    /// A group that is neither root's nor the owner's own may write it.
    GroupWritable,
}

/// What became of a source. Only [`Self::Read`] says that what is not there was removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceState {
    /// All of it was seen.
    Read,
    /// It is there and holds no manifest.
    Empty,
    /// It is not there.
    Missing,
    /// It is no folder.
    NotFolder,
    /// It, or a folder in it, cannot be read: the system's words.
    Unreadable(String),
    /// It holds more than [`FILES_MAX`] manifests or [`ENTRIES_MAX`] entries.
    TooManyFiles,
    /// A folder in it (path) lies more than [`DEPTH_MAX`] deep.
    TooDeep(String),
    /// It is empty, and another folder than before: a mount that is gone, most likely.
    Unmounted,
    /// It is a repository elsewhere, of which nothing has been fetched yet.
    NotFetched,
}

impl fmt::Display for FileProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(error) => write!(f, "{error}: let the daemon's user read it"),
            Self::TooLarge(bytes) => {
                write!(f, "it is {bytes} bytes long, at most {FILE_BYTES_MAX} are read: split it")
            }
            Self::NotRegular(what) => {
                write!(f, "it is a {what}: move it out of the source, or give it another extension")
            }
            Self::OutsideSource => f.write_str(
                "it is a link that leads out of its source: copy the target, or name its folder in `sources`",
            ),
            Self::LinkLoop => f.write_str("it is a link that leads back to itself: remove it"),
            Self::LinkInGit => f.write_str(
                "it is a link, and links in a commit are not followed: commit the file itself",
            ),
            Self::Vanished => f.write_str(
                "it vanished meanwhile, or is a link to nothing: restore it, or remove the link",
            ),
            Self::NameNotUtf8 => f.write_str("its name is not UTF-8: rename it"),
            Self::WorldWritable => f.write_str(
                "every user of this machine may write it: run `chmod o-w` on it",
            ),
            Self::FolderWorldWritable(folder) => {
                write!(f, "every user of this machine may replace it: run `chmod o-w {folder}`")
            }
            Self::UnsafeForRoot(fault) => write!(f, "the daemon is root, and {fault}"),
            Self::Moving => f.write_str(
                "it is being written all the time: move it out of the source when it is no manifest",
            ),
            Self::NoRoom => write!(
                f,
                "all manifests together exceed {TOTAL_BYTES_MAX} bytes: look for files that are none",
            ),
        }
    }
}

impl fmt::Display for RootFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Owner(user) => {
                write!(
                    f,
                    "it belongs to user {user}: run `chown root` on it, or the daemon as that user"
                )
            }
            Self::GroupWritable => f.write_str("a group may write it: run `chmod g-w` on it"),
            Self::Setuid => f.write_str("it is setuid or setgid: run `chmod ug-s` on it"),
            Self::Names(count) => {
                write!(f, "it has {count} names (hard links): put a copy in its place")
            }
        }
    }
}

impl FileProblem {
    /// The complaint about the file at `path`.
    pub fn diagnostic(&self, path: &str) -> Diagnostic {
        let code = match self {
            Self::Unreadable(_) => codes::FILE_UNREADABLE,
            Self::TooLarge(_) => codes::FILE_OVER_LIMIT,
            Self::NotRegular(_) => codes::NOT_REGULAR,
            Self::OutsideSource => codes::OUTSIDE_SOURCE,
            Self::LinkLoop => codes::LINK_LOOP,
            Self::LinkInGit => codes::LINK_IN_GIT,
            Self::Vanished => codes::VANISHED,
            Self::NameNotUtf8 => codes::NAME_NOT_UTF8,
            Self::WorldWritable | Self::FolderWorldWritable(_) => codes::WORLD_WRITABLE,
            Self::UnsafeForRoot(_) => codes::UNSAFE_FOR_ROOT,
            Self::Moving => codes::MOVING,
            Self::NoRoom => codes::NO_ROOM,
        };
        Diagnostic::new(code, format!("{} is not read: {self}", quoted(path))).in_file(path)
    }
}

impl FileWarning {
    /// The complaint about the file at `path`.
    pub fn diagnostic(self, path: &str) -> Diagnostic {
        match self {
            Self::GroupWritable => Diagnostic::new(
                codes::GROUP_WRITABLE,
                format!("{} is writable by a group other than its owner's", quoted(path)),
            )
            .in_file(path)
            .help("run `chmod g-w` on it unless all members may run commands as the daemon"),
        }
    }
}

impl SourceState {
    /// Whether a job that is not in this source any more was really removed from it (D7, D11).
    pub fn is_complete(&self) -> bool {
        *self == Self::Read
    }

    /// The word for people and JSON.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Empty => "empty",
            Self::Missing => "missing",
            Self::NotFolder => "not_a_folder",
            Self::Unreadable(_) => "unreadable",
            Self::TooManyFiles => "too_many_files",
            Self::TooDeep(_) => "too_deep",
            Self::Unmounted => "unmounted",
            Self::NotFetched => "not_fetched",
        }
    }

    /// The complaint about the source of this name; none when all is well.
    pub fn diagnostic(&self, name: &str) -> Option<Diagnostic> {
        let source = quoted(name);
        let (code, message, help) = match self {
            Self::Read => return None,
            Self::Empty => (
                codes::SOURCE_EMPTY,
                format!("the source {source} holds no manifest"),
                "put a `.yaml`, `.toml` or `.json` file into it".to_owned(),
            ),
            Self::Missing => (
                codes::SOURCE_MISSING,
                format!("the source {source} does not exist"),
                "create it, or name another folder in `sources` or with `--source`".to_owned(),
            ),
            Self::NotFolder => (
                codes::SOURCE_NOT_FOLDER,
                format!("the source {source} is not a folder"),
                "name the folder that the file is in".to_owned(),
            ),
            Self::Unreadable(error) => (
                codes::SOURCE_UNREADABLE,
                format!("the source {source} cannot be read: {error}"),
                "let the daemon's user read and enter it".to_owned(),
            ),
            Self::TooManyFiles => (
                codes::SOURCE_TOO_LARGE,
                format!("the source {source} holds too many files"),
                format!("at most {FILES_MAX} manifests and {ENTRIES_MAX} entries are looked at"),
            ),
            Self::TooDeep(path) => (
                codes::SOURCE_TOO_LARGE,
                format!("the folder {} is too deep", quoted(path)),
                format!("at most {DEPTH_MAX} folders below a source are looked at"),
            ),
            Self::Unmounted => (
                codes::SOURCE_UNMOUNTED,
                format!("the source {source} is empty, and not the folder that it was"),
                "if a mount is gone, mount it again; nothing is removed meanwhile".to_owned(),
            ),
            Self::NotFetched => (
                codes::NOT_FETCHED,
                format!("nothing of the source {source} has been fetched yet"),
                "nothing is removed meanwhile".to_owned(),
            ),
        };
        Some(Diagnostic::new(code, message).in_file(name).help(help))
    }
}
