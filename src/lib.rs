//! cronwright: a declarative scheduler with hot reload that can account for every due time.
//!
//! The map, in the order in which data flows; a module may use only what stands above it:
//!
//! - [`time`]: instants, zones, duration text. [`diagnostic`]: what is wrong with a file, and where.
//! - [`spec`]: what is declared. Pure.
//! - [`engine`]: what should happen. Pure: `handle(now, event) -> effects`.
//! - [`ledger`]: whether every due time was answered for. Pure, and independent of both.
//! - [`io`]: how the world is touched, one file per outside thing.
//! - [`supervisor`]: the small process that owns job processes.
//! - [`daemon`]: the process that wires engine to io.
//! - [`cli`]: the face; the only place that prints. [`embed`]: the face for other programs.

pub mod cli;
pub mod daemon;
pub mod diagnostic;
pub mod embed;
pub mod engine;
pub mod io;
pub mod ledger;
pub mod spec;
pub mod supervisor;
pub mod time;

pub use crate::io::executor::handlers;
