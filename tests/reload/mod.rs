//! The promises of a reload, as a public suite: [docs/reload.md](../../docs/reload.md) tells them to users.
//!
//! `invariants` holds one test for each promise, `incidents` one for each cited accident of other
//! programs, `history` random edits against a model (`model`) that shares nothing with the product but
//! the second evaluator of expressions. They live in virtual time (`world`). What virtual time cannot
//! show, files and processes, is tested with the real daemon in `daemon`.
//!
//! A history is a function of its seed. A failing seed is printed; `CRONWRIGHT_SIM_SEED=N` replays it with
//! its trace.

mod bugs;
#[cfg(all(feature = "sqlite", feature = "mongo"))]
mod daemon;
mod desk;
mod edits;
mod history;
mod incidents;
mod invariants;
mod model;
mod texts;
mod world;
