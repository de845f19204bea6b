//! Manifests and settings, from text to job specs.

mod cases;
mod schema;
