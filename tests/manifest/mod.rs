//! Manifests and settings, from text to job specs.

mod bad_input;
mod canonical;
mod cases;
mod oracle;
mod schema;
mod settings;
