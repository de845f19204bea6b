//! Calls: the text of a `class` task, `reports.daily.Report("sales", 7, lang="zh")`.
//!
//! A dotted path, then arguments as Python writes them: texts in either quote, whole numbers, floats, `True`,
//! `False`, `None`, lists, maps, and arguments with a name. Nothing is dropped silently: what is not
//! understood is an error with its place. What the path leads to, and whether the arguments fit, is not
//! decided here (`signature`).

mod fill;
mod json;
mod parse;

use std::fmt::{self, Write as _};
use std::ops::Range;

pub use crate::spec::task::call::fill::Filling;

/// The longest text of a call, in bytes.
pub const CALL_BYTES_MAX: usize = 64 << 10;
/// The longest path of a class, in bytes.
pub const PATH_BYTES_MAX: usize = 255;
/// The deepest nesting of lists and maps.
pub const DEPTH_MAX: usize = 16;
/// The most values of one call.
pub const VALUES_MAX: usize = 1000;

/// Where a class is looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Runtime {
    /// Among the handlers that are compiled into the program.
    Rust,
    /// Among the classes in Python.
    Python,
}

impl Runtime {
    /// The word of manifests.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::Python => "python",
        }
    }
}

/// A class with the arguments that it is called with.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// Names with dots between them.
    pub path: String,
    /// Arguments by position.
    pub args: Vec<Argument>,
    /// Arguments by name, as written; no name twice.
    pub kwargs: Vec<(String, Argument)>,
}

/// A value in a call.
#[derive(Debug, Clone, PartialEq)]
pub enum Argument {
    /// `None`.
    None,
    /// `True` or `False`.
    Bool(bool),
    /// A whole number.
    Integer(i128),
    /// Any other number; always finite.
    Float(f64),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Argument>),
    /// A map, as written; no key twice.
    Map(Vec<(String, Argument)>),
}

/// A call and where its parts stand in the text, in bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct PlacedCall {
    /// The call.
    pub call: Call,
    /// Where the path stands.
    pub path: Range<usize>,
    /// Where each argument by position stands.
    pub args: Vec<Range<usize>>,
    /// Where each argument by name stands, its name included.
    pub kwargs: Vec<Range<usize>>,
}

/// Why a text is no call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CallError {
    /// The place in the text, in bytes.
    pub at: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// The next act, where there is one to name.
    pub help: Option<&'static str>,
}

impl Call {
    /// Whether a text is the path of a class.
    pub fn is_path(text: &str) -> bool {
        Self::parse(&format!("{text}()")).is_ok_and(|call| call.path == text)
    }

    /// Reads a call.
    pub fn parse(text: &str) -> Result<Self, CallError> {
        Self::parse_placed(text).map(|placed| placed.call)
    }

    /// Reads a call and where its parts stand.
    pub fn parse_placed(text: &str) -> Result<PlacedCall, CallError> {
        parse::call(text)
    }
}

impl Argument {
    /// What kind of value it is, in words.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Bool(_) => "a boolean",
            Self::Integer(_) => "a whole number",
            Self::Float(_) => "a float",
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        }
    }
}

/// The normal form, which reads back as the same call.
impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}(", self.path)?;
        let mut first = true;
        let mut part = |f: &mut fmt::Formatter<'_>| {
            if std::mem::take(&mut first) { Ok(()) } else { f.write_str(", ") }
        };
        for argument in &self.args {
            part(f)?;
            write!(f, "{argument}")?;
        }
        for (name, argument) in &self.kwargs {
            part(f)?;
            write!(f, "{name}={argument}")?;
        }
        f.write_char(')')
    }
}

impl fmt::Display for Argument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Bool(true) => f.write_str("True"),
            Self::Bool(false) => f.write_str("False"),
            Self::Integer(number) => write!(f, "{number}"),
            // The form that always tells a float from a whole number.
            Self::Float(number) => write!(f, "{number:?}"),
            Self::Text(text) => write_text(f, text),
            Self::List(items) => {
                f.write_char('[')?;
                for (at, item) in items.iter().enumerate() {
                    write!(f, "{}{item}", if at > 0 { ", " } else { "" })?;
                }
                f.write_char(']')
            }
            Self::Map(entries) => {
                f.write_char('{')?;
                for (at, (key, value)) in entries.iter().enumerate() {
                    f.write_str(if at > 0 { ", " } else { "" })?;
                    write_text(f, key)?;
                    write!(f, ": {value}")?;
                }
                f.write_char('}')
            }
        }
    }
}

fn write_text(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_char('"')?;
    for sign in text.chars() {
        match sign {
            '"' | '\\' => write!(f, "\\{sign}")?,
            '\n' => f.write_str("\\n")?,
            '\r' => f.write_str("\\r")?,
            '\t' => f.write_str("\\t")?,
            sign if sign.is_control() => write!(f, "\\u{:04x}", u32::from(sign))?,
            sign => f.write_char(sign)?,
        }
    }
    f.write_char('"')
}

#[cfg(test)]
mod tests;
