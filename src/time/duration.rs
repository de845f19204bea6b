//! Duration text, both ways: `90s`, `1h30m`, `7d`.

use std::fmt;
use std::time::Duration;

use crate::time::quoted;

/// Why a text is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// No unit: `90`.
    #[error("`{text}` has no unit; write for example `{text}s` or `{text}m`", text = quoted(.0))]
    NoUnit(String),
    /// Anything that is not number, unit, number, unit …
    #[error("`{}` is not a duration; write for example `500ms`, `90s`, `1h30m` or `7d`", quoted(.0))]
    Syntax(String),
    /// More than fits.
    #[error("`{}` is too long for a duration (at most 36500d)", quoted(.0))]
    TooLong(String),
}

/// The longest duration that is accepted: a hundred years of 365 days.
pub const DURATION_MAX: Duration = Duration::from_hours(36_500 * 24);

/// Units of duration text, largest first: name and milliseconds.
const UNITS: [(&str, u64); 6] = [
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// Reads duration text such as `90s`, `1h30m`, `500ms` or `7d`.
///
/// ```
/// use std::time::Duration;
/// use cronwright::time::parse_duration;
/// assert_eq!(parse_duration("1h30m"), Ok(Duration::from_secs(5400)));
/// assert!(parse_duration("90").is_err());
/// ```
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let syntax = || DurationError::Syntax(text.to_owned());
    let too_long = || DurationError::TooLong(text.to_owned());
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(DurationError::NoUnit(text.to_owned()));
    }
    let mut total_ms: u64 = 0;
    let mut rest = text;
    let mut smaller_than = u64::MAX;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let letters = rest[digits..].bytes().take_while(u8::is_ascii_alphabetic).count();
        if digits == 0 || letters == 0 {
            return Err(syntax());
        }
        let number: u64 = rest[..digits].parse().map_err(|_| too_long())?;
        let unit = &rest[digits..digits + letters];
        let (_, unit_ms) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(syntax)?;
        if *unit_ms >= smaller_than {
            return Err(syntax());
        }
        smaller_than = *unit_ms;
        total_ms = number
            .checked_mul(*unit_ms)
            .and_then(|ms| total_ms.checked_add(ms))
            .ok_or_else(too_long)?;
        rest = &rest[digits + letters..];
    }
    let total = Duration::from_millis(total_ms);
    if text.is_empty() {
        Err(syntax())
    } else if total > DURATION_MAX {
        Err(too_long())
    } else {
        Ok(total)
    }
}

/// A duration as text in normal form: `1h30m`, `7d`, `0s`. Parts below a millisecond are dropped.
#[derive(Debug, Clone, Copy)]
pub struct DurationText(pub Duration);

impl fmt::Display for DurationText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut left_ms = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        if left_ms == 0 {
            return f.write_str("0s");
        }
        for (name, unit_ms) in UNITS.iter().filter(|(name, _)| *name != "w") {
            let count = left_ms / unit_ms;
            left_ms %= unit_ms;
            if count > 0 {
                write!(f, "{count}{name}")?;
            }
        }
        Ok(())
    }
}
