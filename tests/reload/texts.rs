//! Manifests as people write them, and worlds that have applied some.

use cronwright::engine::request::{Act, OverrideChange, Selection};
use cronwright::spec::job::JobName;

use super::world::World;

/// A job that prints its name, with what else it says.
pub(super) fn job(name: &str, rest: &str) -> String {
    format!("  {name}:\n    command: echo {name}\n    {rest}\n")
}

pub(super) fn manifest(jobs: &[String]) -> String {
    format!("jobs:\n{}", jobs.concat())
}

/// A world whose daemon has applied these manifests half a second before 10:00 of a Monday.
pub(super) fn world(files: &[(&str, &str)]) -> World {
    world_of(files, (10, 10))
}

/// The same, with tasks that take so many milliseconds.
pub(super) fn world_of(files: &[(&str, &str)], task_ms: (u64, u64)) -> World {
    let mut world = World::at("2026-11-23T09:59:59.500Z");
    world.task_ms = task_ms;
    for (file, text) in files {
        world.write(file, text);
    }
    world.start();
    world.run_until("10:00:01");
    world
}

/// One job, as requests name it.
pub(super) fn named_job(name: &str) -> Selection {
    Selection::Named(vec![JobName::parse(name).unwrap()])
}

/// An order to pause a job until it is resumed.
pub(super) fn pause(name: &str) -> Act {
    Act::Override {
        jobs: named_job(name),
        change: OverrideChange::Pause { reason: Some("disk is full".to_owned()), until: None },
    }
}
