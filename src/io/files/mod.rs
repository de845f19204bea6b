//! The sources: folders of manifests, read into a [`Snapshot`] that nothing changes under the reader.
//!
//! Start at [`snapshot`]. A reading walks each folder with `stat` ([`walk`]), reads what changed since
//! the previous one ([`content`]), walks again, and counts only if both walks agree. What is wrong with
//! a file or a source is data ([`problem`]); who may write it is judged by [`guard`]; [`revision`] says
//! which commit it all is.
//!
//! Does not parse manifests, does not watch ([`crate::io::watch`]), and does not decide what a vanished
//! source means (that is the plan's guard).

mod content;
mod guard;
mod problem;
mod revision;
mod snapshot;
mod taken;
mod touched;
mod walk;
pub mod written;

pub use content::read_alone;
pub use guard::Guard;
pub use problem::{FileProblem, FileWarning, RootFault, SourceState};
pub(in crate::io) use revision::git_folder;
pub use revision::{Revision, RevisionOrigin};
pub use snapshot::{
    Patience, Reading, Snapshot, SnapshotFile, Source, SourceReading, Sources, TOTAL_BYTES_MAX,
    UNSETTLED_MAX, Unsettled,
};
pub use walk::{DEPTH_MAX, ENTRIES_MAX, FILE_BYTES_MAX, FILES_MAX, is_manifest_name};
