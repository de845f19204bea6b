//! Values that a layer may give, leave out, or reset.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde::de::{Deserializer, Visitor};

/// A value that defaults may give too: not written, reset to what is built in by `null`, or given.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Given<T> {
    /// Not written: the layer below decides.
    #[default]
    Absent,
    /// `null`: what is built in.
    Reset,
    /// This.
    Value(T),
}

impl<T> Given<T> {
    /// The same with another value.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Given<U> {
        match self {
            Self::Absent => Given::Absent,
            Self::Reset => Given::Reset,
            Self::Value(value) => Given::Value(change(value)),
        }
    }

    /// The same with a value that may turn out to be wrong; then it counts as not written.
    pub fn and_then<U>(self, read: impl FnOnce(T) -> Option<U>) -> Given<U> {
        match self {
            Self::Absent => Given::Absent,
            Self::Reset => Given::Reset,
            Self::Value(value) => read(value).map_or(Given::Absent, Given::Value),
        }
    }

    /// This layer over the one below.
    #[must_use]
    pub fn or(self, below: impl FnOnce() -> Self) -> Self {
        match self {
            Self::Absent => below(),
            Self::Reset | Self::Value(_) => self,
        }
    }

    /// What stands there, or else what is built in.
    pub fn unwrap_or(self, built_in: T) -> T {
        self.value().unwrap_or(built_in)
    }

    /// What stands there.
    pub fn value(self) -> Option<T> {
        match self {
            Self::Absent | Self::Reset => None,
            Self::Value(value) => Some(value),
        }
    }
}

/// Marks a schema that allows `null` beside what it says; `spec::schema` writes it out.
pub const NULLABLE: &str = "x-nullable";

impl<T: JsonSchema> JsonSchema for Given<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Given_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = generator.subschema_for::<T>();
        schema.insert(NULLABLE.to_owned(), true.into());
        schema
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Given<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Nullable<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Nullable<T> {
            type Value = Given<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value or null")
            }

            fn visit_none<E>(self) -> Result<Given<T>, E> {
                Ok(Given::Reset)
            }

            fn visit_some<D: Deserializer<'de>>(self, value: D) -> Result<Given<T>, D::Error> {
                T::deserialize(value).map(Given::Value)
            }
        }
        deserializer.deserialize_option(Nullable(PhantomData))
    }
}
