//! Manifests that a program declares itself, without a file: one more source, after all others.

use std::collections::BTreeMap;
use std::sync::Arc;

/// The name of the source; the paths of its manifests begin with it.
pub const WRITTEN_SOURCE: &str = "code";

/// What a program declares. A copy is cheap.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Written {
    manifests: BTreeMap<Arc<str>, Arc<[u8]>>,
}

impl Written {
    /// Puts the manifest of a job, in JSON, into the place of the one before.
    pub fn put(&mut self, job: &str, json: &str) {
        self.manifests.insert(path_of(job), json.as_bytes().into());
    }

    /// Takes the manifest of a job out; whether there was one.
    pub fn take(&mut self, job: &str) -> bool {
        self.manifests.remove(&path_of(job)).is_some()
    }

    /// Path and bytes of each.
    pub(super) fn manifests(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<[u8]>)> {
        self.manifests.iter()
    }
}

/// The path of a job's manifest, as diagnostics name it.
pub fn path_of(job: &str) -> Arc<str> {
    format!("{WRITTEN_SOURCE}/{job}.json").into()
}
