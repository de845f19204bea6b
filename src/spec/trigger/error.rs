//! What is wrong with a cron expression, and where in it.

use std::fmt;

/// A part of a cron expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// The expression as a whole.
    Expression,
    /// 0–59.
    Second,
    /// 0–59.
    Minute,
    /// 0–23.
    Hour,
    /// 1–31.
    Day,
    /// 1–12.
    Month,
    /// Numbered by dialect.
    Weekday,
    /// 1970 and later.
    Year,
}

impl Field {
    /// The word in messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Expression => "expression",
            Self::Second => "second",
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Month => "month",
            Self::Weekday => "weekday",
            Self::Year => "year",
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a text is not a cron expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CronError {
    /// One sentence without a full stop, for example `hour 24 is out of range 0–23`.
    pub message: String,
    /// The part that is wrong.
    pub field: Field,
    /// The first wrong byte of the text; on a character boundary.
    pub start: usize,
    /// The byte after the last wrong one; on a character boundary.
    pub end: usize,
    /// The next act.
    pub help: Option<String>,
}

/// A part of a text that knows where it stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece<'a> {
    pub(super) text: &'a str,
    pub(super) start: usize,
}

impl<'a> Piece<'a> {
    /// The part from one byte to another, both on character boundaries of this part.
    pub(super) fn part(self, from: usize, to: usize) -> Self {
        let text = self.text.get(from..to).unwrap_or_default();
        Self { text, start: self.start + from }
    }

    /// What stands before and after the first of an ASCII sign.
    pub(super) fn split_at_sign(self, sign: u8) -> (Self, Option<Self>) {
        // Fields are a few bytes long: looking at each is faster than a search that prepares itself.
        match self.text.bytes().position(|byte| byte == sign) {
            Some(at) => (self.part(0, at), Some(self.part(at + 1, self.text.len()))),
            None => (self, None),
        }
    }

    /// The items of a list, with the ASCII sign that separates them.
    pub(super) fn split_list(self, sign: u8) -> impl Iterator<Item = Self> + 'a {
        let mut rest = Some(self);
        std::iter::from_fn(move || {
            let (item, after) = rest?.split_at_sign(sign);
            rest = after;
            Some(item)
        })
    }

    /// An error at this place.
    pub(super) fn error(self, field: Field, message: String) -> CronError {
        let end = self.start + self.text.len();
        CronError { message, field, start: self.start, end, help: None }
    }
}

impl CronError {
    /// The message, with the field that is wrong where it does not say it by itself.
    pub fn sentence(&self) -> String {
        let field = self.field.as_str();
        if self.field == Field::Expression || self.message.contains(field) {
            self.message.clone()
        } else {
            format!("{field} field: {}", self.message)
        }
    }

    pub(super) fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}
