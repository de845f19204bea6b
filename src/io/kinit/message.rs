//! A message of the channel: one operation with its task.

use serde_json::{Map, Value};

use crate::io::kinit::job::Task;
use crate::time::quoted;

/// The largest message that is read. kinit's own stay below a few KB.
pub const MESSAGE_BYTES_MAX: usize = 256 << 10;

/// The only operation that kinit publishes.
const ADD: &str = "add_job";

/// Why a message, or a stored definition, is not taken. Nothing was changed by it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Refused {
    /// The task that it is about, as kinit names it; none: it does not say, and there is nowhere to record it.
    pub id: Option<String>,
    /// What is wrong, for the log and the record.
    pub reason: String,
}

impl Refused {
    /// A refusal that is about no task.
    fn nameless(reason: impl Into<String>) -> Self {
        Self { id: None, reason: reason.into() }
    }

    /// The same, about this task.
    fn about(self, id: Option<String>) -> Self {
        Self { id: self.id.or(id), ..self }
    }
}

/// Reads a message: the task that it adds. Any bytes at all may come.
///
/// # Errors
///
/// When it is no message, or one that cannot be carried out.
pub fn read(message: &[u8]) -> Result<Task, Refused> {
    if message.len() > MESSAGE_BYTES_MAX {
        let reason = format!("it has {} bytes, and {MESSAGE_BYTES_MAX} are read", message.len());
        return Err(Refused::nameless(reason));
    }
    let message: Value = serde_json::from_slice(message)
        .map_err(|error| Refused::nameless(format!("it is no JSON: {error}")))?;
    let message = map_of(&message, "the message")?;
    let task = message.get("task").and_then(Value::as_object);
    let params = task.and_then(|task| task.get("job_params")).and_then(Value::as_object);
    let id = params.and_then(|params| params.get("name")).and_then(Value::as_str);
    let id = id.map(str::to_owned);
    checked(message).map_err(|refused| refused.about(id))
}

fn checked(message: &Map<String, Value>) -> Result<Task, Refused> {
    match message.get("operation") {
        Some(Value::String(operation)) if operation == ADD => {}
        Some(Value::String(other)) => {
            let reason = format!("the operation `{}` is not known, only `{ADD}`", quoted(other));
            return Err(Refused::nameless(reason));
        }
        Some(_) => return Err(Refused::nameless("`operation` is no text")),
        None => return Err(Refused::nameless("`operation` is missing")),
    }
    let task = map_of(message.get("task").unwrap_or(&Value::Null), "`task`")?;
    let params = map_of(task.get("job_params").unwrap_or(&Value::Null), "`job_params`")?;
    let id = text_of(params, "name")?
        .ok_or_else(|| Refused::nameless("`name`, the number of the task, is missing"))?;
    let strategy = text_of(task, "exec_strategy")?;
    Task::read(id, strategy, params)
}

/// A map, or the refusal that says what should be one.
fn map_of<'a>(value: &'a Value, what: &str) -> Result<&'a Map<String, Value>, Refused> {
    value.as_object().ok_or_else(|| Refused::nameless(format!("{what} is missing or no object")))
}

/// A text; null, missing and empty are all "not given", as kinit's forms send them.
pub(super) fn text_of<'a>(
    fields: &'a Map<String, Value>,
    key: &str,
) -> Result<Option<&'a str>, Refused> {
    match fields.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.trim()).filter(|text| !text.is_empty())),
        Some(Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            Err(Refused::nameless(format!("`{key}` is no text")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::kinit::job::When;

    const ID: &str = "64a3c1f0e4b0a1b2c3d4e5f6";

    fn add(strategy: &str, params: &str) -> Result<Task, Refused> {
        let message = format!(
            r#"{{"operation":"add_job","task":{{"exec_strategy":"{strategy}",
            "job_params":{{"name":"{ID}","job_class":"test.main.Test(\"kinit\", 1314, True)"{params}}}}}}}"#
        );
        read(message.as_bytes())
    }

    #[test]
    fn each_strategy_is_read_as_kinit_publishes_it() {
        let bounds = r#","start_date":"2026-01-01 00:00:00","end_date":null"#;
        let interval = add("interval", &format!(r#","expression":"10 * * * *"{bounds}"#)).unwrap();
        assert_eq!(interval.id.as_str(), ID);
        assert_eq!(interval.class, r#"test.main.Test("kinit", 1314, True)"#);
        assert_eq!(interval.when, When::Interval { seconds: 10 });
        assert_eq!(interval.start_date.as_deref(), Some("2026-01-01 00:00:00"));
        assert_eq!(interval.end_date, None);
        let cron = add("cron", r#","expression":"0 15 10 ? * 1""#).unwrap();
        assert_eq!(cron.when, When::Cron("0 15 10 ? * 1".to_owned()));
        let date = add("date", r#","expression":"2026-06-23 10:00:00""#).unwrap();
        assert_eq!(date.when, When::Date("2026-06-23 10:00:00".to_owned()));
        assert_eq!(add("once", "").unwrap().when, When::Once);
        assert_eq!(add("once", r#","expression":null"#).unwrap().when, When::Once);
    }

    #[test]
    fn garbage_is_refused_with_a_reason() {
        for (message, reason) in [
            (&b"\xff\x00\xfe"[..], "it is no JSON"),
            (b"", "it is no JSON"),
            (b"[]", "the message is missing or no object"),
            (b"{}", "`operation` is missing"),
            (br#"{"operation":7}"#, "`operation` is no text"),
            (br#"{"operation":"__init__","task":{}}"#, "`__init__` is not known"),
            (br#"{"operation":"add_job","task":[]}"#, "`task` is missing or no object"),
            (br#"{"operation":"add_job","task":{}}"#, "`job_params` is missing or no object"),
            (br#"{"operation":"add_job","task":{"job_params":{"name":1}}}"#, "`name` is no text"),
        ] {
            let refused = read(message).unwrap_err();
            assert!(refused.reason.contains(reason), "{}", refused.reason);
            assert_eq!(refused.id, None);
        }
        let nested = "[".repeat(100_000);
        assert!(read(nested.as_bytes()).unwrap_err().reason.contains("it is no JSON"));
        let long = read(&vec![b' '; MESSAGE_BYTES_MAX + 1]).unwrap_err();
        assert!(long.reason.contains("262145 bytes"), "{}", long.reason);
    }

    #[test]
    fn a_bad_addition_names_its_task_so_that_it_can_be_recorded() {
        for (strategy, params, reason) in [
            ("weekly", "", "`weekly` is no strategy"),
            ("interval", "", "needs an `expression`"),
            ("interval", r#","expression":"1 2 3""#, "has five fields"),
            ("interval", r#","expression":"* * * * *""#, "adds up to nothing"),
            ("interval", r#","expression":"-1 * * * *""#, "`-1` is no number"),
            ("interval", r#","expression":7"#, "`expression` is no text"),
            ("cron", r#","expression":"* * * * *""#, "6 or 7 fields"),
            ("cron", r#","expression":"0 0 3 * * 1","start_date":{}"#, "`start_date` is no text"),
        ] {
            let refused = add(strategy, params).unwrap_err();
            assert!(refused.reason.contains(reason), "{}", refused.reason);
            assert_eq!(refused.id.as_deref(), Some(ID));
        }
    }
}
