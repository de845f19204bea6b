//! The connections: their settings, a deadline around every call, and what must be true of the
//! database before anything is written (its version, its unique indexes).

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bson::{Document, doc};
use mongodb::error::{Error, ErrorKind, WriteFailure};
use mongodb::options::{
    ClientOptions, IndexOptions, ReadConcern, ReadPreference, SelectionCriteria, WriteConcern,
};
use mongodb::{Client, Collection, Cursor, Database, IndexModel};
use tokio::time::timeout;

use crate::io::secrets::{without_secrets, without_user};
use crate::io::store::{STORE_VERSION, StoreError};

/// The database of a URL that names none.
const DEFAULT_DATABASE: &str = "cronwright";

/// How long a server is looked for. The driver's own default, 30 s, would hold every call of an
/// outage that long.
const SELECT_WITHIN: Duration = Duration::from_secs(2);
/// How long a connection may take to be made.
const CONNECT_WITHIN: Duration = Duration::from_secs(1);
/// How long a write, or a read of a few documents, may take. A server that hangs answers nothing for
/// 9.5 s before the driver notices.
pub(in crate::io) const CALL_WITHIN: Duration = Duration::from_secs(5);
/// How long a read of many documents may take.
pub(in crate::io) const READ_WITHIN: Duration = Duration::from_secs(30);
/// How long making the indexes may take, on a ledger that has rows already.
const INDEXES_WITHIN: Duration = Duration::from_mins(10);

/// Connections for leases and heartbeats: of their own, so that nothing stands before them.
const PULSE_CONNECTIONS_MAX: u32 = 2;
/// Connections for everything else.
const CONNECTIONS_MAX: u32 = 8;

/// The error code of MongoDB for a unique index that already has the key.
const DUPLICATE_KEY: i32 = 11000;

/// A database to which calls can be made.
pub(super) struct Connection {
    /// Kind and place, without password.
    pub(super) place: String,
    /// For everything but the pulse.
    pub(super) database: Database,
    /// For leases and heartbeats.
    pub(super) pulse: Database,
    version_known: AtomicBool,
    indexes_made: AtomicBool,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("place", &self.place).finish_non_exhaustive()
    }
}

impl Connection {
    /// Reads the URL. Reaches out only for `mongodb+srv` (to the name server); whether the server
    /// answers is found out by the first call.
    pub(super) async fn new(url: &str) -> Result<Self, StoreError> {
        let place = without_secrets(url);
        let unreachable = |error: Error| StoreError::Unreachable {
            store: place.clone(),
            message: message_of(&error),
        };
        let mut options = options_of(url).await?;
        let mut pulse = options.clone();
        options.max_pool_size.get_or_insert(CONNECTIONS_MAX);
        pulse.max_pool_size = Some(PULSE_CONNECTIONS_MAX);
        let name = options.default_database.clone().unwrap_or_else(|| DEFAULT_DATABASE.to_owned());
        Ok(Self {
            database: Client::with_options(options).map_err(unreachable)?.database(&name),
            pulse: Client::with_options(pulse).map_err(unreachable)?.database(&name),
            version_known: AtomicBool::new(false),
            indexes_made: AtomicBool::new(false),
            place,
        })
    }

    /// A collection of the database.
    pub(super) fn collection(&self, name: &str) -> Collection<Document> {
        self.database.collection(name)
    }

    /// Makes a call within a deadline. After a failure the server may be another one, or have lost
    /// its data: what is known of it is forgotten.
    pub(super) async fn call<T>(
        &self,
        act: &'static str,
        within: Duration,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, StoreError> {
        let error = match timeout(within, call).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) => self.error(act, &error),
            Err(_) => self.unreachable(format!("no answer within {within:?}")),
        };
        self.version_known.store(false, Ordering::Relaxed);
        self.indexes_made.store(false, Ordering::Relaxed);
        Err(error)
    }

    /// Finds out, once, that this program knows the version of what is stored.
    pub(super) async fn ready_to_read(&self) -> Result<(), StoreError> {
        if self.version_known.load(Ordering::Relaxed) {
            return Ok(());
        }
        let meta = self.collection("meta");
        let find = async { meta.find_one(doc! { "_id": "store" }).await };
        self.check_version(self.call("read the version", CALL_WITHIN, find).await?.as_ref())
    }

    /// Finds out the same, and makes the indexes: without the unique ones nothing is claimed.
    pub(super) async fn ready_to_write(&self) -> Result<(), StoreError> {
        if self.indexes_made.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.ready_to_read().await?;
        let meta = self.collection("meta");
        let version = doc! { "$setOnInsert": { "v": i64::from(STORE_VERSION) } };
        let write = async { meta.update_one(doc! { "_id": "store" }, version).upsert(true).await };
        self.call("write the version", CALL_WITHIN, write).await?;
        self.call("make the indexes", INDEXES_WITHIN, make_indexes(&self.database)).await?;
        self.indexes_made.store(true, Ordering::Relaxed);
        Ok(())
    }

    fn check_version(&self, meta: Option<&Document>) -> Result<(), StoreError> {
        let found = match meta {
            None => 0,
            Some(meta) => super::form::number("version", meta, "v")?,
        };
        let found = u32::try_from(found).unwrap_or(u32::MAX);
        if found > STORE_VERSION {
            return Err(StoreError::Newer { store: self.place.clone(), found });
        }
        self.version_known.store(true, Ordering::Relaxed);
        Ok(())
    }

    fn unreachable(&self, message: String) -> StoreError {
        StoreError::Unreachable { store: self.place.clone(), message }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the driver's errors are not a closed set")]
    fn error(&self, act: &'static str, error: &Error) -> StoreError {
        let message = message_of(error);
        match &*error.kind {
            ErrorKind::ServerSelection { .. }
            | ErrorKind::Io(_)
            | ErrorKind::ConnectionPoolCleared { .. }
            | ErrorKind::DnsResolve { .. }
            | ErrorKind::Authentication { .. } => self.unreachable(message),
            _ => StoreError::Failed { act, message },
        }
    }
}

/// The options of every connection: a call is answered by the primary, or fails soon.
pub(in crate::io) async fn options_of(url: &str) -> Result<ClientOptions, StoreError> {
    let Ok(mut options) = ClientOptions::parse(url).await else {
        return Err(wrong_url(url, without_secrets(url)).await);
    };
    options.app_name.get_or_insert_with(|| "cronwright".to_owned());
    options.server_selection_timeout.get_or_insert(SELECT_WITHIN);
    options.connect_timeout.get_or_insert(CONNECT_WITHIN);
    options.retry_writes = Some(true);
    options.write_concern = Some(WriteConcern::majority());
    options.read_concern = Some(ReadConcern::majority());
    options.selection_criteria = Some(SelectionCriteria::ReadPreference(ReadPreference::Primary));
    Ok(options)
}

/// What is wrong with a URL, without saying anything of its user and password.
async fn wrong_url(url: &str, store: String) -> StoreError {
    let message = match ClientOptions::parse(without_user(url)).await {
        Ok(_) => "user and password in the URL must be percent-encoded".to_owned(),
        Err(error) => message_of(&error),
    };
    StoreError::Unreachable { store, message }
}

/// What the driver says, without its habit of showing structures.
pub(in crate::io) fn message_of(error: &Error) -> String {
    if let ErrorKind::Command(command) = &*error.kind {
        format!("{} ({})", command.message, command.code)
    } else {
        error.to_string()
    }
}

/// Whether a unique index has the key already.
pub(in crate::io) fn is_duplicate(error: &Error) -> bool {
    #[expect(clippy::wildcard_enum_match_arm, reason = "the driver's errors are not a closed set")]
    match &*error.kind {
        ErrorKind::Write(WriteFailure::WriteError(write)) => write.code == DUPLICATE_KEY,
        ErrorKind::Command(command) => command.code == DUPLICATE_KEY,
        ErrorKind::InsertMany(many) => {
            let errors = many.write_errors.as_deref().unwrap_or_default();
            many.write_concern_error.is_none()
                && !errors.is_empty()
                && errors.iter().all(|error| error.code == DUPLICATE_KEY)
        }
        _ => false,
    }
}

/// Every document that a cursor has.
pub(in crate::io) async fn all(mut cursor: Cursor<Document>) -> Result<Vec<Document>, Error> {
    let mut documents = Vec::new();
    while cursor.advance().await? {
        documents.push(cursor.deserialize_current()?);
    }
    Ok(documents)
}

async fn make_indexes(database: &Database) -> Result<(), Error> {
    let index = |keys: Document, options: Option<IndexOptions>| {
        IndexModel::builder().keys(keys).options(options).build()
    };
    let in_flight = IndexOptions::builder()
        .name("in_flight".to_owned())
        .unique(true)
        .partial_filter_expression(doc! { "slot": { "$exists": true } })
        .build();
    let ranges = IndexOptions::builder()
        .name("ranges".to_owned())
        .partial_filter_expression(doc! { "first": { "$exists": true } })
        .build();
    let executions = [
        index(doc! { "slot": 1, "uid": 1 }, Some(in_flight)),
        index(doc! { "last": 1 }, Some(ranges)),
        index(doc! { "fire_time": -1, "_id": -1 }, None),
        index(doc! { "job": 1, "fire_time": -1, "_id": -1 }, None),
        index(doc! { "uid": 1, "fire_time": -1, "_id": -1 }, None),
    ];
    database.collection::<Document>("executions").create_indexes(executions).await?;
    database.collection::<Document>("jobs").create_index(index(doc! { "name": 1 }, None)).await?;
    database.collection::<Document>("events").create_index(index(doc! { "at": 1 }, None)).await?;
    Ok(())
}
