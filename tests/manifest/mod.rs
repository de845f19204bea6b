//! Manifests and settings, from text to job specs.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests read their fixtures, and fail where they stand"
)]

mod bad_input;
mod canonical;
mod cases;
mod documented;
mod meaning;
mod oracle;
mod samples;
mod schema;
mod settings;
