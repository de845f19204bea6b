//! What happens, as events of `CloudEvents` 1.0 in their JSON form.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::engine::execution::{Cause, Exception, ExecutionId, Outcome};
use crate::engine::lifecycle::{Execution, LifecycleEvent, Uncovered};
use crate::io::http::documents::At;
use crate::io::http::feed::EventId;
use crate::spec::job::JobName;
use crate::time::Timestamp;

/// The largest result that an event tells, in bytes; a larger one is in the row.
const RESULT_BYTES_MAX: usize = 4096;
/// How much an event tells of an exception's sentence, in bytes; the row has all of it.
const MESSAGE_BYTES_MAX: usize = 1024;
/// The version of the specification.
const SPECVERSION: &str = "1.0";
/// What every type begins with.
pub const TYPE_PREFIX: &str = "dev.cronwright.";
/// What every type ends with.
pub const TYPE_VERSION: &str = ".v1";

/// An event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventDocument {
    /// `1.0`.
    pub specversion: String,
    /// Its place among all of this daemon.
    pub id: String,
    /// Which daemon: `cronwright://NODE`.
    pub source: String,
    /// What happened: `dev.cronwright.execution.finished.v1`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The execution that it is about, else the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// When it was told, which is after it was written.
    pub time: At,
    /// `application/json`.
    pub datacontenttype: String,
    /// What else there is to know.
    pub data: EventData,
}

/// What an event is about. Only what its type has is there.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct EventData {
    /// The job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// The name that it had before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The execution, or the row of occurrences that did not run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub execution_id: Option<String>,
    /// Why it exists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// When it was due.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fire_time: Option<At>,
    /// The attempt, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// When the attempt began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<At>,
    /// How it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// Why it ended so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When the next attempt begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<At>,
    /// What it returned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exception: Option<EventException>,
    /// The first of several fire times.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<At>,
    /// The last of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<At>,
    /// How many they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// The id of the last event before a gap.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// How many events the gap has, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lost: Option<u64>,
}

/// What went wrong, without its traceback.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventException {
    /// Kind of error.
    #[serde(rename = "type")]
    pub kind: String,
    /// One sentence, or its beginning.
    pub message: String,
}

impl EventDocument {
    /// What happened on a node, told at this time.
    pub fn of(event: &LifecycleEvent, id: EventId, node: &str, at: Timestamp) -> Self {
        let (word, data) = meaning(event);
        let subject = data.execution_id.clone().or_else(|| data.job.clone());
        Self { subject, ..Self::new(word, id, &format!("cronwright://{node}"), at, data) }
    }

    /// That whoever reads has missed events.
    pub fn gap(after: EventId, until: EventId, lost: Option<u64>, at: Timestamp) -> Self {
        let data = EventData { after: Some(after.to_string()), lost, ..EventData::default() };
        // The id is the place of the last that was lost; the source is another one, so that both are one of a kind.
        Self::new("events.gap", until, "cronwright:events", at, data)
    }

    fn new(word: &str, id: EventId, source: &str, at: Timestamp, data: EventData) -> Self {
        Self {
            specversion: SPECVERSION.to_owned(),
            id: id.to_string(),
            source: source.to_owned(),
            kind: format!("{TYPE_PREFIX}{word}{TYPE_VERSION}"),
            subject: None,
            time: at.fixed_offset(),
            datacontenttype: "application/json".to_owned(),
            data,
        }
    }

    /// The type without what all types share: `execution.finished`.
    pub fn word(&self) -> &str {
        let word = self.kind.strip_prefix(TYPE_PREFIX).unwrap_or(&self.kind);
        word.strip_suffix(TYPE_VERSION).unwrap_or(word)
    }

    /// One line of JSON.
    pub fn line(&self) -> String {
        // It holds texts, numbers and values of JSON: nothing that JSON cannot say.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// The word of an event, and what there is to know.
fn meaning(event: &LifecycleEvent) -> (&'static str, EventData) {
    match event {
        LifecycleEvent::DaemonStarted => ("daemon.started", EventData::default()),
        LifecycleEvent::DaemonStopping => ("daemon.stopping", EventData::default()),
        LifecycleEvent::JobAdded(job) => ("job.added", of_job(job)),
        LifecycleEvent::JobChanged(job) => ("job.changed", of_job(job)),
        LifecycleEvent::JobRenamed { job, from } => {
            ("job.renamed", EventData { from: Some(from.to_string()), ..of_job(job) })
        }
        LifecycleEvent::JobRemoved(job) => ("job.removed", of_job(job)),
        LifecycleEvent::JobPaused(job) => ("job.paused", of_job(job)),
        LifecycleEvent::JobResumed(job) => ("job.resumed", of_job(job)),
        LifecycleEvent::ExecutionQueued(execution) => ("execution.queued", of(execution)),
        LifecycleEvent::ExecutionStarted { execution, at } => {
            let started_at = Some(at.fixed_offset());
            ("execution.started", EventData { started_at, ..of(execution) })
        }
        LifecycleEvent::AttemptFailed { execution, outcome, next_at } => {
            let retry_at = Some(next_at.fixed_offset());
            ("execution.attempt_failed", EventData { retry_at, ..ended(of(execution), *outcome) })
        }
        LifecycleEvent::ExecutionFinished { execution, outcome, result, exception } => {
            let word =
                if *outcome == Outcome::Lost { "execution.lost" } else { "execution.finished" };
            let result = result.as_deref().and_then(small_result);
            let exception = exception.as_ref().map(shortened);
            (word, EventData { result, exception, ..ended(of(execution), *outcome) })
        }
        LifecycleEvent::OccurrencesSkipped(uncovered) => ("execution.skipped", not_run(uncovered)),
        LifecycleEvent::OccurrencesMissed(uncovered) => ("execution.missed", not_run(uncovered)),
    }
}

fn of_job(job: &JobName) -> EventData {
    EventData { job: Some(job.to_string()), ..EventData::default() }
}

fn of(execution: &Execution) -> EventData {
    let Execution { id, job, cause, fire_time, attempt } = execution;
    let cause: &Cause = cause;
    EventData {
        cause: Some(cause.as_str().to_owned()),
        attempt: Some(*attempt),
        ..due(id, job, *fire_time)
    }
}

fn not_run(uncovered: &Uncovered) -> EventData {
    let Uncovered { id, job, fire_time, range, outcome } = uncovered;
    EventData {
        first: range.map(|range| range.first.fixed_offset()),
        last: range.map(|range| range.last.fixed_offset()),
        count: Some(range.map_or(1, |range| range.count)),
        ..ended(due(id, job, *fire_time), *outcome)
    }
}

fn due(id: &ExecutionId, job: &JobName, fire_time: Timestamp) -> EventData {
    EventData {
        execution_id: Some(id.as_str().to_owned()),
        fire_time: Some(fire_time.fixed_offset()),
        ..of_job(job)
    }
}

fn ended(data: EventData, outcome: Outcome) -> EventData {
    let reason = outcome.reason().map(str::to_owned);
    EventData { outcome: Some(outcome.as_str().to_owned()), reason, ..data }
}

fn small_result(text: &str) -> Option<Value> {
    serde_json::from_str(Some(text).filter(|text| text.len() <= RESULT_BYTES_MAX)?).ok()
}

fn shortened(exception: &Exception) -> EventException {
    let Exception { kind, message, .. } = exception;
    let end = message.floor_char_boundary(MESSAGE_BYTES_MAX);
    EventException { kind: kind.clone(), message: message[..end].to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::execution::{Failed, Range, Skipped};

    fn job(name: &str) -> JobName {
        JobName::parse(name).unwrap()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn line(event: &LifecycleEvent) -> String {
        let id = EventId { began_ms: 1_763_900_000_000, number: 7 };
        EventDocument::of(event, id, "host-1", at("2026-11-22T18:30:01Z")).line()
    }

    fn execution() -> Execution {
        Execution {
            id: ExecutionId("etl-1@2026-11-22T18:30:00Z".into()),
            job: job("etl"),
            cause: Cause::Trigger,
            fire_time: at("2026-11-22T18:30:00Z"),
            attempt: 2,
        }
    }

    #[test]
    fn an_event_says_what_it_is_about_and_leaves_out_the_rest() {
        assert_eq!(
            line(&LifecycleEvent::JobRenamed { job: job("etl"), from: job("old") }),
            r#"{"specversion":"1.0","id":"1763900000000-7","source":"cronwright://host-1","type":"dev.cronwright.job.renamed.v1","subject":"etl","time":"2026-11-22T18:30:01Z","datacontenttype":"application/json","data":{"job":"etl","from":"old"}}"#
        );
        let finished = LifecycleEvent::ExecutionFinished {
            execution: execution(),
            outcome: Outcome::Failed(Failed::Exception),
            result: Some("{\"rows\": 3}".to_owned()),
            exception: Some(Exception {
                kind: "ValueError".to_owned(),
                message: "é".repeat(MESSAGE_BYTES_MAX),
                traceback: Some("long".to_owned()),
            }),
        };
        let told: EventDocument = serde_json::from_str(&line(&finished)).unwrap();
        assert_eq!(told.word(), "execution.finished");
        assert_eq!(told.subject.as_deref(), Some("etl-1@2026-11-22T18:30:00Z"));
        let data = told.data;
        assert_eq!(data.result, Some(serde_json::json!({ "rows": 3 })));
        assert_eq!(
            (data.outcome.as_deref(), data.reason.as_deref()),
            (Some("failed"), Some("exception"))
        );
        assert_eq!(data.exception.unwrap().message.len(), MESSAGE_BYTES_MAX);
    }

    #[test]
    fn occurrences_that_did_not_run_are_one_event_with_their_number() {
        let (first, last) = (at("2026-11-22T18:30:00Z"), at("2026-11-22T18:34:00Z"));
        let skipped = LifecycleEvent::OccurrencesSkipped(Uncovered {
            id: ExecutionId("x".into()),
            job: job("etl"),
            fire_time: first,
            range: Some(Range { first, last, count: 5 }),
            outcome: Outcome::Skipped(Skipped::Overlap),
        });
        let told: EventDocument = serde_json::from_str(&line(&skipped)).unwrap();
        assert_eq!((told.word(), told.data.count), ("execution.skipped", Some(5)));
        assert_eq!(told.data.reason.as_deref(), Some("overlap"));
    }

    #[test]
    fn a_result_that_is_too_large_stays_in_the_row() {
        assert_eq!(small_result(&format!("\"{}\"", "x".repeat(RESULT_BYTES_MAX))), None);
        assert!(small_result(&format!("\"{}\"", "x".repeat(RESULT_BYTES_MAX - 2))).is_some());
    }
}
