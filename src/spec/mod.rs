//! What is declared. Pure: text and values in, values out; no async, no clock, no file.

pub mod grant;
pub mod host;
pub mod job;
pub mod manifest;
pub mod operation;
pub mod params;
pub mod policy;
pub mod process;
pub mod schema;
pub mod secret;
pub mod settings;
pub mod size;
pub mod task;
pub mod trigger;
pub mod words;
