//! Manifests and settings, from text to job specs.

mod schema;
