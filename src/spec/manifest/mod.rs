//! Manifests: text → one tree with places → checked against the schema → decoded → lowered to job specs.
//!
//! [`load`] is the way in: all files of a snapshot at once, all mistakes of all files out, and never a
//! failure. It decides neither what a broken file does to running jobs (D7) nor who keeps a name that
//! stands twice (D8); it only says which files and names are concerned. Start reading at [`load`],
//! then `document` (one file).

pub mod canonical;
pub mod check;
pub mod document;
pub mod host;
pub mod lints;
pub mod load;
pub mod lower;
pub mod node;
pub mod raw;
pub mod rules;
pub mod text;

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::diagnostic::{Diagnostic, SourceText};
use crate::spec::job::{JobName, JobSet};
use crate::spec::manifest::lower::layer::Layer;
use crate::spec::task::classes::Classes;

pub use crate::spec::manifest::load::{Loader, load};

/// The largest manifest, in bytes.
pub const FILE_BYTES_MAX: usize = 1 << 20;

/// A file of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestFile {
    /// Path relative to the folder of the settings, with `/`.
    pub path: Arc<str>,
    /// The source that it belongs to, as the settings name it.
    pub source: Arc<str>,
    /// What is in it.
    pub content: Content,
}

/// What was read of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// All of it.
    Bytes(Arc<[u8]>),
    /// It could not or should not be read; the complaint about it.
    Refused(Diagnostic),
}

/// What manifests build upon that is not in them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Known {
    /// `job_defaults` of the settings, over their time zone.
    pub defaults: Arc<Layer>,
    /// The classes that may be called.
    pub classes: Classes,
    /// Whether programs may be started that tell secrets.
    pub exec_secrets: bool,
}

/// What a snapshot declares.
#[derive(Debug, Clone, Default)]
pub struct Loaded {
    /// The jobs of valid manifests, without `conflicts`.
    pub jobs: JobSet,
    /// Manifests with an error: none of their jobs is in `jobs`.
    pub invalid: Vec<InvalidManifest>,
    /// Names that are declared more than once, and those of jobs that list the same previous name, with
    /// that name; both places are in `diagnostics`.
    pub conflicts: BTreeSet<JobName>,
    /// Everything that is wrong or doubtful, in the order of files and places.
    pub diagnostics: Vec<Diagnostic>,
    /// How many files were looked at.
    pub files: usize,
}

impl Loaded {
    /// Whether anything is wrong; warnings are not.
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(Diagnostic::is_error)
    }
}

/// A manifest that cannot be used as it is: its jobs stay at their last good definition (D7).
#[derive(Debug, Clone)]
pub struct InvalidManifest {
    /// The file. A stored job that came from it counts as declared by it, whatever can be read now.
    pub path: Arc<str>,
    /// The source that it belongs to.
    pub source: Arc<str>,
    /// The names that it declares, as far as they can be read.
    pub declared: BTreeSet<JobName>,
    /// Its text, where bytes that are no text are replaced; empty when it could not be read.
    pub text: Arc<SourceText>,
}

impl InvalidManifest {
    /// Whether its text does not tell which names it was meant to hold: it could not be read, is empty, or
    /// was torn while it was written.
    pub fn hides_names(&self) -> bool {
        let text = self.text.text.trim();
        text.is_empty() || text.contains(['\0', char::REPLACEMENT_CHARACTER])
    }

    /// Whether a name is declared by it or stands anywhere in its text as a word of its own.
    pub fn mentions(&self, name: &JobName) -> bool {
        if self.declared.contains(name) {
            return true;
        }
        // A dot ends a word, although a name may hold one: TOML writes `[jobs.name]`, `[jobs.name.env]`.
        let inside = |sign: Option<char>| {
            sign.is_some_and(|sign| sign.is_ascii_alphanumeric() || "_-".contains(sign))
        };
        let text = &self.text.text;
        text.match_indices(name.as_str()).any(|(at, word)| {
            let before = text.get(..at).and_then(|before| before.chars().next_back());
            let after = text.get(at + word.len()..).and_then(|after| after.chars().next());
            !inside(before) && !inside(after)
        })
    }
}
