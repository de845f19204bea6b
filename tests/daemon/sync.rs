//! What is held back, confirmed, rejected and told, under a real daemon.

use std::fmt::Write;

use super::harness::World;

/// A manifest of jobs that are never due.
fn jobs(names: &[&str], script: &str) -> String {
    let mut text = "jobs:\n".to_owned();
    for name in names {
        writeln!(text, "  {name}:\n    triggers: []\n    script: {script}").unwrap();
    }
    text
}

const ALL: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];
const FEW: [&str; 2] = ["a", "b"];

/// A world whose daemon has applied its manifests.
fn world(settings: &str) -> World {
    let mut world = World::new();
    world.write("cronwright.toml", settings);
    world.write("jobs.d/jobs.yaml", &jobs(&ALL, "echo 1"));
    world.start();
    world.until("applied manifests", |world| world.sync_state() == "Synced");
    world
}

fn script(world: &World, job: &str) -> String {
    world.applied(job).map(|job| job.spec["script"].to_string()).unwrap_or_default()
}

/// The exit code, and what it complains of.
fn said(world: &World, arguments: &[&str]) -> (Option<i32>, String) {
    let output = world.verb(arguments);
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_mass_removal_waits_for_its_id_while_the_rest_is_applied() {
    let mut world = world("");
    assert_eq!(said(&world, &["sync", "status"]).0, Some(0));
    world.save("jobs.d/jobs.yaml", &jobs(&FEW, "echo 2"));
    // Removals are counted once a second snapshot lacks them too.
    let guarded = |world: &mut World| {
        let sync = world.ask(&["sync"]);
        let held = sync["blocked"].as_array().cloned().unwrap_or_default();
        held.len() == 6 && held.iter().all(|held| held["blocked"] == "mass_removal")
    };
    world.until("held removals", guarded);
    assert_eq!(script(&world, "a"), "\"echo 2\"", "the rest is applied");
    assert!(world.applied("h").is_some());
    assert_eq!(world.sync_state(), "Blocked");
    assert_eq!(said(&world, &["sync", "status"]).0, Some(1));
    let id = world.ask(&["sync"])["confirm"].as_str().unwrap().to_owned();

    world.save("jobs.d/jobs.yaml", &jobs(&FEW, "echo 3"));
    world.until("edit", |world| script(world, "a") == "\"echo 3\"");
    let (code, stderr) = said(&world, &["sync", "confirm", &id]);
    assert_eq!(code, Some(5), "{stderr}");
    assert!(stderr.starts_with("error[E0505]"), "{stderr}");
    assert!(world.applied("h").is_some(), "an id that expired confirms nothing");

    let id = world.ask(&["sync"])["confirm"].as_str().unwrap().to_owned();
    let (code, stderr) = said(&world, &["sync", "confirm", &id]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(world.applied("h").is_none());
    assert_eq!(said(&world, &["sync", "status"]).0, Some(0));
    let newest = world.ask(&["sync", "history", "--limit", "1"])["plans"][0]["changes"].clone();
    let removed: Vec<_> = newest.as_array().unwrap().iter().map(|change| &change["job"]).collect();
    assert_eq!(removed, ["c", "d", "e", "f", "g", "h"]);
}

#[test]
fn with_reject_a_revision_is_applied_whole_or_not_at_all_and_a_restart_starts_no_emptier() {
    let mut world = world("on_invalid = \"reject\"\n");
    world.save("jobs.d/broken.yaml", "jobs:\n  x:\n    cron: never\n    script: echo x\n");
    world.until("degraded state", |world| world.sync_state() == "Degraded");
    world.save("jobs.d/jobs.yaml", &jobs(&ALL, "echo 2"));
    world.until("rejected edit", |world| world.ask(&["sync"])["rejected"] == 8);
    assert_eq!(script(&world, "a"), "\"echo 1\"");
    world.kill();
    world.start();
    world.until("rejected edit", |world| world.ask(&["sync"])["rejected"] == 8);
    let sync = world.ask(&["sync"]);
    assert_ne!(sync["applied"], sync["attempted"]);
    assert_eq!(script(&world, "a"), "\"echo 1\"");
    assert_eq!(world.listed("h")["name"], "h");

    world.save("jobs.d/broken.yaml", &jobs(&["x"], "echo x"));
    world.until("healed sources", |world| world.sync_state() == "Synced");
    assert_eq!(
        (script(&world, "a"), script(&world, "x")),
        ("\"echo 2\"".into(), "\"echo x\"".into())
    );
}
