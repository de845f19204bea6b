//! The integration tests: one binary, a module per area.

mod manifest;
mod trigger;
