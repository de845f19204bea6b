//! How the sources stand after a look: what is wrong with them, and what is held back because of it.

use std::sync::Arc;

use crate::daemon::reader::Seen;
use crate::daemon::view::Sync;
use crate::diagnostic::Diagnostic;
use crate::engine::plan::{Hold, Plan};
use crate::io::clock;
use crate::io::files::{Snapshot, SourceState};
use crate::spec::manifest::Loaded;

/// How the sources stand.
pub(super) fn sync_of(seen: &Seen, plan: &Plan, waiting: Option<String>) -> Sync {
    let looked_at = seen.snapshot.as_ref().zip(seen.loaded.as_ref());
    let diagnostics = looked_at.map(|(snapshot, loaded)| diagnostics(snapshot, loaded));
    let behind = seen.snapshot.as_deref().and_then(Snapshot::behind);
    let unreadable = seen.snapshot.iter().flat_map(|snapshot| &snapshot.sources);
    Sync {
        attempted: seen
            .snapshot
            .as_ref()
            .map_or_else(|| Arc::clone(&plan.revision), |read| Arc::clone(&read.revision.id)),
        looked_at: Some(clock::now().wall),
        diagnostics: Arc::new(diagnostics.unwrap_or_default()),
        files: seen.loaded.as_ref().map_or(0, |loaded| loaded.files),
        held: plan.held.clone(),
        owner_conflicts: plan.owner_conflicts.clone(),
        stale: plan.stale.clone(),
        unreadable: unreadable
            .filter(|source| {
                matches!(hold_of(&source.state), Some(Hold::UnreadableSource | Hold::Unmounted))
            })
            .map(|source| source.name.clone())
            .chain(behind.map(str::to_owned))
            .collect(),
        waiting,
        confirm: plan.held.iter().any(|held| held.hold.is_confirmable()).then(|| plan.id()),
        rejected: plan.rejected,
        ..Sync::default()
    }
}

/// Why nothing is removed from a source, if so.
pub(super) fn hold_of(state: &SourceState) -> Option<Hold> {
    match state {
        SourceState::Read => None,
        SourceState::Empty => Some(Hold::EmptySource),
        SourceState::Missing
        | SourceState::NotFolder
        | SourceState::Unreadable(_)
        | SourceState::TooManyFiles
        | SourceState::TooDeep(_)
        | SourceState::NotFetched => Some(Hold::UnreadableSource),
        SourceState::Unmounted => Some(Hold::Unmounted),
    }
}

/// What is wrong with the sources and manifests, in one list.
fn diagnostics(snapshot: &Snapshot, loaded: &Loaded) -> Vec<Diagnostic> {
    snapshot.diagnostics().into_iter().chain(loaded.diagnostics.iter().cloned()).collect()
}
