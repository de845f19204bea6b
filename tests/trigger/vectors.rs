//! The vectors of `tests/vectors`: fire times that independent references agree on.
//!
//! Each file is one test; every vector that fails is reported under its id. Vectors marked
//! `disputed` have no clear authority: they are run, and printed when they differ, but decide
//! nothing.

use cronwright::spec::trigger::{
    CronExpr, CronTrigger, DateTrigger, Dialect, Field, IntervalStart, IntervalTrigger, Trigger,
    parse_date_text, parse_period_fields,
};
use cronwright::time::{Timestamp, Zone};
use serde_json::Value;

/// Runs a check over the vectors of a file; the check returns what it found wrong.
#[track_caller]
fn check_vectors(name: &str, count: usize, check: impl Fn(&Value) -> Result<(), String>) {
    let path = format!("{}/tests/vectors/{name}", env!("CARGO_MANIFEST_DIR"));
    #[expect(clippy::disallowed_methods, reason = "vectors are files")]
    let text = std::fs::read_to_string(&path).unwrap();
    let vectors: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(vectors.len(), count, "vectors in {name}");
    let mut failures = Vec::new();
    for vector in &vectors {
        let Err(wrong) = check(vector) else { continue };
        let line = format!("{} ({}) {}: {wrong}", vector["id"], vector["theme"], vector["expr"]);
        if vector["disputed"] == Value::Bool(true) {
            println!("disputed {line}");
        } else {
            failures.push(line);
        }
    }
    assert!(failures.is_empty(), "{} of {count}:\n{}", failures.len(), failures.join("\n"));
}

fn text<'a>(vector: &'a Value, key: &str) -> &'a str {
    vector[key].as_str().unwrap_or_else(|| panic!("{key} in {vector}"))
}

fn instant(text: &str) -> Timestamp {
    chrono::DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}

fn dialects(vector: &Value) -> &'static [Dialect] {
    match text(vector, "dialect") {
        "unix" => &[Dialect::Crontab, Dialect::Standard],
        "unix-seconds" => &[Dialect::Standard],
        "quartz" => &[Dialect::Quartz],
        "apscheduler" => &[Dialect::Apscheduler],
        other => panic!("dialect {other}"),
    }
}

/// Compares the fires after `after` with the listed ones, and with their end where they do end.
fn compare(
    vector: &Value,
    zone: &Zone,
    trigger: &Trigger,
    anchor: Option<Timestamp>,
) -> Result<(), String> {
    let expected: Vec<&str> =
        vector["next"].as_array().unwrap().iter().map(|at| at.as_str().unwrap()).collect();
    let mut after = instant(text(vector, "after"));
    let mut found = Vec::new();
    while found.len() <= expected.len() {
        let Some(at) = trigger.next_after(after, anchor) else { break };
        assert!(at > after, "{trigger} went from {after} to {at}");
        found.push(zone.rfc3339(at));
        after = at;
    }
    let ended = vector["ended"] == true || vector["end_of_schedule"] == true;
    let has_ended = found.len() <= expected.len();
    if !ended {
        found.truncate(expected.len());
    }
    let same = found.len() == expected.len()
        && found.iter().zip(&expected).all(|(ours, theirs)| instant(ours) == instant(theirs));
    if same && (!ended || has_ended) {
        Ok(())
    } else {
        Err(format!("{trigger}\n  expected {expected:?}, ended {ended}\n  found    {found:?}"))
    }
}

fn check_cron(vector: &Value) -> Result<(), String> {
    let zone = Zone::load(text(vector, "tz")).map_err(|error| error.to_string())?;
    for dialect in dialects(vector) {
        let expr = CronExpr::parse(text(vector, "expr"), *dialect)
            .map_err(|error| format!("{}: {error}", dialect.as_str()))?;
        if let Some(interval_like) = vector["interval_like"].as_bool()
            && expr.is_interval_like() != interval_like
        {
            return Err(format!("interval-like should be {interval_like}"));
        }
        let trigger = Trigger::from(CronTrigger::new(expr, zone.clone()));
        compare(vector, &zone, &trigger, None)?;
    }
    Ok(())
}

#[test]
fn cron_unix() {
    check_vectors("cron-unix.jsonl", 594, check_cron);
}

#[test]
fn cron_unix_seconds() {
    check_vectors("cron-unix-seconds.jsonl", 196, check_cron);
}

#[test]
fn cron_quartz() {
    check_vectors("cron-quartz.jsonl", 260, check_cron);
}

#[test]
fn cron_apscheduler() {
    check_vectors("cron-apscheduler.jsonl", 210, check_cron);
}

/// The field of an error as the vectors call it.
fn vector_field(field: Field) -> &'static str {
    match field {
        Field::Day => "day-of-month",
        Field::Weekday => "day-of-week",
        Field::Expression
        | Field::Second
        | Field::Minute
        | Field::Hour
        | Field::Month
        | Field::Year => field.as_str(),
    }
}

/// Whether `standard` gives a meaning to what the vector's own dialect refuses.
fn standard_accepts(vector: &Value) -> bool {
    let theme = text(vector, "theme");
    let count = text(vector, "expr").split([' ', '\t']).filter(|field| !field.is_empty()).count();
    let added = ["foreign-dialect", "reversed-range", "question-mark", "open-step"];
    let is_unix = text(vector, "dialect") == "unix";
    theme == "reversed-range"
        || (is_unix && added.contains(&theme))
        || (theme == "field-count" && (6..=7).contains(&count))
}

#[test]
fn cron_invalid() {
    check_vectors("cron-invalid.jsonl", 172, |vector| {
        let expr = text(vector, "expr");
        for dialect in dialects(vector) {
            if *dialect == Dialect::Standard && standard_accepts(vector) {
                continue;
            }
            let Err(error) = CronExpr::parse(expr, *dialect) else {
                return Err(format!("{} accepts it", dialect.as_str()));
            };
            let field = vector_field(error.field);
            let expected = text(vector, "error_about").split('/').next().unwrap();
            if field != expected {
                return Err(format!("names the {field}, not the {expected}: {error}"));
            }
            if expr.get(error.start..error.end).is_none() {
                return Err(format!("has no place {}..{}", error.start, error.end));
            }
        }
        Ok(())
    });
}

#[test]
fn intervals() {
    check_vectors("interval.jsonl", 50, |vector| {
        let zone = Zone::load(text(vector, "tz")).unwrap();
        let period =
            parse_period_fields(text(vector, "expr")).map_err(|error| error.to_string())?;
        let date = |key: &str| {
            vector[key].as_str().map(|text| parse_date_text(text, &zone).expect("a date"))
        };
        let mut interval = IntervalTrigger::new(period, zone.clone()).unwrap();
        if let Some(start) = date("start") {
            interval = interval.with_start(IntervalStart::At(start));
        }
        if let Some(end) = date("end") {
            interval = interval.with_end(end);
        }
        let anchor = date("registered").and_then(|applied_at| interval.first_anchor(applied_at));
        compare(vector, &zone, &Trigger::from(interval), anchor)
    });
}

#[test]
fn intervals_invalid() {
    check_vectors("interval-invalid.jsonl", 16, |vector| {
        let expr = text(vector, "expr");
        let Err(error) = parse_period_fields(expr) else { return Err("is accepted".to_owned()) };
        expr.get(error.start..error.end).map(|_| ()).ok_or_else(|| format!("{error:?}"))
    });
}

#[test]
fn dates() {
    check_vectors("date.jsonl", 37, |vector| {
        let zone = Zone::load(text(vector, "tz")).unwrap();
        let at = parse_date_text(text(vector, "expr"), &zone).map_err(|error| error.to_string())?;
        let trigger = DateTrigger::new(at, zone);
        let found = trigger.next_after(Timestamp::MIN_UTC);
        let expected = vector["next"][0].as_str().map(instant);
        if found == expected { Ok(()) } else { Err(format!("{found:?}, not {expected:?}")) }
    });
}

#[test]
fn dates_invalid() {
    check_vectors("date-invalid.jsonl", 25, |vector| {
        let expr = text(vector, "expr");
        let Err(error) = parse_date_text(expr, &Zone::utc()) else {
            return Err("is accepted".to_owned());
        };
        expr.get(error.start..error.end).map(|_| ()).ok_or_else(|| format!("{error:?}"))
    });
}
