//! All manifests of a snapshot together: defaults of folders, files side by side on the processors
//! there are, and names that stand twice.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::diagnostic::{Diagnostic, Place, codes, sort};
use crate::spec::job::JobName;
use crate::spec::manifest::document::{DIAGNOSTICS_MAX, Document, Job};
use crate::spec::manifest::lower::layer::Layer;
use crate::spec::manifest::{InvalidManifest, Known, Loaded, ManifestFile};

/// Fewer files than this are read on one thread.
const FILES_PER_THREAD_MIN: usize = 16;
/// The most threads that read files.
const THREADS_MAX: usize = 8;

/// Reads all manifests of a snapshot. Never fails; reports everything.
pub fn load(files: &[ManifestFile], known: &Known) -> Loaded {
    let (defaults, manifests): (Vec<_>, Vec<_>) = files.iter().partition(|file| is_defaults(file));
    let mut loaded = Loaded { files: files.len(), ..Loaded::default() };
    let folders = Folders::read(&defaults, known, &mut loaded);
    let mut found = Vec::new();
    for (file, (document, jobs)) in manifests.iter().zip(in_parallel(&manifests, |file| {
        let mut document = Document::read(file);
        let jobs = document.lower(folders.below(file).layer);
        (document, jobs)
    })) {
        let valid = document.is_valid() && folders.below(file).valid;
        found.extend(document.declared());
        if valid {
            let jobs = jobs.into_iter().map(|Job { declared, .. }| declared);
            loaded.jobs.extend(jobs.map(|declared| (declared.spec.name.clone(), declared)));
        }
        finish(file, document, valid, &mut loaded);
    }
    refuse_twice(found, &mut loaded);
    sort(&mut loaded.diagnostics);
    loaded
}

/// Takes what is left of a file that was looked at.
fn finish(file: &ManifestFile, mut document: Document, valid: bool, loaded: &mut Loaded) {
    if !valid {
        loaded.invalid.push(InvalidManifest {
            path: file.path.clone(),
            source: file.source.clone(),
            declared: document.declared().into_iter().map(|(name, _)| name).collect(),
            text: document.source.clone(),
        });
    }
    sort(&mut document.diagnostics);
    let surplus = document.diagnostics.len().saturating_sub(DIAGNOSTICS_MAX);
    document.diagnostics.truncate(DIAGNOSTICS_MAX);
    if let (true, Some(last)) = (surplus > 0, document.diagnostics.last_mut()) {
        last.help = Some(format!("{surplus} more in this file are not shown"));
    }
    loaded.diagnostics.append(&mut document.diagnostics);
}

/// A name that stands more than once is taken from the set, and each place but the first reported.
fn refuse_twice(found: Vec<(JobName, Place)>, loaded: &mut Loaded) {
    let mut places: BTreeMap<JobName, Vec<Place>> = BTreeMap::new();
    for (name, place) in found {
        places.entry(name).or_default().push(place);
    }
    for (name, mut places) in places {
        places.sort_by(|a, b| (&a.source.path, a.start).cmp(&(&b.source.path, b.start)));
        let Some((first, again)) = places.split_first() else { continue };
        for place in again {
            let message = format!("the job `{name}` is declared twice");
            let mut diagnostic = Diagnostic::new(codes::DUPLICATE_JOB, message)
                .at(place.clone())
                .label("again here")
                .related(first.clone(), "first here")
                .help("rename one of them: until then neither of the two is applied");
            diagnostic.job = Some(name.to_string());
            diagnostic.pointer = Some(format!("/jobs/{name}"));
            loaded.diagnostics.push(diagnostic);
        }
        if !again.is_empty() {
            loaded.jobs.remove(&name);
            loaded.conflicts.insert(name);
        }
    }
}

/// Whether a file holds defaults of its folder.
fn is_defaults(file: &ManifestFile) -> bool {
    let name = file.path.rsplit('/').next().unwrap_or_default();
    matches!(name, "_defaults.yaml" | "_defaults.yml" | "_defaults.toml" | "_defaults.json")
}

fn folder_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// The layer that the files of a folder build upon.
struct Folder {
    layer: Layer,
    /// Whether it could be read, all above it included. Else the files below it are invalid too: with
    /// other defaults than meant they would be other jobs.
    valid: bool,
}

/// What a file builds upon.
#[derive(Clone, Copy)]
struct Below<'f> {
    layer: &'f Layer,
    valid: bool,
}

/// Defaults by source and folder.
struct Folders<'k> {
    known: &'k Layer,
    folders: BTreeMap<(Arc<str>, String), Folder>,
}

impl<'k> Folders<'k> {
    fn read(files: &[&ManifestFile], known: &'k Known, loaded: &mut Loaded) -> Self {
        let mut folders = Self { known: &known.defaults, folders: BTreeMap::new() };
        let mut files = files.to_vec();
        // Parents first: a folder builds upon the one above it.
        files.sort_by_key(|file| (folder_of(&file.path).matches('/').count(), &file.path));
        for file in files {
            let mut document = Document::read(file);
            let below = folders.below(file);
            let (below_layer, below_valid) = (below.layer.clone(), below.valid);
            let layer = document.folder_defaults(&below_layer);
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
            folders.folders.insert(key, Folder { layer, valid });
            finish(file, document, valid, loaded);
        }
        folders
    }

    /// The nearest defaults at or above the folder of a file, of the same source.
    fn below(&self, file: &ManifestFile) -> Below<'_> {
        let mut folder = folder_of(&file.path);
        loop {
            if let Some(found) = self.folders.get(&(file.source.clone(), folder.to_owned())) {
                return Below { layer: &found.layer, valid: found.valid };
            }
            if folder.is_empty() {
                return Below { layer: self.known, valid: true };
            }
            folder = folder_of(folder);
        }
    }
}

/// Does the same with every file, on several threads when there are many; results in the order of
/// the files.
fn in_parallel<T: Send>(
    files: &[&ManifestFile],
    work: impl Fn(&ManifestFile) -> T + Sync,
) -> Vec<T> {
    let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
    let threads = processors.min(files.len() / FILES_PER_THREAD_MIN).min(THREADS_MAX);
    if threads < 2 {
        return files.iter().map(|file| work(file)).collect();
    }
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<(usize, T)>> = Mutex::new(Vec::with_capacity(files.len()));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((at, file)) = take(&next, files) {
                    let result = work(file);
                    done.lock().unwrap_or_else(PoisonError::into_inner).push((at, result));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}

fn take<'f>(next: &AtomicUsize, files: &[&'f ManifestFile]) -> Option<(usize, &'f ManifestFile)> {
    let at = next.fetch_add(1, Ordering::Relaxed);
    files.get(at).map(|file| (at, *file))
}
