//! The supervisor and the daemon's client of it, with real processes.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "tests look at files, clocks and processes themselves, and fail by panicking"
)]

mod daemons;
mod groups;
mod processes;
mod rules;
mod support;
mod warm;
