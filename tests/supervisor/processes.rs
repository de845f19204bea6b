//! What happens to one process: start, output, end, timeouts, leftovers.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;

use cronwright::io::executor::output_of;
use cronwright::supervisor::protocol::HowEnded;

use crate::supervisor::support::{StateDir, alive, processes_of, text, told, unique, until};

#[tokio::test]
async fn a_process_ends_by_its_code_or_by_a_signal() {
    let dir = StateDir::new();
    let mut client = dir.fresh_client().await;
    for (script, how, output) in [
        ("echo out; echo err >&2", HowEnded::Exited { code: 0 }, "out\nerr\n"),
        ("exit 3", HowEnded::Exited { code: 3 }, ""),
        ("echo x; kill -SEGV $$", HowEnded::Signalled { signal: 11 }, "x\n"),
        ("cat; pwd", HowEnded::Exited { code: 0 }, &format!("{}\n", dir.path().display())),
        ("kill -KILL $$", HowEnded::Signalled { signal: 9 }, ""),
    ] {
        let ending = client.run(dir.script(script, script)).await;
        assert_eq!(told(&ending), (how, output.to_owned()), "{script}");
        assert!(ending.started_at_ms.unwrap() <= ending.finished_at_ms);
        assert!(ending.duration_ms.is_some());
    }
}

#[tokio::test]
async fn a_process_that_cannot_be_started_says_why() {
    let dir = StateDir::new();
    let mut client = dir.fresh_client().await;
    let here = dir.path().display();
    for (name, content, mode) in [
        ("plain", "echo hi", 0o755),
        ("locked", "#!/bin/sh\n", 0o644),
        ("lost", "#!/no/sh\n", 0o755),
    ] {
        std::fs::write(dir.file(name), content).unwrap();
        std::fs::set_permissions(dir.file(name), std::fs::Permissions::from_mode(mode)).unwrap();
    }
    let missing = "No such file or directory (os error 2)";
    for (argv, working_dir, message) in [
        (&["/no/such"][..], None, format!("cannot start `/no/such`: {missing}")),
        (
            &["no-such"],
            None,
            "cannot start `no-such`: it is in no folder of the PATH `/usr/local/bin:/usr/bin:/bin`"
                .into(),
        ),
        (
            &["./plain"],
            None,
            format!("cannot start `{here}/./plain`: Exec format error (os error 8)"),
        ),
        (
            &["./locked"],
            None,
            format!("cannot start `{here}/./locked`: Permission denied (os error 13)"),
        ),
        (
            &["./lost"],
            None,
            format!("cannot start `{here}/./lost`: {missing} (its interpreter is missing)"),
        ),
        (
            &["/bin/true"],
            Some("/no/dir"),
            format!("cannot enter the working directory `/no/dir`: {missing}"),
        ),
        (
            &["/bin/true"],
            Some("/bin/true"),
            "cannot enter the working directory `/bin/true`: Not a directory (os error 20)".into(),
        ),
        (&["/bin/true", "a\0b"], None, "an argument holds a zero byte: `a\\0b`".into()),
        (&[], None, "the command is empty".into()),
    ] {
        let mut process = dir.command(&format!("{argv:?} {working_dir:?}"), argv);
        process.working_dir = working_dir.map_or(process.working_dir, ToOwned::to_owned);
        let ending = client.run(process).await;
        assert_eq!(ending.how, HowEnded::NotStarted { message });
        assert_eq!((ending.started_at_ms, ending.duration_ms), (None, None));
    }
    // Somebody writes the program.
    std::fs::write(dir.file("busy"), "#!/bin/sh\n").unwrap();
    std::fs::set_permissions(dir.file("busy"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let writing = std::fs::OpenOptions::new().write(true).open(dir.file("busy")).unwrap();
    let message = format!("cannot start `{here}/./busy`: Text file busy (os error 26)");
    let ending = client.run(dir.command("busy", &["./busy"])).await;
    assert_eq!(ending.how, HowEnded::NotStarted { message });
    drop(writing);
    let mut process = dir.command("env", &["/bin/true"]);
    process.env.insert("A".into(), "secret\0".into());
    let message = "the environment variable `A` holds a zero byte".to_owned();
    assert_eq!(client.run(process).await.how, HowEnded::NotStarted { message });
}

#[tokio::test]
async fn the_environment_is_what_was_given_and_nothing_else_is_inherited() {
    let dir = StateDir::new();
    // A descriptor that the starter of the supervisor forgot to close at exec.
    let open = std::fs::File::open("/dev/null").unwrap();
    rustix::io::fcntl_setfd(&open, rustix::io::FdFlags::empty()).unwrap();
    let mut client = dir.fresh_client().await;

    let mut process = dir.command("env", &["/usr/bin/env", "-0"]);
    process.env = BTreeMap::from([
        ("A".into(), "1\n2".into()),
        ("CRONWRIGHT_RESULT".into(), "not this".into()),
        ("EMPTY".into(), String::new()),
    ]);
    process.output_bytes_max = 64 * 1024;
    let environment = text(&client.run(process).await);
    let lines: Vec<&str> = environment.split_terminator('\0').collect();
    let names: Vec<&str> = lines.iter().map(|line| line.split_once('=').unwrap().0).collect();
    assert_eq!(names, ["A", "CRONWRIGHT_RESULT", "CRONWRIGHT_SUPERVISOR", "EMPTY"]);
    assert_eq!((lines[0], lines[3]), ("A=1\n2", "EMPTY="));
    let results = format!("CRONWRIGHT_RESULT={}/results/", dir.path().display());
    assert!(lines[1].starts_with(&results), "{}", lines[1]);

    // A glob over the folder would open a descriptor of its own.
    let descriptors = "n=0; while [ $n -lt 1000 ]; do [ -e /proc/$$/fd/$n ] && echo $n; n=$((n+1)); done; \
                       readlink /proc/$$/fd/0";
    let ending = client.run(dir.script("descriptors", descriptors)).await;
    assert_eq!(text(&ending), "0\n1\n2\n/dev/null\n");

    let ending =
        client.run(dir.script("signals", "ulimit -Sn; cat /proc/$$/status | grep Sig")).await;
    let text = text(&ending);
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap();
    assert_eq!(text.lines().next(), Some(&*limit.to_string()));
    for name in ["SigBlk:", "SigIgn:"] {
        let mask = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        // The C library keeps signals 32 and 33 to itself; they may be inherited ignored.
        let mask = u64::from_str_radix(mask.trim(), 16).unwrap() & !0b11_u64.rotate_left(31);
        assert_eq!(mask, 0, "{name} {mask:x}");
    }
    drop(open);
}

#[tokio::test]
async fn results_are_json_of_at_most_64_kib_and_what_is_not_kept_is_said() {
    let dir = StateDir::new();
    let mut client = dir.fresh_client().await;
    for (script, result, refused) in [
        (r#"echo '{"a": [1]}' > $CRONWRIGHT_RESULT"#, Some(r#"{"a": [1]}"#), ""),
        (
            "echo nonsense > $CRONWRIGHT_RESULT",
            None,
            "it is not JSON: expected ident at line 1 column 2",
        ),
        ("printf '\\377' > $CRONWRIGHT_RESULT", None, "it is not UTF-8"),
        (
            "head -c 65537 /dev/zero | tr '\\0' 1 > $CRONWRIGHT_RESULT",
            None,
            "it is longer than 65536 bytes",
        ),
        ("rm $CRONWRIGHT_RESULT; mkfifo $CRONWRIGHT_RESULT", None, "it is no file"),
        (
            "ln -sf /etc/hostname $CRONWRIGHT_RESULT",
            None,
            "it cannot be read: Too many levels of symbolic links (os error 40)",
        ),
        ("rm $CRONWRIGHT_RESULT", None, ""),
        ("true", None, ""),
    ] {
        let ending = client.run(dir.script(script, script)).await;
        let said = match refused {
            "" => String::new(),
            refused => format!("CRONWRIGHT_RESULT is not kept: {refused}\n"),
        };
        assert_eq!(told(&ending), (HowEnded::Exited { code: 0 }, said), "{script}");
        assert_eq!(ending.result.as_deref(), result, "{script}");
    }
    assert_eq!(std::fs::read_dir(dir.file("results")).unwrap().count(), 0);
}

#[tokio::test]
async fn any_byte_survives_and_live_output_can_be_asked_for() {
    let dir = StateDir::new();
    let mut client = dir.fresh_client().await;
    let ending = client.run(dir.script("binary", r"printf '\377\000\001\n'")).await;
    assert_eq!(output_of(&ending.output).head, [0xff, 0, 1, b'\n']);

    client.handle.start(dir.script("live", "echo so far; read x < gate")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        dir.file("gate"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        0,
    )
    .unwrap();
    client.started().await;
    loop {
        let output = client.handle.output("live").await.unwrap();
        if output.head == b"so far\n" {
            break;
        }
        assert!(output.bytes < 7, "{output:?}");
    }
    assert_eq!(client.handle.output("nobody").await, None);
    client.handle.kill("live").unwrap();
    assert_eq!(told(&client.ended().await), (HowEnded::Stopped, "so far\n".to_owned()));
    assert_eq!(client.handle.output("live").await.unwrap().head, b"so far\n", "not recorded yet");
}

#[tokio::test]
async fn a_flood_is_bounded_and_counted() {
    let dir = StateDir::new();
    let mut client = dir.fresh_client().await;
    let mut process =
        dir.script("flood", "printf begin; head -c 200000000 /dev/zero; printf end >&2");
    process.output_bytes_max = 64 * 1024;
    let ending = client.run(process).await;
    assert_eq!(ending.how, HowEnded::Exited { code: 0 });
    let output = output_of(&ending.output);
    assert_eq!(output.bytes, 200_000_008);
    assert_eq!((output.head.len(), output.tail.len()), (32 * 1024, 32 * 1024));
    assert!(output.head.starts_with(b"begin\0") && output.tail.ends_with(b"\0end"));

    let status = std::fs::read_to_string(format!("/proc/{}/status", dir.supervisor())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak_kib: u32 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(peak_kib < 64 * 1024, "the supervisor took {peak_kib} KiB");
}

#[tokio::test]
async fn a_timeout_ends_the_whole_tree_although_term_is_ignored() {
    let dir = StateDir::new();
    let mut client = dir.fresh_client().await;
    let id = unique("stubborn");
    let mut process = dir.script(
        &id,
        "trap '' TERM; echo on; setsid sleep 1000 & (setsid sh -c 'trap \"\" TERM; sleep 1000; sleep 1000' &) ; sleep 1000; sleep 1000",
    );
    process.timeout_ms = Some(300);
    process.kill_grace_ms = 200;
    let ending = client.run(process).await;
    assert_eq!(told(&ending), (HowEnded::TimedOut, "on\n".to_owned()));
    let duration = ending.duration_ms.unwrap();
    assert!((500..5000).contains(&duration), "{duration} ms");
    assert_eq!(processes_of(&id), Vec::<i32>::new());
}

#[tokio::test]
async fn a_stop_gives_the_grace_and_a_kill_does_not() {
    let dir = StateDir::new();
    let mut client = dir.fresh_client().await;
    let polite =
        "trap 'echo bye; exit 0' TERM; exec 2>/dev/null; echo on; while :; do sleep 0.01; done";
    client.handle.start(dir.script("polite", polite)).unwrap();
    client.started().await;
    let on = async |id: &str| {
        while client.handle.output(id).await.unwrap().head != b"on\n" {}
    };
    on("polite").await;
    client.handle.stop("polite").unwrap();
    assert_eq!(told(&client.ended().await), (HowEnded::Stopped, "on\nbye\n".to_owned()));

    let deaf = "trap '' TERM; exec 2>/dev/null; echo on; while :; do sleep 0.01; done";
    client.handle.start(dir.script("deaf", deaf)).unwrap();
    client.started().await;
    while client.handle.output("deaf").await.unwrap().head != b"on\n" {}
    client.handle.stop("deaf").unwrap();
    client.handle.kill("deaf").unwrap();
    let ending = client.ended().await;
    assert_eq!(told(&ending), (HowEnded::Stopped, "on\n".to_owned()));
    assert!(ending.duration_ms.unwrap() < 10_000, "it was given its grace");
}

#[tokio::test]
async fn leftovers_are_killed_when_the_main_process_has_ended() {
    let dir = StateDir::new();
    let mut client = dir.fresh_client().await;
    let id = unique("leaving");
    let script = "sleep 1000 & setsid sleep 1001 & (setsid sh -c 'sleep 1002; true' </dev/null >/dev/null 2>&1 &); \
                  sh -ic 'sleep 1003 &' 2>/dev/null; exit 5";
    let ending = client.run(dir.script(&id, script)).await;
    assert_eq!(ending.how, HowEnded::Exited { code: 5 });
    assert!(ending.duration_ms.unwrap() < 5000);
    assert_eq!(processes_of(&id), Vec::<i32>::new());

    // They were reaped as well: the supervisor has no child left.
    let supervisor = dir.supervisor();
    let children = format!("/proc/{supervisor}/task/{supervisor}/children");
    until("no child", || std::fs::read_to_string(&children).unwrap().is_empty()).await;
}

#[tokio::test]
async fn a_background_child_that_holds_stdout_delays_the_end_by_a_moment_only() {
    let dir = StateDir::new();
    let mut client = dir.fresh_client().await;
    let begin = std::time::Instant::now();
    let ending = client.run(dir.script("holding", "sleep 1000 & echo done")).await;
    assert_eq!(told(&ending), (HowEnded::Exited { code: 0 }, "done\n".to_owned()));
    let took = begin.elapsed().as_millis();
    assert!((250..5000).contains(&took), "{took} ms");
}

#[tokio::test]
async fn an_orphan_of_a_running_process_stays_and_is_reaped() {
    let dir = StateDir::new();
    let mut client = dir.fresh_client().await;
    let id = unique("orphan");
    client
        .handle
        .start(dir.script(&id, "(sleep 1000 & echo $! > orphan); mkfifo gate; read x < gate"))
        .unwrap();
    client.started().await;
    until("gate", || dir.file("gate").exists()).await;
    // Another execution ends meanwhile: its sweep must not touch the orphan.
    client.run(dir.script("other", "setsid sleep 1000 >/dev/null 2>&1 & true")).await;
    let orphan = std::fs::read_to_string(dir.file("orphan")).unwrap().trim().parse().unwrap();
    assert!(alive(orphan));
    std::fs::write(dir.file("gate"), "x\n").unwrap();
    assert_eq!(client.ended().await.how, HowEnded::Exited { code: 0 });
    assert!(!alive(orphan));
    assert_eq!(processes_of(&id), Vec::<i32>::new());
}
