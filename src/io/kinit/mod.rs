//! kinit's words in ours: what its web admin publishes and stores, and what it reads back.
//!
//! Translation alone: bytes and documents in, values out. Wire names stay in this folder. Nothing of the daemon is
//! connected to it yet: `[kinit]` in the settings is refused.

pub mod job;
pub mod message;
pub mod record;
