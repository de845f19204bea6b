//! The ledger in memory, shared by who reads and who writes.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::engine::event::{ClaimAnswer, ClaimBatch, Note, PlanWrites};
use crate::engine::execution::{ExecutionId, Row};
use crate::io::store::document::PlanDocument;
use crate::io::store::memory::Ledger;
use crate::io::store::{
    Answer, Bid, Contents, ForeignNews, Holder, LeaseAnswer, PlanAnswer, Query, RowAnswer,
    RowChange, Store, StoredJobs,
};
use crate::time::Timestamp;

/// [`Ledger`] behind the trait. Its clock is the machine's.
#[derive(Debug, Default)]
pub struct MemoryStore {
    ledger: Mutex<Ledger>,
}

impl MemoryStore {
    /// What it holds.
    pub fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer<'a, T: Send + 'a>(value: T) -> Answer<'a, T> {
        Box::pin(std::future::ready(Ok(value)))
    }
}

impl Store for MemoryStore {
    fn describe(&self) -> String {
        "memory".to_owned()
    }

    fn take_lease<'a>(
        &'a self,
        holder: &'a Holder,
        bid: Bid,
        ttl: Duration,
    ) -> Answer<'a, LeaseAnswer> {
        Self::answer(self.ledger().take_lease(crate::io::clock::now().boot, holder, bid, ttl))
    }

    fn release_lease<'a>(&'a self, holder: &'a Holder) -> Answer<'a, ()> {
        self.ledger().release_lease(holder);
        Self::answer(())
    }

    fn beat<'a>(&'a self, node: &'a str, ttl: Duration) -> Answer<'a, ()> {
        self.ledger().beat(crate::io::clock::now().boot, node, ttl);
        Self::answer(())
    }

    fn load(&self) -> Answer<'_, Contents> {
        Self::answer(self.ledger().load())
    }

    fn save_plan<'a>(&'a self, plan: &'a PlanWrites) -> Answer<'a, PlanAnswer> {
        Self::answer(self.ledger().save_plan(plan))
    }

    fn claim<'a>(&'a self, batch: &'a ClaimBatch) -> Answer<'a, Vec<ClaimAnswer>> {
        Self::answer(self.ledger().claim(batch))
    }

    fn record<'a>(&'a self, changes: &'a [RowChange]) -> Answer<'a, Vec<RowAnswer>> {
        Self::answer(self.ledger().record(changes))
    }

    fn note<'a>(&'a self, at: Timestamp, node: &'a str, note: &'a Note) -> Answer<'a, ()> {
        self.ledger().note(at, node, note);
        Self::answer(())
    }

    fn foreign_news<'a>(&'a self, ids: &'a [ExecutionId]) -> Answer<'a, ForeignNews> {
        Self::answer(self.ledger().foreign_news(crate::io::clock::now().boot, ids))
    }

    fn rows<'a>(&'a self, query: &'a Query) -> Answer<'a, Vec<Row>> {
        Self::answer(self.ledger().rows(query))
    }

    fn row<'a>(&'a self, id: &'a ExecutionId) -> Answer<'a, Option<Row>> {
        Self::answer(self.ledger().rows.get(id).cloned())
    }

    fn latest_rows(&self) -> Answer<'_, Vec<Row>> {
        Self::answer(self.ledger().latest_rows())
    }

    fn in_flight(&self) -> Answer<'_, Vec<Row>> {
        Self::answer(self.ledger().in_flight())
    }

    fn stored_jobs(&self) -> Answer<'_, Option<StoredJobs>> {
        let ledger = self.ledger();
        let jobs = ledger.jobs.values().cloned().collect();
        let (generation, damaged) = (ledger.generation, Vec::new());
        Self::answer(Some(StoredJobs { generation, jobs, damaged }))
    }

    fn plans(&self, limit: usize) -> Answer<'_, Vec<PlanDocument>> {
        Self::answer(self.ledger().plans.iter().rev().take(limit).cloned().collect())
    }
}
