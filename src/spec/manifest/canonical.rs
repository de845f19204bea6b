//! The way back from a canonical text ([`JobSpec::canonical`]) to its job spec: the same path that a
//! manifest takes, so that there is one reader only.

use std::sync::Arc;

use crate::diagnostic::{Diagnostic, SourceText};
use crate::spec::job::{JobName, JobSpec};
use crate::spec::manifest::document::{Document, Format};
use crate::spec::manifest::lower::calendars::Calendars;
use crate::spec::manifest::lower::layer::Layer;

impl JobSpec {
    /// Reads a canonical text. The complaints point into the text; a definition that this version
    /// cannot do (any more) is one of them.
    pub fn from_canonical(name: &JobName, text: &str) -> Result<Self, Vec<Diagnostic>> {
        // A name needs no escapes, so the job's text can be put into a manifest as it is.
        let manifest = format!("{{\"jobs\":{{\"{name}\":{text}}}}}");
        let source = Arc::new(SourceText::new(format!("{name}.json"), manifest));
        let mut document = Document::of_manifest(source, Format::Yaml);
        let jobs = document.lower(&Layer::default(), &Calendars::default());
        document.diagnostics.retain(Diagnostic::is_error);
        match jobs.into_iter().next() {
            Some(job) if document.diagnostics.is_empty() => Ok(Arc::unwrap_or_clone(job.spec)),
            Some(_) | None => Err(document.diagnostics),
        }
    }
}
