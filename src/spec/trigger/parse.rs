//! Text of a cron expression to [`CronExpr`]: which fields there are, and what they mean together.

use crate::spec::trigger::error::{CronError, Field, Piece};
use crate::spec::trigger::expr::{
    ALL_DAYS, ALL_HOURS, ALL_MONTHS, ALL_SIXTY, ALL_WEEKDAYS, CronExpr, DayMatch, Dialect, LeapDays,
};
use crate::spec::trigger::field::{FieldForm, FieldSet, FieldShape};
use crate::time::quoted;

/// The longest expression, blanks around it included, in bytes: far more than every field as a full list.
pub const EXPRESSION_BYTES_MAX: usize = 4096;

/// The most fields that any dialect has.
const FIELDS_MAX: usize = 7;

/// Nicknames and the five fields they stand for.
const NICKNAMES: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

impl CronExpr {
    /// Reads an expression. Two restricted day fields mean what the dialect says.
    ///
    /// ```
    /// use cronwright::spec::trigger::{CronExpr, Dialect};
    /// let error = CronExpr::parse("0 24 * * *", Dialect::Standard).unwrap_err();
    /// assert_eq!(error.message, "hour 24 is out of range 0–23");
    /// assert_eq!((error.start, error.end), (2, 4));
    /// ```
    pub fn parse(text: &str, dialect: Dialect) -> Result<Self, CronError> {
        Self::parse_matching(text, dialect, DayMatch::Any)
    }

    /// Reads an expression whose day fields are combined as `day_match` says.
    pub fn parse_matching(
        text: &str,
        dialect: Dialect,
        day_match: DayMatch,
    ) -> Result<Self, CronError> {
        let all = Piece { text, start: 0 };
        if text.len() > EXPRESSION_BYTES_MAX {
            let message = format!("the expression is longer than {EXPRESSION_BYTES_MAX} bytes");
            return Err(all.error(Field::Expression, message));
        }
        let blank = |c| c == ' ' || c == '\t';
        let start = text.len() - text.trim_start_matches(blank).len();
        let whole = Piece { text: text.trim_matches(blank), start };
        if whole.text.is_empty() {
            return Err(all.error(Field::Expression, "the expression is empty".to_owned()));
        }
        let has_nicknames = matches!(dialect, Dialect::Standard | Dialect::Crontab);
        if has_nicknames && whole.text.starts_with('@') {
            let fields = nickname(whole)?;
            return Self::parse_fields(Piece { text: fields, start: 0 }, dialect, day_match);
        }
        Self::parse_fields(whole, dialect, day_match)
    }

    fn parse_fields(
        whole: Piece<'_>,
        dialect: Dialect,
        day_match: DayMatch,
    ) -> Result<Self, CronError> {
        let mut pieces = [None; FIELDS_MAX];
        let mut count = 0;
        let blanks = |c| c == ' ' || c == '\t';
        for text in whole.text.split(blanks).filter(|text| !text.is_empty()) {
            // The pieces are parts of the whole, so their place is the distance of their addresses.
            let start = whole.start + (text.as_ptr() as usize - whole.text.as_ptr() as usize);
            if let Some(piece) = pieces.get_mut(count) {
                *piece = Some(Piece { text, start });
            }
            count += 1;
        }
        if !field_counts(dialect).contains(&count) {
            return Err(wrong_count(whole, dialect, count));
        }
        // With five fields there is no second; with fewer than seven no year.
        let mut rest = pieces.into_iter().flatten();
        let mut read = |field| {
            let piece = rest.next()?;
            Some(FieldShape::new(field, dialect).parse(piece).map(|set| (set, piece)))
        };
        let second = if count == 5 { None } else { read(Field::Second).transpose()? };
        let minute = read(Field::Minute).transpose()?.unwrap_or_else(no_field);
        let hour = read(Field::Hour).transpose()?.unwrap_or_else(no_field);
        let day = read(Field::Day).transpose()?.unwrap_or_else(no_field);
        let month = read(Field::Month).transpose()?.unwrap_or_else(no_field);
        let weekday = read(Field::Weekday).transpose()?.unwrap_or_else(no_field);
        let year = read(Field::Year).transpose()?;
        if dialect == Dialect::Quartz {
            check_quartz_days(&day, &weekday)?;
        }
        let fields = Fields {
            second: second.map_or_else(second_zero, |(set, _)| set),
            minute: minute.0,
            hour: hour.0,
            day: day.0,
            month: month.0,
            weekday: weekday.0,
            year: year.map(|(set, _)| set).filter(|set| !set.is_omitted()),
        };
        Ok(fields.compile(dialect, day_match))
    }
}

/// The fields of an expression, read one by one.
struct Fields {
    second: FieldSet,
    minute: FieldSet,
    hour: FieldSet,
    day: FieldSet,
    month: FieldSet,
    weekday: FieldSet,
    /// None: not given, or `*`.
    year: Option<FieldSet>,
}

impl Fields {
    fn compile(mut self, dialect: Dialect, day_match: DayMatch) -> CronExpr {
        if dialect == Dialect::Apscheduler {
            self.fill_omitted();
        }
        let either_day = match (dialect, day_match) {
            (Dialect::Quartz | Dialect::Apscheduler, _) | (_, DayMatch::All) => false,
            (Dialect::Standard | Dialect::Crontab, DayMatch::Any) => {
                let is_free = |set: &FieldSet| set.is_starred || set.form == FieldForm::Question;
                !is_free(&self.day) && !is_free(&self.weekday)
            }
        };
        let interval_like = self.second.is_wild || self.minute.is_wild || self.hour.is_wild;
        #[expect(clippy::cast_possible_truncation, reason = "values are within their field")]
        let expr = CronExpr {
            seconds: self.second.values,
            minutes: self.minute.values,
            hours: self.hour.values as u32,
            days: self.day.values as u32,
            months: self.month.values as u16,
            weekdays: self.weekday.values as u8,
            last_weekdays: self.weekday.last_weekdays,
            nth_weekdays: self.weekday.nth_weekdays,
            last_days: self.day.last_days,
            nearest: self.day.nearest,
            last_nearest: self.day.last_nearest,
            years: self.year.and_then(|set| set.years),
            dialect,
            either_day,
            interval_like,
            leap_days: LeapDays::AmongOthers,
        };
        canonical(expr)
    }

    /// `APScheduler`'s rule for `*`: fields less significant than the least significant one given
    /// take their minimum.
    fn fill_omitted(&mut self) {
        let date_is_given = self.year.is_some()
            || [&self.month, &self.day, &self.weekday].iter().any(|set| !set.is_omitted());
        let hour_is_given = !self.hour.is_omitted();
        let minute_is_given = !self.minute.is_omitted();
        if !self.second.is_omitted() {
            return;
        }
        if minute_is_given || hour_is_given || date_is_given {
            self.second = second_zero();
        }
        if !minute_is_given && (hour_is_given || date_is_given) {
            self.minute = second_zero();
        }
        if minute_is_given || hour_is_given {
            return;
        }
        if date_is_given {
            self.hour = second_zero();
        }
        self.fill_omitted_date();
    }

    /// The same rule for day and month; the weekday never gets a default.
    fn fill_omitted_date(&mut self) {
        let weekday_is_given = !self.weekday.is_omitted();
        let (day_is_omitted, month_is_omitted) = (self.day.is_omitted(), self.month.is_omitted());
        let day_is_least = !day_is_omitted || weekday_is_given;
        if day_is_least {
            return;
        }
        if !month_is_omitted || self.year.is_some() {
            self.day = FieldSet { values: 1 << 1, ..FieldSet::default() };
        }
        if month_is_omitted && self.year.is_some() {
            self.month = FieldSet { values: 1 << 1, ..FieldSet::default() };
        }
    }
}

/// One form for all expressions that match the same days.
fn canonical(mut expr: CronExpr) -> CronExpr {
    let every_date = expr.days == ALL_DAYS;
    let every_weekday = expr.weekdays == ALL_WEEKDAYS;
    if every_date || (expr.either_day && every_weekday) {
        expr.days = ALL_DAYS;
        (expr.last_days, expr.nearest, expr.last_nearest) = (0, 0, 0);
    }
    if every_weekday || (expr.either_day && every_date) {
        expr.weekdays = ALL_WEEKDAYS;
        (expr.last_weekdays, expr.nth_weekdays) = (0, 0);
    }
    expr.either_day &= !every_date && !every_weekday;
    // `mon,mon#2` is every Monday.
    expr.last_weekdays &= !expr.weekdays;
    for nth in 0..5 {
        expr.nth_weekdays &= !(u64::from(expr.weekdays) << (7 * nth));
    }
    let has_special_days = (expr.last_days | expr.nearest | expr.last_nearest) != 0;
    let only_leap_days = expr.months == 1 << 2
        && expr.days.trailing_zeros() >= 29
        && !has_special_days
        && !expr.either_day;
    let is_each = expr.days >> 29 & 1 != 0 && every_weekday && expr.years.is_none();
    expr.leap_days = match (only_leap_days, is_each) {
        (false, _) => LeapDays::AmongOthers,
        (true, false) => LeapDays::Only,
        (true, true) => LeapDays::Each,
    };
    debug_assert!(expr.seconds & !ALL_SIXTY == 0 && expr.minutes & !ALL_SIXTY == 0);
    debug_assert!(expr.hours & !ALL_HOURS == 0 && expr.months & !ALL_MONTHS == 0);
    expr
}

fn second_zero() -> FieldSet {
    FieldSet { values: 1, ..FieldSet::default() }
}

/// Stands for a field that the count of fields has already promised.
fn no_field<'a>() -> (FieldSet, Piece<'a>) {
    (second_zero(), Piece { text: "", start: 0 })
}

fn nickname(whole: Piece<'_>) -> Result<&'static str, CronError> {
    if let Some((_, fields)) = NICKNAMES.iter().find(|(name, _)| *name == whole.text) {
        return Ok(fields);
    }
    let text = quoted(whole.text);
    let error = whole.error(Field::Expression, format!("`{text}` is not a nickname"));
    let first = whole.text.split([' ', '\t']).next().unwrap_or_default();
    let lower = first.to_ascii_lowercase();
    Err(if NICKNAMES.iter().any(|(name, _)| *name == first) {
        error.with_help(format!("`{first}` stands alone"))
    } else if NICKNAMES.iter().any(|(name, _)| *name == lower) {
        error.with_help(format!("write `{lower}`"))
    } else if first == "@reboot" {
        error.with_help("a start of the machine is not a time; let the system's own service run it")
    } else if first == "@every" {
        error.with_help("a period is not a cron expression; write `interval: 5m`")
    } else {
        error.with_help("write @yearly, @monthly, @weekly, @daily or @hourly")
    })
}

fn field_counts(dialect: Dialect) -> std::ops::RangeInclusive<usize> {
    match dialect {
        Dialect::Standard => 5..=7,
        Dialect::Crontab => 5..=5,
        Dialect::Quartz | Dialect::Apscheduler => 6..=7,
    }
}

fn wrong_count(whole: Piece<'_>, dialect: Dialect, count: usize) -> CronError {
    let fields = match dialect {
        Dialect::Standard => {
            "5 fields (minute hour day month weekday), 6 with seconds first, 7 with the year last"
        }
        Dialect::Crontab => "5 fields: minute hour day month weekday",
        Dialect::Quartz | Dialect::Apscheduler => {
            "6 or 7 fields: second minute hour day month weekday [year]"
        }
    };
    let noun = if count == 1 { "field" } else { "fields" };
    let message = format!("this expression has {count} {noun}");
    whole.error(Field::Expression, message).with_help(format!("{} has {fields}", dialect.as_str()))
}

/// Quartz wants exactly one of the day fields to be `?`.
fn check_quartz_days(
    (day, _): &(FieldSet, Piece<'_>),
    (weekday, weekday_piece): &(FieldSet, Piece<'_>),
) -> Result<(), CronError> {
    let is_question = |set: &FieldSet| set.form == FieldForm::Question;
    let message = match (is_question(day), is_question(weekday)) {
        (true, false) | (false, true) => return Ok(()),
        (true, true) => "day and weekday are both `?`",
        (false, false) => "day and weekday are both given",
    };
    let error = weekday_piece.error(Field::Weekday, message.to_owned());
    Err(error.with_help("quartz wants exactly one of the two day fields to be `?`"))
}
