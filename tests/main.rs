//! The integration tests: one binary, a module per area.

#![expect(clippy::disallowed_methods, reason = "tests are the outside world: they start and look")]

mod files;
mod manifest;
mod simulation;
mod store;
mod supervisor;
mod servers;
mod store;
mod support;
mod trigger;
