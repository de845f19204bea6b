//! `validate`: everything that is wrong with manifests, without a daemon.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, ValueEnum};

use crate::cli::Global;
use crate::cli::exit::{Exit, Failure};
use crate::cli::here::Here;
use crate::cli::output::{Document, Format, Output, Shape};
use crate::diagnostic::render::{Colour, render_all, summary};
use crate::diagnostic::report::Report;
use crate::diagnostic::{Diagnostic, sort};
use crate::io::executor::handlers::Handlers;
use crate::io::executor::provision::for_handlers;
use crate::io::files::{Patience, Reading, Snapshot, Source, Sources, read_alone};
use crate::io::host::{Lookout, look};
use crate::spec::host::Questions;
use crate::spec::job::DeclaredJob;
use crate::spec::manifest::host::lacking;
use crate::spec::manifest::{Content, Known, ManifestFile, load};

/// Arguments of `validate`.
#[derive(Debug, Args)]
#[command(
    before_help = "Examples:\n  cronwright validate\n  cronwright validate jobs.d/etl.yaml\n  \
    cronwright validate --deny warnings -o json\n  cronwright validate --host"
)]
pub(super) struct ValidateArgs {
    /// Folders, or single manifests; without them, the sources of the settings.
    paths: Vec<PathBuf>,
    /// Exit 1 for these too.
    #[arg(long, value_enum, value_name = "WHAT")]
    deny: Option<Deny>,
    /// Look also whether this machine can run them: users, programs, folders, limits.
    #[arg(long)]
    host: bool,
}

/// What else is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Deny {
    /// Warnings.
    Warnings,
}

/// What was looked at.
#[derive(Default)]
pub(super) struct Found {
    files: usize,
    /// The jobs that are declared and valid.
    pub(super) jobs: Vec<DeclaredJob>,
    pub(super) diagnostics: Vec<Diagnostic>,
    manifests: Vec<ManifestFile>,
}

pub(super) fn validate(
    args: &ValidateArgs,
    global: &Global,
    output: &Output,
) -> Result<Exit, Failure> {
    let Here { sources, known, mut diagnostics, settings, base_dir, environment } =
        Here::find(global)?;
    if args.paths.is_empty() && sources.is_empty() && !diagnostics.iter().any(Diagnostic::is_error)
    {
        let message =
            "the settings name a repository and no folder: there is nothing here to look at";
        return Err(
            Failure::new(Exit::Usage, message).help("name one: `cronwright validate jobs.d`")
        );
    }
    let mut found = of_paths(&args.paths, sources, &known)?;
    found.diagnostics.append(&mut diagnostics);
    if args.host {
        let lookout = Lookout {
            base_dir: &base_dir,
            path: environment.variables.get("PATH").map(String::as_str),
            state_dir: settings.as_ref().map(|settings| settings.state_dir.as_path()),
        };
        let lacking = found.lacking(lookout, &global.handlers);
        found.diagnostics.extend(lacking);
    }
    sort(&mut found.diagnostics);
    print(&found, output)?;
    let denied = |diagnostic: &Diagnostic| diagnostic.is_error() || args.deny.is_some();
    Ok(if found.diagnostics.iter().any(denied) { Exit::No } else { Exit::Done })
}

impl Found {
    /// What its jobs need and this machine does not have.
    fn lacking(&self, lookout: Lookout<'_>, handlers: &Handlers) -> Vec<Diagnostic> {
        let job = |job: &DeclaredJob| DeclaredJob {
            spec: for_handlers(Arc::clone(&job.spec), handlers),
            ..job.clone()
        };
        let jobs: Vec<DeclaredJob> = self.jobs.iter().map(job).collect();
        let facts = look(&Questions::of(jobs.iter().map(|job| &*job.spec)), lookout);
        let of_manifest = |manifest: &ManifestFile| {
            let own = jobs.iter().filter(|job| *job.source.file == *manifest.path);
            let own: Vec<&DeclaredJob> = own.collect();
            if own.is_empty() { Vec::new() } else { lacking(manifest, &own, &facts) }
        };
        self.manifests.iter().flat_map(of_manifest).collect()
    }
}

/// What stands in folders and manifests; without any, in the sources of the settings.
pub(super) fn of_paths(
    paths: &[PathBuf],
    sources: Vec<Source>,
    known: &Known,
) -> Result<Found, Failure> {
    if paths.is_empty() {
        return of_folders(sources, known);
    }
    let mut all = Found::default();
    for path in paths {
        let one = of_path(path, &sources, known)?;
        all.files += one.files;
        all.jobs.extend(one.jobs);
        all.diagnostics.extend(one.diagnostics);
        all.manifests.extend(one.manifests);
    }
    Ok(all)
}

fn of_path(path: &Path, sources: &[Source], known: &Known) -> Result<Found, Failure> {
    let stat = path.metadata().map_err(|error| {
        Failure::new(Exit::NotFound, format!("cannot read {}: {error}", path.display()))
    })?;
    if stat.is_dir() {
        let name = path.to_string_lossy();
        let name = name.strip_suffix('/').unwrap_or(&name).to_owned();
        return of_folders(vec![Source { name, path: path.to_path_buf() }], known);
    }
    // A manifest of a source builds upon the defaults of its folders, and its names stand beside others.
    let real = path.canonicalize().ok();
    let within = |source: &&Source| {
        let folder = source.path.canonicalize().ok();
        real.as_ref().zip(folder).is_some_and(|(file, folder)| file.starts_with(folder))
    };
    match sources.iter().find(within) {
        Some(source) => of_file_in(path, source, known),
        None => Ok(of_files(&[alone(path)], known)),
    }
}

fn of_folders(folders: Vec<Source>, known: &Known) -> Result<Found, Failure> {
    let snapshot = snapshot(folders)?;
    let mut found = of_files(&snapshot.manifests(), known);
    found.diagnostics.extend(snapshot.diagnostics());
    Ok(found)
}

fn of_file_in(path: &Path, source: &Source, known: &Known) -> Result<Found, Failure> {
    let below = path.canonicalize().ok().zip(source.path.canonicalize().ok());
    let below =
        below.and_then(|(file, folder)| file.strip_prefix(folder).ok().map(Path::to_path_buf));
    let name = format!("{}/{}", source.name, below.unwrap_or_default().display());
    let snapshot = snapshot(vec![source.clone()])?;
    let manifests = snapshot.manifests();
    if !manifests.iter().any(|manifest| *manifest.path == *name) {
        return Ok(of_files(&[alone(path)], known));
    }
    let loaded = load(&manifests, known);
    let mut diagnostics = loaded.diagnostics;
    diagnostics.extend(snapshot.diagnostics());
    diagnostics.retain(|diagnostic| diagnostic.path() == name);
    let mut jobs: Vec<DeclaredJob> = loaded.jobs.into_values().collect();
    jobs.retain(|job| job.source.file == name);
    Ok(Found { files: 1, jobs, diagnostics, manifests })
}

fn of_files(files: &[ManifestFile], known: &Known) -> Found {
    let loaded = load(files, known);
    let jobs = loaded.jobs.into_values().collect();
    let manifests = files.to_vec();
    Found { files: loaded.files, jobs, diagnostics: loaded.diagnostics, manifests }
}

pub(super) fn alone(path: &Path) -> ManifestFile {
    let shown = path.to_string_lossy();
    let content = match read_alone(path) {
        Ok(bytes) => Content::Bytes(bytes.into()),
        Err(problem) => Content::Refused(problem.diagnostic(&shown)),
    };
    ManifestFile { path: shown.into(), source: "".into(), content }
}

/// The folders at one moment.
pub(super) fn snapshot(folders: Vec<Source>) -> Result<Snapshot, Failure> {
    let sources = Sources { folders, ..Sources::default() };
    match Snapshot::read(&sources, None, Patience::Spent) {
        Reading::Settled(snapshot) => Ok(snapshot),
        Reading::Unsettled(_) => {
            Err(Failure::new(Exit::Usage, "the sources change all the time").help("try again"))
        }
    }
}

fn print(found: &Found, output: &Output) -> Result<(), Failure> {
    let Found { files, jobs, diagnostics, manifests: _ } = found;
    let jobs = jobs.len();
    let document = Document::of(&Report::new(*files, jobs, diagnostics))?;
    let shape = Shape { list: Some("diagnostics"), name: "/code" };
    let colour = if output.colour && matches!(output.format, Format::Table | Format::Wide) {
        Colour::Ansi
    } else {
        Colour::Plain
    };
    output.document(&document, shape, |_: &serde_json::Value, _| {
        let ending = summary(*files, jobs, diagnostics);
        if diagnostics.is_empty() {
            return format!("{}\n", ending.trim_end());
        }
        // One of its codes, so that the line can be copied.
        let code = diagnostics.first().map_or("E0107", |first| first.code);
        let more = format!("more about a code: cronwright explain {code}");
        format!("{}\n{more}\n{}\n", render_all(diagnostics, colour), ending.trim_end())
    })
}
