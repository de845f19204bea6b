//! Commands as written: a text, or a list.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::value::SeqAccessDeserializer;
use serde::de::{Deserializer, SeqAccess, Visitor};

/// A command: one text, or a list of arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RawCommand {
    /// To be split into words.
    Line(String),
    /// Program and arguments.
    Argv(Vec<String>),
}

impl JsonSchema for RawCommand {
    fn schema_name() -> Cow<'static, str> {
        "Command".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A program with its arguments; a text is split into words as in a shell, but no shell is used.",
            "anyOf": [
                { "type": "string", "minLength": 1 },
                { "type": "array", "minItems": 1, "items": { "type": "string" } },
            ],
            "examples": ["/usr/local/bin/backup --all", ["/opt/etl/bin/load", "--mode", "full"]],
        })
    }
}

impl<'de> Deserialize<'de> for RawCommand {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = RawCommand;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a list of texts")
            }

            fn visit_str<E>(self, text: &str) -> Result<RawCommand, E> {
                Ok(RawCommand::Line(text.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<RawCommand, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(items)).map(RawCommand::Argv)
            }
        }
        deserializer.deserialize_any(Either)
    }
}
