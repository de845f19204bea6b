//! Previous names that nobody can take over, over a whole snapshot.

use std::collections::BTreeMap;

use crate::diagnostic::{Diagnostic, Place, codes};
use crate::spec::job::{DeclaredJob, JobName};

/// A job that lists previous names, at the place of its name.
pub struct Renamed<'l> {
    /// The job.
    pub job: &'l DeclaredJob,
    /// Its name.
    pub place: &'l Place,
}

/// Tells of names that a job lists and cannot take over: they are declared themselves, or another job lists
/// them too. `renamed` in the order of files and places.
pub fn check(
    renamed: &[Renamed<'_>],
    is_declared: impl Fn(&JobName) -> bool,
    out: &mut Vec<Diagnostic>,
) {
    let mut claims: BTreeMap<&JobName, Vec<&Renamed<'_>>> = BTreeMap::new();
    for renamed in renamed {
        for former in &renamed.job.spec.previous_names {
            if is_declared(former) {
                let message = format!("the previous name `{former}` is that of another job");
                let help = format!("it has no effect while `{former}` is declared");
                out.push(diagnostic(renamed, message).help(help));
            }
            claims.entry(former).or_default().push(renamed);
        }
    }
    for (former, claims) in claims {
        let Some((first, again)) = claims.split_first() else { continue };
        for renamed in again {
            let message = format!("the previous name `{former}` is listed by another job as well");
            let help = "list it once: until then neither of the two takes its history over";
            let first = first.place.clone();
            out.push(diagnostic(renamed, message).related(first, "first here").help(help));
        }
    }
}

fn diagnostic(renamed: &Renamed<'_>, message: String) -> Diagnostic {
    let name = &renamed.job.spec.name;
    let mut diagnostic = Diagnostic::new(codes::DEAD_FORMER_NAME, message)
        .at(renamed.place.clone())
        .label("this job lists it");
    diagnostic.job = Some(name.to_string());
    diagnostic.pointer = Some(format!("/jobs/{name}/previous_names"));
    diagnostic
}
