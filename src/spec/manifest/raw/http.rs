//! HTTP calls as written.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::spec::task::http::Method;

/// An HTTP call. `${execution.id}` and its like (`job`, `attempt`, `fire_time`, `cause`, `revision`) and
/// `${env.NAME}`, a variable of `env`, are filled in in `url`, `headers`, `json` and `body` when the call is made.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Http")]
pub struct RawHttp {
    /// The method. Built in: GET, and POST with `json` or `body`.
    #[serde(default)]
    #[schemars(example = &"POST")]
    pub method: Option<Method>,
    /// Where to: `http://…` or `https://…`, without a password.
    #[schemars(length(max = 4096), regex(pattern = "^https?://[^\\x00-\\x20\\x7f-\\x9f]+$"), example = &"https://api.example.com/internal/warm")]
    pub url: String,
    /// Header fields by name.
    #[serde(default)]
    pub headers: Option<RawHeaders>,
    /// What is sent, as JSON. Not beside `body`.
    #[serde(default)]
    #[schemars(extend("examples" = [{ "source": "${execution.job}" }]))]
    pub json: Option<Value>,
    /// What is sent, as it stands. Not beside `json`.
    #[serde(default)]
    #[schemars(example = &"rebuild=all")]
    pub body: Option<String>,
    /// Which answers count as success. Built in: a status of 200 to 299.
    #[serde(default)]
    pub expect: Option<RawExpected>,
    /// How many redirects are followed; 0: a redirect is an answer as any other. Built in: 10.
    #[serde(default)]
    #[schemars(range(min = 0, max = 20), example = 0)]
    pub max_redirects: Option<u32>,
}

/// Header fields by name.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[schemars(rename = "Headers", extend("propertyNames" = { "pattern": "^[A-Za-z0-9!#$%&'*+.^_|~-]{1,128}$" }))]
#[schemars(extend("examples" = [{ "Accept": "application/json" }]))]
pub struct RawHeaders(pub BTreeMap<String, RawHeaderValue>);

/// The value of a header field.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[schemars(rename = "HeaderValue", extend("pattern" = "^[^\\x00-\\x1f\\x7f]*$", "maxLength" = 8192))]
#[schemars(example = &"application/json")]
pub struct RawHeaderValue(pub String);

/// Which answers count as success.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Expected")]
pub struct RawExpected {
    /// These status codes, and no others.
    #[schemars(length(min = 1, max = 64), inner(range(min = 200, max = 599)), extend("examples" = [[200, 202]]))]
    pub status: Vec<u32>,
}
