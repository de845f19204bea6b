//! Many jobs that are due at the same second, over a whole snapshot.
//!
//! Each job's first few fire times from a fixed day on stand for its schedule ([`sample`]); the second
//! with the most jobs is told, when there are many. Cheap on purpose: a handful of look-ups per job,
//! made once per file, and one sort per snapshot.

use crate::diagnostic::{Diagnostic, Place, codes};
use crate::spec::job::{JobName, JobSpec};
use crate::spec::trigger::Trigger;
use crate::time::{Timestamp, Zone};

/// From this many jobs on, one second has too many: all of them are started at once, and the daemon's
/// own limit makes some of them wait.
pub const CROWD: usize = 30;

/// 2030-01-01T00:00:00Z, a Tuesday, in seconds: fixed, so that the answer is the same on every day.
pub const SAMPLE_START_S: i64 = 1_893_456_000;

/// The fire times looked at per trigger. A job that is due once a day shows every day of the week.
const FIRES_PER_TRIGGER: usize = 8;

/// How many jobs are named.
const NAMED: usize = 3;

/// A job with the seconds that stand for its schedule.
#[derive(Debug, Clone)]
pub struct Sampled {
    name: JobName,
    place: Place,
    zone: Zone,
    /// Since 1970, sorted, each once.
    seconds: Vec<i64>,
}

/// Looks at a job's schedule; `place` is its name. None when nothing is known before it is applied.
pub fn sample(spec: &JobSpec, place: &Place) -> Option<Sampled> {
    let after = Timestamp::from_timestamp(SAMPLE_START_S - 1, 0)?;
    let counted = spec.triggers.iter().filter(|trigger| spec.enabled && is_on_the_second(trigger));
    let fires = |trigger: &Trigger| -> Vec<i64> {
        let next = |last: &Timestamp| trigger.next_after(*last, None);
        let fires = std::iter::successors(next(&after), next);
        fires.take(FIRES_PER_TRIGGER).map(|at| at.timestamp()).collect()
    };
    let mut seconds: Vec<i64> = counted.flat_map(fires).collect();
    seconds.sort_unstable();
    seconds.dedup();
    let zone = spec.triggers.first()?.zone().clone();
    let sampled = Sampled { name: spec.name.clone(), place: place.clone(), zone, seconds };
    Some(sampled).filter(|sampled| !sampled.seconds.is_empty())
}

/// Whether its executions begin at its fire times. An interval without a start of its own begins when it is
/// applied, which is not known here; one with `jitter` is spread already, as is asked for.
fn is_on_the_second(trigger: &Trigger) -> bool {
    trigger.jitter.is_zero() && trigger.first_anchor(Timestamp::UNIX_EPOCH).is_none()
}

impl Sampled {
    /// The job.
    pub fn name(&self) -> &JobName {
        &self.name
    }
}

/// Tells of the second at which the most jobs are due, at the place of the first of them; `jobs` in the order
/// of files and places.
pub fn check(jobs: &[&Sampled], out: &mut Vec<Diagnostic>) {
    let mut seconds: Vec<i64> = jobs.iter().flat_map(|job| &job.seconds).copied().collect();
    seconds.sort_unstable();
    let mut fullest: Option<&[i64]> = None;
    for same in seconds.chunk_by(|a, b| a == b) {
        if fullest.is_none_or(|fullest| same.len() > fullest.len()) {
            fullest = Some(same);
        }
    }
    let Some([second, ..]) = fullest.filter(|same| same.len() >= CROWD) else { return };
    let due = jobs.iter().filter(|job| job.seconds.binary_search(second).is_ok());
    let due: Vec<&&Sampled> = due.collect();
    let (Some(first), Some(at)) = (due.first(), Timestamp::from_timestamp(*second, 0)) else {
        return;
    };
    let names: Vec<String> = due.iter().take(NAMED).map(|job| format!("`{}`", job.name)).collect();
    let message = format!(
        "{} jobs are due at the same second, for example at {} in {}: {} and {} more",
        due.len(),
        first.zone.local(at).format("%H:%M:%S"),
        first.zone,
        names.join(", "),
        due.len().saturating_sub(NAMED)
    );
    let help = "`jitter: 5m` in their triggers spreads them, as other minutes would";
    let mut diagnostic = Diagnostic::new(codes::CROWDED_SECOND, message)
        .at(first.place.clone())
        .label("the first of them")
        .help(help);
    diagnostic.job = Some(first.name.to_string());
    diagnostic.pointer = Some(format!("/jobs/{}", first.name));
    out.push(diagnostic);
}
