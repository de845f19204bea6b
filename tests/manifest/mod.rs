//! Manifests and settings, from text to job specs.

#![expect(
    clippy::disallowed_methods,
    clippy::needless_raw_string_hashes,
    clippy::unwrap_used,
    reason = "tests read their fixtures, fail where they stand, and snapbox writes expected texts"
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
