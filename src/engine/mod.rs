//! What should happen. Pure: takes `now`, returns values; no async, no clock, no file.

pub mod absence;
pub mod admission;
pub mod condition;
pub mod consequences;
pub mod declaration;
pub mod event;
pub mod execution;
pub mod fields;
pub mod lifecycle;
pub mod overrides;
pub mod plan;
pub mod queue;
pub mod removed;
pub mod request;
pub mod retry;
pub mod rollback;
pub mod schedule;
pub mod scheduler;
pub mod simulate;
pub mod waiting;
pub mod zone_change;
