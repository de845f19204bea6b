//! One field of a cron expression: a list of values, ranges and steps. The `L`, `W` and `#` forms of
//! the day fields are [`super::special`].

use crate::spec::trigger::error::{CronError, Field, Piece};
use crate::spec::trigger::expr::{ALL_WEEKDAYS, Dialect, YEAR_FIRST, YEAR_LAST, Years};
use crate::time::quoted;

/// What a field accepts in a dialect.
#[derive(Debug, Clone, Copy)]
pub(super) struct FieldShape {
    pub(super) field: Field,
    pub(super) dialect: Dialect,
    pub(super) min: u32,
    /// The largest number that may be written.
    pub(super) max: u32,
    /// Where `*` and open steps end; differs from `max` where 7 is a second name for Sunday.
    pub(super) open_max: u32,
    /// Three-letter names; the first stands for `first_name`.
    names: &'static [&'static str],
    first_name: u32,
}

/// What a field says. Weekdays are numbered from Sunday = 0, whatever the dialect.
#[derive(Debug, Default)]
pub(super) struct FieldSet {
    /// Bit `n` for the value `n`.
    pub(super) values: u64,
    pub(super) years: Option<Box<Years>>,
    pub(super) last_days: u32,
    pub(super) nearest: u32,
    pub(super) last_nearest: u32,
    pub(super) last_weekdays: u8,
    pub(super) nth_weekdays: u64,
    /// The first item is `*`, `*/s` or an open step (A9).
    pub(super) is_wild: bool,
    /// The text begins with `*` (A3).
    pub(super) is_starred: bool,
    pub(super) form: FieldForm,
}

/// Whether a field restricts anything at all.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum FieldForm {
    /// It lists values.
    #[default]
    Items,
    /// It is `*`.
    Star,
    /// It is `?`.
    Question,
}

impl FieldSet {
    /// Whether the field is `*` or `?`.
    pub(super) fn is_omitted(&self) -> bool {
        self.form != FieldForm::Items
    }
}

const MONTH_NAMES: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const SUNDAY_FIRST: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const MONDAY_FIRST: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

impl FieldShape {
    /// The shape of a field in a dialect.
    pub(super) fn new(field: Field, dialect: Dialect) -> Self {
        let plain =
            |min, max| Self { field, dialect, min, max, open_max: max, names: &[], first_name: 0 };
        match field {
            Field::Second | Field::Minute | Field::Expression => plain(0, 59),
            Field::Hour => plain(0, 23),
            Field::Day => plain(1, 31),
            Field::Month => Self { names: &MONTH_NAMES, first_name: 1, ..plain(1, 12) },
            Field::Year => match dialect {
                Dialect::Apscheduler => plain(YEAR_FIRST, 9999),
                Dialect::Standard | Dialect::Crontab | Dialect::Quartz => plain(YEAR_FIRST, 2199),
            },
            Field::Weekday => match dialect {
                Dialect::Standard | Dialect::Crontab => {
                    Self { names: &SUNDAY_FIRST, open_max: 6, ..plain(0, 7) }
                }
                Dialect::Quartz => Self { names: &SUNDAY_FIRST, first_name: 1, ..plain(1, 7) },
                Dialect::Apscheduler => Self { names: &MONDAY_FIRST, ..plain(0, 6) },
            },
        }
    }

    /// Reads the field.
    pub(super) fn parse(&self, piece: Piece<'_>) -> Result<FieldSet, CronError> {
        let mut set = FieldSet {
            is_starred: piece.text.starts_with('*'),
            form: if piece.text == "*" { FieldForm::Star } else { FieldForm::Items },
            ..FieldSet::default()
        };
        if piece.text == "?" && self.accepts_question() {
            set.form = FieldForm::Question;
            set.is_wild = true;
            self.add_range(&mut set, self.min, self.open_max, 1);
            return Ok(set);
        }
        if set.form == FieldForm::Star {
            set.is_wild = true;
            self.add_range(&mut set, self.min, self.open_max, 1);
            return Ok(set);
        }
        for item in piece.split_list(b',') {
            if item.text.is_empty() {
                return Err(self.empty_item(piece, item));
            }
            let is_first = item.start == piece.start;
            if self.add_special(&mut set, item)? {
                if self.dialect == Dialect::Quartz && item.text.len() != piece.text.len() {
                    let message = format!("`{}` must stand alone in quartz", quoted(item.text));
                    return Err(item.error(self.field, message));
                }
            } else {
                let is_wild = self.add_item(&mut set, item)?;
                set.is_wild |= is_first && is_wild;
            }
        }
        if self.field == Field::Year {
            let years = set.years.get_or_insert_default();
            if years.is_empty() {
                years.insert_never();
            }
        }
        Ok(set)
    }

    fn is_day_field(&self) -> bool {
        matches!(self.field, Field::Day | Field::Weekday)
    }

    fn accepts_question(&self) -> bool {
        match self.dialect {
            Dialect::Standard | Dialect::Quartz => self.is_day_field(),
            Dialect::Apscheduler => true,
            Dialect::Crontab => false,
        }
    }

    /// Adds `*`, `n`, `a-b`, each perhaps with a step; returns whether it is a wild item.
    fn add_item(&self, set: &mut FieldSet, item: Piece<'_>) -> Result<bool, CronError> {
        let (base, step_piece) = item.split_at_sign(b'/');
        if base.text == "*" {
            let step = self.step(step_piece, self.min, self.open_max)?;
            self.add_range(set, self.min, self.open_max, step);
            return Ok(true);
        }
        let (first_piece, last_piece) = base.split_at_sign(b'-');
        let first = self.value(first_piece, item)?;
        let Some(last_piece) = last_piece else {
            let Some(step_piece) = step_piece else {
                self.add_range(set, first, first, 1);
                return Ok(false);
            };
            self.refuse_step_after_name(item, first_piece)?;
            if self.dialect == Dialect::Crontab {
                return Err(self.open_step(item, step_piece));
            }
            let step = self.step(Some(step_piece), first, self.open_max.max(first))?;
            self.add_range(set, first, self.open_max.max(first), step);
            return Ok(true);
        };
        let last = self.value(last_piece, item)?;
        let mixes = starts_with_letter(first_piece) != starts_with_letter(last_piece);
        if mixes && matches!(self.dialect, Dialect::Quartz | Dialect::Apscheduler) {
            let text = quoted(base.text);
            let message = format!("the range `{text}` mixes a name and a number");
            return Err(base.error(self.field, message));
        }
        if step_piece.is_some() {
            self.refuse_step_after_name(item, first_piece)?;
        }
        let last = self.range_end(base, first, last)?;
        let step = self.step(step_piece, first, last)?;
        self.add_range(set, first, last, step);
        Ok(false)
    }

    /// The end of a range, beyond the maximum when the range wraps around.
    fn range_end(&self, range: Piece<'_>, first: u32, last: u32) -> Result<u32, CronError> {
        if first <= last {
            return Ok(last);
        }
        let wraps = match self.dialect {
            Dialect::Standard | Dialect::Quartz => self.field != Field::Year,
            // Sunday is 0 and 7: as an end it is the later one.
            Dialect::Crontab => self.field == Field::Weekday && last == 0,
            Dialect::Apscheduler => false,
        };
        if wraps {
            return Ok(last + self.cycle());
        }
        let (text, max) = (quoted(range.text), self.open_max);
        let message = format!("the range `{text}` runs backwards");
        let error = range.error(self.field, message);
        if self.field == Field::Year {
            return Err(error.with_help("write the smaller year first"));
        }
        let min = self.min;
        Err(error.with_help(format!("write two ranges: `{first}-{max},{min}-{last}`")))
    }

    /// How many values there are before they repeat.
    fn cycle(&self) -> u32 {
        self.open_max - self.min + 1
    }

    /// Adds the values of a range; one beyond the maximum goes on with the minimum.
    fn add_range(&self, set: &mut FieldSet, first: u32, last: u32, step: u32) {
        match self.field {
            Field::Year => {
                let years = set.years.get_or_insert_default();
                // Years beyond the last that fires would only take time.
                let years_last = last.min(YEAR_LAST);
                (first..=years_last).step_by(step as usize).for_each(|year| years.insert(year));
            }
            Field::Weekday => {
                // Numbers up to 14, turned so that Sunday is 0, then laid over each other.
                let numbers = walk(first, last, step);
                let from_sunday = match self.dialect {
                    Dialect::Standard | Dialect::Crontab => numbers,
                    Dialect::Quartz => numbers >> 1,
                    Dialect::Apscheduler => numbers << 1,
                };
                set.values |= (from_sunday | from_sunday >> 7) & u64::from(ALL_WEEKDAYS);
            }
            Field::Expression
            | Field::Second
            | Field::Minute
            | Field::Hour
            | Field::Day
            | Field::Month => {
                set.values |= walk(first, last.min(self.max), step);
                if last > self.max {
                    let walked = (self.max - first) / step + 1;
                    let beyond = first.saturating_add(walked.saturating_mul(step));
                    let wrapped = beyond - self.cycle();
                    set.values |= walk(wrapped, last - self.cycle(), step);
                }
            }
        }
    }

    /// A weekday number of the dialect, counted from Sunday = 0.
    pub(super) fn weekday_number(&self, value: u32) -> u32 {
        match self.dialect {
            Dialect::Standard | Dialect::Crontab => value % 7,
            Dialect::Quartz => (value + 6) % 7,
            Dialect::Apscheduler => (value + 1) % 7,
        }
    }

    /// A step, which depends on the range it walks in some dialects.
    fn step(&self, piece: Option<Piece<'_>>, first: u32, last: u32) -> Result<u32, CronError> {
        let Some(piece) = piece else { return Ok(1) };
        if !is_number(piece.text) {
            let message = format!("`{}` is not a step", quoted(piece.text));
            return Err(piece.error(self.field, message).with_help("write a number from 1 up"));
        }
        let step = number(piece.text);
        if step == 0 {
            let message = "a step of 0 never moves on".to_owned();
            return Err(piece.error(self.field, message).with_help("write a number from 1 up"));
        }
        let step_max = match self.dialect {
            Dialect::Standard | Dialect::Crontab => u32::MAX,
            Dialect::Quartz => self.max,
            Dialect::Apscheduler => last - first,
        };
        if step > step_max {
            let (text, dialect) = (quoted(piece.text), self.dialect.as_str());
            let message =
                format!("a step of {text} is too large here: {dialect} allows up to {step_max}");
            return Err(piece.error(self.field, message));
        }
        Ok(step)
    }

    /// A number or a name of this field.
    pub(super) fn value(&self, piece: Piece<'_>, item: Piece<'_>) -> Result<u32, CronError> {
        if !is_number(piece.text) {
            return self.name(piece.text).ok_or_else(|| self.syntax(piece, item));
        }
        let value = number(piece.text);
        if (self.min..=self.max).contains(&value) {
            return Ok(value);
        }
        let (text, min, max) = (quoted(piece.text), self.min, self.max);
        let message = format!("{} {text} is out of range {min}–{max}", self.field);
        Err(piece.error(self.field, message))
    }

    fn name(&self, text: &str) -> Option<u32> {
        let index = self.names.iter().position(|name| name.eq_ignore_ascii_case(text))?;
        u32::try_from(index).ok().map(|index| index + self.first_name)
    }
}

/// Messages.
impl FieldShape {
    pub(super) fn syntax(&self, piece: Piece<'_>, item: Piece<'_>) -> CronError {
        let field = self.field;
        if piece.text == "?" {
            let message = format!("`?` cannot stand in the {field} field");
            return piece.error(field, message).with_help("write `*`");
        }
        let article = if field == Field::Hour { "an" } else { "a" };
        let message = format!("`{}` is not {article} {field}", quoted(item.text));
        item.error(field, message).with_help(self.syntax_help(piece.text))
    }

    fn syntax_help(&self, text: &str) -> String {
        let beginning = text.get(..3).unwrap_or_default();
        if self.name(beginning).is_some() && text.bytes().all(|b| b.is_ascii_alphabetic()) {
            return format!("names have three letters: `{}`", beginning.to_ascii_lowercase());
        }
        if self.dialect == Dialect::Crontab && self.is_day_field() && text.contains(['L', 'W', '#'])
        {
            return "`L`, `W` and `#` are known to `dialect: standard`".to_owned();
        }
        if self.field == Field::Weekday && text.eq_ignore_ascii_case("l") {
            return "`L` follows a weekday: `friL` is the last Friday of the month".to_owned();
        }
        let (min, max) = (self.min, self.max);
        match self.names.first().zip(self.names.last()) {
            Some((first, last)) => format!(
                "write a name {first}–{last}, a number {min}–{max}, a range `a-b`, a step `*/n`, or a list of these"
            ),
            None => format!(
                "write a number {min}–{max}, a range `a-b`, a step `*/n`, or a list of these"
            ),
        }
    }

    fn empty_item(&self, list: Piece<'_>, item: Piece<'_>) -> CronError {
        let at = item.start - list.start;
        // There is nothing to underline but the comma beside it.
        let comma = if at < list.text.len() { at } else { at.saturating_sub(1) };
        let message = format!("the list of the {} field has an empty item", self.field);
        list.part(comma, comma + 1).error(self.field, message)
    }

    fn open_step(&self, item: Piece<'_>, step: Piece<'_>) -> CronError {
        let (text, step, max) = (quoted(item.text), quoted(step.text), self.open_max);
        let first = item.split_at_sign(b'/').0.text;
        let message = format!("`{text}` has a step but no range");
        item.error(self.field, message)
            .with_help(format!("write `{first}-{max}/{step}` or `*/{step}`"))
    }

    fn refuse_step_after_name(&self, item: Piece<'_>, value: Piece<'_>) -> Result<(), CronError> {
        if self.dialect == Dialect::Apscheduler && starts_with_letter(value) {
            let message = format!("`{}`: names take no step in apscheduler", quoted(item.text));
            return Err(item.error(self.field, message));
        }
        Ok(())
    }
}

/// A mask of the values from one to another, which are below 64, by steps.
fn walk(first: u32, last: u32, step: u32) -> u64 {
    if first > last {
        return 0;
    }
    if step == 1 {
        return (u64::MAX >> (63 - (last - first))) << first;
    }
    (first..=last).step_by(step as usize).fold(0, |mask, value| mask | 1 << value)
}

fn starts_with_letter(piece: Piece<'_>) -> bool {
    piece.text.starts_with(|c: char| c.is_ascii_alphabetic())
}

pub(super) fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// A text of digits as a number; anything that does not fit is as large as possible.
pub(super) fn number(text: &str) -> u32 {
    text.bytes().fold(0_u32, |value, digit| {
        value.saturating_mul(10).saturating_add(u32::from(digit.wrapping_sub(b'0')))
    })
}
