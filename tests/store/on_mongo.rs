//! What only MongoDB can do wrong: several daemons, a server that dies or hangs, what people see.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bson::{Bson, Document, doc};
use cronwright::engine::event::{ClaimAnswer, ClaimBatch};
use cronwright::engine::execution::{AttemptId, ExecutionId, Failed, Outcome, Row, State};
use cronwright::io::clock;
use cronwright::io::store::mongo::MongoStore;
use cronwright::io::store::{
    Bid, ForeignNews, Guard, Holder, LeaseAnswer, PlanAnswer, RowAnswer, RowChange, Store,
    StoreError,
};
use cronwright::time::BootTime;
use mongodb::{Client, Database};

use super::cases::claim;
use super::fixture::{at, ending, plan, row};
use crate::support::servers::{self, End, Mongod};

/// A store in a database of its own, and that database.
async fn opened(mongod: &Mongod) -> (MongoStore, Database) {
    let name = servers::unique("mongo");
    let url = mongod.url(&name);
    let database = Client::with_uri_str(&url).await.unwrap().database(&name);
    (MongoStore::open(&url).await.unwrap(), database)
}

fn holder(node: &str, identity: &str) -> Holder {
    Holder { node: node.into(), identity: identity.into() }
}

const LEASE: Duration = Duration::from_mins(1);
const NO_LEASE: Duration = Duration::ZERO;

#[tokio::test]
async fn one_node_leads_until_its_lease_ends_by_the_servers_clock() {
    let Some(mongod) = servers::mongod() else { return };
    let (store, _) = opened(mongod).await;
    let take =
        async |node, ttl| store.take_lease(&holder(node, "p"), Bid::First, ttl).await.unwrap();
    let held_by = |node: &str| LeaseAnswer::HeldBy { node: node.to_owned() };
    assert_eq!(take("n1", LEASE).await, LeaseAnswer::Held { epoch: 1 });
    assert_eq!(take("n2", LEASE).await, held_by("n1"));
    assert_eq!(take("n1", NO_LEASE).await, LeaseAnswer::Held { epoch: 1 });
    assert_eq!(take("n2", LEASE).await, LeaseAnswer::Held { epoch: 2 });
    assert_eq!(take("n1", LEASE).await, held_by("n2"));
    store.release_lease(&holder("n1", "p")).await.unwrap();
    assert_eq!(take("n1", LEASE).await, held_by("n2"));
    store.release_lease(&holder("n2", "p")).await.unwrap();
    assert_eq!(take("n1", LEASE).await, LeaseAnswer::Held { epoch: 3 });
}

#[tokio::test]
async fn two_processes_of_one_node_do_not_take_the_lease_from_each_other_for_ever() {
    let Some(mongod) = servers::mongod() else { return };
    let (store, _) = opened(mongod).await;
    let take =
        async |process, bid, ttl| store.take_lease(&holder("n1", process), bid, ttl).await.unwrap();
    let replaced = LeaseAnswer::HeldBy { node: "n1".to_owned() };
    assert_eq!(take("old", Bid::First, LEASE).await, LeaseAnswer::Held { epoch: 1 });
    assert_eq!(take("new", Bid::First, LEASE).await, LeaseAnswer::Held { epoch: 2 });
    assert_eq!(take("old", Bid::Again, LEASE).await, replaced);
    assert_eq!(take("new", Bid::Again, NO_LEASE).await, LeaseAnswer::Held { epoch: 2 });
    assert_eq!(take("old", Bid::Again, LEASE).await, LeaseAnswer::Held { epoch: 3 });
}

#[tokio::test]
async fn a_node_that_looks_like_a_field_is_only_a_name() {
    let Some(mongod) = servers::mongod() else { return };
    let (store, _) = opened(mongod).await;
    let held = store.take_lease(&holder("$identity", "p"), Bid::First, LEASE).await.unwrap();
    assert_eq!(held, LeaseAnswer::Held { epoch: 1 });
    let other = store.take_lease(&holder("n2", "$node"), Bid::First, LEASE).await.unwrap();
    assert_eq!(other, LeaseAnswer::HeldBy { node: "$identity".to_owned() });
}

#[tokio::test]
async fn of_many_that_ask_for_the_first_lease_one_gets_it() {
    let Some(mongod) = servers::mongod() else { return };
    let (store, _) = opened(mongod).await;
    let store = Arc::new(store);
    let asking = (0..8).map(|number| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            store.take_lease(&holder(&format!("n{number}"), "p"), Bid::First, LEASE).await.unwrap()
        })
    });
    let mut held = 0;
    for asked in asking.collect::<Vec<_>>() {
        held += usize::from(asked.await.unwrap() == LeaseAnswer::Held { epoch: 1 });
    }
    assert_eq!(held, 1);
}

#[tokio::test]
async fn of_many_that_claim_the_same_rows_each_row_has_one_winner() {
    let Some(mongod) = servers::mongod() else { return };
    let (first, _) = opened(mongod).await;
    first.load().await.unwrap();
    let store = Arc::new(first);
    let claiming = (0..4).map(|claimer| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            let mut won = Vec::new();
            for minute in 0..50 {
                let rows = ["a", "b", "c"].map(|name| {
                    let mut row = row(name, minute);
                    row.claim.nonce = format!("{claimer}").into();
                    row.slot = None;
                    row
                });
                let ids = rows.each_ref().map(|row| row.id.clone());
                let answers = claim(&*store, minute, rows.to_vec()).await;
                let claimed = ids.into_iter().zip(answers);
                won.extend(claimed.filter(|(_, answer)| *answer == ClaimAnswer::Claimed));
            }
            won
        })
    });
    let mut winners: Vec<ExecutionId> = Vec::new();
    for claimed in claiming.collect::<Vec<_>>() {
        winners.extend(claimed.await.unwrap().into_iter().map(|(id, _)| id));
    }
    winners.sort();
    let mut once = winners.clone();
    once.dedup();
    assert_eq!((winners.len(), once.len()), (150, 150));
    assert_eq!(store.in_flight().await.unwrap().len(), 150);
}

#[tokio::test]
async fn executions_of_a_node_that_no_longer_beats_are_ownerless() {
    let Some(mongod) = servers::mongod() else { return };
    let (store, _) = opened(mongod).await;
    let of_node = |name, node: &str| {
        let mut row = row(name, 1);
        row.claim.node = node.into();
        row
    };
    let alive = of_node("a", "alive");
    let silent = of_node("b", "silent");
    let never = of_node("c", "never-beat");
    let ended = of_node("d", "alive");
    claim(&store, 1, vec![alive.clone(), silent.clone(), never.clone(), ended.clone()]).await;
    let change = RowChange::Ended {
        id: AttemptId::first(ended.id.clone()),
        guard: Guard::Epoch(1),
        ending: ending(Outcome::Succeeded),
    };
    store.record(&[change]).await.unwrap();
    store.beat("alive", LEASE).await.unwrap();
    store.beat("silent", NO_LEASE).await.unwrap();
    let ids = [alive.id, silent.id.clone(), never.id.clone(), ended.id.clone()];
    let news = store.foreign_news(&ids).await.unwrap();
    let expected = ForeignNews {
        ended: vec![ended.id],
        ownerless: vec![silent.id, never.id],
        waiting: Vec::new(),
    };
    assert_eq!(news, expected);
}

#[tokio::test]
async fn many_changes_of_every_kind_go_together() {
    let Some(mongod) = servers::mongod() else { return };
    let (store, _) = opened(mongod).await;
    let rows: Vec<Row> = (0..450).map(|number| row(&format!("job{number}"), 1)).collect();
    claim(&store, 1, rows.clone()).await;
    let started = |row: &Row| RowChange::Started { id: row.id.clone(), epoch: 1, at: at(2) };
    let ended = |row: &Row, guard| {
        let mut ending = ending(Outcome::Succeeded);
        // Each its own ending, and none of it read as an expression.
        ending.result = Some(format!("\"$_id of {}\"", row.job));
        RowChange::Ended { id: AttemptId::first(row.id.clone()), guard, ending }
    };
    let mut changes: Vec<RowChange> = rows.iter().map(started).collect();
    changes.extend(rows[..200].iter().map(|row| ended(row, Guard::Epoch(1))));
    changes.extend(rows[200..400].iter().map(|row| ended(row, Guard::Node("n1".into()))));
    changes.push(ended(&row("unknown", 1), Guard::Epoch(1)));
    changes.push(ended(&rows[400], Guard::Epoch(9)));
    let mut expected = vec![RowAnswer::Recorded; 850];
    expected.extend([RowAnswer::NoRow, RowAnswer::Late]);
    assert_eq!(store.record(&changes).await.unwrap(), expected);
    assert_eq!(store.in_flight().await.unwrap().len(), 50);
    for row in &rows[..400] {
        let found = store.row(&row.id).await.unwrap().unwrap();
        let State::Ended(found) = found.state else { panic!("{} has not ended", row.id) };
        assert_eq!(found.result, Some(format!("\"$_id of {}\"", row.job)));
    }
}

#[tokio::test]
async fn what_people_see_in_the_database() {
    let Some(mongod) = servers::mongod() else { return };
    let (store, database) = opened(mongod).await;
    let mut free = row("b", 1);
    free.slot = None;
    claim(&store, 1, vec![row("a", 1), free.clone()]).await;
    let mut printed = ending(Outcome::Failed(Failed::Exit));
    printed.output.head = b"$HOME is full\n".to_vec();
    let id = AttemptId::first(row("a", 1).id);
    let change = RowChange::Ended { id, guard: Guard::Epoch(1), ending: printed };
    store.record(&[change]).await.unwrap();
    let rows = database.collection::<Document>("executions");
    let date = |minute| Bson::DateTime(bson::DateTime::from_millis(at(minute).timestamp_millis()));
    let expected = doc! {
        "_id": "a-1@2026-11-18T11:08:00Z", "v": 1_i64, "job": "a", "uid": "a-1",
        "cause": "trigger", "trigger": "cron", "fire_time": date(1), "last": date(1),
        "count": 1_i64, "state": "ended", "digest": "d1", "revision": "r1",
        "source": { "file": "jobs.d/a.yaml", "line": 3_i64 }, "node": "n1", "epoch": 1_i64,
        "nonce": "p-1", "params": { "day": "2026-01-31" }, "claimed_at": date(1), "outcome": "failed", "reason": "exit",
        "started_at": date(0), "finished_at": date(1), "duration_ms": 59_990_i64,
        "exit": { "code": 3 }, "result": "{\"rows\":7}",
        "exception": { "type": "Oops", "message": "七" },
        "output": {
            "head": "$HOME is full\n", "tail": "end", "bytes": 9_000_000_000_i64, "truncated": true,
        },
    };
    let found = rows.find_one(doc! { "_id": row("a", 1).id.as_str() }).await.unwrap().unwrap();
    assert_eq!(found, expected);
    let found = rows.find_one(doc! { "_id": free.id.as_str() }).await.unwrap().unwrap();
    assert_eq!(found.get_str("slot").unwrap(), free.id.as_str());
    assert_eq!(store.row(&free.id).await.unwrap(), Some(free));
}

#[tokio::test]
async fn what_is_in_flight_is_found_by_its_index() {
    let Some(mongod) = servers::mongod() else { return };
    let (store, database) = opened(mongod).await;
    claim(&store, 1, vec![row("a", 1)]).await;
    let find = doc! { "find": "executions", "filter": { "slot": { "$exists": true } } };
    let plan = database.run_command(doc! { "explain": find }).await.unwrap();
    let scan = plan.get_document("queryPlanner").unwrap().get_document("winningPlan").unwrap();
    assert_eq!(scan.get_document("inputStage").unwrap().get_str("indexName").unwrap(), "in_flight");
    let newest = [
        doc! { "$sort": { "uid": 1, "fire_time": -1, "_id": -1 } },
        doc! { "$group": { "_id": "$uid", "row": { "$first": "$$ROOT" } } },
    ];
    let newest = doc! { "aggregate": "executions", "pipeline": newest.to_vec(), "cursor": {} };
    let plan = database.run_command(doc! { "explain": newest }).await.unwrap();
    assert!(plan.to_string().contains("DISTINCT_SCAN"), "{plan}");
}

#[tokio::test]
async fn a_plan_that_was_broken_off_is_followed_by_whoever_reads_next() {
    let Some(mongod) = servers::mongod() else { return };
    let (store, database) = opened(mongod).await;
    store.save_plan(&plan(0, &["a", "b"], &[])).await.unwrap();
    let complete = store.load().await.unwrap();
    // As after a kill between the plan and its jobs.
    let pending = doc! {
        "upserts": [{ "uid": "a-1", "spec": spec_id("a") }, { "uid": "b-1", "spec": spec_id("b") }],
        "removed": [],
    };
    let plans = database.collection::<Document>("plans");
    plans.update_one(doc! { "_id": 1 }, doc! { "$set": { "pending": pending } }).await.unwrap();
    database.collection::<Document>("jobs").delete_one(doc! { "_id": "a-1" }).await.unwrap();
    assert_eq!(store.load().await.unwrap(), complete);
    let plan = plans.find_one(doc! { "_id": 1 }).await.unwrap().unwrap();
    assert!(!plan.contains_key("pending"), "{plan}");
}

fn spec_id(name: &str) -> String {
    format!("{name}-1@{}", cronwright::time::rfc3339(at(0)))
}

#[tokio::test]
async fn of_two_plans_for_one_generation_one_is_stale() {
    let Some(mongod) = servers::mongod() else { return };
    let (store, _) = opened(mongod).await;
    store.load().await.unwrap();
    let (first, second) = (plan(0, &["a"], &[]), plan(0, &["b"], &[]));
    let (first, second) = tokio::join!(store.save_plan(&first), store.save_plan(&second));
    let mut answers = [first.unwrap(), second.unwrap()];
    answers.sort_by_key(|answer| *answer == PlanAnswer::Stale);
    assert_eq!(answers, [PlanAnswer::Saved { generation: 1 }, PlanAnswer::Stale]);
    assert_eq!(store.load().await.unwrap().jobs.len(), 1);
}

#[tokio::test]
async fn a_server_without_replica_set_will_do() {
    let Some(mongod) = Mongod::start_standalone() else { return };
    let (store, _) = opened(&mongod).await;
    let held = store.take_lease(&holder("n1", "p"), Bid::First, LEASE).await.unwrap();
    assert_eq!(held, LeaseAnswer::Held { epoch: 1 });
    let saved = store.save_plan(&plan(0, &["a"], &[])).await.unwrap();
    assert_eq!(saved, PlanAnswer::Saved { generation: 1 });
    claim(&store, 1, vec![row("a", 1)]).await;
    assert_eq!(claim(&store, 1, vec![row("a", 2)]).await, [ClaimAnswer::SlotTaken]);
    let (id, guard) = (AttemptId::first(row("a", 1).id), Guard::Epoch(1));
    let ended = [RowChange::Ended { id, guard, ending: ending(Outcome::Succeeded) }];
    assert_eq!(store.record(&ended).await.unwrap(), [RowAnswer::Recorded]);
    assert_eq!(store.load().await.unwrap().in_flight, []);
}

#[tokio::test]
async fn a_newer_version_is_neither_read_nor_written() {
    let Some(mongod) = servers::mongod() else { return };
    let (store, database) = opened(mongod).await;
    let meta = database.collection::<Document>("meta");
    meta.insert_one(doc! { "_id": "store", "v": 99 }).await.unwrap();
    let place = store.describe();
    let refused =
        format!("the store at {place} is of version 99; this program knows versions up to 1");
    let load = store.load().await.unwrap_err();
    let lease = store.take_lease(&holder("n1", "p"), Bid::First, LEASE).await.unwrap_err();
    assert_eq!([load.to_string(), lease.to_string()], [refused.clone(), refused]);
}

#[tokio::test]
async fn nothing_is_claimed_without_the_unique_indexes() {
    let Some(mongod) = servers::mongod() else { return };
    let (store, database) = opened(mongod).await;
    // Rows that the unique index forbids: a ledger that somebody copied without its indexes.
    let twice = |id: &str| doc! { "_id": id, "uid": "a-1", "slot": 0 };
    let rows = database.collection::<Document>("executions");
    rows.insert_many([twice("1"), twice("2")]).await.unwrap();
    let batch = ClaimBatch {
        number: 1,
        rows: vec![row("b", 1)],
        takes: Vec::new(),
        watermark: at(1),
        deadline: BootTime::NEVER,
    };
    let error = store.claim(&batch).await.unwrap_err().to_string();
    assert!(error.starts_with("cannot make the indexes in the store: "), "{error}");
    assert_eq!(rows.count_documents(doc! { "uid": "b-1" }).await.unwrap(), 0);
}

/// Over a second: the driver looks for a server for two seconds before it gives up.
#[tokio::test]
async fn a_killed_server_is_an_error_at_once_and_serves_again_when_it_is_back() {
    let Some(mut mongod) = Mongod::start() else { return };
    let (store, database) = opened(&mongod).await;
    let before = row("a", 1);
    claim(&store, 1, vec![before.clone()]).await;
    mongod.end(End::Kill);
    let begun = Instant::now();
    let error = store.load().await.unwrap_err();
    assert!(matches!(error, StoreError::Unreachable { .. }), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    mongod.start_again();
    // The first operation may meet a server that has not elected itself yet.
    let change = [RowChange::Ended {
        id: AttemptId::first(before.id.clone()),
        guard: Guard::Epoch(1),
        ending: ending(Outcome::Succeeded),
    }];
    while store.record(&change).await.is_err() {}
    let found = store.row(&before.id).await.unwrap().unwrap();
    assert_eq!(found.outcome(), Some(Outcome::Succeeded));
    // What an outage may have brought is made good before the next claim.
    let rows = database.collection::<Document>("executions");
    rows.drop_index("in_flight").await.unwrap();
    mongod.end(End::Stop);
    assert!(store.load().await.is_err());
    mongod.start_again();
    while store.take_lease(&holder("n1", "p"), Bid::First, LEASE).await.is_err() {}
    assert!(rows.list_index_names().await.unwrap().contains(&"in_flight".to_owned()));
}

/// Over a second: the claim's own deadline.
#[tokio::test]
async fn a_server_that_hangs_answers_within_the_deadline_and_the_claim_is_known_again() {
    let Some(mongod) = Mongod::start() else { return };
    let (store, _) = opened(&mongod).await;
    claim(&store, 0, vec![row("a", 0)]).await;
    mongod.pause();
    let hanging = row("b", 1);
    let rows = vec![hanging.clone()];
    let deadline = clock::boot().plus(Duration::from_secs(1));
    let mut batch = ClaimBatch { number: 2, rows, takes: Vec::new(), watermark: at(1), deadline };
    let begun = Instant::now();
    let error = store.claim(&batch).await.unwrap_err();
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    let said = format!("cannot reach the store at {}: no answer within ", store.describe());
    assert!(error.to_string().starts_with(&said), "{error}");
    let late = store.claim(&batch).await.unwrap_err().to_string();
    assert_eq!(late, "cannot claim in the store: its deadline has passed");
    batch.deadline = BootTime::NEVER;
    mongod.resume();
    // Unknown: it may have been written after all. Either way it is ours, by its nonce.
    let ours = ClaimAnswer::AlreadyClaimed { claim: hanging.claim.clone() };
    let answer = loop {
        if let Ok(answers) = store.claim(&batch).await {
            break answers[0].clone();
        }
    };
    assert!(answer == ClaimAnswer::Claimed || answer == ours, "{answer:?}");
    assert_eq!(store.row(&hanging.id).await.unwrap(), Some(hanging));
}

#[tokio::test]
async fn no_error_shows_a_password() {
    let wrong = [
        ("mongodb://canary-user:canary@1@host:x/db", "mongodb://host:x/db"),
        ("mongodb://canary-user:canary/2@host/db?replicaSet=rs0", "mongodb://host/db"),
        ("mongodb://canary-user:canary%zz@host/db", "mongodb://host/db"),
        ("postgres://canary-user:canary@host/db", "postgres://host/db"),
        ("mongodb://canary-user:canary@host/db?authMechanism=none", "mongodb://host/db"),
    ];
    for (url, place) in wrong {
        let error = MongoStore::open(url).await.unwrap_err().to_string();
        assert!(!error.contains("canary"), "{error}");
        assert!(error.starts_with(&format!("cannot reach the store at {place}: ")), "{error}");
    }
    let Some(mongod) = servers::mongod_with_authentication() else { return };
    let right = mongod.url("db");
    let (_, place) = right.split_once('@').unwrap();
    let url = format!("mongodb://keeper:canary@{place}");
    let store = MongoStore::open(&url).await.unwrap();
    let error = store.load().await.unwrap_err();
    assert!(matches!(error, StoreError::Unreachable { .. }), "{error:?}");
    assert!(!format!("{error:?} {error} {store:?}").contains("canary"), "{error}");
}
