//! The API on TCP: who is let in, to what, under which name; and events, as they come.

use std::net::SocketAddr;
use std::sync::Arc;

use cronwright::cli::client::{Client, Stream};
use cronwright::cli::exit::Exit;
use cronwright::io::http::address::HostPort;
use cronwright::io::http::api::Api;
use cronwright::io::http::auth::{Gate, Token};
use cronwright::io::http::feed::{EVENTS_HELD_MAX, EventFeed, READERS_MAX};
use cronwright::io::http::routes::paths;
use cronwright::io::http::tcp::{HEAD_WITHIN, TcpDoor};
use cronwright::spec::settings::Role;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const VIEWER: &str = "viewer-q7Ck2vX9mZ4rT8wB1nL6pD3sF5h";
const OPERATOR: &str = "operator-Hy3kQ8vN5xR1tW7zB9mC4jL6";
const ADMIN: &str = "admin-Jd8sV2cF6bX4nZ1mT9wQ7rK3gP5h";

/// A server that answers with the question, as Rust shows it.
struct Door {
    address: SocketAddr,
    feed: EventFeed,
}

impl Door {
    async fn open() -> Self {
        let feed = EventFeed::new(7);
        let (api, mut asked) = Api::new(feed.clone());
        tokio::spawn(async move {
            while let Some(asked) = asked.recv().await {
                let question = json!({ "question": format!("{:?}", asked.question) });
                drop(asked.answer.send(Ok(question.to_string())));
            }
        });
        let place = HostPort::parse("127.0.0.1:0").unwrap();
        let door = TcpDoor::bind(&place).await.unwrap();
        let address = door.address();
        let token = |name, role, value| Token::new(name, role, value).unwrap();
        let tokens = vec![
            token("reader", Role::Viewer, VIEWER),
            token("ops", Role::Operator, OPERATOR),
            token("root", Role::Admin, ADMIN),
        ];
        let gate = Gate::new(tokens, &["cron.example.com".to_owned()], &[place]);
        tokio::spawn(door.serve(api, Arc::new(gate), std::future::pending()));
        Self { address, feed }
    }

    fn client(&self, token: Option<&str>) -> Client {
        let address = HostPort::parse(&self.address.to_string()).unwrap();
        Client::over_tcp(address, token.map(str::to_owned))
    }

    /// What is answered to these header fields, after the usual ones.
    async fn raw(&self, method: &str, path: &str, fields: &[&str], body: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let fields = fields.iter().flat_map(|field| [field, "\r\n"]).collect::<String>();
        let length = body.len();
        let text = format!(
            "{method} {path} HTTP/1.1\r\nconnection: close\r\ncontent-length: {length}\r\n{fields}\r\n{body}"
        );
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    async fn status(&self, method: &str, path: &str, fields: &[&str], body: &str) -> u16 {
        let answer = self.raw(method, path, fields, body).await;
        answer.split(' ').nth(1).unwrap().parse().unwrap()
    }
}

fn bearer(token: &str) -> String {
    format!("authorization: Bearer {token}")
}

/// Every route of the API, with something in the place of what varies; and some that it has not.
fn every_path() -> Vec<String> {
    let mut all: Vec<String> =
        paths().map(|path| path.replace("{name}", "etl").replace("{id}", "x")).collect();
    assert!(all.len() > 12 && all.iter().all(|path| !path.contains('{')), "{all:?}");
    all.extend(["/", "/api/v1", "/api/v2/jobs", "/nothing", "/api/v1/jobs/"].map(str::to_owned));
    all
}

#[tokio::test]
async fn without_a_known_token_no_route_answers_anything_but_401() {
    let door = Door::open().await;
    let wrong = bearer(&format!("{ADMIN}x"));
    let (basic, bare) =
        (format!("authorization: Basic {ADMIN}"), format!("authorization: {ADMIN}"));
    let (first, second) = (bearer(ADMIN), bearer(VIEWER));
    for path in every_path() {
        for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"] {
            let status = door.status(method, &path, &["host: localhost"], "").await;
            assert_eq!(status, 401, "{method} {path}");
        }
        let fields: [&[&str]; 6] = [
            &["host: localhost", &wrong],
            &["host: localhost", &basic],
            &["host: localhost", &bare],
            &["host: localhost", "authorization: Bearer "],
            &["host: localhost", &first, &second],
            &["host: localhost", "cookie: token=x"],
        ];
        for fields in fields {
            assert_eq!(door.status("GET", &path, fields, "").await, 401, "{path} {fields:?}");
        }
    }
    let in_query = format!("/api/v1/jobs?token={ADMIN}&access_token={ADMIN}");
    let answer = door.raw("GET", &in_query, &["host: localhost"], "").await.to_lowercase();
    assert!(
        answer.starts_with("http/1.1 401 ") && answer.contains("\r\nwww-authenticate: bearer\r\n")
    );
    assert!(answer.contains("e0401") && !answer.contains("access-control"), "{answer}");
}

#[tokio::test]
async fn each_role_may_do_what_is_its_business_on_every_route() {
    let door = Door::open().await;
    let op = |op: &str| json!({ "v": 1, "op": op, "job": "etl" }).to_string();
    for (token, name, may) in
        [(VIEWER, "viewer", 0), (OPERATOR, "operator", 1), (ADMIN, "admin", 2)]
    {
        let token = bearer(token);
        let fields = ["host: localhost", token.as_str()];
        for path in every_path().iter().filter(|path| !path.ends_with("/events")) {
            let status = door.status("GET", path, &fields, "").await;
            assert!(![401, 403].contains(&status), "GET {path} by {name}: {status}");
        }
        // What it needs: 1 an operator, 2 an admin.
        let table = [
            ("/api/v1/requests", op("run"), 1),
            ("/api/v1/requests", op("cancel"), 1),
            ("/api/v1/requests", op("pause"), 1),
            ("/api/v1/requests", op("resume"), 1),
            ("/api/v1/requests", op("skip_next"), 1),
            ("/api/v1/requests", op("sync"), 1),
            ("/api/v1/requests", op("add"), 2),
            ("/api/v1/requests", op("update"), 2),
            ("/api/v1/requests", op("remove"), 2),
            ("/api/v1/requests", op("no-such"), 2),
            ("/api/v1/requests", "not json".to_owned(), 2),
            ("/api/v1/requests", r#"{"op":"run","op":"remove","v":1,"job":"x"}"#.to_owned(), 2),
            ("/api/v1/sync", String::new(), 1),
            ("/api/v1/sync/rollback", "{}".to_owned(), 2),
            ("/api/v1/sync/resume", "{}".to_owned(), 2),
            ("/api/v1/jobs", String::new(), 2),
        ];
        for (path, body, needs) in table {
            let status = door.status("POST", path, &fields, &body).await;
            assert_eq!(status == 403, may < needs, "POST {path} {body} by {name}: {status}");
            assert_ne!(status, 401);
        }
    }
}

#[tokio::test]
async fn a_page_that_calls_this_address_by_another_name_is_refused() {
    let door = Door::open().await;
    let token = bearer(ADMIN);
    let port = door.address.port();
    for host in ["localhost", "LOCALHOST", "127.0.0.1", "[::1]", "cron.example.com"] {
        for host in
            [format!("host: {host}"), format!("host: {host}:{port}"), format!("host: {host}:1")]
        {
            let status = door.status("GET", "/api/v1/jobs", &[&host, &token], "").await;
            assert_eq!(status, 200, "{host}");
        }
    }
    for host in ["evil.com", "localhost.evil.com", "cron.example.com.evil.com", "127.0.0.2", ""] {
        let host = format!("host: {host}");
        for fields in [vec![host.as_str(), &token], vec![host.as_str()]] {
            let status = door.status("GET", "/api/v1/jobs", &fields, "").await;
            assert_eq!(status, 421, "{host}");
        }
    }
    let twice = ["host: localhost", "host: evil.com", &token];
    assert_eq!(door.status("GET", "/api/v1/jobs", &twice, "").await, 400);
    assert_eq!(door.status("GET", "/api/v1/jobs", &[&token], "").await, 400);
    let whole = "http://evil.com/api/v1/jobs";
    assert_eq!(door.status("GET", whole, &["host: localhost", &token], "").await, 421);
    // A page of another origin is told nothing that would let it read an answer.
    let fields = ["host: localhost", &token, "origin: http://evil.com"];
    let answer = door.raw("GET", "/api/v1/jobs", &fields, "").await.to_lowercase();
    assert!(!answer.contains("access-control"), "{answer}");
    assert!(answer.contains("\r\nx-content-type-options: nosniff\r\n"), "{answer}");
}

#[tokio::test]
async fn who_connects_and_says_nothing_does_not_keep_a_place() {
    let door = Door::open().await;
    let mut silent = TcpStream::connect(door.address).await.unwrap();
    let mut slow = TcpStream::connect(door.address).await.unwrap();
    slow.write_all(b"GET /api/v1/jobs HTTP/1.1\r\nhost: local").await.unwrap();
    let mut told = String::new();
    let ended = tokio::time::timeout(HEAD_WITHIN * 4, async {
        silent.read_to_string(&mut told).await.unwrap();
        slow.read_to_string(&mut told).await.unwrap();
    });
    ended.await.expect("they are still connected");
    assert!(!told.contains("200 OK"), "{told}");
}

#[tokio::test]
async fn whoever_has_a_token_acts_under_its_name_whatever_it_says() {
    let door = Door::open().await;
    let client = door.client(Some(ADMIN));
    let asked = async |path: &str, body: Value| {
        client.post(path, &body).await.unwrap().read::<Value>().unwrap()["question"].to_string()
    };
    let run = json!({ "v": 1, "op": "run", "job": "etl", "actor": "somebody-else" });
    for (path, body) in [
        ("/api/v1/requests", run),
        ("/api/v1/sync", json!({})),
        ("/api/v1/sync/rollback", json!({ "actor": "somebody-else" })),
        ("/api/v1/sync/resume", json!({ "actor": "somebody-else" })),
    ] {
        let question = asked(path, body).await;
        assert!(question.contains("token:root"), "{path}: {question}");
        assert!(!question.contains("somebody-else"), "{path}: {question}");
    }
}

#[tokio::test]
async fn the_client_says_what_is_missing_and_never_shows_its_token() {
    let door = Door::open().await;
    let failure = door.client(None).get("/api/v1/jobs").await.unwrap_err();
    assert_eq!((failure.exit, failure.code.as_deref()), (Exit::Unreachable, Some("E0401")));
    let client = door.client(Some(VIEWER));
    client.get("/api/v1/jobs").await.unwrap();
    let failure = client.post("/api/v1/sync", &json!({})).await.unwrap_err();
    assert_eq!((failure.exit, failure.code.as_deref()), (Exit::Unreachable, Some("E0403")));
    assert_eq!(failure.help.as_deref(), Some("use one with the role `operator`"));
    assert!(!format!("{client:?}").contains(VIEWER));
}

/// The text of a stream until it holds this.
async fn until(stream: &mut Stream, what: &str) -> String {
    let mut text = String::new();
    while !text.contains(what) {
        let bytes = stream.next().await.unwrap().expect("it goes on");
        text.push_str(std::str::from_utf8(&bytes).unwrap());
    }
    text
}

#[tokio::test]
async fn events_come_as_they_happen_and_begin_where_the_reader_was() {
    let door = Door::open().await;
    let client = door.client(Some(VIEWER));
    let push = |text: &str| door.feed.push(|_| text.to_owned());
    push("{\"n\":1}");
    let mut stream = client.stream("/api/v1/events").await.unwrap();
    assert_eq!(until(&mut stream, "\n\n").await, "retry: 1000\nid: 7-1\n\n");
    push("{\"n\":2}");
    assert_eq!(until(&mut stream, "\n\n").await, "id: 7-2\ndata: {\"n\":2}\n\n");

    let token = bearer(VIEWER);
    let fields = ["host: localhost", token.as_str()];
    let held = door.raw("GET", "/api/v1/events?follow=false", &fields, "").await;
    assert!(held.contains("content-type: text/event-stream\r\n"), "{held}");
    assert!(held.contains("id: 7-1\ndata: {\"n\":1}\n\nid: 7-2\n"), "{held}");

    // Who comes back asks for the same address, and says in the header how far it came.
    let fields = ["host: localhost", &token, "last-event-id: 7-1"];
    let back = door.raw("GET", "/api/v1/events?since=0&follow=false", &fields, "").await;
    assert!(
        !back.contains("gap") && !back.contains("\"n\":1") && back.contains("\"n\":2"),
        "{back}"
    );
    let failure = client.stream("/api/v1/events?since=x").await.unwrap_err();
    assert_eq!(failure.code.as_deref(), Some("E0400"));

    door.feed.close();
    assert_eq!(stream.next().await, Ok(None));
}

#[tokio::test]
async fn a_reader_that_does_not_read_holds_nobody_up_and_is_told_what_it_missed() {
    let door = Door::open().await;
    let client = door.client(Some(VIEWER));
    let mut slow = client.stream("/api/v1/events").await.unwrap();
    until(&mut slow, "id: 7-0").await;
    // More than the connection takes in while nobody reads.
    let text = format!("{{\"x\":\"{}\"}}", "x".repeat(4096));
    for _ in 0..4 * EVENTS_HELD_MAX {
        door.feed.push(|_| text.clone());
        tokio::task::yield_now().await;
    }
    door.feed.push(|_| "{\"last\":true}".to_owned());
    let told = until(&mut slow, "{\"last\":true}").await;
    let gap = told
        .lines()
        .find_map(|line| line.strip_prefix("data: ").filter(|data| data.contains("gap")));
    let gap: Value = serde_json::from_str(gap.expect("a gap")).unwrap();
    assert_eq!(gap["type"], "dev.cronwright.events.gap.v1");
    let read =
        told.lines().filter(|line| line.starts_with("data: ") && !line.contains("gap")).count();
    let lost: u64 = told
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line.strip_prefix("data: ")?).ok())
        .filter_map(|event| event["data"]["lost"].as_u64())
        .sum();
    assert_eq!(
        u64::try_from(read).unwrap() + lost,
        u64::try_from(4 * EVENTS_HELD_MAX + 1).unwrap()
    );
}

#[tokio::test]
async fn so_many_may_read_events_at_once_and_a_place_is_free_when_one_leaves() {
    let door = Door::open().await;
    let client = door.client(Some(VIEWER));
    let mut readers = Vec::new();
    for _ in 0..READERS_MAX {
        readers.push(client.stream("/api/v1/events").await.unwrap());
    }
    let failure = client.stream("/api/v1/events").await.unwrap_err();
    assert_eq!((failure.exit, failure.code.as_deref()), (Exit::Unreachable, Some("E0503")));
    client.get("/api/v1/jobs").await.expect("others are answered");
    readers.pop();
    while client.stream("/api/v1/events").await.is_err() {
        tokio::task::yield_now().await;
    }
}
