//! Kinds of parameters: which values one takes.

use chrono::{Days, NaiveDate};
use regex::Regex;
use serde_json::{Map, Value, json};

use crate::spec::params::VALUE_BYTES_MAX;
use crate::spec::task::call::Argument;
use crate::time::{Timestamp, Zone};

/// Which values a parameter takes.
#[derive(Debug, Clone, PartialEq)]
pub enum ParamKind {
    /// A text.
    String {
        /// What it must match, somewhere in it unless the pattern has `^` and `$`.
        pattern: Option<Pattern>,
    },
    /// A whole number of 64 bits.
    Integer {
        /// The least.
        min: Option<i64>,
        /// The greatest.
        max: Option<i64>,
    },
    /// Any finite number.
    Number {
        /// The least.
        min: Option<f64>,
        /// The greatest.
        max: Option<f64>,
    },
    /// `true` or `false`.
    Boolean,
    /// A day: `2026-01-31`, or `today` or `yesterday`, counted from when the execution was due.
    Date,
    /// One of these texts.
    Choice {
        /// As written; never empty.
        options: Vec<String>,
    },
}

/// A regular expression, equal to another by its text.
#[derive(Debug, Clone)]
pub struct Pattern(Regex);

impl Pattern {
    /// Reads a pattern; the error says why it is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        Regex::new(text).map(Self).map_err(|error| {
            // The last line says what is wrong, those before it where.
            let text = error.to_string();
            let last = text.lines().last().unwrap_or_default();
            last.trim_start_matches("error: ").to_owned()
        })
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

/// What is wrong with a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Misvalue {
    /// Not of its kind; what is.
    #[error("is not {0}")]
    Kind(&'static str),
    /// Below the least.
    #[error("is less than {0}")]
    Less(String),
    /// Above the greatest.
    #[error("is more than {0}")]
    More(String),
    /// Not one of the options.
    #[error("is not one of {0}")]
    NoOption(String),
    /// Not as its pattern asks.
    #[error("does not match `{0}`")]
    Mismatch(String),
    /// Longer than any may be.
    #[error("is longer than {VALUE_BYTES_MAX} bytes")]
    Long,
    /// A zero byte, which no variable can hold.
    #[error("holds a zero byte")]
    Nul,
}

impl ParamKind {
    /// The word of manifests.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::String { .. } => "string",
            Self::Integer { .. } => "integer",
            Self::Number { .. } => "number",
            Self::Boolean => "boolean",
            Self::Date => "date",
            Self::Choice { .. } => "choice",
        }
    }

    /// What is expected, in words.
    fn expected(&self) -> &'static str {
        match self {
            Self::String { .. } => "a text",
            Self::Integer { .. } => "a whole number of 64 bits",
            Self::Number { .. } => "a number",
            Self::Boolean => "`true` or `false`",
            Self::Date => "a day as in `2026-01-31`, `today` or `yesterday`",
            Self::Choice { .. } => "one of its options",
        }
    }

    /// The text of a value of this kind. A number or boolean may also be given as text, as command lines have it.
    pub fn check(&self, value: &Value) -> Result<String, Misvalue> {
        let wrong = || Misvalue::Kind(self.expected());
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Bool(_) | Value::Number(_) => value.to_string(),
            Value::Null | Value::Array(_) | Value::Object(_) => return Err(wrong()),
        };
        if text.len() > VALUE_BYTES_MAX {
            return Err(Misvalue::Long);
        }
        match self {
            Self::String { .. } | Self::Choice { .. } if !value.is_string() => Err(wrong()),
            Self::String { pattern } => match pattern {
                Some(Pattern(regex)) if !regex.is_match(&text) => {
                    Err(Misvalue::Mismatch(regex.as_str().to_owned()))
                }
                Some(_) | None if text.contains('\0') => Err(Misvalue::Nul),
                Some(_) | None => Ok(text),
            },
            Self::Integer { min, max } => {
                let number: i64 = text.parse().map_err(|_| wrong())?;
                within(&number, min.as_ref(), max.as_ref())?;
                Ok(number.to_string())
            }
            Self::Number { min, max } => {
                let number: f64 = text.parse().map_err(|_| wrong())?;
                if !number.is_finite() {
                    return Err(wrong());
                }
                within(&number, min.as_ref(), max.as_ref())?;
                Ok(number.to_string())
            }
            Self::Boolean => text.parse::<bool>().map(|_| text).map_err(|_| wrong()),
            Self::Date => match text.as_str() {
                TODAY | YESTERDAY => Ok(text),
                _ => day(&text).map(|day| day.to_string()).ok_or_else(wrong),
            },
            Self::Choice { options } if options.contains(&text) => Ok(text),
            Self::Choice { options } => {
                let options: Vec<String> = options.iter().map(|one| format!("`{one}`")).collect();
                Err(Misvalue::NoOption(options.join(", ")))
            }
        }
    }

    /// The text of a checked value for an execution that was due at `at`: a day that is named has its date.
    pub(super) fn resolve(&self, text: &str, at: Timestamp, zone: &Zone) -> String {
        let back = match (self, text) {
            (Self::Date, TODAY) => 0,
            (Self::Date, YESTERDAY) => 1,
            _ => return text.to_owned(),
        };
        let today = zone.local(at).date();
        today.checked_sub_days(Days::new(back)).unwrap_or(today).to_string()
    }

    /// A checked value as JSON.
    pub(super) fn value_of(&self, text: &str) -> Value {
        let read = || match self {
            Self::Integer { .. } => text.parse::<i64>().ok().map(Value::from),
            Self::Number { .. } => text.parse::<f64>().ok().map(Value::from),
            Self::Boolean => text.parse::<bool>().ok().map(Value::from),
            Self::String { .. } | Self::Date | Self::Choice { .. } => None,
        };
        read().unwrap_or_else(|| json!(text))
    }

    /// A checked value as the argument of a call.
    pub fn argument_of(&self, text: &str) -> Argument {
        let read = || match self {
            Self::Integer { .. } => text.parse().ok().map(Argument::Integer),
            Self::Number { .. } => text.parse().ok().map(Argument::Float),
            Self::Boolean => text.parse().ok().map(Argument::Bool),
            Self::String { .. } | Self::Date | Self::Choice { .. } => None,
        };
        read().unwrap_or_else(|| Argument::Text(text.to_owned()))
    }

    /// The text of some value of this kind, to see whether it would be taken.
    pub fn example(&self) -> String {
        match self {
            Self::String { .. } => "text".to_owned(),
            Self::Integer { min, max } => min.or(*max).unwrap_or(0).to_string(),
            Self::Number { min, max } => min.or(*max).unwrap_or(0.0).to_string(),
            Self::Boolean => "true".to_owned(),
            Self::Date => "2026-01-31".to_owned(),
            Self::Choice { options } => options.first().cloned().unwrap_or_default(),
        }
    }

    pub(super) fn say_bounds(&self, map: &mut Map<String, Value>) {
        let mut put = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                map.insert(key.to_owned(), value);
            }
        };
        match self {
            Self::String { pattern } => {
                put("pattern", pattern.as_ref().map(|Pattern(regex)| json!(regex.as_str())));
            }
            Self::Integer { min, max } => {
                put("min", min.map(Value::from));
                put("max", max.map(Value::from));
            }
            Self::Number { min, max } => {
                put("min", min.map(Value::from));
                put("max", max.map(Value::from));
            }
            Self::Choice { options } => put("options", Some(json!(options))),
            Self::Boolean | Self::Date => {}
        }
    }
}

const TODAY: &str = "today";
const YESTERDAY: &str = "yesterday";

/// A day, written in full.
fn day(text: &str) -> Option<NaiveDate> {
    let day: NaiveDate = text.parse().ok()?;
    (day.to_string() == text).then_some(day)
}

fn within<N: PartialOrd + std::fmt::Display>(
    number: &N,
    min: Option<&N>,
    max: Option<&N>,
) -> Result<(), Misvalue> {
    match (min, max) {
        (Some(min), _) if number < min => Err(Misvalue::Less(min.to_string())),
        (_, Some(max)) if number > max => Err(Misvalue::More(max.to_string())),
        (Some(_) | None, Some(_) | None) => Ok(()),
    }
}
