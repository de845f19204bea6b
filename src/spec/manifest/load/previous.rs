//! Previous names beside the other jobs of a snapshot: one that two jobs list, and one that is still in use.
//! Who goes on as whom is `engine::plan`'s.

use std::collections::BTreeSet;

use crate::diagnostic::{Diagnostic, Place, codes};
use crate::spec::job::{DeclaredJob, JobName};
use crate::spec::manifest::Loaded;
use crate::spec::manifest::document::Document;
use crate::spec::manifest::node::Node;

/// An entry of `previous_names`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct PreviousName {
    name: JobName,
    /// The job that lists it.
    job: JobName,
    place: Place,
}

/// The previous names of the jobs of a file.
pub(super) fn read(document: &Document, jobs: &[DeclaredJob]) -> Vec<PreviousName> {
    let mut found = Vec::new();
    for job in jobs.iter().filter(|job| !job.spec.previous_names.is_empty()) {
        let trees = document.parsed.documents.iter();
        let mut nodes = trees.filter_map(|tree| tree.get("jobs")?.get(job.spec.name.as_str()));
        let list = nodes.find_map(|node| node.get("previous_names"));
        for node in list.map(Node::items).unwrap_or_default() {
            let name = node.text().and_then(|text| JobName::parse(text).ok());
            found.extend(name.map(|name| PreviousName {
                name,
                job: job.spec.name.clone(),
                place: Place::new(&document.source, node.span.start, node.span.end),
            }));
        }
    }
    found
}

/// Complains about names that two jobs list, which then are conflicts, and about those that are `declared`.
pub(super) fn check(
    mut listed: Vec<&PreviousName>,
    declared: &BTreeSet<&JobName>,
    loaded: &mut Loaded,
) {
    listed.retain(|entry| !loaded.conflicts.contains(&entry.job));
    listed.sort_unstable_by(|a, b| a.key().cmp(&b.key()));
    for same in listed.chunk_by(|a, b| a.name == b.name) {
        match same {
            [first, again @ ..] if !again.is_empty() => {
                loaded.diagnostics.extend(again.iter().map(|entry| entry.shared(first)));
                loaded.conflicts.extend(same.iter().map(|entry| entry.job.clone()));
                // The job that is known by that name waits with them.
                if !declared.contains(&first.name) {
                    loaded.conflicts.insert(first.name.clone());
                }
            }
            _ => {
                let idle = same.iter().filter(|entry| declared.contains(&entry.name));
                loaded.diagnostics.extend(idle.map(|entry| entry.idle()));
            }
        }
    }
}

impl PreviousName {
    /// By name, and then in the order of files and places.
    fn key(&self) -> (&JobName, &str, usize) {
        (&self.name, &self.place.source.path, self.place.start)
    }

    fn shared(&self, first: &Self) -> Diagnostic {
        let Self { name, job, .. } = self;
        let message = format!("`{job}` and `{}` both list the previous name `{name}`", first.job);
        self.diagnostic(codes::SHARED_PREVIOUS_NAME, message)
            .label("again here")
            .related(first.place.clone(), "first here")
            .help("remove it from one of them: until then neither of the two is applied")
    }

    fn idle(&self) -> Diagnostic {
        let message = format!("the previous name `{}` is itself declared as a job", self.name);
        self.diagnostic(codes::IDLE_PREVIOUS_NAME, message)
            .help("it has no effect while that job exists: remove it, or that job")
    }

    fn diagnostic(&self, code: &'static str, message: String) -> Diagnostic {
        let mut diagnostic = Diagnostic::new(code, message).at(self.place.clone());
        diagnostic.job = Some(self.job.to_string());
        diagnostic.pointer = Some(format!("/jobs/{}/previous_names", self.job));
        diagnostic
    }
}
