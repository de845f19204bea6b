//! Date triggers, and the text of dates wherever one may be written (A6).

use std::fmt;

use crate::spec::trigger::error::Piece;
use crate::spec::trigger::interval::whole_ms;
use crate::time::{Timestamp, Zone, quoted, rfc3339};

/// One instant. It fires once, ever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DateTrigger {
    at: Timestamp,
    zone: Zone,
}

impl DateTrigger {
    /// Fires at an instant, to the millisecond; shown in a zone.
    pub fn new(at: Timestamp, zone: Zone) -> Self {
        Self { at: whole_ms(at), zone }
    }

    /// The instant.
    pub fn at(&self) -> Timestamp {
        self.at
    }

    /// The zone in which it was written.
    pub fn zone(&self) -> &Zone {
        &self.zone
    }

    /// The instant, when it lies strictly after `after`.
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        (self.at > after).then_some(self.at)
    }
}

impl fmt::Display for DateTrigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "date {} {}", rfc3339(self.at), self.zone)
    }
}

/// Why a text is not a date.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct DateTextError {
    /// One sentence without a full stop.
    pub message: String,
    /// The first wrong byte of the text; on a character boundary.
    pub start: usize,
    /// The byte after the last wrong one; on a character boundary.
    pub end: usize,
}

/// The most digits of a fraction of a second.
const FRACTION_DIGITS_MAX: usize = 9;

/// Reads `2026-01-31`, `2026-01-31 18:30:00` or `2026-01-31T18:30:00.5+08:00`.
///
/// Without an offset the local time is read in the zone: inside a gap with the offset before it,
/// inside a fold as the first of the two. A date alone is midnight.
///
/// ```
/// use cronwright::spec::trigger::parse_date_text;
/// use cronwright::time::{Zone, rfc3339};
/// let zone = Zone::load("America/New_York").unwrap();
/// let at = parse_date_text("2025-03-09 02:30:00", &zone).unwrap();
/// assert_eq!(rfc3339(at), "2025-03-09T07:30:00Z");
/// ```
pub fn parse_date_text(text: &str, zone: &Zone) -> Result<Timestamp, DateTextError> {
    let mut scan = Scan { text, at: 0 };
    let year = scan.number(4..=4)?;
    scan.sign("-")?;
    let month = scan.number(1..=2)?;
    scan.sign("-")?;
    let day = scan.number(1..=2)?;
    let date = i32::try_from(year.value)
        .ok()
        .filter(|year| *year > 0)
        .and_then(|year| chrono::NaiveDate::from_ymd_opt(year, month.value, day.value))
        .ok_or_else(|| scan.no_such("date", 0, scan.at))?;
    let midnight_s = date.and_time(chrono::NaiveTime::MIN).and_utc().timestamp();
    if scan.is_at_end() {
        return scan.instant(zone.instant_of(midnight_s), 0);
    }
    scan.sign("T ")?;
    let time_start = scan.at;
    let hour = scan.number(1..=2)?;
    scan.sign(":")?;
    let minute = scan.number(1..=2)?;
    scan.sign(":")?;
    let second = scan.number(1..=2)?;
    if hour.value > 23 || minute.value > 59 || second.value > 59 {
        return Err(scan.no_such("time", time_start, scan.at));
    }
    let nanos = scan.fraction()?;
    let second_of_day = hour.value * 3600 + minute.value * 60 + second.value;
    let local_s = midnight_s + i64::from(second_of_day);
    let at_s = match scan.offset_s()? {
        Some(offset_s) => local_s - offset_s,
        None => zone.instant_of(local_s),
    };
    if scan.is_at_end() { scan.instant(at_s, nanos) } else { Err(scan.syntax()) }
}

/// How far a text has been read.
struct Scan<'a> {
    text: &'a str,
    at: usize,
}

/// Some digits of the text.
struct Digits {
    value: u32,
    count: usize,
}

impl Scan<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn is_at_end(&self) -> bool {
        self.at == self.text.len()
    }

    /// Reads that many digits; few enough to fit.
    fn number(&mut self, counts: std::ops::RangeInclusive<usize>) -> Result<Digits, DateTextError> {
        let rest = self.rest();
        let count = rest.bytes().take_while(u8::is_ascii_digit).count();
        if !counts.contains(&count) {
            return Err(self.syntax());
        }
        let digits = rest.bytes().take(count);
        let value = digits.fold(0, |value: u32, digit| value * 10 + u32::from(digit - b'0'));
        self.at += count;
        Ok(Digits { value, count })
    }

    /// Reads one of some ASCII signs.
    fn sign(&mut self, signs: &str) -> Result<(), DateTextError> {
        if !self.rest().starts_with(|c| signs.contains(c)) {
            return Err(self.syntax());
        }
        self.at += 1;
        Ok(())
    }

    /// Reads `.5` as nanoseconds, when it is there.
    fn fraction(&mut self) -> Result<u32, DateTextError> {
        if !self.rest().starts_with('.') {
            return Ok(0);
        }
        self.at += 1;
        let Digits { value, count } = self.number(1..=FRACTION_DIGITS_MAX)?;
        Ok((count..FRACTION_DIGITS_MAX).fold(value, |nanos, _| nanos * 10))
    }

    /// Reads `Z`, `+08:00` or `-08:00` as seconds, when it is there.
    fn offset_s(&mut self) -> Result<Option<i64>, DateTextError> {
        let start = self.at;
        let sign = match self.rest().bytes().next() {
            None => return Ok(None),
            Some(b'Z') => {
                self.at += 1;
                return Ok(Some(0));
            }
            Some(b'+') => 1,
            Some(b'-') => -1,
            Some(_) => return Err(self.syntax()),
        };
        self.at += 1;
        let hours = self.number(2..=2)?;
        self.sign(":")?;
        let minutes = self.number(2..=2)?;
        if hours.value > 23 || minutes.value > 59 {
            return Err(self.no_such("offset", start, self.at));
        }
        Ok(Some(sign * i64::from(hours.value * 3600 + minutes.value * 60)))
    }

    fn instant(&self, at_s: i64, nanos: u32) -> Result<Timestamp, DateTextError> {
        let at = Timestamp::from_timestamp(at_s, nanos);
        at.ok_or_else(|| self.no_such("date", 0, self.text.len()))
    }

    fn no_such(&self, noun: &str, start: usize, end: usize) -> DateTextError {
        let part = Piece { text: self.text, start: 0 }.part(start, end);
        DateTextError { message: format!("there is no {noun} `{}`", quoted(part.text)), start, end }
    }

    fn syntax(&self) -> DateTextError {
        let message = format!(
            "`{}` is not a date; write for example `2026-01-31 18:30:00` or `2026-01-31T18:30:00+08:00`",
            quoted(self.text)
        );
        DateTextError { message, start: 0, end: self.text.len() }
    }
}
