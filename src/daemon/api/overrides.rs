//! What operators have said about jobs.

use std::collections::BTreeMap;

use crate::daemon::api::{Answers, zone};
use crate::engine::execution::JobUid;
use crate::engine::overrides::{Override, skipped_by};
use crate::engine::plan::AppliedJob;
use crate::io::clock;
use crate::io::http::documents::overrides::{
    OverrideEntry, OverridesDocument, PauseEntry, SkipEntry,
};
use crate::time::{Timestamp, Zone};

impl Answers {
    pub(super) fn overrides(&self) -> OverridesDocument {
        let now = clock::wall();
        let applied = self.handle.applied.borrow().clone();
        let jobs: BTreeMap<&JobUid, &AppliedJob> =
            applied.jobs.values().map(|job| (&job.uid, job)).collect();
        let said = applied.overrides.iter();
        let entry = |(uid, said): (&JobUid, &Override)| entry(now, jobs.get(uid).copied(), said);
        let mut overrides: Vec<OverrideEntry> = said.filter_map(entry).collect();
        overrides.sort_by(|a, b| a.job.cmp(&b.job));
        OverridesDocument { schema: OverridesDocument::SCHEMA.to_owned(), overrides }
    }
}

/// What holds a job, if something does.
fn entry(now: Timestamp, job: Option<&AppliedJob>, said: &Override) -> Option<OverrideEntry> {
    let zone = job.map_or_else(Zone::utc, zone);
    let pause = said.pause_at(now).map(|pause| PauseEntry::of(pause, &zone));
    let skip = said.skip_next.as_ref();
    let skip_next =
        skip.map(|skip| SkipEntry::of(skip, job.and_then(|job| skipped_by(job, skip)), &zone));
    if pause.is_none() && skip_next.is_none() {
        return None;
    }
    let name = job.map_or(&said.job, |job| &job.spec.name);
    let source = job.map(|job| job.source.clone());
    Some(OverrideEntry { job: name.to_string(), source, pause, skip_next })
}
