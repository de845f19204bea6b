//! Vectors through the library.

use cronwright::spec::trigger::{
    CronExpr, CronTrigger, DateTrigger, Dialect, Field, IntervalStart, IntervalTrigger,
    parse_date_text, parse_period_fields,
};
use cronwright::time::{Timestamp, Zone};

use super::Vector;

/// What came of a check: what was wrong.
type Checked = Result<(), String>;

pub(super) fn check_cron(vector: &Vector) -> Checked {
    let zone = Zone::load(vector.text("tz")).map_err(|error| error.to_string())?;
    for dialect in dialects(vector) {
        let expr = CronExpr::parse(vector.text("expr"), *dialect)
            .map_err(|error| format!("{}: {error}", dialect.as_str()))?;
        let interval_like = vector.0["interval_like"].as_bool();
        if interval_like.is_some_and(|expected| expected != expr.is_interval_like()) {
            return Err(format!("interval-like should be {interval_like:?}"));
        }
        let trigger = CronTrigger::new(expr, zone.clone());
        compare(vector, &zone, |after| trigger.next_after(after))?;
    }
    Ok(())
}

pub(super) fn check_invalid_cron(vector: &Vector) -> Checked {
    let expr = vector.text("expr");
    for dialect in dialects(vector) {
        if *dialect == Dialect::Standard && standard_accepts(vector) {
            continue;
        }
        let Err(error) = CronExpr::parse(expr, *dialect) else {
            return Err(format!("{} accepts it", dialect.as_str()));
        };
        if error.field != wrong_field(vector) {
            return Err(format!("names the {}: {error}", error.field));
        }
        has_place(expr, error.start, error.end)?;
    }
    Ok(())
}

pub(super) fn check_interval(vector: &Vector) -> Checked {
    let zone = Zone::load(vector.text("tz")).unwrap();
    let period = parse_period_fields(vector.text("expr")).map_err(|error| error.to_string())?;
    let date =
        |key: &str| vector.maybe(key).map(|text| parse_date_text(text, &zone).expect("a date"));
    let mut interval = IntervalTrigger::new(period, zone.clone()).unwrap();
    if let Some(start) = date("start") {
        interval = interval.with_start(IntervalStart::At(start));
    }
    if let Some(end) = date("end") {
        interval = interval.with_end(end);
    }
    let anchor = date("registered").and_then(|applied_at| interval.first_anchor(applied_at));
    compare(vector, &zone, |after| interval.next_after(after, anchor))
}

pub(super) fn check_invalid_interval(vector: &Vector) -> Checked {
    let expr = vector.text("expr");
    let Err(error) = parse_period_fields(expr) else { return Err("is accepted".to_owned()) };
    has_place(expr, error.start, error.end)
}

pub(super) fn check_date(vector: &Vector) -> Checked {
    let zone = Zone::load(vector.text("tz")).unwrap();
    let at = parse_date_text(vector.text("expr"), &zone).map_err(|error| error.to_string())?;
    let found = DateTrigger::new(at, zone).next_after(Timestamp::MIN_UTC);
    let expected = vector.fires().first().copied().map(instant);
    if found == expected { Ok(()) } else { Err(format!("{found:?}, not {expected:?}")) }
}

pub(super) fn check_invalid_date(vector: &Vector) -> Checked {
    let expr = vector.text("expr");
    let Err(error) = parse_date_text(expr, &Zone::utc()) else {
        return Err("is accepted".to_owned());
    };
    has_place(expr, error.start, error.end)
}

/// Compares the fires after `after` with the listed ones, and with their end where they do end.
pub(super) fn compare(
    vector: &Vector,
    zone: &Zone,
    next_after: impl Fn(Timestamp) -> Option<Timestamp>,
) -> Checked {
    let expected = vector.fires();
    let mut after = instant(vector.text("after"));
    let mut found = Vec::new();
    while found.len() <= expected.len() {
        let Some(at) = next_after(after) else { break };
        if at <= after {
            return Err(format!("goes from {after} to {at}"));
        }
        found.push(zone.rfc3339(at));
        after = at;
    }
    let ended = vector.is_ended();
    let has_ended = found.len() <= expected.len();
    if !ended {
        found.truncate(expected.len());
    }
    let same = found.len() == expected.len()
        && found.iter().zip(&expected).all(|(ours, theirs)| instant(ours) == instant(theirs));
    if same && (!ended || has_ended) {
        Ok(())
    } else {
        Err(format!("expected {expected:?}, ended {ended}\n  found    {found:?}"))
    }
}

/// The dialects in which a vector is read.
pub(super) fn dialects(vector: &Vector) -> &'static [Dialect] {
    match vector.text("dialect") {
        "unix" => &[Dialect::Crontab, Dialect::Standard],
        "unix-seconds" => &[Dialect::Standard],
        "quartz" => &[Dialect::Quartz],
        "apscheduler" => &[Dialect::Apscheduler],
        other => panic!("dialect {other}"),
    }
}

/// The field that an error should name.
pub(super) fn wrong_field(vector: &Vector) -> Field {
    match vector.text("error_about").split('/').next().unwrap() {
        "expression" => Field::Expression,
        "second" => Field::Second,
        "minute" => Field::Minute,
        "hour" => Field::Hour,
        "day-of-month" => Field::Day,
        "month" => Field::Month,
        "day-of-week" => Field::Weekday,
        "year" => Field::Year,
        other => panic!("field {other}"),
    }
}

pub(super) fn instant(text: &str) -> Timestamp {
    chrono::DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}

/// Whether `standard` gives a meaning to what the vector's own dialect refuses.
pub(super) fn standard_accepts(vector: &Vector) -> bool {
    let theme = vector.text("theme");
    let fields = vector.text("expr").split([' ', '\t']).filter(|field| !field.is_empty());
    let added = ["foreign-dialect", "reversed-range", "question-mark", "open-step"];
    let is_unix = vector.text("dialect") == "unix";
    theme == "reversed-range"
        || (is_unix && added.contains(&theme))
        || (theme == "field-count" && (6..=7).contains(&fields.count()))
}

/// A place lies in the text, between characters.
fn has_place(text: &str, start: usize, end: usize) -> Checked {
    let place = text.get(start..end);
    place.map(|_| ()).ok_or_else(|| format!("has no place {start}..{end}"))
}
