//! kinit's MongoDB: definitions that are read, documents of active tasks, and records that are inserted.
//!
//! What `APScheduler` has left in the documents of active tasks is not read: their ids alone count.

use std::time::Duration;

use bson::{Bson, DateTime, Document, doc, oid::ObjectId};
use mongodb::error::Error;
use mongodb::options::{DatabaseOptions, InsertManyOptions, ReadConcern};
use mongodb::{Client, Collection, Database};
use serde_json::{Map, Value};
use tokio::time::timeout;

use crate::io::kinit::job::NEXT;
use crate::io::kinit::record::{LOCAL, Record, RecordId};
use crate::io::store::StoreError;
use crate::io::store::mongo::connection::{
    CALL_WITHIN, READ_WITHIN, all, is_duplicate, message_of, options_of,
};
use crate::time::Timestamp;

/// How many connections there are at the most.
const CONNECTIONS_MAX: u32 = 4;
/// What documents of ours say, and others do not.
const CLASS: &str = "job_class";
/// How many definitions are asked for at once.
const DEFINITIONS_AT_ONCE: usize = 500;

/// A call that failed. What it should have written is then unknown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot {act} in the MongoDB of kinit: {message}")]
pub struct Fault {
    /// What was to be done.
    pub act: &'static str,
    /// What the server or the driver says.
    pub message: String,
}

/// The names of the database and its collections.
#[derive(Debug, Clone, Copy)]
pub struct Names<'n> {
    /// The database.
    pub database: &'n str,
    /// Active tasks.
    pub jobs: &'n str,
    /// What has run.
    pub records: &'n str,
    /// Definitions.
    pub tasks: &'n str,
}

/// The collections; a copy is the same ones.
#[derive(Debug, Clone)]
pub struct Collections {
    pub(super) jobs: Collection<Document>,
    records: Collection<Document>,
    tasks: Collection<Document>,
}

/// A task that is active.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Active {
    /// Its id.
    pub id: String,
    /// Whether its document is one that can be read: not what `APScheduler` has left.
    pub is_ours: bool,
}

/// A record with what it takes to store it.
#[derive(Debug, Clone)]
pub struct NewRecord {
    /// Its id.
    pub id: RecordId,
    /// What it says.
    pub record: Record,
    /// Its two dates (`stored_date`).
    pub created: Timestamp,
}

impl Collections {
    /// Reads the URL. Reaches out only for `mongodb+srv`.
    pub async fn open(url: &str, names: Names<'_>) -> Result<Self, StoreError> {
        let mut options = options_of(url).await?;
        options.max_pool_size.get_or_insert(CONNECTIONS_MAX);
        let client = Client::with_options(options).map_err(|error| StoreError::Unreachable {
            store: crate::io::secrets::without_secrets(url),
            message: message_of(&error),
        })?;
        // What kinit has just written is to be seen, however many servers have it.
        let local = DatabaseOptions::builder().read_concern(ReadConcern::local()).build();
        let database: Database = client.database_with_options(names.database, local);
        Ok(Self {
            jobs: database.collection(names.jobs),
            records: database.collection(names.records),
            tasks: database.collection(names.tasks),
        })
    }

    /// The active tasks. An id that is no text is none of kinit's.
    pub async fn active(&self) -> Result<Vec<Active>, Fault> {
        let find = async {
            let ids = self.jobs.find(doc! {}).projection(doc! { "_id": 1, CLASS: 1 });
            all(ids.await?).await
        };
        let documents = call("read the active tasks", READ_WITHIN, find).await?;
        let active = |document: &Document| {
            let id = document.get_str("_id").ok()?.to_owned();
            Some(Active { id, is_ours: document.contains_key(CLASS) })
        };
        Ok(documents.iter().filter_map(active).collect())
    }

    /// Whether a task is active.
    pub async fn is_active(&self, id: &str) -> Result<bool, Fault> {
        let find = self.jobs.find_one(doc! { "_id": id }).projection(doc! { "_id": 1 });
        let found = call("read an active task", CALL_WITHIN, async { find.await }).await?;
        Ok(found.is_some())
    }

    /// The definitions of these tasks, each with its id as text. Those that are not there are left out.
    pub async fn definitions(
        &self,
        ids: &[String],
    ) -> Result<Vec<(String, Map<String, Value>)>, Fault> {
        let mut found = Vec::new();
        for some in ids.chunks(DEFINITIONS_AT_ONCE) {
            let both = some.iter().flat_map(|id| {
                let object = ObjectId::parse_str(id).ok().map(Bson::ObjectId);
                object.into_iter().chain([Bson::String(id.clone())])
            });
            let wanted = doc! { "_id": { "$in": both.collect::<Vec<_>>() } };
            let find = async { all(self.tasks.find(wanted).await?).await };
            let documents = call("read definitions", READ_WITHIN, find).await?;
            found.extend(documents.iter().filter_map(definition_of));
        }
        Ok(found)
    }

    /// Makes a task active: its document is there afterwards, and says this.
    pub async fn put(&self, id: &str, document: &Map<String, Value>) -> Result<(), Fault> {
        self.write(id, document, true).await
    }

    /// Writes the document of an active task anew, in the place of whatever is there; not of one that is not.
    pub async fn replace(&self, id: &str, document: &Map<String, Value>) -> Result<(), Fault> {
        self.write(id, document, false).await
    }

    async fn write(
        &self,
        id: &str,
        document: &Map<String, Value>,
        upsert: bool,
    ) -> Result<(), Fault> {
        let fields = document.iter().map(|(key, value)| (key.clone(), text_of(value)));
        let document: Document = fields.collect();
        let replace = self.jobs.replace_one(doc! { "_id": id }, document).upsert(upsert);
        call("write an active task", CALL_WITHIN, async { replace.await }).await.map(drop)
    }

    /// Says when an active task is due next.
    pub async fn set_next(&self, id: &str, next: &str) -> Result<(), Fault> {
        let to = doc! { "$set": { NEXT: next } };
        let update = self.jobs.update_one(doc! { "_id": id }, to);
        call("write when a task is due", CALL_WITHIN, async { update.await }).await.map(drop)
    }

    /// A task that will never be due again is active no more.
    pub async fn remove(&self, id: &str) -> Result<(), Fault> {
        let delete = self.jobs.delete_one(doc! { "_id": id });
        call("remove an active task", CALL_WITHIN, async { delete.await }).await.map(drop)
    }

    /// Inserts records in this order; those that are there already change nothing.
    pub async fn insert(&self, records: &[NewRecord]) -> Result<(), Fault> {
        let act = "insert records";
        if records.is_empty() {
            return Ok(());
        }
        let documents = records.iter().map(stored).collect::<Result<Vec<_>, _>>();
        let documents = documents.map_err(|message| Fault { act, message })?;
        let unordered = InsertManyOptions::builder().ordered(false).build();
        let insert = self.records.insert_many(documents).with_options(unordered);
        let inserted = timeout(READ_WITHIN, async { insert.await }).await;
        match inserted {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) if is_duplicate(&error) => Ok(()),
            Ok(Err(error)) => Err(Fault { act, message: message_of(&error) }),
            Err(_) => Err(unanswered(act, READ_WITHIN)),
        }
    }

    /// When the newest record was made, to the second.
    pub async fn newest_record(&self) -> Result<Option<Timestamp>, Fault> {
        let find = self.records.find_one(doc! { "_id": { "$type": "objectId" } });
        let find = find.sort(doc! { "_id": -1 }).projection(doc! { "_id": 1 });
        let newest = call("read the newest record", READ_WITHIN, async { find.await }).await?;
        let id = newest.and_then(|document| document.get_object_id("_id").ok());
        Ok(id.map(|id| id.timestamp().to_chrono()))
    }
}

/// A definition with its id as text.
fn definition_of(document: &Document) -> Option<(String, Map<String, Value>)> {
    let id = document.get("_id")?;
    let id = match id.as_object_id() {
        Some(id) => id.to_hex(),
        None => id.as_str()?.to_owned(),
    };
    let fields = document.iter().map(|(key, value)| (key.clone(), json_of(value)));
    Some((id, fields.collect()))
}

/// What matters of a definition is text; the rest has to be told from it. A date says what local clocks show.
fn json_of(value: &Bson) -> Value {
    if let Some(text) = value.as_str() {
        text.into()
    } else if let Some(date) = value.as_datetime() {
        date.to_chrono().format(LOCAL).to_string().into()
    } else if value.as_null().is_some() {
        Value::Null
    } else {
        value.as_bool().map_or_else(|| Value::Array(Vec::new()), Value::Bool)
    }
}

fn text_of(value: &Value) -> Bson {
    value.as_str().map_or(Bson::Null, Bson::from)
}

fn stored(new: &NewRecord) -> Result<Document, String> {
    let mut document = doc! { "_id": ObjectId::from_bytes(new.id.0) };
    let said = bson::serialize_to_document(&new.record).map_err(|error| error.to_string())?;
    document.extend(said);
    let created = DateTime::from_chrono(new.created);
    document.insert("create_datetime", created);
    document.insert("update_datetime", created);
    Ok(document)
}

/// Makes a call within a deadline.
pub(super) async fn call<T>(
    act: &'static str,
    within: Duration,
    call: impl Future<Output = Result<T, Error>>,
) -> Result<T, Fault> {
    match timeout(within, call).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(Fault { act, message: message_of(&error) }),
        Err(_) => Err(unanswered(act, within)),
    }
}

fn unanswered(act: &'static str, within: Duration) -> Fault {
    Fault { act, message: format!("no answer within {within:?}") }
}
