//! The normal form of a cron expression: [`CronExpr`] to the one text that stands for it.
//!
//! The text reads back, in the same dialect, as an equal expression. So it must keep what rule A9
//! asks (whether a time field begins with a star or an open step) and what crontab's rule for two
//! day fields asks (whether one of them begins with a star).

use std::fmt;

use crate::spec::trigger::expr::{
    ALL_DAYS, ALL_MONTHS, ALL_WEEKDAYS, CronExpr, DayMatch, Dialect, Years, bits,
};

impl fmt::Display for CronExpr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [second, minute, hour] = self.time_texts();
        if self.has_second_field() {
            write!(f, "{second} ")?;
        }
        let (day, weekday) = (self.day_text(), self.weekday_text());
        write!(f, "{minute} {hour} {day} {} {weekday}", self.month_text())?;
        match &self.years {
            Some(years) => write!(f, " {}", year_text(years)),
            None => Ok(()),
        }
    }
}

impl CronExpr {
    /// The `day_match` with which the normal form must be read.
    pub fn day_match(&self) -> DayMatch {
        let is_crontab = matches!(self.dialect, Dialect::Standard | Dialect::Crontab);
        let both_restricted = self.restricts_day() && self.weekdays != ALL_WEEKDAYS;
        if is_crontab && both_restricted && !self.either_day && self.starred_day().is_none() {
            DayMatch::All
        } else {
            DayMatch::Any
        }
    }

    fn has_second_field(&self) -> bool {
        match self.dialect {
            Dialect::Crontab => false,
            Dialect::Standard => self.seconds != 1 || self.years.is_some(),
            Dialect::Quartz | Dialect::Apscheduler => true,
        }
    }

    fn restricts_day(&self) -> bool {
        self.days != ALL_DAYS
    }

    /// Second, minute, hour.
    fn time_texts(&self) -> [String; 3] {
        let spans = [
            Span::new(self.dialect, self.seconds, 0, 59),
            Span::new(self.dialect, self.minutes, 0, 59),
            Span::new(self.dialect, self.hours.into(), 0, 23),
        ];
        if !self.interval_like {
            return spans.map(|span| span.list());
        }
        let mut texts = spans.map(|span| span.star().unwrap_or_else(|| span.list()));
        if spans.iter().all(|span| span.star().is_none()) {
            // No field is a plain star or step, yet one began with it, followed by more items.
            let mut best: Option<(u32, usize, Progression)> = None;
            let shown = if self.has_second_field() { &[1, 2, 0][..] } else { &[1, 2][..] };
            for &index in shown {
                let found = spans.get(index).and_then(Span::longest_open_step);
                if let Some((count, open_step)) = found
                    && best.is_none_or(|(best_count, ..)| count > best_count)
                {
                    best = Some((count, index, open_step));
                }
            }
            if let Some((_, index, open_step)) = best
                && let Some((text, span)) = texts.get_mut(index).zip(spans.get(index))
            {
                *text = span.beginning_with(open_step);
            }
        }
        if self.dialect == Dialect::Apscheduler && texts[0] == "*" && !self.is_every_second() {
            // A bare star here would count as not given and become second 0.
            "*/1".clone_into(&mut texts[0]);
        }
        texts
    }

    fn is_every_second(&self) -> bool {
        let full = CronExpr {
            seconds: (1 << 60) - 1,
            minutes: (1 << 60) - 1,
            hours: (1 << 24) - 1,
            days: ALL_DAYS,
            months: ALL_MONTHS,
            weekdays: ALL_WEEKDAYS,
            ..self.clone()
        };
        full == *self && self.years.is_none()
    }

    fn month_text(&self) -> String {
        let span = Span::new(self.dialect, self.months.into(), 1, 12);
        span.star().filter(|text| text.starts_with('*')).unwrap_or_else(|| span.list())
    }

    /// The day field as `*/n`, when it is no more than that.
    fn starred_day(&self) -> Option<String> {
        if (self.last_days | self.nearest | self.last_nearest) != 0 {
            return None;
        }
        let span = Span::new(self.dialect, self.days.into(), 1, 31);
        span.star().filter(|text| text.starts_with('*'))
    }

    fn day_text(&self) -> String {
        let weekday_is_free = self.weekdays == ALL_WEEKDAYS;
        if !self.restricts_day() {
            let is_question = self.dialect == Dialect::Quartz && !weekday_is_free;
            return if is_question { "?" } else { "*" }.to_owned();
        }
        if !self.either_day
            && let Some(text) = self.starred_day()
        {
            return text;
        }
        let mut items = Vec::new();
        if self.days != 0 {
            items.push(Span::new(self.dialect, self.days.into(), 1, 31).list());
        }
        let (last, back_sign) = match self.dialect {
            Dialect::Apscheduler => ("last", ""),
            Dialect::Standard | Dialect::Crontab | Dialect::Quartz => ("L", "-"),
        };
        let from_end = |back: u32, end: &str| match back {
            0 => format!("{last}{end}"),
            _ => format!("{last}{back_sign}{back}{end}"),
        };
        items.extend(bits(self.nearest).map(|day| format!("{day}W")));
        items.extend(bits(self.last_days).map(|back| from_end(back, "")));
        items.extend(bits(self.last_nearest).map(|back| from_end(back, "W")));
        items.join(",")
    }

    fn weekday_text(&self) -> String {
        if self.weekdays == ALL_WEEKDAYS {
            let is_question = self.dialect == Dialect::Quartz;
            return if is_question { "?" } else { "*" }.to_owned();
        }
        // Monday first: then a working week is a plain range in every dialect.
        let monday_first = u64::from(self.weekdays >> 1 | (self.weekdays & 1) << 6);
        let mut items = Vec::new();
        if monday_first != 0 {
            let name = |weekday| weekday_name(weekday).to_owned();
            items.push(Span::new(self.dialect, monday_first, 0, 6).runs_text(name));
        }
        for nth in 1..=5 {
            let week = self.nth_weekdays >> (7 * (nth - 1)) & u64::from(ALL_WEEKDAYS);
            let named = (0..7).filter(|day| week >> day & 1 != 0);
            items.extend(named.map(|day| format!("{}#{nth}", weekday_name((day + 6) % 7))));
        }
        let last = bits(self.last_weekdays.into());
        items.extend(last.map(|day| format!("{}L", weekday_name((day + 6) % 7))));
        items.join(",")
    }
}

/// The values of one field, between its bounds.
#[derive(Debug, Clone, Copy)]
struct Span {
    dialect: Dialect,
    values: u64,
    min: u32,
    max: u32,
}

/// `start/step`: from a value to the field's maximum.
#[derive(Debug, Clone, Copy)]
struct Progression {
    start: u32,
    step: u32,
}

impl Span {
    fn new(dialect: Dialect, values: u64, min: u32, max: u32) -> Self {
        Self { dialect, values, min, max }
    }

    /// The whole field as `*`, `*/s` or `a/s`, where people would write it so.
    fn star(&self) -> Option<String> {
        let start = self.values.trailing_zeros();
        let rest = self.values & (self.values - 1);
        if rest == 0 {
            return None;
        }
        let step = rest.trailing_zeros() - start;
        let open_step = Progression { start, step };
        let is_whole = self.values == self.progression_values(open_step);
        let is_regular =
            self.values.count_ones() > 2 || (self.max - self.min + 1).is_multiple_of(step);
        let misses_none_before = start - self.min < step;
        let is_allowed = self.dialect != Dialect::Crontab || start == self.min;
        (is_whole && is_regular && misses_none_before && is_allowed)
            .then(|| self.open_text(open_step))
    }

    /// The open step within the values that covers most of them, and how many it covers.
    fn longest_open_step(&self) -> Option<(u32, Progression)> {
        let mut best: Option<(u32, Progression)> = None;
        for start in (self.min..=self.max).filter(|value| self.values >> value & 1 != 0) {
            for step in 1..=self.step_max(start) {
                let open_step = Progression { start, step };
                let covered = self.progression_values(open_step);
                let count = covered.count_ones();
                if covered & !self.values == 0 && best.is_none_or(|(most, _)| count > most) {
                    best = Some((count, open_step));
                }
            }
        }
        best
    }

    /// The largest step that may follow a start in the dialect, as far as larger ones differ.
    fn step_max(&self, start: u32) -> u32 {
        let span = self.max - start;
        match self.dialect {
            Dialect::Standard => span + 1,
            Dialect::Crontab if start == self.min => span + 1,
            Dialect::Crontab => 0,
            Dialect::Quartz => (span + 1).min(self.max),
            Dialect::Apscheduler => span,
        }
    }

    fn progression_values(&self, Progression { start, step }: Progression) -> u64 {
        let values = (start..=self.max).step_by(step as usize);
        values.fold(0, |mask, value| mask | 1 << value)
    }

    fn open_text(&self, Progression { start, step }: Progression) -> String {
        match (start == self.min, step) {
            (true, 1) => "*".to_owned(),
            (true, _) => format!("*/{step}"),
            (false, _) => format!("{start}/{step}"),
        }
    }

    /// An open step first, then the values that it does not cover.
    fn beginning_with(&self, open_step: Progression) -> String {
        let left = self.values & !self.progression_values(open_step);
        let text = self.open_text(open_step);
        if left == 0 { text } else { format!("{text},{}", Self { values: left, ..*self }.list()) }
    }

    /// Numbers, ranges and bounded steps; `*` only for a field that tells nothing by it.
    fn list(&self) -> String {
        let first = self.values.trailing_zeros();
        let rest = self.values & (self.values.saturating_sub(1));
        let count = self.values.count_ones();
        let last = self.values.checked_ilog2().unwrap_or_default();
        let step = rest.trailing_zeros().saturating_sub(first);
        if count >= 4 && step > 1 && step * (count - 1) == last - first {
            let walked = (first..=last).step_by(step as usize).fold(0, |mask, v| mask | 1_u64 << v);
            if walked == self.values {
                return format!("{first}-{last}/{step}");
            }
        }
        self.runs_text(|value| value.to_string())
    }

    /// Values and ranges; where ranges may wrap around, the last goes on with the first.
    fn runs_text(&self, name: impl Fn(u32) -> String) -> String {
        let mut runs: Vec<(u32, u32)> = runs(self.values).collect();
        let wraps = matches!(self.dialect, Dialect::Standard | Dialect::Quartz);
        if let [(min, head), .., (tail, max)] = runs[..]
            && wraps
            && (min, max) == (self.min, self.max)
            && (head > min || tail < max)
        {
            runs.remove(0);
            runs.pop();
            runs.push((tail, head));
        }
        let text = |(first, last): (u32, u32)| match last.checked_sub(first) {
            Some(0) => name(first),
            Some(1) => format!("{},{}", name(first), name(last)),
            Some(_) | None => format!("{}-{}", name(first), name(last)),
        };
        runs.into_iter().map(text).collect::<Vec<_>>().join(",")
    }
}

/// The runs of neighbouring values: first and last of each.
fn runs(values: u64) -> impl Iterator<Item = (u32, u32)> {
    let mut left = values;
    std::iter::from_fn(move || {
        if left == 0 {
            return None;
        }
        let first = left.trailing_zeros();
        let length = (left >> first).trailing_ones();
        let run = (u64::MAX >> (64 - length)) << first;
        left &= !run;
        Some((first, first + length - 1))
    })
}

fn year_text(years: &Years) -> String {
    let years: Vec<u32> = years.iter().collect();
    if let [first, second, _, .., last] = years[..]
        && let step = second - first
        && step > 1
        && years.windows(2).all(|pair| pair[1] - pair[0] == step)
    {
        return format!("{first}-{last}/{step}");
    }
    let runs = years.chunk_by(|year, next| year + 1 == *next);
    let text = |run: &[u32]| match run {
        [first, .., last] => format!("{first}-{last}"),
        _ => run.iter().map(u32::to_string).collect(),
    };
    runs.map(text).collect::<Vec<_>>().join(",")
}

/// The name of a weekday, Monday = 0.
fn weekday_name(weekday: u32) -> &'static str {
    const NAMES: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    NAMES.get(weekday as usize).copied().unwrap_or_default()
}
