//! Interval triggers: anchor + k × period, in elapsed time (A5).

use std::fmt;
use std::time::Duration;

use crate::spec::trigger::error::Piece;
use crate::time::{DURATION_MAX, DurationText, Timestamp, Zone, quoted, rfc3339};

/// A period and where its grid lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntervalTrigger {
    period_ms: i64,
    anchor: Option<Timestamp>,
    start: IntervalStart,
    end_date: Option<Timestamp>,
    zone: Zone,
}

/// When an interval begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IntervalStart {
    /// When it is first applied; the first fire time is one period later, unless there is an
    /// anchor.
    Applied,
    /// This long after it is first applied; that moment fires, unless there is an anchor.
    AfterApplied(Duration),
    /// At an instant; it fires, unless there is an anchor.
    At(Timestamp),
}

/// The shortest period.
pub const PERIOD_MIN: Duration = Duration::from_secs(1);

/// Why a duration is not a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PeriodError {
    /// Below [`PERIOD_MIN`].
    #[error("a period of {} is too short; the shortest is 1s", DurationText(*.0))]
    TooShort(Duration),
    /// Above [`DURATION_MAX`].
    #[error("a period of {} is too long; the longest is 36500d", DurationText(*.0))]
    TooLong(Duration),
    /// A part of a millisecond.
    #[error("a period is a whole number of milliseconds")]
    TooFine(Duration),
}

impl IntervalTrigger {
    /// An interval without anchor, start or end. Dates of it are shown in the zone.
    pub fn new(period: Duration, zone: Zone) -> Result<Self, PeriodError> {
        if period < PERIOD_MIN {
            return Err(PeriodError::TooShort(period));
        }
        if period > DURATION_MAX {
            return Err(PeriodError::TooLong(period));
        }
        if !period.subsec_nanos().is_multiple_of(1_000_000) {
            return Err(PeriodError::TooFine(period));
        }
        let period_ms =
            i64::try_from(period.as_millis()).map_err(|_| PeriodError::TooLong(period))?;
        let start = IntervalStart::Applied;
        Ok(Self { period_ms, anchor: None, start, end_date: None, zone })
    }

    /// With a phase of its own, to the millisecond.
    #[must_use]
    pub fn with_anchor(mut self, anchor: Timestamp) -> Self {
        self.anchor = Some(whole_ms(anchor));
        self
    }

    /// With a start, to the millisecond.
    #[must_use]
    pub fn with_start(mut self, start: IntervalStart) -> Self {
        self.start = match start {
            IntervalStart::At(at) => IntervalStart::At(whole_ms(at)),
            IntervalStart::Applied | IntervalStart::AfterApplied(_) => start,
        };
        self
    }

    /// With an end, after which no fire time lies.
    #[must_use]
    pub fn with_end(mut self, end_date: Timestamp) -> Self {
        self.end_date = Some(end_date);
        self
    }

    /// The time from one fire time to the next.
    pub fn period(&self) -> Duration {
        Duration::from_millis(self.period_ms.unsigned_abs())
    }

    /// The declared phase.
    pub fn anchor(&self) -> Option<Timestamp> {
        self.anchor
    }

    /// When it begins.
    pub fn start(&self) -> IntervalStart {
        self.start
    }

    /// After which no fire time lies.
    pub fn end_date(&self) -> Option<Timestamp> {
        self.end_date
    }

    /// The zone in which its dates are written and shown.
    pub fn zone(&self) -> &Zone {
        &self.zone
    }

    /// The anchor to store when it is first applied: none when the trigger itself says all.
    pub fn first_anchor(&self, applied_at: Timestamp) -> Option<Timestamp> {
        match (self.start, self.anchor) {
            (IntervalStart::At(_), _) | (IntervalStart::Applied, Some(_)) => None,
            (IntervalStart::Applied, None) => Some(whole_ms(applied_at)),
            (IntervalStart::AfterApplied(delay), _) => {
                let delay = chrono::TimeDelta::from_std(delay).ok()?;
                applied_at.checked_add_signed(delay).map(whole_ms)
            }
        }
    }

    /// The first fire time strictly after `after`; none, too, while a needed `stored` anchor
    /// ([`Self::first_anchor`]) is missing. Arithmetic: the distance to the anchor does not matter.
    pub fn next_after(&self, after: Timestamp, stored: Option<Timestamp>) -> Option<Timestamp> {
        let stored_ms = stored.map(|at| at.timestamp_millis());
        let anchor_ms = self.anchor.map(|at| at.timestamp_millis());
        // The grid, and the first millisecond at which it counts.
        let (grid_ms, first_ms) = match self.start {
            IntervalStart::At(start) => {
                let start_ms = start.timestamp_millis();
                let grid_ms = anchor_ms.unwrap_or(start_ms);
                (grid_ms, start_ms.max(grid_ms))
            }
            IntervalStart::AfterApplied(_) => {
                let start_ms = stored_ms?;
                let grid_ms = anchor_ms.unwrap_or(start_ms);
                (grid_ms, start_ms.max(grid_ms))
            }
            IntervalStart::Applied => match anchor_ms {
                Some(anchor_ms) => (anchor_ms, anchor_ms),
                None => (stored_ms?, stored_ms?.checked_add(self.period_ms)?),
            },
        };
        let from_ms = after.timestamp_millis().checked_add(1)?.max(first_ms);
        let behind_ms = from_ms.checked_sub(grid_ms)?.rem_euclid(self.period_ms);
        let at_ms = match behind_ms {
            0 => from_ms,
            _ => from_ms.checked_add(self.period_ms - behind_ms)?,
        };
        let at = Timestamp::from_timestamp_millis(at_ms)?;
        self.end_date.is_none_or(|end| at <= end).then_some(at)
    }
}

impl fmt::Display for IntervalTrigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "interval {} {}", DurationText(self.period()), self.zone)?;
        if let Some(anchor) = self.anchor {
            write!(f, " anchor={}", rfc3339(anchor))?;
        }
        match self.start {
            IntervalStart::Applied => {}
            IntervalStart::AfterApplied(delay) => {
                write!(f, " start_date=+{}", DurationText(delay))?;
            }
            IntervalStart::At(start) => write!(f, " start_date={}", rfc3339(start))?,
        }
        match self.end_date {
            Some(end) => write!(f, " end_date={}", rfc3339(end)),
            None => Ok(()),
        }
    }
}

/// Fire times are kept to the millisecond, as every store does.
pub(super) fn whole_ms(at: Timestamp) -> Timestamp {
    Timestamp::from_timestamp_millis(at.timestamp_millis()).unwrap_or(at)
}

/// Why a text of five numbers is not a period.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct PeriodTextError {
    /// One sentence without a full stop.
    pub message: String,
    /// The first wrong byte of the text.
    pub start: usize,
    /// The byte after the last wrong one.
    pub end: usize,
}

/// The longest text of a period by fields, in bytes: far more than five numbers.
const PERIOD_BYTES_MAX: usize = 4096;

/// The fields of a period text in order, with their seconds.
const PERIOD_FIELDS: [(&str, u64); 5] =
    [("seconds", 1), ("minutes", 60), ("hours", 3600), ("days", 86_400), ("weeks", 604_800)];

/// Reads a period written as five numbers, `seconds minutes hours days weeks`, where `*` is 0.
pub fn parse_period_fields(text: &str) -> Result<Duration, PeriodTextError> {
    let error = |piece: Piece<'_>, message: String| PeriodTextError {
        message,
        start: piece.start,
        end: piece.start + piece.text.len(),
    };
    let whole = Piece { text, start: 0 };
    if text.len() > PERIOD_BYTES_MAX {
        let message = format!("the period is longer than {PERIOD_BYTES_MAX} bytes");
        return Err(error(whole, message));
    }
    let count = text.split([' ', '\t']).filter(|part| !part.is_empty()).count();
    if count != PERIOD_FIELDS.len() {
        let message =
            format!("a period has 5 fields, seconds minutes hours days weeks; not {count}");
        return Err(error(whole, message));
    }
    let mut total_s: u64 = 0;
    let mut names = PERIOD_FIELDS.iter();
    let mut start = 0;
    for part in text.split([' ', '\t']) {
        let piece = Piece { text: part, start };
        start += part.len() + 1;
        if part.is_empty() {
            continue;
        }
        let Some((name, unit_s)) = names.next() else { break };
        if part == "*" {
            continue;
        }
        if !part.bytes().all(|b| b.is_ascii_digit()) {
            let message = format!("`{}` is not a number of {name}", quoted(part));
            return Err(error(piece, message));
        }
        let field_s = part.parse::<u64>().ok().and_then(|number| number.checked_mul(*unit_s));
        total_s = field_s
            .and_then(|field_s| total_s.checked_add(field_s))
            .filter(|total_s| *total_s <= DURATION_MAX.as_secs())
            .ok_or_else(|| error(piece, format!("`{}` {name} are too many", quoted(part))))?;
    }
    if total_s == 0 {
        return Err(error(whole, "a period of zero never moves on".to_owned()));
    }
    Ok(Duration::from_secs(total_s))
}
