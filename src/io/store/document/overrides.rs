//! What operators have said about a job, as it is stored.

use serde::{Deserialize, Serialize};

use crate::engine::execution::JobUid;
use crate::engine::overrides::{Override, Pause, SkipNext};
use crate::engine::request::RequestId;
use crate::io::store::{STORE_VERSION, StoreError};
use crate::spec::job::JobName;
use crate::time::Timestamp;

/// Fields of an [`OverrideDocument`] that hold times, in [`OVERRIDE_TIMES`].
pub const OVERRIDE_PARTS: [&str; 2] = ["pause", "skip_next"];
/// Fields of these that are times.
pub const OVERRIDE_TIMES: [&str; 2] = ["at", "until"];

/// The overrides of a job as they are stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OverrideDocument {
    /// The job's uid.
    #[serde(rename = "_id")]
    pub uid: String,
    /// Version of this form.
    pub v: u32,
    /// The job's name when they were said.
    pub job: String,
    /// It is paused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause: Option<SaidDocument>,
    /// It leaves one fire time out; without `until`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skip_next: Option<SaidDocument>,
    /// The last request that changed this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
}

/// Who said something about a job, when, why, and until when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SaidDocument {
    /// Who.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Until when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

impl OverrideDocument {
    /// The stored form.
    pub fn of(uid: &JobUid, said: &Override) -> Self {
        let pause = |pause: &Pause| {
            let Pause { by, at, reason, until } = pause.clone();
            SaidDocument { by, at, reason, until }
        };
        let skip = |skip: &SkipNext| {
            let SkipNext { by, at, reason } = skip.clone();
            SaidDocument { by, at, reason, until: None }
        };
        Self {
            uid: uid.to_string(),
            v: STORE_VERSION,
            job: said.job.to_string(),
            pause: said.pause.as_ref().map(pause),
            skip_next: said.skip_next.as_ref().map(skip),
            request: said.request.as_ref().map(ToString::to_string),
        }
    }

    /// What was said, and about whom.
    pub fn said(self) -> Result<(JobUid, Override), StoreError> {
        let damaged = |message: String| StoreError::Damaged {
            kind: "override",
            id: self.uid.clone(),
            message,
        };
        let job = JobName::parse(&self.job).map_err(|error| damaged(error.to_string()))?;
        let request = self.request.as_deref().map(RequestId::parse).transpose();
        let request = request.map_err(|error| damaged(error.to_string()))?;
        let pause = self.pause.map(|SaidDocument { by, at, reason, until }| Pause {
            by,
            at,
            reason,
            until,
        });
        let skip_next =
            self.skip_next.map(|SaidDocument { by, at, reason, .. }| SkipNext { by, at, reason });
        Ok((JobUid(self.uid.as_str().into()), Override { job, pause, skip_next, request }))
    }
}
