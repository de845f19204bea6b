//! Rules about manifests beyond their shape: one file per rule.

pub mod cron;
pub mod environment;
pub mod not_yet;
