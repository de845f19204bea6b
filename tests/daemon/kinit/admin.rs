//! The part of kinit's web admin: what it does to its database and publishes, and what its pages read.

use bson::oid::ObjectId;
use bson::{Bson, Document, doc};
use cronwright::time::Timestamp;
use mongodb::{Collection, Database};
use serde_json::{Value, json};

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
    redis: &'static Redis,
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

    pub(super) fn on(mongod: &Mongod, redis: &'static Redis) -> Self {
        let world = World::on_mongod(mongod);
        let channel = servers::unique("kinit_queue");
        std::fs::create_dir_all(world.path("tasks/test")).unwrap();
        world.write("tasks/__init__.py", "");
        world.write("tasks/test/__init__.py", "");
        world.write("tasks/test/main.py", MAIN);
        let url = redis.url(0);
        world.write(
            "cronwright.toml",
            &format!(
                "[python]\nroot = \"tasks\"\n[redis]\nurl = \"{url}\"\nprefix = \"{channel}\"\n\
                 [kinit]\nenabled = true\nchannel = \"{channel}\"\n"
            ),
        );
        Self { world, redis, channel }
    }

    /// Starts the daemon; it listens when this returns.
    pub(super) fn start(&mut self) {
        self.world.start();
        self.until_heard();
    }

    /// Waits until somebody listens to the channel.
    pub(super) fn until_heard(&mut self) {
        let (redis, channel) = (self.redis, self.channel.clone());
        self.world.until("listener", |_| {
            let mut count = redis::cmd("PUBSUB");
            count.arg("NUMSUB").arg(&channel);
            let (_, listeners): (String, i64) = ask(redis, &count);
            listeners == 1
        });
    }

    /// Does something to a collection.
    pub(super) fn on_collection<T>(
        &self,
        name: &str,
        act: impl AsyncFnOnce(Collection<Document>) -> T,
    ) -> T {
        let mut done = None;
        self.world.on_database_of(async |database: Database| {
            done = Some(act(database.collection(name)).await);
        });
        done.unwrap()
    }

    /// Publishes bytes; how many have heard them.
    pub(super) fn publish(&self, message: &[u8]) -> i64 {
        let mut publish = redis::cmd("PUBLISH");
        publish.arg(&self.channel).arg(message);
        ask(self.redis, &publish)
    }

    fn publish_task(&self, id: &str, form: &Form<'_>) -> i64 {
        let params = json!({ "name": id, "job_class": form.class, "expression": form.expression,
            "start_date": form.start_date, "end_date": form.end_date });
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
        self.disable(id);
        let key = doc! { "_id": ObjectId::parse_str(id).unwrap() };
        self.on_collection(TASKS, async |tasks| tasks.delete_one(key).await.unwrap());
    }

    /// Runs a task now.
    pub(super) fn run_once(&self, id: &str, class: &str) {
        let form = Form { expression: None, ..Form::new(class, "once", "") };
        assert_eq!(self.publish_task(id, &form), 1);
    }

    /// A task as the page of tasks lists it: with its newest record, and whether it is active.
    pub(super) fn listed(&self, id: &str) -> Document {
        let pipeline = [
            doc! { "$addFields": { "text_id": { "$toString": "$_id" } } },
            doc! { "$match": { "text_id": id } },
            doc! { "$lookup": { "from": JOBS, "localField": "text_id", "foreignField": "_id", "as": "job" } },
            doc! { "$lookup": {
                "from": RECORDS,
                "let": { "id": "$text_id" },
                "pipeline": [
                    { "$match": { "$expr": { "$eq": ["$job_id", "$$id"] } } },
                    { "$sort": { "create_datetime": -1 } },
                    { "$limit": 1 },
                ],
                "as": "last",
            } },
            doc! { "$addFields": {
                "is_active": { "$ne": ["$job", []] },
                "last_run_datetime": { "$arrayElemAt": ["$last.create_datetime", 0] },
            } },
        ];
        self.on_collection(TASKS, async |tasks| {
            let mut cursor = tasks.aggregate(pipeline).await.unwrap();
            assert!(cursor.advance().await.unwrap(), "no task {id}");
            cursor.deserialize_current().unwrap()
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

fn ask<T: redis::FromRedisValue>(redis: &Redis, command: &redis::Cmd) -> T {
    let client = redis::Client::open(redis.url(0)).unwrap();
    command.query(&mut client.get_connection().unwrap()).unwrap()
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
