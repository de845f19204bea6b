//! What survives what: daemons that come and go, a supervisor that dies or leaves.

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use cronwright::io::executor::supervisor::{
    Launch, SupervisorError, SupervisorEvent, SupervisorHandle,
};
use cronwright::supervisor::protocol::{FromSupervisor, HowEnded, ToSupervisor};
use rustix::process::{Pid, Signal, getsid, kill_process};

use crate::supervisor::support::{
    Client, Raw, StateDir, alive, processes_of, text, told, unique, until,
};

const GATE: &str = "mkfifo gate.$$ && mv gate.$$ gate && read x < gate; echo through";

fn signal(pid: i32, signal: Signal) {
    kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
}

#[tokio::test]
async fn a_new_daemon_adopts_what_runs_and_gets_its_ending() {
    let dir = StateDir::new();
    let mut first = dir.fresh_client().await;
    first.handle.start(dir.script("long", GATE)).unwrap();
    let running = first.started().await;
    drop(first);

    let (mut second, events) = dir.client().await;
    let pid = u32::try_from(dir.supervisor()).unwrap();
    let connected = SupervisorEvent::Connected { pid, running: vec![running] };
    assert_eq!(events, [connected, SupervisorEvent::Ready]);
    until("gate", || dir.file("gate").exists()).await;
    std::fs::write(dir.file("gate"), "x\n").unwrap();
    let ending = second.ended().await;
    assert_eq!(ending.id, "long");
    assert_eq!(told(&ending), (HowEnded::Exited { code: 0 }, "through\n".to_owned()));
}

#[tokio::test]
async fn endings_wait_on_disk_until_they_are_recorded() {
    let dir = StateDir::new();
    let mut first = dir.fresh_client().await;
    first.handle.start(dir.script("../odd id", GATE)).unwrap();
    first.started().await;
    drop(first);
    until("gate", || dir.file("gate").exists()).await;
    std::fs::write(dir.file("gate"), "x\n").unwrap();
    let spooled = || {
        let files = std::fs::read_dir(dir.file("spool")).unwrap();
        files.filter(|file| file.as_ref().unwrap().path().extension().unwrap() == "jsonl").count()
    };
    until("spool file", || spooled() == 1).await;

    // Not even the supervisor's own death loses it.
    signal(dir.supervisor(), Signal::KILL);
    for round in 0..2 {
        let (client, events) = dir.client().await;
        let [
            SupervisorEvent::Connected { running, .. },
            SupervisorEvent::Ended(ending),
            SupervisorEvent::Ready,
        ] = &events[..]
        else {
            panic!("{events:?}")
        };
        assert_eq!((running.len(), ending.id.as_str()), (0, "../odd id"));
        assert_eq!(told(ending), (HowEnded::Exited { code: 0 }, "through\n".to_owned()));
        if round == 1 {
            client.handle.recorded("../odd id").unwrap();
            until("empty spool", || spooled() == 0).await;
        }
    }
    dir.fresh_client().await;
}

#[tokio::test]
async fn one_id_is_started_once() {
    let dir = StateDir::new();
    let mut client = dir.fresh_client().await;
    let process = dir.script("once", &format!("echo ran >> evidence; {GATE}"));
    client.handle.start(process.clone()).unwrap();
    client.handle.start(process.clone()).unwrap();
    let first = client.started().await;
    assert_eq!(client.started().await, first);
    until("gate", || dir.file("gate").exists()).await;
    std::fs::write(dir.file("gate"), "x\n").unwrap();
    let ending = client.ended().await;

    client.handle.start(process.clone()).unwrap();
    assert_eq!(client.ended().await, ending);
    client.handle.recorded("once").unwrap();
    client.handle.start(process).unwrap();
    assert_eq!(client.event().await, SupervisorEvent::Known { id: "once".to_owned() });
    assert_eq!(std::fs::read_to_string(dir.file("evidence")).unwrap(), "ran\n");
}

#[tokio::test]
async fn when_the_supervisor_is_killed_its_processes_end_and_are_reported() {
    let dir = StateDir::new();
    let mut client = dir.fresh_client().await;
    let id = unique("doomed");
    let script = "setsid sleep 1000 & (setsid sh -c 'sleep 1000; sleep 1000' &); echo on > ready; sleep 1000";
    client.handle.start(dir.script(&id, script)).unwrap();
    client.handle.start(dir.script("done", "true")).unwrap();
    client.started().await;
    let done = client.ended().await;
    until("ready", || dir.file("ready").exists()).await;
    let former = dir.supervisor();

    let begin = Instant::now();
    signal(former, Signal::KILL);
    let SupervisorEvent::Connected { pid, running } = client.event().await else { panic!() };
    assert!(running.is_empty() && i32::try_from(pid).unwrap() != former);
    let mut endings = [client.ended().await, client.ended().await];
    let took = begin.elapsed();
    assert!(took < Duration::from_secs(1), "{took:?}");
    endings.sort_by_key(|ending| ending.id.clone());
    assert_eq!(endings[0], done, "spooled, so it is known");
    assert_eq!((&endings[1].id, &endings[1].how), (&id, &HowEnded::Vanished));
    assert!(endings[1].started_at_ms.is_some());
    assert_eq!(processes_of(&id), Vec::<i32>::new());
    assert_eq!(client.event().await, SupervisorEvent::Ready);

    let ending = client.run(dir.script("after", "echo again")).await;
    assert_eq!(told(&ending), (HowEnded::Exited { code: 0 }, "again\n".to_owned()));
}

#[tokio::test]
async fn a_supervisor_that_cannot_be_started_again_is_reported_within_a_second() {
    let dir = StateDir::new();
    let exe = dir.file("program");
    std::fs::copy(crate::support::cronwright(), &exe).unwrap();
    let (mut client, _) = Client::new(Launch { exe: exe.clone(), ..dir.launch() }).await;
    let id = unique("doomed");
    client.handle.start(dir.script(&id, "sleep 1000; true")).unwrap();
    client.started().await;
    let aside = dir.file("aside");
    std::fs::rename(&exe, &aside).unwrap();
    let begin = Instant::now();
    signal(dir.supervisor(), Signal::KILL);
    let ending = client.ended().await;
    assert_eq!((&ending.id, ending.how), (&id, HowEnded::Vanished));
    assert!(begin.elapsed() < Duration::from_secs(2));

    // As soon as it can be started, it ends what was left.
    std::fs::rename(&aside, &exe).unwrap();
    assert!(matches!(client.event().await, SupervisorEvent::Connected { .. }));
    assert_eq!(client.event().await, SupervisorEvent::Ready);
    assert_eq!(processes_of(&id), Vec::<i32>::new());
}

#[tokio::test]
async fn a_supervisor_leaves_when_there_is_nothing_to_do() {
    let dir = StateDir::new();
    let launch = Launch { leave_after: Duration::from_millis(20), ..dir.launch() };
    let (mut client, _) = Client::new(launch).await;
    let supervisor = dir.supervisor();
    let ending = client.run(dir.script("a", "true")).await;
    client.handle.recorded(&ending.id).unwrap();
    drop(client);
    until("its end", || !alive(supervisor)).await;
    assert!(!dir.file("supervisor.sock").exists());
}

#[tokio::test]
async fn a_supervisor_does_not_wait_for_ever_for_endings_to_be_recorded() {
    let dir = StateDir::new();
    let launch = Launch { leave_after: Duration::from_millis(20), ..dir.launch() };
    let (mut client, _) = Client::new(launch).await;
    let supervisor = dir.supervisor();
    client.run(dir.script("a", "echo kept")).await;
    drop(client);
    until("its end", || !alive(supervisor)).await;

    let (_client, said) = dir.client().await;
    assert!(
        matches!(&said[..], [_, SupervisorEvent::Ended(ending), _] if text(ending) == "kept\n"),
        "its successor says it: {said:?}"
    );
}

#[tokio::test]
async fn a_supervisor_whose_state_directory_was_removed_leaves_and_spares_its_successor() {
    let dir = StateDir::new();
    let launch = Launch { leave_after: Duration::from_millis(20), ..dir.launch() };
    let (mut client, _) = Client::new(launch).await;
    let supervisor = dir.supervisor();
    client.handle.start(dir.script("a", GATE)).unwrap();
    client.started().await;
    until("gate", || dir.file("gate").exists()).await;
    drop(client);
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            std::fs::remove_dir_all(path).unwrap();
        } else if !path.ends_with("gate") {
            std::fs::remove_file(path).unwrap();
        }
    }

    let _successor = dir.fresh_client().await;
    assert_ne!(dir.supervisor(), supervisor);
    std::fs::write(dir.file("gate"), "x\n").unwrap();
    until("its end", || !alive(supervisor)).await;
    let spooled = std::fs::read_dir(dir.file("spool")).unwrap().count();
    assert_eq!((spooled, dir.file("supervisor.sock").exists()), (0, true));
}

#[tokio::test]
async fn a_supervisor_asked_to_leave_stays_while_something_runs() {
    let dir = StateDir::new();
    let mut client = dir.fresh_client().await;
    let supervisor = dir.supervisor();
    client.handle.start(dir.script("a", GATE)).unwrap();
    client.started().await;
    until("gate", || dir.file("gate").exists()).await;
    signal(supervisor, Signal::HUP);
    signal(supervisor, Signal::TERM);
    let log = || std::fs::read_to_string(dir.file("supervisor.log")).unwrap();
    until("its word", || log().contains("asked to leave; stays running=1")).await;

    // The connection may have been given up; the client comes back by itself.
    std::fs::write(dir.file("gate"), "x\n").unwrap();
    let ending = loop {
        match client.event().await {
            SupervisorEvent::Ended(ending) => break ending,
            SupervisorEvent::Connected { pid, .. } => {
                assert_eq!(i32::try_from(pid).unwrap(), supervisor);
            }
            SupervisorEvent::Ready => {}
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(told(&ending), (HowEnded::Exited { code: 0 }, "through\n".to_owned()));

    client.handle.recorded("a").unwrap();
    signal(supervisor, Signal::TERM);
    // Whether it is gone already or about to go: this order is carried out, by one of the two.
    client.handle.start(dir.script("b", "echo b")).unwrap();
    until("its end", || !alive(supervisor) || log().matches("stays").count() > 1).await;
    loop {
        match client.event().await {
            SupervisorEvent::Ended(ending) if ending.id == "b" => {
                assert_eq!(told(&ending), (HowEnded::Exited { code: 0 }, "b\n".to_owned()));
                break;
            }
            SupervisorEvent::Ended(ending) => assert_eq!(ending.id, "a"),
            SupervisorEvent::Connected { .. } | SupervisorEvent::Ready => {}
            SupervisorEvent::Started(running) => assert_eq!(running.id, "b"),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_second_daemon_replaces_the_first_whose_orders_are_carried_out() {
    let dir = StateDir::new();
    let mut first = dir.fresh_client().await;
    let mut raw = Raw::connect(&dir);
    raw.say(&ToSupervisor::Hello { protocol: 1 });
    assert!(matches!(raw.hear(), Some(FromSupervisor::Hello { .. })));
    assert_eq!(raw.hear(), Some(FromSupervisor::Ready));
    assert_eq!(first.event().await, SupervisorEvent::Replaced);
    until("closed", || first.handle.stop("x").is_err()).await;

    // Orders and the next daemon's greeting are in the sockets at the same time.
    let orders = 200;
    for number in 0..orders {
        let process = dir.command(&format!("{number}"), &["/bin/sleep", "1000"]);
        raw.say(&ToSupervisor::Start(Box::new(process)));
    }
    let (_second, events) = dir.client().await;
    let SupervisorEvent::Connected { running, .. } = &events[0] else { panic!("{events:?}") };
    assert_eq!(running.len(), orders);
    let mut last = None;
    while let Some(message) = raw.hear() {
        last = Some(message);
    }
    assert_eq!(last, Some(FromSupervisor::Replaced));
}

#[tokio::test]
async fn orders_that_come_all_at_once_are_all_carried_out() {
    let dir = StateDir::new();
    let mut client = dir.fresh_client().await;
    let count = 300;
    for number in 0..count {
        client.handle.start(dir.command(&format!("{number}"), &["/bin/true"])).unwrap();
    }
    let mut ended = std::collections::BTreeSet::new();
    while ended.len() < count {
        let ending = client.ended().await;
        assert_eq!(ending.how, HowEnded::Exited { code: 0 });
        client.handle.recorded(&ending.id).unwrap();
        assert!(ended.insert(ending.id));
    }
    // A message of 200 kB is longer than any buffer on the way.
    let mut process = dir.script("long", "echo ${#LONG}");
    process.env.insert("LONG".to_owned(), "x".repeat(120_000));
    assert_eq!(told(&client.run(process).await).1, "120000\n");
    let mut process = dir.command("too long", &["/bin/true"]);
    process.argv.extend(std::iter::repeat_n("x".repeat(100_000), 30));
    let message = "cannot start `/bin/true`: Argument list too long (os error 7)".to_owned();
    assert_eq!(client.run(process.clone()).await.how, HowEnded::NotStarted { message });
    process.id = "far too long".to_owned();
    process.argv.extend(std::iter::repeat_n("x".repeat(100_000), 200));
    let message = "command and environment together are longer than 16777216 bytes".to_owned();
    assert_eq!(client.run(process).await.how, HowEnded::NotStarted { message });
}

#[tokio::test]
async fn many_are_stopped_together() {
    let dir = StateDir::new();
    let mut client = dir.fresh_client().await;
    let count = 100;
    for number in 0..count {
        let id = format!("{number}");
        client.handle.start(dir.command(&id, &["/bin/sleep", "1000"])).unwrap();
        client.handle.stop(&id).unwrap();
    }
    for _ in 0..count {
        assert_eq!(client.ended().await.how, HowEnded::Stopped);
    }
}

#[tokio::test]
async fn a_daemon_of_another_version_is_refused_and_the_present_one_stays() {
    let dir = StateDir::new();
    let mut client = dir.fresh_client().await;
    for (first_line, answered) in [
        (&b"{\"hello\":{\"protocol\":99}}\n"[..], true),
        (b"{\"quit\":null}\n", false),
        (b"\"quit\"\n", false),
        (b"\xff\xfe nonsense\n", false),
    ] {
        let mut raw = Raw::connect(&dir);
        raw.say_bytes(first_line);
        if answered {
            let hello = raw.hear();
            assert!(matches!(hello, Some(FromSupervisor::Hello { protocol: 1, .. })), "{hello:?}");
        }
        assert_eq!(raw.hear(), None, "{first_line:?}");
    }
    assert_eq!(client.run(dir.script("a", "true")).await.how, HowEnded::Exited { code: 0 });
}

#[tokio::test]
async fn there_is_one_supervisor_in_a_session_of_its_own() {
    let dir = StateDir::new();
    let _client = dir.fresh_client().await;
    let supervisor = dir.supervisor();
    let again = std::process::Command::new(crate::support::cronwright())
        .args(["supervisor", "--state-dir"])
        .arg(dir.path())
        .output()
        .unwrap();
    assert!(again.status.success(), "{again:?}");
    assert_eq!(dir.supervisor(), supervisor);
    let pid = Pid::from_raw(supervisor).unwrap();
    assert_eq!(getsid(Some(pid)).unwrap(), pid);
    assert_eq!(
        std::fs::read_link(format!("/proc/{supervisor}/cwd")).unwrap(),
        std::path::Path::new("/")
    );
    for (name, mode) in [
        ("supervisor.sock", 0o600),
        ("supervisor.lock", 0o600),
        ("supervisor.log", 0o600),
        ("spool", 0o700),
        ("results", 0o700),
    ] {
        let found = std::fs::metadata(dir.file(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(found, mode, "{name}");
    }
}

#[tokio::test]
async fn a_state_directory_that_cannot_be_used_is_an_error_in_words() {
    let dir = StateDir::new();
    let folder = dir.file("file");
    std::fs::write(&folder, "").unwrap();
    let launch = Launch { state_dir: folder, ..dir.launch() };
    let Err(error) = SupervisorHandle::connect_or_start(launch).await else { panic!() };
    assert!(
        matches!(error, SupervisorError::Connection { .. } | SupervisorError::NotStarted(_)),
        "{error}"
    );

    let launch = Launch { exe: "/no/program".into(), ..dir.launch() };
    let Err(error) = SupervisorHandle::connect_or_start(launch).await else { panic!() };
    assert_eq!(
        error.to_string(),
        "cannot run `/no/program` as the supervisor: No such file or directory (os error 2)"
    );
}
