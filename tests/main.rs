//! The integration tests: one binary, a module per area.

#[cfg(all(feature = "sqlite", feature = "mongo"))]
mod daemon;
mod files;
mod manifest;
mod redis;
mod servers;
mod simulation;
mod store;
mod supervisor;
mod support;
mod trigger;
#[cfg(feature = "watch")]
mod watch;
