//! An applied plan as it is stored, with what is needed to go back behind it.

use serde::{Deserialize, Serialize};

use crate::engine::event::PlanWrites;
use crate::engine::plan::{AppliedJob, Change};
use crate::engine::rollback::{Former, Pin, TakenBack};
use crate::io::store::STORE_VERSION;
use crate::spec::job::{Digest, JobName, SourcePlace};
use crate::time::Timestamp;

/// An applied plan as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanDocument {
    /// The generation that it led to.
    #[serde(rename = "_id")]
    pub generation: i64,
    /// Version of this form.
    pub v: u32,
    /// The revision.
    pub revision: String,
    /// When it took effect.
    pub effective_at: Timestamp,
    /// What set it off.
    pub origin: String,
    /// What it changed.
    pub changes: Vec<ChangeDocument>,
    /// What was pinned from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<PinDocument>,
}

/// One change of an applied plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeDocument {
    /// `create`, `update`, `rename`, `remove`; `repair` of the store's copy; of overrides: `pause`, `resume`, `skip_next`, `pause_ended`,
    /// `skip_used`.
    pub action: String,
    /// The job.
    pub job: String,
    /// What was applied before; none: nothing, or the change is of an override.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<FormerDocument>,
}

/// A definition that a change replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormerDocument {
    /// The name of its job.
    pub job: String,
    /// Its digest.
    pub digest: String,
    /// Where it stood.
    pub source: SourcePlace,
}

/// What keeps the sources from being applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinDocument {
    /// The revision that was gone back to.
    pub revision: String,
    /// The generation after which the jobs were like that.
    pub generation: i64,
    /// Who went back.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl PlanDocument {
    /// The stored form of a plan that led to `generation`.
    pub fn of(plan: &PlanWrites, generation: u64) -> Self {
        let overrides = plan.overrides.iter().map(|write| ChangeDocument {
            action: write.action.as_str().to_owned(),
            job: write.to.job.to_string(),
            before: None,
        });
        let repaired = plan.repair.write.iter().chain(&plan.repair.remove);
        let repaired = repaired.map(|job| ChangeDocument {
            action: "repair".to_owned(),
            job: job.spec.name.to_string(),
            before: None,
        });
        let changes = plan.changes.iter().map(ChangeDocument::of);
        Self {
            generation: stored(generation),
            v: STORE_VERSION,
            revision: plan.revision.to_string(),
            effective_at: plan.effective_at,
            origin: plan.origin.clone(),
            changes: changes.chain(repaired).chain(overrides).collect(),
            pin: plan.pin.as_ref().map(PinDocument::of),
        }
    }

    /// Whether it changed definitions, and not only overrides or the pin.
    pub fn has_changed_jobs(&self) -> bool {
        self.changes.iter().any(ChangeDocument::is_of_job)
    }

    /// How its changes of definitions are taken back; none: it was written by a program that did not keep
    /// what it replaced.
    pub fn taken_back(&self) -> Option<Vec<TakenBack>> {
        let of_jobs = self.changes.iter().filter(|change| change.is_of_job());
        of_jobs.map(ChangeDocument::taken_back).collect()
    }
}

impl ChangeDocument {
    fn of(change: &Change) -> Self {
        let former = |job: &AppliedJob| FormerDocument {
            job: job.spec.name.to_string(),
            digest: job.digest.to_string(),
            source: job.source.clone(),
        };
        Self {
            action: change.action().to_owned(),
            job: change.job().to_string(),
            before: change.applied().map(former),
        }
    }

    fn is_of_job(&self) -> bool {
        matches!(self.action.as_str(), "create" | "update" | "rename" | "remove")
    }

    fn taken_back(&self) -> Option<TakenBack> {
        let name = JobName::parse(&self.job).ok()?;
        let before = self.before.as_ref().map(|before| {
            Some(Former {
                name: JobName::parse(&before.job).ok()?,
                digest: Digest(before.digest.as_str().into()),
                source: before.source.clone(),
            })
        });
        let before = match before {
            Some(before) => Some(before?),
            None if self.action == "create" => None,
            None => return None,
        };
        Some(TakenBack { after: Some(name).filter(|_| self.action != "remove"), before })
    }
}

impl PinDocument {
    /// The stored form of a pin.
    pub fn of(pin: &Pin) -> Self {
        Self {
            revision: pin.revision.to_string(),
            generation: stored(pin.generation),
            by: pin.by.clone(),
            at: pin.at,
            reason: pin.reason.clone(),
        }
    }

    /// The pin.
    pub fn pin(self) -> Pin {
        Pin {
            revision: self.revision.as_str().into(),
            generation: self.generation.unsigned_abs(),
            by: self.by,
            at: self.at,
            reason: self.reason,
        }
    }
}

fn stored(generation: u64) -> i64 {
    i64::try_from(generation).unwrap_or(i64::MAX)
}
