//! Rows of the ledger in SQLite: claiming, recording, reading.

use rusqlite::{Connection, ErrorCode, OptionalExtension as _, params, params_from_iter};

use crate::engine::event::{ClaimAnswer, ClaimBatch, Take};
use crate::engine::execution::{ExecutionId, JobUid, Outcome, Range, Row};
use crate::io::store::document::{LateOutcome, OverrideDocument, RowDocument};
use crate::io::store::sqlite::writer::failed;
use crate::io::store::sqlite::{json, meta, parse_time, set_meta, time_text};
use crate::io::store::{Query, RowAnswer, RowChange, StoreError};
use crate::time::Timestamp;

/// See `Store::claim`.
pub(super) fn claim(
    connection: &Connection,
    batch: &ClaimBatch,
) -> Result<Vec<ClaimAnswer>, StoreError> {
    let mut answers = Vec::with_capacity(batch.rows.len());
    for row in &batch.rows {
        answers.push(claim_one(connection, row)?);
    }
    for take in &batch.takes {
        answers.push(take_one(connection, take)?);
    }
    let stored = meta(connection, "watermark")?.and_then(|text| parse_time(&text));
    if batch.is_decided(&answers) && stored < Some(batch.watermark) {
        set_meta(connection, "watermark", &time_text(batch.watermark))?;
    }
    Ok(answers)
}

fn claim_one(connection: &Connection, row: &Row) -> Result<ClaimAnswer, StoreError> {
    let failed = |error: rusqlite::Error| failed("claim", &error);
    let document = RowDocument::of(row);
    let inserted = connection
        .prepare_cached(
            "INSERT OR IGNORE INTO executions VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )
        .and_then(|mut statement| {
            statement.execute(params![
                document.id,
                document.job,
                document.uid,
                document.cause,
                time_text(document.fire_time),
                time_text(document.last),
                document.state,
                document.outcome,
                document.slot,
                json("row", &document).unwrap_or_default(),
            ])
        })
        .map_err(failed)?;
    if inserted == 1 {
        return Ok(ClaimAnswer::Claimed);
    }
    Ok(match document_of(connection, &row.id)? {
        Some(found) => ClaimAnswer::AlreadyClaimed { claim: found.claim() },
        None => ClaimAnswer::SlotTaken,
    })
}

fn take_one(connection: &Connection, take: &Take) -> Result<ClaimAnswer, StoreError> {
    let Some(found) = document_of(connection, &take.row.id)? else {
        return Ok(ClaimAnswer::AlreadyClaimed { claim: take.from.clone() });
    };
    let is_next = found.attempt() == take.row.attempt();
    if !found.waits() || !is_next || found.claim() != take.from {
        return Ok(ClaimAnswer::AlreadyClaimed { claim: found.claim() });
    }
    let written = update(connection, &RowDocument::of(&take.row));
    match written {
        Ok(()) => Ok(ClaimAnswer::Claimed),
        Err(error) if is_constraint(&error) => Ok(ClaimAnswer::SlotTaken),
        Err(error) => Err(failed("claim", &error)),
    }
}

/// Whether a unique index refused the row.
fn is_constraint(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation)
}

/// See `Store::record`.
pub(super) fn record(
    connection: &Connection,
    changes: &[RowChange],
) -> Result<Vec<RowAnswer>, StoreError> {
    changes.iter().map(|change| record_one(connection, change)).collect()
}

fn record_one(connection: &Connection, change: &RowChange) -> Result<RowAnswer, StoreError> {
    match change {
        RowChange::Started { id, epoch, at } => {
            let Some(mut document) = document_of(connection, id)? else {
                return Ok(RowAnswer::NoRow);
            };
            if document.state == "claimed" && document.epoch.unsigned_abs() == *epoch {
                "running".clone_into(&mut document.state);
                document.started_at = Some(*at);
                write(connection, &document)?;
            }
            Ok(RowAnswer::Recorded)
        }
        RowChange::Waits { guard, wait } => {
            let Some(mut document) = document_of(connection, &wait.id)? else {
                return Ok(RowAnswer::NoRow);
            };
            let (attempt, current) = (wait.attempt().number, document.attempt());
            if attempt < current {
                return Ok(RowAnswer::Recorded);
            }
            if attempt > current || document.state == "ended" || !guard.holds(&document.claim()) {
                return late(connection, document, wait.last.outcome);
            }
            document.wait(wait);
            write(connection, &document)?;
            Ok(RowAnswer::Recorded)
        }
        RowChange::Ended { id, guard, ending } => {
            let Some(mut document) = document_of(connection, &id.execution)? else {
                return Ok(RowAnswer::NoRow);
            };
            let (current, ended) = (document.attempt(), document.state == "ended");
            let found = (document.outcome.as_deref(), document.reason.as_deref());
            let same = found == (Some(ending.outcome.as_str()), ending.outcome.reason());
            if id.number < current || (id.number == current && ended && same) {
                return Ok(RowAnswer::Recorded);
            }
            if id.number > current || ended || !guard.holds(&document.claim()) {
                return late(connection, document, ending.outcome);
            }
            document.end(ending);
            write(connection, &document)?;
            Ok(RowAnswer::Recorded)
        }
    }
}

fn late(
    connection: &Connection,
    mut document: RowDocument,
    outcome: Outcome,
) -> Result<RowAnswer, StoreError> {
    document.late_outcome = Some(LateOutcome::of(outcome));
    write(connection, &document)?;
    Ok(RowAnswer::Late)
}

fn write(connection: &Connection, document: &RowDocument) -> Result<(), StoreError> {
    update(connection, document).map_err(|error| failed("record", &error))
}

fn update(connection: &Connection, document: &RowDocument) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE executions SET state = ?2, outcome = ?3, slot = ?4, doc = ?5, job = ?6
             WHERE id = ?1",
        )
        .and_then(|mut statement| {
            statement.execute(params![
                document.id,
                document.state,
                document.outcome,
                document.slot,
                json("row", document).unwrap_or_default(),
                document.job,
            ])
        })
        .map(drop)
}

fn document_of(
    connection: &Connection,
    id: &ExecutionId,
) -> Result<Option<RowDocument>, StoreError> {
    let doc: Option<String> = connection
        .prepare_cached("SELECT doc FROM executions WHERE id = ?1")
        .and_then(|mut statement| statement.query_row([id.as_str()], |row| row.get(0)).optional())
        .map_err(|error| failed("read a row", &error))?;
    doc.map(|doc| parse(&doc)).transpose()
}

fn parse(doc: &str) -> Result<RowDocument, StoreError> {
    serde_json::from_str(doc).map_err(|error| StoreError::Damaged {
        kind: "row",
        id: doc.chars().take(80).collect(),
        message: error.to_string(),
    })
}

/// See `Store::row`.
pub(super) fn row(connection: &Connection, id: &ExecutionId) -> Result<Option<Row>, StoreError> {
    document_of(connection, id)?.map(RowDocument::row).transpose()
}

/// See `Store::in_flight`.
pub(super) fn in_flight(connection: &Connection) -> Result<Vec<Row>, StoreError> {
    select(connection, "WHERE state <> 'ended' ORDER BY fire_time", Vec::new())
}

/// See `Store::latest_rows`.
pub(super) fn latest(connection: &Connection) -> Result<Vec<Row>, StoreError> {
    let newest = "WHERE id IN (SELECT (SELECT id FROM executions e WHERE e.uid = jobs.uid
        ORDER BY fire_time DESC, id DESC LIMIT 1) FROM jobs)";
    select(connection, newest, Vec::new())
}

/// See `Store::rows`.
pub(super) fn rows(connection: &Connection, query: &Query) -> Result<Vec<Row>, StoreError> {
    let mut conditions = Vec::new();
    let mut values = Vec::new();
    if let Some(job) = &query.job {
        // Those from before it was renamed too.
        conditions.push("(job = ? OR uid IN (SELECT uid FROM jobs WHERE name = ?))".to_owned());
        values.extend([job.to_string(), job.to_string()]);
    }
    if let Some(since) = query.since {
        conditions.push("last >= ?".to_owned());
        values.push(time_text(since));
    }
    if let Some(revision) = &query.revision {
        conditions.push("json_extract(doc, '$.revision') = ?".to_owned());
        values.push(revision.clone());
    }
    if !query.outcomes.is_empty() {
        let places = vec!["?"; query.outcomes.len()].join(", ");
        conditions.push(format!("outcome IN ({places})"));
        values.extend(query.outcomes.iter().cloned());
    }
    let condition = if conditions.is_empty() {
        String::new()
    } else {
        format!("WHERE {}", conditions.join(" AND "))
    };
    let tail = format!("{condition} ORDER BY fire_time DESC, id DESC LIMIT {}", query.limit);
    select(connection, &tail, values)
}

fn select(
    connection: &Connection,
    tail: &str,
    values: Vec<String>,
) -> Result<Vec<Row>, StoreError> {
    let failed = |error: rusqlite::Error| failed("read rows", &error);
    let mut statement =
        connection.prepare_cached(&format!("SELECT doc FROM executions {tail}")).map_err(failed)?;
    let found = statement
        .query_map(params_from_iter(values), |row| row.get::<_, String>(0))
        .map_err(failed)?;
    found.map(|doc| parse(&doc.map_err(failed)?)?.row()).collect()
}

/// See `Contents::covered`.
pub(super) fn covered(
    connection: &Connection,
    watermark: Option<Timestamp>,
    overrides: &[OverrideDocument],
) -> Result<Vec<(JobUid, Range)>, StoreError> {
    let after = watermark.map(time_text).unwrap_or_default();
    let tail = "WHERE last > ? AND cause <> 'request'";
    let mut rows = select(connection, tail, vec![after.clone()])?;
    for said in overrides.iter().filter(|_| watermark.is_some()) {
        let Some(pause) = &said.pause else { continue };
        let tail = "WHERE uid = ? AND fire_time > ? AND last <= ? AND cause <> 'request'";
        let values = vec![said.uid.clone(), time_text(pause.at), after.clone()];
        rows.extend(select(connection, tail, values)?);
    }
    Ok(rows
        .into_iter()
        .map(|row| {
            (row.uid, row.range.unwrap_or_else(|| crate::engine::admission::single(row.fire_time)))
        })
        .collect())
}
