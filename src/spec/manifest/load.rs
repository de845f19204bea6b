//! All manifests of a snapshot together: defaults of folders, files side by side on the processors
//! there are, and names that stand twice.
//!
//! A [`Loader`] remembers what became of each file. A file whose bytes and defaults are what they were
//! is not read again, so that an edit among a thousand files takes effect at once; the answer is the
//! same as from nothing.

mod folders;
mod parallel;
mod previous;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::diagnostic::{Diagnostic, Place, SourceText, codes, sort};
use crate::spec::job::{DeclaredJob, JobName};
use crate::spec::manifest::document::{DIAGNOSTICS_MAX, Document};
use crate::spec::manifest::lints::crowd::{self, Sampled};
use crate::spec::manifest::load::folders::{Folders, Manifest, is_defaults};
use crate::spec::manifest::load::parallel::in_parallel;
use crate::spec::manifest::load::previous::PreviousName;
use crate::spec::manifest::lower::calendars::{Calendars, DeclaredCalendar, KnownCalendar};
use crate::spec::manifest::lower::layer::Layer;
use crate::spec::manifest::{Content, InvalidManifest, Known, Loaded, ManifestFile};
use crate::spec::task::classes::Classes;

/// Reads all manifests of a snapshot. Never fails; reports everything.
pub fn load(files: &[ManifestFile], known: &Known) -> Loaded {
    Loader::default().load(files, known)
}

/// Reads snapshots one after the other.
#[derive(Debug, Default)]
pub struct Loader {
    /// What became of the files of the last snapshot, by path.
    last: HashMap<Arc<str>, Remembered>,
    /// The classes of that snapshot.
    classes: Classes,
}

/// A file with all that decided what became of it.
#[derive(Debug)]
struct Remembered {
    content: Content,
    below: Arc<Layer>,
    /// The calendars of its snapshot; they matter only to a file that uses some.
    calendars: Arc<Calendars>,
    outcome: Arc<Outcome>,
}

/// What became of a file by itself.
#[derive(Debug)]
struct Outcome {
    source: Arc<SourceText>,
    calendars: Vec<DeclaredCalendar>,
    uses_calendars: bool,
    /// Whether nothing of it could be told.
    broken: bool,
    declared: Vec<(JobName, Place)>,
    jobs: Vec<DeclaredJob>,
    /// The jobs again, as they count where many are due at once.
    sampled: Vec<Sampled>,
    /// What the jobs say that they were called.
    previous: Vec<PreviousName>,
    diagnostics: Vec<Diagnostic>,
    valid: bool,
}

impl Loader {
    /// Reads all manifests of a snapshot. Never fails; reports everything.
    pub fn load(&mut self, files: &[ManifestFile], known: &Known) -> Loaded {
        let (defaults, manifests): (Vec<_>, Vec<_>) =
            files.iter().partition(|file| is_defaults(file));
        let mut loaded = Loaded { files: files.len(), ..Loaded::default() };
        if self.classes != known.classes {
            *self = Self { classes: known.classes.clone(), last: HashMap::new() };
        }
        let folders = Folders::read(&defaults, known, &mut loaded);
        let manifests = folders.above(manifests);
        let texts = in_parallel(
            manifests.iter().collect(),
            |manifest| self.remembered(manifest).ok_or(manifest),
            |manifest| Text::read(manifest.file),
        );
        let mut calendars = gather(&texts, &mut loaded);
        let mut outcomes = in_parallel(
            manifests.iter().zip(texts).collect(),
            |(manifest, text)| text.unchanged(&calendars).map_err(|text| (manifest, text)),
            |(manifest, text)| text.outcome(manifest, &calendars, known),
        );
        // A manifest that cannot be used changes nothing (D7), nor do its calendars, which may make
        // their users invalid in turn. Each round takes at least one calendar out of use.
        while calendars.disown(&invalid(&manifests, &outcomes)) {
            for (manifest, outcome) in manifests.iter().zip(&mut outcomes) {
                if outcome.uses_calendars {
                    *outcome = Text::read(manifest.file).outcome(manifest, &calendars, known);
                }
            }
        }
        take(&manifests, &outcomes, &mut loaded);
        self.remember(&manifests, outcomes, calendars);
        sort(&mut loaded.diagnostics);
        loaded
    }

    /// What became of a file that is as it was.
    fn remembered(&self, manifest: &Manifest<'_>) -> Option<Text<'_>> {
        let last = self.last.get(&manifest.file.path)?;
        let same = last.content.is_same(&manifest.file.content)
            && (Arc::ptr_eq(&last.below, manifest.below.layer)
                || last.below == *manifest.below.layer);
        same.then_some(Text::Same(last))
    }

    fn remember(
        &mut self,
        manifests: &[Manifest<'_>],
        outcomes: Vec<Arc<Outcome>>,
        calendars: Calendars,
    ) {
        let calendars = Arc::new(calendars);
        let remembered = |(manifest, outcome): (&Manifest<'_>, Arc<Outcome>)| {
            let remembered = Remembered {
                content: manifest.file.content.clone(),
                below: Arc::clone(manifest.below.layer),
                calendars: Arc::clone(&calendars),
                outcome,
            };
            (Arc::clone(&manifest.file.path), remembered)
        };
        self.last = manifests.iter().zip(outcomes).map(remembered).collect();
    }
}

/// A file after the first of two looks: its calendars are known, its jobs not yet.
enum Text<'l> {
    /// It is as it was.
    Same(&'l Remembered),
    /// It was read.
    Read(Box<Document>, Vec<DeclaredCalendar>),
}

impl Text<'_> {
    fn read(file: &ManifestFile) -> Self {
        let mut document = Document::read(file);
        let calendars = document.calendars();
        Self::Read(Box::new(document), calendars)
    }

    fn calendars(&self) -> &[DeclaredCalendar] {
        match self {
            Self::Same(last) => &last.outcome.calendars,
            Self::Read(_, calendars) => calendars,
        }
    }

    /// Whether nothing of it can be told.
    fn is_broken(&self) -> bool {
        match self {
            Self::Same(last) => last.outcome.broken,
            Self::Read(document, _) => document.parsed.broken,
        }
    }

    /// What became of the file before, when the calendars of the snapshot change nothing about it.
    fn unchanged(self, calendars: &Calendars) -> Result<Arc<Outcome>, Self> {
        match &self {
            Self::Same(last) if !last.outcome.uses_calendars || *last.calendars == *calendars => {
                Ok(Arc::clone(&last.outcome))
            }
            Self::Same(_) | Self::Read(..) => Err(self),
        }
    }

    /// What becomes of the file among the calendars of the snapshot.
    fn outcome(
        self,
        manifest: &Manifest<'_>,
        calendars: &Calendars,
        known: &Known,
    ) -> Arc<Outcome> {
        match self {
            Self::Same(_) => Self::read(manifest.file).outcome(manifest, calendars, known),
            Self::Read(document, declared) => {
                let below = manifest.below.layer;
                Arc::new(Outcome::of(*document, declared, (below, calendars), known))
            }
        }
    }
}

impl Content {
    /// Whether both hold the same; bytes that were not read anew are known by their address.
    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Bytes(a), Self::Bytes(b)) => Arc::ptr_eq(a, b) || a == b,
            (Self::Refused(_), _) | (_, Self::Refused(_)) => false,
        }
    }
}

impl Outcome {
    fn of(
        mut document: Document,
        calendars: Vec<DeclaredCalendar>,
        (below, calendars_of_all): (&Layer, &Calendars),
        known: &Known,
    ) -> Self {
        let jobs = document.lower(below, calendars_of_all);
        document.check_classes(&known.classes);
        if !known.exec_secrets {
            document.refuse_programs(&jobs);
        }
        let declared = document.declared();
        let places: BTreeMap<&JobName, &Place> =
            declared.iter().map(|(name, place)| (name, place)).collect();
        let sample = |job: &DeclaredJob| crowd::sample(&job.spec, places.get(&job.spec.name)?);
        Self {
            valid: document.is_valid(),
            calendars,
            uses_calendars: document.uses_calendars(),
            broken: document.parsed.broken,
            sampled: jobs.iter().filter_map(sample).collect(),
            previous: previous::read(&document, &jobs),
            declared,
            jobs,
            diagnostics: kept(document.diagnostics),
            source: document.source,
        }
    }
}

/// The manifests that cannot be used, as things stand.
fn invalid<'f>(manifests: &[Manifest<'f>], outcomes: &[Arc<Outcome>]) -> BTreeSet<&'f str> {
    let looked_at = manifests.iter().zip(outcomes);
    let invalid = looked_at.filter(|(manifest, outcome)| !outcome.valid || !manifest.below.valid);
    invalid.map(|(manifest, _)| &*manifest.file.path).collect()
}

/// All calendars of a snapshot. A name that stands twice is refused, and each place but the first
/// reported.
fn gather(texts: &[Text<'_>], loaded: &mut Loaded) -> Calendars {
    let mut declared: Vec<_> = texts.iter().flat_map(Text::calendars).collect();
    declared.sort_by_key(|calendar| (&calendar.place.source.path, calendar.place.start));
    let mut first: BTreeMap<&str, &Place> = BTreeMap::new();
    let mut by_name: BTreeMap<String, KnownCalendar> = BTreeMap::new();
    for DeclaredCalendar { name, place, calendar } in declared {
        if let (Some(first), Some(known)) = (first.get(name.as_str()), by_name.get_mut(name)) {
            known.calendar = None;
            let message = format!("the calendar `{name}` is declared twice");
            let diagnostic = Diagnostic::new(codes::DUPLICATE_CALENDAR, message)
                .at(place.clone())
                .label("again here")
                .related((*first).clone(), "first here")
                .help("rename one of them: until then no trigger can use either");
            loaded.diagnostics.push(diagnostic);
        } else {
            let path = place.source.path.clone();
            let calendar = calendar.clone();
            by_name.insert(name.clone(), KnownCalendar { calendar, path, is_valid: true });
            first.insert(name, place);
        }
    }
    Calendars { by_name, is_partial: texts.iter().any(Text::is_broken) }
}

/// The first complaints about a file, in order.
fn kept(mut diagnostics: Vec<Diagnostic>) -> Vec<Diagnostic> {
    sort(&mut diagnostics);
    let surplus = diagnostics.len().saturating_sub(DIAGNOSTICS_MAX);
    diagnostics.truncate(DIAGNOSTICS_MAX);
    if let (true, Some(last)) = (surplus > 0, diagnostics.last_mut()) {
        last.help = Some(format!("{surplus} more in this file are not shown"));
    }
    diagnostics
}

/// Puts together what the files declare.
fn take(manifests: &[Manifest<'_>], outcomes: &[Arc<Outcome>], loaded: &mut Loaded) {
    let mut jobs = Vec::new();
    let mut sampled = Vec::new();
    let mut previous = Vec::new();
    for (manifest, outcome) in manifests.iter().zip(outcomes) {
        loaded.diagnostics.extend(outcome.diagnostics.iter().cloned());
        if outcome.valid && manifest.below.valid {
            jobs.extend(outcome.jobs.iter().map(|job| (job.spec.name.clone(), job)));
            sampled.extend(&outcome.sampled);
            previous.extend(&outcome.previous);
        } else {
            loaded.invalid.push(InvalidManifest {
                path: Arc::clone(&manifest.file.path),
                source: Arc::clone(&manifest.file.source),
                declared: outcome.declared.iter().map(|(name, _)| name.clone()).collect(),
                text: Arc::clone(&outcome.source),
            });
        }
    }
    refuse_twice(outcomes, loaded);
    let declared = outcomes.iter().flat_map(|outcome| &outcome.declared).map(|(name, _)| name);
    previous::check(previous, &declared.collect(), loaded);
    jobs.retain(|(name, _)| !loaded.conflicts.contains(name));
    sampled.retain(|job: &&Sampled| !loaded.conflicts.contains(job.name()));
    loaded.jobs = jobs.into_iter().map(|(name, job)| (name, job.clone())).collect();
    crowd::check(&sampled, &mut loaded.diagnostics);
}

/// Reports each place but the first of a name that stands more than once.
fn refuse_twice(outcomes: &[Arc<Outcome>], loaded: &mut Loaded) {
    let mut places: Vec<&(JobName, Place)> =
        outcomes.iter().flat_map(|outcome| &outcome.declared).collect();
    places.sort_unstable_by(|(a, at), (b, other)| {
        (a, &at.source.path, at.start).cmp(&(b, &other.source.path, other.start))
    });
    for same in places.chunk_by(|(a, _), (b, _)| a == b) {
        let Some(((name, first), again)) = same.split_first() else { continue };
        for (_, place) in again {
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
            loaded.conflicts.insert(name.clone());
        }
    }
}
