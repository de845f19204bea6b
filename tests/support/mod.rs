//! What tests stand on: real servers, and the program under test.

pub(crate) mod git;
pub(crate) mod servers;

use std::path::Path;

/// The program that `cargo test` has built.
pub(crate) fn cronwright() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_cronwright"))
}
