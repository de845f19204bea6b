//! Plans that are kept and applied later, and removals that are counted, under a real daemon.

use std::fs;
use std::process::Output;

use serde_json::Value;

use super::harness::World;

/// A manifest of a job that is never due, and of one that is protected.
fn manifest(script: &str, with_protected: bool) -> String {
    let protected = "  kept:\n    triggers: []\n    protect: true\n    script: echo kept\n";
    let head = "jobs:\n  one:\n    triggers: []\n";
    format!("{head}    script: {script}\n{}", if with_protected { protected } else { "" })
}

/// An edit that nobody sees before somebody asks: it is written through another name of the file, which is
/// gone again when the file is looked at.
fn edit(world: &World, text: &str) {
    fs::hard_link(world.path("jobs.d/a.yaml"), world.path("unwatched")).unwrap();
    world.write("unwatched", text);
    fs::remove_file(world.path("unwatched")).unwrap();
}

fn world() -> World {
    let mut world = World::new();
    world.write("jobs.d/a.yaml", &manifest("echo 1", true));
    world.start();
    world.until("applied manifests", |world| world.sync_state() == "Synced");
    world
}

fn said(output: &Output) -> (Option<i32>, String) {
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn script(world: &World) -> Value {
    world.ask(&["show", "one"])["spec"]["script"].clone()
}

#[test]
fn a_kept_plan_is_applied_only_as_it_was_seen() {
    let world = world();
    edit(&world, &manifest("echo 22", true));
    let kept = world.verb(&["plan", "--out", "plan.json"]);
    assert_eq!(kept.status.code(), Some(0), "{kept:?}");
    assert_eq!(world.verb(&["diff"]).status.code(), Some(1));

    edit(&world, &manifest("echo 333", true));
    let (code, stderr) = said(&world.verb(&["apply", "--plan", "plan.json"]));
    assert_eq!(code, Some(5), "{stderr}");
    assert!(stderr.starts_with("error[E0505]: the sources are not what the plan saw"), "{stderr}");
    assert_eq!(script(&world), "echo 1");

    let id = world.ask(&["plan", "--out", "plan.json"])["id"].clone();
    assert_eq!(world.verb(&["apply", "--dry-run"]).status.code(), Some(0));
    assert_eq!(script(&world), "echo 1");
    let (code, stderr) = said(&world.verb(&["apply", "--plan", "plan.json"]));
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert_eq!(script(&world), "echo 333");

    let (code, stderr) = said(&world.verb(&["apply", "--plan", "plan.json"]));
    assert_eq!(code, Some(5), "{stderr}");
    assert!(stderr.starts_with("error[E0505]: the store is at generation"), "{stderr}");
    let (code, stderr) = said(&world.verb(&["apply", "--plan", id.as_str().unwrap()]));
    assert_eq!(code, Some(5), "{stderr}");
    assert_eq!(world.verb(&["apply", "--plan", "none.json"]).status.code(), Some(3));
    assert_eq!(world.verb(&["diff"]).status.code(), Some(0));
}

#[test]
fn held_removals_are_made_when_their_number_is_said() {
    let world = world();
    edit(&world, &manifest("echo 22", false));
    let plan = world.ask(&["plan"]);
    assert_eq!(
        (&plan["summary"]["blocked"], &plan["summary"]["confirmable"]),
        (&1.into(), &1.into())
    );
    let apply = |arguments: &[&str]| said(&world.verb(&[&["apply"][..], arguments].concat()));
    let (code, stderr) = apply(&["--allow-prune", "2"]);
    assert_eq!(code, Some(5));
    assert!(
        stderr.starts_with("error[E0506]: 1 removal is held back that may be confirmed, not 2"),
        "{stderr}"
    );
    assert_eq!(script(&world), "echo 1", "nothing is applied");

    assert_eq!(apply(&[]).0, Some(1), "it goes on being held back");
    assert_eq!(script(&world), "echo 22", "the rest is applied");
    assert!(world.applied("kept").is_some());
    assert_eq!(apply(&["--allow-prune", "1"]), (Some(0), String::new()));
    assert!(world.applied("kept").is_none());
    assert_eq!(apply(&["--allow-prune", "1"]).0, Some(5), "there is nothing left to confirm");
}
