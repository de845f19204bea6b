//! Cron triggers: an expression read in a zone, within bounds.

use std::fmt;

use chrono::TimeDelta;

use crate::spec::trigger::expr::{CronExpr, DayMatch, Dialect};
use crate::spec::trigger::zone::{FoldRule, GapRule, ShiftRules, next_instant};
use crate::time::{Timestamp, Zone, rfc3339};

/// A cron expression and all that decides its fire times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CronTrigger {
    /// The fields.
    pub expr: CronExpr,
    /// The zone in which they are read.
    pub zone: Zone,
    /// No fire time lies before it.
    pub start_date: Option<Timestamp>,
    /// No fire time lies after it.
    pub end_date: Option<Timestamp>,
    /// None: by rule A9.
    pub gap: Option<GapRule>,
    /// None: by rule A9.
    pub fold: Option<FoldRule>,
}

impl CronTrigger {
    /// An expression in a zone, unbounded, with the rules of A9 where clocks are changed.
    pub fn new(expr: CronExpr, zone: Zone) -> Self {
        Self { expr, zone, start_date: None, end_date: None, gap: None, fold: None }
    }

    /// The first fire time strictly after `after`.
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        // The start itself may fire, so the search begins just before it.
        let before_start =
            self.start_date.and_then(|start| start.checked_sub_signed(TimeDelta::nanoseconds(1)));
        let after = before_start.map_or(after, |before_start| before_start.max(after));
        let next_local = |local_s| self.expr.next_local(local_s);
        let at_s = next_instant(&self.zone, self.shift_rules(), after.timestamp(), next_local)?;
        let at = Timestamp::from_timestamp(at_s, 0)?;
        self.end_date.is_none_or(|end| at <= end).then_some(at)
    }

    pub(super) fn shift_rules(&self) -> ShiftRules {
        let (gap, fold) = if self.expr.is_interval_like() {
            (GapRule::Skip, FoldRule::Both)
        } else {
            (GapRule::Next, FoldRule::First)
        };
        ShiftRules { gap: self.gap.unwrap_or(gap), fold: self.fold.unwrap_or(fold) }
    }
}

impl fmt::Display for CronTrigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cron {} {}", self.expr, self.zone)?;
        if let Some(start) = self.start_date {
            write!(f, " start_date={}", rfc3339(start))?;
        }
        if let Some(end) = self.end_date {
            write!(f, " end_date={}", rfc3339(end))?;
        }
        if self.expr.dialect() != Dialect::Standard {
            write!(f, " dialect={}", self.expr.dialect().as_str())?;
        }
        if self.expr.day_match() != DayMatch::Any {
            write!(f, " day_match={}", self.expr.day_match().as_str())?;
        }
        if let Some(gap) = self.gap {
            write!(f, " gap={}", gap.as_str())?;
        }
        if let Some(fold) = self.fold {
            write!(f, " fold={}", fold.as_str())?;
        }
        Ok(())
    }
}
