//! What `explain` tells of a cron trigger beside its words: which weekdays it names, why it follows the
//! clock or not (A9), and how other dialects read the same text.

use crate::spec::trigger::cron::CronTrigger;
use crate::spec::trigger::error::Field;
use crate::spec::trigger::expr::{ALL_WEEKDAYS, CronExpr, DayMatch, Dialect};
use crate::spec::trigger::zone::{FoldRule, GapRule};

/// The time fields of a normal form that has seconds, in order.
const TIME_FIELDS: [Field; 3] = [Field::Second, Field::Minute, Field::Hour];

impl CronExpr {
    /// The weekdays that the weekday field names, Monday = 0, ascending; none when it leaves all open.
    pub fn named_weekdays(&self) -> Option<Vec<u32>> {
        if self.weekdays == ALL_WEEKDAYS {
            return None;
        }
        let every_week = (0..5).fold(0, |found, nth| found | self.nth_weekdays >> (7 * nth));
        let named = every_week | u64::from(self.weekdays | self.last_weekdays);
        Some((0..7).filter(|day| named >> ((day + 1) % 7) & 1 != 0).collect())
    }

    /// The field and its first list item that make the schedule interval-like, as the normal form
    /// writes them; none when it is fixed-time.
    pub fn wild_item(&self) -> Option<(Field, String)> {
        if !self.is_interval_like() {
            return None;
        }
        let normal_form = self.to_string();
        let written: Vec<&str> = normal_form.split(' ').collect();
        // With five fields there is no second.
        let fields = TIME_FIELDS.into_iter().skip(usize::from(written.len() == 5));
        fields.zip(written).find_map(|(field, text)| {
            let item = text.split(',').next()?;
            let is_wild = item.starts_with('*') || (item.contains('/') && !item.contains('-'));
            is_wild.then(|| (field, item.to_owned()))
        })
    }
}

impl CronTrigger {
    /// What becomes of local times that a small gap skips, as declared or by A9.
    pub fn gap_rule(&self) -> GapRule {
        self.shift_rules().gap
    }

    /// Which pass of a small fold fires, as declared or by A9.
    pub fn fold_rule(&self) -> FoldRule {
        self.shift_rules().fold
    }
}

/// The dialects that read a text differently from `expr`, which one of them made of it, and what they
/// make of it. Quartz has exactly one day field `?`, so that an open day field becomes one.
pub fn other_readings(text: &str, expr: &CronExpr) -> Vec<CronExpr> {
    let read = |dialect: Dialect| {
        let as_quartz = (dialect == Dialect::Quartz).then(|| with_question_mark(text)).flatten();
        let text = as_quartz.as_deref().unwrap_or(text);
        CronExpr::parse_matching(text, dialect, DayMatch::Any).ok()
    };
    let others = Dialect::ALL.into_iter().filter(|dialect| *dialect != expr.dialect());
    others.filter_map(read).filter(|other| !means_the_same(other, expr)).collect()
}

/// The text with `?` for the one day field that is `*`; the weekday when both are.
fn with_question_mark(text: &str) -> Option<String> {
    let mut fields: Vec<&str> = text.split([' ', '\t']).filter(|field| !field.is_empty()).collect();
    let [_, _, _, day, _, weekday, ..] = fields.as_mut_slice() else { return None };
    if *day == "?" || *weekday == "?" {
        return None;
    }
    let open = if *weekday == "*" { weekday } else { day };
    if *open != "*" {
        return None;
    }
    *open = "?";
    Some(fields.join(" "))
}

/// Whether both match the same local times, and are alike where clocks are changed.
fn means_the_same(one: &CronExpr, other: &CronExpr) -> bool {
    CronExpr { dialect: other.dialect, ..one.clone() } == *other
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str, dialect: Dialect) -> CronExpr {
        CronExpr::parse(text, dialect).unwrap()
    }

    #[test]
    fn the_item_that_decides_is_named() {
        let wild = |text| parsed(text, Dialect::Standard).wild_item();
        let item = |field, text: &str| Some((field, text.to_owned()));
        assert_eq!(wild("*/5 9-17 * * mon-fri"), item(Field::Minute, "*/5"));
        assert_eq!(wild("30 * * * *"), item(Field::Hour, "*"));
        assert_eq!(wild("* 0 0 * * *"), item(Field::Second, "*"));
        assert_eq!(wild("0 8/4 * * *"), item(Field::Hour, "8/4"));
        assert_eq!(wild("0 0-23 * * *"), None);
        assert_eq!(wild("0-59/20 1 * * *"), None);
        let once_an_hour = parsed("* 5 * * * ?", Dialect::Apscheduler);
        assert_eq!(once_an_hour.wild_item(), item(Field::Hour, "*"));
    }

    #[test]
    fn weekdays_are_named_from_monday_on() {
        let named = |text| parsed(text, Dialect::Standard).named_weekdays();
        assert_eq!(named("0 0 * * 0"), Some(vec![6]));
        assert_eq!(named("0 0 * * 1-5"), Some(vec![0, 1, 2, 3, 4]));
        assert_eq!(named("0 0 * * 2#1,friL"), Some(vec![1, 4]));
        assert_eq!(named("0 0 * * *"), None);
    }

    #[test]
    fn dialects_that_number_weekdays_otherwise_read_otherwise() {
        let text = "0 0 3 * * 1";
        let others = other_readings(text, &parsed(text, Dialect::Standard));
        let read: Vec<_> = others.iter().map(|e| (e.dialect(), e.named_weekdays())).collect();
        assert_eq!(read, [(Dialect::Quartz, Some(vec![6])), (Dialect::Apscheduler, Some(vec![1]))]);
        let text = "0 3 * * 1";
        assert_eq!(other_readings(text, &parsed(text, Dialect::Standard)), []);
        let text = "0 0 3 * * mon";
        assert_eq!(other_readings(text, &parsed(text, Dialect::Standard)), []);
    }
}
