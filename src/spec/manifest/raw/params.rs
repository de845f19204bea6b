//! Parameters as written: what each execution is given.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::Value;

/// Values that each execution of the job is given: by whoever asks for it, by its trigger, or by default. The job
/// receives them as `PARAM_NAME`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[schemars(rename = "Params", extend("propertyNames" = { "pattern": "^[a-z][a-z0-9_]{0,62}$" }))]
#[schemars(extend("examples" = [{ "day": { "type": "date", "default": "yesterday" }, "rows": { "type": "integer", "min": 1, "required": false } }]))]
pub struct RawParams(pub BTreeMap<String, RawParam>);

/// A parameter: which values it takes.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Param")]
pub struct RawParam {
    /// Which values it takes.
    #[serde(rename = "type")]
    #[schemars(example = &"date")]
    pub kind: RawParamKind,
    /// What it means, on one line.
    #[serde(default)]
    #[schemars(length(max = 256), example = &"Business day to load")]
    pub description: Option<String>,
    /// The value of an execution that is given none.
    #[serde(default)]
    pub default: Option<RawParamValue>,
    /// `false`: an execution may have no value. Built in: true, unless there is a default.
    #[serde(default)]
    #[schemars(example = false)]
    pub required: Option<bool>,
    /// With `integer` or `number`: the least.
    #[serde(default)]
    #[schemars(example = 1)]
    pub min: Option<f64>,
    /// With `integer` or `number`: the greatest.
    #[serde(default)]
    #[schemars(example = 1_000_000)]
    pub max: Option<f64>,
    /// With `string`: a regular expression that the text must match; write `^` and `$` for the whole of it.
    #[serde(default)]
    #[schemars(length(min = 1, max = 1024), example = &"^[a-z_]+$")]
    pub pattern: Option<String>,
    /// With `choice`: the texts to choose from.
    #[serde(default)]
    #[schemars(length(min = 1, max = 100), extend("examples" = [["full", "delta"]]))]
    pub options: Option<Vec<String>>,
}

/// Which values a parameter takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "ParamType")]
pub enum RawParamKind {
    /// A text; `pattern` may narrow it.
    String,
    /// A whole number; `min` and `max` may bound it.
    Integer,
    /// A number; `min` and `max` may bound it.
    Number,
    /// `true` or `false`.
    Boolean,
    /// A day as in `2026-01-31`, or `today` or `yesterday`, counted from when the execution is due.
    Date,
    /// One of its `options`.
    Choice,
}

/// Values of parameters, by name.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[schemars(rename = "ParamValues", extend("examples" = [{ "mode": "full" }]))]
pub struct RawParamValues(pub BTreeMap<String, RawParamValue>);

/// A value of a parameter: a text, a number or a boolean.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct RawParamValue(pub Value);

impl JsonSchema for RawParamValue {
    fn schema_name() -> Cow<'static, str> {
        "ParamValue".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A value of a parameter: a text, a number or a boolean.",
            "type": ["string", "number", "boolean"],
            "examples": ["yesterday", 5],
        })
    }
}
