//! kinit's words in ours: what its web admin publishes and stores, and what it reads back.
//!
//! Translation alone: bytes and documents in, values out. Wire names stay in this folder.

pub mod job;
pub mod message;
pub mod record;
