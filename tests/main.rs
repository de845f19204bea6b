//! The integration tests: one binary, a module per area.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests are the outside world: they start programs, read clocks, and fail by panicking"
)]

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
