//! HTTP tasks, through the real program: what is sent, what the answers come to, and where no call goes.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::harness::World;

/// What a server was sent: the first line and the header fields in lower case, and the body.
type Sent = Arc<Mutex<Vec<(String, String)>>>;

/// A web server whose answers depend on the path.
struct Server {
    address: SocketAddr,
    sent: Sent,
}

impl Server {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let sent = Sent::default();
        let to_fill = Arc::clone(&sent);
        // It ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let sent = Arc::clone(&to_fill);
                std::thread::spawn(move || answer(stream, &sent));
            }
        });
        Self { address, sent }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn sent(&self) -> Vec<(String, String)> {
        self.sent.lock().unwrap().clone()
    }
}

/// Answers one request. That the caller has gone meanwhile is no matter.
fn answer(stream: TcpStream, sent: &Sent) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|bytes| *bytes > 0)?;
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        if let Some(text) = line.to_ascii_lowercase().strip_prefix("content-length: ") {
            length = text.parse().unwrap();
        }
        writeln!(head, "{line}").unwrap();
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let path = head.split(' ').nth(1).unwrap().to_owned();
    sent.lock().unwrap().push((head, String::from_utf8(body).unwrap()));
    let stream = reader.get_mut();
    let mut say = |text: &str| stream.write_all(text.as_bytes()).ok();
    let moved =
        |to: &str| format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n");
    match path.as_str() {
        "/fails" => say("HTTP/1.1 503 Busy\r\ncontent-length: 4\r\n\r\nbusy"),
        "/moved" => say(&moved("/fine")),
        "/loop" => say(&moved("/loop")),
        "/metadata" => say(&moved("http://169.254.169.254/latest/meta-data")),
        "/file" => say(&moved("file:///etc/passwd")),
        "/silent" => reader.read_line(&mut String::new()).ok().map(drop),
        // A byte now and then, in the head and in the body.
        "/slow" | "/drip" => {
            say(if path == "/drip" { "HTTP/1.1 200 OK\r\n\r\n" } else { "HTTP/1.1 200 " })?;
            loop {
                say("x")?;
                std::thread::sleep(std::time::Duration::from_millis(50));
            }
        }
        "/headers" => {
            say("HTTP/1.1 200 OK\r\n")?;
            loop {
                say("x-more: and more and more and more\r\n")?;
            }
        }
        "/endless" => {
            say("HTTP/1.1 200 OK\r\n\r\n")?;
            loop {
                say("more and more and more")?;
            }
        }
        _ => say("HTTP/1.1 200 OK\r\ncontent-length: 16\r\n\r\n{\"warmed\": true}"),
    }
}

/// A world that may call this machine, with these jobs: name, and what stands in its map.
fn world(jobs: &[(&str, String)]) -> World {
    let world = World::new();
    world.write("cronwright.toml", "[http_tasks]\nallow_addresses = [\"127.0.0.1\"]\n");
    save(&world, jobs);
    world
}

fn save(world: &World, jobs: &[(&str, String)]) {
    let jobs: String = jobs.iter().fold(String::new(), |mut text, (name, rest)| {
        writeln!(text, "  {name}: {{ triggers: [], {rest} }}").unwrap();
        text
    });
    world.save("jobs.d/jobs.yaml", &format!("jobs:\n{jobs}"));
}

fn outcome(row: &Value) -> (&str, &str, &str) {
    let text = |value: &'_ Value| value.as_str().unwrap_or_default().to_owned();
    let leak = |text: String| -> &'static str { text.leak() };
    (leak(text(&row["outcome"])), leak(text(&row["reason"])), leak(text(&row["exception"]["type"])))
}

#[test]
fn a_call_sends_what_is_declared_and_the_answer_is_kept() {
    let server = Server::start();
    let url = server.url("/warm?job=${execution.job}&at=${env.DAY}");
    let mut world = world(&[(
        "warm",
        format!(
            "env: {{ DAY: 'a&b=c d' }}, http: {{ url: '{url}', headers: {{ X-Source: '${{execution.job}}' }}, \
             json: {{ id: '${{execution.id}}', days: ['${{env.DAY}}', 7] }} }}"
        ),
    )]);
    world.start();
    world.until_synced();
    let row = world.runs("warm");
    assert_eq!(
        (&row["outcome"], &row["result"]),
        (&json!("succeeded"), &json!({ "warmed": true })),
        "{row}"
    );

    let (head, body) = server.sent().pop().unwrap();
    let id = row["id"].as_str().unwrap();
    let mut lines: Vec<_> =
        head.lines().filter(|line| !line.starts_with("cronwright-fence: ")).collect();
    let trace = lines.iter().position(|line| line.starts_with("traceparent: 00-")).unwrap();
    lines.remove(trace);
    lines[1..].sort_unstable();
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        lines,
        [
            "POST /warm?job=warm&at=a%26b%3Dc%20d HTTP/1.1",
            "accept: */*",
            &format!("content-length: {}", body.len()),
            "content-type: application/json",
            &format!("host: {}", server.address),
            &format!("idempotency-key: {id}"),
            &format!("user-agent: cronwright/{version}"),
            "x-source: warm",
        ]
    );
    assert!(head.contains("\ncronwright-fence: 1\n"), "{head}");
    assert_eq!(
        serde_json::from_str::<Value>(&body).unwrap(),
        json!({ "id": id, "days": ["a&b=c d", 7] })
    );
    let logs = String::from_utf8(world.verb(&["logs", "warm"]).stdout).unwrap();
    assert!(logs.starts_with("{\"warmed\": true}POST http://"), "{logs}");
    assert!(logs.contains(": 200 OK, 16 bytes, "), "{logs}");
}

#[test]
fn answers_succeed_when_they_are_expected_and_redirects_are_followed_so_far_only() {
    let server = Server::start();
    let http = |path: &str, rest: &str| format!("http: {{ url: '{}'{rest} }}", server.url(path));
    let mut world = world(&[
        ("fails", http("/fails", "")),
        ("expected", http("/fails", ", expect: { status: [503] }")),
        ("moved", http("/moved", "")),
        ("not-followed", http("/moved", ", max_redirects: 0, expect: { status: [302] }")),
        ("loop", http("/loop", ", max_redirects: 3")),
        ("metadata", http("/metadata", "")),
        ("file", http("/file", "")),
        ("nobody", "http: { url: 'http://127.0.0.1:1/' }".to_owned()),
    ]);
    world.start();
    world.until_synced();
    for (job, expected, message) in [
        ("fails", ("failed", "http", "HttpStatus"), "the answer was 503"),
        ("expected", ("succeeded", "", ""), ""),
        ("moved", ("succeeded", "", ""), ""),
        ("not-followed", ("succeeded", "", ""), ""),
        ("loop", ("failed", "http", "HttpTransport"), "more than 3 redirects"),
        (
            "metadata",
            ("failed", "http", "HttpTransport"),
            "169.254.169.254 is a link-local address",
        ),
        // No address of a web server: the answer stays what it is.
        ("file", ("failed", "http", "HttpStatus"), "the answer was 302"),
        ("nobody", ("failed", "http", "HttpTransport"), "Connection refused"),
    ] {
        let row = world.runs(job);
        assert_eq!(outcome(&row), expected, "{row}");
        let told = row["exception"]["message"].as_str().unwrap_or_default();
        assert!(told.contains(message), "{job}: {told}");
    }
}

#[test]
fn no_call_goes_to_this_machine_unless_the_settings_allow_it() {
    let server = Server::start();
    let port = server.address.port();
    let http = |host: &str| format!("http: {{ url: 'http://{host}:{port}/' }}");
    let mut world = world(&[
        ("address", http("127.0.0.1")),
        ("number", http("2130706433")),
        ("name", http("localhost")),
    ]);
    world.write("cronwright.toml", "");
    world.start();
    world.until_synced();
    for job in ["address", "number", "name"] {
        let row = world.runs(job);
        assert_eq!((&row["outcome"], &row["reason"]), (&json!("failed"), &json!("http")), "{row}");
        let told = row["exception"]["message"].as_str().unwrap();
        assert!(
            told.contains("is a loopback address, which HTTP tasks may call only when"),
            "{told}"
        );
    }
    assert_eq!(server.sent(), []);
}

#[test]
fn a_server_that_is_silent_or_never_ends_is_left_in_time() {
    let server = Server::start();
    let http = |path: &str| format!("timeout: 1s, http: {{ url: '{}' }}", server.url(path));
    let plain = format!("http: {{ url: '{}' }}", server.url("/").replace("http:", "https:"));
    let mut world = world(&[
        ("silent", http("/silent")),
        ("slow", http("/slow")),
        ("drip", http("/drip")),
        ("headers", http("/headers").replace("1s", "20s")),
        ("endless", http("/endless")),
        ("plain", plain),
    ]);
    world.start();
    world.until_synced();
    for job in ["silent", "slow", "drip"] {
        assert_eq!(outcome(&world.runs(job)), ("timed_out", "attempt", ""), "{job}");
    }
    // Neither a head without end nor what is no TLS is waited for.
    for job in ["headers", "plain"] {
        assert_eq!(outcome(&world.runs(job)), ("failed", "http", "HttpTransport"), "{job}");
    }
    let row = world.runs("endless");
    let told = outcome(&row);
    let in_time = [("timed_out", "attempt", ""), ("failed", "http", "HttpTooLong")];
    assert!(in_time.contains(&told), "{row}");
    assert!(row["output_bytes"].as_u64().unwrap() <= 64 << 20 | 1024, "{row}");
}

#[test]
fn what_is_wrong_with_a_call_is_shown_at_its_place() {
    let world = world(&[
        ("user", "http: { url: 'https://me:secret@example.com/' }".to_owned()),
        ("fact", "http: { url: 'https://example.com/${execution.day}' }".to_owned()),
    ]);
    let told = String::from_utf8(world.verb(&["validate"]).stdout).unwrap()
        + &String::from_utf8(world.verb(&["validate"]).stderr).unwrap();
    assert!(told.contains("a user or password in an address"), "{told}");
    assert!(told.contains("an execution has no `day`"), "{told}");
}
