//! Triggers, from outside the library.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "test support outside test functions"
)]

mod brute_force;
mod errors;
mod kinds;
mod normal_form;
mod random;
mod references;
mod vectors;
mod words;
