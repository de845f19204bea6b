//! The real program, `cronwright serve`, from outside: killed at named steps and at random, its
//! manifests edited and broken under it, its store taken away. What it must account for is checked
//! by an oracle that knows nothing but the clock, the ledger and what the jobs wrote themselves.

mod crowd;
mod drift;
mod events;
mod exec;
mod follow;
mod git;
mod handlers;
pub(crate) mod harness;
mod http;
mod kill;
mod kinit;
mod limits;
mod oracle;
mod outage;
mod overlap;
mod overrides;
mod params;
mod plan;
mod python;
pub(crate) mod reload;
mod requests;
mod retry;
mod secrets;
mod survival;
mod sync;
mod users;
