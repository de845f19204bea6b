//! Policies as written, those that are maps.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::spec::manifest::raw::{RawGraceTime, RawSize};
use crate::spec::process::Capture;

/// What becomes of an occurrence that was not started on time.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Misfire")]
pub struct RawMisfire {
    /// How late an occurrence may still start: a duration or `unlimited`. Later, it is recorded as
    /// missed. Built in: 1h.
    #[serde(default)]
    #[schemars(example = "6h", example = &"unlimited")]
    pub grace_time: Option<RawGraceTime>,
    /// Of several that are late after an outage only the latest runs. Built in: true.
    #[serde(default)]
    #[schemars(example = false)]
    pub coalesce: Option<bool>,
    /// Without `coalesce`: at most this many of the newest run, the oldest first. Built in: 10.
    #[serde(default)]
    #[schemars(range(min = 1, max = 1000), example = 10)]
    pub max_catch_up: Option<u32>,
}

/// What is kept of the output of an execution.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Output")]
pub struct RawOutput {
    /// How much of stdout and stderr together is kept, half of it the beginning and half the end.
    /// Built in: 128KiB.
    #[serde(default)]
    #[schemars(example = "1MiB")]
    pub max_size: Option<RawSize>,
    /// Which of its streams are kept; what is written to the others is thrown away. Built in: both.
    #[serde(default)]
    #[schemars(example = &"stderr")]
    pub capture: Option<Capture>,
    /// `true`: what is kept is also written to the daemon's log, line by line. Built in: false.
    #[serde(default)]
    #[schemars(example = true)]
    pub forward: Option<bool>,
}
