//! A row of kinit's page of records: its field names, its formats, its local times.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::engine::execution::ExecutionId;
use crate::time::{Timestamp, Zone};

/// How kinit writes a local time.
pub(super) const LOCAL: &str = "%Y-%m-%d %H:%M:%S";

/// What its page shows in the place of a result when a task could not be added.
const NOT_ADDED: &str = "任务添加失败";

/// A row, as it is stored. Who inserts it adds the two dates of [`stored_date`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Record {
    /// kinit's id of the task.
    pub job_id: String,
    /// What the task said when it ran.
    #[serde(flatten)]
    pub said: Said,
    /// The real start, not the time that it was due.
    pub start_time: String,
    /// The end.
    pub end_time: String,
    /// Seconds between them.
    pub process_time: f64,
    /// The result: JSON text always, since the page parses it.
    pub retval: String,
    /// What went wrong, as JSON text.
    pub exception: String,
    /// Where, as JSON text.
    pub traceback: String,
}

/// The identity of a record, which has the form of MongoDB's own: seconds, and what tells it from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordId(pub [u8; 12]);

impl RecordId {
    /// The record of an execution, or of occurrences that were not run: always the same, so that it is there once.
    pub fn of_execution(id: &ExecutionId, ended_at: Timestamp) -> Self {
        Self::made_of(u32::try_from(ended_at.timestamp()).unwrap_or_default(), &[id.as_str()])
    }

    /// The record of a refusal; with the same moment and reason the same.
    pub fn of_refusal(job_id: &str, reason: &str, at: Option<Timestamp>) -> Self {
        let millis = at.map_or(0, |at| at.timestamp_millis());
        let seconds = at.map_or(0, |at| u32::try_from(at.timestamp()).unwrap_or_default());
        Self::made_of(seconds, &[job_id, reason, &millis.to_string()])
    }

    fn made_of(seconds: u32, what: &[&str]) -> Self {
        let digest = blake3::hash(what.join("\n").as_bytes());
        let mut id = [0; 12];
        id[..4].copy_from_slice(&seconds.to_be_bytes());
        id[4..].copy_from_slice(&digest.as_bytes()[..8]);
        Self(id)
    }
}

/// The fields of a task that a record repeats; null where its definition is gone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Said {
    /// The call, as kinit has it.
    pub job_class: Option<String>,
    /// What people call the task.
    pub name: Option<String>,
    /// Its group.
    pub group: Option<String>,
    /// Its strategy.
    pub exec_strategy: Option<String>,
    /// Its expression.
    pub expression: Option<String>,
}

impl Said {
    /// Reads them from a stored definition; what is no text counts as not there.
    pub fn read(definition: &Map<String, Value>) -> Self {
        let text = |key: &str| definition.get(key).and_then(Value::as_str).map(str::to_owned);
        Self {
            job_class: text("job_class"),
            name: text("name"),
            group: text("group"),
            exec_strategy: text("exec_strategy"),
            expression: text("expression"),
        }
    }
}

/// How an execution went, in our words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ran<'a> {
    /// When it started; for what never ran, when that was decided.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// The result, as JSON text.
    pub result: Option<&'a str>,
    /// Why it is no success, or did not run.
    pub exception: Option<&'a str>,
    /// Where in the task.
    pub traceback: Option<&'a str>,
}

/// The row of an execution, or of one that was missed or skipped.
pub fn of_execution(job_id: &str, said: Said, ran: Ran<'_>, zone: &Zone) -> Record {
    let took = (ran.ended_at - ran.started_at).max(chrono::TimeDelta::zero());
    Record {
        job_id: job_id.to_owned(),
        said,
        start_time: local(ran.started_at, zone),
        end_time: local(ran.ended_at, zone),
        process_time: took.to_std().unwrap_or_default().as_secs_f64(),
        retval: json_text(ran.result),
        exception: text_as_json(ran.exception),
        traceback: text_as_json(ran.traceback),
    }
}

/// The row of a task that could not be added, where kinit looks for the reason.
pub fn of_refusal(job_id: &str, said: Said, reason: &str, now: Timestamp, zone: &Zone) -> Record {
    let ran = Ran {
        started_at: now,
        ended_at: now,
        result: None,
        exception: Some(reason),
        traceback: None,
    };
    let retval = text_as_json(Some(NOT_ADDED));
    Record { retval, ..of_execution(job_id, said, ran, zone) }
}

/// When something is due, as the document of an active task has it.
pub fn due_at(at: Timestamp, zone: &Zone) -> String {
    local(at, zone)
}

/// `create_datetime` and `update_datetime`: what clocks of the zone show, stored as if it were UTC.
pub fn stored_date(now: Timestamp, zone: &Zone) -> Timestamp {
    zone.local(now).and_utc()
}

fn local(at: Timestamp, zone: &Zone) -> String {
    zone.local(at).format(LOCAL).to_string()
}

/// A result as it is; one that is no JSON after all becomes a JSON text.
fn json_text(result: Option<&str>) -> String {
    match result {
        Some(json) if serde_json::from_str::<serde::de::IgnoredAny>(json).is_ok() => {
            json.to_owned()
        }
        text => text_as_json(text),
    }
}

fn text_as_json(text: Option<&str>) -> String {
    text.map_or(Value::Null, Value::from).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shanghai() -> Zone {
        Zone::load("Asia/Shanghai").unwrap()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn ran<'a>(result: Option<&'a str>, exception: Option<&'a str>) -> Ran<'a> {
        let (started_at, ended_at) = (at("2026-03-01T20:00:00Z"), at("2026-03-01T20:00:01.5Z"));
        Ran { started_at, ended_at, result, exception, traceback: None }
    }

    #[test]
    fn a_record_has_the_fields_and_formats_that_the_page_reads() {
        let definition = serde_json::json!({ "job_class": "test.main.Test", "name": "demo",
            "group": "g", "exec_strategy": "cron", "expression": "0 0 12 ? * WED", "remark": 1 });
        let said = Said::read(definition.as_object().unwrap());
        let record = of_execution("64a3", said, ran(Some("{\"n\":1}"), None), &shanghai());
        let expected = serde_json::json!({
            "job_id": "64a3", "job_class": "test.main.Test", "name": "demo", "group": "g",
            "exec_strategy": "cron", "expression": "0 0 12 ? * WED",
            "start_time": "2026-03-02 04:00:00", "end_time": "2026-03-02 04:00:01",
            "process_time": 1.5, "retval": "{\"n\":1}", "exception": "null", "traceback": "null",
        });
        assert_eq!(serde_json::to_value(record).unwrap(), expected);
    }

    #[test]
    fn the_page_can_parse_every_result() {
        let failed = of_execution("1", Said::default(), ran(None, Some("no \"x\"")), &shanghai());
        assert_eq!((failed.retval.as_str(), failed.exception.as_str()), ("null", r#""no \"x\"""#));
        let text = of_execution("1", Said::default(), ran(Some("not json"), None), &shanghai());
        assert_eq!(text.retval, "\"not json\"");
        let refused =
            of_refusal("1", Said::default(), "why", at("2026-03-01T20:00:00Z"), &shanghai());
        assert_eq!(serde_json::from_str::<String>(&refused.retval).unwrap(), NOT_ADDED);
        assert_eq!(refused.exception, "\"why\"");
        assert!(refused.process_time.abs() < f64::EPSILON);
    }

    #[test]
    fn a_clock_that_went_back_gives_no_negative_time() {
        let (started_at, ended_at) = (at("2026-03-01T20:00:01Z"), at("2026-03-01T20:00:00Z"));
        let ran = Ran { started_at, ended_at, ..ran(None, None) };
        let record = of_execution("1", Said::default(), ran, &shanghai());
        assert!(record.process_time.abs() < f64::EPSILON);
    }

    #[test]
    fn dates_are_local_times_that_pass_for_utc() {
        assert_eq!(
            stored_date(at("2026-03-01T20:00:00Z"), &shanghai()),
            at("2026-03-02T04:00:00Z")
        );
    }
}
