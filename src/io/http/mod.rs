//! The HTTP API of the daemon, on a unix socket and on TCP: [`server`] and [`tcp`] listen, [`auth`] lets in,
//! [`routes`] translates, [`api`] is what is asked, [`documents`] what is answered; [`feed`] holds events.
//!
//! It knows nothing of the daemon: questions go into a channel, and JSON comes back.

mod access;
pub mod address;
pub mod api;
pub mod auth;
pub mod documents;
pub mod feed;
pub mod routes;
pub mod server;
pub mod stream;
pub mod tcp;
