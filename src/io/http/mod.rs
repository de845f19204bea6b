//! The HTTP API of the daemon, on a unix socket: [`server`] listens, [`routes`] translates, [`api`] is
//! what is asked, [`documents`] what is answered.
//!
//! It knows nothing of the daemon: questions go into a channel, and JSON comes back.

pub mod api;
pub mod documents;
pub mod routes;
pub mod server;
