//! What is different between two definitions, value by value, as normalised: formatting, key order and
//! defaults that were written out make no difference here, because they make none in a job spec.
//!
//! Triggers are matched by equality before they are compared, so that one that is inserted before others
//! is one difference. Values that look like secrets are named and never shown.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::spec::job::JobSpec;
use crate::spec::manifest::rules::environment::looks_secret;

/// What stands for a value that is not shown.
pub const SECRET: &str = "(secret)";

/// A value that is different.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldChange {
    /// JSON pointer into the job spec in canonical form; for a trigger, into the side that has it, the later
    /// one where both have.
    pub pointer: String,
    /// Before; null: it was not there.
    pub from: Value,
    /// After; null: it is not there any more.
    pub to: Value,
    /// It looks like a secret: the values are [`SECRET`].
    pub is_secret: bool,
}

/// A definition in canonical form, its secrets replaced by [`SECRET`].
pub fn shown(spec: &JobSpec) -> Value {
    hidden("", &definition(spec))
}

/// All differences between two definitions; none only when they are equal.
pub fn differences(from: &JobSpec, to: &JobSpec) -> Vec<FieldChange> {
    let (from, to) = (definition(from), definition(to));
    let mut fields = Fields::default();
    fields.compare("", "", &from, &to);
    fields.0
}

/// The canonical form is JSON by construction.
fn definition(spec: &JobSpec) -> Value {
    serde_json::from_str(&spec.canonical()).unwrap_or(Value::Null)
}

#[derive(Default)]
struct Fields(Vec<FieldChange>);

impl Fields {
    /// Compares two values; `key` is the last part of the pointer, as written.
    fn compare(&mut self, pointer: &str, key: &str, from: &Value, to: &Value) {
        if from == to {
            return;
        }
        match (from, to) {
            (Value::Object(from), Value::Object(to)) => self.objects(pointer, from, to),
            (Value::Array(from), Value::Array(to)) if pointer == TRIGGERS => {
                self.triggers(from, to);
            }
            (Value::Array(from), Value::Array(to)) if from.len() == to.len() => {
                for (index, (from, to)) in from.iter().zip(to).enumerate() {
                    self.compare(&format!("{pointer}/{index}"), key, from, to);
                }
            }
            (from, to) => self.put(pointer, key, from, to),
        }
    }

    fn objects(&mut self, pointer: &str, from: &Map<String, Value>, to: &Map<String, Value>) {
        let keys: BTreeSet<&String> = from.keys().chain(to.keys()).collect();
        for key in keys {
            let escaped = key.replace('~', "~0").replace('/', "~1");
            let (from, to) = (from.get(key), to.get(key));
            let pointer = format!("{pointer}/{escaped}");
            self.compare(&pointer, key, from.unwrap_or(&Value::Null), to.unwrap_or(&Value::Null));
        }
    }

    /// Triggers that both have are left out; the others are compared in pairs of one kind, in order; what
    /// has no partner came or went. Where only the order differs, that is the difference: the first of
    /// two that are due together decides (A1).
    fn triggers(&mut self, from: &[Value], to: &[Value]) {
        let (gone, new) = unmatched(from, to);
        if gone.is_empty() && new.is_empty() {
            let (from, to) = (Value::Array(from.to_vec()), Value::Array(to.to_vec()));
            return self.put(TRIGGERS, "", &from, &to);
        }
        let mut new: Vec<usize> = new;
        for index in gone {
            let Some(old) = from.get(index) else { continue };
            let partner = new.iter().position(|at| to.get(*at).map(kind) == Some(kind(old)));
            match partner.map(|partner| new.remove(partner)) {
                Some(at) => {
                    let now = to.get(at).unwrap_or(&Value::Null);
                    self.compare(&format!("{TRIGGERS}/{at}"), "", old, now);
                }
                None => self.put(&format!("{TRIGGERS}/{index}"), "", old, &Value::Null),
            }
        }
        for at in new {
            let now = to.get(at).unwrap_or(&Value::Null);
            self.put(&format!("{TRIGGERS}/{at}"), "", &Value::Null, now);
        }
    }

    fn put(&mut self, pointer: &str, key: &str, from: &Value, to: &Value) {
        let is_secret = is_secret(key, from) || is_secret(key, to);
        let shown = |value: &Value| {
            let hides = is_secret && !value.is_null();
            if hides { Value::String(SECRET.to_owned()) } else { value.clone() }
        };
        let (from, to) = (shown(from), shown(to));
        self.0.push(FieldChange { pointer: pointer.to_owned(), from, to, is_secret });
    }
}

/// Where the triggers stand.
const TRIGGERS: &str = "/triggers";

/// The indices of those that only one side has; equal ones are taken in order, each once.
fn unmatched(from: &[Value], to: &[Value]) -> (Vec<usize>, Vec<usize>) {
    let mut new: Vec<usize> = (0..to.len()).collect();
    let mut gone = Vec::new();
    for (index, old) in from.iter().enumerate() {
        match new.iter().position(|at| to.get(*at) == Some(old)) {
            Some(partner) => {
                new.remove(partner);
            }
            None => gone.push(index),
        }
    }
    (gone, new)
}

/// The kind of a trigger: the key that says when.
fn kind(trigger: &Value) -> Option<&'static str> {
    ["cron", "interval", "date"].into_iter().find(|key| trigger.get(key).is_some())
}

/// Whether a value, or a part of it, looks like a secret.
fn is_secret(key: &str, value: &Value) -> bool {
    match value {
        Value::String(text) => looks_secret(key, text),
        Value::Array(values) => values.iter().any(|value| is_secret(key, value)),
        Value::Object(values) => values.iter().any(|(key, value)| is_secret(key, value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// A value without its secrets.
fn hidden(key: &str, value: &Value) -> Value {
    match value {
        Value::Object(values) => {
            values.iter().map(|(key, value)| (key.clone(), hidden(key, value))).collect()
        }
        Value::Array(values) => values.iter().map(|value| hidden(key, value)).collect(),
        Value::String(text) if looks_secret(key, text) => Value::String(SECRET.to_owned()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}
