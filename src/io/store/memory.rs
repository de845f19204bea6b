//! A store in memory: for tests and embedding, and the model that the simulator drives.
//!
//! [`Ledger`] is the meaning of every operation in its plainest form; the other adapters are held
//! against it by the conformance suite.

mod shared;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::engine::event::{ClaimAnswer, ClaimBatch, Note, PlanWrites, Take};
use crate::engine::execution::{ExecutionId, JobUid, Outcome, Range, Row, State};
use crate::engine::overrides::OverrideWrite;
use crate::io::store::document::{JobDocument, NoteDocument, OverrideDocument, PlanDocument};
use crate::io::store::{
    Bid, Contents, ForeignNews, Holder, LeaseAnswer, PlanAnswer, Query, RowAnswer, RowChange,
};
use crate::spec::job::JobName;
use crate::time::{BootTime, Timestamp};

pub use crate::io::store::memory::shared::MemoryStore;

/// What is stored, and what each operation does to it.
#[derive(Debug, Default)]
pub struct Ledger {
    generation: u64,
    revision: String,
    jobs: BTreeMap<String, JobDocument>,
    /// Every definition a job ever had, by `<uid>@<effective_at>`.
    specs: BTreeMap<String, JobDocument>,
    overrides: BTreeMap<String, OverrideDocument>,
    /// Every change of them, and since when it counts.
    said: Vec<(Timestamp, OverrideWrite)>,
    watermark: Option<Timestamp>,
    rows: BTreeMap<ExecutionId, Row>,
    /// The rows that have not ended.
    open: BTreeSet<ExecutionId>,
    /// Which of them holds a slot.
    slots: BTreeMap<(JobUid, u32), ExecutionId>,
    plans: Vec<PlanDocument>,
    removals: Vec<(String, Timestamp)>,
    notes: Vec<NoteDocument>,
    lease: Option<Lease>,
    beats: BTreeMap<String, BootTime>,
}

#[derive(Debug)]
struct Lease {
    holder: Holder,
    epoch: u64,
    until: BootTime,
}

impl Ledger {
    /// See `Store::take_lease`; `now` is the store's own clock.
    pub fn take_lease(
        &mut self,
        now: BootTime,
        holder: &Holder,
        bid: Bid,
        ttl: Duration,
    ) -> LeaseAnswer {
        let until = now.plus(ttl);
        let follows = |earlier: &Holder| bid == Bid::First && earlier.node == holder.node;
        let epoch = match &mut self.lease {
            Some(lease) if lease.holder == *holder => {
                lease.until = until;
                return LeaseAnswer::Held { epoch: lease.epoch };
            }
            Some(lease) if lease.until > now && !follows(&lease.holder) => {
                return LeaseAnswer::HeldBy { node: lease.holder.node.to_string() };
            }
            Some(lease) => lease.epoch + 1,
            None => 1,
        };
        self.lease = Some(Lease { holder: holder.clone(), epoch, until });
        LeaseAnswer::Held { epoch }
    }

    /// See `Store::release_lease`.
    pub fn release_lease(&mut self, holder: &Holder) {
        if let Some(lease) = &mut self.lease
            && lease.holder == *holder
        {
            lease.until = BootTime::default();
        }
    }

    /// See `Store::beat`.
    pub fn beat(&mut self, now: BootTime, node: &str, ttl: Duration) {
        self.beats.insert(node.to_owned(), now.plus(ttl));
    }

    /// See `Store::load`.
    pub fn load(&self) -> Contents {
        let paused_at = |row: &Row| Some(self.overrides.get(&*row.uid.0)?.pause.as_ref()?.at);
        let after_watermark = |row: &&Row| {
            let after = self.watermark.is_none_or(|watermark| covers(row).last > watermark);
            (after || paused_at(row).is_some_and(|at| row.fire_time > at))
                && row.cause != crate::engine::execution::Cause::Request
        };
        Contents {
            generation: self.generation,
            revision: self.revision.clone(),
            pin: self.plans.last().and_then(|plan| plan.pin.clone()),
            jobs: self.jobs.values().cloned().collect(),
            overrides: self.overrides.values().cloned().collect(),
            watermark: self.watermark,
            covered: self
                .rows
                .values()
                .filter(after_watermark)
                .map(|row| (row.uid.clone(), covers(row)))
                .collect(),
            in_flight: self.in_flight(),
        }
    }

    /// See `Store::save_plan`.
    pub fn save_plan(&mut self, plan: &PlanWrites) -> PlanAnswer {
        if plan.expected_generation != self.generation {
            return PlanAnswer::Stale;
        }
        self.generation += 1;
        self.revision = plan.revision.to_string();
        for job in plan.upserts.iter().chain(&plan.repair.write) {
            let document = JobDocument::of(job, None);
            self.specs.insert(document.spec_id(), document.clone());
            self.jobs.insert(document.uid.clone(), document);
        }
        for job in &plan.removed {
            let document = JobDocument::of(job, Some(plan.effective_at));
            self.removals.push((document.uid.clone(), plan.effective_at));
            self.jobs.insert(document.uid.clone(), document);
        }
        for job in &plan.repair.remove {
            let document = JobDocument::of(job, Some(plan.effective_at));
            self.jobs.insert(document.uid.clone(), document);
        }
        for write in &plan.overrides {
            let document = OverrideDocument::of(&write.uid, &write.to);
            self.overrides.insert(document.uid.clone(), document);
            self.said.push((plan.effective_at, write.clone()));
        }
        self.plans.push(PlanDocument::of(plan, self.generation));
        PlanAnswer::Saved { generation: self.generation }
    }

    /// See `Store::claim`.
    pub fn claim(&mut self, batch: &ClaimBatch) -> Vec<ClaimAnswer> {
        let mut answers: Vec<_> = batch.rows.iter().map(|row| self.claim_one(row)).collect();
        answers.extend(batch.takes.iter().map(|take| self.take_one(take)));
        if batch.is_decided(&answers) {
            self.watermark = self.watermark.max(Some(batch.watermark));
        }
        answers
    }

    fn claim_one(&mut self, row: &Row) -> ClaimAnswer {
        if let Some(found) = self.rows.get(&row.id) {
            return ClaimAnswer::AlreadyClaimed { claim: found.claim.clone() };
        }
        if let Some(slot) = row.slot {
            if self.slots.contains_key(&(row.uid.clone(), slot)) {
                return ClaimAnswer::SlotTaken;
            }
            self.slots.insert((row.uid.clone(), slot), row.id.clone());
        }
        if row.in_flight() {
            self.open.insert(row.id.clone());
        }
        self.rows.insert(row.id.clone(), row.clone());
        ClaimAnswer::Claimed
    }

    fn take_one(&mut self, take: &Take) -> ClaimAnswer {
        let Some(found) = self.rows.get_mut(&take.row.id) else {
            return ClaimAnswer::AlreadyClaimed { claim: take.from.clone() };
        };
        let is_next = found.attempt() == take.row.attempt();
        if !found.waits() || !is_next || found.claim != take.from {
            return ClaimAnswer::AlreadyClaimed { claim: found.claim.clone() };
        }
        // One that waits for another attempt has kept its place.
        if let Some(slot) = take.row.slot.filter(|slot| found.slot != Some(*slot)) {
            let place = (take.row.uid.clone(), slot);
            if self.slots.contains_key(&place) {
                return ClaimAnswer::SlotTaken;
            }
            self.slots.insert(place, take.row.id.clone());
        }
        *found = take.row.clone();
        ClaimAnswer::Claimed
    }

    /// See `Store::record`.
    pub fn record(&mut self, changes: &[RowChange]) -> Vec<RowAnswer> {
        changes.iter().map(|change| self.record_one(change)).collect()
    }

    fn record_one(&mut self, change: &RowChange) -> RowAnswer {
        match change {
            RowChange::Started { id, epoch, at } => {
                let Some(row) = self.rows.get_mut(id) else { return RowAnswer::NoRow };
                if row.state == State::Claimed && row.claim.epoch == *epoch {
                    row.state = State::Running { started_at: *at };
                }
                RowAnswer::Recorded
            }
            RowChange::Waits { guard, wait } => {
                let Some(row) = self.rows.get_mut(&wait.id) else { return RowAnswer::NoRow };
                let attempt = wait.attempt().number;
                if attempt < row.attempt() {
                    return RowAnswer::Recorded;
                }
                if attempt > row.attempt() || !row.in_flight() || !guard.holds(&row.claim) {
                    row.late_outcome = Some(wait.last.outcome);
                    return RowAnswer::Late;
                }
                row.attempts.clone_from(&wait.attempts);
                row.state = State::RetryWait { until: wait.until, last: wait.last.clone() };
                RowAnswer::Recorded
            }
            RowChange::Ended { id, guard, ending } => {
                let Some(row) = self.rows.get_mut(&id.execution) else { return RowAnswer::NoRow };
                let said = row.outcome() == Some(ending.outcome) && id.number == row.attempt();
                if said || id.number < row.attempt() {
                    return RowAnswer::Recorded;
                }
                if id.number > row.attempt() || !row.in_flight() || !guard.holds(&row.claim) {
                    row.late_outcome = Some(ending.outcome);
                    return RowAnswer::Late;
                }
                row.state = State::Ended(ending.clone());
                if let Some(slot) = row.slot.take() {
                    self.slots.remove(&(row.uid.clone(), slot));
                }
                self.open.remove(&id.execution);
                RowAnswer::Recorded
            }
        }
    }

    /// See `Store::note`.
    pub fn note(&mut self, at: Timestamp, node: &str, note: &Note) {
        self.notes.push(NoteDocument::of(at, node, note));
    }

    /// See `Store::foreign_news`.
    pub fn foreign_news(&self, now: BootTime, ids: &[ExecutionId]) -> ForeignNews {
        let mut news = ForeignNews::default();
        for id in ids {
            match self.rows.get(id) {
                Some(row) if row.waits() => news.waiting.push(row.clone()),
                Some(row) if row.in_flight() => {
                    let beat = self.beats.get(row.claim.node.as_ref());
                    if beat.is_none_or(|until| *until <= now) {
                        news.ownerless.push(id.clone());
                    }
                }
                Some(_) | None => news.ended.push(id.clone()),
            }
        }
        news
    }

    /// Whether a job has this name: its rows from before it was renamed have another.
    fn is_named(&self, uid: &JobUid, name: &JobName) -> bool {
        self.jobs.get(&*uid.0).is_some_and(|job| job.name == name.as_str())
    }

    /// See `Store::rows`.
    pub fn rows(&self, query: &Query) -> Vec<Row> {
        let wanted = |row: &&Row| {
            let outcome = row.outcome().map(Outcome::as_str);
            query.job.as_ref().is_none_or(|job| row.job == *job || self.is_named(&row.uid, job))
                && query.since.is_none_or(|since| covers(row).last >= since)
                && query.revision.as_ref().is_none_or(|r| *row.provenance.revision == **r)
                && (query.outcomes.is_empty()
                    || outcome.is_some_and(|word| query.outcomes.iter().any(|o| o == word)))
        };
        let mut rows: Vec<Row> = self.rows.values().filter(wanted).cloned().collect();
        rows.sort_by(|a, b| (b.fire_time, &b.id).cmp(&(a.fire_time, &a.id)));
        rows.truncate(query.limit);
        rows
    }

    /// See `Store::in_flight`.
    pub fn in_flight(&self) -> Vec<Row> {
        self.open.iter().filter_map(|id| self.rows.get(id)).cloned().collect()
    }

    /// Every row, by id.
    pub fn all_rows(&self) -> &BTreeMap<ExecutionId, Row> {
        &self.rows
    }

    /// Every definition that a job ever had.
    pub fn specs(&self) -> impl Iterator<Item = &JobDocument> {
        self.specs.values()
    }

    /// When a job was removed, each time.
    pub fn removals(&self, uid: &str) -> Vec<Timestamp> {
        self.removals.iter().filter(|(of, _)| of == uid).map(|(_, at)| *at).collect()
    }

    /// Every change of overrides, and since when it counts, oldest first.
    pub fn said(&self) -> &[(Timestamp, OverrideWrite)] {
        &self.said
    }

    /// Everything that was noted.
    pub fn notes(&self) -> &[NoteDocument] {
        &self.notes
    }

    /// See `Store::latest_rows`.
    pub fn latest_rows(&self) -> Vec<Row> {
        let mut latest: BTreeMap<&JobUid, &Row> = BTreeMap::new();
        for row in self.rows.values() {
            let newest = latest.entry(&row.uid).or_insert(row);
            if (row.fire_time, &row.id) > (newest.fire_time, &newest.id) {
                *newest = row;
            }
        }
        latest.into_values().cloned().collect()
    }
}

/// The occurrences that a row covers.
fn covers(row: &Row) -> Range {
    row.range.unwrap_or_else(|| crate::engine::admission::single(row.fire_time))
}
