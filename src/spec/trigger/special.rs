//! The items of the day fields that depend on the month: `L`, `L-n`, `nW`, `LW`, `nL`, `n#k`.

use crate::spec::trigger::error::{CronError, Field, Piece};
use crate::spec::trigger::expr::Dialect;
use crate::spec::trigger::field::{FieldSet, FieldShape, is_number, number};
use crate::time::quoted;

/// `L-n` counts back at most to the first of a month of 31 days.
const LAST_DAY_OFFSET_MAX: u32 = 30;

/// The k of `n#k`.
const NTH_MAX: u32 = 5;

impl FieldShape {
    /// Adds `L`, `L-n`, `nW`, `LW`, `nL` or `n#k`; returns false when the item is none of these.
    pub(super) fn add_special(
        &self,
        set: &mut FieldSet,
        item: Piece<'_>,
    ) -> Result<bool, CronError> {
        let knows_all = matches!(self.dialect, Dialect::Standard | Dialect::Quartz);
        match self.field {
            Field::Day if knows_all => self.add_special_day(set, item),
            Field::Day if self.dialect == Dialect::Apscheduler => {
                let is_last = item.text.eq_ignore_ascii_case("last");
                set.last_days |= u32::from(is_last);
                Ok(is_last)
            }
            Field::Weekday if knows_all => self.add_special_weekday(set, item),
            Field::Expression
            | Field::Second
            | Field::Minute
            | Field::Hour
            | Field::Day
            | Field::Month
            | Field::Weekday
            | Field::Year => Ok(false),
        }
    }

    fn add_special_day(&self, set: &mut FieldSet, item: Piece<'_>) -> Result<bool, CronError> {
        let length = item.text.len();
        let is_nearest = item.text.ends_with(['W', 'w']);
        let day = if is_nearest { item.part(0, length - 1) } else { item };
        if !day.text.starts_with(['L', 'l']) {
            if is_nearest && !day.text.is_empty() {
                if !is_number(day.text) {
                    return Err(self.syntax(item, item));
                }
                set.nearest |= 1 << self.value(day, item)?;
            }
            return Ok(is_nearest && !day.text.is_empty());
        }
        let back = match day.text.get(1..) {
            Some("") => 0,
            Some(rest) if rest.strip_prefix('-').is_some_and(is_number) => {
                let offset = day.part(2, day.text.len());
                let back = number(offset.text);
                if back > LAST_DAY_OFFSET_MAX {
                    let text = quoted(offset.text);
                    let message = format!("{text} days before the last is out of range 0–30");
                    return Err(offset.error(self.field, message));
                }
                back
            }
            Some(_) | None => return Err(self.syntax(item, item)),
        };
        if is_nearest {
            set.last_nearest |= 1 << back;
        } else {
            set.last_days |= 1 << back;
        }
        Ok(true)
    }

    fn add_special_weekday(&self, set: &mut FieldSet, item: Piece<'_>) -> Result<bool, CronError> {
        if let (weekday, Some(nth)) = item.split_at_sign(b'#') {
            let weekday = self.weekday_number(self.value(weekday, item)?);
            if !is_number(nth.text) {
                return Err(self.syntax(item, item));
            }
            let k = number(nth.text);
            if !(1..=NTH_MAX).contains(&k) {
                let text = quoted(nth.text);
                let message = format!("week {text} of the month is out of range 1–{NTH_MAX}");
                return Err(nth.error(self.field, message));
            }
            set.nth_weekdays |= 1 << (7 * (k - 1) + weekday);
            return Ok(true);
        }
        if !item.text.ends_with(['L', 'l']) {
            return Ok(false);
        }
        let weekday = item.part(0, item.text.len() - 1);
        if weekday.text.is_empty() && self.dialect == Dialect::Quartz {
            set.values |= 1 << 6;
            return Ok(true);
        }
        if weekday.text.is_empty() {
            return Err(self.syntax(item, item));
        }
        let weekday = self.weekday_number(self.value(weekday, item)?);
        set.last_weekdays |= 1 << weekday;
        Ok(true)
    }
}
