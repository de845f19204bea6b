//! Cron triggers that name a wall time which clocks skip.

use std::ops::Range;

use crate::diagnostic::{Diagnostic, codes};
use crate::spec::manifest::lower::site::Site;
use crate::spec::trigger::{CronTrigger, ShiftEffect, ShiftNote};
use crate::time::{DurationText, Timestamp};

/// The years whose changes of clocks are looked at. All of them lie ahead of the last change of rules
/// that zone data of today announces, so that what is found there comes back every year; and Morocco's
/// dates, which are listed one by one, reach beyond. Whoever reads a manifest in 2060 is told the same.
pub const YEARS: Range<i32> = 2030..2050;

/// What one zone may have in [`YEARS`]: two gaps a year.
const GAPS_MAX: usize = 40;

/// Says what becomes of wall times inside a gap; silent when `gap` is given, which shows that the author
/// thought of it, and about triggers that follow the real clock anyway (A9).
pub fn check(cron: &CronTrigger, site: &Site<'_>, out: &mut Vec<Diagnostic>) {
    if cron.gap.is_some() || cron.expr.is_interval_like() || cron.zone.shifts().is_empty() {
        return;
    }
    let Some((after, until)) = span(cron) else { return };
    let notes = cron.shift_notes(after, until);
    let is_gap = |note: &&ShiftNote| note.effect == ShiftEffect::FiresAfterGap;
    let Some(first) = notes.iter().find(is_gap).filter(|gap| !is_due_at_end(cron, gap)) else {
        return;
    };
    let skipped = first.local_end - first.local_start;
    let shown = |local: chrono::NaiveDateTime| {
        let seconds = local.format("%S").to_string() != "00";
        local.format(if seconds { "%H:%M:%S" } else { "%H:%M" }).to_string()
    };
    let length = skipped.to_std().map(|length| DurationText(length).to_string());
    let when = if is_every_year(cron, &notes) { "once a year" } else { "in some years" };
    let message = format!(
        "{when} it falls on a day without {}: clocks in {} skip {} from {}",
        shown(first.first_match),
        cron.zone,
        length.unwrap_or_default(),
        shown(first.local_start),
    );
    let help = format!(
        "it is then due at {}, when clocks go on; `gap: next` says that this is meant, `gap: skip` leaves it out",
        shown(first.local_end)
    );
    out.push(site.diagnostic(codes::IN_GAP, message).help(help));
}

/// Whether the end of the gap is one of its times anyway: then nothing moves, and one of many is left out.
fn is_due_at_end(cron: &CronTrigger, gap: &ShiftNote) -> bool {
    let end_s = gap.local_end.and_utc().timestamp();
    cron.expr.next_local(end_s - 1) == Some(end_s)
}

/// Whether each gap of the years is one in which it would be due.
fn is_every_year(cron: &CronTrigger, notes: &[ShiftNote]) -> bool {
    let Some((after, until)) = span(cron) else { return false };
    let first = cron.zone.shifts_until(after.timestamp());
    let shifts = cron.zone.shifts().iter().skip(first).take(2 * GAPS_MAX);
    let gaps = shifts.filter(|shift| shift.is_gap() && shift.at_s <= until.timestamp()).count();
    notes.iter().filter(|note| note.effect == ShiftEffect::FiresAfterGap).count() == gaps
}

/// The years as instants; of a trigger that ends before them its own last year.
fn span(cron: &CronTrigger) -> Option<(Timestamp, Timestamp)> {
    let start = new_year(YEARS.start)?;
    let end =
        cron.end_date.map_or(new_year(YEARS.end), |end| Some(end.min(new_year(YEARS.end)?)))?;
    let a_year_before_end = end.checked_sub_signed(chrono::TimeDelta::days(366))?;
    Some((start.min(a_year_before_end), end))
}

fn new_year(year: i32) -> Option<Timestamp> {
    Some(chrono::NaiveDate::from_ymd_opt(year, 1, 1)?.and_time(chrono::NaiveTime::MIN).and_utc())
}
