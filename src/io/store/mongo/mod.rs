//! MongoDB: the store that several daemons share. Majority writes, deterministic ids, the server's
//! clock, single-document operations; no transaction, so that a server without replica set will do.
//!
//! What a call did whose answer never came is unknown, and found out by reading: rows by id and
//! nonce, plans by generation. Every call has a deadline (`connection`).

mod bulk;
pub(in crate::io) mod connection;
mod form;
mod lease;
mod overrides;
mod plans;
mod record;
mod rows;

use std::time::Duration;

use crate::engine::event::{ClaimAnswer, ClaimBatch, Note, PlanWrites};
use crate::engine::execution::{ExecutionId, Row};
use crate::io::store::document::{NoteDocument, PlanDocument};
use crate::io::store::mongo::connection::{CALL_WITHIN, Connection};
use crate::io::store::{
    Answer, Bid, Contents, ForeignNews, Holder, LeaseAnswer, PlanAnswer, Query, RowAnswer,
    RowChange, Store, StoreError, StoredJobs,
};
use crate::time::Timestamp;

/// A store in a database of MongoDB.
#[derive(Debug)]
pub struct MongoStore {
    connection: Connection,
}

impl MongoStore {
    /// Reads the URL (`mongodb://` or `mongodb+srv://`, password included; the database is the one it
    /// names, else `cronwright`). Does not reach out: a server that is down is an error of the first
    /// operation, and operations succeed once it is up.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        Ok(Self { connection: Connection::new(url).await? })
    }

    async fn load_contents(&self) -> Result<Contents, StoreError> {
        let connection = &self.connection;
        connection.ready_to_read().await?;
        let position = plans::position(connection).await?;
        let watermark = rows::watermark(connection).await?;
        let overrides = overrides::read(connection).await?;
        Ok(Contents {
            generation: position.generation,
            revision: position.revision,
            pin: position.pin,
            jobs: plans::jobs(connection).await?,
            watermark,
            covered: rows::covered(connection, watermark, &overrides).await?,
            overrides,
            in_flight: rows::in_flight(connection).await?,
        })
    }

    async fn write_note(&self, note: &NoteDocument) -> Result<(), StoreError> {
        self.connection.ready_to_write().await?;
        let document = form::of_note(note)?;
        let events = self.connection.collection("events");
        let insert = async { events.insert_one(document).await };
        self.connection.call("write an event", CALL_WITHIN, insert).await.map(drop)
    }
}

impl Store for MongoStore {
    fn describe(&self) -> String {
        self.connection.place.clone()
    }

    fn take_lease<'a>(
        &'a self,
        holder: &'a Holder,
        bid: Bid,
        ttl: Duration,
    ) -> Answer<'a, LeaseAnswer> {
        Box::pin(async move {
            self.connection.ready_to_write().await?;
            let take = lease::take(&self.connection.pulse, holder, bid, ttl);
            self.connection.call("take the lease", CALL_WITHIN, take).await?
        })
    }

    fn release_lease<'a>(&'a self, holder: &'a Holder) -> Answer<'a, ()> {
        let release = lease::release(&self.connection.pulse, holder);
        Box::pin(self.connection.call("give the lease back", CALL_WITHIN, release))
    }

    fn beat<'a>(&'a self, node: &'a str, ttl: Duration) -> Answer<'a, ()> {
        let beat = lease::beat(&self.connection.pulse, node, ttl);
        Box::pin(self.connection.call("say that this node lives", CALL_WITHIN, beat))
    }

    fn load(&self) -> Answer<'_, Contents> {
        Box::pin(self.load_contents())
    }

    fn save_plan<'a>(&'a self, plan: &'a PlanWrites) -> Answer<'a, PlanAnswer> {
        Box::pin(async move {
            self.connection.ready_to_write().await?;
            plans::save(&self.connection, plan).await
        })
    }

    fn claim<'a>(&'a self, batch: &'a ClaimBatch) -> Answer<'a, Vec<ClaimAnswer>> {
        Box::pin(async move {
            // Before anything is asked of a server that may hang.
            rows::time_left(batch)?;
            self.connection.ready_to_write().await?;
            rows::claim(&self.connection, batch).await
        })
    }

    fn record<'a>(&'a self, changes: &'a [RowChange]) -> Answer<'a, Vec<RowAnswer>> {
        Box::pin(async move {
            self.connection.ready_to_write().await?;
            record::record(&self.connection, changes).await
        })
    }

    fn note<'a>(&'a self, at: Timestamp, node: &'a str, event: &'a Note) -> Answer<'a, ()> {
        let document = NoteDocument::of(at, node, event);
        Box::pin(async move { self.write_note(&document).await })
    }

    fn foreign_news<'a>(&'a self, ids: &'a [ExecutionId]) -> Answer<'a, ForeignNews> {
        let news = lease::foreign_news(&self.connection.database, ids);
        Box::pin(self.connection.call("read rows", CALL_WITHIN, news))
    }

    fn rows<'a>(&'a self, query: &'a Query) -> Answer<'a, Vec<Row>> {
        Box::pin(async move {
            self.connection.ready_to_read().await?;
            rows::rows(&self.connection, query).await
        })
    }

    fn row<'a>(&'a self, id: &'a ExecutionId) -> Answer<'a, Option<Row>> {
        Box::pin(async move {
            self.connection.ready_to_read().await?;
            rows::row(&self.connection, id).await
        })
    }

    fn latest_rows(&self) -> Answer<'_, Vec<Row>> {
        Box::pin(async move {
            self.connection.ready_to_read().await?;
            rows::latest(&self.connection).await
        })
    }

    fn in_flight(&self) -> Answer<'_, Vec<Row>> {
        Box::pin(async move {
            self.connection.ready_to_read().await?;
            rows::in_flight(&self.connection).await
        })
    }

    fn stored_jobs(&self) -> Answer<'_, Option<StoredJobs>> {
        Box::pin(async move {
            self.connection.ready_to_read().await?;
            plans::stored_jobs(&self.connection).await
        })
    }

    fn plans(&self, limit: usize) -> Answer<'_, Vec<PlanDocument>> {
        Box::pin(async move {
            self.connection.ready_to_read().await?;
            plans::newest(&self.connection, limit).await
        })
    }
}
