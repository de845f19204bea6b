//! The folders that manifests are read from.

use std::path::PathBuf;

use crate::daemon::settings::environment::{Flags, Places};
use crate::spec::settings::RawSettings;

/// The folder where none is named.
const DEFAULT_SOURCE: &str = "jobs.d";

/// A folder of manifests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFolder {
    /// As the settings or the flag name it: the name of the source, and what paths of its files begin with.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
}

/// The folders, flags before the file.
pub(super) fn read(raw: &RawSettings, flags: &Flags, places: &Places) -> Vec<SourceFolder> {
    let folder = |base: &PathBuf, name: &str| SourceFolder {
        name: name.strip_suffix('/').unwrap_or(name).to_owned(),
        path: base.join(name),
    };
    if !flags.sources.is_empty() {
        return flags.sources.iter().map(|name| folder(&places.cwd, name)).collect();
    }
    match &raw.sources {
        Some(names) => names.iter().map(|name| folder(&places.base_dir, name)).collect(),
        None => vec![folder(&places.base_dir, DEFAULT_SOURCE)],
    }
}
