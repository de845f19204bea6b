//! Retries as written: how many, or a map.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};

use crate::spec::manifest::raw::RawDuration;
use crate::spec::policy::{Backoff, RETRY_LIMIT_MAX};

/// Further attempts after one that failed or timed out.
#[derive(Debug, Clone)]
pub enum RawRetry {
    /// So many; 0: none.
    Limit(u32),
    /// With all there is to say about them.
    Map(RawRetryMap),
}

/// Further attempts after one that failed or timed out.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Retry")]
pub struct RawRetryMap {
    /// How many attempts are made after the first; 0: none.
    #[schemars(range(min = 0, max = 100), example = 3)]
    pub limit: u32,
    /// The wait after the first attempt. Built in: 10s.
    #[serde(default)]
    #[schemars(example = "30s")]
    pub delay: Option<RawDuration>,
    /// How the waits grow. Built in: exponential.
    #[serde(default)]
    #[schemars(example = &"fixed")]
    pub backoff: Option<Backoff>,
    /// No wait is longer. Built in: 10m, or `delay` where that is longer.
    #[serde(default)]
    #[schemars(example = "1h")]
    pub max_delay: Option<RawDuration>,
    /// Each wait is shortened by up to this part of itself, by another for each execution, so that jobs which
    /// fail together do not come back together. Built in: 0.2.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1), example = 0.5)]
    pub jitter: Option<f64>,
    /// Only attempts that ended with one of these exit codes are followed by another. Absent: all that failed or
    /// timed out.
    #[serde(default)]
    #[schemars(length(min = 1, max = 255), inner(range(min = 1, max = 255)), extend("examples" = [[75]]))]
    pub on_exit_codes: Option<Vec<i32>>,
}

impl JsonSchema for RawRetry {
    fn schema_name() -> Cow<'static, str> {
        "RetryUse".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let map = generator.subschema_for::<RawRetryMap>();
        json_schema!({
            "description": "How many attempts are made after the first, or a map that says more.",
            "anyOf": [{ "type": "integer", "minimum": 0, "maximum": RETRY_LIMIT_MAX }, map],
            "examples": [2, { "limit": 3, "delay": "30s", "on_exit_codes": [75] }],
        })
    }
}

impl<'de> Deserialize<'de> for RawRetry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = RawRetry;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of attempts or a map")
            }

            fn visit_i64<E: serde::de::Error>(self, limit: i64) -> Result<RawRetry, E> {
                let range = || E::custom("a number of attempts out of range");
                u32::try_from(limit).map(RawRetry::Limit).map_err(|_| range())
            }

            fn visit_u64<E: serde::de::Error>(self, limit: u64) -> Result<RawRetry, E> {
                let range = || E::custom("a number of attempts out of range");
                u32::try_from(limit).map(RawRetry::Limit).map_err(|_| range())
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RawRetry, A::Error> {
                RawRetryMap::deserialize(MapAccessDeserializer::new(map)).map(RawRetry::Map)
            }
        }
        deserializer.deserialize_any(Either)
    }
}
