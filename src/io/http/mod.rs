//! The HTTP API of the daemon, on a unix socket.

pub mod documents;
