//! What differs from a plain process: mask, limits, streams that are not kept, leftovers that stay.

use cronwright::supervisor::protocol::{HowEnded, StartProcess, StartRules};
use rustix::process::{Pid, Resource, Signal, getrlimit, kill_process};

use crate::supervisor::support::{StateDir, alive, text, told, until};

fn with(process: StartProcess, rules: StartRules) -> StartProcess {
    StartProcess { rules, ..process }
}

#[tokio::test]
async fn the_mask_decides_who_may_read_new_files() {
    let dir = StateDir::new();
    let mut client = dir.fresh_client().await;
    let script = "umask; touch new; stat -c %a new";
    let rules = StartRules { umask: Some(0o027), ..StartRules::default() };
    assert_eq!(text(&client.run(with(dir.script("mask", script), rules)).await), "0027\n640\n");
}

#[tokio::test]
async fn the_codes_of_success_come_back_with_the_ending() {
    let dir = StateDir::new();
    let mut client = dir.fresh_client().await;
    let rules = StartRules { success_exit_codes: vec![0, 3], ..StartRules::default() };
    let ending = client.run(with(dir.script("codes", "exit 3"), rules)).await;
    assert_eq!(ending.how, HowEnded::Exited { code: 3 });
    assert_eq!(ending.success_exit_codes, [0, 3]);
}

#[tokio::test]
async fn a_stream_that_is_not_kept_is_thrown_away() {
    let dir = StateDir::new();
    let mut client = dir.fresh_client().await;
    for (discard_stdout, discard_stderr, kept) in
        [(true, false, "err\n"), (false, true, "out\n"), (true, true, "")]
    {
        let rules = StartRules { discard_stdout, discard_stderr, ..StartRules::default() };
        let process = dir.script(&format!("{kept:?}"), "echo out; echo err >&2; exit 4");
        let ending = client.run(with(process, rules)).await;
        assert_eq!(told(&ending), (HowEnded::Exited { code: 4 }, kept.to_owned()));
        assert_eq!(ending.output.bytes, kept.len() as u64);
    }
}

#[tokio::test]
async fn a_process_may_hold_so_many_files_and_no_more() {
    let dir = StateDir::new();
    let mut client = dir.fresh_client().await;
    let limited = |id: &str, files| {
        let rules = StartRules { open_files_max: Some(files), ..StartRules::default() };
        with(dir.script(id, "ulimit -Sn; ulimit -Hn"), rules)
    };
    assert_eq!(text(&client.run(limited("few", 64)).await), "64\n64\n");
    let Some(most) = getrlimit(Resource::Nofile).maximum else { return };
    let message =
        format!("`limits.files` is {}, and this machine allows {most} (`ulimit -Hn`)", most + 1);
    let ending = client.run(limited("many", most + 1)).await;
    assert_eq!(ending.how, HowEnded::NotStarted { message });
}

#[tokio::test]
async fn cpu_time_ends_a_process_that_takes_more() {
    let dir = StateDir::new();
    let mut client = dir.fresh_client().await;
    let rules = StartRules { cpu_seconds_max: Some(1), ..StartRules::default() };
    let ending = client.run(with(dir.script("busy", "while :; do :; done"), rules)).await;
    assert_eq!(ending.how, HowEnded::Signalled { signal: 24 });
}

#[tokio::test]
async fn leftovers_that_are_left_alone_outlive_their_job_and_the_supervisor() {
    let dir = StateDir::new();
    let mut client = dir.fresh_client().await;
    let rules = StartRules { leave_leftovers: true, ..StartRules::default() };
    let process = dir.script("daemon", "sleep 1000 & echo $!; exit 3");
    let ending = client.run(with(process, rules)).await;
    assert_eq!(ending.how, HowEnded::Exited { code: 3 });
    let left: i32 = text(&ending).trim().parse().unwrap();
    assert!(alive(left));

    // A sweep for others, and the end of the supervisor with all its processes, do not touch it.
    client.run(dir.script("other", "setsid sleep 1000 >/dev/null 2>&1 & true")).await;
    let supervisor = dir.supervisor();
    drop(dir);
    until("end of the supervisor", || !alive(supervisor)).await;
    assert!(alive(left));
    kill_process(Pid::from_raw(left).unwrap(), Signal::KILL).unwrap();
}

#[tokio::test]
async fn a_timeout_ends_also_what_would_have_been_left_alone() {
    let dir = StateDir::new();
    let mut client = dir.fresh_client().await;
    let rules = StartRules { leave_leftovers: true, ..StartRules::default() };
    let mut process = dir.script("late", "sleep 1000 & echo $!; sleep 1000; true");
    process.timeout_ms = Some(300);
    let ending = client.run(with(process, rules)).await;
    let (how, child) = told(&ending);
    assert_eq!(how, HowEnded::TimedOut);
    assert!(!alive(child.trim().parse().unwrap()));
}
