//! The store edited by hand, under a real daemon: the copy of the jobs is mended or told of, and what somebody
//! wrote there is never executed.

use mongodb::bson::{Document, doc};

use super::harness::{Backend, World};

/// A job that runs each second, and two that only stand there.
const JOBS: &str = "jobs:
  a:
    interval: 1s
    script: echo good >> ran
  b:
    triggers: []
    script: echo b
  c:
    triggers: []
    script: echo c
";

/// Edits `a`, deletes `b` and inserts `x`, in one go.
fn edit(world: &World, backend: Backend, uid: &str) {
    match backend {
        Backend::Sqlite => {
            let path = world.path(".cronwright/cronwright.db");
            let connection = rusqlite::Connection::open(path).unwrap();
            let edits = format!(
                "BEGIN IMMEDIATE;
                 INSERT INTO jobs SELECT '{uid}', 'x', 1, json_set(doc, '$.name', 'x', '$._id', '{uid}')
                   FROM jobs WHERE name = 'c' AND json_extract(doc, '$.removed_at') IS NULL;
                 UPDATE jobs SET doc = json_set(doc, '$.spec.script', 'echo evil >> ran')
                   WHERE name = 'a';
                 DELETE FROM jobs WHERE name = 'b';
                 COMMIT"
            );
            connection.execute_batch(&edits).unwrap();
        }
        Backend::Mongo => world.on_database_of(async |database| {
            let jobs = database.collection::<Document>("jobs");
            let mut copy = jobs.find_one(doc! { "name": "c" }).await.unwrap().unwrap();
            copy.remove("generation");
            copy.extend(doc! { "_id": uid, "name": "x" });
            jobs.insert_one(copy).await.unwrap();
            let evil = doc! { "$set": { "spec.script": "echo evil >> ran" } };
            jobs.update_one(doc! { "name": "a" }, evil).await.unwrap();
            jobs.delete_one(doc! { "name": "b" }).await.unwrap();
        }),
    }
}

fn world(backend: Backend, settings: &str) -> Option<World> {
    let mut world = World::on(backend)?;
    world.write("cronwright.toml", settings);
    world.write("jobs.d/jobs.yaml", JOBS);
    world.start();
    world.until("applied manifests", |world| world.sync_state() == "Synced");
    Some(world)
}

/// The stored jobs: name and script of those that are not removed.
fn stored(world: &World) -> String {
    let mut jobs: Vec<String> = world
        .contents()
        .jobs
        .into_iter()
        .filter(|job| job.removed_at.is_none())
        .map(|job| format!("{}: {}", job.name, job.spec["script"].as_str().unwrap()))
        .collect();
    jobs.sort();
    jobs.join(", ")
}

const GOOD: &str = "a: echo good >> ran, b: echo b, c: echo c";

/// Lets `a` run once more, and looks that it has only ever run as it was declared.
fn runs_as_declared(world: &mut World) {
    let before = world.rows_of(Some("a")).len();
    world.until("another run of a", |world| world.rows_of(Some("a")).len() > before + 1);
    let ran = std::fs::read_to_string(world.path("ran")).unwrap();
    assert!(ran.lines().all(|line| line == "good"), "{ran}");
}

fn is_mended(backend: Backend) {
    let Some(mut world) = world(backend, "") else { return };
    let (phase, uid) = (world.applied("a").unwrap().effective_at, world.applied("a").unwrap().uid);
    edit(&world, backend, "x-1");
    // Asked for, so that the test need not wait for the next look.
    assert!(world.verb(&["apply"]).status.success());
    world.until("mended copy", |world| stored(world) == GOOD);
    let sync = world.ask(&["sync"]);
    assert_eq!((&sync["state"], &sync["mended"]["jobs"]), (&"Synced".into(), &3.into()), "{sync}");
    let newest = world.ask(&["sync", "history", "--limit", "1"])["plans"][0].clone();
    assert_eq!(newest["origin"], "drift");
    let mended = world.applied("a").unwrap();
    assert_eq!((mended.effective_at, mended.uid), (phase, uid), "the job has not felt it");
    // A second look writes nothing.
    assert!(world.verb(&["apply"]).status.success());
    assert_eq!(world.ask(&["sync", "history", "--limit", "1"])["plans"][0], newest);
    runs_as_declared(&mut world);

    // While the daemon is down.
    world.stop();
    edit(&world, backend, "x-2");
    world.start();
    world.until("mended copy", |world| stored(world) == GOOD);
    runs_as_declared(&mut world);
}

#[test]
fn drift_on_sqlite_is_mended_and_never_runs() {
    is_mended(Backend::Sqlite);
}

#[test]
fn drift_on_mongodb_is_mended_and_never_runs() {
    is_mended(Backend::Mongo);
}

#[test]
fn drift_is_told_of_where_the_settings_say_so() {
    let Some(mut world) = world(Backend::Sqlite, "self_heal = \"report\"\n") else { return };
    edit(&world, Backend::Sqlite, "x-1");
    assert!(world.verb(&["apply"]).status.success());
    world.until("a report", |world| world.sync_state() == "Degraded");
    let drift = world.ask(&["sync"])["drift"].clone();
    let told: Vec<String> = drift
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| format!("{} {} {}", entry["job"], entry["kind"], entry["fields"]))
        .collect();
    assert_eq!(told, [r#""a" "changed" ["spec"]"#, r#""b" "missing" []"#, r#""x" "unknown" []"#]);
    assert_ne!(stored(&world), GOOD, "nothing is written");
    runs_as_declared(&mut world);
}
