//! Calls as JSON: how they are kept.

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
