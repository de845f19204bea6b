//! What the next changes of clocks do to a cron trigger, as `explain` tells it.

use chrono::NaiveDateTime;

use crate::spec::trigger::cron::CronTrigger;
use crate::spec::trigger::zone::{FoldRule, GapRule, LARGE_SHIFT};
use crate::time::{Shift, Timestamp};

/// A change of clocks that skips or repeats local times at which the trigger would fire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShiftNote {
    /// When clocks are changed.
    pub at: Timestamp,
    /// The first local time that is skipped or repeated.
    pub local_start: NaiveDateTime,
    /// The local time after the last of them.
    pub local_end: NaiveDateTime,
    /// The first of them that the expression matches.
    pub first_match: NaiveDateTime,
    /// What becomes of those that match.
    pub effect: ShiftEffect,
}

/// What becomes of local times that are skipped or repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShiftEffect {
    /// Skipped; fired once, at the end of the gap.
    FiresAfterGap,
    /// Skipped; not fired.
    NotFired,
    /// Repeated; fired in the first pass.
    FiresFirst,
    /// Repeated; fired in the second pass.
    FiresLast,
    /// Repeated; fired in both passes.
    FiresTwice,
}

impl CronTrigger {
    /// The changes of clocks in a range (start excluded, end included) that matter to the trigger.
    pub fn shift_notes(&self, after: Timestamp, until: Timestamp) -> Vec<ShiftNote> {
        let first = self.zone.shifts_until(after.timestamp());
        let shifts = self.zone.shifts().iter().skip(first);
        let within = shifts.take_while(|shift| shift.at_s <= until.timestamp());
        within.filter_map(|shift| self.shift_note(*shift)).collect()
    }

    fn shift_note(&self, shift: Shift) -> Option<ShiftNote> {
        let (start_s, end_s) = (shift.local_start_s(), shift.local_end_s());
        let first_match_s = self.expr.next_local(start_s - 1).filter(|local_s| *local_s < end_s)?;
        let rules = self.shift_rules();
        let is_large = shift.size() >= LARGE_SHIFT;
        let effect = match (shift.is_gap(), rules.gap, rules.fold) {
            (true, GapRule::Next, _) if !is_large => ShiftEffect::FiresAfterGap,
            (true, GapRule::Next | GapRule::Skip, _) => ShiftEffect::NotFired,
            (false, _, FoldRule::First) if !is_large => ShiftEffect::FiresFirst,
            (false, _, FoldRule::Last) if !is_large => ShiftEffect::FiresLast,
            (false, _, FoldRule::First | FoldRule::Last | FoldRule::Both) => {
                ShiftEffect::FiresTwice
            }
        };
        let at = Timestamp::from_timestamp(shift.at_s, 0)?;
        let local = |local_s| Timestamp::from_timestamp(local_s, 0).map(|at| at.naive_utc());
        let note = ShiftNote {
            at,
            local_start: local(start_s)?,
            local_end: local(end_s)?,
            first_match: local(first_match_s)?,
            effect,
        };
        self.is_within_bounds(at).then_some(note)
    }

    fn is_within_bounds(&self, at: Timestamp) -> bool {
        self.start_date.is_none_or(|start| start <= at) && self.end_date.is_none_or(|end| at <= end)
    }
}
