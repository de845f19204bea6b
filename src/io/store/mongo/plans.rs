//! Plans, and the jobs that they lead to.
//!
//! A plan is whole or not at all, without a transaction of many documents: the definitions are
//! written first, under ids of their own; then one document in `plans`, whose id is the generation,
//! commits; then the jobs follow. Whoever finds a committed plan whose jobs have not followed
//! (`pending`) lets them follow: doing it twice, or late, changes nothing.

use bson::{Bson, Document, doc};
use mongodb::Database;
use mongodb::error::Error;

use crate::engine::event::PlanWrites;
use crate::io::store::document::{JobDocument, PinDocument, PlanDocument};
use crate::io::store::mongo::bulk::{self, Statement};
use crate::io::store::mongo::connection::{CALL_WITHIN, Connection, READ_WITHIN, all};
use crate::io::store::mongo::{form, overrides};
use crate::io::store::{PlanAnswer, StoreError, StoredJobs};

/// How many documents are looked for by id in one call.
const IDS_MAX: usize = 1_000;

/// The newest plan: where the store stands.
#[derive(Debug, Default)]
pub(super) struct Position {
    pub(super) generation: u64,
    pub(super) revision: String,
    pub(super) pin: Option<PinDocument>,
}

/// See `Store::save_plan`.
pub(super) async fn save(
    connection: &Connection,
    plan: &PlanWrites,
) -> Result<PlanAnswer, StoreError> {
    if position(connection).await?.generation != plan.expected_generation {
        return Ok(PlanAnswer::Stale);
    }
    let generation = plan.expected_generation + 1;
    let mut pending = Vec::new();
    let mut definitions = Vec::new();
    for job in plan.upserts.iter().chain(&plan.repair.write) {
        let job = JobDocument::of(job, None);
        let id = job.spec_id();
        let mut definition = form::of_job(&job)?;
        definition.insert("_id", &id);
        definition.insert("uid", &job.uid);
        pending.push(doc! { "uid": &job.uid, "spec": &id });
        definitions.push(Statement::put(doc! { "_id": id }, definition));
    }
    bulk::run(connection, "write definitions", "specs", definitions).await?;
    let removed = plan.removed.iter().chain(&plan.repair.remove);
    let removed: Vec<String> = removed.map(|job| job.uid.to_string()).collect();
    let mut document = form::of_plan(&PlanDocument::of(plan, generation))?;
    let said = overrides::pending(&plan.overrides)?;
    document.insert("pending", doc! { "upserts": pending, "removed": removed, "overrides": said });
    let insert = commit(&connection.database, &document);
    if !connection.call("write a plan", CALL_WITHIN, insert).await? {
        return Ok(PlanAnswer::Stale);
    }
    follow(connection, &document).await?;
    Ok(PlanAnswer::Saved { generation })
}

/// Whether the plan is written; not, when its generation was taken.
async fn commit(database: &Database, plan: &Document) -> Result<bool, Error> {
    match database.collection::<Document>("plans").insert_one(plan).await {
        Ok(_) => Ok(true),
        Err(error) if super::connection::is_duplicate(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Where the store stands, after the jobs of a plan that was broken off have followed.
pub(super) async fn position(connection: &Connection) -> Result<Position, StoreError> {
    let plans = connection.collection("plans");
    let newest = async { plans.find_one(doc! {}).sort(doc! { "_id": -1 }).await };
    let Some(plan) = connection.call("read plans", CALL_WITHIN, newest).await? else {
        return Ok(Position::default());
    };
    if plan.contains_key("pending") {
        follow(connection, &plan).await?;
    }
    let plan = form::to_plan(plan)?;
    let generation = plan.generation.unsigned_abs();
    Ok(Position { generation, revision: plan.revision, pin: plan.pin })
}

/// Lets the jobs follow a committed plan. A job that a later plan has changed already stays.
async fn follow(connection: &Connection, plan: &Document) -> Result<(), StoreError> {
    let generation = form::number("plan", plan, "_id")?;
    // Also one that somebody inserted by hand, which has none.
    let older = doc! { "$not": { "$gte": generation } };
    let pending = plan.get_document("pending").cloned().unwrap_or_default();
    let list = |field: &str| pending.get_array(field).cloned().unwrap_or_default();
    let effective_at = plan.get("effective_at").cloned().unwrap_or(Bson::Null);
    let mut statements: Vec<Statement> = list("removed")
        .into_iter()
        .map(|uid| {
            let job = doc! { "_id": uid, "generation": &older };
            let removal = doc! { "removed_at": &effective_at, "generation": generation };
            Statement::change(job, doc! { "$set": removal })
        })
        .collect();
    let specs: Vec<Bson> = list("upserts")
        .iter()
        .filter_map(|upsert| upsert.as_document()?.get("spec").cloned())
        .collect();
    for ids in specs.chunks(IDS_MAX) {
        let specs = connection.collection("specs");
        let find = async { all(specs.find(doc! { "_id": { "$in": ids } }).await?).await };
        for mut job in connection.call("read definitions", READ_WITHIN, find).await? {
            let uid = job.remove("uid").unwrap_or(Bson::Null);
            job.insert("_id", &uid);
            job.insert("generation", generation);
            statements.push(Statement::put(doc! { "_id": uid, "generation": &older }, job));
        }
    }
    bulk::run(connection, "write jobs", "jobs", statements).await?;
    let said = overrides::follow(generation, list("overrides"));
    bulk::run(connection, "write overrides", "overrides", said).await?;
    let plans = connection.collection("plans");
    let followed = doc! { "$unset": { "pending": "" } };
    let done = async { plans.update_one(doc! { "_id": generation }, followed).await };
    connection.call("write a plan", CALL_WITHIN, done).await.map(drop)
}

/// The applied jobs, and the removed ones.
pub(super) async fn jobs(connection: &Connection) -> Result<Vec<JobDocument>, StoreError> {
    let jobs = connection.collection("jobs");
    let find = async { all(jobs.find(doc! {}).sort(doc! { "_id": 1 }).await?).await };
    let jobs = connection.call("read jobs", READ_WITHIN, find).await?;
    jobs.into_iter().map(form::to_job).collect()
}

/// See `Store::stored_jobs`.
pub(super) async fn stored_jobs(connection: &Connection) -> Result<Option<StoredJobs>, StoreError> {
    let before = settled_generation(connection).await?;
    let jobs = connection.collection("jobs");
    let find = async { all(jobs.find(doc! {}).sort(doc! { "_id": 1 }).await?).await };
    let documents = connection.call("read jobs", READ_WITHIN, find).await?;
    let Some(generation) = before else { return Ok(None) };
    if settled_generation(connection).await? != Some(generation) {
        return Ok(None);
    }
    let mut stored = StoredJobs { generation, ..StoredJobs::default() };
    for document in documents {
        let uid =
            document.get("_id").map(|uid| uid.as_str().map_or(uid.to_string(), str::to_owned));
        match form::to_job(document) {
            Ok(job) => stored.jobs.push(job),
            Err(_) => stored.damaged.extend(uid),
        }
    }
    Ok(Some(stored))
}

/// The generation; none while the jobs have not all followed its plan.
async fn settled_generation(connection: &Connection) -> Result<Option<u64>, StoreError> {
    let plans = connection.collection("plans");
    let newest = async {
        let only = doc! { "_id": 1, "pending.removed": 1 };
        plans.find_one(doc! {}).sort(doc! { "_id": -1 }).projection(only).await
    };
    let Some(plan) = connection.call("read plans", CALL_WITHIN, newest).await? else {
        return Ok(Some(0));
    };
    if plan.contains_key("pending") {
        return Ok(None);
    }
    form::number("plan", &plan, "_id").map(|generation| Some(generation.unsigned_abs()))
}

/// See `Store::plans`.
pub(super) async fn newest(
    connection: &Connection,
    limit: usize,
) -> Result<Vec<PlanDocument>, StoreError> {
    let plans = connection.collection("plans");
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let find =
        async { all(plans.find(doc! {}).sort(doc! { "_id": -1 }).limit(limit).await?).await };
    let plans = connection.call("read plans", READ_WITHIN, find).await?;
    plans.into_iter().map(form::to_plan).collect()
}
