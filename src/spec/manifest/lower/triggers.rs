//! The triggers of a job, from the short form or the list.

use crate::diagnostic::{Diagnostic, codes, quoted};
use crate::spec::manifest::lower::calendars::{Calendars, read_expression};
use crate::spec::manifest::lower::conditions;
use crate::spec::manifest::lower::layer::{read_duration, read_zone, sentence};
use crate::spec::manifest::lower::params;
use crate::spec::manifest::lower::site::Site;
use crate::spec::manifest::raw::{RawDate, RawDuration, RawJob, RawTrigger};
use crate::spec::manifest::rules::cron;
use crate::spec::params::{ParamValues, Params};
use crate::spec::trigger::{
    CronTrigger, DateTrigger, DayMatch, Dialect, IntervalStart, IntervalTrigger, Schedule, Trigger,
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

impl RawTriggers {
    /// Takes them out of `raw`.
    pub fn take(raw: &mut RawJob) -> Self {
        let short = RawTrigger {
            cron: raw.cron.take(),
            interval: raw.interval.take(),
            date: raw.date.take(),
            ..RawTrigger::default()
        };
        Self { short, list: raw.triggers.take() }
    }
}

/// What triggers may refer to.
#[derive(Debug, Clone, Copy)]
pub struct Around<'a> {
    /// The zone of those that name none.
    pub zone: &'a Zone,
    /// Calendars by name.
    pub calendars: &'a Calendars,
    /// The parameters of the job.
    pub params: &'a Params,
}

/// Reads the triggers; `site` is the job.
pub fn read(
    raw: &RawTriggers,
    around: Around<'_>,
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
        return read_one(&raw.short, around, site, out).into_iter().collect();
    }
    let list = site.child("triggers");
    let triggers = raw.list.iter().flatten().enumerate();
    triggers.filter_map(|(at, trigger)| read_one(trigger, around, &list.item(at), out)).collect()
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
    around: Around<'_>,
    site: &Site<'_>,
    out: &mut Vec<Diagnostic>,
) -> Option<Trigger> {
    let own_zone = match &raw.timezone {
        Some(name) => Some(read_zone(name, &site.child("timezone"), out)?),
        None => None,
    };
    let Around { zone, calendars, params } = around;
    let zone = own_zone.as_ref().unwrap_or(zone);
    let before = out.len();
    let filter = conditions::read_filter(raw, zone, calendars, site, out);
    let jitter = conditions::read_jitter(raw.jitter.as_ref(), &site.child("jitter"), out);
    let given = raw.params.as_ref().map_or_else(ParamValues::new, |given| {
        params::read_values(given, params, &site.child("params"), out)
    });
    let schedule = match (&raw.cron, &raw.interval, &raw.date) {
        (Some(text), _, _) => read_cron(text, raw, zone, site, out).map(Schedule::Cron),
        (None, Some(period), _) => {
            read_interval(period, raw, zone, site, out).map(Schedule::Interval)
        }
        (None, None, Some(date)) => {
            read_date_trigger(date, raw, zone, site, out).map(Schedule::Date)
        }
        // The schema asks for one of them.
        (None, None, None) => None,
    }?;
    let trigger = Trigger { schedule, filter: filter?, jitter: jitter?, params: given };
    if !out.iter().skip(before).any(Diagnostic::is_error) {
        check_fires(&trigger, site, out);
    }
    Some(trigger)
}

/// A11: a trigger without any fire time is a mistake.
fn check_fires(trigger: &Trigger, site: &Site<'_>, out: &mut Vec<Diagnostic>) {
    if trigger.can_ever_fire() {
        return;
    }
    let help = match &trigger.schedule {
        _ if Trigger::plain(trigger.schedule.clone()).can_ever_fire() => {
            "its calendar and what it excludes leave nothing of it"
        }
        Schedule::Cron(_) => "no date has this day, month and weekday between start and end",
        Schedule::Interval(_) | Schedule::Date(_) => "nothing lies between its start and its end",
    };
    let message = "this trigger can never fire, in any year";
    let place = site.child(trigger.kind().as_str());
    out.push(place.diagnostic(codes::NEVER_FIRES, message).help(help));
}

fn read_cron(
    text: &str,
    raw: &RawTrigger,
    zone: &Zone,
    site: &Site<'_>,
    out: &mut Vec<Diagnostic>,
) -> Option<CronTrigger> {
    refuse_idle(&[("anchor", raw.anchor.is_some())], "cron", site, out);
    let dialect = raw.dialect.unwrap_or(Dialect::Standard);
    let day_match = read_day_match(raw.day_match, dialect, site, out);
    let (start, end) = read_bounds(raw, zone, site, out);
    let start_date = start.and_then(|start| instant_only(start, site, out));
    let place = site.child("cron");
    let expr = read_expression(text, dialect, day_match, &place, out)?;
    match (dialect, day_match) {
        (Dialect::Standard | Dialect::Crontab, DayMatch::Any) => cron::check(text, &place, out),
        (Dialect::Standard | Dialect::Crontab, DayMatch::All)
        | (Dialect::Quartz | Dialect::Apscheduler, _) => {}
    }
    let (gap, fold) = (raw.gap, raw.fold);
    Some(CronTrigger { expr, zone: zone.clone(), start_date, end_date: end, gap, fold })
}

/// Which rule joins day and weekday; only where the dialect leaves a choice.
fn read_day_match(
    written: Option<DayMatch>,
    dialect: Dialect,
    site: &Site<'_>,
    out: &mut Vec<Diagnostic>,
) -> DayMatch {
    let has_choice = match dialect {
        Dialect::Standard | Dialect::Crontab => true,
        Dialect::Quartz | Dialect::Apscheduler => false,
    };
    if written.is_some() && !has_choice {
        let message = format!("`day_match` does nothing in the dialect `{}`", dialect.as_str());
        let help = "remove it: the dialect has a rule of its own";
        out.push(site.key("day_match").diagnostic(codes::IDLE_FIELD, message).help(help));
    }
    written.unwrap_or(DayMatch::Any)
}

/// A start that is an instant; only an interval may begin so long after its first application.
fn instant_only(
    start: IntervalStart,
    site: &Site<'_>,
    out: &mut Vec<Diagnostic>,
) -> Option<Timestamp> {
    match start {
        IntervalStart::At(at) => Some(at),
        IntervalStart::Applied => None,
        IntervalStart::AfterApplied(_) => {
            let message = "only an `interval` can begin relative to its first application";
            let place = site.child("start_date");
            out.push(place.diagnostic(codes::BAD_DATE, message).help("write a date and time"));
            None
        }
    }
}

fn read_interval(
    period: &RawDuration,
    raw: &RawTrigger,
    zone: &Zone,
    site: &Site<'_>,
    out: &mut Vec<Diagnostic>,
) -> Option<IntervalTrigger> {
    refuse_idle(&of_cron(raw), "interval", site, out);
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
        trigger = trigger.with_start(start);
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
    let bounds = [
        ("anchor", raw.anchor.is_some()),
        ("start_date", raw.start_date.is_some()),
        ("end_date", raw.end_date.is_some()),
    ];
    refuse_idle(&bounds, "date", site, out);
    refuse_idle(&of_cron(raw), "date", site, out);
    let at = read_date(date, zone, &site.child("date"), out)?;
    Some(DateTrigger::new(at, zone.clone()))
}

/// The keys that only a cron trigger has, and whether they are given.
fn of_cron(raw: &RawTrigger) -> [(&'static str, bool); 4] {
    [
        ("dialect", raw.dialect.is_some()),
        ("day_match", raw.day_match.is_some()),
        ("gap", raw.gap.is_some()),
        ("fold", raw.fold.is_some()),
    ]
}

/// Refuses the keys that are given and mean nothing for this kind of trigger.
fn refuse_idle(keys: &[(&str, bool)], kind: &str, site: &Site<'_>, out: &mut Vec<Diagnostic>) {
    for (key, _) in keys.iter().filter(|(_, given)| *given) {
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
) -> (Option<IntervalStart>, Option<Timestamp>) {
    let start = raw.start_date.as_ref();
    let start = start.and_then(|date| read_start(date, zone, &site.child("start_date"), out));
    let end = raw.end_date.as_ref();
    let end = end.and_then(|date| read_date(date, zone, &site.child("end_date"), out));
    if let (Some(IntervalStart::At(start)), Some(end)) = (start, end)
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

/// A date, or a duration after the first application: `+5s`.
fn read_start(
    raw: &RawDate,
    zone: &Zone,
    site: &Site<'_>,
    out: &mut Vec<Diagnostic>,
) -> Option<IntervalStart> {
    match raw.0.strip_prefix('+') {
        Some(delay) => {
            let delay = read_duration(&RawDuration(delay.to_owned()), site, out)?;
            if delay.is_zero() {
                // Fire times count from after that moment on (D2): it would not fire at it.
                let message = "a start at the first application itself does nothing";
                let help = "remove it: an interval without a start counts from there";
                out.push(site.diagnostic(codes::ZERO_DURATION, message).help(help));
                return None;
            }
            Some(IntervalStart::AfterApplied(delay))
        }
        None => read_date(raw, zone, site, out).map(IntervalStart::At),
    }
}

fn read_date(
    raw: &RawDate,
    zone: &Zone,
    site: &Site<'_>,
    out: &mut Vec<Diagnostic>,
) -> Option<Timestamp> {
    if raw.0.starts_with('+') {
        let message = format!("{} counts from nothing here", quoted(&raw.0));
        let help = "only the `start_date` of an `interval` may be relative; write a date and time";
        out.push(site.diagnostic(codes::BAD_DATE, message).help(help));
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
