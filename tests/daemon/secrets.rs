//! Secrets, through the real program: a job gets them, and nothing that is kept or answered holds them.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde_json::json;

use super::harness::World;

/// The secret of these tests, with characters that JSON, URLs and Base64 write in other ways.
const CANARY: &str = "c4nary/7+Ümlaut&more";

const SETTINGS: &str =
    "[python]\nroot = \"tasks\"\n[http_tasks]\nallow_addresses = [\"127.0.0.1\"]\n";

const TASK: &str = "import os\n\n\nclass Raising:\n\n    def main(self):\n        raise ValueError('no ' + os.environ['TOKEN'])\n";

/// Prints it in many ways, returns it, and fails.
const SCRIPT: &str = r#"
      printf '%s\n' "$TOKEN"
      printf '%s\n' "$TOKEN" >&2
      printf 'user:%s' "$TOKEN" | base64 -w0; echo
      printf 'a%s' "$TOKEN" | base64 | tr '+/' '-_'
      printf '{"%s": ["got %s"]}' "$TOKEN" "$TOKEN" > "$CRONWRIGHT_RESULT"
      exit 1
"#;

fn world(url: &str) -> World {
    let world = World::new();
    fs::create_dir_all(world.path("tasks/test")).unwrap();
    for (path, text) in [
        ("tasks/__init__.py", ""),
        ("tasks/test/__init__.py", ""),
        ("tasks/test/main.py", TASK),
        ("cronwright.toml", SETTINGS),
    ] {
        world.write(path, text);
    }
    world.write("token", &format!("{CANARY}\n"));
    let jobs = format!(
        "defaults: {{ secrets: {{ TOKEN: {{ file: token }} }} }}\njobs:\n\
         \x20 printing:\n    triggers: []\n    script: |{SCRIPT}\
         \x20 raising: {{ triggers: [], class: test.main.Raising() }}\n\
         \x20 calling:\n    triggers: []\n    http:\n      url: '{url}/?key=${{secrets.TOKEN}}'\n      \
         headers: {{ X-Key: '${{env.PLAIN}}' }}\n      json: [\"${{secrets.TOKEN}}\"]\n    env: {{ PLAIN: open }}\n\
         \x20 waiting: {{ triggers: [], script: 'echo \"$TOKEN\"; touch begun; while [ ! -e go ]; do sleep 0.01; done' }}\n\
         \x20 absent: {{ triggers: [], command: a, secrets: {{ TOKEN: {{ file: nowhere }} }} }}\n\
         \x20 inherited: {{ triggers: [], script: 'echo \"<$WAYS>\"', secrets: {{ TOKEN: null, WAYS: {{ env: PATH }} }} }}\n"
    );
    world.save("jobs.d/jobs.yaml", &jobs);
    world
}

/// Answers each call with what it was sent, as a JSON text.
fn echoing_server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    // It ends with the test's process.
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut sent = vec![0; 4096];
            let mut length = 0;
            // The body is a list of one text, and the last that is sent.
            while !sent[..length].ends_with(b"]") {
                length += stream.read(&mut sent[length..]).unwrap();
            }
            let body = json!(String::from_utf8_lossy(&sent[..length])).to_string();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
            stream.write_all((head + &body).as_bytes()).unwrap();
        }
    });
    url
}

#[test]
fn a_secret_reaches_its_job_and_is_in_nothing_that_is_kept_or_answered() {
    let mut world = world(&echoing_server());
    world.start();
    world.until_synced();

    let printing = world.runs("printing");
    assert_eq!(printing["result"], json!({ "***": ["got ***"] }), "{printing}");
    let raising = world.runs("raising");
    assert_eq!(raising["exception"]["message"], "no ***", "{raising}");
    let calling = world.runs("calling");
    let sent = calling["result"].as_str().unwrap();
    assert!(sent.starts_with("POST /?key=*** HTTP/1.1\r\n"), "{sent}");
    assert!(sent.contains("x-key: open\r\n") && sent.ends_with("[\"***\"]"), "{sent}");

    world.verb(&["run", "waiting"]);
    world.until("begun job", |world| world.path("begun").exists());
    let live = String::from_utf8(world.verb(&["logs", "waiting"]).stdout).unwrap();
    assert!(live.contains("***\n"), "{live}");
    world.write("go", "");
    world.until_ended("waiting");

    let mut answers = Vec::new();
    for verb in [
        &["history", "-o", "json"][..],
        &["history"],
        &["logs", "printing"],
        &["logs", "raising"],
        &["logs", "calling"],
        &["logs", "waiting"],
        &["show", "printing", "-o", "json"],
        &["plan", "-o", "json"],
        &["status", "-o", "json"],
    ] {
        answers.extend(world.verb(verb).stdout);
    }
    world.stop();
    assert!(shows_nothing(&answers), "{}", String::from_utf8_lossy(&answers));
    assert!(shows_nothing(&fs::read(world.path("log")).unwrap()));
    for_each_file(&world.path(".cronwright"), &mut |path, bytes| {
        assert!(shows_nothing(bytes), "{}", path.display());
    });
    // What it looks for would be found.
    assert!(!shows_nothing(&fs::read(world.path("token")).unwrap()));
}

#[test]
fn a_secret_is_read_at_each_start_and_one_that_is_not_there_is_named() {
    let mut world = world("http://127.0.0.1:1");
    world.start();
    world.until_synced();
    let absent = world.runs("absent");
    let path = world.path("nowhere");
    assert_eq!(
        (&absent["outcome"], &absent["reason"], &absent["exception"]["type"]),
        (&json!("failed"), &json!("spawn"), &json!("SecretError"))
    );
    assert_eq!(
        absent["exception"]["message"],
        format!("the secret `TOKEN`: there is no file `{}`", path.display())
    );

    world.runs("inherited");
    let logs = String::from_utf8(world.verb(&["logs", "inherited"]).stdout).unwrap();
    assert_eq!(logs, "<***>\n");

    // The new value is masked, the one before is a text as any other.
    world.save("token", "an0ther-value");
    world.write("go", "");
    world.runs("waiting");
    let logs = String::from_utf8(world.verb(&["logs", "waiting"]).stdout).unwrap();
    assert_eq!(logs, "***\n");
}

#[test]
fn a_program_tells_a_secret_where_the_settings_allow_it() {
    let mut world = World::new();
    let telling =
        "#!/bin/sh\necho asked >> asked\necho told-by-a-program\necho '<leak>' >&2\nexit ${1:-0}\n";
    world.write("tell", telling);
    let jobs = "  told: { triggers: [], script: 'echo \"$TOKEN\"', secrets: { TOKEN: { exec: [sh, ./tell] } } }\n  \
                failing: { triggers: [], command: a, secrets: { TOKEN: { exec: [sh, ./tell, '3'] } } }\n  \
                absent: { triggers: [], command: a, secrets: { TOKEN: { exec: [./nowhere] } } }\n";
    world.save("jobs.d/jobs.yaml", &format!("{}{jobs}", world.head()));
    let refused = world.verb(&["validate"]);
    let said = String::from_utf8_lossy(&refused.stdout).into_owned();
    assert!(
        said.contains("which the settings do not allow") && said.contains("3 errors"),
        "{said}"
    );

    world.write("cronwright.toml", "allow_exec_secrets = true\n");
    world.start();
    world.until_synced();
    assert!(!world.path("asked").exists());
    world.runs("told");
    world.runs("told");
    assert_eq!(fs::read_to_string(world.path("asked")).unwrap(), "asked\n".repeat(2));
    let logs = String::from_utf8(world.verb(&["logs", "told"]).stdout).unwrap();
    assert_eq!(logs, "***\n");
    let failing = world.runs("failing");
    assert_eq!(
        (&failing["reason"], &failing["exception"]["message"]),
        (
            &json!("spawn"),
            &json!(
                "the secret `TOKEN`: `sh` failed (exit status: 3); run it by hand, as the user of the daemon"
            )
        )
    );
    let absent = world.runs("absent");
    let said = absent["exception"]["message"].as_str().unwrap();
    assert!(
        said.starts_with("the secret `TOKEN`: `./nowhere` could not be asked: No such"),
        "{said}"
    );

    // What was allowed once is looked at again.
    world.stop();
    world.write("cronwright.toml", "");
    world.start();
    world.until("refusal", |world| world.sync_state() == "Degraded");
    let said = world.runs("told")["exception"]["message"].clone();
    assert_eq!(
        said,
        "the secret `TOKEN`: `sh` is not asked: the settings do not say `allow_exec_secrets`"
    );
    assert!(!fs::read_to_string(world.path("log")).unwrap().contains("<leak>"));
}

#[test]
fn a_program_that_does_not_tell_holds_nobody_up_and_starts_nothing_when_its_job_is_cancelled() {
    let mut world = World::new();
    world.write("cronwright.toml", "allow_exec_secrets = true\n");
    let slow = "secrets: { TOKEN: { exec: [sh, -c, 'touch asked; sleep 600'] } }";
    let jobs = format!(
        "  slow: {{ triggers: [], script: 'touch started', {slow} }}\n  fast: {{ triggers: [], command: 'true' }}\n"
    );
    world.save("jobs.d/jobs.yaml", &format!("{}{jobs}", world.head()));
    world.start();
    world.until_synced();
    let ask = |world: &mut World| {
        assert!(world.verb(&["run", "slow"]).status.success());
        world.until("question", |world| world.path("asked").exists());
        fs::remove_file(world.path("asked")).unwrap();
    };
    ask(&mut world);
    assert_eq!(world.runs("fast")["outcome"], "succeeded");
    assert!(world.verb(&["cancel", "slow"]).status.success());
    let ended = world.until_ended("slow");
    assert_eq!((&ended["outcome"], &ended["reason"]), (&json!("cancelled"), &json!("requested")));

    ask(&mut world);
    world.stop();
    world.start();
    world.until_it_leads();
    let listed = world.ask(&["history", "slow"]);
    let newest = &listed["executions"][0];
    assert_eq!((&newest["outcome"], &newest["reason"]), (&json!("cancelled"), &json!("shutdown")));
    assert!(!world.path("started").exists());
}

fn shows_nothing(bytes: &[u8]) -> bool {
    let percent = "c4nary%2F7%2B%C3%9Cmlaut%26more";
    // What both alignments of the script have in common with no byte before it is little: each by itself.
    let encoded = ["", "user:", "a"].map(|before| {
        let digits = STANDARD_NO_PAD.encode(format!("{before}{CANARY}"));
        digits[8..digits.len() - 2].to_owned()
    });
    let url_safe = encoded.clone().map(|digits| digits.replace('+', "-").replace('/', "_"));
    let texts = [CANARY, percent].map(ToOwned::to_owned).into_iter().chain(encoded).chain(url_safe);
    texts.into_iter().all(|text| !bytes.windows(text.len()).any(|part| part == text.as_bytes()))
}

fn for_each_file(folder: &Path, look: &mut impl FnMut(&Path, &[u8])) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            for_each_file(&path, look);
        } else if path.is_file() {
            look(&path, &fs::read(&path).unwrap());
        }
    }
}
