//! Processes that serve one call of a Python class after the other.

use std::time::Duration;

use cronwright::io::executor::python::{CALL_VARIABLE, CallProcess, Keep, Python};
use cronwright::io::executor::supervisor::Launch;
use cronwright::spec::task::call::Call;
use cronwright::supervisor::protocol::{HowEnded, StartProcess, StartRules, WarmRules};
use rustix::process::{Pid, Signal, kill_process};

use crate::supervisor::support::{Client, StateDir, alive, until};

/// A file counts as settled some time after it was written: so many calls take longer than that.
const CALLS_UNTIL_KEPT: u32 = 400;

const CLASSES: &str = r#"import os


class Seen:

    def main(self):
        return [os.getpid(), os.environ.get("TOKEN"), b"TOKEN" in open("/proc/self/environ", "rb").read()]


class Lying:

    def main(self):
        os.write(3, b"\0")
        print("after its word")
"#;

/// A call, with a secret when there is one.
fn call(dir: &StateDir, id: &str, class: &str, token: Option<&str>) -> StartProcess {
    let root = dir.file("tasks");
    if !root.exists() {
        std::fs::create_dir(&root).unwrap();
        std::fs::write(root.join("m.py"), CLASSES).unwrap();
    }
    let keep = Some(Keep { memory_bytes_max: 512 << 20 });
    let allow = vec!["*".to_owned()];
    let python = Python { interpreter: "python3".into(), root, allow, keep };
    let caller = python.install(dir.path()).unwrap();
    let CallProcess { argv, call, .. } = caller.process(&Call::parse(class).unwrap(), keep, false);
    let mut process = dir.command(id, &[]);
    process.argv = argv;
    process.env.insert(CALL_VARIABLE.to_owned(), call);
    process.env.extend(token.map(|token| ("TOKEN".to_owned(), token.to_owned())));
    let call_variables = vec![CALL_VARIABLE.to_owned(), "CRONWRIGHT_EXECUTION_ID".to_owned()];
    let warm = Some(WarmRules { call_variables, memory_bytes_max: 512 << 20 });
    process.rules =
        StartRules { warm, secret_variables: vec!["TOKEN".to_owned()], ..StartRules::default() };
    process
}

/// The process that served it, and what it saw of its secret.
async fn seen(client: &mut Client, process: StartProcess) -> (i32, String) {
    let ending = client.run(process).await;
    assert_eq!(ending.how, HowEnded::Exited { code: 0 });
    let result: serde_json::Value = serde_json::from_str(&ending.result.unwrap()).unwrap();
    let pid = i32::try_from(result["result"][0].as_i64().unwrap()).unwrap();
    (pid, format!("{} {}", result["result"][1], result["result"][2]))
}

/// A process that is kept: those before it may have met files that had just been written.
async fn kept(dir: &StateDir, client: &mut Client) -> i32 {
    let mut last = 0;
    for number in 1..=CALLS_UNTIL_KEPT {
        let id = format!("kept-{number}");
        let (pid, _) = seen(client, call(dir, &id, "m.Seen()", None)).await;
        client.handle.recorded(&id).unwrap();
        if pid == last {
            return pid;
        }
        last = pid;
    }
    panic!("no process was kept in {CALLS_UNTIL_KEPT} calls");
}

/// Whether it has ended, reaped or not.
fn has_ended(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_none_or(|rest| rest.is_empty() || rest.starts_with('Z'))
}

#[tokio::test]
async fn a_process_that_dies_while_it_waits_is_replaced() {
    let dir = StateDir::new();
    let mut client = dir.fresh_client().await;
    let pid = kept(&dir, &mut client).await;
    assert_eq!(seen(&mut client, call(&dir, "same", "m.Seen()", None)).await.0, pid);
    kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
    until("its end", || has_ended(pid)).await;
    assert_ne!(seen(&mut client, call(&dir, "other", "m.Seen()", None)).await.0, pid);
    until("its reaping", || !std::path::Path::new(&format!("/proc/{pid}")).exists()).await;
}

#[tokio::test]
async fn who_has_held_a_secret_serves_no_call_that_has_another() {
    let dir = StateDir::new();
    let mut client = dir.fresh_client().await;
    let without = kept(&dir, &mut client).await;
    let (with, saw) = seen(&mut client, call(&dir, "a", "m.Seen()", Some("sesame-one"))).await;
    // The value is masked in what is kept, and stands nowhere in what the process was started with.
    assert!(saw.ends_with("false") && !saw.starts_with("null"), "{saw}");
    let (again, _) = seen(&mut client, call(&dir, "b", "m.Seen()", Some("sesame-one"))).await;
    let (other, _) = seen(&mut client, call(&dir, "c", "m.Seen()", Some("sesame-two"))).await;
    assert!(with == again && with != other && with != without && other != without);
    let (back, saw) = seen(&mut client, call(&dir, "d", "m.Seen()", None)).await;
    assert_eq!((back, saw.as_str()), (without, "null false"));
}

#[tokio::test]
async fn a_class_that_says_too_early_that_it_is_over_loses_its_process_and_no_output() {
    let dir = StateDir::new();
    let mut client = dir.fresh_client().await;
    let pid = kept(&dir, &mut client).await;
    let lying = client.run(call(&dir, "lying", "m.Lying()", None)).await;
    assert!(lying.output.bytes > 0, "{lying:?}");
    until("its end", || !alive(pid)).await;
    assert_ne!(seen(&mut client, call(&dir, "next", "m.Seen()", None)).await.0, pid);
}

#[tokio::test]
async fn a_supervisor_leaves_although_a_process_waits() {
    let dir = StateDir::new();
    let launch = Launch { leave_after: Duration::from_millis(20), ..dir.launch() };
    let (mut client, _) = Client::new(launch).await;
    let pid = kept(&dir, &mut client).await;
    let supervisor = dir.supervisor();
    assert!(alive(pid) && alive(supervisor));
    drop(client);
    until("its end", || !alive(supervisor) && !alive(pid)).await;
}
