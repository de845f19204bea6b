//! The integration tests: one binary, a module per area.

mod files;
mod manifest;
mod redis;
mod servers;
mod simulation;
mod store;
mod supervisor;
mod support;
mod tidy;
mod trigger;
#[cfg(feature = "watch")]
mod watch;
