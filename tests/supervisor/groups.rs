//! Control groups of the kernel itself, where this machine lets us make some.

use std::fs;
use std::path::PathBuf;

use cronwright::supervisor::cgroup::offer::{offered_to, refusal};
use cronwright::supervisor::protocol::{GroupLimits, HowEnded, StartProcess, StartRules};
use rustix::process::{Pid, Signal, kill_process};

use crate::supervisor::support::{Client, StateDir, alive, text, until};
use crate::support::groups::{base, names, of_supervisor};

impl StateDir {
    /// The group of its supervisor.
    fn group(&self, base: &std::path::Path) -> PathBuf {
        of_supervisor(base, &self.file("supervisor.lock"))
    }

    /// The number that a process has written to a file.
    async fn pid_in(&self, file: &str) -> i32 {
        let read = || fs::read_to_string(self.file(file)).unwrap_or_default();
        until(file, || read().ends_with('\n')).await;
        read().trim().parse().unwrap()
    }
}

/// Clears its environment, leaves its session and loses its parent: nothing but its group tells whose it is.
const FLEES: &str =
    "(setsid env -i sh -c 'echo $$ > fled; exec sleep 1000' </dev/null >/dev/null 2>&1 &)";

fn with(process: StartProcess, rules: StartRules) -> StartProcess {
    StartProcess { rules, ..process }
}

#[tokio::test]
async fn a_process_begins_in_a_group_of_its_own_which_goes_with_it() {
    let Some(base) = base("a_process_begins_in_a_group_of_its_own") else { return };
    let dir = StateDir::new();
    let mut client = dir.fresh_client().await;
    let script = "grep ^0:: /proc/self/cgroup; sh -c 'grep ^0:: /proc/self/cgroup'";
    let ending = client.run(dir.script("an@id", script)).await;
    let told = text(&ending);
    let lines: Vec<&str> = told.lines().collect();
    assert!(lines[0].ends_with("/run-2-an_id") && lines[0] == lines[1], "{told}");
    assert!(ending.applied.unwrap().is_in_group && ending.hit.is_none());
    until("removal", || names(&dir.group(&base)).is_empty()).await;
    client.handle.recorded("an@id").unwrap();
    // A group of one that cannot be started goes as well.
    let ending = client.run(dir.command("absent", &["/no/such"])).await;
    assert!(matches!(ending.how, HowEnded::NotStarted { .. }) && ending.applied.is_none());
    assert!(names(&dir.group(&base)).is_empty());
    let group = dir.group(&base);
    drop((client, dir));
    assert!(!group.exists(), "it leaves none of its own");
}

#[tokio::test]
async fn what_leaves_session_parent_and_environment_is_killed_by_its_group() {
    let Some(base) = base("what_leaves_session_parent_and_environment") else { return };
    let dir = StateDir::new();
    let mut client = dir.fresh_client().await;
    let waits = format!("{FLEES}; until [ -s fled ]; do sleep 0.01; done");
    // At the end of the main process.
    let ending = client.run(dir.script("ending", &waits)).await;
    assert_eq!(ending.how, HowEnded::Exited { code: 0 });
    assert!(!alive(dir.pid_in("fled").await));
    fs::remove_file(dir.file("fled")).unwrap();
    // By a time limit.
    let mut late = dir.script("late", &format!("trap '' TERM; {waits}; sleep 1000; sleep 1000"));
    (late.timeout_ms, late.kill_grace_ms) = (Some(500), 100);
    let ending = client.run(late).await;
    assert_eq!(ending.how, HowEnded::TimedOut);
    assert!(!alive(dir.pid_in("fled").await));
    fs::remove_file(dir.file("fled")).unwrap();
    // By a stop.
    client.handle.start(dir.script("stopped", &format!("{waits}; sleep 1000"))).unwrap();
    client.started().await;
    let fled = dir.pid_in("fled").await;
    client.handle.kill("stopped").unwrap();
    assert_eq!(client.ended().await.how, HowEnded::Stopped);
    assert!(!alive(fled));
    until("removal", || names(&dir.group(&base)).is_empty()).await;
}

#[tokio::test]
async fn a_fork_that_never_stops_is_ended_whole() {
    if base("a_fork_that_never_stops_is_ended_whole").is_none() {
        return;
    }
    let dir = StateDir::new();
    let mut client = dir.fresh_client().await;
    // Each of them starts its successor and ends: who looks and kills one by one comes too late. (Without the folder
    // of this test it ends by itself.)
    let script = "echo 'setsid sh chain </dev/null >/dev/null 2>&1 &' > chain; sh chain; sleep 0.2";
    let ending = client.run(dir.script("chain", script)).await;
    assert_eq!(ending.how, HowEnded::Exited { code: 0 });
    until("end of the chain", || {
        !fs::read_dir("/proc").unwrap().any(|entry| {
            let line = fs::read(entry.unwrap().path().join("cmdline")).unwrap_or_default();
            line == b"sh\0chain\0"
        })
    })
    .await;
}

#[tokio::test]
async fn what_is_left_alone_stays_and_has_no_group_without_limits() {
    let Some(base) = base("what_is_left_alone_stays") else { return };
    let dir = StateDir::new();
    let mut client = dir.fresh_client().await;
    let rules = StartRules { leave_leftovers: true, ..StartRules::default() };
    let script =
        format!("grep ^0:: /proc/self/cgroup; {FLEES}; until [ -s fled ]; do sleep 0.01; done");
    let ending = client.run(with(dir.script("leaving", &script), rules)).await;
    assert!(!text(&ending).contains("leaving"), "{}", text(&ending));
    assert!(!ending.applied.unwrap().is_in_group);
    let fled = dir.pid_in("fled").await;
    assert!(alive(fled) && names(&dir.group(&base)).is_empty());
    kill_process(Pid::from_raw(fled).unwrap(), Signal::KILL).unwrap();
}

#[tokio::test]
async fn the_next_supervisor_kills_what_is_in_the_groups_of_one_that_died() {
    let Some(base) = base("the_next_supervisor_kills") else { return };
    let dir = StateDir::new();
    let mut client = dir.fresh_client().await;
    client.handle.start(dir.script("fleeing", &format!("{FLEES}; sleep 1000"))).unwrap();
    client.started().await;
    let fled = dir.pid_in("fled").await;
    let group = dir.group(&base);
    kill_process(Pid::from_raw(dir.supervisor()).unwrap(), Signal::KILL).unwrap();
    drop(client);
    let (_client, _) = Client::new(dir.launch()).await;
    assert!(dir.group(&base) != group && !group.exists());
    until("its end", || !alive(fled)).await;
}

#[tokio::test]
async fn a_limit_that_this_machine_cannot_hold_starts_nothing() {
    let dir = StateDir::new();
    let mut client = dir.fresh_client().await;
    for (id, group_limits) in [
        ("cpu", GroupLimits { cpu_thousandths_max: Some(500), ..GroupLimits::default() }),
        ("memory", GroupLimits { memory_bytes_max: Some(64 << 20), ..GroupLimits::default() }),
        ("pids", GroupLimits { pids_max: Some(20), ..GroupLimits::default() }),
    ] {
        let rules = StartRules { group_limits, ..StartRules::default() };
        let ending = client.run(with(dir.script(id, "touch ran"), rules)).await;
        match refusal(&offered_to(None), &group_limits) {
            Some(message) => {
                assert_eq!(ending.how, HowEnded::NotStarted { message });
                assert!(!dir.file("ran").exists() && ending.applied.is_none());
            }
            None => assert_eq!(ending.applied.unwrap().group_limits, group_limits),
        }
    }
}

#[tokio::test]
async fn a_fork_bomb_is_stopped_by_its_limit_and_nothing_else_is() {
    let group_limits = GroupLimits { pids_max: Some(20), ..GroupLimits::default() };
    if let Some(why) = refusal(&offered_to(None), &group_limits) {
        println!("skipped: 1 test needs the controller `pids`: a_fork_bomb_is_stopped: {why}");
        return;
    }
    let dir = StateDir::new();
    let mut client = dir.fresh_client().await;
    let rules = StartRules { group_limits, ..StartRules::default() };
    let mut bomb = with(dir.script("bomb", "b() { b | b & }; b; sleep 0.5; exit 1"), rules);
    bomb.timeout_ms = Some(20_000);
    let ending = client.run(bomb).await;
    assert_eq!(ending.hit, Some(cronwright::supervisor::protocol::LimitHit::Pids), "{ending:?}");
    assert_eq!(client.run(dir.script("after", "true")).await.how, HowEnded::Exited { code: 0 });
}

#[tokio::test]
async fn who_takes_more_memory_than_it_may_is_killed_for_that() {
    let group_limits = GroupLimits { memory_bytes_max: Some(32 << 20), ..GroupLimits::default() };
    if let Some(why) = refusal(&offered_to(None), &group_limits) {
        println!("skipped: 1 test needs the controller `memory`: who_takes_more_memory: {why}");
        return;
    }
    let dir = StateDir::new();
    let mut client = dir.fresh_client().await;
    let rules = StartRules { group_limits, ..StartRules::default() };
    let script = "head -c 200000000 /dev/zero | tail -c 150000000 | wc -c";
    let ending = client.run(with(dir.script("greedy", script), rules)).await;
    assert_eq!(ending.hit, Some(cronwright::supervisor::protocol::LimitHit::Memory), "{ending:?}");
}
