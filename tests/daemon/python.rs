//! Classes in Python, through the real program: found, checked, called, and what the calls came to.

use serde_json::{Value, json};
use snapbox::assert_data_eq;

use super::harness::World;

const SETTINGS: &str = "[python]\nroot = \"tasks\"\n";

/// The shape of the seed's own example task.
const TEST: &str = r#"import datetime
import os
import time


class Test:

    def __init__(self, name: str, age: int, flag: bool = False):
        self.name = name
        self.age = age
        self.flag = flag

    def main(self) -> str:
        print("name:", self.name, "age:", self.age, "flag:", self.flag)
        return f"{self.name} is {self.age}"


class Raising(Test):

    def main(self):
        raise ValueError(f"no {self.name}")


class Waiting(Test):

    def main(self):
        open("begun", "w").close()
        while not os.path.exists("released"):
            time.sleep(0.01)
        return "released"
"#;

impl World {
    /// A world with the seed's folder of tasks, and these jobs.
    fn with_tasks(jobs: &[(&str, &str)]) -> Self {
        let world = Self::new();
        std::fs::create_dir_all(world.path("tasks/test")).unwrap();
        world.write("tasks/__init__.py", "");
        world.write("tasks/test/__init__.py", "");
        world.write("tasks/test/main.py", TEST);
        world.write("cronwright.toml", SETTINGS);
        world.save_calls(jobs);
        world
    }

    fn save_calls(&self, jobs: &[(&str, &str)]) {
        let job =
            |(name, rest): &(&str, &str)| format!("  {name}:\n    triggers: []\n    {rest}\n");
        let jobs: String = jobs.iter().map(job).collect();
        self.save("jobs.d/jobs.yaml", &format!("jobs:\n{jobs}"));
    }

    fn validated(&self) -> String {
        let output = self.verb(&["validate"]);
        String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr)
    }
}

#[test]
fn the_seeds_folder_of_tasks_works_as_it_is() {
    let mut world = World::with_tasks(&[
        ("kinit-demo", "class: test.main.Test(\"kinit\", 1314, True)"),
        ("raising", "class: test.main.Raising('luck', 7)"),
    ]);
    world.start();
    world.until_synced();

    let row = world.runs("kinit-demo");
    assert_eq!(row["outcome"], "succeeded", "{row}");
    assert_eq!((&row["result"], &row["exception"]), (&json!("kinit is 1314"), &Value::Null));
    assert!(row["duration_seconds"].as_f64().unwrap() > 0.0);
    let logs = world.verb(&["logs", "kinit-demo"]);
    assert_eq!(String::from_utf8(logs.stdout).unwrap(), "name: kinit age: 1314 flag: True\n");

    let row = world.runs("raising");
    assert_eq!((&row["outcome"], &row["reason"]), (&json!("failed"), &json!("exception")));
    let exception = &row["exception"];
    assert_eq!(
        (&exception["type"], &exception["message"]),
        (&json!("ValueError"), &json!("no luck"))
    );
    let traceback = exception["traceback"].as_str().unwrap();
    assert!(traceback.contains("tasks/test/main.py\", line 21, in main"), "{traceback}");
    assert_eq!(row["result"], Value::Null);
}

#[test]
fn a_call_survives_the_daemon_and_its_end_is_recorded() {
    let mut world = World::with_tasks(&[("waiting", "class: test.main.Waiting('x', 1)")]);
    world.start();
    world.until_synced();
    assert!(world.verb(&["run", "waiting"]).status.success());
    world.until("begun call", |world| world.path("begun").exists());
    world.kill();
    world.write("released", "");
    world.start();
    let row = world.until_ended("waiting");
    assert_eq!(
        (&row["outcome"], &row["result"]),
        (&json!("succeeded"), &json!("released")),
        "{row}"
    );
}

#[test]
fn a_call_that_takes_too_long_is_ended_alone() {
    let mut world = World::with_tasks(&[
        ("waiting", "class: test.main.Waiting('x', 1)\n    timeout: 1s"),
        ("other", "class: test.main.Test('x', 1)"),
    ]);
    world.start();
    world.until_synced();
    let row = world.runs("waiting");
    assert_eq!(
        (&row["outcome"], &row["reason"]),
        (&json!("timed_out"), &json!("attempt")),
        "{row}"
    );
    assert_eq!(world.runs("other")["outcome"], "succeeded");
}

#[test]
fn a_class_that_is_not_there_holds_its_manifest_back_until_it_is() {
    let mut world = World::with_tasks(&[("a", "class: test.main.Test('x', 1)")]);
    world.start();
    world.until_synced();
    let before = world.applied("a").unwrap();
    world.save_calls(&[("a", "class: test.later.Later('x')")]);
    world.until("complaint", |world| world.sync_state() == "Degraded");
    assert!(world.ask(&["sync"]).to_string().contains("E0319"));
    assert_eq!(world.applied("a"), Some(before));
    assert_eq!(world.runs("a")["result"], "x is 1");

    world.write("tasks/test/later.py", "from tasks.test.main import Test\nclass Later(Test):\n  def __init__(self, name): super().__init__(name, 2)\n  def main(self): return [self.age]\n");
    assert!(world.verb(&["apply"]).status.success());
    world.until_synced();
    assert_eq!(world.runs("a")["result"], json!([2]));
}

#[test]
fn what_is_wrong_with_a_call_is_shown_at_its_place() {
    let world = World::with_tasks(&[
        ("missing", "class: test.main.Test('x')"),
        ("surplus", "class: test.main.Test('x', 1, True, 4)"),
        ("misnamed", "class: test.main.Test('x', 1, flags=True)"),
        ("unknown", "class: test.main.Tset('x', 1)"),
        ("imported", "class: test.main.os('x')"),
        ("no-call", "class: test.main.Test('x', 1"),
    ]);
    assert_data_eq!(world.validated(), snapbox::file!["python.txt"].raw());
}
