//! How the world is touched: one file, or folder, per outside thing. Translates; decides nothing.

pub mod background;
pub mod clock;
pub mod executor;
pub mod files;
pub mod git;
pub mod helper;
pub mod host;
pub mod http;
pub mod http_task;
pub mod kinit;
pub mod last_good;
pub mod plan_file;
#[cfg(feature = "redis")]
pub mod redis;
pub mod secrets;
pub mod store;
pub mod watch;
pub mod zone_memory;
