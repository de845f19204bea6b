//! Rules about manifests beyond their shape: one file per rule.

pub mod not_yet;
