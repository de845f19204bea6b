//! `simulate`: what the manifests would do in a range of time, on a virtual clock and without a daemon.
//!
//! The fires are those of `serve`: the same queue over the same schedules ([`engine::simulate`]). An
//! interval without an anchor counts from the start of the range, as if the job were first applied then.
//!
//! [`engine::simulate`]: crate::engine::simulate

use std::ops::Range;
use std::path::PathBuf;

use chrono::TimeDelta;
use clap::Args;
use serde::{Deserialize, Serialize};

use crate::cli::Global;
use crate::cli::exit::{Exit, Failure};
use crate::cli::here::Here;
use crate::cli::output::{Document, Look, Output, Shape};
use crate::cli::table::{Cell, Page, Paint, columns};
use crate::cli::validate::of_paths;
use crate::daemon::api::zone;
use crate::diagnostic::{Diagnostic, quoted};
use crate::engine::plan::{AppliedJob, Change, Owner};
use crate::engine::scheduler::preview;
use crate::engine::simulate::{Fire, Peak, assumed_length, busiest, fires, most_at_once, overlaps};
use crate::io::http::documents::jobs::FireEntry;
use crate::io::http::documents::{At, at_in, seconds};
use crate::spec::trigger::parse_date_text;
use crate::time::{Timestamp, Zone};

/// How many fires a range may have where `--limit` says nothing.
const FIRES_MAX: u32 = 100_000;
/// The most that `--limit` may ask for: they are held in memory.
const LIMIT_MAX: i64 = 5_000_000;
/// How long the range is where `--to` says nothing.
const RANGE: TimeDelta = TimeDelta::hours(24);
/// How many overlaps a table shows of two jobs.
const OVERLAPS_SHOWN: usize = 10;

/// Arguments of `simulate`.
#[derive(Debug, Args)]
#[command(before_help = "Examples:\n  cronwright simulate --from 2026-03-28 --to 2026-03-30\n  \
    cronwright simulate jobs.d --job backup --job etl -o json\n  \
    cronwright simulate --assert-no-overlap backup vacuum   exits 1 if they would")]
pub(super) struct SimulateArgs {
    /// Folders, or single manifests; without them, the sources of the settings.
    paths: Vec<PathBuf>,
    /// The start, included: a date or RFC 3339; without an offset in `--timezone`, else UTC [default: now].
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// The end, excluded [default: 24 h after the start].
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// This job only; may be given more than once.
    #[arg(long = "job", value_name = "NAME")]
    jobs: Vec<String>,
    /// Exit 1 when executions of these two would run at the same time, each for its `timeout`; may be
    /// given more than once.
    #[arg(long, num_args = 2, value_names = ["A", "B"])]
    assert_no_overlap: Vec<String>,
    /// Refuse a range with more fires.
    #[arg(long, value_name = "COUNT", default_value_t = FIRES_MAX,
          value_parser = clap::value_parser!(u32).range(1..=LIMIT_MAX))]
    limit: u32,
}

/// What happens in a range.
#[derive(Debug, Serialize, Deserialize)]
struct SimulateDocument {
    schema: String,
    /// The start, included.
    from: At,
    /// The end, excluded.
    to: At,
    /// The zone of the times; none: each is in its job's own.
    timezone: Option<String>,
    fires: Vec<FireEntry>,
    summary: Summary,
    assertions: Vec<Assertion>,
}

impl SimulateDocument {
    const SCHEMA: &str = "cronwright.simulate/v1";
}

/// What comes together.
#[derive(Debug, Serialize, Deserialize)]
struct Summary {
    fires: usize,
    /// Every job that was looked at, by name.
    jobs: Vec<JobSummary>,
    busiest_second: Option<PeakEntry>,
    busiest_minute: Option<PeakEntry>,
    /// With executions of the assumed length.
    most_at_once: Option<PeakEntry>,
}

#[derive(Debug, Serialize, Deserialize)]
struct JobSummary {
    name: String,
    fires: usize,
    /// How long an execution is taken to last: its `timeout`; none: for the instant alone.
    assumed_seconds: Option<f64>,
}

#[derive(Debug, Serialize, Deserialize)]
struct PeakEntry {
    at: At,
    count: usize,
}

/// Whether two jobs keep out of each other's way.
#[derive(Debug, Serialize, Deserialize)]
struct Assertion {
    jobs: [String; 2],
    holds: bool,
    /// Pairs of fire times, in the order of `jobs`.
    overlaps: Vec<[At; 2]>,
    /// There are more than are listed.
    more: bool,
}

pub(super) fn simulate(
    args: &SimulateArgs,
    global: &Global,
    output: &Output,
) -> Result<Exit, Failure> {
    let Here { sources, known, .. } = Here::find(global)?.usable()?;
    let range = range(args, output)?;
    let found = of_paths(&args.paths, sources, &known)?;
    let errors = found.diagnostics.iter().filter(|found| Diagnostic::is_error(found)).count();
    if errors > 0 {
        output.note(&format!(
            "jobs of manifests with errors are left out ({errors} in all): `cronwright validate` shows them"
        ));
    }
    let create = |to| Change::Create { to, owner: Owner::source("") };
    let declared = found.jobs.into_iter();
    let mut jobs: Vec<AppliedJob> =
        declared.filter_map(|to| preview(range.start, &create(to))).collect();
    jobs.sort_by(|a, b| a.spec.name.cmp(&b.spec.name));
    jobs.dedup_by(|a, b| a.spec.name == b.spec.name);
    for name in args.jobs.iter().chain(&args.assert_no_overlap) {
        index_of(&jobs, name)?;
    }
    if !args.jobs.is_empty() {
        let asserted = &args.assert_no_overlap;
        let is_named = |job: &AppliedJob| {
            args.jobs.iter().chain(asserted).any(|name| name == job.spec.name.as_str())
        };
        jobs.retain(is_named);
    }
    let fires =
        fires(&jobs, &range, args.limit as usize).map_err(|_| too_many(args.limit, &range))?;
    let document = document(&jobs, &fires, &range, args, output)?;
    let holds = document.assertions.iter().all(|assertion| assertion.holds);
    output.document(
        &Document::of(&document)?,
        Shape { list: Some("fires"), name: "/at" },
        table,
    )?;
    Ok(if holds { Exit::Done } else { Exit::No })
}

fn index_of(jobs: &[AppliedJob], name: &str) -> Result<usize, Failure> {
    jobs.iter().position(|job| job.spec.name.as_str() == name).ok_or_else(|| {
        Failure::new(Exit::NotFound, format!("no valid manifest declares {}", quoted(name)))
            .help("`cronwright validate` says what is wrong with them")
    })
}

fn range(args: &SimulateArgs, output: &Output) -> Result<Range<Timestamp>, Failure> {
    let zone = output.clock.zone.clone().unwrap_or_else(Zone::utc);
    let read = |flag: &str, text: &String| {
        parse_date_text(text, &zone).map_err(|error| {
            Failure::new(Exit::Usage, format!("`{flag}` is not a time: {error}")).help(
                "write for example 2026-03-29, 2026-03-29T02:00:00 or 2026-03-29T02:00:00+01:00",
            )
        })
    };
    let start = args.from.as_ref().map(|text| read("--from", text)).transpose()?;
    let start = start.unwrap_or(output.clock.now);
    let end = args.to.as_ref().map(|text| read("--to", text)).transpose()?;
    let end = end.or_else(|| start.checked_add_signed(RANGE)).unwrap_or(Timestamp::MAX_UTC);
    if end < start {
        return Err(Failure::new(Exit::Usage, "`--to` lies before `--from`"));
    }
    Ok(start..end)
}

fn too_many(limit: u32, range: &Range<Timestamp>) -> Failure {
    let Range { start, end } = range;
    let message = format!("more than {limit} fires from {start} until {end}");
    Failure::new(Exit::Usage, message)
        .help("take a shorter range or fewer jobs (`--job`), or raise `--limit`")
}

fn document(
    jobs: &[AppliedJob],
    fires: &[Fire],
    range: &Range<Timestamp>,
    args: &SimulateArgs,
    output: &Output,
) -> Result<SimulateDocument, Failure> {
    let asked = output.clock.zone.as_ref();
    let shown = |job: &AppliedJob, at| at_in(&asked.cloned().unwrap_or_else(|| zone(job)), at);
    let common = common_zone(jobs, asked);
    let entry = |fire: &Fire| {
        let job = jobs.get(fire.job)?;
        let (at, starts_at) = (shown(job, fire.fire_time), shown(job, fire.at));
        Some(FireEntry { job: Some(job.spec.name.to_string()), at, starts_at, skipped: None })
    };
    let peak = |peak: Peak| PeakEntry { at: at_in(&common, peak.at), count: peak.count };
    let mut counts = vec![0; jobs.len()];
    for fire in fires {
        if let Some(count) = counts.get_mut(fire.job) {
            *count += 1;
        }
    }
    let job_summary = |(job, fires): (&AppliedJob, usize)| JobSummary {
        name: job.spec.name.to_string(),
        fires,
        assumed_seconds: assumed_length(job).1.then(|| job.spec.timeout.map(seconds)).flatten(),
    };
    let mut assertions = Vec::new();
    for pair in args.assert_no_overlap.chunks_exact(2) {
        assertions.push(assertion(jobs, fires, pair, &shown)?);
    }
    Ok(SimulateDocument {
        schema: SimulateDocument::SCHEMA.to_owned(),
        from: at_in(&common, range.start),
        to: at_in(&common, range.end),
        timezone: asked.map(|zone| zone.name().to_owned()),
        fires: fires.iter().filter_map(entry).collect(),
        summary: Summary {
            fires: fires.len(),
            jobs: jobs.iter().zip(counts).map(job_summary).collect(),
            busiest_second: busiest(fires, 1).map(peak),
            busiest_minute: busiest(fires, 60).map(peak),
            most_at_once: most_at_once(jobs, fires).map(peak),
        },
        assertions,
    })
}

/// The zone for what concerns many jobs: the one that was asked for, else the one that all are in, else UTC.
fn common_zone(jobs: &[AppliedJob], asked: Option<&Zone>) -> Zone {
    let mut zones = jobs.iter().map(zone);
    let first = asked.cloned().or_else(|| zones.next()).unwrap_or_else(Zone::utc);
    let same = asked.is_some() || zones.all(|zone| zone == first);
    if same { first } else { Zone::utc() }
}

fn assertion(
    jobs: &[AppliedJob],
    fires: &[Fire],
    names: &[String],
    shown: &impl Fn(&AppliedJob, Timestamp) -> At,
) -> Result<Assertion, Failure> {
    let [first, second] = names else {
        return Err(Failure::new(Exit::Usage, "`--assert-no-overlap` takes two jobs"));
    };
    if first == second {
        let message = "`--assert-no-overlap` takes two different jobs";
        return Err(Failure::new(Exit::Usage, message)
            .help("`overlap` of the job says what becomes of its own surplus executions"));
    }
    let (a, b) = (index_of(jobs, first)?, index_of(jobs, second)?);
    let found = overlaps(jobs, fires, a, b);
    let entry =
        |(at, other): &(Timestamp, Timestamp)| [shown(&jobs[a], *at), shown(&jobs[b], *other)];
    Ok(Assertion {
        jobs: [first.clone(), second.clone()],
        holds: found.pairs.is_empty(),
        overlaps: found.pairs.iter().map(entry).collect(),
        more: found.more,
    })
}

fn table(document: &SimulateDocument, look: &Look) -> String {
    let mut page = Page::default();
    let starts_later = document.fires.iter().any(|fire| fire.starts_at != fire.at);
    let row = |fire: &FireEntry| {
        let starts = starts_later.then(|| look.clock.time(&fire.starts_at).into());
        let at = std::iter::once(look.clock.time(&fire.at).into()).chain(starts);
        at.chain([Cell::maybe(fire.job.clone())]).collect()
    };
    if !document.fires.is_empty() {
        let rows: Vec<Vec<Cell>> = document.fires.iter().map(row).collect();
        let at = look.clock.heading("AT");
        let headings: &[&str] = if starts_later { &[&at, "STARTS", "JOB"] } else { &[&at, "JOB"] };
        for line in columns(headings, &rows, look.colour).lines() {
            page.line(line);
        }
        page.line("");
    }
    let (from, to) = (look.clock.time(&document.from), look.clock.time(&document.to));
    page.line(format!("{} from {from} until {to}", plural(document.summary.fires, "fire")));
    page.indented(&summary(&document.summary, look));
    for assertion in &document.assertions {
        page.line("");
        asserted(assertion, &document.summary, look, &mut page);
    }
    page.text()
}

fn summary(summary: &Summary, look: &Look) -> String {
    let row = |job: &JobSummary| {
        vec![job.name.clone().into(), job.fires.to_string().into(), lasts(job).into()]
    };
    let rows: Vec<Vec<Cell>> = summary.jobs.iter().map(row).collect();
    let mut text = columns(&["JOB", "FIRES", "TAKEN TO LAST"], &rows, look.colour);
    let peaks = [
        ("busiest second", &summary.busiest_second),
        ("busiest minute", &summary.busiest_minute),
        ("most at once", &summary.most_at_once),
    ];
    for (name, peak) in peaks {
        if let Some(peak) = peak {
            text.push_str(&format_peak(name, peak, look));
        }
    }
    text
}

fn format_peak(name: &str, peak: &PeakEntry, look: &Look) -> String {
    format!("{name:<15} {} at {}\n", peak.count, look.clock.time(&peak.at))
}

fn lasts(job: &JobSummary) -> String {
    job.assumed_seconds.map_or_else(
        || "an instant (no timeout)".to_owned(),
        |length| format!("{} (timeout)", crate::cli::times::seconds(length)),
    )
}

fn asserted(assertion: &Assertion, summary: &Summary, look: &Look, page: &mut Page) {
    let [a, b] = &assertion.jobs;
    let assumed: Vec<String> = [a, b]
        .into_iter()
        .filter_map(|name| summary.jobs.iter().find(|job| job.name == *name))
        .map(|job| format!("{} for {}", job.name, lasts(job)))
        .collect();
    let assumed = assumed.join(", ");
    if assertion.holds {
        page.line(Paint::Good.on(&format!("{a} and {b} never overlap: {assumed}"), look.colour));
        return;
    }
    let count = plural(assertion.overlaps.len(), "time");
    let at_least = if assertion.more { "more than " } else { "" };
    let line = format!("{a} and {b} overlap {at_least}{count}: {assumed}");
    page.line(Paint::Bad.on(&line, look.colour));
    let row = |pair: &[At; 2]| pair.iter().map(|at| look.clock.time(at).into()).collect();
    let rows: Vec<Vec<Cell>> = assertion.overlaps.iter().take(OVERLAPS_SHOWN).map(row).collect();
    page.indented(&columns(&[a, b], &rows, look.colour));
    let left = assertion.overlaps.len().saturating_sub(OVERLAPS_SHOWN);
    if left > 0 {
        page.line(format!("  {left} more; `-o json` has them"));
    }
}

pub(super) fn plural(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::output::tests::look;

    #[test]
    fn fires_and_what_comes_together_are_told() {
        let document = serde_json::json!({
            "schema": "cronwright.simulate/v1", "timezone": null,
            "from": "2026-11-22T00:00:00+08:00", "to": "2026-11-23T00:00:00+08:00",
            "fires": [
                {"job": "a", "at": "2026-11-22T03:00:00+08:00", "starts_at": "2026-11-22T03:00:00+08:00"},
                {"job": "b", "at": "2026-11-22T03:10:00+08:00", "starts_at": "2026-11-22T03:10:00+08:00"},
            ],
            "summary": {
                "fires": 2,
                "jobs": [{"name": "a", "fires": 1, "assumed_seconds": 900.0},
                         {"name": "b", "fires": 1, "assumed_seconds": null}],
                "busiest_second": {"at": "2026-11-22T03:00:00+08:00", "count": 1},
                "busiest_minute": {"at": "2026-11-22T03:00:00+08:00", "count": 1},
                "most_at_once": {"at": "2026-11-22T03:10:00+08:00", "count": 2},
            },
            "assertions": [
                {"jobs": ["a", "b"], "holds": false, "more": false,
                 "overlaps": [["2026-11-22T03:00:00+08:00", "2026-11-22T03:10:00+08:00"]]},
                {"jobs": ["b", "a"], "holds": true, "more": false, "overlaps": []},
            ],
        });
        let document: SimulateDocument = serde_json::from_value(document).unwrap();
        assert_eq!(
            table(&document, &look()),
            "AT                          JOB\n\
             2026-11-22 03:00:00 +08:00  a\n\
             2026-11-22 03:10:00 +08:00  b\n\
             \n\
             2 fires from 2026-11-22 00:00:00 +08:00 until 2026-11-23 00:00:00 +08:00\n  \
               JOB  FIRES  TAKEN TO LAST\n  \
               a    1      15 m (timeout)\n  \
               b    1      an instant (no timeout)\n  \
               busiest second  1 at 2026-11-22 03:00:00 +08:00\n  \
               busiest minute  1 at 2026-11-22 03:00:00 +08:00\n  \
               most at once    2 at 2026-11-22 03:10:00 +08:00\n\
             \n\
             a and b overlap 1 time: a for 15 m (timeout), b for an instant (no timeout)\n  \
               a                           b\n  \
               2026-11-22 03:00:00 +08:00  2026-11-22 03:10:00 +08:00\n\
             \n\
             b and a never overlap: b for an instant (no timeout), a for 15 m (timeout)\n"
        );
    }
}
