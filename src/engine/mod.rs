//! What should happen. Pure: takes `now`, returns values; no async, no clock, no file.

pub mod execution;
pub mod request;
