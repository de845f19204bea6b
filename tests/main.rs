//! The integration tests: one binary, a module per area.
//! The one integration test binary: a module per area.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "tests fail by panicking and make their own worlds"
)]

mod files;
mod manifest;
mod servers;
mod simulation;
mod store;
mod supervisor;
mod support;
mod trigger;
mod trigger;
#[cfg(feature = "watch")]
mod watch;
