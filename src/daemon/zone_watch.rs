//! Tells in the log what new time zone data changes (E5): once after a start, when the jobs are known.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tracing::{info, warn};

use crate::daemon::view::Applied;
use crate::engine::plan::AppliedSet;
use crate::engine::scheduler::Phase;
use crate::engine::zone_change::moved;
use crate::io::clock;
use crate::io::zone_memory::ZoneMemory;
use crate::time::{Timestamp, Zone, rfc3339, zone_database};

/// The file in the state directory.
pub const FILE_NAME: &str = "zones.json";

/// How many jobs are told one by one.
const TOLD_MAX: usize = 50;

/// Compares the zones in use with those that `path` remembers, and remembers them anew, now and whenever
/// jobs bring other zones, until the daemon ends.
pub async fn watch_zones(path: PathBuf, mut applied: watch::Receiver<Applied>) {
    // On an empty store the first plan is still being saved when the phase becomes active.
    let has_jobs = |applied: &Applied| applied.phase == Phase::Active && !applied.jobs.is_empty();
    let mut remembered: Option<ZoneMemory> = None;
    loop {
        let jobs = match applied.wait_for(has_jobs).await {
            Ok(applied) => Arc::clone(&applied.jobs),
            Err(_) => return,
        };
        let (place, known) = (path.clone(), remembered.clone());
        let look = move || look(&place, known.as_ref(), &jobs);
        let Ok(looked) = spawn_blocking(look).await else { return };
        remembered = Some(looked);
        if applied.changed().await.is_err() {
            return;
        }
    }
}

/// One look; what is remembered afterwards.
fn look(path: &Path, known: Option<&ZoneMemory>, jobs: &AppliedSet) -> ZoneMemory {
    let mut zones: BTreeMap<&str, &Zone> = BTreeMap::new();
    for trigger in jobs.values().flat_map(|job| &job.spec.triggers) {
        zones.insert(trigger.zone().name(), trigger.zone());
    }
    if let Some(known) = known.filter(|known| known.has_all(zones.keys().copied())) {
        return known.clone();
    }
    let now = clock::wall();
    if known.is_none()
        && let Some(before) = ZoneMemory::read(path)
    {
        tell(&before, jobs, now);
    }
    let memory = ZoneMemory::of(zones.into_values(), zone_database(), now);
    if let Err(error) = memory.write(path) {
        warn!(path = %path.display(), %error, "cannot remember the time zones in use");
    }
    memory
}

fn tell(before: &ZoneMemory, jobs: &AppliedSet, now: Timestamp) {
    let changed = before.changed();
    if changed.is_empty() {
        return;
    }
    let moved = moved(jobs, &changed, now);
    let zones: Vec<&str> = changed.keys().map(String::as_str).collect();
    info!(
        from = before.release,
        to = zone_database(),
        zones = zones.join(", "),
        jobs = moved.len(),
        "time zone data changed since the last start"
    );
    let shown = |at: Option<Timestamp>| at.map_or("never".to_owned(), rfc3339);
    for moved in moved.iter().take(TOLD_MAX) {
        let (job, zone) = (&moved.job, &moved.zone);
        info!(%job, zone, before = shown(moved.before), now = shown(moved.after), "fires at another time");
    }
    if moved.len() > TOLD_MAX {
        info!(jobs = moved.len() - TOLD_MAX, "more jobs fire at another time");
    }
}
