//! `exec`: a job's task without a daemon, as the daemon would do it.

use std::path::PathBuf;
use std::process::{Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::harness::World;

/// A world whose temporary files have a folder of their own.
fn world(jobs: &str) -> World {
    let world = World::new();
    std::fs::create_dir(world.path("tmp")).unwrap();
    world.save("jobs.d/jobs.yaml", &format!("{}{jobs}", world.head()));
    world
}

fn exec(world: &World, arguments: &[&str]) -> Output {
    let mut command = world.command(&["exec"]);
    command.args(arguments).env("TMPDIR", world.path("tmp")).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// What is left behind: processes, and the folder of the supervisor.
fn left(world: &World) -> (Vec<i32>, Vec<PathBuf>) {
    let files = std::fs::read_dir(world.path("tmp")).unwrap();
    (world.processes_of_jobs(), files.map(|entry| entry.unwrap().path()).collect())
}

#[test]
fn a_task_runs_here_and_now_and_leaves_nothing() {
    let mut world = world(
        "  fine:\n    cron: '@daily'\n    script: 'echo \"out $CRONWRIGHT_JOB\"; echo err >&2; setsid sleep 1000 & \
         echo \"{\\\"n\\\": 1}\" > $CRONWRIGHT_RESULT'\n\
         \x20 failing: { triggers: [], retry: 2, script: 'exit 3' }\n\
         \x20 late: { triggers: [], timeout: 100ms, kill_grace: 100ms, script: 'trap \"\" TERM; sleep 1000; sleep 1000' }\n\
         \x20 secret: { triggers: [], script: 'echo \"<$TOKEN>\"', secrets: { TOKEN: { file: token } } }\n\
         \x20 absent: { triggers: [], command: a, secrets: { TOKEN: { file: nowhere } } }\n",
    );
    world.write("token", "hunter2\n");
    let fine = exec(&world, &["fine"]);
    assert_eq!((fine.status.code(), text(&fine.stdout)), (Some(0), "out fine\nerr\n".into()));
    assert!(text(&fine.stderr).starts_with("succeeded after "), "{}", text(&fine.stderr));

    let fine = exec(&world, &["fine", "-o", "json"]);
    let document: Value = serde_json::from_slice(&fine.stdout).unwrap();
    let execution = &document["execution"];
    assert_eq!(document["schema"], "cronwright.execution/v1");
    assert_eq!(
        (&execution["outcome"], &execution["result"], &execution["source"]["line"]),
        (&json!("succeeded"), &json!({ "n": 1 }), &json!(5))
    );
    assert!(text(&fine.stderr).starts_with("out fine\nerr\n"), "{}", text(&fine.stderr));

    let failing = exec(&world, &["failing"]);
    assert_eq!(failing.status.code(), Some(1));
    let said = text(&failing.stderr);
    assert!(said.starts_with("failed (exit) after ") && said.contains(", exit code 3\n"), "{said}");
    assert!(
        said.ends_with("one attempt was made; the daemon would look at `retry` now\n"),
        "{said}"
    );
    assert!(text(&exec(&world, &["late"]).stderr).starts_with("timed_out (attempt) after "));
    assert_eq!(text(&exec(&world, &["secret"]).stdout), "<***>\n");
    let absent = text(&exec(&world, &["absent"]).stderr);
    assert!(absent.contains("the secret `TOKEN`: there is no file "), "{absent}");
    let unknown = exec(&world, &["fin"]);
    assert_eq!(unknown.status.code(), Some(3));
    assert!(text(&unknown.stderr).contains("did you mean `fine`?"), "{}", text(&unknown.stderr));

    world.until("nothing left", |world| left(world) == (Vec::new(), Vec::new()));
    assert!(!world.path(".cronwright").exists(), "the daemon's state was touched");
}

#[test]
fn ctrl_c_ends_the_task_with_its_grace() {
    let mut world = world(
        "  long:\n    triggers: []\n    script: 'trap \"echo bye; exit 0\" TERM; echo on; exec 2>/dev/null; while :; do sleep 0.01; done'\n",
    );
    let mut command = world.command(&["exec", "long"]);
    command.env("TMPDIR", world.path("tmp")).stdout(Stdio::piped()).stderr(Stdio::piped());
    let running = command.spawn().unwrap();
    world.until("running task", |world| !world.processes_of_jobs().is_empty());
    // The trap is set before the job says that it is on; what it says goes through our pipe.
    let mut running = running;
    let mut stdout = running.stdout.take().unwrap();
    let mut said = [0; 3];
    std::io::Read::read_exact(&mut stdout, &mut said).unwrap();
    assert_eq!(&said, b"on\n");
    let pid = i32::try_from(running.id()).unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), Signal::INT).unwrap();
    let mut rest = String::new();
    std::io::Read::read_to_string(&mut stdout, &mut rest).unwrap();
    let ended = running.wait_with_output().unwrap();
    assert_eq!((rest.as_str(), ended.status.code()), ("bye\n", Some(1)));
    let told = text(&ended.stderr);
    assert!(
        told.starts_with("ending it; Ctrl-C once more kills it\ncancelled (requested) after "),
        "{told}"
    );
    world.until("nothing left", |world| left(world) == (Vec::new(), Vec::new()));
}
