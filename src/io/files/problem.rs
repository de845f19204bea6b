//! What may be wrong with a file or a source, and the words for it.

use crate::diagnostic::{Diagnostic, Severity};
use crate::io::files::snapshot::TOTAL_BYTES_MAX;
use crate::io::files::walk::{DEPTH_MAX, ENTRIES_MAX, FILE_BYTES_MAX, FILES_MAX};

/// Why a manifest cannot be read. Its jobs stay at their last good definition (D7).
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
    /// It was there and is not any more, or it is a link to nothing.
    Vanished,
    /// Its name is not UTF-8.
    NameNotUtf8,
    /// Every user of the machine may write it.
    WorldWritable,
    /// Every user of the machine may replace it: its folder (path) is writable by all.
    FolderWorldWritable(String),
    /// It is being written all the time.
    Moving,
    /// All files together are more than [`TOTAL_BYTES_MAX`].
    NoRoom,
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
}

impl FileProblem {
    /// Stable code and words: message, help.
    fn words(&self) -> (&'static str, String, String) {
        match self {
            Self::Unreadable(error) => (
                "E0511",
                format!("cannot be read: {error}"),
                "let the daemon's user read it".into(),
            ),
            Self::TooLarge(bytes) => (
                "E0512",
                format!("is too large: {bytes} bytes, at most {FILE_BYTES_MAX} are read"),
                "split it into several manifests".into(),
            ),
            Self::NotRegular(what) => (
                "E0513",
                format!("is a {what}, not a regular file"),
                "move it out of the source, or give it another extension".into(),
            ),
            Self::OutsideSource => (
                "E0514",
                "is a link that leads out of its source".into(),
                "copy the target into the source, or name its folder in `sources`".into(),
            ),
            Self::LinkLoop => {
                ("E0515", "is a link that leads back to itself".into(), "remove the link".into())
            }
            Self::Vanished => (
                "E0516",
                "vanished while it was read, or is a link to nothing".into(),
                "restore the file, or remove the link".into(),
            ),
            Self::NameNotUtf8 => {
                ("E0517", "has a name that is not UTF-8".into(), "rename it".into())
            }
            Self::WorldWritable => (
                "E0518",
                "is writable by every user of this machine".into(),
                "run `chmod o-w` on it".into(),
            ),
            Self::FolderWorldWritable(folder) => (
                "E0518",
                format!("lies in `{folder}`, which is writable by every user of this machine"),
                format!("run `chmod o-w {folder}`"),
            ),
            Self::Moving => (
                "E0519",
                "is being written all the time".into(),
                "move it out of the source when it is no manifest".into(),
            ),
            Self::NoRoom => (
                "E0520",
                format!("is one too many: all manifests together exceed {TOTAL_BYTES_MAX} bytes"),
                "look for files that are no manifests in the sources".into(),
            ),
        }
    }

    /// The complaint about the file at `path`.
    pub fn diagnostic(&self, path: &str) -> Diagnostic {
        let (code, message, help) = self.words();
        let message = format!("`{}` {message}", path.escape_debug());
        plain(code, Severity::Error, message, help, path)
    }

    /// What is wrong, without the path.
    pub fn in_words(&self) -> String {
        self.words().1
    }

    /// The code, for digests and tests.
    pub fn code(&self) -> &'static str {
        self.words().0
    }
}

impl FileWarning {
    /// The complaint about the file at `path`.
    pub fn diagnostic(self, path: &str) -> Diagnostic {
        match self {
            Self::GroupWritable => plain(
                "W0511",
                Severity::Warning,
                format!("`{}` is writable by a group other than its owner's", path.escape_debug()),
                "run `chmod g-w` on it unless all members may run commands as the daemon".into(),
                path,
            ),
        }
    }
}

impl SourceState {
    /// Whether a job that is not in this source any more was really removed from it (D7, D11).
    pub fn is_complete(&self) -> bool {
        match self {
            Self::Read => true,
            Self::Empty
            | Self::Missing
            | Self::NotFolder
            | Self::Unreadable(_)
            | Self::TooManyFiles
            | Self::TooDeep(_)
            | Self::Unmounted => false,
        }
    }

    /// The complaint about the source `folder`; none when all is well.
    pub fn diagnostic(&self, folder: &str) -> Option<Diagnostic> {
        let (code, severity, message, help) = match self {
            Self::Read => return None,
            Self::Empty => (
                "W0520",
                Severity::Warning,
                format!("source `{folder}` holds no manifest"),
                "put a `.yaml`, `.toml` or `.json` file into it".to_owned(),
            ),
            Self::Missing => (
                "E0521",
                Severity::Error,
                format!("source `{folder}` does not exist"),
                "create it, or name another folder in `sources` or with `--source`".to_owned(),
            ),
            Self::NotFolder => (
                "E0522",
                Severity::Error,
                format!("source `{folder}` is not a folder"),
                "name the folder that the file is in".to_owned(),
            ),
            Self::Unreadable(error) => (
                "E0523",
                Severity::Error,
                format!("source `{folder}` cannot be read: {error}"),
                "let the daemon's user read and enter it".to_owned(),
            ),
            Self::TooManyFiles => (
                "E0524",
                Severity::Error,
                format!(
                    "source `{folder}` holds too many files (at most {FILES_MAX} manifests, {ENTRIES_MAX} entries)"
                ),
                "name a folder that holds manifests only".to_owned(),
            ),
            Self::TooDeep(path) => (
                "E0525",
                Severity::Error,
                format!(
                    "source `{folder}` is too deep: `{path}` is more than {DEPTH_MAX} folders down"
                ),
                "move the manifests up".to_owned(),
            ),
            Self::Unmounted => (
                "E0526",
                Severity::Error,
                format!("source `{folder}` is empty and not the folder it was: is a mount gone?"),
                "mount it again; nothing is removed meanwhile".to_owned(),
            ),
        };
        Some(plain(code, severity, message, help, folder))
    }
}

/// A complaint about a file as a whole.
fn plain(
    code: &'static str,
    severity: Severity,
    message: String,
    help: String,
    file: &str,
) -> Diagnostic {
    Diagnostic {
        code,
        severity,
        message,
        place: None,
        label: String::new(),
        help: Some(help),
        related: Vec::new(),
        file: Some(file.to_owned()),
        job: None,
        pointer: None,
    }
}
