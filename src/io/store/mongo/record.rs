//! Recording: rows that run, rows that have ended. Why an ending is written so: `docs/ledger.md`.

use std::collections::{BTreeMap, BTreeSet};

use bson::{Document, doc};

use crate::engine::execution::{ExecutionId, Outcome};
use crate::io::store::document::LateOutcome;
use crate::io::store::mongo::bulk::{self, Statement};
use crate::io::store::mongo::connection::Connection;
use crate::io::store::mongo::{form, rows};
use crate::io::store::{Guard, RowAnswer, RowChange, StoreError};

/// How many executions one statement changes.
const STATEMENT_ROWS_MAX: usize = 100;
/// How many bytes of endings one statement holds at most, unless a single one is larger.
const STATEMENT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// See `Store::record`.
pub(super) async fn record(
    connection: &Connection,
    changes: &[RowChange],
) -> Result<Vec<RowAnswer>, StoreError> {
    let mut answers = Vec::with_capacity(changes.len());
    let mut rest = changes;
    while !rest.is_empty() {
        // Changes of different rows may go in any order; a second change of one row waits for the first.
        let mut seen = BTreeSet::new();
        let count = rest.iter().take_while(|change| seen.insert(change.row())).count();
        let (together, later) = rest.split_at(count);
        answers.extend(record_together(connection, together).await?);
        rest = later;
    }
    Ok(answers)
}

/// Records changes of different rows. Only when some row was not found as it should be is looked at
/// what it is instead.
async fn record_together(
    connection: &Connection,
    changes: &[RowChange],
) -> Result<Vec<RowAnswer>, StoreError> {
    let statements = statements(changes)?;
    let found = bulk::run(connection, "record", "executions", statements).await?;
    if found == changes.len() as u64 {
        return Ok(vec![RowAnswer::Recorded; changes.len()]);
    }
    let fields =
        doc! { "state": 1, "outcome": 1, "reason": 1, "node": 1, "epoch": 1, "attempt": 1 };
    let ids = form::ids(changes.iter().map(RowChange::row));
    let rows = rows::by_id(connection, ids, fields).await?;
    let rows: BTreeMap<&str, &Document> =
        rows.iter().filter_map(|row| Some((row.get_str("_id").ok()?, row))).collect();
    let mut late = Vec::new();
    let mut answers = Vec::with_capacity(changes.len());
    for change in changes {
        let found = rows.get(change.row().as_str());
        let (answer, outcome) = match (found, change) {
            (None, _) => (RowAnswer::NoRow, None),
            (Some(_), RowChange::Started { .. }) => (RowAnswer::Recorded, None),
            (Some(row), RowChange::Waits { guard, wait }) => {
                let outcome = wait.last.outcome;
                (became(row, guard, wait.attempt().number, outcome)?, Some(outcome))
            }
            (Some(row), RowChange::Ended { id, guard, ending }) => {
                (became(row, guard, id.number, ending.outcome)?, Some(ending.outcome))
            }
        };
        if let (RowAnswer::Late, Some(outcome)) = (answer, outcome) {
            late.push(late_outcome(change.row(), outcome));
        }
        answers.push(answer);
    }
    bulk::run(connection, "record", "executions", late).await?;
    Ok(answers)
}

/// What became of the ending of an attempt whose row is as given now.
fn became(
    row: &Document,
    guard: &Guard,
    attempt: u32,
    outcome: Outcome,
) -> Result<RowAnswer, StoreError> {
    let current =
        if row.contains_key("attempt") { form::number("row", row, "attempt")? } else { 1 };
    let attempt = i64::from(attempt);
    if attempt < current {
        return Ok(RowAnswer::Recorded);
    }
    let ours = match guard {
        Guard::Epoch(epoch) => form::number("row", row, "epoch")?.unsigned_abs() == *epoch,
        Guard::Node(node) => form::text("row", row, "node")? == &**node,
    };
    if attempt > current {
        return Ok(RowAnswer::Late);
    }
    if form::text("row", row, "state")? != "ended" {
        // It was written between our update and our look at it.
        return if ours { Err(again()) } else { Ok(RowAnswer::Late) };
    }
    let found = Outcome::parse(form::text("row", row, "outcome")?, row.get_str("reason").ok());
    Ok(if found == Some(outcome) { RowAnswer::Recorded } else { RowAnswer::Late })
}

fn again() -> StoreError {
    let message = "a row was claimed while its ending was recorded".to_owned();
    StoreError::Failed { act: "record", message }
}

fn late_outcome(id: &ExecutionId, outcome: Outcome) -> Statement {
    let LateOutcome { outcome, reason } = LateOutcome::of(outcome);
    let mut late = doc! { "outcome": outcome };
    if let Some(reason) = reason {
        late.insert("reason", reason);
    }
    Statement::change(doc! { "_id": id.as_str() }, doc! { "$set": { "late_outcome": late } })
}

/// What a statement does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Act {
    Start,
    Wait,
    End,
}

/// What a statement does, to which attempt, and of whose claims.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Kind<'a> {
    act: Act,
    attempt: u32,
    epoch: Option<u64>,
    node: Option<&'a str>,
}

impl<'a> Kind<'a> {
    fn guarded(act: Act, attempt: u32, guard: &'a Guard) -> Self {
        match guard {
            Guard::Epoch(epoch) => Self { act, attempt, epoch: Some(*epoch), node: None },
            Guard::Node(node) => Self { act, attempt, epoch: None, node: Some(node) },
        }
    }

    /// The state that rows get.
    fn state(&self) -> &'static str {
        match self.act {
            Act::Start => "running",
            Act::Wait => "retry_wait",
            Act::End => "ended",
        }
    }

    /// The rows that are changed.
    fn filter(&self) -> Document {
        let mut filter = doc! {};
        if let Some(epoch) = self.epoch {
            filter.insert("epoch", number(epoch));
        }
        if let Some(node) = self.node {
            filter.insert("node", node);
        }
        match self.act {
            Act::Start => filter.insert("state", "claimed"),
            Act::Wait => filter.insert("state", doc! { "$in": ["claimed", "running"] }),
            Act::End => filter.insert("state", doc! { "$ne": "ended" }),
        };
        match (self.act, self.attempt) {
            (Act::Start, _) => {}
            (Act::Wait | Act::End, 0 | 1) => {
                filter.insert("attempt", doc! { "$exists": false });
            }
            (Act::Wait | Act::End, attempt) => {
                filter.insert("attempt", i64::from(attempt));
            }
        }
        filter
    }
}

/// As few statements as the kinds of change and their size allow.
fn statements(changes: &[RowChange]) -> Result<Vec<Statement>, StoreError> {
    let mut kinds: BTreeMap<Kind<'_>, Vec<(&str, Document)>> = BTreeMap::new();
    for change in changes {
        let (kind, fields) = match change {
            RowChange::Started { epoch, at, .. } => {
                let kind = Kind { act: Act::Start, attempt: 0, epoch: Some(*epoch), node: None };
                (kind, doc! { "started_at": form::date(*at) })
            }
            RowChange::Waits { guard, wait } => {
                (Kind::guarded(Act::Wait, wait.attempt().number, guard), form::of_wait(wait)?)
            }
            RowChange::Ended { id, guard, ending } => {
                let kind = Kind::guarded(Act::End, id.number, guard);
                (kind, form::of_ending(&id.execution, ending)?)
            }
        };
        kinds.entry(kind).or_default().push((change.row().as_str(), fields));
    }
    let mut statements = Vec::new();
    for (kind, rows) in &kinds {
        let mut from = 0;
        let mut bytes = 0;
        for (place, (_, fields)) in rows.iter().enumerate() {
            let size = bulk::size_of(fields);
            let full = place - from == STATEMENT_ROWS_MAX || bytes + size > STATEMENT_BYTES_MAX;
            if full && place > from {
                statements.push(statement(kind, &rows[from..place]));
                (from, bytes) = (place, 0);
            }
            bytes += size;
        }
        statements.push(statement(kind, &rows[from..]));
    }
    Ok(statements)
}

/// Changes many rows in one statement: each takes its own fields out of a list, by the place of its
/// id in another. The fields are literal: what a task prints is never read as an expression.
fn statement(kind: &Kind<'_>, rows: &[(&str, Document)]) -> Statement {
    let (ids, fields): (Vec<&str>, Vec<&Document>) =
        rows.iter().map(|(id, fields)| (*id, fields)).unzip();
    let mut found = doc! { "_id": { "$in": &ids } };
    found.extend(kind.filter());
    let place = doc! { "$indexOfArray": [{ "$literal": ids }, "$_id"] };
    let own = doc! { "$arrayElemAt": [{ "$literal": fields }, place] };
    let merged = doc! { "$mergeObjects": ["$$ROOT", own, { "state": kind.state() }] };
    let mut pipeline = vec![doc! { "$replaceWith": merged }];
    if kind.act == Act::End {
        pipeline.push(doc! { "$unset": ["slot", "retry_at"] });
    }
    Statement::change_all(found, pipeline)
}

fn number(epoch: u64) -> i64 {
    i64::try_from(epoch).unwrap_or(i64::MAX)
}
