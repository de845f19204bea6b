//! The files that processes write their results to (`$CRONWRIGHT_RESULT`, C6).

use std::fs::{self, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::de::IgnoredAny;

use crate::supervisor::protocol::RESULT_BYTES_MAX;

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
}

impl ResultFile {
    /// Makes the file in `folder`. Its name says nothing about the execution.
    pub(super) fn create(folder: &Path) -> io::Result<Self> {
        let path = folder.join(uuid::Uuid::now_v7().simple().to_string());
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        Ok(Self { path })
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
        if !file.metadata()?.is_file() {
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
