//! One argument of a call, for serde.

use std::fmt;

use serde::de::value::{MapAccessDeserializer, MapDeserializer, SeqDeserializer};
use serde::de::{self, Expected, IntoDeserializer, Unexpected, Visitor};
use serde::forward_to_deserialize_any;

use crate::spec::task::call::Argument;

/// How many characters of what is wrong are told.
const MESSAGE_CHARS_MAX: usize = 300;

/// The deserializer of an argument.
#[derive(Debug, Clone, Copy)]
pub(super) struct Value<'c>(pub(super) &'c Argument);

/// Why an argument is not what is taken.
#[derive(Debug)]
pub(super) struct WrongValue(pub(super) String);

impl fmt::Display for WrongValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for WrongValue {}

impl de::Error for WrongValue {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string().chars().take(MESSAGE_CHARS_MAX).collect())
    }

    fn invalid_type(given: Unexpected<'_>, taken: &dyn Expected) -> Self {
        Self::custom(format_args!("{taken} is taken, and this is {given}"))
    }

    fn invalid_value(given: Unexpected<'_>, taken: &dyn Expected) -> Self {
        Self::invalid_type(given, taken)
    }
}

impl<'de> de::Deserializer<'de> for Value<'de> {
    type Error = WrongValue;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, WrongValue> {
        match self.0 {
            Argument::None => visitor.visit_unit(),
            Argument::Bool(value) => visitor.visit_bool(*value),
            Argument::Integer(number) => {
                if let Ok(number) = i64::try_from(*number) {
                    visitor.visit_i64(number)
                } else if let Ok(number) = u64::try_from(*number) {
                    visitor.visit_u64(number)
                } else {
                    visitor.visit_i128(*number)
                }
            }
            Argument::Float(number) => visitor.visit_f64(*number),
            Argument::Text(text) => visitor.visit_borrowed_str(text),
            Argument::List(items) => {
                let mut items = SeqDeserializer::new(items.iter().map(Value));
                let value = visitor.visit_seq(&mut items)?;
                items.end()?;
                Ok(value)
            }
            Argument::Map(entries) => visitor.visit_map(entries_of(entries)),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, WrongValue> {
        if *self.0 == Argument::None { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, WrongValue> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, WrongValue> {
        match self.0 {
            Argument::Text(text) => {
                text.as_str().into_deserializer().deserialize_enum(name, variants, visitor)
            }
            Argument::Map(entries) => MapAccessDeserializer::new(entries_of(entries))
                .deserialize_enum(name, variants, visitor),
            Argument::None
            | Argument::Bool(_)
            | Argument::Integer(_)
            | Argument::Float(_)
            | Argument::List(_) => {
                let variants = variants.join("`, `");
                let kind = self.0.kind();
                Err(WrongValue(format!("one of `{variants}` is taken, and this is {kind}")))
            }
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

type Entries<'c, I> = MapDeserializer<'c, I, WrongValue>;

fn entries_of(
    entries: &[(String, Argument)],
) -> Entries<'_, impl Iterator<Item = (&str, Value<'_>)>> {
    MapDeserializer::new(entries.iter().map(|(key, value)| (key.as_str(), Value(value))))
}

impl<'c> IntoDeserializer<'c, WrongValue> for Value<'c> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}
