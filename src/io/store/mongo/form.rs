//! The stored forms as BSON: what `document` says, with times as dates.
//!
//! One field means more here: a row in flight always has `slot`, the number of its place or, where
//! `max_instances` does not apply, its own id. So one unique index both makes the limit exact and
//! finds what is in flight.

use bson::{Bson, DateTime, Document, doc};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::engine::event::RetryWait;
use crate::engine::execution::{Attempt, Ending, ExecutionId, Row};
use crate::io::store::StoreError;
use crate::io::store::document::{
    ATTEMPT_TIMES, AttemptDocument, EndingDocument, JOB_TIMES, JobDocument, NoteDocument,
    OVERRIDE_PARTS, OVERRIDE_TIMES, OverrideDocument, PlanDocument, ROW_TIMES, RowDocument,
};
use crate::time::{Timestamp, rfc3339};

/// Fields of a plan that are times.
const PLAN_TIMES: [&str; 1] = ["effective_at"];
/// Fields of a note that are times.
const NOTE_TIMES: [&str; 3] = ["at", "from", "to"];
/// A time as BSON.
pub(super) fn date(at: Timestamp) -> Bson {
    Bson::DateTime(DateTime::from_millis(at.timestamp_millis()))
}

/// A row.
pub(super) fn of_row(row: &Row) -> Result<Document, StoreError> {
    let mut document = to_bson("row", row.id.as_str(), &RowDocument::of(row), &ROW_TIMES)?;
    for attempt in attempts_in(&mut document) {
        text_to_dates(attempt, &ATTEMPT_TIMES);
    }
    if row.in_flight() && row.slot.is_none() {
        document.insert("slot", row.id.as_str());
    }
    Ok(document)
}

/// Reads a row.
pub(super) fn to_row(mut document: Document) -> Result<Row, StoreError> {
    if matches!(document.get("slot"), Some(Bson::String(_))) {
        document.remove("slot");
    }
    for attempt in attempts_in(&mut document) {
        dates_to_text(attempt.iter_mut().map(|(_, value)| value));
    }
    from_bson::<RowDocument>("row", document, &ROW_TIMES)?.row()
}

/// What an ending writes into its row, beside `state` and `slot`.
pub(super) fn of_ending(id: &ExecutionId, ending: &Ending) -> Result<Document, StoreError> {
    to_bson("row", id.as_str(), &EndingDocument::of(ending), &ROW_TIMES)
}

/// What a wait for the next attempt writes into its row, beside `state`: what the attempt left, but for its
/// outcome, which stands among the attempts.
pub(super) fn of_wait(wait: &RetryWait) -> Result<Document, StoreError> {
    let mut document = of_ending(&wait.id, &wait.last)?;
    document.remove("outcome");
    document.remove("reason");
    let attempt = |attempt: &Attempt| {
        let stored = AttemptDocument::of(attempt);
        to_bson("row", wait.id.as_str(), &stored, &ATTEMPT_TIMES).map(Bson::Document)
    };
    let attempts = wait.attempts.iter().map(attempt).collect::<Result<Vec<Bson>, _>>()?;
    document.insert("attempts", attempts);
    document.insert("attempt", i64::from(wait.attempt().number) + 1);
    document.insert("retry_at", date(wait.until));
    Ok(document)
}

fn attempts_in(row: &mut Document) -> impl Iterator<Item = &mut Document> {
    let attempts = row.get_array_mut("attempts").ok();
    attempts.into_iter().flatten().filter_map(Bson::as_document_mut)
}

/// A job.
pub(super) fn of_job(job: &JobDocument) -> Result<Document, StoreError> {
    let mut document = to_bson("job", &job.uid, job, &JOB_TIMES)?;
    let anchors = job.anchors.iter().map(|(trigger, at)| (trigger.clone(), date(*at)));
    document.insert("anchors", anchors.collect::<Document>());
    Ok(document)
}

/// Reads a job.
pub(super) fn to_job(mut document: Document) -> Result<JobDocument, StoreError> {
    if let Some(Bson::Document(anchors)) = document.get_mut("anchors") {
        dates_to_text(anchors.iter_mut().map(|(_, value)| value));
    }
    from_bson("job", document, &JOB_TIMES)
}

/// What operators have said about a job.
pub(super) fn of_override(said: &OverrideDocument) -> Result<Document, StoreError> {
    let mut document = to_bson("override", &said.uid, said, &[])?;
    for part in OVERRIDE_PARTS {
        if let Some(Bson::Document(part)) = document.get_mut(part) {
            text_to_dates(part, &OVERRIDE_TIMES);
        }
    }
    Ok(document)
}

/// Reads what operators have said about a job.
pub(super) fn to_override(mut document: Document) -> Result<OverrideDocument, StoreError> {
    for part in OVERRIDE_PARTS {
        if let Some(Bson::Document(part)) = document.get_mut(part) {
            dates_to_text(part.iter_mut().map(|(_, value)| value));
        }
    }
    from_bson("override", document, &[])
}

/// An applied plan.
pub(super) fn of_plan(plan: &PlanDocument) -> Result<Document, StoreError> {
    to_bson("plan", &plan.generation.to_string(), plan, &PLAN_TIMES)
}

/// Reads an applied plan.
pub(super) fn to_plan(document: Document) -> Result<PlanDocument, StoreError> {
    from_bson("plan", document, &PLAN_TIMES)
}

/// A note.
pub(super) fn of_note(note: &NoteDocument) -> Result<Document, StoreError> {
    to_bson("event", &note.kind, note, &NOTE_TIMES)
}

/// The ids as BSON.
pub(super) fn ids<'a>(ids: impl IntoIterator<Item = &'a ExecutionId>) -> Vec<&'a str> {
    ids.into_iter().map(ExecutionId::as_str).collect()
}

/// A text of a document that must be there.
pub(super) fn text<'a>(
    kind: &'static str,
    document: &'a Document,
    field: &str,
) -> Result<&'a str, StoreError> {
    document.get_str(field).map_err(|error| damaged(kind, document, &error.to_string()))
}

/// A time of a document that must be there.
pub(super) fn time(
    kind: &'static str,
    document: &Document,
    field: &str,
) -> Result<Timestamp, StoreError> {
    let at = document.get_datetime(field).ok().and_then(|at| to_timestamp(*at));
    at.ok_or_else(|| damaged(kind, document, &format!("`{field}` is not a date")))
}

/// A number of a document that must be there.
pub(super) fn number(
    kind: &'static str,
    document: &Document,
    field: &str,
) -> Result<i64, StoreError> {
    match document.get(field) {
        Some(Bson::Int64(number)) => Ok(*number),
        Some(Bson::Int32(number)) => Ok(i64::from(*number)),
        Some(_) | None => Err(damaged(kind, document, &format!("`{field}` is not a number"))),
    }
}

fn damaged(kind: &'static str, document: &Document, message: &str) -> StoreError {
    let id = document.get("_id").map(Bson::to_string).unwrap_or_default();
    StoreError::Damaged { kind, id, message: message.to_owned() }
}

fn to_bson(
    kind: &'static str,
    id: &str,
    value: &impl Serialize,
    times: &[&str],
) -> Result<Document, StoreError> {
    let mut document = bson::serialize_to_document(value).map_err(|error| StoreError::Damaged {
        kind,
        id: id.to_owned(),
        message: error.to_string(),
    })?;
    text_to_dates(&mut document, times);
    Ok(document)
}

fn text_to_dates(document: &mut Document, times: &[&str]) {
    for field in times {
        if let Some(value) = document.get_mut(*field)
            && let Bson::String(text) = value
            && let Ok(at) = text.parse::<Timestamp>()
        {
            *value = date(at);
        }
    }
}

fn from_bson<T: DeserializeOwned>(
    kind: &'static str,
    mut document: Document,
    times: &[&str],
) -> Result<T, StoreError> {
    let id = doc! { "_id": document.get("_id").cloned() };
    let values = document.iter_mut().filter(|(field, _)| times.contains(&field.as_str()));
    dates_to_text(values.map(|(_, value)| value));
    bson::deserialize_from_document(document)
        .map_err(|error| damaged(kind, &id, &error.to_string()))
}

fn dates_to_text<'a>(values: impl Iterator<Item = &'a mut Bson>) {
    for value in values {
        if let Bson::DateTime(at) = value
            && let Some(at) = to_timestamp(*at)
        {
            *value = Bson::String(rfc3339(at));
        }
    }
}

fn to_timestamp(at: DateTime) -> Option<Timestamp> {
    Timestamp::from_timestamp_millis(at.timestamp_millis())
}
