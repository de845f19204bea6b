//! The files that processes write their results to (`$CRONWRIGHT_RESULT`, C6).

use std::fs::{self, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::de::IgnoredAny;

use crate::supervisor::protocol::RESULT_BYTES_MAX;

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

    /// What was written to it, when that is JSON and not too long.
    pub(super) fn read(&self) -> Option<String> {
        match self.json() {
            Ok(json) => json,
            Err(error) => {
                tracing::debug!(path = %self.path.display(), %error, "cannot read a result");
                None
            }
        }
    }

    fn json(&self) -> io::Result<Option<String>> {
        // The process may have put anything in its place.
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
        let file = OpenOptions::new().read(true).custom_flags(flags).open(&self.path)?;
        if !file.metadata()?.is_file() {
            return Ok(None);
        }
        let mut text = String::new();
        file.take(RESULT_BYTES_MAX as u64 + 1).read_to_string(&mut text)?;
        let fits = text.len() <= RESULT_BYTES_MAX;
        let is_json = serde_json::from_str::<IgnoredAny>(&text).is_ok();
        Ok((fits && is_json).then(|| text.trim().to_owned()))
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
