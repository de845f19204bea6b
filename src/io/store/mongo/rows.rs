//! Rows of the ledger: claiming and reading.

use std::collections::BTreeMap;
use std::time::Duration;

use bson::{Bson, Document, doc};
use mongodb::Collection;
use mongodb::error::{Error, ErrorKind};
use tokio::time::timeout;

use crate::engine::event::{ClaimAnswer, ClaimBatch, Take};
use crate::engine::execution::{Claim, ExecutionId, JobUid, Range, Row};
use crate::io::clock;
use crate::io::store::document::OverrideDocument;
use crate::io::store::mongo::bulk::{self, Statement};
use crate::io::store::mongo::connection::{
    CALL_WITHIN, Connection, READ_WITHIN, all, is_duplicate,
};
use crate::io::store::mongo::form;
use crate::io::store::{Query, StoreError};
use crate::time::Timestamp;

/// The one document of `watermarks` that stands for the whole store.
const WHOLE_STORE: &str = "store";
/// The rows of how many paused jobs one call reads.
const PAUSES_MAX: usize = 500;

/// See `Store::claim`.
pub(super) async fn claim(
    connection: &Connection,
    batch: &ClaimBatch,
) -> Result<Vec<ClaimAnswer>, StoreError> {
    let rows = batch.rows.iter().map(form::of_row).collect::<Result<Vec<_>, _>>()?;
    let left = time_left(batch)?;
    let insert = insert(connection.collection("executions"), rows);
    let refused = connection.call("claim", left, insert).await?;
    let mut answers = vec![ClaimAnswer::Claimed; batch.rows.len()];
    if !refused.is_empty() {
        let rows: Vec<&Row> = refused.iter().filter_map(|index| batch.rows.get(*index)).collect();
        let found = claims(connection, rows.iter().map(|row| &row.id)).await?;
        for index in refused {
            let Some(row) = batch.rows.get(index) else { continue };
            // Neither index says which of the two refused the row: its id, if that is there.
            answers[index] = match found.get(row.id.as_str()) {
                Some(Found { claim, .. }) => ClaimAnswer::AlreadyClaimed { claim: claim.clone() },
                None => ClaimAnswer::SlotTaken,
            };
        }
    }
    answers.extend(take_waiting(connection, batch).await?);
    if batch.is_decided(&answers) {
        move_watermark(connection, batch).await?;
    }
    Ok(answers)
}

/// Puts claimed rows into the place of those that wait. Only when some row was not found as it should be is
/// looked at what it is instead.
async fn take_waiting(
    connection: &Connection,
    batch: &ClaimBatch,
) -> Result<Vec<ClaimAnswer>, StoreError> {
    if batch.takes.is_empty() {
        return Ok(Vec::new());
    }
    let left = time_left(batch)?;
    let take = |take: &Take| {
        let from = &take.from;
        // One that has had no attempt is queued, and has no number of one yet.
        let (state, attempt) = match take.row.attempt() {
            0 | 1 => ("queued", Bson::Document(doc! { "$exists": false })),
            attempt => ("retry_wait", Bson::Int64(i64::from(attempt))),
        };
        let waits = doc! {
            "_id": take.row.id.as_str(),
            "state": state,
            "attempt": attempt,
            "node": &*from.node,
            "epoch": i64::try_from(from.epoch).unwrap_or(i64::MAX),
            "nonce": &*from.nonce,
        };
        Ok(Statement::change(waits, form::of_row(&take.row)?))
    };
    let takes = batch.takes.iter().map(take).collect::<Result<Vec<_>, StoreError>>()?;
    let count = takes.len() as u64;
    let sent = bulk::run(connection, "claim", "executions", takes);
    let silent = |_| StoreError::Failed { act: "claim", message: "no answer in time".to_owned() };
    let found = timeout(left, sent).await.map_err(silent)??;
    if found == count {
        return Ok(vec![ClaimAnswer::Claimed; batch.takes.len()]);
    }
    let found = claims(connection, batch.takes.iter().map(|take| &take.row.id)).await?;
    let answer = |take: &Take| match found.get(take.row.id.as_str()) {
        Some(Found { claim, .. }) if *claim == take.row.claim => ClaimAnswer::Claimed,
        // All is as it should be: it was the index of places that refused the row.
        Some(Found { claim, waits: true }) if *claim == take.from => ClaimAnswer::SlotTaken,
        Some(Found { claim, .. }) => ClaimAnswer::AlreadyClaimed { claim: claim.clone() },
        None => ClaimAnswer::AlreadyClaimed { claim: take.from.clone() },
    };
    Ok(batch.takes.iter().map(answer).collect())
}

/// How long a claim may still take; an error when it must not be sent any more (C12).
pub(super) fn time_left(batch: &ClaimBatch) -> Result<Duration, StoreError> {
    let left = batch.deadline.since(clock::boot()).min(CALL_WITHIN);
    if left.is_zero() {
        let message = "its deadline has passed".to_owned();
        return Err(StoreError::Failed { act: "claim", message });
    }
    Ok(left)
}

/// Inserts rows in their order; answers the places of those that a unique index refused.
///
/// The command stops at the first refusal, and the next one goes on behind it. So a command whose
/// sender is gone, and which arrives when a successor has covered what it claims, stops at the first
/// occurrence that both know, before it would add rows for times inside a successor's range row.
async fn insert(
    executions: Collection<Document>,
    rows: Vec<Document>,
) -> Result<Vec<usize>, Error> {
    let mut refused = Vec::new();
    let mut left = rows.as_slice();
    while !left.is_empty() {
        let Err(error) = executions.insert_many(left).ordered(true).await else { break };
        let ErrorKind::InsertMany(many) = &*error.kind else { return Err(error) };
        let first = many.write_errors.iter().flatten().next().map(|error| error.index);
        let (Some(first), true) = (first, is_duplicate(&error)) else { return Err(error) };
        refused.push(rows.len() - left.len() + first);
        left = left.get(first + 1..).unwrap_or_default();
    }
    Ok(refused)
}

/// A row that exists.
struct Found {
    /// Whose it is.
    claim: Claim,
    /// It is to be claimed again before anything starts.
    waits: bool,
}

/// Whose the rows are that exist.
async fn claims<'a>(
    connection: &Connection,
    ids: impl Iterator<Item = &'a ExecutionId>,
) -> Result<BTreeMap<String, Found>, StoreError> {
    let fields = doc! { "node": 1, "epoch": 1, "nonce": 1, "state": 1 };
    let found = by_id(connection, form::ids(ids), fields).await?;
    let claim = |row: &Document| {
        let claim = Claim {
            node: form::text("row", row, "node")?.into(),
            epoch: form::number("row", row, "epoch")?.unsigned_abs(),
            nonce: form::text("row", row, "nonce")?.into(),
        };
        let waits = matches!(form::text("row", row, "state")?, "queued" | "retry_wait");
        Ok((form::text("row", row, "_id")?.to_owned(), Found { claim, waits }))
    };
    found.iter().map(claim).collect()
}

/// Some fields of the rows that exist.
pub(super) async fn by_id(
    connection: &Connection,
    ids: Vec<&str>,
    fields: Document,
) -> Result<Vec<Document>, StoreError> {
    let executions = connection.collection("executions");
    let find = executions.find(doc! { "_id": { "$in": ids } }).projection(fields);
    connection.call("read rows", READ_WITHIN, async { all(find.await?).await }).await
}

async fn move_watermark(connection: &Connection, batch: &ClaimBatch) -> Result<(), StoreError> {
    let watermarks = connection.collection("watermarks");
    let forward = doc! { "$max": { "covered_until": form::date(batch.watermark) } };
    let update = watermarks.update_one(doc! { "_id": WHOLE_STORE }, forward).upsert(true);
    let left = time_left(batch)?;
    connection.call("move the watermark", left, async { update.await }).await.map(drop)
}

/// See `Store::row`.
pub(super) async fn row(
    connection: &Connection,
    id: &ExecutionId,
) -> Result<Option<Row>, StoreError> {
    let executions = connection.collection("executions");
    let find = executions.find_one(doc! { "_id": id.as_str() });
    let found = connection.call("read a row", CALL_WITHIN, async { find.await }).await?;
    found.map(form::to_row).transpose()
}

/// See `Store::in_flight`.
pub(super) async fn in_flight(connection: &Connection) -> Result<Vec<Row>, StoreError> {
    find(connection, doc! { "slot": { "$exists": true } }, Document::new(), 0).await
}

/// See `Store::rows`.
pub(super) async fn rows(connection: &Connection, query: &Query) -> Result<Vec<Row>, StoreError> {
    let mut filter = Document::new();
    if let Some(job) = &query.job {
        // Those from before it was renamed too.
        let uids = connection.collection("jobs");
        let uids = async { uids.distinct("_id", doc! { "name": job.as_str() }).await };
        let uids = connection.call("read jobs", READ_WITHIN, uids).await?;
        let of_job = vec![doc! { "job": job.as_str() }, doc! { "uid": { "$in": uids } }];
        filter.insert("$and", vec![doc! { "$or": of_job }]);
    }
    if let Some(since) = query.since {
        filter.extend(covers("$gte", since));
    }
    if let Some(revision) = &query.revision {
        filter.insert("revision", revision);
    }
    if !query.outcomes.is_empty() {
        filter.insert("outcome", doc! { "$in": &query.outcomes });
    }
    if query.limit == 0 {
        return Ok(Vec::new());
    }
    let newest_first = doc! { "fire_time": -1, "_id": -1 };
    find(connection, filter, newest_first, i64::try_from(query.limit).unwrap_or(i64::MAX)).await
}

/// Rows of which an occurrence is after (`$gt`), or not before (`$gte`), a time. Only range rows
/// cover more than their fire time, and those have an index of their own.
fn covers(comparison: &str, at: Timestamp) -> Document {
    let at = || doc! { comparison: form::date(at) };
    doc! { "$or": [
        { "fire_time": at() },
        { "first": { "$exists": true }, "last": at() },
    ] }
}

async fn find(
    connection: &Connection,
    filter: Document,
    sort: Document,
    limit: i64,
) -> Result<Vec<Row>, StoreError> {
    let executions = connection.collection("executions");
    let find = executions.find(filter).sort(sort).limit(limit);
    let found = connection.call("read rows", READ_WITHIN, async { all(find.await?).await }).await?;
    found.into_iter().map(form::to_row).collect()
}

/// See `Store::latest_rows`.
pub(super) async fn latest(connection: &Connection) -> Result<Vec<Row>, StoreError> {
    // This very shape lets the server skip from job to job in the index.
    let newest = [
        doc! { "$sort": { "uid": 1, "fire_time": -1, "_id": -1 } },
        doc! { "$group": { "_id": "$uid", "row": { "$first": "$$ROOT" } } },
        doc! { "$replaceWith": "$row" },
    ];
    let executions = connection.collection("executions");
    let newest = executions.aggregate(newest);
    let read = async { all(newest.await?).await };
    let found = connection.call("read rows", READ_WITHIN, read).await?;
    found.into_iter().map(form::to_row).collect()
}

/// See `Contents::watermark`.
pub(super) async fn watermark(connection: &Connection) -> Result<Option<Timestamp>, StoreError> {
    let watermarks = connection.collection("watermarks");
    let find = async { watermarks.find_one(doc! { "_id": WHOLE_STORE }).await };
    let found = connection.call("read the watermark", CALL_WITHIN, find).await?;
    found.map(|found| form::time("watermark", &found, "covered_until")).transpose()
}

/// See `Contents::covered`.
pub(super) async fn covered(
    connection: &Connection,
    watermark: Option<Timestamp>,
    overrides: &[OverrideDocument],
) -> Result<Vec<(JobUid, Range)>, StoreError> {
    let after_watermark = watermark.map(|at| covers("$gt", at)).unwrap_or_default();
    let mut ranges = ranges(connection, after_watermark).await?;
    let Some(watermark) = watermark else { return Ok(ranges) };
    let paused = |said: &OverrideDocument| {
        let at = said.pause.as_ref()?.at;
        Some(doc! { "uid": &said.uid, "fire_time": { "$gt": form::date(at) } })
    };
    let paused: Vec<Document> = overrides.iter().filter_map(paused).collect();
    for paused in paused.chunks(PAUSES_MAX) {
        let before = doc! { "$or": paused, "last": { "$lte": form::date(watermark) } };
        ranges.extend(self::ranges(connection, before).await?);
    }
    Ok(ranges)
}

/// What the rows of occurrences cover that a filter finds.
async fn ranges(
    connection: &Connection,
    mut filter: Document,
) -> Result<Vec<(JobUid, Range)>, StoreError> {
    filter.insert("cause", doc! { "$ne": "request" });
    let fields = doc! { "uid": 1, "fire_time": 1, "last": 1, "count": 1 };
    let executions = connection.collection("executions");
    let find = executions.find(filter).projection(fields);
    let found = connection.call("read rows", READ_WITHIN, async { all(find.await?).await }).await?;
    let range = |row: &Document| {
        let range = Range {
            first: form::time("row", row, "fire_time")?,
            last: form::time("row", row, "last")?,
            count: form::number("row", row, "count")?.unsigned_abs(),
        };
        Ok((JobUid(form::text("row", row, "uid")?.into()), range))
    };
    found.iter().map(range).collect()
}
