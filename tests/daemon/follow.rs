//! `run --follow` and `logs -f`: what a job prints is shown as it comes, across attempts and daemons.

use std::fs;
use std::process::Stdio;

use super::harness::World;

#[test]
fn what_a_job_prints_is_followed_across_attempts_and_a_restart_of_the_daemon() {
    let mut world = World::new();
    let script = "printf 'attempt \\303'; touch begun; while [ ! -e go ]; do sleep 0.01; done; \
                  printf '\\274\\033[31m over\\n'; [ $CRONWRIGHT_ATTEMPT = 2 ]";
    world.save(
        "jobs.d/jobs.yaml",
        &format!(
            "{}  tried:\n    triggers: []\n    retry: {{ limit: 1, delay: 4s, jitter: 0 }}\n    script: |\n      {script}\n",
            world.head()
        ),
    );
    world.start();
    world.until_synced();
    let mut command = world.command(&["run", "tried", "--follow"]);
    let following = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    world.until("begun job", |world| world.path("begun").exists());
    world.kill();
    world.start();
    world.until_it_leads();
    world.write("go", "");

    let told = following.wait_with_output().unwrap();
    assert!(told.status.success(), "{told:?}");
    let id = String::from_utf8(told.stdout).unwrap();
    let said = String::from_utf8(told.stderr).unwrap();
    let (waiting, rest) = said.split_once('\n').unwrap();
    assert_eq!(waiting, format!("waiting for {}", id.trim_end()));
    let expected = "attempt ü over\n\n[… attempt 2 …]\nattempt ü over\nsucceeded after ";
    assert!(rest.starts_with(expected), "{rest:?}");

    let last = world.verb(&["logs", "tried", "-f"]);
    assert_eq!(String::from_utf8(last.stdout).unwrap(), "attempt ü over\n");
    let unknown = world.verb(&["logs", "nobody", "-f"]);
    assert_eq!(unknown.status.code(), Some(3), "{unknown:?}");
}

#[test]
fn what_a_job_prints_stands_in_the_log_while_it_runs_where_it_says_so() {
    let mut world = World::new();
    let jobs = "  told:\n    triggers: []\n    output: { forward: true }\n    script: 'echo \"first line\"; echo second >&2; \
                while [ ! -e go ]; do sleep 0.01; done; printf \"\\033[31mlast\"'\n  \
                silent: { triggers: [], script: 'echo unheard' }\n";
    world.save("jobs.d/jobs.yaml", &format!("{}{jobs}", world.head()));
    world.start();
    world.until_synced();
    let log = |world: &World| fs::read_to_string(world.path("log")).unwrap();
    assert!(world.verb(&["run", "told"]).status.success());
    world.until("lines", |world| log(world).contains("| second"));
    world.write("go", "");
    world.until("rest", |world| log(world).contains("last"));
    let log = log(&world);
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("| ")).collect();
    assert_eq!(lines.len(), 3, "{log}");
    assert!(lines.iter().all(|line| line.contains("told")), "{log}");
    assert!(!log.contains('\u{1b}'), "{log}");
    world.runs("silent");
    world.stop();
    assert!(!fs::read_to_string(world.path("log")).unwrap().contains("unheard"));
}
