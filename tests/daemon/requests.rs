//! Requests that change which jobs there are, that ask, and that come twice: through the real program, the socket and
//! a real Redis.

use std::fs;

use cronwright::io::store::document::JobDocument;
use cronwright::spec::job::{JobName, JobSpec};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Value as Answer, cmd};
use serde_json::{Value, json};

use super::harness::{Backend, World};
use crate::support::servers::{self, Redis};

const TASK: &str = "class Greeting:\n\n    def __init__(self, whom='world'):\n        self.whom = whom\n\n    \
                    def main(self):\n        return 'hello ' + self.whom\n";

/// A world with a class to call, and what `[redis]` says beside the URL; none: no Redis.
fn prepared(mut world: World, redis: Option<(&Redis, &str)>) -> World {
    fs::create_dir_all(world.path("tasks/test")).unwrap();
    for path in ["tasks/__init__.py", "tasks/test/__init__.py"] {
        world.write(path, "");
    }
    world.write("tasks/test/main.py", TASK);
    let redis = redis.map(|(redis, more)| format!("[redis]\nurl = \"{}\"\n{more}\n", redis.url(0)));
    let settings = format!("[python]\nroot = \"tasks\"\n{}", redis.unwrap_or_default());
    world.write("cronwright.toml", &settings);
    world.save("jobs.d/jobs.yaml", "jobs: { filed: { triggers: [], command: 'true' } }\n");
    world.start();
    world.until_synced();
    world
}

/// What a stream answers: its key, and ids with fields.
type Entries = Vec<(String, Vec<(String, Vec<String>)>)>;

/// Somebody who sends requests and reads the answers.
struct Producer {
    connection: MultiplexedConnection,
    prefix: String,
}

impl Producer {
    async fn of(redis: &Redis, prefix: &str) -> Self {
        let client = redis::Client::open(redis.url(0)).unwrap();
        // Reads wait for as long as they say.
        let config = AsyncConnectionConfig::new().set_response_timeout(None);
        let connection =
            client.get_multiplexed_async_connection_with_config(&config).await.unwrap();
        Self { connection, prefix: prefix.to_owned() }
    }

    async fn send(&mut self, stream: &str, message: &Value) {
        let key = format!("{{{}}}:{stream}", self.prefix);
        let mut add = cmd("XADD");
        add.arg(key).arg("*").arg("m").arg(message.to_string());
        add.exec_async(&mut self.connection).await.unwrap();
    }

    /// The next answers to `web`, in their order.
    async fn replies(&mut self, after: &mut String, count: usize) -> Vec<Value> {
        let key = format!("{{{}}}:replies:web", self.prefix);
        let mut replies = Vec::new();
        while replies.len() < count {
            let mut read = cmd("XREAD");
            read.arg("BLOCK").arg(20_000).arg("STREAMS").arg(&key).arg(&*after);
            let answer: Option<Entries> = read.query_async(&mut self.connection).await.unwrap();
            for (id, fields) in answer.expect("an answer in time").remove(0).1 {
                *after = id;
                replies.push(serde_json::from_str(&fields[1]).unwrap());
            }
        }
        replies
    }

    async fn ask(&mut self, message: Value) -> Value {
        let mut message = message;
        message["v"] = json!(1);
        message["reply_to"] = json!("web");
        let mut after = self.last().await;
        self.send("requests", &message).await;
        self.replies(&mut after, 1).await.remove(0)
    }

    async fn last(&mut self) -> String {
        let mut last = cmd("XREVRANGE");
        last.arg(format!("{{{}}}:replies:web", self.prefix)).arg("+").arg("-").arg("COUNT").arg(1);
        let entries: Vec<(String, Answer)> = last.query_async(&mut self.connection).await.unwrap();
        entries.into_iter().next().map_or_else(|| "0".to_owned(), |(id, _)| id)
    }

    async fn dead(&mut self) -> usize {
        let mut count = cmd("XLEN");
        count.arg(format!("{{{}}}:dead", self.prefix));
        count.query_async(&mut self.connection).await.unwrap()
    }
}

fn blocking<T>(act: impl Future<Output = T>) -> T {
    tokio::runtime::Runtime::new().unwrap().block_on(act)
}

fn said(output: &std::process::Output) -> String {
    let both = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8_lossy(&both).into_owned()
}

fn added_jobs_stay(backend: Backend) {
    let Some(world) = World::on(backend) else { return };
    let mut world = prepared(world, None);
    let manifest = "jobs:\n  greet: { class: 'test.main.Greeting(\"you\")', cron: '0 3 * * *', timezone: Asia/Shanghai }\n";
    world.write("greet.yaml", manifest);
    assert_eq!(
        said(&world.verb(&["add", "greet.yaml", "--dry-run"])),
        "nothing was done; it would be: `greet` is added\n"
    );
    assert!(world.applied("greet").is_none());
    assert_eq!(said(&world.verb(&["add", "greet.yaml"])), "`greet` is added\n");
    assert_eq!(said(&world.verb(&["add", "greet.yaml"])), "`greet` is so already\n");
    assert_eq!(world.applied("greet").unwrap().owner, "request");
    assert!(world.verb(&["run", "greet", "--wait"]).status.success(), "{}", world.log_tail());

    world.write("greet.yaml", &manifest.replace("you", "us"));
    let refused = world.verb(&["add", "greet.yaml"]);
    assert!(said(&refused).contains("E0409"), "{}", said(&refused));
    assert_eq!(said(&world.verb(&["add", "greet.yaml", "--update"])), "`greet` is updated\n");

    // A reload is about files; a restart and a kill keep what was added.
    world
        .save("jobs.d/jobs.yaml", "jobs: { filed: { triggers: [], command: 'true', group: g } }\n");
    world.until("the edit", |world| {
        world.applied("filed").is_some_and(|job| job.spec["group"] == "g")
    });
    world.kill();
    fs::remove_dir_all(world.path(".cronwright/last-good")).unwrap();
    world.start();
    world.until_synced();
    assert!(world.verb(&["run", "greet", "--wait"]).status.success(), "{}", world.log_tail());
    let rows = world.rows_of(Some("greet"));
    assert!(rows.iter().any(|row| format!("{row:?}").contains("hello us")), "{rows:?}");

    let refused = world.verb(&["remove", "filed"]);
    assert!(said(&refused).contains("`filed` belongs to file:jobs.d"), "{}", said(&refused));
    assert_eq!(said(&world.verb(&["remove", "greet"])), "`greet` is removed\n");
    assert!(said(&world.verb(&["remove", "greet"])).contains("E0404"));
    world.stop();
    world.start();
    world.until_synced();
    assert!(said(&world.verb(&["show", "greet"])).contains("no job"), "it stays away");
    world.stop();
}

#[test]
fn on_sqlite_jobs_that_were_added_stay_through_reloads_and_restarts_until_they_are_removed() {
    added_jobs_stay(Backend::Sqlite);
}

#[test]
fn on_mongodb_jobs_that_were_added_stay_through_reloads_and_restarts_until_they_are_removed() {
    added_jobs_stay(Backend::Mongo);
}

#[test]
fn a_request_can_add_nothing_that_says_how_a_process_is_started() {
    let mut world = prepared(World::new(), None);
    for (job, why) in [
        ("command: id", "its task may not be a `command`"),
        ("script: id", "its task may not be a `script`"),
        ("http: { url: 'http://127.0.0.1/' }", "its task may not be a `http`"),
        ("class: test.main.Greeting(), env: { PYTHONPATH: /tmp }", "it may not say `env`"),
        ("class: test.main.Greeting(), user: nobody", "`user`"),
        (
            "class: test.main.Greeting(), secrets: { A: { file: /etc/shadow } }",
            "it may not say `secrets`",
        ),
        ("class: test.main.Greeting(), previous_names: [filed]", "it may not say `previous_names`"),
        ("class: test.main.Popen()", "/class: "),
        ("class: test.main.Greeting(), cron: '61 * * * *'", "/cron: "),
    ] {
        world.write("a.yaml", &format!("jobs: {{ a: {{ {job} }} }}\n"));
        let refused = world.verb(&["add", "a.yaml"]);
        assert!(
            !refused.status.success() && said(&refused).contains(why),
            "{job}: {}",
            said(&refused)
        );
    }
    world.write("a.yaml", "jobs: { filed: { class: test.main.Greeting() } }\n");
    let refused = said(&world.verb(&["add", "a.yaml"]));
    assert!(refused.contains("`filed` belongs to file:jobs.d"), "{refused}");
    world.stop();
}

#[test]
fn what_somebody_wrote_into_the_store_is_not_executed() {
    let Some(world) = World::on(Backend::Mongo) else { return };
    let mut world = prepared(world, None);
    world.write("greet.yaml", "jobs: { greet: { class: test.main.Greeting() } }\n");
    assert!(world.verb(&["add", "greet.yaml"]).status.success());
    world.kill();
    // Somebody with access to the database lets it run a module of theirs.
    let job: JobDocument = world.applied("greet").unwrap();
    let mut forged = job.spec.clone();
    forged["env"] = json!({ "PYTHONPATH": "/tmp" });
    let name = JobName::parse("greet").unwrap();
    let spec = JobSpec::from_canonical(&name, &forged.to_string()).unwrap();
    let canonical: Value = serde_json::from_str(&spec.canonical()).unwrap();
    let spec_in_bson = bson::serialize_to_bson(&canonical).unwrap();
    let digest = spec.digest().to_string();
    world.on_database_of(async |database| {
        let set = bson::doc! { "$set": { "spec": spec_in_bson, "digest": digest } };
        let jobs = database.collection::<bson::Document>("jobs");
        let done = jobs.update_one(bson::doc! { "_id": &job.uid }, set).await.unwrap();
        assert_eq!(done.modified_count, 1);
    });
    world.start();
    world.until_it_leads();
    world.until("an execution that did not start", |world| {
        drop(world.verb(&["run", "greet", "--wait"]));
        world.rows_of(Some("greet")).iter().any(|row| row.outcome().is_some())
    });
    let rows = world.rows_of(Some("greet"));
    let succeeded = |row: &&_| format!("{row:?}").contains("hello");
    assert!(!rows.iter().any(|row| succeeded(&row)), "{rows:?}");
    world.stop();
}

#[test]
fn through_redis_jobs_are_added_only_where_the_settings_say_so() {
    let Some(redis) = servers::redis() else { return };
    let mut world = prepared(World::new(), Some((redis, "prefix = \"shy\"")));
    blocking(async {
        let mut producer = Producer::of(redis, "shy").await;
        let spec = json!({ "class": "test.main.Greeting()" });
        let reply = producer
            .ask(json!({ "id": "a1", "op": "add", "job": "greet", "args": { "spec": spec } }))
            .await;
        assert_eq!(reply["error"]["code"], "E0403", "{reply}");
        assert_eq!(reply["error"]["message"], "`add` is not taken in through Redis");
        assert_eq!(producer.dead().await, 1);
    });
    assert!(world.applied("greet").is_none());
    world.stop();
}

#[test]
fn through_redis_jobs_are_added_run_asked_for_and_removed_in_the_order_of_the_stream() {
    let Some(redis) = servers::redis() else { return };
    let more = "prefix = \"bold\"\nproducers = [\"web\"]\n\
                allow = [\"add\", \"update\", \"remove\", \"run\", \"has\", \"get\", \"list\", \"running\", \"history\", \"ping\"]";
    let mut world = prepared(World::new(), Some((redis, more)));
    blocking(async {
        let mut producer = Producer::of(redis, "bold").await;
        let mut after = "0".to_owned();
        let spec = json!({ "class": "test.main.Greeting(\"redis\")" });
        for message in [
            json!({ "v": 1, "id": "b1", "op": "add", "job": "greet", "args": { "spec": spec }, "reply_to": "web" }),
            json!({ "v": 1, "id": "b2", "op": "run", "job": "greet", "args": { "wait": true }, "reply_to": "web" }),
        ] {
            producer.send("requests:web", &message).await;
        }
        let replies = producer.replies(&mut after, 4).await;
        let told: Vec<_> = replies
            .iter()
            .map(|reply| format!("{} {}", reply["in_reply_to"], reply["status"]))
            .collect();
        assert_eq!(
            told,
            [r#""b1" "accepted""#, r#""b2" "accepted""#, r#""b2" "started""#, r#""b2" "finished""#]
        );
        assert_eq!(replies[3]["result"]["outcome"], "succeeded");

        let has = producer.ask(json!({ "id": "b3", "op": "has", "job": "greet" })).await;
        assert_eq!(
            has["result"]["document"],
            json!({ "job": "greet", "has": true, "owner": "request" })
        );
        let got = producer.ask(json!({ "id": "b4", "op": "get", "job": "greet" })).await;
        assert_eq!(
            got["result"]["document"]["spec"]["class"], "test.main.Greeting(\"redis\")",
            "{got}"
        );
        let list = producer.ask(json!({ "id": "b5", "op": "list" })).await;
        assert_eq!(list["result"]["document"]["jobs"].as_array().map(Vec::len), Some(2), "{list}");
        let history = producer
            .ask(json!({ "id": "b6", "op": "history", "args": { "execution_id": "b2" } }))
            .await;
        assert_eq!(
            history["result"]["document"]["execution"]["result"], "hello redis",
            "{history}"
        );
        let running = producer.ask(json!({ "id": "b7", "op": "running" })).await;
        assert_eq!(running["result"]["document"], json!({ "executions": [] }));

        let gone = producer.ask(json!({ "id": "b8", "op": "remove", "job": "greet" })).await;
        assert_eq!(gone["status"], "accepted", "{gone}");
        let has = producer.ask(json!({ "id": "b9", "op": "has", "job": "greet" })).await;
        assert_eq!(has["result"]["document"]["has"], false);
        let pause = producer.ask(json!({ "id": "b10", "op": "pause", "job": "filed" })).await;
        assert_eq!(pause["error"]["code"], "E0403");
    });
    world.stop();
}

#[test]
fn requests_with_one_key_have_one_effect_and_a_dry_run_has_none() {
    let Some(redis) = servers::redis() else { return };
    let mut world = prepared(World::new(), Some((redis, "prefix = \"keyed\"")));
    blocking(async {
        let mut producer = Producer::of(redis, "keyed").await;
        let dry =
            producer.ask(json!({ "id": "d", "op": "run", "job": "filed", "dry_run": true })).await;
        assert_eq!(dry["result"]["note"], "nothing was done; `filed` would run", "{dry}");
        let run = |id: &str| json!({ "id": id, "op": "run", "job": "filed", "idempotency_key": "order-4711" });
        let first = producer.ask(run("k1")).await;
        assert_eq!((&first["status"], &first["in_reply_to"]), (&json!("accepted"), &json!("k1")));
        let second = producer.ask(run("k2")).await;
        assert_eq!(
            (&second["status"], &second["in_reply_to"]),
            (&json!("duplicate"), &json!("k2"))
        );
        assert_eq!(second["execution_id"], first["execution_id"]);
    });
    world.until("the execution", |world| {
        let rows = world.rows_of(Some("filed"));
        rows.len() == 1 && rows[0].outcome().is_some()
    });
    world.stop();
}
