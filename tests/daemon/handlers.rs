//! Handlers that are compiled into a program of one's own, `examples/handlers.rs`: checked, called, ended.

use cronwright::engine::execution::{Cancelled, Outcome};
use serde_json::{Value, json};

use super::harness::World;

const JOBS: &str = r#"
jobs:
  report: { triggers: [], class: 'reports.daily.Report("sales", 7, lang="zh")' }
  empty: { triggers: [], class: 'reports.daily.Report("sales", 0)' }
  sweep: { triggers: [], class: { path: house.Sweep, args: [1000], runtime: rust }, kill_grace: 5s }
  short: { triggers: [], class: house.Sweep(1000), timeout: 1s }
"#;

fn world(jobs: &str) -> World {
    let world = World::of_example("handlers");
    world.write("jobs.d/jobs.yaml", jobs);
    world
}

fn served() -> World {
    let mut world = world(JOBS);
    world.start();
    world.until_synced();
    world
}

impl World {
    fn until_it_sweeps(&mut self) -> String {
        assert!(self.verb(&["run", "sweep"]).status.success());
        self.until("first line", |world| {
            String::from_utf8_lossy(&world.verb(&["logs", "sweep"]).stdout).contains("room 1")
        });
        self.rows_of(Some("sweep")).last().unwrap().id.to_string()
    }
}

#[test]
fn what_a_handler_does_is_in_its_row() {
    let mut world = served();
    let row = world.runs("report");
    assert_eq!(row["outcome"], "succeeded", "{row}");
    assert_eq!(row["result"], json!({ "title": "sales (zh)", "rows": 168 }));
    let logs = world.verb(&["logs", "report"]);
    assert!(String::from_utf8_lossy(&logs.stdout).starts_with("sales, the last 7 days, as of 2"));

    let row = world.runs("empty");
    assert_eq!((&row["outcome"], &row["reason"]), (&json!("failed"), &json!("exception")), "{row}");
    assert_eq!(
        (&row["exception"]["type"], &row["exception"]["message"], &row["result"]),
        (&json!("handlers::ReportError"), &json!("a report needs a day at least"), &Value::Null)
    );

    let row = world.runs("short");
    assert_eq!(
        (&row["outcome"], &row["reason"]),
        (&json!("timed_out"), &json!("attempt")),
        "{row}"
    );
}

#[test]
fn a_call_is_seen_while_it_runs_and_ends_on_request() {
    let mut world = served();
    let id = world.until_it_sweeps();
    assert!(world.verb(&["cancel", &id]).status.success());
    let row = world.until_ended("sweep");
    assert_eq!(
        (&row["outcome"], &row["reason"]),
        (&json!("cancelled"), &json!("requested")),
        "{row}"
    );
    let logs = world.verb(&["logs", "sweep"]);
    assert!(String::from_utf8_lossy(&logs.stdout).ends_with("leaves early\n"));
}

#[test]
fn handlers_end_with_the_daemon_and_their_rows_say_so() {
    let mut world = served();
    world.until_it_sweeps();
    world.stop();
    let outcome = |world: &World| world.rows_of(Some("sweep")).last().unwrap().outcome();
    assert_eq!(outcome(&world), Some(Outcome::Cancelled(Cancelled::Shutdown)));

    world.start();
    world.until_synced();
    world.until_it_sweeps();
    world.kill();
    world.start();
    world.until("lost row", |world| outcome(world) == Some(Outcome::Lost));
}

#[test]
fn a_call_that_does_not_fit_is_an_error_of_the_manifest() {
    let world = world(
        r#"
jobs:
  a: { triggers: [], class: 'reports.daily.Report("sales", "7")' }
  b: { triggers: [], class: { path: house.Sweep, args: [1], kwargs: { rooms: 2 } } }
  c: { triggers: [], class: { path: house.Swep, runtime: rust } }
  d: { triggers: [], class: { path: "a b" } }
  e: { triggers: [], class: { path: house.Sweep, args: ["${env.X}"] } }
  f: { triggers: [], class: { path: house.Sweep, args: [1] }, user: nobody, limits: { memory: 1GiB, pids: 9, files: 64 } }
"#,
    );
    let output = world.verb(&["validate"]);
    assert!(!output.status.success());
    snapbox::assert_data_eq!(
        String::from_utf8(output.stdout).unwrap(),
        snapbox::file!["handlers.validate.txt"]
    );
    let found = world.ask(&["exec", "a"]);
    assert_eq!(found, Value::Null);
}

#[test]
fn exec_calls_a_handler_in_its_own_process() {
    let world = world(JOBS);
    let row = world.ask(&["exec", "report"]);
    assert_eq!(row["execution"]["result"]["rows"], 168, "{row}");
    assert_eq!(world.ask(&["exec", "short"])["execution"]["outcome"], "timed_out");
}
