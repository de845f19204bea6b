//! kinit's words in ours: what its web admin publishes and stores, and what it reads back.
//!
//! [`message`], [`job`] and [`record`] translate: bytes and documents in, values out. [`collections`] is its MongoDB,
//! [`deletions`] tells what is deleted there, [`channel`] is where it publishes. Wire names stay in this folder.

#[cfg(feature = "redis")]
pub mod channel;
#[cfg(feature = "mongo")]
pub mod collections;
#[cfg(feature = "mongo")]
pub mod deletions;
pub mod job;
pub mod message;
pub mod record;
