//! HTTP calls: what is sent where, and which answers count as success.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How many redirects are followed where nothing else is said.
pub const MAX_REDIRECTS: u32 = 10;

/// A call. As JSON it is a value of `http` in a manifest, in normal form.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpCall {
    /// The method.
    pub method: Method,
    /// Where to: `http` or `https`.
    pub url: String,
    /// Header fields by name. Two names never differ by case alone.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Sent as JSON; never together with `body`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json: Option<Value>,
    /// Sent as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Which answers count as success.
    #[serde(default, skip_serializing_if = "Expected::is_built_in")]
    pub expect: Expected,
    /// How many redirects are followed; 0: a redirect is an answer as any other.
    pub max_redirects: u32,
}

/// Which answers count as success.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// Status codes; empty: 200 to 299.
    pub status: BTreeSet<u16>,
}

impl Expected {
    /// Whether this status is one of them.
    pub fn contains(&self, status: u16) -> bool {
        if self.status.is_empty() {
            (200..300).contains(&status)
        } else {
            self.status.contains(&status)
        }
    }

    fn is_built_in(&self) -> bool {
        self.status.is_empty()
    }
}

/// What is done to a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[schemars(rename = "HttpMethod")]
pub enum Method {
    /// Read it.
    Get,
    /// Read its header fields.
    Head,
    /// Let it take in the body.
    Post,
    /// Put the body in its place.
    Put,
    /// Change it as the body says.
    Patch,
    /// Remove it.
    Delete,
    /// Ask what can be done to it.
    Options,
}

impl Method {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Options => "OPTIONS",
        }
    }
}
