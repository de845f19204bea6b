//! Overrides in force: how they hold jobs back (B2, D10). How they change is `override_changes`.
//!
//! A paused job has no row for each fire time. It is looked at again only at the end of its next range row:
//! [`PAUSE_FLUSHED_WITHIN`] after the first fire time that the row covers, or at the end of the pause. So its
//! rows lag behind the watermark, which does not wait for them; whoever reads the store goes on from the
//! pause's own beginning ([`OverrideState::covered_until`]).

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use crate::engine::execution::{JobUid, Outcome, Range, Skipped};
use crate::engine::overrides::{Holds, Override, OverrideAction, OverrideWrite, Overrides};
use crate::engine::plan::AppliedJob;
use crate::engine::schedule::{self, Occurrence};
use crate::engine::scheduler::override_changes::{Asked, Change};
use crate::engine::scheduler::{Job, Scheduler};
use crate::spec::job::JobName;
use crate::time::{Now, Timestamp, rfc3339};

/// How long after its fire time an occurrence that a pause holds has its row.
pub const PAUSE_FLUSHED_WITHIN: Duration = Duration::from_hours(1);

/// What is said about jobs, and what is still to be done about it.
#[derive(Debug, Default)]
pub(super) struct OverrideState {
    pub(super) by_uid: Overrides,
    /// Pauses with an end.
    pub(super) ends: BTreeSet<(Timestamp, JobUid)>,
    /// Skips whose fire time has its row, or its draft; the store has them still.
    pub(super) used_up: BTreeSet<JobUid>,
    pub(super) waiting: VecDeque<Asked>,
}

impl OverrideState {
    pub(super) fn by_uid(&self) -> &Overrides {
        &self.by_uid
    }

    pub(super) fn of(&self, uid: &JobUid) -> Option<&Override> {
        self.by_uid.get(uid)
    }

    /// Takes what the store holds for what is said.
    pub(super) fn read(&mut self, stored: &Overrides) {
        self.by_uid.clear();
        self.ends.clear();
        self.used_up.clear();
        for (uid, said) in stored {
            self.set(uid.clone(), said.clone());
        }
    }

    fn set(&mut self, uid: JobUid, said: Override) {
        let end = |said: &Override| said.pause.as_ref().and_then(|pause| pause.until);
        if let Some(until) = self.by_uid.get(&uid).and_then(end) {
            self.ends.remove(&(until, uid.clone()));
        }
        if let Some(until) = end(&said) {
            self.ends.insert((until, uid.clone()));
        }
        self.used_up.remove(&uid);
        self.by_uid.insert(uid, said);
    }

    /// Up to when a job is certainly accounted for: the watermark, but a pause's own beginning for the job
    /// that it holds.
    pub(super) fn covered_until(
        &self,
        uid: &JobUid,
        watermark: Option<Timestamp>,
    ) -> Option<Timestamp> {
        let pause = self.of(uid).and_then(|said| said.pause.as_ref());
        watermark.map(|watermark| pause.map_or(watermark, |pause| watermark.min(pause.at)))
    }

    /// The next occurrence of a job, or, when a pause holds that, the moment at which the row for it and its
    /// successors is to be written.
    pub(super) fn or_flush(&self, job: &AppliedJob, next: Occurrence) -> Occurrence {
        let pause = self.of(&job.uid).and_then(|said| said.pause.as_ref());
        let Some(pause) = pause.filter(|pause| pause.holds(next.fire_time)) else { return next };
        let flush = next.fire_time + PAUSE_FLUSHED_WITHIN;
        let flush = pause.until.map_or(flush, |until| flush.min(until));
        Occurrence { fire_time: flush, start_time: flush, trigger: next.trigger }
    }

    /// Keeps a change whose answer was lost, to look whether it was written.
    pub(super) fn ask_again(&mut self, change: Change) {
        if let Some((request, _)) = change.asked {
            self.waiting.push_front(Asked { request, again: true });
        }
    }
}

impl Scheduler {
    /// The store has these overrides.
    pub(super) fn take_overrides(&mut self, writes: Vec<OverrideWrite>) {
        for OverrideWrite { uid, to, .. } in writes {
            self.overrides.set(uid, to);
        }
    }

    /// Queues a job for its next occurrence, or for the next row of its pause.
    pub(super) fn queue_next(&mut self, job: &AppliedJob, next: Option<Occurrence>) {
        let next = next.map(|next| self.overrides.or_flush(job, next));
        self.queue.set(&job.spec.name, next);
    }

    /// Puts every job into the queue, from its cursor on.
    pub(super) fn queue_all(&mut self) {
        for job in self.jobs.values() {
            let next = schedule::next_after(&job.applied, job.cursor);
            let next = next.map(|next| self.overrides.or_flush(&job.applied, next));
            self.queue.set(&job.applied.spec.name, next);
        }
    }

    /// A job is accounted for up to `until`: if that is past the fire time that a skip takes, the skip is
    /// used up, whatever became of that fire time.
    pub(super) fn use_up_skip(&mut self, uid: &JobUid, holds: Holds<'_>, until: Timestamp) {
        if holds.skipped.is_some_and(|skipped| skipped <= until) {
            self.overrides.used_up.insert(uid.clone());
            if let Some(said) = self.overrides.by_uid.get_mut(uid) {
                said.skip_next = None;
            }
        }
    }

    /// The skips of these jobs that are used up: a plan that gives the jobs new definitions takes them back
    /// with it, so that no skip counts for both.
    pub(super) fn used_up_skips(&self, jobs: &BTreeSet<JobName>) -> Vec<OverrideWrite> {
        let applied = jobs.iter().filter_map(|name| self.jobs.get(name));
        let used_up = applied.filter(|job| self.overrides.used_up.contains(&job.applied.uid));
        let write = |job: &Job| {
            let (uid, action) = (job.applied.uid.clone(), OverrideAction::SkipUsed);
            let to = self.overrides.of(&uid)?.clone();
            Some(OverrideWrite { uid, action, to })
        };
        used_up.filter_map(write).collect()
    }

    /// After a recovery: how far the rows of paused jobs go without a gap, and which skips are used up.
    pub(super) fn read_progress(&mut self) {
        let said: Vec<JobUid> = self.overrides.by_uid.keys().cloned().collect();
        for uid in said {
            let Some(name) = self.name_of(&uid) else { continue };
            let Some(job) = self.jobs.get_mut(&name).filter(|job| job.applied.uid == uid) else {
                continue;
            };
            job.pass_over_covered();
            let holds = Holds::of(&job.applied, self.overrides.by_uid.get(&uid));
            let Some(skipped) = holds.skipped else { continue };
            let is_covered = |range: &Range| range.first <= skipped && skipped <= range.last;
            if skipped <= job.cursor || job.covered.iter().any(is_covered) {
                self.overrides.used_up.insert(uid.clone());
                if let Some(said) = self.overrides.by_uid.get_mut(&uid) {
                    said.skip_next = None;
                }
            }
        }
    }

    pub(super) fn name_of(&self, uid: &JobUid) -> Option<JobName> {
        let said = &self.overrides.of(uid)?.job;
        let is_it = |job: &&Job| job.applied.uid == *uid;
        let renamed = || self.jobs.values().find(is_it).map(|job| job.applied.spec.name.clone());
        let same = self.jobs.get(said).filter(is_it).map(|_| said.clone());
        // A job that is removed has no rows to wait for.
        same.or_else(renamed).or_else(|| Some(said.clone()))
    }

    /// Who holds an occurrence back, for its row.
    pub(super) fn who_holds(&self, uid: &JobUid, outcome: Outcome) -> Option<String> {
        let said = self.overrides.of(uid)?;
        let (by, reason) = match outcome {
            Outcome::Skipped(Skipped::Paused) => {
                said.pause.as_ref().map(|pause| (&pause.by, &pause.reason))
            }
            Outcome::Skipped(Skipped::SkipNext) => {
                said.skip_next.as_ref().map(|skip| (&skip.by, &skip.reason))
            }
            Outcome::Skipped(
                Skipped::Coalesced
                | Skipped::Overlap
                | Skipped::QueueFull
                | Skipped::Replaced
                | Skipped::Removed,
            )
            | Outcome::Succeeded
            | Outcome::Failed(_)
            | Outcome::TimedOut(_)
            | Outcome::Cancelled(_)
            | Outcome::Lost
            | Outcome::Missed(_) => None,
        }?;
        Some(who_and_why(by, reason.as_deref()))
    }

    /// What a run-now is told of a job that is paused.
    pub(super) fn paused_note(&self, now: Now, uid: &JobUid) -> Option<String> {
        let pause = self.overrides.of(uid)?.pause_at(now.wall)?;
        let (since, who) = (rfc3339(pause.at), who_and_why(&pause.by, pause.reason.as_deref()));
        Some(format!(
            "the job is paused since {since} ({who}); this run is carried out all the same"
        ))
    }
}

impl Job {
    /// Moves the cursor over the rows after it, as far as they leave out no occurrence.
    fn pass_over_covered(&mut self) {
        self.covered.sort_by_key(|range| range.first);
        let mut passed = 0;
        for range in &self.covered {
            if range.first > self.cursor {
                let next = schedule::next_after(&self.applied, self.cursor);
                if next.is_none_or(|next| next.fire_time != range.first) {
                    break;
                }
            }
            self.cursor = self.cursor.max(range.last);
            passed += 1;
        }
        self.covered.drain(..passed);
    }
}
pub(super) fn who_and_why(by: &str, reason: Option<&str>) -> String {
    reason.map_or_else(|| by.to_owned(), |reason| format!("{by}: {reason}"))
}
