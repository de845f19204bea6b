//! `plan --against REF`: what changed in manifests since a commit, without a daemon, for CI.
//!
//! The definitions of the commit stand for what is applied, as if they had been applied now. What only a
//! daemon knows (stored anchors, pauses, what runs, generations) has no place here, and the plan says so.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::cli::Global;
use crate::cli::exit::{Exit, Failure};
use crate::cli::here::Here;
use crate::cli::validate::{alone, snapshot};
use crate::engine::overrides::Overrides;
use crate::engine::plan::{self, AppliedSet, Change, Owner, PruneGuard};
use crate::engine::scheduler::preview;
use crate::io::files::{Source, SourceState};
use crate::io::git::{Commit, GitError, Repository};
use crate::io::http::documents::diagnostics::DiagnosticEntry;
use crate::io::http::documents::plan::{AgainstEntry, PlanDocument};
use crate::io::http::documents::planned::Surroundings;
use crate::spec::manifest::{Known, Loaded, ManifestFile, load};
use crate::spec::trigger::{IntervalStart, Schedule};
use crate::time::Timestamp;

/// What is here and what was there.
struct Sides {
    names: Vec<String>,
    here: Loaded,
    there: Loaded,
}

/// The plan that leads from the definitions of a commit to those of the work tree.
pub(super) fn plan(
    name: &str,
    paths: &[PathBuf],
    definitions: bool,
    global: &Global,
    now: Timestamp,
) -> Result<PlanDocument, Failure> {
    let Here { sources, known, diagnostics, .. } = Here::find(global)?;
    if let Some(error) = diagnostics.iter().find(|diagnostic| diagnostic.is_error()) {
        let message = format!("the settings cannot be used: {}", error.message);
        return Err(Failure::new(Exit::Usage, message).help("`cronwright validate` says more"));
    }
    let sources =
        if paths.is_empty() { sources } else { paths.iter().map(|path| named(path)).collect() };
    let Some(first) = sources.first() else {
        return Err(Failure::new(Exit::Usage, "there is nothing to compare")
            .help("name a folder of manifests"));
    };
    let repository = Repository::open(&folder_of(&first.path)).map_err(|error| failed(&error))?;
    let commit = repository.resolve(name).map_err(|error| failed(&error))?;
    let sides = Sides::read(&sources, &repository, &commit, &known)?;
    Ok(sides.document(name, &commit, definitions, now))
}

/// A folder or a manifest that was named.
fn named(path: &Path) -> Source {
    let shown = path.to_string_lossy();
    let name = shown.strip_suffix('/').unwrap_or(&shown).to_owned();
    Source { name, path: path.to_path_buf() }
}

/// Where to look for the repository: the folder itself, or the one that a manifest, or a folder that is
/// gone, stands in.
fn folder_of(path: &Path) -> PathBuf {
    if path.is_dir() {
        return path.to_path_buf();
    }
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        Some(_) | None => PathBuf::from("."),
    }
}

fn failed(error: &GitError) -> Failure {
    let failure = Failure::new(Exit::Usage, error.to_string());
    match error {
        GitError::NoRef(_) => failure
            .help("fetch it first: git fetch --depth=1 origin BRANCH, then --against FETCH_HEAD"),
        GitError::NoRepository(_) => failure.help("name a folder of a git work tree"),
        GitError::NoProgram(_)
        | GitError::BadRef(_)
        | GitError::BadPath(_)
        | GitError::TimedOut(..)
        | GitError::TooMuch(_)
        | GitError::Failed(..)
        | GitError::Damaged(_) => failure,
    }
}

impl Sides {
    fn read(
        sources: &[Source],
        repository: &Repository,
        commit: &Commit,
        known: &Known,
    ) -> Result<Self, Failure> {
        let (mut here, mut there) = (Vec::new(), Vec::new());
        for source in sources {
            here.extend(files_here(source)?);
            there.extend(files_there(source, repository, commit)?);
        }
        let names = sources.iter().map(|source| source.name.clone()).collect();
        Ok(Self { names, here: load(&here, known), there: load(&there, known) })
    }

    fn document(
        &self,
        name: &str,
        commit: &Commit,
        definitions: bool,
        now: Timestamp,
    ) -> PlanDocument {
        let applied = self.applied(now);
        let sources = plan::Sources {
            names: self.names.clone(),
            incomplete: BTreeMap::new(),
            invalid: self.here.invalid.clone(),
            conflicts: self.here.conflicts.clone(),
            confirmed_absent: applied.keys().cloned().collect(),
            guard: PruneGuard::default(),
            ..plan::Sources::default()
        };
        let plan = plan::diff(0, "work tree".into(), &self.here.jobs, &applied, &sources);
        let diagnostics = self.here.diagnostics.iter().map(DiagnosticEntry::of);
        let around = Surroundings {
            now,
            applied: &applied,
            applied_revision: Some(commit.id.to_string()),
            against: Some(AgainstEntry { name: name.to_owned(), commit: commit.id.to_string() }),
            overrides: &Overrides::new(),
            running: None,
            diagnostics: diagnostics.filter(|entry| entry.severity == "error").collect(),
            sources_digest: None,
            branch: None,
            dirty: None,
            notes: self.notes(&plan),
            definitions,
        };
        PlanDocument::of(&plan, &around)
    }

    /// The jobs of the commit, as if they had been applied now.
    fn applied(&self, now: Timestamp) -> AppliedSet {
        let owner = |file: &str| {
            let holds = |name: &&String| {
                file.strip_prefix(name.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            };
            let name = self.names.iter().filter(holds).max_by_key(|name| name.len());
            Owner::source(name.map_or("", String::as_str))
        };
        let applied = self.there.jobs.values().filter_map(|to| {
            let create = Change::Create { to: to.clone(), owner: owner(&to.source.file) };
            Some((to.spec.name.clone(), preview(now, &create)?))
        });
        applied.collect()
    }

    /// What is to be known when reading the plan.
    fn notes(&self, plan: &plan::Plan) -> Vec<String> {
        let mut notes = Vec::new();
        let stored = |change: &Change| {
            let specs = change.applied().map(|job| &job.spec);
            let mut specs = specs.into_iter().chain(change.declared().map(|job| &job.spec));
            specs.any(|spec| {
                spec.triggers.iter().any(|trigger| has_stored_anchor(&trigger.schedule))
            })
        };
        if plan.changes.iter().any(stored) {
            notes.push(
                "intervals without an anchor are counted from now: their phases are known to the daemon only"
                    .to_owned(),
            );
        }
        for invalid in &self.there.invalid {
            notes.push(format!(
                "{} could not be used in the commit: its jobs are shown as new",
                invalid.path
            ));
        }
        notes
    }
}

/// Whether the phase of a trigger depends on when it was first applied.
fn has_stored_anchor(schedule: &Schedule) -> bool {
    match schedule {
        Schedule::Interval(interval) => {
            interval.anchor().is_none()
                && match interval.start() {
                    IntervalStart::Applied | IntervalStart::AfterApplied(_) => true,
                    IntervalStart::At(_) => false,
                }
        }
        Schedule::Cron(_) | Schedule::Date(_) => false,
    }
}

/// The manifests of a source as they are. One that is gone is empty.
fn files_here(source: &Source) -> Result<Vec<ManifestFile>, Failure> {
    if source.path.is_dir() {
        return Ok(snapshot(vec![source.clone()])?.manifests());
    }
    if source.path.exists() {
        return Ok(vec![ManifestFile {
            source: source.name.as_str().into(),
            ..alone(&source.path)
        }]);
    }
    Ok(Vec::new())
}

/// The manifests of a source in a commit, under the names that they have here.
fn files_there(
    source: &Source,
    repository: &Repository,
    commit: &Commit,
) -> Result<Vec<ManifestFile>, Failure> {
    let shown = source.path.display();
    let Some(place) = repository.path_of(&source.path) else {
        return Err(Failure::new(Exit::Usage, format!("{shown} is not in the git work tree"))
            .help("name folders and manifests of one repository"));
    };
    let tree = repository.read(commit, &place, None).map_err(|error| failed(&error))?;
    match tree.state {
        SourceState::Read | SourceState::Empty | SourceState::Missing => {}
        SourceState::NotFolder
        | SourceState::Unreadable(_)
        | SourceState::TooManyFiles
        | SourceState::TooDeep(_)
        | SourceState::Unmounted
        | SourceState::NotFetched => {
            let message = format!("{shown} cannot be read in commit {}", commit.id);
            return Err(Failure::new(Exit::Usage, message));
        }
    }
    let mut files = tree.manifests(&source.name);
    for file in &mut files {
        let below = file.path.strip_prefix(place.as_str()).unwrap_or(&file.path);
        let slash = if place.is_empty() { "/" } else { "" };
        file.path = format!("{}{slash}{below}", source.name).into();
    }
    Ok(files)
}
