//! What the log tells of looks and plans: news only.

use std::collections::BTreeSet;
use std::sync::Arc;

use tracing::{info, warn};

use crate::daemon::view::Sync;
use crate::diagnostic::{Diagnostic, SourceText};
use crate::engine::plan::{Change, Plan};

/// The diagnostics that the look before did not have: a fault in a file that nobody touched is told once.
fn news<'d>(before: &[Diagnostic], now: &'d [Diagnostic]) -> Vec<&'d Diagnostic> {
    let known: BTreeSet<_> = before.iter().map(identity).collect();
    now.iter().filter(|diagnostic| !known.contains(&identity(diagnostic))).collect()
}

/// What makes two diagnostics of two looks the same: a file that was not read again keeps its text, in the
/// same place of memory.
fn identity(diagnostic: &Diagnostic) -> (&str, &str, &str, Option<(*const SourceText, usize)>) {
    let place = diagnostic.place.as_ref();
    let place = place.map(|place| (Arc::as_ptr(&place.source), place.start));
    (diagnostic.code, diagnostic.path(), &diagnostic.message, place)
}

/// Logs what was applied.
pub(super) fn plan(plan: &Plan) {
    let count = |action: &str| plan.changes.iter().filter(|c| c.action() == action).count();
    info!(
        revision = %plan.revision,
        origin = %plan.origin,
        created = count("create"),
        updated = count("update"),
        removed = count("remove"),
        unchanged = plan.unchanged,
        "applied a plan"
    );
    for change in plan.changes.iter().filter(|change| matches!(change, Change::Remove { .. })) {
        info!(job = %change.job(), "removed");
    }
}

/// Logs how the sources stand, and what is wrong with them that was not so before.
pub(super) fn sync(before: &Sync, sync: &Sync) {
    for diagnostic in news(&before.diagnostics, &sync.diagnostics) {
        let (code, message) = (diagnostic.code, &diagnostic.message);
        if diagnostic.is_error() {
            warn!(code, file = diagnostic.path(), "{message}");
        } else {
            info!(code, file = diagnostic.path(), "{message}");
        }
    }
    for held in &sync.held {
        warn!(job = %held.job, hold = held.hold.as_str(), "not declared any more; it stays");
    }
    info!(state = sync.state(), "sources");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::manifest::load::Loader;
    use crate::spec::manifest::{Content, Known, ManifestFile};

    #[test]
    fn what_is_wrong_with_an_untouched_file_is_told_once() {
        let mut loader = Loader::default();
        let mut look = |texts: &[(&str, &str)]| {
            let file = |(path, text): &(&str, &str)| ManifestFile {
                path: (*path).into(),
                source: "jobs.d".into(),
                content: Content::Bytes(text.as_bytes().into()),
            };
            let files: Vec<_> = texts.iter().map(file).collect();
            loader.load(&files, &Known::default()).diagnostics
        };
        let doubtful = ("a.yaml", "jobs: {a: {interval: 7h, command: x}}\n");
        let first = look(&[doubtful]);
        let second = look(&[doubtful, ("b.yaml", "jobs: {b: {interval: 5h, command: x}}\n")]);
        let edited = ("a.yaml", "jobs: {a: {interval: 7h, command: z}}\n");
        let third = look(&[edited]);
        let told = |before: &[Diagnostic], now: &[Diagnostic]| -> Vec<String> {
            news(before, now).iter().map(|new| new.path().to_owned()).collect()
        };
        assert_eq!(told(&[], &first), ["a.yaml"]);
        assert_eq!(told(&first, &second), ["b.yaml"]);
        assert_eq!(told(&second, &second), [""; 0]);
        assert_eq!(told(&second, &third), ["a.yaml"]);
    }
}
