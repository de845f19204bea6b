//! Manifests: text → one tree with places → checked against the schema → decoded → lowered to job specs.

pub mod check;
pub mod node;
pub mod raw;
pub mod rules;
