//! Control groups (cgroup v2): one for each process that is started, where that is permitted.
//!
//! What is in a group is found and killed whatever it does to its session, its parent and its environment, and only a
//! group can limit the CPU, the memory and the number of processes of an execution. [`offer`] reads what this machine
//! offers and decides what can be done with it; [`Groups`] does it; a [`Leaf`] is the group of one process.
//!
//! ```text
//! base                     the group that was delegated to us, else the one that we are in
//! └─ cronwright-<instance> everything of one supervisor; no process of its own
//!    ├─ run-<n>-<id>       the group of one process
//!    └─ keep-<n>-<id>      the same with `leftovers: leave` and limits: nobody kills what is in it
//! ```

mod groups;
mod leaf;
pub mod mount;
pub mod offer;
#[cfg(test)]
mod tests;

pub(super) use crate::supervisor::cgroup::groups::Groups;
pub(super) use crate::supervisor::cgroup::leaf::Leaf;
