//! Who leads, and which nodes live: by the server's clock alone (`$$NOW`), one document each.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bson::{Bson, DateTime, Document, doc};
use mongodb::options::ReturnDocument;
use mongodb::{Collection, Database};

use crate::engine::execution::{ExecutionId, Row};
use crate::io::store::mongo::connection::{all, is_duplicate};
use crate::io::store::mongo::form;
use crate::io::store::{Bid, ForeignNews, Holder, LeaseAnswer, STORE_VERSION, StoreError};

/// The lease of the leader; there is no other so far.
const LEADER: &str = "leader";

/// See `Store::take_lease`. One update decides, so two that ask at once cannot both win.
pub(super) async fn take(
    database: &Database,
    holder: &Holder,
    bid: Bid,
    ttl: Duration,
) -> Result<Result<LeaseAnswer, StoreError>, mongodb::error::Error> {
    let leases = database.collection::<Document>("leases");
    let ask = || {
        leases
            .find_one_and_update(doc! { "_id": LEADER }, take_or_keep(holder, bid, ttl))
            .upsert(true)
            .return_document(ReturnDocument::After)
    };
    let found = match ask().await {
        // Two upserts of the first lease met; the document is there now.
        Err(error) if is_duplicate(&error) => ask().await?,
        answer => answer?,
    };
    Ok(answer(&found.unwrap_or_default(), holder))
}

fn answer(lease: &Document, holder: &Holder) -> Result<LeaseAnswer, StoreError> {
    let node = form::text("lease", lease, "node")?;
    let identity = form::text("lease", lease, "identity")?;
    if *node == *holder.node && *identity == *holder.identity {
        let epoch = form::number("lease", lease, "epoch")?.unsigned_abs();
        Ok(LeaseAnswer::Held { epoch })
    } else {
        Ok(LeaseAnswer::HeldBy { node: node.to_owned() })
    }
}

/// The change of the lease: renewed by its holder, taken with the next epoch when it has ended or an
/// earlier process of the same node has it, else kept as it is.
fn take_or_keep(holder: &Holder, bid: Bid, ttl: Duration) -> Vec<Document> {
    let (node, identity) = (&*holder.node, &*holder.identity);
    let same_node = doc! { "$eq": ["$node", { "$literal": node }] };
    let same_identity = doc! { "$eq": ["$identity", { "$literal": identity }] };
    let follows = match bid {
        Bid::First => same_node.clone(),
        Bid::Again => doc! { "$literal": false },
    };
    let until = doc! { "$ifNull": ["$until", DateTime::from_millis(0)] };
    let ended = doc! { "$lte": [until, "$$NOW"] };
    let fate = doc! { "$switch": {
        "branches": [
            { "case": { "$and": [same_node, same_identity] }, "then": "renewed" },
            { "case": { "$or": [ended, follows] }, "then": "taken" },
        ],
        "default": "kept",
    } };
    let taken = |then: Bson, or: &str| doc! { "$cond": [{ "$eq": ["$fate", "taken"] }, then, or] };
    let next_epoch = doc! { "$add": [{ "$ifNull": ["$epoch", 0_i64] }, 1_i64] };
    let kept = doc! { "$eq": ["$fate", "kept"] };
    vec![
        doc! { "$set": { "fate": fate } },
        doc! { "$set": {
            "v": i64::from(STORE_VERSION),
            "epoch": taken(next_epoch.into(), "$epoch"),
            "node": taken(doc! { "$literal": node }.into(), "$node"),
            "identity": taken(doc! { "$literal": identity }.into(), "$identity"),
            "until": { "$cond": [kept, "$until", from_now(ttl)] },
        } },
        doc! { "$unset": "fate" },
    ]
}

fn from_now(ttl: Duration) -> Document {
    doc! { "$add": ["$$NOW", i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX)] }
}

/// See `Store::release_lease`.
pub(super) async fn release(
    database: &Database,
    holder: &Holder,
) -> Result<(), mongodb::error::Error> {
    let held = doc! { "_id": LEADER, "node": &*holder.node, "identity": &*holder.identity };
    let ended = doc! { "$set": { "until": DateTime::from_millis(0) } };
    database.collection::<Document>("leases").update_one(held, ended).await.map(drop)
}

/// See `Store::beat`.
pub(super) async fn beat(
    database: &Database,
    node: &str,
    ttl: Duration,
) -> Result<(), mongodb::error::Error> {
    let alive = doc! { "v": i64::from(STORE_VERSION), "until": from_now(ttl), "seen": "$$NOW" };
    let nodes = database.collection::<Document>("nodes");
    let beat =
        || nodes.update_one(doc! { "_id": node }, vec![doc! { "$set": &alive }]).upsert(true);
    match beat().await {
        Err(error) if is_duplicate(&error) => beat().await.map(drop),
        answer => answer.map(drop),
    }
}

/// See `Store::foreign_news`. Rows are read before nodes: a node that came to life in between counts.
pub(super) async fn foreign_news(
    database: &Database,
    ids: &[ExecutionId],
) -> Result<ForeignNews, mongodb::error::Error> {
    let held = doc! { "_id": { "$in": form::ids(ids) }, "slot": { "$exists": true } };
    let executions = database.collection::<Document>("executions");
    let held = executions.find(held).projection(doc! { "node": 1, "state": 1 }).await?;
    let held = all(held).await?;
    let alive = doc! { "$expr": { "$gt": ["$until", "$$NOW"] } };
    let alive = database.collection::<Document>("nodes").find(alive).await?;
    let alive = all(alive).await?;
    let node_of: BTreeMap<&str, &str> = held
        .iter()
        .filter_map(|row| Some((row.get_str("_id").ok()?, row.get_str("node").ok()?)))
        .collect();
    let alive: BTreeSet<&str> = alive.iter().filter_map(|beat| beat.get_str("_id").ok()).collect();
    let waiting = waiting(&executions, &held).await?;
    let waits = |id: &ExecutionId| waiting.iter().any(|row| row.id == *id);
    let mut news = ForeignNews::default();
    for id in ids.iter().filter(|id| !waits(id)) {
        match node_of.get(id.as_str()) {
            None => news.ended.push(id.clone()),
            Some(node) if alive.contains(node) => {}
            Some(_) => news.ownerless.push(id.clone()),
        }
    }
    news.waiting = waiting;
    Ok(news)
}

/// The rows, of those held, that wait for their next attempt. One that cannot be read stays where it is.
async fn waiting(
    executions: &Collection<Document>,
    held: &[Document],
) -> Result<Vec<Row>, mongodb::error::Error> {
    let waits =
        held.iter().filter(|row| row.get_str("state").is_ok_and(|state| state == "retry_wait"));
    let ids: Vec<&str> = waits.filter_map(|row| row.get_str("_id").ok()).collect();
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let waits = doc! { "_id": { "$in": ids }, "state": "retry_wait" };
    let found = all(executions.find(waits).await?).await?;
    Ok(found.into_iter().filter_map(|row| form::to_row(row).ok()).collect())
}
