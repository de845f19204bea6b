//! What of a trigger's fire times remains, and by how much starts are delayed: `calendar`, `exclude` and
//! `jitter`.

use std::sync::Arc;
use std::time::Duration;

use crate::diagnostic::{Diagnostic, codes};
use crate::spec::manifest::lower::calendars::{self, Calendar, Calendars};
use crate::spec::manifest::lower::layer::read_duration;
use crate::spec::manifest::lower::site::Site;
use crate::spec::manifest::raw::{RawCalendarUse, RawDuration, RawTrigger};
use crate::spec::trigger::{DayCalendar, FireFilter, Window};
use crate::time::{DurationText, Zone};

/// The longest jitter: an occurrence that waits for its start is not accounted for until then.
pub const JITTER_MAX: Duration = Duration::from_hours(24);

/// Reads `calendar` and `exclude` of a trigger in its zone; `site` is the trigger.
pub fn read_filter(
    raw: &RawTrigger,
    zone: &Zone,
    calendars: &Calendars,
    site: &Site<'_>,
    out: &mut Vec<Diagnostic>,
) -> Option<FireFilter> {
    let before = out.len();
    let calendar = raw.calendar.as_ref();
    let calendar =
        calendar.and_then(|used| read_days(used, calendars, &site.child("calendar"), out));
    let list = site.child("exclude");
    let mut exclude = Vec::new();
    for (at, used) in raw.exclude.iter().flatten().enumerate() {
        let windows = read_windows(used, zone, calendars, &list.item(at), out);
        exclude.extend(windows.into_iter().flatten());
    }
    (out.len() == before).then_some(FireFilter { calendar, exclude })
}

/// Reads `jitter`; `site` is its value.
pub fn read_jitter(
    raw: Option<&RawDuration>,
    site: &Site<'_>,
    out: &mut Vec<Diagnostic>,
) -> Option<Duration> {
    let Some(raw) = raw else { return Some(Duration::ZERO) };
    let jitter = read_duration(raw, site, out)?;
    if jitter > JITTER_MAX {
        let message = format!("a jitter of {} is too long", DurationText(jitter));
        let help = format!("the longest is {}", DurationText(JITTER_MAX));
        out.push(site.diagnostic(codes::BAD_JITTER, message).help(help));
        return None;
    }
    Some(jitter)
}

fn read_days(
    used: &RawCalendarUse,
    calendars: &Calendars,
    site: &Site<'_>,
    out: &mut Vec<Diagnostic>,
) -> Option<Arc<DayCalendar>> {
    match find(used, calendars, site, out)? {
        Calendar::Days(days) => Some(days),
        Calendar::Windows(_) => {
            let message = "`calendar` takes a set of days, and this is a set of windows";
            let help = "`exclude` takes windows";
            out.push(site.diagnostic(codes::BAD_CALENDAR, message).help(help));
            None
        }
    }
}

fn read_windows(
    used: &RawCalendarUse,
    zone: &Zone,
    calendars: &Calendars,
    site: &Site<'_>,
    out: &mut Vec<Diagnostic>,
) -> Option<Vec<Window>> {
    match find(used, calendars, site, out)? {
        Calendar::Windows(windows) => {
            let in_zone: Option<Vec<Window>> =
                windows.iter().map(|window| window.in_zone(zone)).collect();
            if in_zone.is_none() {
                let message = format!("a window of this calendar has no time in {zone}");
                out.push(site.diagnostic(codes::BAD_DATE, message));
            }
            in_zone
        }
        Calendar::Days(_) => {
            let message = "`exclude` takes windows, and this is a set of days";
            let help = "take the days out with `except` of the calendar that `calendar` names";
            out.push(site.diagnostic(codes::BAD_CALENDAR, message).help(help));
            None
        }
    }
}

fn find(
    used: &RawCalendarUse,
    calendars: &Calendars,
    site: &Site<'_>,
    out: &mut Vec<Diagnostic>,
) -> Option<Calendar> {
    match used {
        RawCalendarUse::Named(name) => calendars.find(name, site, out),
        RawCalendarUse::Inline(raw) => calendars::read(raw, site, out),
    }
}
