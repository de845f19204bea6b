//! SQLite: the store inside the binary. One daemon; a second one on the same file is told who holds it.
//!
//! WAL with `synchronous=FULL`: an answered write survives a power cut. Documents are JSON text; the
//! columns beside them are what is searched. Other processes may read the file meanwhile.

mod overrides;
mod plans;
mod rows;
mod writer;

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, params};

use crate::engine::event::{ClaimAnswer, ClaimBatch, Note, PlanWrites};
use crate::engine::execution::{ExecutionId, Row};
use crate::io::store::document::{JobDocument, NoteDocument, PlanDocument};
use crate::io::store::{
    Answer, Bid, Contents, ForeignNews, Holder, LeaseAnswer, PlanAnswer, Query, RowAnswer,
    RowChange, STORE_VERSION, Store, StoreError, StoredJobs,
};
use crate::time::Timestamp;

use plans::PlanTexts;
use writer::{Worker, connect, failed};

const SCHEMA: &str = include_str!("schema.sql");

/// A store in one file.
#[derive(Debug)]
pub struct SqliteStore {
    path: PathBuf,
    writer: Worker,
    reader: Worker,
    /// Held while the store is open; the kernel lets go of it when the process ends, however it ends.
    _lock: Option<File>,
}

impl SqliteStore {
    /// Opens the file, makes it when there is none, and locks it for this process. `node` is what a
    /// second daemon is told.
    pub fn open(path: &Path, node: &str) -> Result<Self, StoreError> {
        let lock = lock(path, node)?;
        // Made here so that it is ours alone; what SQLite puts beside it has the same mode.
        let mode = File::options().append(true).create(true).mode(0o600).open(path);
        mode.map_err(|error| unreachable(path, &error.to_string()))?;
        let unreachable = |error: rusqlite::Error| unreachable(path, &error.to_string());
        let connection = connect(path).map_err(unreachable)?;
        connection.execute_batch(SCHEMA).map_err(unreachable)?;
        check_version(path, &connection)?;
        let reader = connect(path).map_err(unreachable)?;
        Self::start(path, Some(lock), connection, reader)
    }

    /// Opens an existing file only to read it; a daemon may have it open.
    pub fn open_to_read(path: &Path) -> Result<Self, StoreError> {
        let unreachable = |error: rusqlite::Error| unreachable(path, &error.to_string());
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
        let open = || Connection::open_with_flags(path, flags).map_err(unreachable);
        let connection = open()?;
        check_version(path, &connection)?;
        Self::start(path, None, connection, open()?)
    }

    fn start(
        path: &Path,
        lock: Option<File>,
        connection: Connection,
        reader: Connection,
    ) -> Result<Self, StoreError> {
        let no_thread = |error: std::io::Error| unreachable(path, &error.to_string());
        Ok(Self {
            path: path.to_owned(),
            writer: Worker::writer(connection).map_err(no_thread)?,
            reader: Worker::reader(reader).map_err(no_thread)?,
            _lock: lock,
        })
    }

    fn write<'a, T: Send + 'static>(
        &'a self,
        act: &'static str,
        run: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Answer<'a, T> {
        Box::pin(self.writer.run(act, run))
    }

    fn read<'a, T: Send + 'static>(
        &'a self,
        act: &'static str,
        run: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Answer<'a, T> {
        Box::pin(self.reader.run(act, run))
    }
}

fn unreachable(path: &Path, message: &str) -> StoreError {
    StoreError::Unreachable {
        store: format!("sqlite:{}", path.display()),
        message: message.to_owned(),
    }
}

/// Locks `<path>.lock` for this process and writes who it is.
fn lock(path: &Path, node: &str) -> Result<File, StoreError> {
    let lock_path = path.with_added_extension("lock");
    let io = |error: std::io::Error| unreachable(&lock_path, &error.to_string());
    let mut file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&lock_path)
        .map_err(io)?;
    if file.try_lock().is_err() {
        let mut holder = String::new();
        file.read_to_string(&mut holder).map_err(io)?;
        let store = format!("sqlite:{}", path.display());
        return Err(StoreError::Held { store, holder: holder.trim().to_owned() });
    }
    file.set_len(0).map_err(io)?;
    writeln!(file, "node `{node}`, process {}", std::process::id()).map_err(io)?;
    Ok(file)
}

fn check_version(path: &Path, connection: &Connection) -> Result<(), StoreError> {
    let Some(text) = meta(connection, "v")? else {
        return set_meta(connection, "v", &STORE_VERSION.to_string());
    };
    let found = text.parse().unwrap_or(u32::MAX);
    if found > STORE_VERSION {
        return Err(StoreError::Newer { store: format!("sqlite:{}", path.display()), found });
    }
    Ok(())
}

fn meta(connection: &Connection, key: &str) -> Result<Option<String>, StoreError> {
    connection
        .prepare_cached("SELECT value FROM meta WHERE key = ?1")
        .and_then(|mut statement| statement.query_row([key], |row| row.get(0)).optional())
        .map_err(|error| failed("read settings", &error))
}

fn set_meta(connection: &Connection, key: &str, value: &str) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "INSERT INTO meta VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2",
        )
        .and_then(|mut statement| statement.execute([key, value]))
        .map(drop)
        .map_err(|error| failed("write settings", &error))
}

/// A time as it is stored: with milliseconds always, so that text sorts as time does.
fn time_text(at: Timestamp) -> String {
    at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}

fn parse_time(text: &str) -> Option<Timestamp> {
    chrono::DateTime::parse_from_rfc3339(text).ok().map(|at| at.to_utc())
}

/// The only daemon on the file leads; each process that opens it takes the next epoch.
fn take_lease(connection: &Connection, holder: &Holder) -> Result<LeaseAnswer, StoreError> {
    let stored = meta(connection, "epoch")?.and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    if meta(connection, "holder")?.as_deref() == Some(&*holder.identity) {
        return Ok(LeaseAnswer::Held { epoch: stored });
    }
    let epoch = stored + 1;
    set_meta(connection, "epoch", &epoch.to_string())?;
    set_meta(connection, "holder", &holder.identity)?;
    Ok(LeaseAnswer::Held { epoch })
}

fn load(connection: &Connection) -> Result<Contents, StoreError> {
    let watermark = meta(connection, "watermark")?.and_then(|text| parse_time(&text));
    let overrides = overrides::read(connection)?;
    Ok(Contents {
        generation: generation(connection)?,
        revision: meta(connection, "revision")?.unwrap_or_default(),
        pin: plans::pin(connection)?,
        jobs: jobs(connection)?,
        watermark,
        covered: rows::covered(connection, watermark, &overrides)?,
        overrides,
        in_flight: rows::in_flight(connection)?,
    })
}

fn generation(connection: &Connection) -> Result<u64, StoreError> {
    Ok(meta(connection, "generation")?.and_then(|text| text.parse().ok()).unwrap_or(0))
}

fn jobs(connection: &Connection) -> Result<Vec<JobDocument>, StoreError> {
    let act = "read jobs";
    let failed = |error: rusqlite::Error| failed(act, &error);
    let mut statement = connection.prepare("SELECT uid, doc FROM jobs").map_err(failed)?;
    let found = statement
        .query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))
        .map_err(failed)?;
    found
        .map(|row| {
            let (id, doc) = row.map_err(failed)?;
            serde_json::from_str(&doc).map_err(|error| StoreError::Damaged {
                kind: "job",
                id,
                message: error.to_string(),
            })
        })
        .collect()
}

/// See [`Store::stored_jobs`].
fn stored_jobs(connection: &Connection) -> Result<StoredJobs, StoreError> {
    let failed = |error: rusqlite::Error| failed("read jobs", &error);
    // Within the savepoint of the worker: all of it is as it was at one moment.
    let generation = generation(connection)?;
    let mut stored = StoredJobs { generation, ..StoredJobs::default() };
    let mut statement = connection.prepare_cached("SELECT uid, doc FROM jobs").map_err(failed)?;
    let mut rows = statement.query([]).map_err(failed)?;
    while let Some(row) = rows.next().map_err(failed)? {
        let (uid, text): (String, String) =
            (row.get(0).map_err(failed)?, row.get(1).map_err(failed)?);
        match serde_json::from_str::<JobDocument>(&text) {
            Ok(job) => stored.jobs.push(JobDocument { uid, ..job }),
            Err(_) => stored.damaged.push(uid),
        }
    }
    Ok(stored)
}

fn json(kind: &'static str, value: &impl serde::Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Damaged {
        kind,
        id: String::new(),
        message: error.to_string(),
    })
}

fn note(connection: &Connection, document: &NoteDocument) -> Result<(), StoreError> {
    connection
        .execute(
            "INSERT INTO events (at, doc) VALUES (?1, ?2)",
            params![time_text(document.at), json("note", document)?],
        )
        .map(drop)
        .map_err(|error| failed("write an event", &error))
}

impl Store for SqliteStore {
    fn describe(&self) -> String {
        format!("sqlite:{}", self.path.display())
    }

    /// Whoever has opened the file holds it alone, so nobody else can ask.
    fn take_lease<'a>(
        &'a self,
        holder: &'a Holder,
        _bid: Bid,
        _ttl: Duration,
    ) -> Answer<'a, LeaseAnswer> {
        let holder = holder.clone();
        self.write("take the lease", move |connection| take_lease(connection, &holder))
    }

    fn release_lease<'a>(&'a self, _holder: &'a Holder) -> Answer<'a, ()> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn beat<'a>(&'a self, _node: &'a str, _ttl: Duration) -> Answer<'a, ()> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn load(&self) -> Answer<'_, Contents> {
        // On the writer, behind everything that was sent before: a claim whose answer was lost is seen.
        self.write("read the ledger", load)
    }

    fn save_plan<'a>(&'a self, plan: &'a PlanWrites) -> Answer<'a, PlanAnswer> {
        let plan = plan.clone();
        Box::pin(async move {
            let texts = tokio::task::spawn_blocking(move || PlanTexts::of(&plan)).await;
            let texts = texts.map_err(|error| StoreError::Failed {
                act: "write a plan",
                message: error.to_string(),
            })??;
            let texts = Arc::new(texts);
            for start in (0..texts.specs()).step_by(plans::SPECS_AT_ONCE) {
                let (texts, end) = (Arc::clone(&texts), start + plans::SPECS_AT_ONCE);
                let which = start..end.min(texts.specs());
                let save =
                    move |connection: &Connection| plans::save_specs(connection, &texts, which);
                self.write("write definitions", save).await?;
            }
            self.write("write a plan", move |connection| plans::save(connection, &texts)).await
        })
    }

    fn claim<'a>(&'a self, batch: &'a ClaimBatch) -> Answer<'a, Vec<ClaimAnswer>> {
        let batch = batch.clone();
        self.write("claim", move |connection| rows::claim(connection, &batch))
    }

    fn record<'a>(&'a self, changes: &'a [RowChange]) -> Answer<'a, Vec<RowAnswer>> {
        let changes = changes.to_vec();
        self.write("record", move |connection| rows::record(connection, &changes))
    }

    fn note<'a>(&'a self, at: Timestamp, node: &'a str, event: &'a Note) -> Answer<'a, ()> {
        let document = NoteDocument::of(at, node, event);
        self.write("write an event", move |connection| note(connection, &document))
    }

    fn foreign_news<'a>(&'a self, ids: &'a [ExecutionId]) -> Answer<'a, ForeignNews> {
        // There is one daemon: whatever another node left in flight has no owner.
        let news = ForeignNews { ended: Vec::new(), ownerless: ids.to_vec() };
        Box::pin(std::future::ready(Ok(news)))
    }

    fn rows<'a>(&'a self, query: &'a Query) -> Answer<'a, Vec<Row>> {
        let query = query.clone();
        self.read("read rows", move |connection| rows::rows(connection, &query))
    }

    fn row<'a>(&'a self, id: &'a ExecutionId) -> Answer<'a, Option<Row>> {
        let id = id.clone();
        self.read("read a row", move |connection| rows::row(connection, &id))
    }

    fn latest_rows(&self) -> Answer<'_, Vec<Row>> {
        self.read("read rows", rows::latest)
    }

    fn in_flight(&self) -> Answer<'_, Vec<Row>> {
        self.read("read rows", rows::in_flight)
    }

    fn stored_jobs(&self) -> Answer<'_, Option<StoredJobs>> {
        self.read("read jobs", |connection| stored_jobs(connection).map(Some))
    }

    fn plans(&self, limit: usize) -> Answer<'_, Vec<PlanDocument>> {
        self.read("read plans", move |connection| plans::newest(connection, limit))
    }
}
