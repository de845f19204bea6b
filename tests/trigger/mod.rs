//! Triggers, from outside the library.

#![expect(clippy::unwrap_used, reason = "test support outside test functions")]

mod bad_input;
mod brute_force;
mod calendars;
mod errors;
mod filters;
mod kinds;
mod normal_form;
mod random;
mod references;
mod standard;
mod words;
