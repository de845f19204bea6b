//! How much the ending of an execution costs in each layout of the ledger (`docs/ledger.md`).
//!
//! - *update each*: one document per execution; the ending updates it, guarded by id and token, and
//!   frees its slot in the same write. A batch is one command with a statement per ending.
//! - *update together*: the same, but one statement ends up to [`STATEMENT_ENDINGS`] executions: a
//!   pipeline that picks each document's ending out of a list. MongoDB alone.
//! - *insert*: the ending is a document of its own under the execution's id; the slot, which a unique
//!   index guards on the claimed document, is freed by a second write, for the whole batch at once.
//! - *insert alone*: without freeing the slot. No layout of ours, but the least that an insert costs.
//!
//! Prints wall time and processor time (mongod's own; for SQLite that of this process) per ending.
//! `cargo bench --bench ledger -- [ENDINGS]`.

#![expect(clippy::disallowed_methods, reason = "a benchmark reads clocks and files")]
#![expect(clippy::print_stdout, reason = "a benchmark prints its result")]

#[path = "../tests/support/servers/mod.rs"]
#[expect(dead_code, unused_imports, reason = "tests use the rest")]
mod servers;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use mongodb::bson::{DateTime, Document, doc};
use mongodb::options::{IndexOptions, WriteConcern};
use mongodb::{Client, Database, IndexModel};
use rusqlite::Connection;

/// Endings per layout and size of batch, unless an argument says otherwise.
const ENDINGS: usize = 10_000;

/// How many endings share a command or transaction.
const BATCHES: [usize; 4] = [1, 20, 100, 500];

/// Endings one by one are slow and each alike: fewer of them.
const ENDINGS_SINGLY_MAX: usize = 2_000;

/// How many executions one statement ends.
const STATEMENT_ENDINGS: usize = 100;

/// The unit of processor time in /proc, on every Linux.
const TICK_MS: u64 = 10;

/// What an execution prints, kept in its ending.
const OUTPUT: &str = "copied 1432 files, 88 MB; skipped 3 that had not changed\n";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    UpdateEach,
    UpdateTogether,
    Insert,
    InsertAlone,
}

impl Layout {
    const MONGODB: [Self; 4] =
        [Self::UpdateEach, Self::UpdateTogether, Self::Insert, Self::InsertAlone];
    const SQLITE: [Self; 3] = [Self::UpdateEach, Self::Insert, Self::InsertAlone];

    fn as_str(self) -> &'static str {
        match self {
            Self::UpdateEach => "update each",
            Self::UpdateTogether => "update together",
            Self::Insert => "insert",
            Self::InsertAlone => "insert alone",
        }
    }
}

/// What something cost in all.
#[derive(Debug, Clone, Copy)]
struct Cost {
    wall: Duration,
    processor: Duration,
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let endings = arguments.find_map(|argument| argument.parse().ok()).unwrap_or(ENDINGS);
    println!("{:<8} {:<15} {:>6} {:>9} {:>12}", "store", "layout", "batch", "wall", "processor");
    let folder = tempfile::tempdir()?;
    for batch in BATCHES {
        for layout in Layout::SQLITE {
            let count = count(batch, endings);
            let file = folder.path().join(format!("{}-{batch}.db", layout.as_str()));
            print(
                "sqlite",
                layout,
                batch,
                count,
                sqlite(&Connection::open(file)?, layout, batch, count)?,
            );
        }
    }
    let Some(mongod) = servers::Mongod::start() else { return Ok(()) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let client = Client::with_uri_str(mongod.url("ledger")).await?;
        for batch in BATCHES {
            for layout in Layout::MONGODB {
                let count = count(batch, endings);
                let database = client.database(&format!("{layout:?}_{batch}"));
                let cost = mongo(&database, mongod.pid(), layout, batch, count).await?;
                print("mongodb", layout, batch, count, cost);
                database.drop().await?;
            }
        }
        Ok(())
    })
}

fn count(batch: usize, endings: usize) -> usize {
    if batch == 1 { endings.min(ENDINGS_SINGLY_MAX) } else { endings }
}

fn print(store: &str, layout: Layout, batch: usize, count: usize, cost: Cost) {
    let each = |all: Duration| all.as_nanos() / 1_000 / count.max(1) as u128;
    let (wall, processor) = (each(cost.wall), each(cost.processor));
    println!("{store:<8} {:<15} {batch:>6} {wall:>6} µs {processor:>9} µs", layout.as_str());
}

/// The processor time that a process has used so far, in user and kernel mode.
fn processor_time(pid: u32) -> Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields: Vec<&str> = stat.rsplit_once(") ").context("stat")?.1.split(' ').collect();
    let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
    Ok(Duration::from_millis(ticks * TICK_MS))
}

fn id(number: usize) -> String {
    format!("warehouse-etl-19a8e-{number}@2026-11-22T18:30:00Z")
}

// MongoDB

async fn mongo(
    database: &Database,
    pid: u32,
    layout: Layout,
    batch: usize,
    count: usize,
) -> Result<Cost> {
    create_indexes(database).await?;
    let numbers: Vec<usize> = (0..count).collect();
    for chunk in numbers.chunks(500) {
        let rows: Vec<Document> = chunk.iter().map(|number| claimed(*number)).collect();
        database.collection("executions").insert_many(rows).await?;
    }
    let (begun, used) = (Instant::now(), processor_time(pid)?);
    for chunk in numbers.chunks(batch) {
        end_in_mongo(database, layout, chunk).await?;
    }
    Ok(Cost { wall: begun.elapsed(), processor: processor_time(pid)?.saturating_sub(used) })
}

async fn create_indexes(database: &Database) -> Result<()> {
    let slot = IndexOptions::builder()
        .unique(true)
        .partial_filter_expression(doc! { "slot": { "$exists": true } })
        .build();
    let in_flight = IndexOptions::builder()
        .partial_filter_expression(doc! { "in_flight": { "$exists": true } })
        .build();
    let indexes = [
        IndexModel::builder().keys(doc! { "uid": 1, "slot": 1 }).options(slot).build(),
        IndexModel::builder().keys(doc! { "in_flight": 1 }).options(in_flight).build(),
        IndexModel::builder().keys(doc! { "job": 1, "fire_time": -1 }).build(),
        IndexModel::builder().keys(doc! { "fire_time": -1 }).build(),
    ];
    database.collection::<Document>("executions").create_indexes(indexes).await?;
    Ok(())
}

fn claimed(number: usize) -> Document {
    let at = DateTime::from_millis(1_795_372_200_000 + i64::try_from(number).unwrap_or(0));
    doc! {
        "_id": id(number), "v": 1, "job": format!("warehouse-etl-{number}"),
        "uid": format!("warehouse-etl-19a8e-{number}"), "cause": "trigger", "trigger": "cron",
        "fire_time": at, "claimed_at": at, "state": "running", "started_at": at,
        "in_flight": true, "slot": 0,
        "claim": { "node": "alpha", "epoch": 7_i64, "nonce": "0193b2c4-7d1e-7c3a-9b0e-5f6a1c2d3e4f" },
        "definition": { "digest": "9f86d081884c7d65", "revision": "3f1c9a7", "file": "jobs.d/etl.yaml", "line": 12 },
    }
}

fn ending(number: usize) -> Document {
    let at = DateTime::from_millis(1_795_372_260_000 + i64::try_from(number).unwrap_or(0));
    doc! {
        "outcome": "succeeded", "finished_at": at, "duration_ms": 60_000_i64,
        "exit": { "code": 0 }, "result": "{\"files\": 1432}",
        "output": { "head": OUTPUT, "tail": "", "bytes": 57_i64, "truncated": false },
    }
}

async fn end_in_mongo(database: &Database, layout: Layout, chunk: &[usize]) -> Result<()> {
    match layout {
        Layout::UpdateEach => {
            update(database, chunk.iter().copied().map(end_one), chunk.len()).await
        }
        Layout::UpdateTogether => {
            let statements = chunk.chunks(STATEMENT_ENDINGS).map(end_many);
            update(database, statements, chunk.len()).await
        }
        Layout::Insert => {
            insert_endings(database, chunk).await?;
            update(database, [free_slots(chunk)], chunk.len()).await
        }
        Layout::InsertAlone => insert_endings(database, chunk).await,
    }
}

/// The statement that ends one execution, if the claim of epoch 7 still holds it.
fn end_one(number: usize) -> Document {
    let guard = doc! { "_id": id(number), "claim.epoch": 7_i64, "state": "running" };
    let mut set = ending(number);
    set.insert("state", "ended");
    doc! { "q": guard, "u": { "$set": set, "$unset": { "slot": "", "in_flight": "" } } }
}

/// The statement that ends those of many executions that the claims of epoch 7 still hold.
fn end_many(numbers: &[usize]) -> Document {
    let ids: Vec<String> = numbers.iter().map(|number| id(*number)).collect();
    let endings: Vec<Document> = numbers.iter().map(|number| ending(*number)).collect();
    let guard = doc! { "_id": { "$in": &ids }, "claim.epoch": 7_i64, "state": "running" };
    let place = doc! { "$indexOfArray": [{ "$literal": ids }, "$_id"] };
    let ending = doc! { "$arrayElemAt": [{ "$literal": endings }, place] };
    let merged = doc! { "$mergeObjects": ["$$ROOT", ending, { "state": "ended" }] };
    let change = [doc! { "$replaceWith": merged }, doc! { "$unset": ["slot", "in_flight"] }];
    doc! { "q": guard, "u": change.to_vec(), "multi": true }
}

/// The statement that frees the slots of executions whose endings are elsewhere.
fn free_slots(numbers: &[usize]) -> Document {
    let ids: Vec<String> = numbers.iter().map(|number| id(*number)).collect();
    let guard = doc! { "_id": { "$in": ids }, "claim.epoch": 7_i64, "state": "running" };
    let change = doc! { "$set": { "state": "ended" }, "$unset": { "slot": "", "in_flight": "" } };
    doc! { "q": guard, "u": change, "multi": true }
}

/// Runs update statements that change `count` documents in one command.
async fn update(
    database: &Database,
    statements: impl IntoIterator<Item = Document>,
    count: usize,
) -> Result<()> {
    let updates: Vec<Document> = statements.into_iter().collect();
    let command = doc! {
        "update": "executions", "updates": updates, "ordered": false,
        "writeConcern": { "w": "majority" },
    };
    let answer = database.run_command(command).await?;
    ensure!(answer.get_i32("nModified")? == i32::try_from(count)?, "{answer}");
    Ok(())
}

async fn insert_endings(database: &Database, chunk: &[usize]) -> Result<()> {
    let documents = chunk.iter().map(|number| {
        let mut document = ending(*number);
        document.insert("_id", id(*number));
        document
    });
    let endings = database.collection::<Document>("endings");
    let majority = WriteConcern::majority();
    endings.insert_many(documents).ordered(false).write_concern(majority).await?;
    Ok(())
}

// SQLite

const TABLES: &str = "
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
CREATE TABLE executions (
    id TEXT PRIMARY KEY, uid TEXT NOT NULL, job TEXT NOT NULL, cause TEXT NOT NULL,
    fire_time TEXT NOT NULL, claimed_at TEXT NOT NULL, state TEXT NOT NULL, node TEXT NOT NULL,
    epoch INTEGER NOT NULL, nonce TEXT NOT NULL, digest TEXT NOT NULL, revision TEXT NOT NULL,
    source TEXT NOT NULL, started_at TEXT, slot INTEGER, outcome TEXT, finished_at TEXT,
    duration_ms INTEGER, exit_code INTEGER, result TEXT, head BLOB, tail BLOB, bytes INTEGER
) WITHOUT ROWID;
CREATE UNIQUE INDEX slots ON executions (uid, slot) WHERE slot IS NOT NULL;
CREATE INDEX in_flight ON executions (state) WHERE state <> 'ended';
CREATE INDEX by_job ON executions (job, fire_time);
CREATE INDEX by_time ON executions (fire_time);
CREATE TABLE endings (
    id TEXT PRIMARY KEY, outcome TEXT, finished_at TEXT, duration_ms INTEGER, exit_code INTEGER,
    result TEXT, head BLOB, tail BLOB, bytes INTEGER
) WITHOUT ROWID;
";

const CLAIM: &str = "INSERT INTO executions VALUES (
    ?1, ?2, ?2, 'trigger', ?3, ?3, 'running', 'alpha', 7, '0193b2c4-7d1e-7c3a-9b0e-5f6a1c2d3e4f',
    '9f86d081884c7d65', '3f1c9a7', 'jobs.d/etl.yaml:12', ?3, 0,
    NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)";

const END_BY_UPDATE: &str = "UPDATE executions SET state = 'ended', slot = NULL,
    outcome = 'succeeded', finished_at = '2026-11-22T18:31:00.123Z', duration_ms = 60000,
    exit_code = 0, result = '{\"files\": 1432}', head = ?2, tail = '', bytes = 57
    WHERE id = ?1 AND epoch = 7 AND state <> 'ended'";

const END_BY_INSERT: &str = "INSERT INTO endings VALUES
    (?1, 'succeeded', '2026-11-22T18:31:00.123Z', 60000, 0, '{\"files\": 1432}', ?2, '', 57)";

const FREE_SLOT: &str = "UPDATE executions SET state = 'ended', slot = NULL
    WHERE id = ?1 AND epoch = 7 AND state <> 'ended'";

fn sqlite(connection: &Connection, layout: Layout, batch: usize, count: usize) -> Result<Cost> {
    connection.execute_batch(TABLES)?;
    let numbers: Vec<usize> = (0..count).collect();
    connection.execute_batch("BEGIN")?;
    for number in &numbers {
        let uid = format!("warehouse-etl-{number}");
        let at = format!("2026-11-22T18:30:{:02}.{:03}Z", number / 1000 % 60, number % 1000);
        connection.prepare_cached(CLAIM)?.execute((id(*number), uid, at))?;
    }
    connection.execute_batch("COMMIT")?;
    let me = std::process::id();
    let (begun, used) = (Instant::now(), processor_time(me)?);
    for chunk in numbers.chunks(batch) {
        connection.execute_batch("BEGIN IMMEDIATE")?;
        for number in chunk {
            end_in_sqlite(connection, layout, &id(*number))?;
        }
        connection.execute_batch("COMMIT")?;
    }
    Ok(Cost { wall: begun.elapsed(), processor: processor_time(me)?.saturating_sub(used) })
}

fn end_in_sqlite(connection: &Connection, layout: Layout, id: &str) -> Result<()> {
    let changed = match layout {
        Layout::UpdateEach | Layout::UpdateTogether => {
            connection.prepare_cached(END_BY_UPDATE)?.execute((id, OUTPUT))?
        }
        Layout::Insert => {
            connection.prepare_cached(END_BY_INSERT)?.execute((id, OUTPUT))?;
            connection.prepare_cached(FREE_SLOT)?.execute((id,))?
        }
        Layout::InsertAlone => connection.prepare_cached(END_BY_INSERT)?.execute((id, OUTPUT))?,
    };
    ensure!(changed == 1, "nothing was ended");
    Ok(())
}
