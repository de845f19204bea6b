//! Executions that wait, by the real program (B3, B5): one after the other, across kills, replaced, and on a full node.

use std::fs;

use cronwright::engine::execution::{Cancelled, Outcome, Row, Skipped, State};

use super::harness::{Backend, World};

/// Where executions leave when they begin and end.
const SEEN: &str = "seen";

/// Begins, waits until a file of its number is there, and ends. The number is that of its start.
fn gated() -> String {
    format!(
        "n=$(($(grep -c begin {SEEN} 2>/dev/null) + 1)); echo \"begin $n\" >> {SEEN}; \
         while [ ! -e go-$n ]; do sleep 0.01; done; echo \"end $n\" >> {SEEN}"
    )
}

fn world(backend: Backend, jobs: &str) -> Option<World> {
    let mut world = World::on(backend)?;
    world.save("jobs.d/jobs.yaml", &format!("{}{jobs}", world.head()));
    world.start();
    world.until_synced();
    Some(world)
}

fn seen(world: &World) -> String {
    fs::read_to_string(world.path(SEEN)).unwrap_or_default()
}

fn run(world: &World, job: &str) -> String {
    let told = world.verb(&["run", job]);
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    String::from_utf8(told.stderr).unwrap()
}

/// States and outcomes of the rows of a job, oldest first.
fn states(world: &World, job: &str) -> Vec<String> {
    let said = |row: &Row| match row.outcome() {
        None => row.state.as_str().to_owned(),
        Some(outcome) => match outcome.reason() {
            None => outcome.as_str().to_owned(),
            Some(reason) => format!("{}({reason})", outcome.as_str()),
        },
    };
    let mut rows = world.rows_of(Some(job));
    rows.sort_by_key(|row| row.fire_time);
    rows.iter().map(said).collect()
}

fn queued_runs_one_after_the_other_across_a_kill(backend: Backend) {
    let jobs = format!(
        "  line:\n    triggers: []\n    overlap: queue\n    max_queued: 2\n    script: '{}'\n",
        gated()
    );
    let Some(mut world) = world(backend, &jobs) else { return };
    run(&world, "line");
    world.until("first", |world| seen(world) == "begin 1\n");
    for _ in 0..2 {
        let said = run(&world, "line");
        assert!(said.contains("it waits: `"), "{said}");
    }
    let surplus = world.verb(&["run", "line", "--wait"]);
    assert_eq!(surplus.status.code(), Some(1));
    let said = String::from_utf8(surplus.stderr).unwrap();
    assert!(said.contains("skipped (queue_full)"), "{said}");
    let expected = ["running", "queued", "queued", "skipped(queue_full)"];
    world.until("queue", |world| states(world, "line") == expected);
    let listed = world.ask(&["history", "line"]);
    assert_eq!(listed["executions"][1]["state"], "queued", "{listed}");

    world.kill();
    world.start();
    world.until_it_leads();
    world.until("queue as before", |world| states(world, "line") == expected);
    world.write("go-1", "");
    world.until("second", |world| seen(world) == "begin 1\nend 1\nbegin 2\n");
    // Nobody to see it end.
    world.kill();
    world.write("go-2", "");
    world.until("end of the second", |world| seen(world).ends_with("end 2\n"));
    world.start();
    world.until("third", |world| seen(world).ends_with("end 2\nbegin 3\n"));
    world.write("go-3", "");
    let expected = ["succeeded", "succeeded", "succeeded", "skipped(queue_full)"];
    world.until("end of all", |world| states(world, "line") == expected);
}

#[test]
fn b3_on_sqlite_what_is_queued_runs_one_after_the_other_across_kills() {
    queued_runs_one_after_the_other_across_a_kill(Backend::Sqlite);
}

#[test]
fn b3_on_mongodb_what_is_queued_runs_one_after_the_other_across_kills() {
    queued_runs_one_after_the_other_across_a_kill(Backend::Mongo);
}

#[test]
fn b3_replace_cancels_the_oldest_and_starts_the_newest_when_it_has_ended() {
    let script = "trap \"sleep 0.3; exit 0\" TERM; echo \"begin $CRONWRIGHT_EXECUTION_ID\" >> seen; \
                  exec 2>/dev/null; while [ ! -e go ]; do sleep 0.01; done";
    let jobs =
        format!("  newest:\n    triggers: []\n    overlap: replace\n    script: '{script}'\n");
    let Some(mut world) = world(Backend::Sqlite, &jobs) else { return };
    run(&world, "newest");
    world.until("first", |world| seen(world).lines().count() == 1);
    run(&world, "newest");
    // It waits for the end of the first, and is replaced itself meanwhile.
    run(&world, "newest");
    world.until("last", |world| seen(world).lines().count() == 2);
    world.write("go", "");
    let expected = ["cancelled(replaced)", "skipped(replaced)", "succeeded"];
    world.until("end of all", |world| states(world, "newest") == expected);
    let rows = world.rows_of(Some("newest"));
    let ended = |outcome| rows.iter().find(|row| row.outcome() == Some(outcome)).unwrap();
    let (first, last) = (ended(Outcome::Cancelled(Cancelled::Replaced)), ended(Outcome::Succeeded));
    ended(Outcome::Skipped(Skipped::Replaced));
    let (State::Ended(first), State::Ended(last)) = (&first.state, &last.state) else {
        panic!("both have ended")
    };
    assert!(last.started_at.unwrap() >= first.finished_at, "they ran together");
}

#[test]
fn b5_a_full_node_lets_executions_wait_in_the_order_in_which_they_were_due() {
    let mut world = World::new();
    world.write("cronwright.toml", "max_running = 1\n");
    let jobs: String = ["a", "b", "c"]
        .map(|name| format!("  {name}: {{ triggers: [], script: '{}' }}\n", gated()))
        .concat();
    world.save("jobs.d/jobs.yaml", &format!("{}{jobs}", world.head()));
    world.start();
    world.until_synced();
    run(&world, "a");
    world.until("first", |world| seen(world) == "begin 1\n");
    assert!(run(&world, "b").contains("it waits until there is room on the node"));
    run(&world, "c");
    world.until("two that wait", |world| states(world, "c") == ["queued"]);
    assert_eq!(states(&world, "b"), ["queued"]);

    // One that waits is cancelled without having been started.
    world.verb(&["cancel", "b"]);
    world.until("cancelled", |world| states(world, "b") == ["cancelled(requested)"]);
    world.write("go-1", "");
    world.until("next", |world| seen(world) == "begin 1\nend 1\nbegin 2\n");
    assert_eq!(states(&world, "c"), ["running"]);
    world.write("go-2", "");
    world.until("end of all", |world| states(world, "c") == ["succeeded"]);
}

#[test]
fn d4_what_waits_ends_when_its_job_is_removed() {
    let jobs = format!(
        "  line:\n    triggers: []\n    overlap: queue\n    script: '{}'\n  other: {{ triggers: [], script: 'true' }}\n",
        gated()
    );
    let Some(mut world) = world(Backend::Sqlite, &jobs) else { return };
    run(&world, "line");
    world.until("first", |world| seen(world) == "begin 1\n");
    run(&world, "line");
    world.until("queue", |world| states(world, "line") == ["running", "queued"]);
    world.save(
        "jobs.d/jobs.yaml",
        &format!("{}  other: {{ triggers: [], script: 'true' }}\n", world.head()),
    );
    world.until_synced();
    world.until("end of what waited", |world| {
        states(world, "line") == ["running", "skipped(removed)"]
    });
    world.write("go-1", "");
    world.until("end", |world| states(world, "line") == ["succeeded", "skipped(removed)"]);
}
