//! Triggers as written.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::spec::manifest::raw::{RawCalendarUse, RawDate, RawDuration, RawParamValues, RawZone};
use crate::spec::trigger::{DayMatch, Dialect, FoldRule, GapRule};

/// When a job is due: exactly one of `cron`, `interval` and `date`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(
    rename = "Trigger",
    extend("oneOf" = [{ "required": ["cron"] }, { "required": ["interval"] }, { "required": ["date"] }])
)]
pub struct RawTrigger {
    /// A cron expression: minute hour day month weekday; with 6 fields seconds come first, with 7 the
    /// year last; or a nickname such as `@daily`.
    #[serde(default)]
    #[schemars(length(min = 1), example = "30 2 * * mon-fri")]
    pub cron: Option<String>,
    /// The time between two fire times.
    #[serde(default)]
    #[schemars(example = "6h")]
    pub interval: Option<RawDuration>,
    /// The one moment at which it is due.
    #[serde(default)]
    #[schemars(example = "2026-03-01T09:00:00")]
    pub date: Option<RawDate>,
    /// Time zone of this trigger; that of the job when absent.
    #[serde(default)]
    #[schemars(example = &"UTC")]
    pub timezone: Option<RawZone>,
    /// With `cron`: which program's expressions it is written in. Built in: standard.
    #[serde(default)]
    #[schemars(example = &"quartz")]
    pub dialect: Option<Dialect>,
    /// With `cron`: day and weekday both given: any (as crontab has it) or all must match.
    #[serde(default)]
    #[schemars(example = &"all")]
    pub day_match: Option<DayMatch>,
    /// With `cron`: what becomes of wall times that a change of clocks skips. When absent, those of
    /// fixed times fire once after the gap, and those of every minute, hour or so do not.
    #[serde(default)]
    #[schemars(example = &"skip")]
    pub gap: Option<GapRule>,
    /// With `cron`: which of two passes of a wall time fires when clocks are set back. When absent,
    /// fixed times fire in the first, and those of every minute, hour or so in both.
    #[serde(default)]
    #[schemars(example = &"last")]
    pub fold: Option<FoldRule>,
    /// Only on the days of this calendar: a name under `calendars`, or the calendar itself. Days are
    /// those of the trigger's zone.
    #[serde(default)]
    pub calendar: Option<RawCalendarUse>,
    /// Never inside the windows of these calendars; a window's start belongs to it, its end does not.
    #[serde(default)]
    #[schemars(length(max = 100), extend("examples" = [["freeze"]]))]
    pub exclude: Option<Vec<RawCalendarUse>>,
    /// The start is delayed by less than this, by another delay for each fire time, always the same
    /// one. Built in: 0s.
    #[serde(default)]
    #[schemars(example = "2m")]
    pub jitter: Option<RawDuration>,
    /// With `cron` or `interval`: nothing is due before this moment, which is itself included. With
    /// `interval` also relative to the moment at which the trigger is first applied: `+5s`.
    #[serde(default)]
    #[schemars(example = "2026-01-01T00:00:00", example = "+5s")]
    pub start_date: Option<RawDate>,
    /// With `cron` or `interval`: nothing is due after this moment, which is itself included.
    #[serde(default)]
    #[schemars(example = "2026-12-31T23:59:59")]
    pub end_date: Option<RawDate>,
    /// With `interval`: the phase. Fire times are this moment plus whole periods.
    #[serde(default)]
    #[schemars(example = "2026-01-01T01:00:00")]
    pub anchor: Option<RawDate>,
    /// What the executions of this trigger are given of the job's `params`.
    #[serde(default)]
    pub params: Option<RawParamValues>,
}
