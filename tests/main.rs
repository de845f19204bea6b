//! The integration tests: one binary, a module per area.

mod files;
mod store;
mod trigger;
