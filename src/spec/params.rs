//! Parameters: values that each execution of a job is given, by whoever asks for it, by its trigger, or by default.
//!
//! A value is kept as the text that the task receives in `PARAM_NAME`. Checking it against its declaration and
//! finding out what `yesterday` means are two steps: the first is done once, when it is written or asked for, the
//! second for each execution (C2: it keeps what it started with).

mod kind;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::diagnostic::suggest::nearest;
use crate::time::{Timestamp, Zone};

pub use crate::spec::params::kind::{Misvalue, ParamKind, Pattern};

/// The most parameters of one job.
pub const PARAMS_MAX: usize = 64;
/// The longest value, in bytes.
pub const VALUE_BYTES_MAX: usize = 4096;
/// The variables of a job process that hold parameters begin with this.
pub const PARAM_PREFIX: &str = "PARAM_";

/// Values by name of the parameter, as text.
pub type ParamValues = BTreeMap<String, String>;

/// The variable of a job process that holds a parameter.
pub fn variable_of(name: &str) -> String {
    format!("{PARAM_PREFIX}{}", name.to_ascii_uppercase())
}

/// A parameter as it is declared.
#[derive(Debug, Clone, PartialEq)]
pub struct Param {
    /// Which values it takes.
    pub kind: ParamKind,
    /// What becomes of an execution that is given none.
    pub absent: Absent,
    /// What it means, for people.
    pub description: Option<String>,
}

/// What becomes of an execution that is given no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Absent {
    /// It cannot be.
    Refused,
    /// This is the value.
    Default(String),
    /// It has none.
    Allowed,
}

/// The parameters of a job.
#[derive(Debug, Clone, PartialEq)]
pub struct Params {
    /// By name: `[a-z][a-z0-9_]{0,62}`.
    pub declared: BTreeMap<String, Param>,
    /// Whose days `today` and `yesterday` are when no trigger says otherwise.
    pub zone: Zone,
}

/// Why values do not fit the parameters of a job.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParamError {
    /// It has no parameter of this name.
    #[error("there is no parameter `{name}`")]
    Unknown {
        /// The name.
        name: String,
        /// One that is nearly so.
        near: Option<String>,
    },
    /// A value that it does not take.
    #[error("the parameter `{name}` {why}")]
    Misvalue {
        /// The parameter.
        name: String,
        /// What is wrong with the value.
        why: Misvalue,
    },
    /// One that must be given and is not.
    #[error("the parameter `{name}` must be given")]
    Missing {
        /// The parameter.
        name: String,
    },
}

impl Default for Params {
    fn default() -> Self {
        Self { declared: BTreeMap::new(), zone: Zone::utc() }
    }
}

impl Params {
    /// Checks values that were written or asked for. What is missing is not looked at.
    pub fn check(&self, given: &BTreeMap<String, Value>) -> Result<ParamValues, ParamError> {
        let check_one = |(name, value): (&String, &Value)| {
            let Some(param) = self.declared.get(name) else {
                let near = nearest(name, self.declared.keys().map(String::as_str));
                return Err(ParamError::Unknown {
                    name: name.clone(),
                    near: near.map(str::to_owned),
                });
            };
            match param.kind.check(value) {
                Ok(text) => Ok((name.clone(), text)),
                Err(why) => Err(ParamError::Misvalue { name: name.clone(), why }),
            }
        };
        given.iter().map(check_one).collect()
    }

    /// The first parameter that must be given and is not.
    pub fn missing(&self, given: &ParamValues) -> Option<ParamError> {
        let is_missing = |(name, param): &(&String, &Param)| {
            param.absent == Absent::Refused && !given.contains_key(*name)
        };
        let (name, _) = self.declared.iter().find(is_missing)?;
        Some(ParamError::Missing { name: name.clone() })
    }

    /// The values of an execution that was due, or asked for, at `at`: those given, then defaults; days counted
    /// in `zone`. Given values without a declaration are left out: an edit took it away.
    pub fn values(&self, given: &ParamValues, at: Timestamp, zone: &Zone) -> ParamValues {
        let value = |(name, param): (&String, &Param)| {
            let default = match &param.absent {
                Absent::Default(text) => Some(text),
                Absent::Refused | Absent::Allowed => None,
            };
            let text = given.get(name).or(default)?;
            Some((name.clone(), param.kind.resolve(text, at, zone)))
        };
        self.declared.iter().filter_map(value).collect()
    }

    /// Whether what `today` means depends on [`Self::zone`].
    pub fn counts_days(&self) -> bool {
        self.declared.values().any(|param| param.kind == ParamKind::Date)
    }

    /// As a manifest says them.
    pub fn said(&self) -> Value {
        self.declared.iter().map(|(name, param)| (name.clone(), param.said())).collect()
    }
}

impl Param {
    fn said(&self) -> Value {
        let mut map = Map::new();
        map.insert("type".to_owned(), json!(self.kind.as_str()));
        self.kind.say_bounds(&mut map);
        match &self.absent {
            Absent::Refused => None,
            Absent::Default(text) => map.insert("default".to_owned(), self.kind.value_of(text)),
            Absent::Allowed => map.insert("required".to_owned(), json!(false)),
        };
        if let Some(text) = &self.description {
            map.insert("description".to_owned(), json!(text));
        }
        Value::Object(map)
    }
}

#[cfg(test)]
mod tests;
