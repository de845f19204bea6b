//! What the daemon stands on goes away: the store, or the daemon itself.

use std::time::Duration;

use cronwright::engine::execution::{Failed, Missed, Outcome, Row, Skipped};
use cronwright::io::store::document::JobDocument;

use super::harness::World;
use super::oracle::{self, leaving_evidence};
use crate::support::servers::{self, End, Mongod};

/// How long the store is away.
const AWAY: Duration = Duration::from_secs(5);

/// Two jobs due every second: one catches up, one gives up after a second.
fn jobs(world: &World, enabled: bool) -> String {
    let mut text = world.head();
    for (name, grace) in [("allow-late", "1h"), ("allow-no-delay", "1s")] {
        let script = leaving_evidence("true");
        text += &format!(
            "  {name}:\n    cron: \"* * * * * *\"\n    overlap: allow\n    enabled: {enabled}\n    \
             misfire: {{ grace_time: {grace} }}\n    script: |\n      {script}\n"
        );
    }
    text
}

/// How many occurrences of a job ended so.
fn count(world: &World, job: &str, outcome: Outcome) -> u64 {
    let rows = world.rows_of(Some(job));
    let such = rows.iter().filter(|row| row.outcome() == Some(outcome));
    such.map(|row| row.range.map_or(1, |range| range.count)).sum()
}

#[test]
fn a_store_that_goes_away_and_comes_back_leaves_each_due_time_one_record() {
    let Some(mut mongod) = Mongod::start() else { return };
    let mut world = World::on_mongod(&mongod);
    world.save("jobs.d/jobs.yaml", &jobs(&world, true));
    world.start();
    world.until_caught_up();
    let pid = world.pid();
    mongod.end(End::Stop);
    world.until("complaint", |world| world.ask(&["status"])["store"]["connected"] == false);
    // The length of the outage is what is tested.
    std::thread::sleep(AWAY);
    mongod.start_again();
    world.until_caught_up();
    assert_eq!((world.lives(), world.pid()), (true, pid));

    world.save("jobs.d/jobs.yaml", &jobs(&world, false));
    world.until("quiet ledger", |world| {
        let contents = world.contents();
        let off = |job: &JobDocument| job.spec["enabled"] == false;
        contents.jobs.len() == 2 && contents.jobs.iter().all(off) && contents.in_flight.is_empty()
    });
    world.stop();
    let (faults, counts) = oracle::verify(&world);
    println!("away for {AWAY:?}: {counts}");
    assert!(faults.is_empty(), "{}\n{}", faults.join("\n"), world.log_tail());
    let coalesced = count(&world, "allow-late", Outcome::Skipped(Skipped::Coalesced));
    let missed = count(&world, "allow-no-delay", Outcome::Missed(Missed::Outage));
    assert!(coalesced >= 4 && missed >= 4, "{coalesced} coalesced, {missed} missed: {counts}");
}

#[test]
fn a_job_whose_daemon_is_killed_ends_with_its_own_outcome() {
    let mut world = World::new();
    let task = "    triggers: []\n    script: |\n      touch running\n      \
                while [ ! -e gate ]; do sleep 0.02; done\n      exit 3\n";
    world.save("jobs.d/jobs.yaml", &format!("{}  long:\n{task}", world.head()));
    world.start();
    world.until("job", |world| world.applied("long").is_some());
    assert!(world.verb(&["run", "long"]).status.success());
    world.until("process", |world| world.path("running").exists());
    world.kill();
    world.write("gate", "");
    world.until("end of the process", |world| world.processes_of_jobs().is_empty());
    world.start();
    world.until("ending", |world| world.rows().iter().all(|row| !row.in_flight()));
    let outcomes: Vec<_> = world.rows().iter().map(Row::outcome).collect();
    assert_eq!(outcomes, [Some(Outcome::Failed(Failed::Exit))], "{}", world.log_tail());
}

#[test]
fn of_two_daemons_under_one_node_name_the_earlier_one_leaves() {
    let Some(mongod) = servers::mongod() else { return };
    let mut earlier = World::on_mongod(mongod);
    earlier.start();
    earlier.until_it_leads();
    let mut later = World::beside(&earlier);
    later.start();
    let status = earlier.ended();
    assert_eq!(status.code(), Some(5), "{}", earlier.log_tail());
    let log = earlier.log_tail();
    assert!(log.contains("another daemon has taken this one's place"), "{log}");
    later.until_it_leads();
    assert!(later.lives());
}

#[test]
fn a_second_daemon_on_the_same_file_is_told_who_holds_it() {
    let mut world = World::new();
    world.start();
    world.until_it_leads();
    let store = format!("sqlite:{}", world.path(".cronwright/cronwright.db").display());
    let mut second = world.command(&["serve", "--store", &store]);
    let second = second.env("CRONWRIGHT_STATE_DIR", world.path("other-state")).output().unwrap();
    let complaint = String::from_utf8(second.stderr).unwrap();
    assert_eq!(second.status.code(), Some(5), "{complaint}");
    let holder = format!("process {}", world.pid());
    assert!(complaint.contains("is held by") && complaint.contains(&holder), "{complaint}");
    assert!(world.lives());
}
