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

/// What calls do to the process that may be kept for others.
const KEPT: &str = r#"import os
import subprocess
import sys
import threading
import time

CALLS = 0


class Seen:

    def main(self):
        global CALLS
        CALLS += 1
        return [os.getpid(), CALLS, os.environ.get("SECRET"), os.environ.get("LEFT")]


class Act:

    def __init__(self, what):
        self.what = what

    def main(self):
        getattr(self, self.what)()
        return os.getpid()

    def exits(self):
        sys.exit(3)

    def crashes(self):
        os.kill(os.getpid(), 11)

    def recurses(self):
        self.recurses()

    def waits(self):
        time.sleep(600)

    def sets(self):
        os.environ["LEFT"] = "here"

    def grows(self):
        Act.block = b"x" * (200 << 20)

    def threads(self):
        threading.Thread(target=time.sleep, args=(0.2,)).start()

    def children(self):
        subprocess.Popen(["sleep", "600"])

    def floods(self):
        sys.stdout.write("f" * 3_000_000)


class Meeting:

    def __init__(self, own, other):
        self.own, self.other = own, other

    def main(self):
        open(self.own, "w").close()
        while not os.path.exists(self.other):
            time.sleep(0.01)
        return os.getpid()
"#;

impl World {
    /// A world with classes that do things to their process.
    fn with_kept(jobs: &[(&str, &str)]) -> Self {
        let world = Self::with_tasks(&[]);
        world.write("tasks/test/kept.py", KEPT);
        world.save_calls(jobs);
        world
    }

    /// What `Seen` saw: pid, calls, secret, variable.
    fn seen(&mut self, job: &str) -> [Value; 4] {
        let row = self.runs(job);
        serde_json::from_value(row["result"].clone()).unwrap_or_else(|_| panic!("{row}"))
    }

    /// The process that is kept. The first call may have met files that had just been written.
    fn kept_pid(&mut self) -> Value {
        self.runs("seen");
        self.seen("seen")[0].clone()
    }

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

const SEEN: (&str, &str) = ("seen", "class: test.kept.Seen()");

#[test]
fn a_process_is_kept_for_the_next_call_and_sees_nothing_of_the_former() {
    let mut world = World::with_kept(&[SEEN, ("sets", "class: test.kept.Act('sets')")]);
    world.start();
    world.until_synced();
    let pid = world.kept_pid();
    assert_eq!(world.runs("sets")["result"], pid);
    let [same, calls, secret, left] = world.seen("seen");
    assert_eq!(same, pid);
    assert!(calls.as_u64().unwrap() >= 2, "modules stay loaded");
    assert_eq!((secret, left), (Value::Null, Value::Null));
}

#[test]
fn without_reuse_each_call_has_a_process_of_its_own() {
    let mut world = World::with_kept(&[SEEN]);
    world.write("cronwright.toml", "[python]\nroot = \"tasks\"\nreuse = false\n");
    world.start();
    world.until_synced();
    let pid = world.kept_pid();
    let [other, calls, _, _] = world.seen("seen");
    assert_ne!(other, pid);
    assert_eq!(calls, 1);
}

#[test]
fn an_edited_module_is_seen_by_the_next_call() {
    let mut world = World::with_kept(&[SEEN]);
    world.start();
    world.until_synced();
    let pid = world.kept_pid();
    world.write("tasks/test/kept.py", &KEPT.replace("CALLS = 0", "CALLS = 100"));
    let [same, calls, _, _] = world.seen("seen");
    assert_eq!((same, calls), (pid, json!(101)), "a fresh interpreter in the same process");
}

#[test]
fn what_a_call_does_to_its_process_does_not_reach_the_next() {
    let acts = ["exits", "crashes", "recurses", "grows", "threads", "children", "waits"];
    let class = |what: &str| match what {
        "waits" => "class: test.kept.Act('waits')\n    timeout: 1s".to_owned(),
        what => format!("class: test.kept.Act('{what}')"),
    };
    let classes: Vec<String> = acts.iter().map(|what| class(what)).collect();
    let mut jobs: Vec<(&str, &str)> =
        acts.iter().zip(&classes).map(|(act, class)| (*act, class.as_str())).collect();
    jobs.push(SEEN);
    let mut world = World::with_kept(&jobs);
    world.write("cronwright.toml", "[python]\nroot = \"tasks\"\nmemory = \"100MiB\"\n");
    world.start();
    world.until_synced();
    for (act, outcome, reason) in [
        ("exits", "failed", json!("exit")),
        ("crashes", "failed", json!("worker_died")),
        ("recurses", "failed", json!("exception")),
        ("grows", "succeeded", Value::Null),
        ("threads", "succeeded", Value::Null),
        ("children", "succeeded", Value::Null),
        ("waits", "timed_out", json!("attempt")),
    ] {
        let pid = world.kept_pid();
        let row = world.runs(act);
        assert_eq!((&row["outcome"], &row["reason"]), (&json!(outcome), &reason), "{row}");
        let [other, calls, _, _] = world.seen("seen");
        assert_ne!(other, pid, "after {act}");
        assert_eq!(calls, 1, "after {act}");
    }
}

#[test]
fn two_calls_at_once_have_two_processes() {
    let mut world = World::with_kept(&[
        ("one", "class: test.kept.Meeting('a', 'b')"),
        ("two", "class: test.kept.Meeting('b', 'a')"),
    ]);
    world.start();
    world.until_synced();
    assert!(world.verb(&["run", "one"]).status.success());
    let two = world.runs("two");
    let one = world.until_ended("one");
    assert_eq!((&one["outcome"], &two["outcome"]), (&json!("succeeded"), &json!("succeeded")));
    assert_ne!(one["result"], two["result"]);
}

#[test]
fn the_output_of_calls_in_one_process_never_mixes() {
    let mut world = World::with_kept(&[
        ("floods", "class: test.kept.Act('floods')\n    output: { max_size: 4MiB }"),
        ("demo", "class: test.main.Test('kinit', 7)"),
        SEEN,
    ]);
    world.start();
    world.until_synced();
    let pid = world.kept_pid();
    for _ in 0..3 {
        assert_eq!(world.runs("floods")["result"], pid);
        world.runs("demo");
        let printed = String::from_utf8(world.verb(&["logs", "floods"]).stdout).unwrap();
        assert_eq!(printed.matches('f').count(), 3_000_000);
        assert_eq!(world.verb(&["logs", "demo"]).stdout, b"name: kinit age: 7 flag: False\n");
    }
    assert_eq!(world.seen("seen")[0], pid);
}

#[test]
fn a_call_in_a_kept_process_survives_the_daemon() {
    let mut world =
        World::with_kept(&[SEEN, ("meets", "class: test.kept.Meeting('begun', 'released')")]);
    world.start();
    world.until_synced();
    let pid = world.kept_pid();
    assert!(world.verb(&["run", "meets"]).status.success());
    world.until("begun call", |world| world.path("begun").exists());
    world.kill();
    world.write("released", "");
    world.start();
    let row = world.until_ended("meets");
    assert_eq!((&row["outcome"], &row["result"]), (&json!("succeeded"), &pid), "{row}");
    world.until_synced();
    assert_eq!(world.seen("seen")[0], pid, "and is kept on");
}

#[test]
fn a_kept_process_is_given_the_parameters_of_each_call_and_none_of_an_earlier_one() {
    let mut world = World::with_tasks(&[]);
    let module = "import os\n\n\nclass Params:\n\n    def __init__(self, rows):\n        self.rows = rows\n\n    \
                  def main(self):\n        given = {k: v for k, v in os.environ.items() if k.startswith('PARAM_')}\n        \
                  return [os.getpid(), self.rows, given]\n";
    world.write("tasks/test/params.py", module);
    world.save_calls(&[(
        "told",
        "params: { rows: { type: integer, default: 1 }, shop: { type: string, required: false } }\n    \
         class: 'test.params.Params(\"${params.rows}\")'",
    )]);
    world.start();
    world.until_synced();
    let run = |world: &mut World, given: &[&str]| {
        let told = world.verb(&[&["run", "told", "--wait"], given].concat());
        assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
        world.ask(&["history", "told"])["executions"][0]["result"].clone()
    };
    // A file counts as settled some time after it was written.
    world.until("a kept process", |world| run(world, &[])[0] == run(world, &[])[0]);
    let first = run(&mut world, &["--param", "rows=7", "--param", "shop=a"]);
    let second = run(&mut world, &[]);
    assert_eq!(
        (&first[1], &first[2]),
        (&json!(7), &json!({ "PARAM_ROWS": "7", "PARAM_SHOP": "a" }))
    );
    assert_eq!((&second[1], &second[2]), (&json!(1), &json!({ "PARAM_ROWS": "1" })));
    assert_eq!(first[0], second[0], "one process");
}
