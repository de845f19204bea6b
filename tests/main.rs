//! The integration tests: one binary, a module per area.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::wildcard_enum_match_arm,
    clippy::format_push_string,
    reason = "a test that cannot go on ends; tests read clocks and files and start processes"
)]

mod cli;
#[cfg(all(feature = "sqlite", feature = "mongo"))]
mod daemon;
#[cfg(feature = "sqlite")]
mod embed;
mod files;
mod fuzz;
mod git;
mod http;
mod manifest;
mod overrides;
mod plan;
mod redis;
mod reload;
#[cfg(feature = "sqlite")]
mod seed;
mod servers;
mod simulation;
mod store;
mod supervisor;
mod support;
mod tcp;
mod tidy;
mod trigger;
#[cfg(feature = "watch")]
mod watch;
