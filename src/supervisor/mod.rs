//! The supervisor: a small process that owns job processes, so that they survive the daemon.

pub mod protocol;
