//! What operators have said about jobs.

use serde::{Deserialize, Serialize};

use crate::engine::overrides::{Pause, SkipNext};
use crate::io::http::documents::{At, at_in};
use crate::spec::job::SourcePlace;
use crate::time::{Timestamp, Zone};

/// All overrides that hold something, by job name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OverridesDocument {
    /// [`OverridesDocument::SCHEMA`].
    pub schema: String,
    /// The overrides.
    pub overrides: Vec<OverrideEntry>,
}

impl OverridesDocument {
    /// Name and version of this document.
    pub const SCHEMA: &str = "cronwright.overrides/v1";
}

/// What holds one job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OverrideEntry {
    /// The job.
    pub job: String,
    /// Where its definition stands; none: it is removed, and the override waits for its return.
    pub source: Option<SourcePlace>,
    /// It is paused.
    pub pause: Option<PauseEntry>,
    /// It leaves one fire time out.
    pub skip_next: Option<SkipEntry>,
}

/// A pause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PauseEntry {
    /// Who said so.
    pub by: String,
    /// Since when: fire times after this are skipped.
    pub since: At,
    /// Until when: fire times before this are skipped; none: until it is resumed.
    pub until: Option<At>,
    /// Why.
    pub reason: Option<String>,
}

/// The skip of one fire time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkipEntry {
    /// Who said so.
    pub by: String,
    /// When.
    pub since: At,
    /// Why.
    pub reason: Option<String>,
    /// The fire time that is skipped; none: the job is not due again.
    pub fire_time: Option<At>,
}

impl PauseEntry {
    /// A pause, in the zone of its job.
    pub fn of(pause: &Pause, zone: &Zone) -> Self {
        Self {
            by: pause.by.clone(),
            since: at_in(zone, pause.at),
            until: pause.until.map(|until| at_in(zone, until)),
            reason: pause.reason.clone(),
        }
    }
}

impl SkipEntry {
    /// A skip of `fire_time`, in the zone of its job.
    pub fn of(skip: &SkipNext, fire_time: Option<Timestamp>, zone: &Zone) -> Self {
        Self {
            by: skip.by.clone(),
            since: at_in(zone, skip.at),
            reason: skip.reason.clone(),
            fire_time: fire_time.map(|at| at_in(zone, at)),
        }
    }
}
