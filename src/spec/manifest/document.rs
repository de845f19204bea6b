//! One manifest: its text read, checked and lowered. What it means beside others is `load`'s.

mod classes;
mod programs;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use serde::de::DeserializeOwned;

use crate::diagnostic::{Diagnostic, Place, SourceText, codes};
use crate::spec::job::{DeclaredJob, JobName, JobSpec, SourcePlace};
use crate::spec::manifest::check::faults::describe;
use crate::spec::manifest::check::{Rules, check};
use crate::spec::manifest::lints;
use crate::spec::manifest::lower;
use crate::spec::manifest::lower::calendars::{self, Calendars, DeclaredCalendar};
use crate::spec::manifest::lower::layer::Layer;
use crate::spec::manifest::lower::site::Site;
use crate::spec::manifest::node::de::decode;
use crate::spec::manifest::node::{Entry, Node, Parsed, Span, SyntaxFault, Value, toml, yaml};
use crate::spec::manifest::raw::{RawCalendar, RawDefaults, RawJob};
use crate::spec::manifest::text::text_of;
use crate::spec::manifest::{Content, FILE_BYTES_MAX, ManifestFile};
use crate::spec::schema;

/// The most complaints about one file that are kept.
pub const DIAGNOSTICS_MAX: usize = 200;

/// JSON pointer of the jobs.
const JOBS: &str = "/jobs";
/// JSON pointer of the calendars.
const CALENDARS: &str = "/calendars";

/// The schema of manifests, compiled once.
static RULES: LazyLock<Rules> = LazyLock::new(|| match Rules::compile(&schema::jobs()) {
    Ok(rules) => rules,
    Err(error) => unreachable!("{error}; a test compiles it"),
});

/// How a manifest is written, by the end of its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// YAML, which JSON is a part of.
    Yaml,
    /// TOML.
    Toml,
}

impl Format {
    /// The format of a path.
    pub fn of(path: &str) -> Option<Self> {
        match path.rsplit_once('.')?.1 {
            "yaml" | "yml" | "json" => Some(Self::Yaml),
            "toml" => Some(Self::Toml),
            _ => None,
        }
    }
}

/// A file that was read: its trees, and what is wrong so far.
#[derive(Debug)]
pub struct Document {
    /// The text.
    pub source: Arc<SourceText>,
    /// The trees.
    pub parsed: Parsed,
    /// Complaints.
    pub diagnostics: Vec<Diagnostic>,
}

impl Document {
    /// Reads and checks a file. Nothing is lowered yet.
    pub fn read(file: &ManifestFile) -> Self {
        let empty = || Arc::new(SourceText::new(&*file.path, ""));
        let failed = |source: Arc<SourceText>, diagnostic: Diagnostic| Self {
            source,
            parsed: Parsed { broken: true, ..Parsed::default() },
            diagnostics: vec![diagnostic.in_file(&*file.path)],
        };
        let bytes = match &file.content {
            Content::Bytes(bytes) if bytes.len() <= FILE_BYTES_MAX => bytes,
            Content::Bytes(bytes) => return failed(empty(), too_large(bytes.len())),
            Content::Refused(diagnostic) => return failed(empty(), diagnostic.clone()),
        };
        let Some(format) = Format::of(&file.path) else {
            let message = "the name of a manifest ends with .yaml, .yml, .toml or .json";
            return failed(empty(), Diagnostic::new(codes::NOT_A_MANIFEST, message));
        };
        match text_of(&file.path, bytes) {
            Ok(source) => Self::of_manifest(source, format),
            Err(diagnostic) => {
                let source = diagnostic.place.as_ref().map(|place| Arc::clone(&place.source));
                failed(source.unwrap_or_else(empty), *diagnostic)
            }
        }
    }

    /// Parses a manifest and checks it.
    pub fn of_manifest(source: Arc<SourceText>, format: Format) -> Self {
        Self::parse(source, format, &RULES)
    }

    /// Parses a text and checks its trees against a schema.
    pub fn parse(source: Arc<SourceText>, format: Format, rules: &Rules) -> Self {
        let parsed = match format {
            Format::Yaml => yaml::parse(&source.text),
            Format::Toml => toml::parse(&source.text),
        };
        let mut document = Self { source, parsed, diagnostics: Vec::new() };
        for fault in std::mem::take(&mut document.parsed.faults) {
            let diagnostic = document.diagnostic(fault, None);
            document.diagnostics.push(diagnostic);
        }
        if !document.parsed.broken {
            let mut found = Vec::new();
            for tree in &document.parsed.documents {
                for fault in check(rules, tree) {
                    if let Some(words) = describe(&fault, &document.source.text) {
                        found.push(document.diagnostic(words, Some(fault.pointer)));
                    }
                }
            }
            document.add(found);
        }
        document
    }

    /// Adds complaints, except those about text that was guessed and those at a place where an error
    /// is known; a doubt gives way to an error at its place.
    fn add(&mut self, found: Vec<Diagnostic>) {
        let span = |diagnostic: &Diagnostic| {
            diagnostic.place.as_ref().map(|place| Span { start: place.start, end: place.end })
        };
        let errors = |diagnostics: &[Diagnostic]| -> BTreeSet<Span> {
            diagnostics.iter().filter(|known| known.is_error()).filter_map(span).collect()
        };
        let known = errors(&self.diagnostics);
        let guessed = |span: Span| self.parsed.repaired.iter().any(|guess| guess.overlaps(span));
        let found: Vec<_> = found
            .into_iter()
            .filter(|new| !span(new).is_some_and(|span| guessed(span) || known.contains(&span)))
            .collect();
        let new = errors(&found);
        self.diagnostics.retain(|doubt| {
            doubt.code != codes::LEGACY_SCALAR
                || !span(doubt).is_some_and(|span| new.contains(&span))
        });
        self.diagnostics.extend(found);
    }

    fn diagnostic(&self, fault: SyntaxFault, pointer: Option<String>) -> Diagnostic {
        let place = |span: Span| Place::new(&self.source, span.start, span.end);
        let job = match &pointer {
            Some(pointer) => job_of_pointer(pointer).map(Cow::into_owned),
            None => self.job_at(fault.span).map(str::to_owned),
        };
        let mut diagnostic = Diagnostic::new(fault.code, fault.message).at(place(fault.span));
        diagnostic.label = fault.label;
        diagnostic.help = fault.help;
        diagnostic.related =
            fault.related.map(|(span, label)| (place(span), label)).into_iter().collect();
        diagnostic.job = job;
        diagnostic.pointer = pointer;
        diagnostic
    }

    /// The job in whose text a place lies.
    fn job_at(&self, span: Span) -> Option<&str> {
        let begun = self.job_entries().filter(|entry| entry.key_span.start <= span.start);
        let last = begun.max_by_key(|entry| entry.key_span.start)?;
        (span.start <= last.node.span.end.max(last.key_span.end)).then_some(last.key.as_str())
    }

    fn job_entries(&self) -> impl Iterator<Item = &Entry> {
        self.parsed.documents.iter().filter_map(|tree| tree.get("jobs")).flat_map(Node::entries)
    }

    /// Every name that the file declares, also where it is broken, and where.
    pub fn declared(&self) -> Vec<(JobName, Place)> {
        let place = |span: Span| Place::new(&self.source, span.start, span.end);
        let named = |entry: &Entry| Some((JobName::parse(&entry.key).ok()?, place(entry.key_span)));
        self.job_entries().filter_map(named).collect()
    }

    /// Decodes the first tree without the fields that are known to be wrong; none when that is not
    /// possible, and a default when there is no tree.
    pub fn decode_root<T: DeserializeOwned + Default>(&mut self) -> Option<T> {
        let Some(root) = self.parsed.documents.first() else { return Some(T::default()) };
        let faulty = self.faulty("");
        match decode(&without(root, faulty.get(""))) {
            Ok(value) => Some(value),
            Err(_) if !self.is_valid() => None,
            Err(error) => {
                let site = Site::root(&self.source, root);
                let diagnostic = site.diagnostic(codes::WRONG_TYPE, error.to_string());
                self.diagnostics.push(diagnostic);
                None
            }
        }
    }

    /// Whether it can be used so far.
    pub fn is_valid(&self) -> bool {
        !self.parsed.broken && !self.diagnostics.iter().any(Diagnostic::is_error)
    }

    /// Reads `defaults` of a tree, as the layer over `below`. Complaints are added.
    fn defaults(&mut self, tree: usize, below: &Layer) -> Layer {
        let mut out = Vec::new();
        let layer = self.layer(tree, &mut out);
        self.add(out);
        layer.over(below)
    }

    fn layer(&self, tree: usize, out: &mut Vec<Diagnostic>) -> Layer {
        let Some(root) = self.parsed.documents.get(tree) else { return Layer::default() };
        let Some(entry) = root.entry("defaults") else { return Layer::default() };
        let site = Site::root(&self.source, root).child("defaults");
        let faulty = self.faulty("/defaults");
        match decode::<RawDefaults>(&without(&entry.node, faulty.get(""))) {
            Ok(raw) => Layer::read(raw, &site, out),
            Err(_) if !self.is_valid() => Layer::default(),
            Err(error) => {
                out.push(site.diagnostic(codes::WRONG_TYPE, error.to_string()));
                Layer::default()
            }
        }
    }

    /// What is known to be wrong below a place: by key (one level down when `pointer` is that of a
    /// map of maps, else under the empty key), the fields concerned. A fault of the thing as a whole
    /// is the empty field.
    fn faulty(&self, pointer: &str) -> BTreeMap<&str, BTreeSet<&str>> {
        let mut faulty: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        let errors = self.diagnostics.iter().filter(|diagnostic| diagnostic.is_error());
        for found in errors.filter_map(|diagnostic| diagnostic.pointer.as_deref()) {
            let Some(rest) = found.strip_prefix(pointer) else { continue };
            let mut steps = rest.split('/').skip(1);
            let is_keyed = pointer == JOBS || pointer == CALENDARS;
            let key = if is_keyed { steps.next().unwrap_or_default() } else { "" };
            faulty.entry(key).or_default().insert(steps.next().unwrap_or_default());
        }
        faulty
    }

    /// Reads every calendar that the file declares, and where; none where it has a mistake. Complaints
    /// are added.
    pub fn calendars(&mut self) -> Vec<DeclaredCalendar> {
        let mut out = Vec::new();
        let mut declared = Vec::new();
        let faulty = self.faulty(CALENDARS);
        for root in &self.parsed.documents {
            let site = Site::root(&self.source, root).child("calendars");
            for entry in root.get("calendars").map(Node::entries).unwrap_or_default() {
                let sound = !faulty.contains_key(entry.key.as_str());
                let raw = decode::<RawCalendar>(&entry.node).ok().filter(|_| sound);
                let site = site.child(&entry.key);
                declared.push(DeclaredCalendar {
                    name: entry.key.clone(),
                    place: Place::new(&self.source, entry.key_span.start, entry.key_span.end),
                    calendar: raw.and_then(|raw| calendars::read(&raw, &site, &mut out)),
                });
            }
        }
        self.add(out);
        declared
    }

    /// Whether a job of the file refers to a calendar by its name.
    pub fn uses_calendars(&self) -> bool {
        let triggers = self.job_entries().filter_map(|job| job.node.get("triggers"));
        triggers
            .flat_map(Node::items)
            .any(|trigger| trigger.get("calendar").is_some() || trigger.get("exclude").is_some())
    }

    /// Lowers every job over the layers below. Complaints are added; jobs with an error are left out.
    pub fn lower(&mut self, below: &Layer, calendars: &Calendars) -> Vec<DeclaredJob> {
        if self.parsed.broken {
            return Vec::new();
        }
        let declares = |tree: &Node| tree.get("jobs").or(tree.get("calendars")).is_some();
        if !self.parsed.documents.iter().any(declares) {
            self.declares_nothing();
        }
        let mut jobs = Vec::new();
        for tree in 0..self.parsed.documents.len() {
            let layer = self.defaults(tree, below);
            let mut out = Vec::new();
            jobs.extend(self.lower_tree(tree, &layer, calendars, &mut out));
            self.add(out);
        }
        jobs
    }

    fn lower_tree(
        &self,
        tree: usize,
        layer: &Layer,
        calendars: &Calendars,
        out: &mut Vec<Diagnostic>,
    ) -> Vec<DeclaredJob> {
        let Some(root) = self.parsed.documents.get(tree) else { return Vec::new() };
        let site = Site::root(&self.source, root).child("jobs");
        let faulty = self.faulty(JOBS);
        let mut jobs = Vec::new();
        for entry in root.get("jobs").map(Node::entries).unwrap_or_default() {
            let Ok(name) = JobName::parse(&entry.key) else { continue };
            let wrong = faulty.get(entry.key.as_str());
            let site = site.child(&entry.key).of_job(&entry.key);
            match decode::<RawJob>(&without(&entry.node, wrong)) {
                Ok(raw) => {
                    let spec = lower::job(&name, raw, layer, calendars, &site, out);
                    let spec = spec.filter(|_| wrong.is_none());
                    if let Some(spec) = &spec {
                        lints::job(spec, &site, out);
                    }
                    jobs.extend(spec.map(|spec| self.declare(spec, entry.key_span)));
                }
                Err(_) if !self.is_valid() => {}
                Err(error) => out.push(site.diagnostic(codes::WRONG_TYPE, error.to_string())),
            }
        }
        jobs
    }

    fn declare(&self, spec: JobSpec, key: Span) -> DeclaredJob {
        let line = u32::try_from(self.source.line(key.start)).unwrap_or(u32::MAX);
        let source = SourcePlace { file: self.source.path.clone(), line };
        let digest = spec.digest();
        DeclaredJob { spec: Arc::new(spec), digest, source }
    }

    /// Reads a file of defaults for a folder. Complaints are added.
    pub fn folder_defaults(&mut self, below: &Layer) -> Layer {
        if self.parsed.documents.len() > 1 || self.job_entries().next().is_some() {
            let message = "a file of defaults holds `defaults` and no jobs";
            let place = self.job_entries().next().map_or(Span::default(), |entry| entry.key_span);
            let fault = SyntaxFault::new(codes::DEFAULTS_FILE, place, message)
                .help("move the jobs into a file of another name");
            let diagnostic = self.diagnostic(fault, None);
            self.diagnostics.push(diagnostic);
        }
        let calendars = self.parsed.documents.iter().find_map(|tree| tree.entry("calendars"));
        if let Some(place) = calendars.map(|entry| entry.key_span) {
            let message = "a file of defaults holds no calendars";
            let fault = SyntaxFault::new(codes::DEFAULTS_FILE, place, message)
                .help("move them into a manifest: every manifest may use them from there");
            let diagnostic = self.diagnostic(fault, None);
            self.diagnostics.push(diagnostic);
        }
        if self.parsed.documents.is_empty() && !self.parsed.broken {
            self.declares_nothing();
        }
        self.defaults(0, below)
    }

    fn declares_nothing(&mut self) {
        let empty = self.parsed.documents.is_empty();
        let message = if empty {
            "this file is empty, which is not the same as declaring no jobs"
        } else {
            "this manifest has no `jobs`"
        };
        let fault = SyntaxFault::new(codes::NO_JOBS, Span::default(), message)
            .help("write `jobs: {}` to declare none, or remove the file");
        let diagnostic = self.diagnostic(fault, None);
        self.diagnostics.push(diagnostic);
    }
}

/// A map without the fields that are known to be wrong, so that the others can be looked at too.
fn without<'n>(node: &'n Node, wrong: Option<&BTreeSet<&str>>) -> Cow<'n, Node> {
    match (&node.value, wrong) {
        (Value::Map(entries), Some(wrong)) => {
            let sound = |entry: &&Entry| !wrong.contains(entry.key.as_str());
            let entries = entries.iter().filter(sound).cloned().collect();
            Cow::Owned(Node { span: node.span, value: Value::Map(entries) })
        }
        _ => Cow::Borrowed(node),
    }
}

/// The job that a JSON pointer leads into.
fn job_of_pointer(pointer: &str) -> Option<Cow<'_, str>> {
    let name = pointer.strip_prefix("/jobs/")?.split('/').next()?;
    Some(if name.contains('~') {
        Cow::Owned(name.replace("~1", "/").replace("~0", "~"))
    } else {
        Cow::Borrowed(name)
    })
}

fn too_large(bytes: usize) -> Diagnostic {
    let message =
        format!("this file has {bytes} bytes, more than the {FILE_BYTES_MAX} of a manifest");
    Diagnostic::new(codes::FILE_TOO_LARGE, message).help("split it into several files")
}
