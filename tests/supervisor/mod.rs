//! The supervisor and the daemon's client of it, with real processes.

mod daemons;
mod processes;
mod support;
