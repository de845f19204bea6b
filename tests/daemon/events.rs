//! The daemon over TCP, and what it tells: through the verbs, HTTP and Redis.

use std::fs;
use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStdout, Stdio};

use redis::Commands;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::harness::World;
use crate::support::servers::{End, Redis, RedisOptions};

const VIEWER: &str = "viewer-q7Ck2vX9mZ4rT8wB1nL6pD3sF5h";
const OPERATOR: &str = "operator-Hy3kQ8vN5xR1tW7zB9mC4jL6";
const JOB: &str =
    "jobs:\n  etl: { triggers: [], script: 'true' }\n  bad: { triggers: [], script: 'exit 3' }\n";

/// A world that listens on TCP as well, for an operator and a viewer.
fn world() -> World {
    let world = World::new();
    world.write("ops.token", &format!("{OPERATOR}\n"));
    world.write("viewer.token", VIEWER);
    world.write(
        "cronwright.toml",
        "listen = [\"127.0.0.1:0\", \"unix:.cronwright/cronwright.sock\"]\n[http.tokens]\n\
         ops = { role = \"operator\", file = \"ops.token\" }\n\
         reader = { role = \"viewer\", file = \"viewer.token\" }\n",
    );
    world.save("jobs.d/jobs.yaml", JOB);
    world
}

/// Where the daemon listens on TCP, as it has logged.
fn address(world: &World) -> String {
    let log = fs::read_to_string(world.path("log")).unwrap();
    let line = log.lines().rev().find_map(|line| {
        let line: Value = serde_json::from_str(line).ok()?;
        line["address"].as_str().filter(|text| text.starts_with("http://")).map(str::to_owned)
    });
    line.expect("an address in the log")
}

/// A process that prints events, one a line.
struct Following {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Following {
    fn start(world: &World, arguments: &[&str]) -> Self {
        let mut command = world.command(arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// What comes up to an event of this type, in short.
    fn until(&mut self, kind: &str) -> Vec<String> {
        let mut told = Vec::new();
        for line in self.lines.by_ref() {
            let event: Value = serde_json::from_str(&line.unwrap()).unwrap();
            told.push(short(&event));
            if told.last().is_some_and(|last| last.starts_with(kind)) {
                return told;
            }
        }
        panic!("it ended after {told:?}");
    }

    /// Ends it as Ctrl-C does.
    fn interrupt(mut self) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, Signal::INT).unwrap();
        assert!(self.child.wait().unwrap().success());
    }
}

/// `job.added etl`, `execution.finished bad failed exit`.
fn short(event: &Value) -> String {
    let kind = event["type"].as_str().unwrap();
    let word = kind.strip_prefix("dev.cronwright.").unwrap().strip_suffix(".v1").unwrap();
    let data = &event["data"];
    let rest = ["job", "outcome", "reason"].map(|key| data[key].as_str());
    let words: Vec<&str> = std::iter::once(word).chain(rest.into_iter().flatten()).collect();
    words.join(" ")
}

fn shorts(document: &Value) -> Vec<String> {
    document["events"].as_array().unwrap().iter().map(short).collect()
}

fn said(output: &std::process::Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn a_daemon_without_usable_tokens_does_not_listen_on_tcp_and_does_not_start() {
    let world = world();
    let bare = "listen = [\"127.0.0.1:0\"]\n";
    let with = |file: &str| {
        format!("{bare}[http.tokens]\nops = {{ role = \"admin\", file = \"{file}\" }}\n")
    };
    world.write("sample", "CHANGE_ME");
    world.write("short", "canary-7f3a");
    let twice =
        format!("{}also = {{ role = \"viewer\", file = \"ops.token\" }}\n", with("ops.token"));
    for (settings, expected) in [
        (
            bare.to_owned(),
            "error[E0610]: `127.0.0.1:0` is for those who have a token, and there is none\n --> cronwright.toml:1:11",
        ),
        (
            with("sample"),
            "error: the token `ops` cannot be used: it holds what stands in samples instead of a secret",
        ),
        (with("short"), "error: the token `ops` cannot be used: it has less than 32 characters"),
        (with("nowhere"), "error: the token `ops` cannot be read from "),
        (twice, "error: the tokens `also` and `ops` are the same"),
    ] {
        world.write("cronwright.toml", &settings);
        let told = world.verb(&["serve"]);
        assert_eq!(told.status.code(), Some(78), "{settings}: {told:?}");
        let said = said(&told);
        assert!(said.contains(expected) && said.contains("help"), "{said}");
        assert!(!said.contains("canary") && !said.contains(OPERATOR), "{said}");
    }
    world.write("cronwright.toml", "");
    let told = world.verb(&["serve", "--listen", "0.0.0.0:0"]);
    assert_eq!(told.status.code(), Some(78), "{told:?}");
    assert!(said(&told).contains(" --> flag --listen:1:1"), "{told:?}");
}

#[test]
fn verbs_work_over_tcp_for_who_has_a_token_and_are_recorded_under_its_name() {
    let mut world = world();
    world.start();
    world.until_synced();
    let server = address(&world);
    let ask =
        |arguments: &[&str]| world.verb(&[arguments, &["--server", server.as_str()]].concat());
    let nobody = ask(&["list"]);
    assert_eq!(nobody.status.code(), Some(4), "{nobody:?}");
    assert!(said(&nobody).contains("error[E0401]"), "{nobody:?}");

    let list = ask(&["list", "--token-file", "viewer.token"]);
    assert!(
        list.status.success() && String::from_utf8_lossy(&list.stdout).contains("etl"),
        "{list:?}"
    );
    let viewer = ask(&["run", "etl", "--token-file", "viewer.token"]);
    assert_eq!(viewer.status.code(), Some(4), "{viewer:?}");
    assert!(said(&viewer).contains("error[E0403]"), "{viewer:?}");

    let run = ask(&["run", "etl", "--wait", "--token-file", "ops.token"]);
    assert!(run.status.success(), "{run:?}");
    let mut pause = world.command(&["pause", "etl", "--reason", "x", "--server", &server]);
    let pause = pause.env("CRONWRIGHT_TOKEN", OPERATOR).output().unwrap();
    assert!(pause.status.success(), "{pause:?}");
    let shown = world.ask(&["show", "etl"]).to_string();
    assert!(shown.contains("token:ops"), "{shown}");
    let back = ask(&["sync", "undo", "--token-file", "ops.token", "--yes"]);
    assert_ne!(back.status.code(), Some(0), "{back:?}");
    let log = fs::read_to_string(world.path("log")).unwrap();
    assert!(!log.contains(OPERATOR) && !log.contains(VIEWER));
}

#[test]
fn what_happens_is_told_and_a_restart_of_the_daemon_is_waited_for() {
    let mut world = world();
    world.start();
    world.until_synced();
    world.runs("etl");
    world.runs("bad");
    let all = shorts(&world.ask(&["events"]));
    for event in ["daemon.started", "job.added bad", "job.added etl", "execution.started etl"] {
        assert!(all.iter().any(|told| told == event), "no {event}: {all:?}");
    }
    let ends = world.ask(&["events", "--type", "execution.finished"]);
    let expected = ["execution.finished etl succeeded", "execution.finished bad failed exit"];
    assert_eq!(shorts(&ends), expected);
    let first = ends["events"][0]["id"].as_str().unwrap();
    let after = world.ask(&["events", "--type", "execution.finished", "--since", first]);
    assert_eq!(shorts(&after), expected[1..]);
    let table = String::from_utf8(world.verb(&["events", "--utc"]).stdout).unwrap();
    assert!(table.starts_with("TIME (UTC)") && table.contains("failed exit"), "{table}");

    let mut following =
        Following::start(&world, &["events", "-f", "-o", "jsonl", "--since", first]);
    assert_eq!(following.until("execution.finished").last().unwrap(), expected[1]);
    world.stop();
    assert_eq!(following.until("daemon.stopping"), ["daemon.stopping"]);
    world.start();
    assert_eq!(following.until("daemon.started"), ["events.gap", "daemon.started"]);
    world.until_synced();
    world.runs("etl");
    let told = following.until("execution.finished");
    assert_eq!(told.last().unwrap(), expected[0]);
    following.interrupt();
}

#[test]
fn a_stop_does_not_wait_for_those_who_read_events() {
    let mut world = world();
    world.start();
    world.until_synced();
    let server = address(&world);
    let verb = [
        "events",
        "-f",
        "-o",
        "jsonl",
        "--server",
        &server,
        "--token-file",
        "viewer.token",
        "--since",
        "0",
    ];
    let mut following = Following::start(&world, &verb);
    following.until("daemon.started");
    world.stop();
    following.until("daemon.stopping");
    following.interrupt();
}

/// The events of the stream in Redis, in short.
fn in_redis(connection: &mut redis::Connection) -> Vec<String> {
    let entries: Vec<(String, Vec<(String, String)>)> =
        connection.xrange_all("{cronwright}:events").unwrap();
    let event = |(_, fields): (String, Vec<(String, String)>)| {
        let field = |name: &str| fields.iter().find(|(found, _)| found == name).unwrap().1.clone();
        let event: Value = serde_json::from_str(&field("m")).unwrap();
        assert_eq!(
            (event["id"].as_str(), event["type"].as_str()),
            (Some(&*field("id")), Some(&*field("type")))
        );
        short(&event)
    };
    entries.into_iter().map(event).collect()
}

#[test]
fn what_happens_is_told_in_redis_in_order_also_what_happened_while_it_was_away() {
    let options = RedisOptions { password: None, append_only: true };
    let Some(mut redis) = Redis::start(&options) else { return };
    let mut world = World::new();
    world.write("cronwright.toml", &format!("[redis]\nurl = \"{}\"\n", redis.url(0)));
    world.save("jobs.d/jobs.yaml", JOB);
    world.start();
    world.until_synced();
    world.runs("etl");
    let connect =
        |redis: &Redis| redis::Client::open(redis.url(0)).unwrap().get_connection().unwrap();
    let mut connection = connect(&redis);
    world.until("end of etl", |_| {
        in_redis(&mut connection).iter().any(|told| told == "execution.finished etl succeeded")
    });
    redis.end(End::Kill);
    world.runs("bad");
    world.until("warning", |world| {
        fs::read_to_string(world.path("log")).unwrap().contains("events cannot be told to Redis")
    });
    redis.start_again();
    world.runs("etl");
    let mut connection = connect(&redis);
    world.until("all events", |world| {
        let held = shorts(&world.ask(&["events"]));
        let told = in_redis(&mut connection);
        // What was under way when Redis died may be there twice.
        let mut once = told.clone();
        once.dedup();
        let mut expected = held.clone();
        expected.dedup();
        once == expected
    });
    let log = fs::read_to_string(world.path("log")).unwrap();
    assert_eq!(log.matches("events cannot be told to Redis").count(), 1, "{log}");
}

#[test]
fn nothing_is_told_in_redis_where_the_settings_say_so() {
    let Some(redis) = Redis::start(&RedisOptions { password: None, append_only: false }) else {
        return;
    };
    let mut world = World::new();
    world.write(
        "cronwright.toml",
        &format!("[redis]\nurl = \"{}\"\nevents = false\n", redis.url(0)),
    );
    world.save("jobs.d/jobs.yaml", JOB);
    world.start();
    world.until_synced();
    world.runs("etl");
    world.stop();
    let mut connection = redis::Client::open(redis.url(0)).unwrap().get_connection().unwrap();
    assert_eq!(in_redis(&mut connection), [""; 0]);
}
