//! Calendars: read where they are declared, looked up where a trigger uses them.
//!
//! A calendar is a set of days or a set of windows, never both (A7). Windows are local times: which
//! instants they are is known only in the zone of the trigger that excludes them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::{NaiveDate, Weekday};

use crate::diagnostic::suggest::nearest;
use crate::diagnostic::{Diagnostic, Place, codes, quoted};
use crate::spec::manifest::lower::layer::{read_duration, sentence};
use crate::spec::manifest::lower::site::Site;
use crate::spec::manifest::raw::{RawCalendar, RawDate, RawDays, RawWeekday, RawWindow};
use crate::spec::trigger::{
    CronExpr, CronTrigger, DayCalendar, DayMatch, DayRange, Dialect, Window, parse_date_text,
};
use crate::time::{Timestamp, Zone};

/// A calendar that was read.
#[derive(Debug, Clone, PartialEq)]
pub enum Calendar {
    /// For `calendar`.
    Days(Arc<DayCalendar>),
    /// For `exclude`.
    Windows(Vec<LocalWindow>),
}

/// A window in no zone yet.
#[derive(Debug, Clone, PartialEq)]
pub enum LocalWindow {
    /// From one time to another, as written; both are known to be dates.
    Once {
        /// The first moment inside.
        start: String,
        /// The first moment after it.
        end: String,
    },
    /// From each fire time on.
    Recurring {
        /// Begins it.
        expr: CronExpr,
        /// How long it lasts.
        duration: Duration,
    },
}

/// A calendar as a file declares it.
#[derive(Debug, Clone, PartialEq)]
pub struct DeclaredCalendar {
    /// Its name.
    pub name: String,
    /// Where the name stands.
    pub place: Place,
    /// None: it has a mistake, which is reported.
    pub calendar: Option<Calendar>,
}

/// The calendars that a snapshot declares, by name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Calendars {
    /// What stands for each name.
    pub by_name: BTreeMap<String, KnownCalendar>,
    /// Whether a manifest could not be read at all: it may declare more.
    pub is_partial: bool,
}

/// A calendar among those of all files.
#[derive(Debug, Clone, PartialEq)]
pub struct KnownCalendar {
    /// None: it is declared with a mistake, or twice.
    pub calendar: Option<Calendar>,
    /// The manifest that declares it.
    pub path: String,
    /// Whether that manifest can be used as it is.
    pub is_valid: bool,
}

impl Calendars {
    /// The calendar of a name; else a complaint.
    pub fn find(&self, name: &str, site: &Site<'_>, out: &mut Vec<Diagnostic>) -> Option<Calendar> {
        let own = &site.source().path;
        match self.by_name.get(name) {
            Some(KnownCalendar { calendar: Some(calendar), is_valid, path })
                if *is_valid || path == own =>
            {
                return Some(calendar.clone());
            }
            Some(KnownCalendar { calendar: Some(_), path, .. }) => {
                let message = format!(
                    "the calendar {} cannot be used: {} is invalid",
                    quoted(name),
                    quoted(path)
                );
                let help =
                    "mend that manifest; until then the jobs here stay as they were last applied";
                out.push(site.diagnostic(codes::BAD_CALENDAR, message).help(help));
            }
            Some(KnownCalendar { calendar: None, .. }) => {
                let message = format!("the calendar {} cannot be used", quoted(name));
                let help = "mend its declaration under `calendars`, which is reported too";
                out.push(site.diagnostic(codes::BAD_CALENDAR, message).help(help));
            }
            None => {
                let message = format!("no manifest declares the calendar {}", quoted(name));
                let near = nearest(name, self.by_name.keys().map(String::as_str));
                let help = match near {
                    Some(near) => format!("did you mean `{near}`?"),
                    None if self.is_partial => {
                        "a manifest that cannot be read may declare it: mend that first".to_owned()
                    }
                    None => "declare it under `calendars` of any manifest".to_owned(),
                };
                out.push(site.diagnostic(codes::UNKNOWN_CALENDAR, message).help(help));
            }
        }
        None
    }
}

impl Calendars {
    /// Takes the calendars of invalid manifests out of use in all others; whether that changed anything.
    pub fn disown(&mut self, invalid: &BTreeSet<&str>) -> bool {
        let mut has_changed = false;
        for known in self.by_name.values_mut() {
            if known.is_valid && invalid.contains(known.path.as_str()) {
                known.is_valid = false;
                has_changed |= known.calendar.is_some();
            }
        }
        has_changed
    }
}

/// Reads a calendar; `site` is its map.
pub fn read(raw: &RawCalendar, site: &Site<'_>, out: &mut Vec<Diagnostic>) -> Option<Calendar> {
    let before = out.len();
    let is_days = raw.weekdays.is_some() || raw.except.is_some() || raw.also.is_some();
    let calendar = match &raw.windows {
        Some(windows) if !is_days => {
            let list = site.child("windows");
            let windows = windows.iter().enumerate();
            let windows = windows.filter_map(|(at, raw)| read_window(raw, &list.item(at), out));
            Calendar::Windows(windows.collect())
        }
        None if is_days => Calendar::Days(Arc::new(read_days(raw, site, out))),
        Some(_) | None => {
            let message = if is_days {
                "a calendar is a set of days or a set of windows, not both"
            } else {
                "this calendar is neither a set of days nor a set of windows"
            };
            let help = "write `weekdays`, `except` and `also`, or `windows`";
            out.push(site.diagnostic(codes::BAD_CALENDAR, message).help(help));
            return None;
        }
    };
    (out.len() == before).then_some(calendar)
}

fn read_days(raw: &RawCalendar, site: &Site<'_>, out: &mut Vec<Diagnostic>) -> DayCalendar {
    if let (None, None, Some(_)) = (&raw.weekdays, &raw.except, &raw.also) {
        let message = "`also` adds nothing to a calendar that has every day";
        let help = "write `weekdays: []` for these days only";
        out.push(site.key("also").diagnostic(codes::IDLE_FIELD, message).help(help));
    }
    let weekdays: Vec<Weekday> = match &raw.weekdays {
        Some(named) => named.iter().copied().map(RawWeekday::weekday).collect(),
        None => RawWeekday::ALL.map(RawWeekday::weekday).to_vec(),
    };
    let mut ranges = |key: &str, written: &Option<Vec<RawDays>>| {
        let list = site.child(key);
        let written = written.iter().flatten().enumerate();
        written.filter_map(|(at, days)| read_range(days, &list.item(at), out)).collect()
    };
    let except = ranges("except", &raw.except);
    let also = ranges("also", &raw.also);
    DayCalendar::new(&weekdays, except, also)
}

fn read_range(raw: &RawDays, site: &Site<'_>, out: &mut Vec<Diagnostic>) -> Option<DayRange> {
    let (first, last) = raw.0.split_once("..").unwrap_or((&raw.0, &raw.0));
    let mut day = |text: &str| {
        let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok();
        if day.is_none() {
            let message = format!("there is no day {}", quoted(text));
            out.push(site.diagnostic(codes::BAD_DATE, message));
        }
        day
    };
    let (first, last) = (day(first)?, day(last)?);
    if last < first {
        let message = "these days end before they begin";
        out.push(site.diagnostic(codes::END_BEFORE_START, message).help("write the earlier first"));
        return None;
    }
    Some(DayRange { first, last })
}

fn read_window(raw: &RawWindow, site: &Site<'_>, out: &mut Vec<Diagnostic>) -> Option<LocalWindow> {
    let missing = |key: &str, beside: &str, out: &mut Vec<Diagnostic>| {
        let message = format!("a window with `{beside}` needs `{key}`");
        out.push(site.diagnostic(codes::MISSING_FIELD, message));
    };
    let idle = |keys: &[(&str, bool)], beside: &str, out: &mut Vec<Diagnostic>| {
        for (key, _) in keys.iter().filter(|(_, given)| *given) {
            let message = format!("`{key}` does nothing beside `{beside}`");
            let complaint = site.key(key).diagnostic(codes::IDLE_FIELD, message);
            out.push(complaint.help("remove it"));
        }
    };
    match (&raw.start, &raw.cron) {
        (Some(start), _) => {
            let beside = [
                ("cron", raw.cron.is_some()),
                ("duration", raw.duration.is_some()),
                ("day_match", raw.day_match.is_some()),
            ];
            idle(&beside, "start", out);
            let Some(end) = &raw.end else {
                missing("end", "start", out);
                return None;
            };
            read_once(start, end, site, out)
        }
        (None, Some(cron)) => {
            idle(&[("end", raw.end.is_some())], "cron", out);
            let Some(duration) = &raw.duration else {
                missing("duration", "cron", out);
                return None;
            };
            let place = site.child("duration");
            let duration = read_duration(duration, &place, out)?;
            if duration.is_zero() {
                out.push(place.diagnostic(codes::ZERO_DURATION, "a window of no length"));
                return None;
            }
            let place = site.child("cron");
            let day_match = raw.day_match.unwrap_or(DayMatch::Any);
            let expr = read_expression(cron, Dialect::Standard, day_match, &place, out)?;
            Some(LocalWindow::Recurring { expr, duration })
        }
        // The schema asks for one of them.
        (None, None) => None,
    }
}

/// A window between two dates. Which comes first does not depend on the zone.
fn read_once(
    start: &RawDate,
    end: &RawDate,
    site: &Site<'_>,
    out: &mut Vec<Diagnostic>,
) -> Option<LocalWindow> {
    let utc = Zone::utc();
    let mut read = |raw: &RawDate, key: &str| match parse_date_text(&raw.0, &utc) {
        Ok(at) => Some(at),
        Err(error) => {
            let place = site.child(key).part(error.start..error.end);
            out.push(sentence(&place, codes::BAD_DATE, &error.message));
            None
        }
    };
    let (from, until) = (read(start, "start")?, read(end, "end")?);
    if until <= from {
        let message = "this window ends before it begins, or at once";
        let complaint = site.child("end").diagnostic(codes::END_BEFORE_START, message);
        out.push(complaint.related(site.child("start").place(), "the start"));
        return None;
    }
    Some(LocalWindow::Once { start: start.0.clone(), end: end.0.clone() })
}

/// A cron expression; else a complaint at its place inside the text.
pub fn read_expression(
    text: &str,
    dialect: Dialect,
    day_match: DayMatch,
    site: &Site<'_>,
    out: &mut Vec<Diagnostic>,
) -> Option<CronExpr> {
    match CronExpr::parse_matching(text, dialect, day_match) {
        Ok(expr) => Some(expr),
        Err(error) => {
            let message = format!("this is not a cron expression: {}", error.message);
            let place = site.clone().part(error.start..error.end);
            let mut diagnostic = place.diagnostic(codes::BAD_CRON, message);
            diagnostic.help = error.help;
            out.push(diagnostic);
            None
        }
    }
}

impl LocalWindow {
    /// The window in a zone; none when a date cannot be told there.
    pub fn in_zone(&self, zone: &Zone) -> Option<Window> {
        let instant = |text: &str| -> Option<Timestamp> { parse_date_text(text, zone).ok() };
        Some(match self {
            Self::Once { start, end } => {
                Window::Once { start: instant(start)?, end: instant(end)? }
            }
            Self::Recurring { expr, duration } => Window::Recurring {
                cron: Box::new(CronTrigger::new(expr.clone(), zone.clone())),
                duration: *duration,
            },
        })
    }
}

impl RawWeekday {
    const ALL: [Self; 7] =
        [Self::Mon, Self::Tue, Self::Wed, Self::Thu, Self::Fri, Self::Sat, Self::Sun];

    fn weekday(self) -> Weekday {
        match self {
            Self::Mon => Weekday::Mon,
            Self::Tue => Weekday::Tue,
            Self::Wed => Weekday::Wed,
            Self::Thu => Weekday::Thu,
            Self::Fri => Weekday::Fri,
            Self::Sat => Weekday::Sat,
            Self::Sun => Weekday::Sun,
        }
    }
}
