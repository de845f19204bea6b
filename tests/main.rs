//! The integration tests: one binary, a module per area.

mod cli;
mod files;
mod http;
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
