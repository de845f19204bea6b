//! Classes as written: a call as Python writes it, or its parts.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;

use crate::spec::task::call::Runtime;

/// A class with its arguments: one text, or the parts.
#[derive(Debug, Clone, PartialEq)]
pub enum RawClass {
    /// The call as Python writes it.
    Call(String),
    /// Its parts.
    Parts(RawClassParts),
}

/// The parts of a call.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ClassParts")]
pub struct RawClassParts {
    /// The path of the class.
    #[schemars(length(min = 1), example = &"reports.daily.Report")]
    pub path: String,
    /// Arguments by position.
    #[serde(default)]
    #[schemars(extend("examples" = [["sales", 7, true]]))]
    pub args: Vec<Value>,
    /// Arguments by name.
    #[serde(default)]
    #[schemars(extend("examples" = [{ "lang": "zh" }]))]
    pub kwargs: BTreeMap<String, Value>,
    /// Where the class is looked up. Needed only where both know the path.
    #[serde(default)]
    #[schemars(example = &"python")]
    pub runtime: Option<Runtime>,
}

impl JsonSchema for RawClass {
    fn schema_name() -> Cow<'static, str> {
        "Class".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A class with its arguments: a handler of the program, or a class in Python below the folder that the settings name. One text as Python writes it, or the parts.",
            "anyOf": [
                { "type": "string", "minLength": 1 },
                generator.subschema_for::<RawClassParts>(),
            ],
            "examples": [
                "reports.daily.Report(\"sales\", 7, lang=\"zh\")",
                { "path": "reports.daily.Report", "args": ["sales", 7], "runtime": "python" },
            ],
        })
    }
}

impl<'de> Deserialize<'de> for RawClass {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = RawClass;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a map")
            }

            fn visit_str<E>(self, text: &str) -> Result<RawClass, E> {
                Ok(RawClass::Call(text.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, parts: A) -> Result<RawClass, A::Error> {
                RawClassParts::deserialize(MapAccessDeserializer::new(parts)).map(RawClass::Parts)
            }
        }
        deserializer.deserialize_any(Either)
    }
}
