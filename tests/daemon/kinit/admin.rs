//! The part of kinit's web admin: what it does to its database and publishes, and what its pages read.

use bson::oid::ObjectId;
use bson::{Bson, Document, doc};
use cronwright::time::Timestamp;
use mongodb::Collection;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::daemon::harness::World;
use crate::support::servers::{self, Mongod, Redis};

/// kinit's collections.
pub(super) const JOBS: &str = "scheduler_task_jobs";
pub(super) const RECORDS: &str = "scheduler_task_record";
pub(super) const TASKS: &str = "vadmin_system_task";

/// A folder of tasks as kinit has it.
const MAIN: &str = r#"import os
import time


class Test:

    def __init__(self, name: str, age: int, flag: bool = False):
        self.name = name
        self.age = age
        self.flag = flag

    def main(self) -> str:
        print("hello", self.name)
        return f"{self.name} is {self.age}, {self.flag}"


class Failing(Test):

    def main(self):
        raise ValueError(f"no {self.name}")


class Waiting(Test):

    def main(self):
        open("begun", "w").close()
        while not os.path.exists("released"):
            time.sleep(0.01)
        return {"released": self.age}
"#;

/// A world with kinit's database and channel.
pub(super) struct Admin {
    pub(super) world: World,
    runtime: Runtime,
    /// The URL of its database.
    mongo: String,
    /// The URL of its server.
    redis: String,
    channel: String,
}

/// A task as its form has it.
#[derive(Debug, Clone)]
pub(super) struct Form<'f> {
    pub(super) class: &'f str,
    pub(super) strategy: &'f str,
    pub(super) expression: Option<&'f str>,
    pub(super) start_date: Option<&'f str>,
    pub(super) end_date: Option<&'f str>,
}

impl<'f> Form<'f> {
    pub(super) fn new(class: &'f str, strategy: &'f str, expression: &'f str) -> Self {
        let expression = Some(expression);
        Self { class, strategy, expression, start_date: None, end_date: None }
    }
}

impl Admin {
    /// On a replica set; none: servers are not wanted.
    pub(super) fn new() -> Option<Self> {
        let (mongod, redis) = (servers::mongod()?, servers::redis()?);
        Some(Self::on(mongod, redis))
    }

    /// With kinit's database in the store.
    pub(super) fn on(mongod: &Mongod, redis: &Redis) -> Self {
        let name = servers::unique("kinit");
        Self::in_world(World::on_mongod_named(mongod, &name), mongod.url(&name), redis, "")
    }

    /// With a store that is a file.
    pub(super) fn apart(mongod: &Mongod, redis: &Redis) -> Self {
        let mongo = mongod.url(&servers::unique("kinit"));
        Self::in_world(World::new(), mongo.clone(), redis, &format!("url = \"{mongo}\"\n"))
    }

    /// The same kinit, with another daemon beside.
    pub(super) fn beside(other: &Self) -> World {
        let world = World::beside(&other.world);
        copy_tasks(&world);
        let settings = std::fs::read_to_string(other.world.path("cronwright.toml")).unwrap();
        world.write("cronwright.toml", &format!("{settings}[node]\nname = \"beside\"\n"));
        world
    }

    fn in_world(world: World, mongo: String, redis: &Redis, more: &str) -> Self {
        let (redis, channel) = (redis.url(0), servers::unique("kinit_queue"));
        copy_tasks(&world);
        world.write(
            "cronwright.toml",
            &format!(
                "[python]\nroot = \"tasks\"\n[redis]\nurl = \"{redis}\"\nprefix = \"{channel}\"\n\
                 [kinit]\nenabled = true\nchannel = \"{channel}\"\n{more}"
            ),
        );
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).enable_all().build().unwrap();
        Self { world, runtime, mongo, redis, channel }
    }

    /// Starts the daemon; it listens when this returns.
    pub(super) fn start(&mut self) {
        self.world.start();
        self.until_heard();
    }

    /// Waits until somebody listens to the channel.
    pub(super) fn until_heard(&mut self) {
        self.until("listener", |admin| admin.listeners() == Some(1));
    }

    /// How many listen to the channel; none: the server does not answer.
    pub(super) fn listeners(&self) -> Option<i64> {
        let mut count = redis::cmd("PUBSUB");
        count.arg("NUMSUB").arg(&self.channel);
        let found: Option<(String, i64)> = ask(&self.redis, &count);
        found.map(|(_, listeners)| listeners)
    }

    /// Does something to a collection.
    pub(super) fn on_collection<T>(
        &self,
        name: &str,
        act: impl AsyncFnOnce(Collection<Document>) -> T,
    ) -> T {
        self.runtime.block_on(async {
            let client = mongodb::Client::with_uri_str(&self.mongo).await.unwrap();
            act(client.default_database().unwrap().collection(name)).await
        })
    }

    /// Publishes bytes; how many have heard them.
    pub(super) fn publish(&self, message: &[u8]) -> i64 {
        let mut publish = redis::cmd("PUBLISH");
        publish.arg(&self.channel).arg(message);
        ask(&self.redis, &publish).unwrap()
    }

    pub(super) fn publish_task(&self, id: &str, form: &Form<'_>) -> i64 {
        let mut params = json!({ "name": id, "job_class": form.class });
        if form.strategy != "once" {
            params["expression"] = form.expression.into();
        }
        if ["interval", "cron"].contains(&form.strategy) {
            params["start_date"] = form.start_date.into();
            params["end_date"] = form.end_date.into();
        }
        let task = json!({ "exec_strategy": form.strategy, "job_params": params });
        self.publish(json!({ "operation": "add_job", "task": task }).to_string().as_bytes())
    }

    /// Stores a definition.
    pub(super) fn define(&self, form: &Form<'_>) -> String {
        let id = ObjectId::new();
        let mut definition = definition(form);
        definition.insert("_id", id);
        self.on_collection(TASKS, async |tasks| tasks.insert_one(definition).await.unwrap());
        id.to_hex()
    }

    /// Stores a definition, and has it scheduled.
    pub(super) fn create(&self, form: &Form<'_>) -> String {
        let id = self.define(form);
        assert_eq!(self.publish_task(&id, form), 1, "one listens");
        id
    }

    /// Changes the definition of an active task.
    pub(super) fn edit(&self, id: &str, form: &Form<'_>) {
        let to = doc! { "$set": definition(form) };
        let key = doc! { "_id": ObjectId::parse_str(id).unwrap() };
        self.on_collection(TASKS, async |tasks| tasks.update_one(key, to).await.unwrap());
        self.disable(id);
        assert_eq!(self.publish_task(id, form), 1);
    }

    /// Takes a task out of the schedule.
    pub(super) fn disable(&self, id: &str) {
        let key = doc! { "_id": id };
        self.on_collection(JOBS, async |jobs| jobs.delete_one(key).await.unwrap());
    }

    /// Takes a task out of the schedule, and its definition away.
    pub(super) fn delete(&self, id: &str) {
        let key = doc! { "_id": ObjectId::parse_str(id).unwrap() };
        self.on_collection(TASKS, async |tasks| tasks.delete_one(key).await.unwrap());
        self.disable(id);
    }

    /// Runs a task now.
    pub(super) fn run_once(&self, id: &str, class: &str) {
        let form = Form { expression: None, ..Form::new(class, "once", "") };
        assert_eq!(self.publish_task(id, &form), 1);
    }

    /// A task as the page of tasks lists it: whether it is active, and when its last record was made. The last is the
    /// one that was inserted last: nothing is sorted there.
    pub(super) fn listed(&self, id: &str) -> Document {
        let lookup = |from: &str, local: &str, foreign: &str, to: &str| {
            doc! { "$lookup": { "from": from, "localField": local, "foreignField": foreign, "as": to } }
        };
        let pipeline = [
            doc! { "$addFields": { "text_id": { "$toString": "$_id" } } },
            lookup(JOBS, "text_id", "_id", "active"),
            lookup(RECORDS, "text_id", "job_id", "ran"),
            doc! { "$addFields": {
                "is_active": { "$ne": ["$active", []] },
                "last_run_datetime": { "$arrayElemAt": ["$ran.create_datetime", -1] },
            } },
            doc! { "$project": { "active": 0, "ran": 0 } },
            doc! { "$match": { "text_id": id } },
            doc! { "$facet": { "tasks": [{ "$limit": 10 }], "count": [{ "$count": "total" }] } },
        ];
        self.on_collection(TASKS, async |tasks| {
            let mut cursor = tasks.aggregate(pipeline).await.unwrap();
            assert!(cursor.advance().await.unwrap());
            let page = cursor.deserialize_current().unwrap();
            let tasks = page.get_array("tasks").unwrap();
            tasks.first().expect("the task").as_document().unwrap().clone()
        })
    }

    pub(super) fn is_active(&self, id: &str) -> bool {
        self.listed(id).get_bool("is_active").unwrap()
    }

    /// The document of an active task.
    pub(super) fn job(&self, id: &str) -> Option<Document> {
        let key = doc! { "_id": id };
        self.on_collection(JOBS, async |jobs| jobs.find_one(key).await.unwrap())
    }

    /// The page of records of a task, oldest first.
    pub(super) fn records(&self, id: &str) -> Vec<Document> {
        self.on_collection(RECORDS, async |records| {
            let newest_first = doc! { "create_datetime": -1 };
            let mut cursor = records.find(doc! { "job_id": id }).sort(newest_first).await.unwrap();
            let mut found = Vec::new();
            while cursor.advance().await.unwrap() {
                found.insert(0, cursor.deserialize_current().unwrap());
            }
            found
        })
    }

    /// Waits for so many records of a task.
    pub(super) fn until_records(&mut self, id: &str, count: usize) -> Vec<Document> {
        self.until("records", |admin| admin.records(id).len() >= count);
        self.records(id)
    }

    /// Waits until something is so.
    pub(super) fn until(&mut self, what: &str, mut is_so: impl FnMut(&Self) -> bool) {
        let begun = std::time::Instant::now();
        while !is_so(self) {
            assert!(begun.elapsed().as_secs() < 60, "no {what}; {}", self.world.log_tail());
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}

fn definition(form: &Form<'_>) -> Document {
    doc! {
        "name": "a task", "group": "tests", "job_class": form.class,
        "exec_strategy": form.strategy, "expression": form.expression,
        "start_date": form.start_date, "end_date": form.end_date, "remark": "",
        "is_active": true, "create_datetime": bson::DateTime::now(),
    }
}

/// What the server answers, if it does.
fn ask<T: redis::FromRedisValue>(url: &str, command: &redis::Cmd) -> Option<T> {
    let client = redis::Client::open(url).unwrap();
    command.query(&mut client.get_connection().ok()?).ok()
}

fn copy_tasks(world: &World) {
    std::fs::create_dir_all(world.path("tasks/test")).unwrap();
    world.write("tasks/__init__.py", "");
    world.write("tasks/test/__init__.py", "");
    world.write("tasks/test/main.py", MAIN);
}

/// What the page makes of a field that it parses.
pub(super) fn parsed(record: &Document, field: &str) -> Value {
    serde_json::from_str(record.get_str(field).unwrap()).unwrap()
}

/// A time as kinit's forms have it: in Shanghai.
pub(super) fn local(at: Timestamp) -> String {
    (at + chrono::TimeDelta::hours(8)).format("%Y-%m-%d %H:%M:%S").to_string()
}

/// Whether a field is null or not there.
pub(super) fn is_empty(document: &Document, field: &str) -> bool {
    matches!(document.get(field), None | Some(Bson::Null))
}
