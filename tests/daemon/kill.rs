//! Killed at each named step, and at random: each due time has one record, nothing is started twice,
//! no process is left.

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use cronwright::daemon::failpoint::FAILPOINTS;
use cronwright::engine::execution::Outcome;
use cronwright::io::store::document::JobDocument;
use rustix::process::Signal;

use super::harness::{Backend, World};
use super::oracle::{self, leaving_evidence};

/// How often the daemon is killed at random.
const KILLS: u64 = 50;
/// The moments of a kill, in milliseconds after the start.
const KILL_AFTER_MS: std::ops::Range<u64> = 50..900;
/// One restart in so many finds an edited manifest.
const EDIT_EVERY: u64 = 5;

/// Two jobs that are due every second: one that never runs beside itself, one that may. They take
/// between nothing and two seconds, by the second at which they are due.
fn jobs(world: &World, edit: usize, enabled: bool) -> String {
    let script =
        |work: &str| leaving_evidence(&format!("case $CRONWRIGHT_SCHEDULED_TIME in {work} esac"));
    let skip = script("*[07]Z) sleep 2;; *[369]Z) sleep 1;; *[15]Z) sleep 0.4;;");
    let allow = script("*[05]Z) sleep 2;; *[28]Z) sleep 1;;");
    let mut text = world.head();
    for (name, overlap, script) in [("skipping", "skip", skip), ("allowing", "allow", allow)] {
        text += &format!(
            "  {name}:\n    description: edit {edit}\n    enabled: {enabled}\n    \
             overlap: {overlap}\n    cron: \"* * * * * *\"\n    script: |\n      {script}\n"
        );
    }
    text
}

/// Declares the jobs off, waits for what runs, and asks the oracle.
fn finish(world: &mut World, what: &str, edits: usize) {
    world.save("jobs.d/jobs.yaml", &jobs(world, edits, false));
    if !world.is_started() {
        world.start();
    }
    world.until("quiet ledger", |world| {
        let contents = world.contents();
        let off = |job: &JobDocument| job.spec["enabled"] == false;
        contents.jobs.len() == 2 && contents.jobs.iter().all(off) && contents.in_flight.is_empty()
    });
    world.stop();
    world.end_supervisor();
    world.until("end of all processes", |world| world.processes_of_jobs().is_empty());
    let (faults, counts) = oracle::verify(world);
    println!("{what}: {counts}");
    assert!(faults.is_empty(), "{}\n{}", faults.join("\n"), world.log_tail());
}

fn killed_at_each_step(backend: Backend) {
    let Some(mut world) = World::on(backend) else { return };
    for (edit, name) in FAILPOINTS.iter().enumerate() {
        // There is one recovery and, because of the edit, one plan; of the others there are many.
        let nth = if name.contains("plan") || name.contains("recovered") { 1 } else { 3 };
        world.save("jobs.d/jobs.yaml", &jobs(&world, edit, true));
        world.start_armed(&format!("{name}={nth}"));
        let status = world.ended();
        assert_eq!(status.signal(), Some(Signal::KILL.as_raw()), "{name}: {status:?}");
        world.start();
        world.until_caught_up();
        world.stop();
    }
    finish(&mut world, &format!("{backend:?}, killed at each step"), FAILPOINTS.len());
}

fn killed_at_random(backend: Backend, seed: u64) {
    let Some(mut world) = World::on(backend) else { return };
    println!("seed {seed}");
    let mut chance = seed;
    let mut edits = 0;
    world.save("jobs.d/jobs.yaml", &jobs(&world, edits, true));
    for kill in 0..KILLS {
        if kill % EDIT_EVERY == EDIT_EVERY - 1 {
            edits += 1;
            world.save("jobs.d/jobs.yaml", &jobs(&world, edits, true));
        }
        world.start();
        if kill % 2 == 1 {
            // However slow the machine is, half of the kills meet a daemon that works.
            world.until_it_leads();
        }
        // The moment of the kill is what is tested: nothing is waited for.
        std::thread::sleep(moment(&mut chance));
        world.kill();
    }
    world.start();
    world.until_caught_up();
    finish(&mut world, &format!("{backend:?}, killed {KILLS} times"), edits + 1);
}

/// The next moment of a kill (`SplitMix64`).
fn moment(chance: &mut u64) -> Duration {
    *chance = chance.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *chance;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    let length = KILL_AFTER_MS.end - KILL_AFTER_MS.start;
    Duration::from_millis(KILL_AFTER_MS.start + (z ^ (z >> 31)) % length)
}

#[test]
fn the_oracle_finds_a_second_start_and_a_missing_row() {
    let mut world = World::new();
    world.save("jobs.d/jobs.yaml", &jobs(&world, 0, true));
    world.start();
    world.until("rows", |world| world.rows().len() >= 4);
    finish(&mut world, "left alone", 1);
    let rows = world.rows();
    let ran = rows.iter().find(|row| row.outcome() == Some(Outcome::Succeeded)).unwrap();

    let path = world.path(oracle::EVIDENCE);
    let evidence = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("{evidence}start {}\n", ran.id)).unwrap();
    let (faults, _) = oracle::verify(&world);
    assert_eq!(faults, [format!("{} was started 2 times", ran.id)]);

    std::fs::write(&path, evidence).unwrap();
    let ledger = rusqlite::Connection::open(world.path(".cronwright/cronwright.db")).unwrap();
    ledger.execute("DELETE FROM executions WHERE id = ?1", [ran.id.as_str()]).unwrap();
    let (faults, _) = oracle::verify(&world);
    assert_eq!(faults.len(), 2, "{faults:?}");
    assert!(faults[0].ends_with("has no row"), "{faults:?}");
    assert_eq!(faults[1], format!("{} was started and has no row", ran.id));
}

#[test]
fn on_sqlite_a_kill_at_each_step_leaves_one_record_of_each_due_time() {
    killed_at_each_step(Backend::Sqlite);
}

#[test]
fn on_mongodb_a_kill_at_each_step_leaves_one_record_of_each_due_time() {
    killed_at_each_step(Backend::Mongo);
}

#[test]
fn on_sqlite_fifty_kills_at_random_leave_one_record_of_each_due_time() {
    killed_at_random(Backend::Sqlite, 1);
}

#[test]
fn on_mongodb_fifty_kills_at_random_leave_one_record_of_each_due_time() {
    killed_at_random(Backend::Mongo, 2);
}
