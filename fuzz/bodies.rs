//! What the fuzz targets do with bytes, and what must hold for all of them: nothing panics, a mistake has
//! its place inside the text, and what is understood is understood again from its normal form.
//!
//! `cargo fuzz` runs these with its own search (docs/fuzzing.md); `cargo test` runs them over the seeds and
//! random changes of these (`tests/fuzz.rs`).

use std::collections::BTreeMap;

use cronwright::diagnostic::render::{Colour, render_all};
use cronwright::diagnostic::report::Report;
use cronwright::spec::job::JobSpec;
use cronwright::spec::manifest::{Content, Known, ManifestFile, load};
use cronwright::spec::size::parse_size;
use cronwright::spec::task::arguments;
use cronwright::spec::task::call::Call;
use cronwright::spec::task::signature::Part;
use cronwright::spec::trigger::{
    CronExpr, CronTrigger, DayMatch, Dialect, Trigger, parse_date_text, parse_period_fields,
};
use cronwright::time::{DurationText, Timestamp, Zone, parse_duration, rfc3339};
use serde::de::DeserializeOwned;

/// How many fire times are asked for, one after the other.
const FIRES: usize = 8;

/// A zone without changes of clocks, one with, one with small shifts, one with many irregular ones.
const ZONES: [&str; 4] = ["UTC", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca"];

/// A cron expression: read in every dialect, written in normal form and read again, and asked for fire
/// times, which strictly increase.
pub(crate) fn cron(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    for dialect in Dialect::ALL {
        for day_match in DayMatch::ALL {
            match CronExpr::parse_matching(text, dialect, day_match) {
                Ok(expr) => {
                    let normal = expr.to_string();
                    let again = CronExpr::parse_matching(&normal, dialect, expr.day_match());
                    assert_eq!(again, Ok(expr.clone()), "{text:?} reads back from {normal:?}");
                    fires(&expr, start(data));
                }
                Err(error) => {
                    lies_within(text, error.start, error.end);
                    assert!(!error.message.is_empty(), "{text:?}");
                }
            }
        }
    }
}

fn fires(expr: &CronExpr, start: Timestamp) {
    for name in ZONES {
        let Ok(zone) = Zone::load(name) else { continue };
        let cron = CronTrigger::new(expr.clone(), zone);
        let mut last = start;
        for _ in 0..FIRES {
            let Some(at) = cron.next_after(last) else { break };
            assert!(at > last, "{expr} in {name} goes from {last} to {at}");
            last = at;
        }
    }
}

/// The call of a class: it reads back from its normal form, and what a handler takes of it is read or is said
/// to be wrong at one of its arguments.
pub(crate) fn call(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match Call::parse_placed(text) {
        Ok(placed) => {
            let call = placed.call;
            assert_eq!(
                (placed.args.len(), placed.kwargs.len()),
                (call.args.len(), call.kwargs.len())
            );
            for place in placed.args.iter().chain(&placed.kwargs).chain([&placed.path]) {
                lies_within(text, place.start, place.end);
            }
            let normal = call.to_string();
            assert_eq!(
                Call::parse(&normal),
                Ok(call.clone()),
                "{text:?} reads back from {normal:?}"
            );
            reads::<(String, i64, bool)>(&call);
            reads::<Vec<f64>>(&call);
            reads::<BTreeMap<String, Option<u8>>>(&call);
            reads::<(serde_json::Value,)>(&call);
        }
        Err(error) => {
            lies_within(text, error.at.start, error.at.end);
            assert!(!error.message.is_empty(), "{text:?}");
        }
    }
}

fn reads<A: DeserializeOwned>(call: &Call) {
    let Err(misfit) = arguments::read::<A>(call) else { return };
    assert!(!misfit.message.is_empty(), "{call}");
    let is_there = match misfit.part {
        Part::Path => true,
        Part::Position(at) => at < call.args.len(),
        Part::Named(at) => at < call.kwargs.len(),
    };
    assert!(is_there, "{call}: {:?}", misfit.part);
}

/// An instant between 1970 and 2199 that the bytes decide.
fn start(data: &[u8]) -> Timestamp {
    let hash = data.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let at_s = (hash % 7_258_118_400).cast_signed();
    Timestamp::from_timestamp(at_s, 0).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// The other texts about time: dates, durations, five numbers of a period, sizes, and names of zones.
pub(crate) fn texts(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    for name in ZONES {
        let Ok(zone) = Zone::load(name) else { continue };
        match parse_date_text(text, &zone) {
            Ok(at) => {
                let normal = rfc3339(at);
                // Four digits are the years that can be written.
                if !normal.starts_with(['+', '-']) && !normal.starts_with("0000") {
                    let again = parse_date_text(&normal, &zone);
                    assert_eq!(again, Ok(at), "{text:?} in {name} is {normal:?}");
                }
            }
            Err(error) => lies_within(text, error.start, error.end),
        }
    }
    if let Ok(duration) = parse_duration(text) {
        let normal = DurationText(duration).to_string();
        assert_eq!(parse_duration(&normal), Ok(duration), "{text:?} is {normal:?}");
    }
    match parse_period_fields(text) {
        Ok(period) => assert!(!period.is_zero(), "{text:?}"),
        Err(error) => lies_within(text, error.start, error.end),
    }
    drop(parse_size(text));
    if let Ok(zone) = Zone::load(text) {
        assert_eq!(zone.name(), text);
    }
}

/// A whole manifest, read as YAML and as TOML: what is wrong can be shown, and what is valid is read again
/// from its canonical form.
pub(crate) fn manifest(data: &[u8]) {
    for path in ["jobs.d/a.yaml", "jobs.d/a.toml"] {
        let content = Content::Bytes(data.into());
        let file = ManifestFile { path: path.into(), source: "jobs.d".into(), content };
        let loaded = load(&[file], &Known::default());
        for diagnostic in &loaded.diagnostics {
            assert!(!diagnostic.message.is_empty(), "{diagnostic:?}");
            if let Some(place) = &diagnostic.place {
                lies_within(&place.source.text, place.start, place.end);
            }
        }
        let shown = render_all(&loaded.diagnostics, Colour::Plain);
        assert_eq!(shown.is_empty(), loaded.diagnostics.is_empty());
        drop(Report::new(loaded.files, loaded.jobs.len(), &loaded.diagnostics));
        for (name, job) in &loaded.jobs {
            let canonical = job.spec.canonical();
            let again = JobSpec::from_canonical(name, &canonical).map(|spec| spec.canonical());
            assert_eq!(again.as_ref(), Ok(&canonical), "{name}");
            let ever = job.spec.triggers.iter().all(Trigger::can_ever_fire);
            assert!(ever, "{name} never fires: {canonical}");
        }
    }
}

fn lies_within(text: &str, start: usize, end: usize) {
    assert!(start <= end && text.get(start..end).is_some(), "{start}..{end} of {text:?}");
}
