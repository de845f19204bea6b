//! The stored forms: what a document of each collection holds, readable by a person.
//!
//! Every document carries `v`. Times are RFC 3339 text in human-readable formats; the MongoDB adapter
//! turns the fields named in [`ROW_TIMES`] and [`JOB_TIMES`] into BSON dates.

mod drift;
mod ending;
mod job;
mod overrides;
mod plan;
mod row;

pub use crate::io::store::document::drift::{Drift, DriftKind, drift};
pub use crate::io::store::document::ending::{
    EndingDocument, ExceptionDocument, ExitDocument, LateOutcome, OutputDocument,
};
pub use crate::io::store::document::job::{JOB_TIMES, JobDocument, NoteDocument};
pub use crate::io::store::document::overrides::{
    OVERRIDE_PARTS, OVERRIDE_TIMES, OverrideDocument, SaidDocument,
};
pub use crate::io::store::document::plan::{
    ChangeDocument, FormerDocument, PinDocument, PlanDocument,
};
pub use crate::io::store::document::row::{ROW_TIMES, RowDocument};
