//! The triggers of a job, from the short form or the list.

use crate::diagnostic::{Diagnostic, codes, quoted};
use crate::spec::manifest::lower::layer::{read_duration, read_zone, sentence};
use crate::spec::manifest::lower::site::Site;
use crate::spec::manifest::raw::{RawDate, RawDuration, RawTrigger};
use crate::spec::manifest::rules::cron;
use crate::spec::trigger::{
    CronExpr, CronTrigger, DateTrigger, Dialect, IntervalStart, IntervalTrigger, Schedule, Trigger,
    parse_date_text,
};
use crate::time::{Timestamp, Zone};

/// What a job says about when it is due.
#[derive(Debug, Default)]
pub struct RawTriggers {
    /// `cron`, `interval` or `date` of the job itself.
    pub short: RawTrigger,
    /// `triggers`.
    pub list: Option<Vec<RawTrigger>>,
}

/// Reads the triggers; `site` is the job, `zone` that of triggers that name none.
pub fn read(
    raw: &RawTriggers,
    zone: &Zone,
    site: &Site<'_>,
    out: &mut Vec<Diagnostic>,
) -> Vec<Trigger> {
    let kinds = kinds(&raw.short);
    if let [first, second, ..] = forms(raw, &kinds).as_slice() {
        let (first_site, second_site) = (site.key(first), site.key(second));
        let message = format!("two ways to say when it is due: `{first}` and `{second}`");
        let diagnostic = second_site
            .diagnostic(codes::TRIGGER_KIND, message)
            .label("the second")
            .related(first_site.place(), "the first")
            .help("put every trigger into the list `triggers`");
        out.push(diagnostic);
        return Vec::new();
    }
    if !kinds.is_empty() {
        return read_one(&raw.short, zone, site, out).into_iter().collect();
    }
    let list = site.child("triggers");
    let triggers = raw.list.iter().flatten().enumerate();
    triggers.filter_map(|(at, trigger)| read_one(trigger, zone, &list.item(at), out)).collect()
}

fn kinds(raw: &RawTrigger) -> Vec<&'static str> {
    let given = [
        ("cron", raw.cron.is_some()),
        ("interval", raw.interval.is_some()),
        ("date", raw.date.is_some()),
    ];
    given.into_iter().filter(|(_, given)| *given).map(|(kind, _)| kind).collect()
}

fn forms<'k>(raw: &RawTriggers, kinds: &[&'k str]) -> Vec<&'k str> {
    let list = raw.list.is_some().then_some("triggers");
    kinds.iter().copied().chain(list).collect()
}

fn read_one(
    raw: &RawTrigger,
    zone: &Zone,
    site: &Site<'_>,
    out: &mut Vec<Diagnostic>,
) -> Option<Trigger> {
    let own_zone = match &raw.timezone {
        Some(name) => Some(read_zone(name, &site.child("timezone"), out)?),
        None => None,
    };
    let zone = own_zone.as_ref().unwrap_or(zone);
    let before = out.len();
    let trigger = match (&raw.cron, &raw.interval, &raw.date) {
        (Some(text), _, _) => read_cron(text, raw, zone, site, out).map(Trigger::from),
        (None, Some(period), _) => read_interval(period, raw, zone, site, out).map(Trigger::from),
        (None, None, Some(date)) => {
            read_date_trigger(date, raw, zone, site, out).map(Trigger::from)
        }
        // The schema asks for one of them.
        (None, None, None) => None,
    }?;
    if !trigger.can_ever_fire() && out.len() == before {
        let kind = trigger.kind().as_str();
        let message = "this trigger can never fire, in any year";
        let help = match &trigger.schedule {
            Schedule::Cron(_) => "no date has this day, month and weekday between start and end",
            Schedule::Interval(_) | Schedule::Date(_) => {
                "nothing lies between its start and its end"
            }
        };
        out.push(site.child(kind).diagnostic(codes::NEVER_FIRES, message).help(help));
    }
    Some(trigger)
}

fn read_cron(
    text: &str,
    raw: &RawTrigger,
    zone: &Zone,
    site: &Site<'_>,
    out: &mut Vec<Diagnostic>,
) -> Option<CronTrigger> {
    refuse_idle("anchor", raw.anchor.as_ref(), "cron", site, out);
    let bounds = read_bounds(raw, zone, site, out);
    let place = site.child("cron");
    let expr = match CronExpr::parse(text, Dialect::Standard) {
        Ok(expr) => expr,
        Err(error) => {
            let message = format!("this is not a cron expression: {}", error.message);
            let mut diagnostic =
                place.part(error.start..error.end).diagnostic(codes::BAD_CRON, message);
            diagnostic.help = error.help;
            out.push(diagnostic);
            return None;
        }
    };
    cron::check(text, &place, out);
    let mut trigger = CronTrigger::new(expr, zone.clone());
    (trigger.start_date, trigger.end_date) = bounds;
    Some(trigger)
}

fn read_interval(
    period: &RawDuration,
    raw: &RawTrigger,
    zone: &Zone,
    site: &Site<'_>,
    out: &mut Vec<Diagnostic>,
) -> Option<IntervalTrigger> {
    let place = site.child("interval");
    let (start, end) = read_bounds(raw, zone, site, out);
    let anchor = raw.anchor.as_ref().map(|date| read_date(date, zone, &site.child("anchor"), out));
    let duration = read_duration(period, &place, out)?;
    let mut trigger = match IntervalTrigger::new(duration, zone.clone()) {
        Ok(trigger) => trigger,
        Err(error) if duration.is_zero() => {
            out.push(sentence(&place, codes::ZERO_DURATION, &error.to_string()));
            return None;
        }
        Err(error) => {
            out.push(sentence(&place, codes::BAD_DURATION, &error.to_string()));
            return None;
        }
    };
    if let Some(anchor) = anchor {
        trigger = trigger.with_anchor(anchor?);
    }
    if let Some(start) = start {
        trigger = trigger.with_start(IntervalStart::At(start));
    }
    if let Some(end) = end {
        trigger = trigger.with_end(end);
    }
    Some(trigger)
}

fn read_date_trigger(
    date: &RawDate,
    raw: &RawTrigger,
    zone: &Zone,
    site: &Site<'_>,
    out: &mut Vec<Diagnostic>,
) -> Option<DateTrigger> {
    for (key, value) in
        [("anchor", &raw.anchor), ("start_date", &raw.start_date), ("end_date", &raw.end_date)]
    {
        refuse_idle(key, value.as_ref(), "date", site, out);
    }
    let at = read_date(date, zone, &site.child("date"), out)?;
    Some(DateTrigger::new(at, zone.clone()))
}

fn refuse_idle(
    key: &str,
    value: Option<&RawDate>,
    kind: &str,
    site: &Site<'_>,
    out: &mut Vec<Diagnostic>,
) {
    if value.is_some() {
        let message = format!("`{key}` does nothing beside `{kind}`");
        out.push(site.key(key).diagnostic(codes::IDLE_FIELD, message).help("remove it"));
    }
}

/// `start_date` and `end_date`, both included.
fn read_bounds(
    raw: &RawTrigger,
    zone: &Zone,
    site: &Site<'_>,
    out: &mut Vec<Diagnostic>,
) -> (Option<Timestamp>, Option<Timestamp>) {
    let start = raw.start_date.as_ref();
    let start = start.and_then(|date| read_date(date, zone, &site.child("start_date"), out));
    let end = raw.end_date.as_ref();
    let end = end.and_then(|date| read_date(date, zone, &site.child("end_date"), out));
    if let (Some(start), Some(end)) = (start, end)
        && end < start
    {
        let diagnostic = site
            .child("end_date")
            .diagnostic(codes::END_BEFORE_START, "`end_date` lies before `start_date`")
            .related(site.child("start_date").place(), "the start");
        out.push(diagnostic);
    }
    (start, end)
}

fn read_date(
    raw: &RawDate,
    zone: &Zone,
    site: &Site<'_>,
    out: &mut Vec<Diagnostic>,
) -> Option<Timestamp> {
    if raw.0.starts_with('+') {
        let message = format!(
            "{}: a start relative to the first application is not supported yet",
            quoted(&raw.0)
        );
        out.push(site.diagnostic(codes::NOT_YET, message).help("write a date and time"));
        return None;
    }
    match parse_date_text(&raw.0, zone) {
        Ok(at) => Some(at),
        Err(error) => {
            let place = site.clone().part(error.start..error.end);
            out.push(sentence(&place, codes::BAD_DATE, &error.message));
            None
        }
    }
}
