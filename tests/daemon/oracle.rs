//! What must be true of a ledger of jobs that are due every second, whatever happened meanwhile.
//!
//! Two sides are compared with the ledger: the clock, which says when a job was due, and the evidence,
//! a file to which each execution of a job itself appends a line when it starts and one when it ends.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use chrono::DateTime;
use cronwright::engine::execution::{Cause, Outcome, Row};
use cronwright::io::store::document::JobDocument;
use cronwright::time::Timestamp;

use super::harness::World;

/// The name of the evidence, in the folder of the world.
pub(crate) const EVIDENCE: &str = "evidence";
/// How far the watermark may be behind the moment up to which everything is accounted for.
const WATERMARK_LAG_SECONDS: i64 = 3;

/// A script that leaves evidence around `work`.
pub(crate) fn leaving_evidence(work: &str) -> String {
    format!(
        "echo \"start $CRONWRIGHT_EXECUTION_ID\" >> {EVIDENCE}; {work}; \
         echo \"end $CRONWRIGHT_EXECUTION_ID\" >> {EVIDENCE}"
    )
}

/// How much was looked at.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    due: usize,
    outcomes: BTreeMap<String, u64>,
    lost_that_ran: usize,
    late_outcomes: usize,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "due {}", self.due)?;
        for (outcome, count) in &self.outcomes {
            write!(f, " | {outcome} {count}")?;
        }
        write!(f, " | lost that ran {}", self.lost_that_ran)?;
        write!(f, " | late outcomes {}", self.late_outcomes)
    }
}

/// What the jobs wrote.
struct Evidence {
    /// How often each execution was started.
    starts: BTreeMap<String, u32>,
    ends: BTreeSet<String>,
    /// Executions that were started while another of the same job was there.
    overlapping: BTreeSet<String>,
}

/// Checks the ledger of a world whose jobs, all due every second until they were declared off, have
/// ended. Answers every fault, and what was counted.
pub(crate) fn verify(world: &World) -> (Vec<String>, Counts) {
    let (contents, rows) = (world.contents(), world.rows());
    let evidence = Evidence::read(world);
    let mut counts = Counts::default();
    let mut faults = Vec::new();
    for job in &contents.jobs {
        let of_job: Vec<&Row> = rows.iter().filter(|row| *row.uid.0 == *job.uid).collect();
        counts.due += each_due_time_once(job, &of_job, &mut faults);
        let lag = contents.watermark.map(|watermark| job.effective_at - watermark);
        if lag.is_none_or(|lag| lag.num_seconds() > WATERMARK_LAG_SECONDS) {
            faults.push(format!("{}: the watermark stands at {:?}", job.name, contents.watermark));
        }
    }
    for row in &rows {
        let name = row.outcome().map_or(row.state.as_str().to_owned(), told);
        *counts.outcomes.entry(name).or_default() += row.range.map_or(1, |range| range.count);
        counts.late_outcomes += usize::from(row.late_outcome.is_some());
        let started = evidence.starts.contains_key(row.id.as_str());
        counts.lost_that_ran += usize::from(started && row.outcome() == Some(Outcome::Lost));
    }
    evidence.compare(&rows, &mut faults);
    (faults, counts)
}

fn told(outcome: Outcome) -> String {
    let reason = outcome.reason().map(|reason| format!("({reason})")).unwrap_or_default();
    format!("{}{reason}", outcome.as_str())
}

/// Every whole second from the first effect of the job to its end has exactly one row; no other has.
fn each_due_time_once(job: &JobDocument, rows: &[&Row], faults: &mut Vec<String>) -> usize {
    let first = first_effect(job).timestamp();
    let due: BTreeSet<i64> = (first + 1..=job.effective_at.timestamp()).collect();
    let mut covered: BTreeMap<i64, Vec<&str>> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.cause != Cause::Request) {
        let (from, to) = row.range.map_or((row.fire_time, row.fire_time), |r| (r.first, r.last));
        let seconds = from.timestamp()..=to.timestamp();
        let whole = from.timestamp_subsec_nanos() == 0 && to.timestamp_subsec_nanos() == 0;
        let count = row.range.map_or(1, |range| range.count);
        if !whole || u64::try_from(seconds.clone().count()) != Ok(count) {
            faults.push(format!("{} covers what was not due: {:?}", row.id, row.range));
        }
        for second in seconds {
            covered.entry(second).or_default().push(row.id.as_str());
        }
    }
    for second in &due {
        match covered.get(second).map(Vec::as_slice) {
            Some([_]) => {}
            Some(rows) => faults.push(format!("{} at {second} has rows {rows:?}", job.name)),
            None => faults.push(format!("{} at {} has no row", job.name, at(*second))),
        }
    }
    for (second, rows) in covered.iter().filter(|(second, _)| !due.contains(*second)) {
        faults.push(format!("{} was not due at {}: {rows:?}", job.name, at(*second)));
    }
    due.len()
}

/// When the job was first applied: its uid says so, through all edits.
fn first_effect(job: &JobDocument) -> Timestamp {
    let (_, milliseconds) = job.uid.rsplit_once('-').unwrap();
    DateTime::from_timestamp_millis(i64::from_str_radix(milliseconds, 16).unwrap()).unwrap()
}

fn at(second: i64) -> Timestamp {
    DateTime::from_timestamp(second, 0).unwrap()
}

impl Evidence {
    fn read(world: &World) -> Self {
        let text = std::fs::read_to_string(world.path(EVIDENCE)).unwrap_or_default();
        let mut evidence =
            Self { starts: BTreeMap::new(), ends: BTreeSet::new(), overlapping: BTreeSet::new() };
        let mut running: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for line in text.lines() {
            let (word, id) = line.split_once(' ').unwrap();
            let (uid, _) = id.rsplit_once('@').unwrap();
            let running = running.entry(uid).or_default();
            if word == "end" {
                evidence.ends.insert(id.to_owned());
                running.remove(id);
                continue;
            }
            *evidence.starts.entry(id.to_owned()).or_default() += 1;
            if !running.is_empty() {
                evidence.overlapping.insert(id.to_owned());
            }
            running.insert(id);
        }
        evidence
    }

    /// Nothing was started twice, nothing that says it did not run has run, and the other way round.
    fn compare(&self, rows: &[Row], faults: &mut Vec<String>) {
        let by_id: BTreeMap<&str, &Row> = rows.iter().map(|row| (row.id.as_str(), row)).collect();
        for (id, times) in &self.starts {
            if *times > 1 {
                faults.push(format!("{id} was started {times} times"));
            }
            match by_id.get(id.as_str()).map(|row| row.outcome()) {
                None => faults.push(format!("{id} was started and has no row")),
                Some(None) => faults.push(format!("{id} has not ended")),
                Some(Some(outcome)) if !outcome.ran() => {
                    faults.push(format!("{id} was started and says {}", told(outcome)));
                }
                Some(Some(_)) => {}
            }
        }
        for row in rows {
            let id = row.id.as_str();
            match row.outcome() {
                None => faults.push(format!("{id} is {}", row.state.as_str())),
                Some(Outcome::Succeeded) if !self.ends.contains(id) => {
                    faults.push(format!("{id} says succeeded and did not reach its end"));
                }
                Some(
                    Outcome::Succeeded | Outcome::Lost | Outcome::Skipped(_) | Outcome::Missed(_),
                ) => {}
                Some(outcome) => faults.push(format!("{id} says {}", told(outcome))),
            }
        }
        let limited = |id: &&String| by_id.get(id.as_str()).is_some_and(|row| is_limited(row));
        for id in self.overlapping.iter().filter(limited) {
            faults.push(format!("{id} was started beside another one of its job"));
        }
    }
}

/// Whether the job of the row may run only once at a time: the tests name the others so.
fn is_limited(row: &Row) -> bool {
    !row.job.as_str().starts_with("allow")
}
