//! Calls and their arguments as JSON: how their parts are written in manifests, and kept.

use serde_json::{Value, json};

use crate::spec::task::call::{Argument, Call, Runtime};

impl Call {
    /// The call as a text, or as its parts where they say more. Parts have no number that JSON has not: that
    /// is how they came here.
    pub fn said(&self, runtime: Option<Runtime>) -> Value {
        let Some(runtime) = runtime else { return json!(self.to_string()) };
        json!({
            "args": self.args.iter().map(Argument::json).collect::<Vec<_>>(),
            "kwargs": fields(&self.kwargs),
            "path": self.path,
            "runtime": runtime.as_str(),
        })
    }
}

impl Argument {
    /// The argument that a JSON value stands for.
    pub fn of_json(value: &Value) -> Self {
        match value {
            Value::Null => Self::None,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(number) => match number.as_i128() {
                Some(number) => Self::Integer(number),
                // A number of JSON is one or the other.
                None => Self::Float(number.as_f64().unwrap_or_default()),
            },
            Value::String(text) => Self::Text(text.clone()),
            Value::Array(items) => Self::List(items.iter().map(Self::of_json).collect()),
            Value::Object(fields) => {
                let field = |(name, value): (&String, &Value)| (name.clone(), Self::of_json(value));
                Self::Map(fields.iter().map(field).collect())
            }
        }
    }

    fn json(&self) -> Value {
        match self {
            Self::None => Value::Null,
            Self::Bool(value) => json!(value),
            Self::Integer(number) => json!(number),
            Self::Float(number) => json!(number),
            Self::Text(text) => json!(text),
            Self::List(items) => items.iter().map(Self::json).collect(),
            Self::Map(entries) => fields(entries),
        }
    }
}

fn fields(named: &[(String, Argument)]) -> Value {
    named.iter().map(|(name, value)| (name.clone(), value.json())).collect()
}
