//! What a job needs and a machine does not have, at its place in the file.

use crate::diagnostic::Diagnostic;
use crate::spec::host::{HostFacts, lacks};
use crate::spec::job::DeclaredJob;
use crate::spec::manifest::ManifestFile;
use crate::spec::manifest::document::Document;
use crate::spec::manifest::lower::site::Site;
use crate::spec::manifest::node::Node;

/// Complains about what these jobs of a file need and a machine with these facts does not have. What defaults ask for is
/// said at the job. Not a part of reading it: another machine may have it.
pub fn lacking(file: &ManifestFile, jobs: &[&DeclaredJob], facts: &HostFacts) -> Vec<Diagnostic> {
    let document = Document::read(file);
    let mut out = Vec::new();
    for job in jobs {
        let name = job.spec.name.as_str();
        let declares = |root: &&Node| root.get("jobs").is_some_and(|jobs| jobs.get(name).is_some());
        let Some(root) = document.parsed.documents.iter().find(declares) else { continue };
        let site = Site::root(&document.source, root).child("jobs").key(name).of_job(name);
        for lack in lacks(&job.spec, facts) {
            let place = lack.keys.iter().fold(site.clone(), |site, key| site.child(key));
            out.push(place.diagnostic(lack.code, lack.message).help(lack.help));
        }
    }
    out
}
