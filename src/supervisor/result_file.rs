//! The files that processes write their results to (`$CRONWRIGHT_RESULT`, C6).

use std::fs::{self, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

use serde::de::IgnoredAny;

use crate::supervisor::protocol::{RESULT_BYTES_MAX, RunAs};

/// Why what stands in a result file cannot be kept. It does not repeat what stands there.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    #[error("it cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    #[error("it is no file")]
    NoFile,
    #[error("it is longer than {RESULT_BYTES_MAX} bytes")]
    TooLong,
    #[error("it is not UTF-8")]
    NotText,
    #[error("it is not JSON: {0}")]
    NotJson(#[from] serde_json::Error),
}

/// An empty file, made for one process and removed with this value.
#[derive(Debug)]
pub(super) struct ResultFile {
    path: PathBuf,
    /// Whose it must be, where that is not us.
    owner: Option<u32>,
}

impl ResultFile {
    /// Makes the file for a process: in `folder`, which is ours alone; for one of another user, in the folder for
    /// temporary files. Its name says nothing about the execution, and cannot be guessed.
    pub(super) fn create(folder: &Path, run_as: Option<&RunAs>) -> io::Result<Self> {
        let elsewhere = std::env::temp_dir();
        let folder = if run_as.is_some() { elsewhere.as_path() } else { folder };
        let path = folder.join(uuid::Uuid::now_v7().simple().to_string());
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        // From here on it is removed whatever happens.
        let made = Self { path, owner: run_as.map(|run_as| run_as.uid) };
        if let Some(run_as) = run_as {
            fchown(&file, Some(run_as.uid), Some(run_as.gid))?;
        }
        Ok(made)
    }

    /// Its absolute path.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What was written to it; none: nothing.
    pub(super) fn read(&self) -> Result<Option<String>, Refused> {
        // The process may have put anything in its place.
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
        let file = match OpenOptions::new().read(true).custom_flags(flags).open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let found = file.metadata()?;
        let is_its = self.owner.is_none_or(|owner| found.uid() == owner);
        if !found.is_file() || !is_its {
            return Err(Refused::NoFile);
        }
        let mut bytes = Vec::new();
        file.take(RESULT_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
        if bytes.len() > RESULT_BYTES_MAX {
            return Err(Refused::TooLong);
        }
        let text = String::from_utf8(bytes).map_err(|_| Refused::NotText)?;
        if text.trim().is_empty() {
            return Ok(None);
        }
        serde_json::from_str::<IgnoredAny>(&text)?;
        Ok(Some(text.trim().to_owned()))
    }
}

impl Drop for ResultFile {
    fn drop(&mut self) {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(path = %self.path.display(), %error, "cannot remove a result");
            }
            Ok(()) | Err(_) => {}
        }
    }
}
