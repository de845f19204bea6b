//! Classes in Python: which there are, and the process that calls one.
//!
//! Each call has a process under the supervisor to itself, so that it survives the daemon, is bounded and
//! captured like any job, and ends alone whatever it does. A process of which nothing shows that the call has
//! left something may be kept for the next ([`Keep`]). What the call came to stands in its result file
//! ([`Report`](crate::io::executor::report::Report)), not on stdout. Finding the classes executes nothing of them.

use std::collections::hash_map::DefaultHasher;
use std::fs::Permissions;
use std::hash::{Hash, Hasher};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use crate::io::helper::{self, Bounds};
use crate::spec::process::{Leftovers, ProcessRules};
use crate::spec::task::call::Call;
use crate::spec::task::classes::{FoundClasses, PythonClasses};
use crate::supervisor::protocol::SCRIPT_PATH;

/// The variable that holds the call, as Python writes it.
pub const CALL_VARIABLE: &str = "CRONWRIGHT_CALL";

/// What the interpreter is given: it lists classes, and calls one.
const WORKER: &str = include_str!("worker.py");
/// How long the classes are looked for.
const LIST_WITHIN: Duration = Duration::from_secs(20);
/// How long the list may be, in bytes.
const LIST_BYTES_MAX: u64 = 16 << 20;
/// How many files and folders below the root are looked at.
const ENTRIES_MAX: usize = 100_000;
/// How many characters of the interpreter's complaint are shown.
const COMPLAINT_CHARS_MAX: usize = 300;

/// Where classes are found, and who calls them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Python {
    /// The interpreter: a path, or a name that the PATH knows.
    pub interpreter: PathBuf,
    /// The folder that holds the modules.
    pub root: PathBuf,
    /// Packages, modules and classes that may be called.
    pub allow: Vec<String>,
    /// When a process is kept for further calls; none: never.
    pub keep: Option<Keep>,
}

/// When a process that has made a call is kept for further ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// It has no more than this in memory.
    pub memory_bytes_max: u64,
}

/// The state of the files below the root: equal means that nothing was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint(u64);

impl Python {
    /// The classes that there are. The modules are read and not imported.
    pub fn classes(&self) -> PythonClasses {
        match self.list() {
            Ok(found) => PythonClasses::Found(Arc::new(found)),
            Err(why) => PythonClasses::Unknown(why.into()),
        }
    }

    /// The state of the files below the root; none: they cannot be looked at.
    pub fn fingerprint(&self) -> io::Result<Fingerprint> {
        let mut hasher = DefaultHasher::new();
        let mut folders = vec![self.root.clone()];
        let mut entries = 0;
        while let Some(folder) = folders.pop() {
            let mut listed = folder.read_dir()?.collect::<io::Result<Vec<_>>>()?;
            listed.sort_by_key(std::fs::DirEntry::file_name);
            for entry in listed {
                let path = entry.path();
                entries += 1;
                if entries > ENTRIES_MAX {
                    return Err(io::Error::other("there are too many files"));
                }
                if entry.file_type()?.is_dir() {
                    if entry.file_name() != "__pycache__" {
                        folders.push(path);
                    }
                } else if path.extension().is_some_and(|ending| ending == "py") {
                    let (size, mtime, inode) = path.metadata().map_or((0, (0, 0), 0), |meta| {
                        (meta.size(), (meta.mtime(), meta.mtime_nsec()), meta.ino())
                    });
                    (path, size, mtime, inode).hash(&mut hasher);
                }
            }
        }
        Ok(Fingerprint(hasher.finish()))
    }

    /// Puts the program that calls classes into the state directory, where the interpreter finds it.
    pub fn install(self, state_dir: &Path) -> io::Result<Caller> {
        let folder = state_dir.join("python");
        let path = folder.join(format!("worker-{}.py", env!("CARGO_PKG_VERSION")));
        std::fs::create_dir_all(&folder)?;
        // Whole or not at all: an execution may be starting with it.
        let draft = folder.join(format!(".{}.draft", std::process::id()));
        #[expect(
            clippy::disallowed_methods,
            reason = "the program of this version, for the interpreter"
        )]
        std::fs::write(&draft, WORKER)?;
        // A user of whom it is the process reads it through a descriptor: the folder stays closed.
        std::fs::set_permissions(&draft, Permissions::from_mode(0o644))?;
        std::fs::rename(draft, &path)?;
        Ok(Caller { python: self, worker: path })
    }

    fn list(&self) -> Result<FoundClasses, String> {
        if !self.root.is_dir() {
            return Err(format!("there is no folder {}", self.root.display()));
        }
        #[expect(
            clippy::disallowed_methods,
            reason = "the interpreter is asked here and nowhere else"
        )]
        let mut command = Command::new(&self.interpreter);
        command.args(["-I", "-B", "-", "classes"]).arg(&self.root).args(&self.allow);
        let bounds = Bounds { within: LIST_WITHIN, output_max: LIST_BYTES_MAX, too_big: None };
        let interpreter = self.interpreter.display();
        let said = helper::run(command, WORKER.as_bytes(), &bounds)
            .map_err(|error| format!("cannot ask `{interpreter}`: {error}"))?;
        if !said.status.success() {
            let complaint = String::from_utf8_lossy(&said.complaint);
            let last = complaint.lines().rev().find(|line| !line.trim().is_empty());
            let words =
                last.unwrap_or("it does not say why").chars().filter(|sign| !sign.is_control());
            let words: String = words.take(COMPLAINT_CHARS_MAX).collect();
            return Err(format!("`{interpreter}` cannot look for classes: {words}"));
        }
        serde_json::from_slice(&said.output)
            .map_err(|error| format!("`{interpreter}` does not say what was asked: {error}"))
    }
}

/// The process of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallProcess {
    /// Its argument vector.
    pub argv: Vec<String>,
    /// The value of [`CALL_VARIABLE`].
    pub call: String,
    /// The file that it finds at [`SCRIPT_PATH`]; none: it opens what it needs itself.
    pub script: Option<String>,
}

/// What calls classes, installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    python: Python,
    worker: PathBuf,
}

impl Caller {
    /// When the process of a call that has these rules is kept for further calls; none: it is not.
    pub fn keep(&self, rules: &ProcessRules) -> Option<Keep> {
        // What goes on after a call, and what a process has taken, would be counted to another call.
        let is_alone = rules.leftovers == Leftovers::Leave
            || rules.limits.time.is_some()
            || rules.limits.needs_group();
        self.python.keep.filter(|_| !is_alone)
    }

    /// The process that makes a call, or `keep`s making them. `is_other`: it is the process of another user.
    pub fn process(&self, call: &Call, keep: Option<Keep>, is_other: bool) -> CallProcess {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let Python { interpreter, root, allow, keep: _ } = &self.python;
        // The state directory is closed to other users.
        let worker = if is_other { SCRIPT_PATH.to_owned() } else { text(&self.worker) };
        let fixed = [
            text(interpreter),
            "-Xfaulthandler".into(),
            worker,
            if keep.is_some() { "serve" } else { "call" }.into(),
            text(root),
        ];
        CallProcess {
            argv: fixed.into_iter().chain(allow.iter().cloned()).collect(),
            call: call.to_string(),
            script: is_other.then(|| text(&self.worker)),
        }
    }
}

#[cfg(test)]
mod tests;
