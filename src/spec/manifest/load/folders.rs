//! Files of defaults: what the manifests of a folder build upon.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::diagnostic::{Diagnostic, codes};
use crate::spec::manifest::document::Document;
use crate::spec::manifest::load::kept;
use crate::spec::manifest::lower::layer::Layer;
use crate::spec::manifest::{InvalidManifest, Known, Loaded, ManifestFile};

/// Whether a file holds defaults of its folder.
pub(super) fn is_defaults(file: &ManifestFile) -> bool {
    let name = file.path.rsplit('/').next().unwrap_or_default();
    matches!(name, "_defaults.yaml" | "_defaults.yml" | "_defaults.toml" | "_defaults.json")
}

fn folder_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// The layer that the files of a folder build upon.
struct Folder {
    layer: Arc<Layer>,
    /// Whether it could be read, all above it included. Else the files below it are invalid too: with
    /// other defaults than meant they would be other jobs.
    valid: bool,
}

/// What a file builds upon.
#[derive(Clone, Copy)]
pub(super) struct Below<'f> {
    pub(super) layer: &'f Arc<Layer>,
    pub(super) valid: bool,
}

/// A file that declares jobs, with what it builds upon.
pub(super) struct Manifest<'f> {
    pub(super) file: &'f ManifestFile,
    pub(super) below: Below<'f>,
}

/// Defaults by source and folder.
pub(super) struct Folders {
    known: Arc<Layer>,
    folders: BTreeMap<(Arc<str>, String), Folder>,
}

impl Folders {
    pub(super) fn read(files: &[&ManifestFile], known: &Known, loaded: &mut Loaded) -> Self {
        let mut folders = Self { known: Arc::clone(&known.defaults), folders: BTreeMap::new() };
        let mut files = files.to_vec();
        // Parents first: a folder builds upon the one above it.
        files.sort_by_key(|file| (folder_of(&file.path).matches('/').count(), &file.path));
        for file in files {
            let mut document = Document::read(file);
            let below = folders.below(file);
            let (below_layer, below_valid) = (Arc::clone(below.layer), below.valid);
            let layer = Arc::new(document.folder_defaults(&below_layer));
            let key = (file.source.clone(), folder_of(&file.path).to_owned());
            let second = folders.folders.contains_key(&key);
            if second {
                let message = "this folder has two files of defaults";
                let diagnostic = Diagnostic::new(codes::DEFAULTS_FILE, message)
                    .in_file(&*file.path)
                    .help("keep one of them");
                document.diagnostics.push(diagnostic);
            }
            let valid = document.is_valid() && below_valid && !second;
            let declared = document.declared().into_iter().map(|(name, _)| name).collect();
            folders.folders.insert(key, Folder { layer, valid });
            loaded.diagnostics.extend(kept(document.diagnostics));
            if !valid {
                loaded.invalid.push(InvalidManifest {
                    path: Arc::clone(&file.path),
                    source: Arc::clone(&file.source),
                    declared,
                    text: document.source,
                });
            }
        }
        folders
    }

    /// The files with what they build upon.
    pub(super) fn above<'f>(&'f self, files: Vec<&'f ManifestFile>) -> Vec<Manifest<'f>> {
        let mut manifests: Vec<Manifest<'f>> = Vec::with_capacity(files.len());
        for file in files {
            // Files of one folder stand together.
            let same = manifests.last().filter(|last| {
                last.file.source == file.source
                    && folder_of(&last.file.path) == folder_of(&file.path)
            });
            let below = same.map_or_else(|| self.below(file), |last| last.below);
            manifests.push(Manifest { file, below });
        }
        manifests
    }

    /// The nearest defaults at or above the folder of a file, of the same source.
    fn below(&self, file: &ManifestFile) -> Below<'_> {
        let mut folder = folder_of(&file.path);
        loop {
            if let Some(found) = self.folders.get(&(file.source.clone(), folder.to_owned())) {
                return Below { layer: &found.layer, valid: found.valid };
            }
            if folder.is_empty() {
                return Below { layer: &self.known, valid: true };
            }
            folder = folder_of(folder);
        }
    }
}
