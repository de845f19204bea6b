//! The arguments of a call, read as the types that a handler takes.
//!
//! A tuple takes them by position, a struct by position in the order of its fields and by name; `()` takes none,
//! and any other type is the one argument. Reading is serde's, so that whatever it can derive is a type that
//! a handler can take; what does not fit is said with the argument that is wrong.

mod value;

use std::fmt;

use serde::de::{
    self, DeserializeOwned, DeserializeSeed, IntoDeserializer, MapAccess, SeqAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use crate::diagnostic::suggest::nearest;
use crate::spec::task::arguments::value::{Value, WrongValue};
use crate::spec::task::call::{Argument, Call};
use crate::spec::task::signature::{Misfit, Part};

/// The arguments of a call as an `A`.
pub fn read<A: DeserializeOwned>(call: &Call) -> Result<A, Misfit> {
    A::deserialize(Arguments(call))
        .map_err(|error| Misfit { part: error.part.unwrap_or(Part::Path), message: error.message })
}

/// Why the arguments do not fit.
#[derive(Debug)]
struct Wrong {
    /// None: the call as a whole, or not known yet.
    part: Option<Part>,
    message: String,
}

impl Wrong {
    fn at(part: Part, message: String) -> Self {
        Self { part: Some(part), message }
    }

    fn whole(message: String) -> Self {
        Self::at(Part::Path, message)
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Wrong {}

impl de::Error for Wrong {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { part: None, message: message.to_string() }
    }

    fn missing_field(name: &'static str) -> Self {
        Self::whole(format!("the argument `{name}` is missing"))
    }
}

/// The deserializer of all arguments.
struct Arguments<'c>(&'c Call);

impl<'c> Arguments<'c> {
    /// The only argument.
    fn only(&self) -> Result<Value<'c>, Wrong> {
        let Call { args, kwargs, .. } = self.0;
        self.no_names()?;
        self.at_most(1)?;
        match (args.first(), kwargs.is_empty()) {
            (Some(argument), true) => Ok(Value(argument)),
            (None, _) | (Some(_), false) => {
                Err(Wrong::whole("it takes one argument, and there is none".to_owned()))
            }
        }
    }

    fn at_most(&self, count: usize) -> Result<(), Wrong> {
        if self.0.args.len() <= count {
            return Ok(());
        }
        let taken = if count == 0 { "none".to_owned() } else { count.to_string() };
        let message = format!("it takes {taken} by position, and this is one more");
        Err(Wrong::at(Part::Position(count), message))
    }

    fn no_names(&self) -> Result<(), Wrong> {
        match self.0.kwargs.first() {
            None => Ok(()),
            Some((name, _)) => {
                let message =
                    format!("it takes arguments by position only, and `{name}` is a name");
                Err(Wrong::at(Part::Named(0), message))
            }
        }
    }

    fn by_position(&self) -> impl Iterator<Item = (Part, &'c Argument)> + use<'c> {
        let placed = |(index, argument)| (Part::Position(index), argument);
        self.0.args.iter().enumerate().map(placed)
    }

    /// The arguments with the names of `fields`.
    fn named(&self, fields: &'static [&'static str]) -> Result<Vec<Given<'c>>, Wrong> {
        self.at_most(fields.len())?;
        let mut given: Vec<Given<'c>> = fields
            .iter()
            .zip(self.by_position())
            .map(|(name, (part, argument))| Given { name, part, argument })
            .collect();
        for (index, (name, argument)) in self.0.kwargs.iter().enumerate() {
            let part = Part::Named(index);
            if !fields.contains(&name.as_str()) {
                let message = match nearest(name, fields.iter().copied()) {
                    Some(near) => format!("it takes no `{name}`; did you mean `{near}`?"),
                    None => format!("it takes no argument `{name}`"),
                };
                return Err(Wrong::at(part, message));
            }
            if given.iter().any(|one| one.name == name) {
                let message = format!("`{name}` is given by position already");
                return Err(Wrong::at(part, message));
            }
            given.push(Given { name, part, argument });
        }
        Ok(given)
    }
}

/// An argument and the field that it is for.
struct Given<'c> {
    name: &'c str,
    part: Part,
    argument: &'c Argument,
}

/// Hands on the arguments one by one, and notes which of them is wrong.
struct InOrder<I> {
    rest: I,
}

impl<'c, I: Iterator<Item = (Part, &'c Argument)>> SeqAccess<'c> for InOrder<I> {
    type Error = Wrong;

    fn next_element_seed<T: DeserializeSeed<'c>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Wrong> {
        self.rest.next().map(|(part, argument)| read_one(seed, part, argument)).transpose()
    }
}

/// The same with names.
struct ByName<'c, I> {
    rest: I,
    value: Option<(Part, &'c Argument)>,
}

impl<'c, I: Iterator<Item = Given<'c>>> MapAccess<'c> for ByName<'c, I> {
    type Error = Wrong;

    fn next_key_seed<K: DeserializeSeed<'c>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Wrong> {
        let Some(given) = self.rest.next() else { return Ok(None) };
        self.value = Some((given.part, given.argument));
        seed.deserialize(given.name.into_deserializer()).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'c>>(&mut self, seed: V) -> Result<V::Value, Wrong> {
        match self.value.take() {
            Some((part, argument)) => read_one(seed, part, argument),
            None => Err(Wrong::whole("a value was asked for before its name".to_owned())),
        }
    }
}

fn read_one<'c, T: DeserializeSeed<'c>>(
    seed: T,
    part: Part,
    argument: &'c Argument,
) -> Result<T::Value, Wrong> {
    seed.deserialize(Value(argument)).map_err(|WrongValue(message)| Wrong::at(part, message))
}

impl<'de> de::Deserializer<'de> for Arguments<'de> {
    type Error = Wrong;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        let only = self.only()?;
        only.deserialize_any(visitor).map_err(|WrongValue(why)| Wrong::at(Part::Position(0), why))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        if self.0.args.is_empty() && self.0.kwargs.is_empty() {
            visitor.visit_none()
        } else {
            visitor.visit_some(self)
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.at_most(0)?;
        self.no_names()?;
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.no_names()?;
        visitor.visit_seq(InOrder { rest: self.by_position() })
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        count: usize,
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        self.no_names()?;
        self.at_most(count)?;
        let given = self.0.args.len();
        if given < count {
            let message = format!("it takes {count} arguments, and there are {given}");
            return Err(Wrong::whole(message));
        }
        visitor.visit_seq(InOrder { rest: self.by_position() })
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        count: usize,
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        self.deserialize_tuple(count, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.at_most(0)?;
        let kwargs = self.0.kwargs.iter().enumerate();
        let rest = kwargs.map(|(index, (name, argument))| Given {
            name,
            part: Part::Named(index),
            argument,
        });
        visitor.visit_map(ByName { rest, value: None })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        let given = self.named(fields)?;
        visitor.visit_map(ByName { rest: given.into_iter(), value: None })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        let only = self.only()?;
        only.deserialize_enum(name, variants, visitor)
            .map_err(|WrongValue(why)| Wrong::at(Part::Position(0), why))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        identifier ignored_any
    }
}

#[cfg(test)]
mod tests;
