//! Manifests and settings, from text to job specs.

mod canonical;
mod cases;
mod oracle;
mod schema;
