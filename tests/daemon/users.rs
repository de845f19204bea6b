//! Jobs with a `user` of their own, by the real program. What needs root is skipped, and says so, where it is not.

use rustix::process::geteuid;
use serde_json::json;

use super::harness::World;

/// A world that anybody may enter, and these jobs in it.
fn world(jobs: &str) -> World {
    let mut world = World::new();
    world.write("cronwright.toml", "");
    open(&world, "", 0o755);
    std::fs::create_dir(world.path("work")).unwrap();
    open(&world, "work", 0o777);
    world.save("jobs.d/jobs.yaml", &format!("{}{jobs}", world.head()));
    world.start();
    world.until_synced();
    world
}

fn open(world: &World, path: &str, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    let permissions = std::fs::Permissions::from_mode(mode);
    std::fs::set_permissions(world.path(path), permissions).unwrap();
}

fn is_root(needed_by: &str) -> bool {
    if !geteuid().is_root() {
        println!("skipped: 1 test needs root: {needed_by}");
    }
    geteuid().is_root()
}

#[test]
fn a_job_runs_as_its_user_with_its_groups_and_its_result_arrives() {
    if !is_root("a_job_runs_as_its_user") {
        return;
    }
    let mut world = world(
        "  told:\n    triggers: []\n    user: nobody\n    working_dir: work\n    umask: '027'\n    script: |\n      \
         id -un; id -G; echo $HOME $USER $LOGNAME; stat -c '%U %a' .; touch mine; stat -c '%U %a' mine\n      \
         echo '{\"n\": 1}' > $CRONWRIGHT_RESULT\n  \
         grouped: { triggers: [], user: 'nobody:daemon', command: [id, -gn] }\n  \
         numbers: { triggers: [], user: '4000000001:4000000002', command: [id, -u] }\n",
    );
    let told = world.runs("told");
    let logs =
        |world: &World, job: &str| String::from_utf8(world.verb(&["logs", job]).stdout).unwrap();
    let said = logs(&world, "told");
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!((lines[0], lines[4]), ("nobody", "nobody 640"), "{said}");
    assert!(!lines[1].split(' ').any(|group| group == "0"), "{said}");
    assert!(lines[2].ends_with("nobody nobody"), "{said}");
    assert_eq!((&told["outcome"], &told["result"]), (&json!("succeeded"), &json!({ "n": 1 })));
    world.runs("grouped");
    assert_eq!(logs(&world, "grouped"), "daemon\n");
    world.runs("numbers");
    assert_eq!(logs(&world, "numbers"), "4000000001\n");
}

#[test]
fn a_user_that_is_not_there_and_a_folder_that_is_closed_to_one_are_told() {
    if !is_root("a_user_that_is_not_there") {
        return;
    }
    let mut world = world(
        "  absent: { triggers: [], user: no-such-user, command: id }\n  \
         grouped: { triggers: [], user: 'nobody:no-such-group', command: id }\n  \
         closed: { triggers: [], user: nobody, working_dir: jobs.d, command: id }\n",
    );
    open(&world, "jobs.d", 0o700);
    for (job, kind, expected) in [
        ("absent", "UserError", "there is no user `no-such-user` on this machine"),
        ("grouped", "UserError", "there is no group `no-such-group` on this machine"),
    ] {
        let told = world.runs(job);
        assert_eq!(
            (&told["reason"], &told["exception"]["type"], &told["exception"]["message"]),
            (&json!("spawn"), &json!(kind), &json!(expected))
        );
    }
    let told = world.runs("closed");
    let said = told["exception"]["message"].as_str().unwrap();
    assert!(told["reason"] == "spawn" && said.contains("ermission denied"), "{said}");
}

#[test]
fn a_job_of_another_user_ends_with_its_tree_and_cannot_end_its_supervisor() {
    if !is_root("a_job_of_another_user_ends") {
        return;
    }
    let mut world = world(
        "  killer: { triggers: [], user: nobody, script: 'kill -9 $PPID; echo $?; sleep 600 & setsid sleep 600 &' }\n  \
         long: { triggers: [], user: nobody, kill_grace: 100ms, script: 'trap \"\" TERM; setsid sleep 600 & sleep 600; sleep 600' }\n",
    );
    let told = world.runs("killer");
    assert_eq!(told["outcome"], "succeeded", "{told}");
    world.until("end of what it left", |world| world.processes_of_jobs().is_empty());
    assert!(world.verb(&["run", "long"]).status.success());
    world.until("processes", |world| world.processes_of_jobs().len() >= 3);
    assert!(world.verb(&["cancel", "long"]).status.success());
    let told = world.until_ended("long");
    assert_eq!(told["outcome"], "cancelled", "{told}");
    world.until("end of its tree", |world| world.processes_of_jobs().is_empty());
    // And it dies with its supervisor.
    assert!(world.verb(&["run", "long"]).status.success());
    world.until("processes", |world| world.processes_of_jobs().len() >= 3);
    world.kill_supervisor();
    world.until("end of its tree", |world| world.processes_of_jobs().is_empty());
    let lost = world.until_ended("long");
    assert_eq!(lost["outcome"], "lost", "{lost}");
}

const CLASSES: &str = r#"import os


class Seen:

    def main(self):
        try:
            os.listdir(".cronwright")
            closed = False
        except PermissionError:
            closed = True
        return [os.getuid(), sorted(os.getgroups()), closed, os.getpid()]
"#;

#[test]
fn a_class_runs_as_its_user_and_in_no_process_of_another() {
    const PYTHON: &str = "/usr/bin/python3";
    if !is_root("a_class_runs_as_its_user") {
        return;
    }
    if !std::path::Path::new(PYTHON).exists() {
        println!("skipped: 1 test needs {PYTHON}: a_class_runs_as_its_user");
        return;
    }
    let mut world = World::new();
    open(&world, "", 0o755);
    std::fs::create_dir(world.path("tasks")).unwrap();
    open(&world, "tasks", 0o755);
    world.write("tasks/m.py", CLASSES);
    open(&world, "tasks/m.py", 0o644);
    let settings = format!("[python]\nroot = \"tasks\"\ninterpreter = \"{PYTHON}\"\n");
    world.write("cronwright.toml", &settings);
    world.save(
        "jobs.d/jobs.yaml",
        "jobs:\n  own: { triggers: [], class: m.Seen() }\n  \
         first: { triggers: [], class: m.Seen(), user: '4000000001:4000000002' }\n  \
         again: { triggers: [], class: m.Seen(), user: '4000000001:4000000002' }\n  \
         group: { triggers: [], class: m.Seen(), user: '4000000001:4000000003' }\n  \
         other: { triggers: [], class: m.Seen(), user: '4000000004:4000000002' }\n",
    );
    world.start();
    world.until_synced();
    let mut seen = |job: &str| -> (serde_json::Value, i64) {
        let row = world.runs(job);
        assert_eq!(row["outcome"], "succeeded", "{row}");
        let mut result = row["result"].clone();
        let pid = result[3].as_i64().unwrap();
        result.as_array_mut().unwrap().truncate(3);
        (result, pid)
    };
    // The first calls may have met files that had just been written: their processes are not kept.
    let (own, of_first) = (seen("own"), seen("first"));
    let ((_, own_pid), (who, first)) = (seen("own"), seen("first"));
    assert_eq!(own.0.get(0), Some(&json!(0)));
    assert_eq!(who, json!([4_000_000_001_u32, [4_000_000_002_u32], true]), "{of_first:?}");
    let (_, again) = seen("again");
    assert_eq!(first, again, "calls of one user share a process");
    let (who, group) = seen("group");
    assert_eq!(who, json!([4_000_000_001_u32, [4_000_000_003_u32], true]));
    let (who, other) = seen("other");
    assert_eq!(who, json!([4_000_000_004_u32, [4_000_000_002_u32], true]));
    let pids = std::collections::BTreeSet::from([own_pid, first, group, other]);
    assert_eq!(pids.len(), 4, "nobody's process serves another");
    // An edit begins the interpreter anew, which reads the file that it cannot open by its path once more.
    world.write("tasks/m.py", &CLASSES.replace("return [", "return [1, "));
    let edited = world.runs("first");
    let result = &edited["result"];
    assert_eq!((&result[0], &result[1]), (&json!(1), &json!(4_000_000_001_u32)), "{edited}");
    assert_eq!(result[4], first, "the same process");
}
