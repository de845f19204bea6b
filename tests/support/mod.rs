//! What tests stand on: real servers, and the program under test.

pub(crate) mod git;
pub(crate) mod groups;
pub(crate) mod servers;

use std::path::{Path, PathBuf};
use std::process::Command;

/// A program of `examples/`. `cargo test` has built it already; a run of some tests alone may not have.
pub(crate) fn example(name: &str) -> PathBuf {
    let folder = cronwright().parent().unwrap();
    let mut command = Command::new(env!("CARGO"));
    command.args(["build", "--quiet", "--example", name]).current_dir(env!("CARGO_MANIFEST_DIR"));
    command.arg("--target-dir").arg(folder.parent().unwrap());
    if folder.ends_with("release") {
        command.arg("--release");
    }
    assert!(command.status().unwrap().success(), "the example {name} cannot be built");
    folder.join("examples").join(name)
}

/// The program that `cargo test` has built.
pub(crate) fn cronwright() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_cronwright"))
}
