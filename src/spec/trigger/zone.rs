//! Gaps and folds: from matching local times to fire times, over a zone's table of shifts (A9).
//!
//! Between two shifts local time and UTC run in step, so the fires there are plain matches. All the
//! rules do is to choose, per stretch, which local times count, and to add the end of a gap. The
//! answer depends on the instant asked from and on nothing else.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::time::{Shift, Zone};

/// What becomes of local times that a small gap skips.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum GapRule {
    /// They fire, once, at the first instant after the gap.
    Next,
    /// They do not fire.
    Skip,
}

impl GapRule {
    /// Both rules.
    pub const ALL: [Self; 2] = [Self::Next, Self::Skip];

    /// The word in a manifest.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Next => "next",
            Self::Skip => "skip",
        }
    }

    /// The rule with this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|rule| rule.as_str() == word)
    }
}

/// Which of the two passes of a small fold fires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FoldRule {
    /// The first.
    First,
    /// The second.
    Last,
    /// Both.
    Both,
}

impl FoldRule {
    /// Every rule.
    pub const ALL: [Self; 3] = [Self::First, Self::Last, Self::Both];

    /// The word in a manifest.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Last => "last",
            Self::Both => "both",
        }
    }

    /// The rule with this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|rule| rule.as_str() == word)
    }
}

/// What happens to a schedule where clocks are changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ShiftRules {
    pub(super) gap: GapRule,
    pub(super) fold: FoldRule,
}

/// A shift of this size or more is a correction of the calendar, not daylight saving: it is
/// followed by the real clock whatever the rules say.
pub const LARGE_SHIFT: Duration = Duration::from_hours(3);

/// More than any offset and any shift: a shift this long before a local time does not touch it.
const FAR_S: i64 = 3 * 86_400;

/// The first fire time strictly after `after_s`, given the next matching local time after one.
///
/// Walks from stretch to stretch of constant offset, which are finitely many. A match that was
/// found stays valid while the stretches passed over only hide local times before it; those that
/// end well before it are passed over at once.
pub(super) fn next_instant(
    zone: &Zone,
    rules: ShiftRules,
    after_s: i64,
    next_local: impl Fn(i64) -> Option<i64>,
) -> Option<i64> {
    let mut index = zone.shifts_until(after_s);
    let mut stretch = Stretch::new(zone, rules, index);
    let mut searched_s = (after_s + stretch.offset).max(stretch.local_start - 1);
    let mut found = next_local(searched_s);
    loop {
        if let Some(local_s) = found
            && local_s < stretch.local_end
        {
            return Some(local_s - stretch.offset);
        }
        let shift = *zone.shifts().get(index)?;
        if fires_at_end_of_gap(rules, shift, found) {
            return Some(shift.at_s);
        }
        index += 1;
        stretch = Stretch::new(zone, rules, index);
        let passes_nothing_searched = stretch.local_start > searched_s;
        match found {
            None if passes_nothing_searched => return None,
            Some(local_s) if passes_nothing_searched && stretch.local_start <= local_s => {
                let far = zone.shifts_until(local_s - FAR_S);
                if far > index {
                    index = far;
                    stretch = Stretch::new(zone, rules, index);
                }
            }
            Some(_) | None => {
                searched_s = stretch.local_start - 1;
                found = next_local(searched_s);
            }
        }
    }
}

/// A span of time between two shifts, and the local times in it that count. All in seconds.
struct Stretch {
    offset: i64,
    /// The first local second that counts.
    local_start: i64,
    /// The local second after the last that counts.
    local_end: i64,
}

impl Stretch {
    /// The stretch after that many shifts.
    fn new(zone: &Zone, rules: ShiftRules, shift_count: usize) -> Self {
        let offset = i64::from(zone.offset_after(shift_count));
        let before = shift_count.checked_sub(1).and_then(|index| zone.shifts().get(index));
        let local_start = before.map_or(i64::MIN / 2, |shift| {
            let second_pass_is_silent = is_small_fold(*shift) && rules.fold == FoldRule::First;
            if second_pass_is_silent { shift.local_end_s() } else { shift.at_s + offset }
        });
        let local_end = zone.shifts().get(shift_count).map_or(i64::MAX, |shift| {
            let first_pass_is_silent = is_small_fold(*shift) && rules.fold == FoldRule::Last;
            if first_pass_is_silent { shift.local_start_s() } else { shift.at_s + offset }
        });
        Self { offset, local_start, local_end }
    }
}

fn is_small_fold(shift: Shift) -> bool {
    !shift.is_gap() && shift.size() < LARGE_SHIFT
}

fn fires_at_end_of_gap(rules: ShiftRules, shift: Shift, found: Option<i64>) -> bool {
    rules.gap == GapRule::Next
        && shift.is_gap()
        && shift.size() < LARGE_SHIFT
        && found.is_some_and(|local_s| local_s < shift.local_end_s())
}
