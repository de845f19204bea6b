//! Retries by the real program (C3): attempts that fail, waits that outlive the daemon, and what ends them.

use std::fs;

use cronwright::engine::execution::{Cancelled, Failed, Outcome, Row, State};

use super::harness::World;

/// Where attempts leave their number.
const SEEN: &str = "seen";

/// A job that runs on request, says which attempt it is, and succeeds in its third.
fn third_time(retry: &str) -> String {
    let script = format!(
        "echo \"$CRONWRIGHT_ATTEMPT $CRONWRIGHT_EXECUTION_ID\" >> {SEEN}; echo out; \
         test $CRONWRIGHT_ATTEMPT -ge 3"
    );
    format!("  again:\n    retry: {retry}\n    script: '{script}'\n")
}

fn declare(world: &World, jobs: &str) {
    world.save("jobs.d/a.yaml", &format!("{}{jobs}", world.head()));
}

/// A world with that job, which was asked to run once; and the id of the execution.
fn asked(retry: &str) -> (World, String) {
    let mut world = World::new();
    declare(&world, &third_time(retry));
    world.start();
    world.until("job", |world| world.applied("again").is_some());
    world.until("start", |world| world.verb(&["run", "again"]).status.success());
    let id = world.rows()[0].id.to_string();
    (world, id)
}

fn until_row(world: &mut World, what: &str, is_so: impl Fn(&Row) -> bool) -> Row {
    let mut found = None;
    world.until(what, |world| {
        found = world.rows().into_iter().find(&is_so);
        found.is_some()
    });
    found.unwrap()
}

fn waits(row: &Row) -> bool {
    matches!(row.state, State::RetryWait { .. })
}

fn seen(world: &World) -> Vec<String> {
    let text = fs::read_to_string(world.path(SEEN)).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn c3_a_job_that_fails_twice_and_then_succeeds_is_one_execution_of_three_attempts() {
    let (mut world, id) = asked("{ limit: 3, delay: 50ms, jitter: 0 }");
    let row = until_row(&mut world, "end", |row| row.outcome().is_some());
    assert_eq!(row.outcome(), Some(Outcome::Succeeded));
    let outcomes: Vec<Outcome> = row.attempts.iter().map(|attempt| attempt.outcome).collect();
    assert_eq!(outcomes, [Outcome::Failed(Failed::Exit); 2]);
    assert_eq!(seen(&world), [1, 2, 3].map(|attempt| format!("{attempt} {id}")));
    let told = &world.ask(&["history", "again"])["executions"][0];
    let words: Vec<&str> = told["attempt_list"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|attempt| attempt["outcome"].as_str())
        .collect();
    assert_eq!(
        (told["attempts"].as_u64(), words),
        (Some(3), vec!["failed", "failed", "succeeded"])
    );
}

#[test]
fn c2_c3_a_wait_outlives_a_killed_daemon_and_an_edit() {
    let (mut world, id) = asked("{ limit: 2, delay: 2s, jitter: 0 }");
    until_row(&mut world, "wait", waits);
    world.kill();
    declare(&world, "  again:\n    script: 'echo edited >> seen'\n");
    world.start();
    let row = until_row(&mut world, "end", |row| row.outcome().is_some());
    assert_eq!((row.outcome(), row.attempt()), (Some(Outcome::Succeeded), 3));
    assert_eq!(seen(&world), [1, 2, 3].map(|attempt| format!("{attempt} {id}")));
}

#[test]
fn c5_an_execution_that_waits_is_cancelled_and_keeps_what_its_attempt_printed() {
    let (mut world, id) = asked("{ limit: 1, delay: 1h }");
    until_row(&mut world, "wait", waits);
    let history = String::from_utf8(world.verb(&["history"]).stdout).unwrap();
    assert!(history.contains("retry_wait, attempt 2 next"), "{history}");
    assert!(world.verb(&["cancel", &id]).status.success());
    let row = until_row(&mut world, "end", |row| row.outcome().is_some());
    assert_eq!(row.outcome(), Some(Outcome::Cancelled(Cancelled::Requested)));
    let State::Ended(ending) = &row.state else { panic!("{row:?}") };
    assert_eq!(ending.output.head, b"out\n");
    assert_eq!(seen(&world).len(), 1);
    assert!(world.contents().in_flight.is_empty());
}

#[test]
fn d4_a_removed_job_gets_no_further_attempt() {
    let (mut world, _) = asked("{ limit: 1, delay: 1h }");
    until_row(&mut world, "wait", waits);
    declare(&world, "  other:\n    script: 'true'\n");
    world.until("removal", |world| {
        world.ask(&["apply"]);
        world.applied("again").is_none()
    });
    let row = until_row(&mut world, "end", |row| row.outcome().is_some());
    assert_eq!(row.outcome(), Some(Outcome::Failed(Failed::Exit)));
    assert_eq!(seen(&world).len(), 1);
}

#[test]
fn c3_total_timeout_ends_the_attempt_that_outlasts_it() {
    let mut world = World::new();
    declare(&world, "  long:\n    total_timeout: 300ms\n    retry: 3\n    script: 'sleep 600'\n");
    world.start();
    world.until("job", |world| world.applied("long").is_some());
    world.until("start", |world| world.verb(&["run", "long"]).status.success());
    let row = until_row(&mut world, "end", |row| row.outcome().is_some());
    let outcome = row.outcome().map(|outcome| (outcome.as_str(), outcome.reason()));
    assert_eq!((outcome, row.attempt()), (Some(("timed_out", Some("total"))), 1));
}

fn outcomes(row: &Row) -> Vec<&'static str> {
    row.attempts.iter().map(|attempt| attempt.outcome.as_str()).collect()
}

#[test]
fn c4_a_lost_attempt_is_followed_by_another_where_the_job_asks_for_it() {
    let mut world = World::new();
    let script =
        format!("echo $CRONWRIGHT_ATTEMPT >> {SEEN}; test $CRONWRIGHT_ATTEMPT -ge 3 || sleep 600");
    let job = format!(
        "  again:\n    on_lost: retry\n    retry: {{ limit: 5, delay: 10ms }}\n    script: '{script}'\n"
    );
    declare(&world, &job);
    world.start();
    world.until("job", |world| world.applied("again").is_some());
    world.until("start", |world| world.verb(&["run", "again"]).status.success());
    let begun = |world: &World| fs::read_to_string(world.path(SEEN)).unwrap_or_default();
    world.until("first attempt", |world| begun(world) == "1\n");
    world.kill_supervisor();
    world.until("second attempt", |world| begun(world) == "1\n2\n");
    // Nobody is left who would know how it ends.
    world.kill();
    world.kill_supervisor();
    world.start();
    let row = until_row(&mut world, "end", |row| row.outcome().is_some());
    assert_eq!((row.outcome(), outcomes(&row)), (Some(Outcome::Succeeded), vec!["lost"; 2]));
    assert_eq!(begun(&world), "1\n2\n3\n");
}

#[test]
fn c4_a_job_that_kills_its_parent_is_lost_after_its_third_attempt() {
    let mut world = World::new();
    let script = format!("echo $CRONWRIGHT_ATTEMPT >> {SEEN}; kill -9 $PPID; sleep 600");
    let job = format!(
        "  killer:\n    on_lost: retry\n    retry: {{ limit: 9, delay: 10ms }}\n    script: '{script}'\n"
    );
    declare(&world, &job);
    world.start();
    world.until("job", |world| world.applied("killer").is_some());
    world.until("start", |world| world.verb(&["run", "killer"]).status.success());
    let row = until_row(&mut world, "end", |row| row.outcome().is_some());
    assert_eq!((row.outcome(), outcomes(&row)), (Some(Outcome::Lost), vec!["lost"; 2]));
    assert_eq!(seen(&world), ["1", "2", "3"]);
    world.until("end of their processes", |world| world.processes_of_jobs().is_empty());
}
