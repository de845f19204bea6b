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

/// What the scripts of these jobs echo, in order: `a=1 b=2`.
fn scripts(world: &World) -> String {
    let jobs = ALL.iter().filter_map(|name| Some((name, world.applied(name)?)));
    let shown = jobs.map(|(name, job)| {
        format!("{name}={}", job.spec["script"].as_str().unwrap().trim_start_matches("echo "))
    });
    shown.collect::<Vec<_>>().join(" ")
}

#[test]
fn argo_cd_4414_and_8207_who_goes_back_has_the_jobs_of_then_until_somebody_resumes() {
    let mut world = World::new();
    world.write("jobs.d/jobs.yaml", &jobs(&["a", "b"], "echo 1"));
    world.start();
    world.until("applied manifests", |world| world.sync_state() == "Synced");
    let first = world.ask(&["sync"])["applied"].as_str().unwrap().to_owned();
    let uid = world.applied("a").unwrap().uid;
    world.save("jobs.d/jobs.yaml", &jobs(&["a", "b", "c"], "echo 2"));
    world.until("an edit", |world| scripts(world) == "a=2 b=2 c=2");
    let renamed = jobs(&["b", "c"], "echo 3")
        + "  d: { previous_names: [a], triggers: [], script: echo 3 }\n";
    world.save("jobs.d/jobs.yaml", &renamed);
    world.until("a rename", |world| scripts(world) == "b=3 c=3 d=3");

    let (code, stderr) = said(&world, &["sync", "undo", "--reason", "too fast"]);
    assert_eq!((code, scripts(&world).as_str()), (Some(0), "a=2 b=2 c=2"), "{stderr}");
    assert_eq!(world.applied("a").unwrap().uid, uid, "the same job under the name of then");
    assert_eq!(world.sync_state(), "Blocked");
    let sync = world.ask(&["sync"]);
    assert_eq!((&sync["pinned"]["reason"], &sync["rejected"]), (&"too fast".into(), &3.into()));

    // Nothing of the sources is applied, whoever asks, until somebody resumes.
    world.save("jobs.d/jobs.yaml", &jobs(&["b"], "echo 4"));
    world.until("the look at an edit", |world| {
        world.ask(&["sync"])["attempted"] != sync["attempted"]
    });
    let (code, stderr) = said(&world, &["apply"]);
    assert_eq!(code, Some(5), "{stderr}");
    assert!(stderr.starts_with("error[E0507]"), "{stderr}");
    let (code, stderr) = said(&world, &["sync", "undo"]);
    assert_eq!(code, Some(5), "{stderr}");
    assert!(stderr.starts_with("error[E0507]"), "{stderr}");
    world.stop();
    world.start();
    world.until("a look after the restart", |world| world.ask(&["sync"])["looked_at"].is_string());
    assert_eq!(scripts(&world), "a=2 b=2 c=2");
    let plan = world.ask(&["plan"]);
    assert!(plan["notes"][0].as_str().unwrap().contains("`cronwright sync resume`"), "{plan}");

    // Further back; one job of then is not there, which nothing holds up.
    let (code, stderr) = said(&world, &["sync", "rollback", &first]);
    assert_eq!((code, scripts(&world).as_str()), (Some(0), "a=1 b=1"), "{stderr}");
    let (code, stderr) = said(&world, &["sync", "rollback", "no-such-revision"]);
    assert_eq!(code, Some(5), "{stderr}");
    assert!(stderr.starts_with("error[E0508]"), "{stderr}");

    let (code, stderr) = said(&world, &["sync", "resume"]);
    assert_eq!((code, scripts(&world).as_str()), (Some(0), "b=4"), "{stderr}");
    assert_eq!(world.sync_state(), "Synced");
    let (code, stderr) = said(&world, &["sync", "resume"]);
    assert_eq!(code, Some(5), "{stderr}");
    assert!(stderr.starts_with("error[E0508]: nothing is pinned"), "{stderr}");
    let history = world.ask(&["sync", "history"])["plans"].clone();
    let origins: Vec<_> = history.as_array().unwrap().iter().map(|plan| &plan["origin"]).collect();
    let origins: Vec<_> =
        origins.iter().map(|o| o.as_str().unwrap().split(' ').next().unwrap()).collect();
    assert_eq!(origins, ["resume", "rollback", "rollback", "watch", "watch", "start"]);
}

#[test]
fn going_back_over_many_new_jobs_must_be_said_with_their_number() {
    let mut world = World::new();
    world.write("jobs.d/jobs.yaml", &jobs(&FEW, "echo 1"));
    world.start();
    world.until("applied manifests", |world| world.sync_state() == "Synced");
    world.save("jobs.d/jobs.yaml", &jobs(&ALL, "echo 1"));
    world.until("new jobs", |world| world.applied("h").is_some());
    let (code, stderr) = said(&world, &["sync", "undo"]);
    assert_eq!(code, Some(5), "{stderr}");
    assert!(stderr.starts_with("error[E0506]: 6 removals are held back"), "{stderr}");
    assert!(world.applied("h").is_some() && world.sync_state() == "Synced", "nothing was done");
    let (code, stderr) = said(&world, &["sync", "undo", "--allow-prune", "6"]);
    assert_eq!((code, scripts(&world).as_str()), (Some(0), "a=1 b=1"), "{stderr}");
}

#[test]
fn jobs_go_over_to_another_source_when_the_settings_name_that_one() {
    let mut world = World::new();
    let job = |name: &str| format!("  {name}:\n    interval: 1h\n    script: echo {name}\n");
    world.write("jobs.d/jobs.yaml", &format!("jobs:\n{}{}", job("a"), job("b")));
    world.start();
    world.until("applied manifests", |world| world.sync_state() == "Synced");
    let before = world.applied("a").unwrap();
    world.stop();

    std::fs::create_dir(world.path("ops")).unwrap();
    world.write("ops/other.yaml", &format!("jobs:\n{}", job("a")));
    world.write("cronwright.toml", "sources = [\"ops\"]\n");
    world.start();
    let is_dropped =
        |world: &mut World| world.ask(&["sync"])["blocked"][0]["blocked"] == "source_dropped";
    world.until("the job that nobody declares", is_dropped);
    let after = world.applied("a").unwrap();
    assert_eq!((&after.uid, &after.anchors), (&before.uid, &before.anchors));
    assert_eq!((after.owner.as_str(), after.source.file.as_str()), ("file:ops", "ops/other.yaml"));
    assert!(world.applied("b").is_some(), "it stays");
    let id = world.ask(&["sync"])["confirm"].as_str().unwrap().to_owned();
    let (code, stderr) = said(&world, &["sync", "confirm", &id]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(world.applied("b").is_none());
    assert_eq!(world.sync_state(), "Synced");
}
