//! Manifests as written: what serde decodes and what the JSON Schema is made from.
//!
//! One struct per map of the file. No `flatten`, `untagged` or internal tags: they cost the place of a
//! mistake, or accept misspelt keys. A kind is chosen by which key is present; that exactly one is,
//! and what texts mean, is looked at when lowering. The doc comments are the descriptions that
//! editors show.

mod calendars;
mod class;
mod command;
mod given;
mod http;
mod params;
mod policies;
mod process;
mod retry;
mod secrets;
mod texts;
mod trigger;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

pub use crate::spec::manifest::raw::calendars::{
    RawCalendar, RawCalendarUse, RawCalendars, RawWeekday, RawWindow,
};
pub use crate::spec::manifest::raw::class::{RawClass, RawClassParts};
pub use crate::spec::manifest::raw::command::RawCommand;
pub use crate::spec::manifest::raw::given::{Given, NULLABLE};
pub use crate::spec::manifest::raw::http::{RawExpected, RawHeaderValue, RawHeaders, RawHttp};
pub use crate::spec::manifest::raw::params::{
    RawParam, RawParamKind, RawParamValue, RawParamValues, RawParams,
};
pub use crate::spec::manifest::raw::policies::{RawMisfire, RawOutput};
pub use crate::spec::manifest::raw::process::RawLimits;
pub use crate::spec::manifest::raw::retry::{RawRetry, RawRetryMap};
pub use crate::spec::manifest::raw::secrets::{RawSecret, RawSecrets};
pub use crate::spec::manifest::raw::texts::{
    RawDate, RawDays, RawDuration, RawGraceTime, RawGroup, RawJobName, RawLine, RawSize, RawTag,
    RawUmask, RawUser, RawVariable, RawWebAddress, RawZone,
};
pub use crate::spec::manifest::raw::trigger::RawTrigger;
use crate::spec::policy::{OnLost, OnRemove, Overlap};
use crate::spec::process::Leftovers;

/// A file that declares jobs.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Manifest", extend("patternProperties" = { "^x-": true }))]
pub struct RawManifest {
    /// The version of the grammar; 1 when absent.
    #[serde(default)]
    pub version: Option<RawVersion>,
    /// Where editors find the JSON Schema of this file; ignored.
    #[serde(rename = "$schema", default)]
    pub schema: Option<String>,
    /// Values for every job of this file that does not say otherwise. In a file called
    /// `_defaults.yaml` or `_defaults.toml`: for every job of its folder and the folders below.
    #[serde(default)]
    pub defaults: Option<RawDefaults>,
    /// Sets of days and of windows that triggers refer to, by name; every manifest may use them.
    #[serde(default)]
    pub calendars: Option<RawCalendars>,
    /// The jobs, by name. The name is the identity of a job; the name of the file means nothing.
    #[serde(default)]
    pub jobs: Option<RawJobs>,
}

/// The version of the grammar.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[schemars(rename = "Version", extend("const" = 1), example = 1)]
pub struct RawVersion(pub u32);

/// Jobs by name.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[schemars(rename = "Jobs", extend("propertyNames" = { "pattern": "^[a-z0-9][a-z0-9._-]{0,62}$" }))]
#[schemars(extend("examples" = [{ "backup": { "cron": "0 3 * * *", "command": "/usr/local/bin/backup --all" } }]))]
pub struct RawJobs(pub BTreeMap<String, RawJob>);

/// Environment variables; `null` takes one of the defaults away.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[schemars(rename = "Env", extend("propertyNames" = { "pattern": "^[A-Za-z_][A-Za-z0-9_]{0,254}$" }))]
#[schemars(extend("examples" = [{ "LANG": "C.UTF-8", "PGHOST": "db.internal" }]))]
pub struct RawEnv(pub BTreeMap<String, Given<String>>);

/// Values for jobs that do not say otherwise. Maps merge by key; everything else replaces; `null`
/// resets to what is built in.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Defaults")]
pub struct RawDefaults {
    /// Time zone of the triggers: an IANA name, never an abbreviation or an offset.
    #[serde(default)]
    #[schemars(example = "Asia/Shanghai", example = &"UTC")]
    pub timezone: Given<RawZone>,
    /// `false`: declared off; nothing is due. Built in: true.
    #[serde(default)]
    #[schemars(example = false)]
    pub enabled: Given<bool>,
    /// Environment variables of the job process. The daemon's own environment is not inherited.
    #[serde(default)]
    pub env: Given<RawEnv>,
    /// Variables of the job process whose values are read when it starts, and masked in what is kept of it.
    #[serde(default)]
    pub secrets: Given<RawSecrets>,
    /// Working directory; relative to the folder of the settings file, which it is when absent.
    #[serde(default)]
    #[schemars(length(min = 1), example = "/opt/etl")]
    pub working_dir: Given<String>,
    /// The user, or user and group, that the process runs as; needs a daemon that is root. Built in: the daemon's.
    #[serde(default)]
    #[schemars(example = &"etl:etl")]
    pub user: Given<RawUser>,
    /// File mode creation mask, in octal digits. Built in: the daemon's.
    #[serde(default)]
    #[schemars(example = &"027")]
    pub umask: Given<RawUmask>,
    /// Variables that are taken over from the daemon's environment, beside the usual ones. Built in: none.
    #[serde(default)]
    #[schemars(length(max = 64), extend("examples" = [["HTTP_PROXY"]]))]
    pub inherit_env: Given<Vec<RawVariable>>,
    /// What the job process may use. Built in: no limits.
    #[serde(default)]
    pub limits: Given<RawLimits>,
    /// Exit codes that count as success. Built in: 0 alone.
    #[serde(default)]
    #[schemars(length(min = 1, max = 256), inner(range(min = 0, max = 255)), extend("examples" = [[0, 3]]))]
    pub success_exit_codes: Given<Vec<i32>>,
    /// What becomes of processes that the main process leaves running. Built in: kill.
    #[serde(default)]
    #[schemars(example = &"leave")]
    pub leftovers: Given<Leftovers>,
    /// The shell of a `script` and its arguments. Built in: `[/bin/sh, -e, -c]`.
    #[serde(default)]
    #[schemars(length(min = 1), example = ["bash", "-euo", "pipefail", "-c"])]
    pub shell: Given<Vec<String>>,
    /// The longest time of one attempt. Built in: no limit.
    #[serde(default)]
    #[schemars(example = "45m")]
    pub timeout: Given<RawDuration>,
    /// The longest time of waiting and all attempts together. Built in: no limit.
    #[serde(default)]
    #[schemars(example = "3h")]
    pub total_timeout: Given<RawDuration>,
    /// Further attempts after one that failed or timed out. Built in: none.
    #[serde(default)]
    #[schemars(extend("examples" = [2, { "limit": 3, "delay": "30s", "on_exit_codes": [75] }]))]
    pub retry: Given<RawRetry>,
    /// What becomes of an execution whose owner vanished with an attempt under way. Built in: record.
    #[serde(default)]
    #[schemars(example = &"retry")]
    pub on_lost: Given<OnLost>,
    /// From TERM to KILL. Built in: 10s.
    #[serde(default)]
    #[schemars(example = "15s")]
    pub kill_grace: Given<RawDuration>,
    /// What is kept of stdout and stderr.
    #[serde(default)]
    pub output: Given<RawOutput>,
    /// What becomes of an occurrence that is due while `max_instances` executions are in flight.
    /// Built in: skip.
    #[serde(default)]
    #[schemars(example = &"allow")]
    pub overlap: Given<Overlap>,
    /// How many executions of the job may be in flight. Built in: 1.
    #[serde(default)]
    #[schemars(range(min = 1, max = 1000), example = 2)]
    pub max_instances: Given<u32>,
    /// With `overlap: queue`: how many occurrences may wait. Built in: 1.
    #[serde(default)]
    #[schemars(range(min = 1, max = 1000), example = 3)]
    pub max_queued: Given<u32>,
    /// What becomes of an occurrence that was not started on time.
    #[serde(default)]
    pub misfire: Given<RawMisfire>,
    /// The one group of the job, by which it is listed.
    #[serde(default)]
    #[schemars(example = &"etl")]
    pub group: Given<RawGroup>,
    /// Words by which the job is found: 32 at most, each of 63 bytes at most. Built in: none.
    #[serde(default)]
    #[schemars(length(max = 32), extend("examples" = [["nightly", "tier-1"]]))]
    pub tags: Given<Vec<RawTag>>,
    /// Whom to ask about the job, on one line.
    #[serde(default)]
    #[schemars(example = &"data-platform@example.com")]
    pub owner: Given<RawLine>,
    /// Where it says what to do when the job fails.
    #[serde(default)]
    #[schemars(example = &"https://wiki.example.com/runbooks/etl")]
    pub runbook: Given<RawWebAddress>,
    /// `true`: the job is not removed before a person has confirmed that. Built in: false.
    #[serde(default)]
    #[schemars(example = true)]
    pub protect: Given<bool>,
    /// What becomes of the job's executions when it is removed. Built in: finish.
    #[serde(default)]
    #[schemars(example = &"cancel")]
    pub on_remove: Given<OnRemove>,
}

/// A job: one kind of task (`command`, `script`, `class` or `http`), and when it is due: `cron`, `interval` or `date`,
/// or any number of `triggers`; without any of them it only runs on request.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Job", extend("oneOf" = [{ "required": ["command"] }, { "required": ["script"] }, { "required": ["class"] }, { "required": ["http"] }]))]
pub struct RawJob {
    /// What it is for, in words.
    #[serde(default)]
    #[schemars(example = "Load the orders of the day before into the warehouse")]
    pub description: Option<String>,
    /// A cron expression: minute hour day month weekday; with 6 fields seconds come first, with 7 the
    /// year last; or a nickname such as `@daily`. Short for one entry of `triggers`.
    #[serde(default)]
    #[schemars(
        length(min = 1),
        example = "0 3 * * *",
        example = "@daily",
        example = "0/10 * * * * *"
    )]
    pub cron: Option<String>,
    /// The time between two fire times. Short for one entry of `triggers`.
    #[serde(default)]
    #[schemars(example = "5m")]
    pub interval: Option<RawDuration>,
    /// The one moment at which it is due. Short for one entry of `triggers`.
    #[serde(default)]
    #[schemars(example = "2026-03-01T09:00:00")]
    pub date: Option<RawDate>,
    /// Any number of triggers; empty: the job only runs on request.
    #[serde(default)]
    #[schemars(length(max = 100))]
    pub triggers: Option<Vec<RawTrigger>>,
    /// A program with its arguments; a text is split into words as in a shell, but no shell is used.
    #[serde(default)]
    pub command: Option<RawCommand>,
    /// A text for a shell.
    #[serde(default)]
    #[schemars(length(min = 1), example = "df -h /\ndu -sh /var/log\n")]
    pub script: Option<String>,
    /// A class of the closed registry, with its arguments.
    #[serde(default)]
    pub class: Option<RawClass>,
    /// An HTTP call.
    #[serde(default)]
    pub http: Option<RawHttp>,
    /// Time zone of the triggers: an IANA name, never an abbreviation or an offset.
    #[serde(default)]
    #[schemars(example = "Asia/Shanghai", example = &"UTC")]
    pub timezone: Given<RawZone>,
    /// `false`: declared off; nothing is due.
    #[serde(default)]
    #[schemars(example = false)]
    pub enabled: Given<bool>,
    /// Environment variables of the job process. The daemon's own environment is not inherited.
    #[serde(default)]
    pub env: Given<RawEnv>,
    /// Variables of the job process whose values are read when it starts, and masked in what is kept of it.
    #[serde(default)]
    pub secrets: Given<RawSecrets>,
    /// Working directory; relative to the folder of the settings file, which it is when absent.
    #[serde(default)]
    #[schemars(length(min = 1), example = "/opt/etl")]
    pub working_dir: Given<String>,
    /// The user, or user and group, that the process runs as; needs a daemon that is root.
    #[serde(default)]
    #[schemars(example = &"etl:etl")]
    pub user: Given<RawUser>,
    /// File mode creation mask, in octal digits.
    #[serde(default)]
    #[schemars(example = &"027")]
    pub umask: Given<RawUmask>,
    /// Variables that are taken over from the daemon's environment, beside the usual ones.
    #[serde(default)]
    #[schemars(length(max = 64), extend("examples" = [["HTTP_PROXY"]]))]
    pub inherit_env: Given<Vec<RawVariable>>,
    /// What the job process may use.
    #[serde(default)]
    pub limits: Given<RawLimits>,
    /// Exit codes that count as success.
    #[serde(default)]
    #[schemars(length(min = 1, max = 256), inner(range(min = 0, max = 255)), extend("examples" = [[0, 3]]))]
    pub success_exit_codes: Given<Vec<i32>>,
    /// What becomes of processes that the main process leaves running.
    #[serde(default)]
    #[schemars(example = &"leave")]
    pub leftovers: Given<Leftovers>,
    /// The shell of a `script` and its arguments.
    #[serde(default)]
    #[schemars(length(min = 1), example = ["bash", "-euo", "pipefail", "-c"])]
    pub shell: Given<Vec<String>>,
    /// The longest time of one attempt.
    #[serde(default)]
    #[schemars(example = "45m")]
    pub timeout: Given<RawDuration>,
    /// The longest time of waiting and all attempts together.
    #[serde(default)]
    #[schemars(example = "3h")]
    pub total_timeout: Given<RawDuration>,
    /// Further attempts after one that failed or timed out.
    #[serde(default)]
    #[schemars(extend("examples" = [2, { "limit": 3, "delay": "30s", "on_exit_codes": [75] }]))]
    pub retry: Given<RawRetry>,
    /// What becomes of an execution whose owner vanished with an attempt under way.
    #[serde(default)]
    #[schemars(example = &"retry")]
    pub on_lost: Given<OnLost>,
    /// From TERM to KILL.
    #[serde(default)]
    #[schemars(example = "15s")]
    pub kill_grace: Given<RawDuration>,
    /// What is kept of stdout and stderr.
    #[serde(default)]
    pub output: Given<RawOutput>,
    /// What becomes of an occurrence that is due while `max_instances` executions are in flight.
    #[serde(default)]
    #[schemars(example = &"allow")]
    pub overlap: Given<Overlap>,
    /// How many executions of the job may be in flight.
    #[serde(default)]
    #[schemars(range(min = 1, max = 1000), example = 2)]
    pub max_instances: Given<u32>,
    /// With `overlap: queue`: how many occurrences may wait.
    #[serde(default)]
    #[schemars(range(min = 1, max = 1000), example = 3)]
    pub max_queued: Given<u32>,
    /// What becomes of an occurrence that was not started on time.
    #[serde(default)]
    pub misfire: Given<RawMisfire>,
    /// The one group of the job, by which it is listed.
    #[serde(default)]
    #[schemars(example = &"etl")]
    pub group: Given<RawGroup>,
    /// Words by which the job is found: 32 at most, each of 63 bytes at most.
    #[serde(default)]
    #[schemars(length(max = 32), extend("examples" = [["nightly", "tier-1"]]))]
    pub tags: Given<Vec<RawTag>>,
    /// Whom to ask about the job, on one line.
    #[serde(default)]
    #[schemars(example = &"data-platform@example.com")]
    pub owner: Given<RawLine>,
    /// Where it says what to do when the job fails.
    #[serde(default)]
    #[schemars(example = &"https://wiki.example.com/runbooks/etl")]
    pub runbook: Given<RawWebAddress>,
    /// `true`: the job is not removed before a person has confirmed that.
    #[serde(default)]
    #[schemars(example = true)]
    pub protect: Given<bool>,
    /// What becomes of the job's executions when it is removed.
    #[serde(default)]
    #[schemars(example = &"cancel")]
    pub on_remove: Given<OnRemove>,
    /// Values that each execution is given: by whoever asks for it, by its trigger, or by default.
    #[serde(default)]
    pub params: Option<RawParams>,
    /// Names under which the job was known: the first of them that is applied goes on as this job, with its
    /// history. 32 at most, each once. Not while a job of that name is declared.
    #[serde(default)]
    #[schemars(length(max = 32), extend("examples" = [["etl-nightly"]]))]
    pub previous_names: Option<Vec<RawJobName>>,
}

impl RawJob {
    /// The part that defaults may give too.
    pub fn defaults(&mut self) -> RawDefaults {
        RawDefaults {
            timezone: std::mem::take(&mut self.timezone),
            enabled: std::mem::take(&mut self.enabled),
            env: std::mem::take(&mut self.env),
            secrets: std::mem::take(&mut self.secrets),
            working_dir: std::mem::take(&mut self.working_dir),
            user: std::mem::take(&mut self.user),
            umask: std::mem::take(&mut self.umask),
            inherit_env: std::mem::take(&mut self.inherit_env),
            limits: std::mem::take(&mut self.limits),
            success_exit_codes: std::mem::take(&mut self.success_exit_codes),
            leftovers: std::mem::take(&mut self.leftovers),
            shell: std::mem::take(&mut self.shell),
            timeout: std::mem::take(&mut self.timeout),
            total_timeout: std::mem::take(&mut self.total_timeout),
            retry: std::mem::take(&mut self.retry),
            on_lost: std::mem::take(&mut self.on_lost),
            kill_grace: std::mem::take(&mut self.kill_grace),
            output: std::mem::take(&mut self.output),
            overlap: std::mem::take(&mut self.overlap),
            max_instances: std::mem::take(&mut self.max_instances),
            max_queued: std::mem::take(&mut self.max_queued),
            misfire: std::mem::take(&mut self.misfire),
            group: std::mem::take(&mut self.group),
            tags: std::mem::take(&mut self.tags),
            owner: std::mem::take(&mut self.owner),
            runbook: std::mem::take(&mut self.runbook),
            protect: std::mem::take(&mut self.protect),
            on_remove: std::mem::take(&mut self.on_remove),
        }
    }
}
