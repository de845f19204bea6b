//! A job declared in code: the same keys as in a manifest.

use serde_json::{Map, Value, json};

/// A job. What it says is checked as a manifest is, when it is added.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    name: String,
    keys: Map<String, Value>,
}

impl Job {
    /// A job that is only run on request, until it is given a trigger. It needs a task.
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), keys: Map::new() }
    }

    /// Sets a key of the job, as in a manifest: `set("retry", json!({ "limit": 3, "delay": "5s" }))`.
    #[must_use]
    pub fn set(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.keys.insert(key.to_owned(), value.into());
        self
    }

    /// When it is due: a cron expression.
    #[must_use]
    pub fn cron(self, expression: &str) -> Self {
        self.set("cron", expression)
    }

    /// When it is due: every so often, `"90s"`.
    #[must_use]
    pub fn interval(self, period: &str) -> Self {
        self.set("interval", period)
    }

    /// When it is due: once, `"2026-03-01T09:00:00"`.
    #[must_use]
    pub fn date(self, at: &str) -> Self {
        self.set("date", at)
    }

    /// The time zone of its triggers: an IANA name.
    #[must_use]
    pub fn timezone(self, zone: &str) -> Self {
        self.set("timezone", zone)
    }

    /// What it does: a class with its arguments, `"greet.Hello(\"world\")"`.
    #[must_use]
    pub fn class(self, call: &str) -> Self {
        self.set("class", call)
    }

    /// What it does: a program with its arguments, without a shell.
    #[must_use]
    pub fn command<S: AsRef<str>>(self, argv: impl IntoIterator<Item = S>) -> Self {
        let argv: Vec<Value> = argv.into_iter().map(|argument| argument.as_ref().into()).collect();
        self.set("command", argv)
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The manifest that declares it.
    pub(super) fn manifest(&self) -> String {
        let mut keys = self.keys.clone();
        if !["cron", "interval", "date", "triggers"].iter().any(|key| keys.contains_key(*key)) {
            keys.insert("triggers".to_owned(), json!([]));
        }
        let jobs = Map::from_iter([(self.name.clone(), Value::Object(keys))]);
        json!({ "jobs": jobs }).to_string()
    }
}
