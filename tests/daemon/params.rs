//! Parameters, by the real program: where their values come from, and where they arrive.

use serde_json::{Value, json};

use super::harness::{Backend, World};

/// Says what it was given, and fails at its first attempt.
const LOAD: &str = "  load:
    triggers: []
    timezone: Asia/Shanghai
    retry: { limit: 1, delay: 10ms, jitter: 0 }
    script: 'echo \"$PARAM_DAY/$PARAM_MODE/${PARAM_ROWS-unset}\" >> seen; [ $CRONWRIGHT_ATTEMPT -gt 1 ]'
    params:
      day: { type: date, default: today }
      mode: { type: choice, options: [full, delta] }
      rows: { type: integer, min: 1, required: false }
";

fn world(backend: Backend, jobs: &str) -> Option<World> {
    let mut world = World::on(backend)?;
    world.save("jobs.d/jobs.yaml", &format!("{}{jobs}", world.head()));
    world.start();
    world.until_synced();
    Some(world)
}

fn seen(world: &World) -> String {
    std::fs::read_to_string(world.path("seen")).unwrap_or_default()
}

/// The exit code of a verb, and what it said to people.
fn said(world: &World, arguments: &[&str]) -> (Option<i32>, String) {
    let told = world.verb(arguments);
    (told.status.code(), String::from_utf8(told.stderr).unwrap())
}

fn an_execution_keeps_what_it_was_given(backend: Backend) {
    let Some(mut world) = world(backend, LOAD) else { return };
    let given = ["run", "load", "--param", "mode=full", "--param", "day=2026-01-31", "--wait"];
    assert_eq!(said(&world, &given).0, Some(0));
    assert_eq!(seen(&world), "2026-01-31/full/unset\n".repeat(2));
    let listed = world.ask(&["history", "load"]);
    let params = &listed["executions"][0]["params"];
    assert_eq!(*params, json!({ "day": "2026-01-31", "mode": "full" }), "{listed}");

    // What today is, is found out once, where the job's clock is.
    assert_eq!(said(&world, &["run", "load", "--param", "mode=delta", "--wait"]).0, Some(0));
    let listed = world.ask(&["history", "load"]);
    let newest = &listed["executions"][0];
    let accepted: chrono::DateTime<chrono::FixedOffset> =
        newest["fire_time"].as_str().unwrap().parse().unwrap();
    let shanghai = chrono::FixedOffset::east_opt(8 * 3600).unwrap();
    let today = accepted.with_timezone(&shanghai).date_naive().to_string();
    assert_eq!(newest["params"]["day"], today, "{listed}");
    assert!(seen(&world).ends_with(&format!("{today}/delta/unset\n").repeat(2)));
    world.stop();
}

#[test]
fn c2_on_sqlite_an_execution_keeps_what_it_was_given_through_its_attempts() {
    an_execution_keeps_what_it_was_given(Backend::Sqlite);
}

#[test]
fn c2_on_mongodb_an_execution_keeps_what_it_was_given_through_its_attempts() {
    an_execution_keeps_what_it_was_given(Backend::Mongo);
}

#[test]
fn what_does_not_fit_is_refused_and_starts_nothing() {
    let Some(world) = world(Backend::Sqlite, LOAD) else { return };
    for (params, expected) in [
        (&[][..], "the parameter `mode` must be given"),
        (&["--param", "mode=half"], "the parameter `mode` is not one of `full`, `delta`"),
        (&["--param", "mod=full"], "did you mean `mode`?"),
        (&["--param", "mode=full", "--param", "rows=0"], "the parameter `rows` is less than 1"),
        (&["--param", "mode=full", "--param", "mode=full"], "`mode` is given twice"),
        (&["--param", "mode"], "write it as NAME=VALUE"),
    ] {
        let (code, told) = said(&world, &[&["run", "load"], params].concat());
        assert!(code != Some(0) && told.contains(expected), "{params:?}: {code:?} {told}");
    }
    assert_eq!(world.rows(), []);
}

#[test]
fn a_trigger_gives_its_own_values_and_the_first_listed_decides() {
    let jobs = "  load:
    triggers:
      - { interval: 1s, params: { mode: delta } }
      - { interval: 1s, params: { mode: full } }
    command: [sh, -c, 'echo \"$0\" >> seen', '${params.mode} of ${execution.job}; $(echo no shell)']
    params: { mode: { type: choice, options: [full, delta] } }
";
    let Some(mut world) = world(Backend::Sqlite, jobs) else { return };
    world.until("first", |world| seen(world).lines().count() > 0);
    world.stop();
    assert_eq!(seen(&world).lines().next(), Some("delta of load; $(echo no shell)"));
}

#[test]
fn without_a_daemon_the_same_values_arrive() {
    let world = World::new();
    world.save("jobs.d/jobs.yaml", &format!("{}{LOAD}", world.head()));
    let (code, told) = said(&world, &["exec", "load"]);
    assert!(code == Some(2) && told.contains("the parameter `mode` must be given"), "{told}");
    let given =
        ["exec", "load", "--param", "mode=full", "--param", "rows=7", "--param", "day=2026-02-28"];
    assert_eq!(said(&world, &given).0, Some(1));
    assert_eq!(seen(&world), "2026-02-28/full/7\n");
}

#[test]
fn a_class_receives_values_of_their_kind() {
    let world = World::new();
    std::fs::create_dir(world.path("tasks")).unwrap();
    world.write("cronwright.toml", "[python]\nroot = \"tasks\"\n");
    let module = "class Load:\n    def __init__(self, *args, **kwargs): self.got = [args, kwargs]\n    \
                  def main(self): return self.got\n";
    world.write("tasks/etl.py", module);
    let job = "jobs:\n  load:\n    triggers: []\n    params:\n      rows: { type: integer }\n      \
               share: { type: number, default: 0.5 }\n      dry: { type: boolean, default: true }\n      \
               shop: { type: string, default: '\"); evil(\"' }\n    \
               class: 'etl.Load(\"${params.rows}\", \"${params.rows} rows\", [\"${params.share}\"], \
               dry=\"${params.dry}\", shop=\"${params.shop}\")'\n";
    world.save("jobs.d/jobs.yaml", job);
    let told = world.verb(&["exec", "load", "--param", "rows=7", "-o", "json"]);
    let document: Value = serde_json::from_slice(&told.stdout).unwrap();
    let expected = json!([[7, "7 rows", [0.5]], { "dry": true, "shop": "\"); evil(\"" }]);
    assert_eq!(document["execution"]["result"], expected, "{document}");
}

#[test]
fn a_request_through_the_socket_brings_values_of_json() {
    let Some(mut world) = world(Backend::Sqlite, LOAD) else { return };
    let stream = std::os::unix::net::UnixStream::connect(world.path(".cronwright/cronwright.sock"));
    let mut stream = stream.unwrap();
    let body = json!({ "v": 1, "id": "7", "op": "run", "job": "load",
        "args": { "params": { "mode": "full", "rows": 5, "day": "2026-01-01" } } });
    let body = body.to_string();
    let head = "POST /api/v1/requests HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n";
    let message = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
    std::io::Write::write_all(&mut stream, message.as_bytes()).unwrap();
    let answer = std::io::read_to_string(stream).unwrap();
    assert!(answer.contains(r#""status": "accepted""#), "{answer}");
    world.until_ended("load");
    assert_eq!(seen(&world), "2026-01-01/full/5\n".repeat(2));
}
