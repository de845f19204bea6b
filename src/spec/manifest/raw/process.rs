//! What a process may use, as written.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::spec::manifest::raw::{RawDuration, RawSize};

/// What the job process may use.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Limits")]
pub struct RawLimits {
    /// How many files each of its processes may hold open; not more than the machine allows.
    #[serde(default)]
    #[schemars(range(min = 16, max = 1_048_576), example = 4096)]
    pub files: Option<u32>,
    /// How much CPU time each of its processes may take, in whole seconds: the signal XCPU ends one that takes more.
    #[serde(default)]
    #[schemars(example = "2h")]
    pub time: Option<RawDuration>,
    /// How many cores all its processes together may use, to a thousandth; needs a control group.
    #[serde(default)]
    #[schemars(range(min = 0.01, max = 1024), extend("examples" = [2, 0.5]))]
    pub cpu: Option<f64>,
    /// How much memory all its processes together may use; needs a control group.
    #[serde(default)]
    #[schemars(example = "4GiB")]
    pub memory: Option<RawSize>,
    /// How many processes and threads it may be; needs a control group.
    #[serde(default)]
    #[schemars(range(min = 1, max = 4_194_304), example = 256)]
    pub pids: Option<u32>,
}
