//! What an event of the watcher says: nothing, most of the time.

use std::path::Path;

use notify::event::{CreateKind, EventKind, ModifyKind, RemoveKind, RenameMode};

use crate::io::files::is_manifest_name;
use crate::io::watch::folders::Scope;
use crate::io::watch::settle::Sign;

/// How Kubernetes names the link that it moves to switch a mounted `ConfigMap`.
const CONFIG_MAP_LINK: &str = "..data";

/// What an event says about the sources within `scope`.
pub(super) fn sign_of(event: &notify::Event, scope: &Scope) -> Option<Sign> {
    if event.need_rescan() {
        return Some(Sign::Written);
    }
    let place = event.paths.iter().map(|path| place_of(path, scope)).max()?;
    let number = event.attrs.tracker();
    match (place, event.kind) {
        // Our own reading is an access. A move of both names was said already, in two halves.
        (Place::Elsewhere, _)
        | (_, EventKind::Access(_) | EventKind::Modify(ModifyKind::Name(RenameMode::Both)))
        | (
            Place::Unnamed,
            EventKind::Create(CreateKind::File)
            | EventKind::Remove(RemoveKind::File)
            | EventKind::Modify(ModifyKind::Data(_) | ModifyKind::Metadata(_)),
        ) => None,
        (_, EventKind::Modify(ModifyKind::Name(RenameMode::From))) => Some(Sign::MovedAway(number)),
        (Place::Manifest, EventKind::Modify(ModifyKind::Name(RenameMode::To))) => {
            Some(Sign::MovedIn(number))
        }
        (Place::Unnamed | Place::Manifest, _) => Some(Sign::Written),
    }
}

/// What a path is to the sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    /// No business of ours.
    Elsewhere,
    /// In a source, and perhaps a folder, perhaps a file of an editor.
    Unnamed,
    /// A manifest, a source, or what leads to one.
    Manifest,
}

fn place_of(path: &Path, scope: &Scope) -> Place {
    if scope.guards.contains(path) || scope.folders.contains(path) {
        return Place::Manifest;
    }
    if !path.parent().is_some_and(|parent| scope.folders.contains(parent)) {
        return Place::Elsewhere;
    }
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    if is_manifest_name(&name) || name == CONFIG_MAP_LINK {
        Place::Manifest
    } else if name.starts_with(['.', '#']) || name.ends_with('~') {
        Place::Elsewhere
    } else {
        Place::Unnamed
    }
}

#[cfg(test)]
mod tests {
    use notify::event::{AccessKind, DataChange, Event, Flag, MetadataKind};

    use super::*;

    #[test]
    fn only_what_may_change_the_sources_is_a_sign() {
        let create = EventKind::Create(CreateKind::File);
        let create_folder = EventKind::Create(CreateKind::Folder);
        let remove = EventKind::Remove(RemoveKind::File);
        let data = EventKind::Modify(ModifyKind::Data(DataChange::Any));
        let mode = EventKind::Modify(ModifyKind::Metadata(MetadataKind::Any));
        let access = EventKind::Access(AccessKind::Any);
        let name = |half| EventKind::Modify(ModifyKind::Name(half));
        let (from, to, both) =
            (name(RenameMode::From), name(RenameMode::To), name(RenameMode::Both));
        let (away, moved_in) = (Some(Sign::MovedAway(Some(7))), Some(Sign::MovedIn(Some(7))));
        let written = Some(Sign::Written);

        #[rustfmt::skip]
        let table = [
            ("/w/jobs.d/a.yaml", create, written),
            ("/w/jobs.d/a.yaml", data, written),
            ("/w/jobs.d/a.yaml", mode, written),
            ("/w/jobs.d/a.yaml", remove, written),
            ("/w/jobs.d/a.yaml", access, None),
            ("/w/jobs.d/a.yaml", to, moved_in),
            ("/w/jobs.d/a.yaml", both, None),
            ("/w/jobs.d/a.yaml", from, away),
            ("/w/jobs.d/..data", to, moved_in),
            ("/w/jobs.d/..2026", create_folder, None),
            ("/w/jobs.d/.a.yaml.swp", data, None),
            ("/w/jobs.d/.git", mode, None),
            ("/w/jobs.d/a.yaml~", to, None),
            ("/w/jobs.d/sedAb12", create, None),
            ("/w/jobs.d/sedAb12", data, None),
            ("/w/jobs.d/sedAb12", from, away),
            ("/w/jobs.d/team", create_folder, written),
            ("/w/jobs.d/team", from, away),
            ("/w/jobs.d/team", to, written),
            ("/w/jobs.d/sub/b.toml", data, written),
            ("/w/jobs.d/sub", remove, written),
            ("/w/jobs.d", from, away),
            ("/w/jobs.d", to, moved_in),
            ("/w/.cronwright/cronwright.db", data, None),
            ("/w/other.yaml", data, None),
        ];
        let scope = Scope {
            folders: ["/w/jobs.d", "/w/jobs.d/sub"].map(Into::into).into(),
            guards: ["/w/jobs.d"].map(Into::into).into(),
        };
        for (path, kind, expected) in table {
            let event = Event::new(kind).add_path(path.into()).set_tracker(7);
            assert_eq!(sign_of(&event, &scope), expected, "{path} {kind:?}");
        }
        let overflow = Event::new(EventKind::Other).set_flag(Flag::Rescan);
        assert_eq!(sign_of(&overflow, &scope), written);
    }
}
