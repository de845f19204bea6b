//! Calendars as written: sets of days, and sets of windows.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};

use crate::spec::manifest::raw::{RawDate, RawDays, RawDuration};
use crate::spec::trigger::DayMatch;

/// Calendars by name.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[schemars(rename = "Calendars", extend("propertyNames" = { "pattern": "^[a-z0-9][a-z0-9._-]{0,62}$" }))]
#[schemars(extend("examples" = [{
    "workdays": { "weekdays": ["mon", "tue", "wed", "thu", "fri"], "except": ["2026-01-01..2026-01-03"] },
    "freeze": { "windows": [{ "cron": "0 22 * * sat", "duration": "6h" }] },
}]))]
pub struct RawCalendars(pub BTreeMap<String, RawCalendar>);

/// A set of days (`weekdays`, `except`, `also`) for `calendar`, or of windows for `exclude`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Calendar")]
pub struct RawCalendar {
    /// The days of the week that are in it. Absent: all of them.
    #[serde(default)]
    #[schemars(length(max = 7), example = ["mon", "tue", "wed", "thu", "fri"])]
    pub weekdays: Option<Vec<RawWeekday>>,
    /// Days that are taken out: holidays.
    #[serde(default)]
    #[schemars(length(max = 1000), example = ["2026-01-01..2026-01-03"])]
    pub except: Option<Vec<RawDays>>,
    /// Days that are added, whatever the week day and `except` say: make-up working days.
    #[serde(default)]
    #[schemars(length(max = 1000), example = ["2026-01-04"])]
    pub also: Option<Vec<RawDays>>,
    /// Stretches of time, in the zone of the trigger that excludes them.
    #[serde(default)]
    #[schemars(length(min = 1, max = 100))]
    #[schemars(extend("examples" = [[{ "cron": "0 22 * * sat", "duration": "6h" }]]))]
    pub windows: Option<Vec<RawWindow>>,
}

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "Weekday")]
pub enum RawWeekday {
    /// Monday.
    Mon,
    /// Tuesday.
    Tue,
    /// Wednesday.
    Wed,
    /// Thursday.
    Thu,
    /// Friday.
    Fri,
    /// Saturday.
    Sat,
    /// Sunday.
    Sun,
}

/// A stretch of time: from `start` to `end`, or from each fire time of `cron` for `duration`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Window", extend("oneOf" = [{ "required": ["start"] }, { "required": ["cron"] }]))]
pub struct RawWindow {
    /// The first moment inside.
    #[serde(default)]
    #[schemars(example = "2026-11-10T00:00:00")]
    pub start: Option<RawDate>,
    /// The first moment after it.
    #[serde(default)]
    #[schemars(example = "2026-11-12T00:00:00")]
    pub end: Option<RawDate>,
    /// When one begins: a cron expression.
    #[serde(default)]
    #[schemars(length(min = 1), example = "0 22 * * sat")]
    pub cron: Option<String>,
    /// With `cron`: what day and weekday, both given, mean together. Built in: any.
    #[serde(default)]
    #[schemars(example = &"all")]
    pub day_match: Option<DayMatch>,
    /// With `cron`: how long it lasts.
    #[serde(default)]
    #[schemars(example = "6h")]
    pub duration: Option<RawDuration>,
}

/// A calendar that a trigger refers to.
#[derive(Debug, Clone)]
pub enum RawCalendarUse {
    /// One of `calendars`.
    Named(String),
    /// Written on the spot.
    Inline(Box<RawCalendar>),
}

impl JsonSchema for RawCalendarUse {
    fn schema_name() -> Cow<'static, str> {
        "CalendarUse".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let inline = generator.subschema_for::<RawCalendar>();
        json_schema!({
            "description": "The name of one of `calendars`, or a calendar on the spot.",
            "anyOf": [{ "type": "string", "minLength": 1 }, inline],
            "examples": ["workdays"],
        })
    }
}

impl<'de> Deserialize<'de> for RawCalendarUse {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = RawCalendarUse;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a calendar or a calendar")
            }

            fn visit_str<E>(self, name: &str) -> Result<RawCalendarUse, E> {
                Ok(RawCalendarUse::Named(name.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RawCalendarUse, A::Error> {
                let calendar = RawCalendar::deserialize(MapAccessDeserializer::new(map))?;
                Ok(RawCalendarUse::Inline(Box::new(calendar)))
            }
        }
        deserializer.deserialize_any(Either)
    }
}
