//! The table `[kinit]` as written.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::spec::manifest::raw::RawZone;
use crate::spec::settings::RawPassword;

/// The scheduler of kinit's web admin: what it publishes is carried out, and what its pages show is written.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Kinit")]
pub struct RawKinit {
    /// Whether anything of this table counts. Built in: false.
    #[serde(default)]
    #[schemars(example = true)]
    pub enabled: Option<bool>,
    /// The channel of Redis on which kinit publishes. Built in: `kinit_queue`.
    #[serde(default)]
    #[schemars(length(min = 1, max = 200), example = &"kinit_queue")]
    pub channel: Option<String>,
    /// The zone in which kinit's dates and times are meant. Built in: `Asia/Shanghai`.
    #[serde(default)]
    #[schemars(example = &"Asia/Shanghai")]
    pub timezone: Option<RawZone>,
    /// The URL of the MongoDB in which kinit keeps its tasks. Built in: that of `store`.
    #[serde(default)]
    #[schemars(length(min = 1), example = &"mongodb://kinit@db.internal/kinit")]
    pub url: Option<String>,
    /// The password of the URL's user, kept elsewhere.
    #[serde(default)]
    pub password: Option<RawPassword>,
    /// kinit's database in it. Built in: the one that the URL names.
    #[serde(default)]
    #[schemars(regex(pattern = "^[A-Za-z0-9_-]{1,63}$"), example = &"kinit")]
    pub database: Option<String>,
    /// The collection that says which tasks are active. Built in: `scheduler_task_jobs`.
    #[serde(default)]
    #[schemars(regex(pattern = "^[A-Za-z_][A-Za-z0-9_.-]{0,119}$"), example = &"scheduler_task_jobs")]
    pub jobs: Option<String>,
    /// The collection of what has run. Built in: `scheduler_task_record`.
    #[serde(default)]
    #[schemars(regex(pattern = "^[A-Za-z_][A-Za-z0-9_.-]{0,119}$"), example = &"scheduler_task_record")]
    pub records: Option<String>,
    /// The collection of the tasks' definitions; it is only read. Built in: `vadmin_system_task`.
    #[serde(default)]
    #[schemars(regex(pattern = "^[A-Za-z_][A-Za-z0-9_.-]{0,119}$"), example = &"vadmin_system_task")]
    pub tasks: Option<String>,
}
