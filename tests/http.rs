//! The API on its socket: routes, refusals, and who may stand at the path.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::wildcard_enum_match_arm,
    reason = "tests make their own worlds and fail by panicking"
)]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use cronwright::cli::client::Client;
use cronwright::cli::exit::Exit;
use cronwright::engine::request::Refusal;
use cronwright::io::http::api::{Api, Question};
use cronwright::io::http::server::{ListenError, Listener};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::oneshot;

/// An apply under no conditions.
const APPLY: &str = r#"Apply { actor: "api", only: Condition { generation: @, sources_digest: @, plan_id: @, allow_prune: @, confirm: false } }"#;

/// A server that answers with the question, as Rust shows it.
struct Echo {
    folder: TempDir,
    stop: Option<oneshot::Sender<()>>,
    served: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl Echo {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = Listener::bind(&folder.path().join("api.sock")).unwrap();
        let (api, mut asked) = Api::new();
        tokio::spawn(async move {
            while let Some(asked) = asked.recv().await {
                let answer = match &asked.question {
                    Question::Job { name } if name == "unknown" => Err(Refusal {
                        code: "E0404",
                        message: "no job `unknown`".to_owned(),
                        help: Some("did you mean `known`?".to_owned()),
                    }),
                    question => Ok(json!({ "question": format!("{question:?}") }).to_string()),
                };
                drop(asked.answer.send(answer));
            }
        });
        let (stop, stopped) = oneshot::channel::<()>();
        let stopped = async { drop(stopped.await) };
        let served = tokio::spawn(listener.serve(api, stopped));
        Self { folder, stop: Some(stop), served }
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("api.sock")
    }

    fn client(&self) -> Client {
        Client::new(self.socket())
    }

    /// What a path asks, or why it is refused.
    async fn get(&self, path: &str) -> String {
        said(self.client().get(path).await)
    }

    async fn post(&self, path: &str, body: Value) -> String {
        said(self.client().post(path, &body).await)
    }
}

fn said(
    answer: Result<cronwright::cli::output::Document, cronwright::cli::exit::Failure>,
) -> String {
    match answer {
        Ok(document) => document.read::<Value>().unwrap()["question"].as_str().unwrap().to_owned(),
        Err(failure) => format!("{:?} {failure}", failure.exit),
    }
}

#[tokio::test]
async fn paths_ask_questions_and_mistakes_are_told() {
    let echo = Echo::start();
    #[rustfmt::skip]
    let table = [
        ("/api/v1/jobs", "Jobs(JobsWanted { group: None, tags: [] })"),
        ("/api/v1/jobs?group=finance%2Fetl&tag=nightly,tier-1",
         r#"Jobs(JobsWanted { group: Some("finance/etl"), tags: ["nightly", "tier-1"] })"#),
        ("/api/v1/jobs/a", r#"Job { name: "a" }"#),
        ("/api/v1/jobs/unknown", "NotFound error[E0404]: no job `unknown`\n  help: did you mean `known`?"),
        ("/api/v1/executions", "Executions(RowsWanted { job: None, outcomes: [], last: None, revision: None, limit: 50 })"),
        ("/api/v1/executions?job=a&outcome=failed,lost&last=1h&revision=8f&limit=7",
         r#"Executions(RowsWanted { job: Some("a"), outcomes: ["failed", "lost"], last: Some(3600s), revision: Some("8f"), limit: 7 })"#),
        ("/api/v1/executions?outcome=bad", "Usage error[E0400]: `bad` is no outcome\n  help: outcomes are succeeded, failed, timed_out, cancelled, lost, skipped, missed"),
        ("/api/v1/executions?last=7", "Usage error[E0400]: `7` has no unit; write for example `7s` or `7m`\n  help: write `last=7d`"),
        ("/api/v1/executions?limit=0", "Usage error[E0400]: `limit` is 0\n  help: it may be 1 to 10000"),
        ("/api/v1/executions?what=1", "Usage error[E0400]: Failed to deserialize query string: what: unknown field `what`, expected one of `job`, `outcome`, `last`, `revision`, `limit`\n  help: leave out what is not known"),
        ("/api/v1/executions/a-1%402026-11-22T18%3A30%3A00Z", r#"Execution { id: "a-1@2026-11-22T18:30:00Z" }"#),
        ("/api/v1/executions/x/output", r#"Output { id: "x" }"#),
        ("/api/v1/next?n=3", "Next { jobs: [], from: None, until: None, count: 3 }"),
        ("/api/v1/next?job=a", r#"Next { jobs: ["a"], from: None, until: None, count: 10 }"#),
        ("/api/v1/next?job=a,b&from=2026-11-22T18:30:00Z&until=2026-11-23T00:00:00%2B08:00",
         r#"Next { jobs: ["a", "b"], from: Some(2026-11-22T18:30:00Z), until: Some(2026-11-22T16:00:00Z), count: 10 }"#),
        ("/api/v1/plan", "Plan { definitions: false }"),
        ("/api/v1/plan?definitions=true", "Plan { definitions: true }"),
        ("/api/v1/sync", "Sync"),
        ("/api/v1/status", "Status"),
        ("/api/v2/jobs", "NotFound error[E0404]: there is nothing here\n  help: the API is under `/api/v1`"),
        ("/api/v1/requests", "Usage error[E0405]: this path does not take that method"),
    ];
    for (path, expected) in table {
        assert_eq!(echo.get(path).await, expected, "{path}");
    }
    assert_eq!(echo.post("/api/v1/sync", json!({})).await, APPLY.replace('@', "None"));
    let only = json!({ "generation": 7, "sources_digest": "ab", "plan": "7-1f", "allow_prune": 2 });
    assert_eq!(
        echo.post("/api/v1/sync", only).await,
        r#"Apply { actor: "api", only: Condition { generation: Some(7), sources_digest: Some("ab"), plan_id: Some("7-1f"), allow_prune: Some(2), confirm: false } }"#
    );
    let unknown = echo.post("/api/v1/sync", json!({ "prune": true })).await;
    assert_eq!(
        unknown,
        "Usage error[E0400]: these conditions cannot be read: unknown field `prune`, expected one of `generation`, `sources_digest`, `plan`, `allow_prune`, `confirm` at line 1 column 8\n  \
         help: send `generation`, `sources_digest`, `plan`, `allow_prune`, `confirm`, or none"
    );
    let run = json!({ "v": 1, "op": "run", "job": "a", "id": "7" });
    assert_eq!(
        echo.post("/api/v1/requests", run).await,
        "Request(Envelope { request: Request { id: RequestId(\"7\"), op: Act(Run { job: JobName(\"a\"), params: {}, wait: false, dry_run: false }), actor: None }, asked_as: RequestId(\"7\"), issued_at: None, reply_to: None, expires_at: None })"
    );
    let bad = echo.post("/api/v1/requests", json!({ "v": 1, "op": "run" })).await;
    assert_eq!(bad, "Usage error[E0400]: `run` needs a `job`\n  help: name the job");
    let large = json!({ "v": 1, "op": "ping", "actor": "x".repeat(70_000) });
    assert_eq!(
        echo.post("/api/v1/requests", large).await,
        "Usage error[E0413]: the request is too large, or broke off\n  help: send at most 65536 bytes"
    );
}

#[tokio::test]
async fn a_socket_is_private_and_goes_with_its_server() {
    let mut echo = Echo::start();
    let mode = fs::metadata(echo.socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(echo.get("/api/v1/plan").await, "Plan { definitions: false }");
    drop(echo.stop.take());
    (&mut echo.served).await.unwrap().unwrap();
    assert!(!echo.socket().exists());
    let failure = echo.client().get("/api/v1/jobs").await.unwrap_err();
    assert_eq!(failure.exit, Exit::Unreachable);
}

fn bind(path: &Path) -> &'static str {
    match Listener::bind(path) {
        Ok(_) => "listens",
        Err(ListenError::Held { .. }) => "held",
        Err(ListenError::NotASocket { .. }) => "not a socket",
        Err(ListenError::System { .. }) => "refused",
    }
}

#[tokio::test]
async fn only_a_socket_that_nobody_answers_at_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("api.sock");
    assert_eq!(bind(&path), "listens");

    let alive = UnixListener::bind(&path).unwrap();
    assert_eq!(bind(&path), "held");
    drop(alive);
    assert!(path.exists(), "a listener of the standard library leaves its socket");
    assert_eq!(bind(&path), "listens");

    fs::write(&path, "precious").unwrap();
    assert_eq!(bind(&path), "not a socket");
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    assert_eq!(bind(&folder.path().join("nowhere/api.sock")), "refused");
    assert_eq!(bind(&folder.path().join("x".repeat(200))), "refused");
}

#[tokio::test]
async fn a_server_that_ends_leaves_the_socket_of_its_successor_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("api.sock");
    let old = Listener::bind(&path).unwrap();
    fs::remove_file(&path).unwrap();
    let new = Listener::bind(&path).unwrap();
    let inode = fs::metadata(&path).unwrap().ino();
    drop(old);
    assert_eq!(fs::metadata(&path).unwrap().ino(), inode);
    drop(new);
    assert!(!path.exists());
}
