//! What arguments a class takes, and the closed set of classes that a program knows.
//!
//! Pure: it says whether a call fits, and what each parameter gets. What a class does is `daemon::handlers`'.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::diagnostic::suggest::nearest;
use crate::spec::task::call::{Argument, Call};

/// What kind of value a parameter takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Anything.
    Any,
    /// `True` or `False`.
    Boolean,
    /// A whole number of 64 bits.
    Integer,
    /// Any number.
    Number,
    /// A text.
    Text,
    /// A list.
    List,
    /// A map.
    Map,
}

/// A parameter of a class.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// What it takes.
    pub kind: Kind,
    /// What it is where it is not given; none: it must be given.
    pub default: Option<Argument>,
}

/// The parameters of a class, in order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Signature {
    parameters: Vec<Parameter>,
}

/// Which part of a call is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The path, or the call as a whole.
    Path,
    /// The argument at this position, from 0.
    Position(usize),
    /// The named argument with this index, from 0.
    Named(usize),
}

/// Why a call does not fit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Misfit {
    /// Which part.
    pub part: Part,
    /// What is wrong.
    pub message: String,
}

impl Kind {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Any => "any value",
            Self::Boolean => "True or False",
            Self::Integer => "a whole number of 64 bits",
            Self::Number => "a number",
            Self::Text => "a text",
            Self::List => "a list",
            Self::Map => "a map",
        }
    }

    /// Whether a value is of this kind.
    pub fn takes(self, argument: &Argument) -> bool {
        match self {
            Self::Any => true,
            Self::Boolean => matches!(argument, Argument::Bool(_)),
            Self::Integer => {
                matches!(argument, Argument::Integer(number) if i64::try_from(*number).is_ok())
            }
            Self::Number => matches!(argument, Argument::Integer(_) | Argument::Float(_)),
            Self::Text => matches!(argument, Argument::Text(_)),
            Self::List => matches!(argument, Argument::List(_)),
            Self::Map => matches!(argument, Argument::Map(_)),
        }
    }
}

impl Signature {
    /// Without parameters.
    pub fn new() -> Self {
        Self::default()
    }

    /// With one more parameter, which must be given.
    #[must_use]
    pub fn required(mut self, name: &str, kind: Kind) -> Self {
        self.parameters.push(Parameter { name: name.to_owned(), kind, default: None });
        self
    }

    /// With one more parameter, which has a default.
    #[must_use]
    pub fn optional(mut self, name: &str, kind: Kind, default: Argument) -> Self {
        self.parameters.push(Parameter { name: name.to_owned(), kind, default: Some(default) });
        self
    }

    /// What each parameter gets from a call.
    pub fn bind(&self, call: &Call) -> Result<BTreeMap<String, Argument>, Misfit> {
        let mut bound = BTreeMap::new();
        let named = call.kwargs.iter().map(|(name, value)| (Some(name), value));
        let given = call.args.iter().map(|value| (None, value)).chain(named);
        for (index, (name, value)) in given.enumerate() {
            let (part, parameter) = match name {
                None => (Part::Position(index), self.at(index)),
                Some(name) => (Part::Named(index - call.args.len()), self.named(name)),
            };
            let wrong = |message| Misfit { part, message };
            let parameter = parameter.map_err(wrong)?;
            let name = &parameter.name;
            if !parameter.kind.takes(value) {
                let (wanted, given) = (parameter.kind.words(), value.kind());
                return Err(wrong(format!("`{name}` takes {wanted}, and this is {given}")));
            }
            if bound.insert(name.clone(), value.clone()).is_some() {
                return Err(wrong(format!("`{name}` is given twice")));
            }
        }
        self.complete(bound)
    }

    fn complete(
        &self,
        mut bound: BTreeMap<String, Argument>,
    ) -> Result<BTreeMap<String, Argument>, Misfit> {
        for Parameter { name, kind, default } in &self.parameters {
            if bound.contains_key(name) {
                continue;
            }
            let Some(default) = default else {
                let message = format!("the argument `{name}` is missing: {}", kind.words());
                return Err(Misfit { part: Part::Path, message });
            };
            bound.insert(name.clone(), default.clone());
        }
        Ok(bound)
    }

    fn at(&self, index: usize) -> Result<&Parameter, String> {
        let count = self.parameters.len();
        self.parameters.get(index).ok_or_else(|| {
            let plural = if count == 1 { "" } else { "s" };
            format!("this class takes {count} argument{plural}, and this is one more")
        })
    }

    fn named(&self, name: &str) -> Result<&Parameter, String> {
        let found = self.parameters.iter().find(|parameter| parameter.name == name);
        found.ok_or_else(|| {
            let names = self.parameters.iter().map(|parameter| parameter.name.as_str());
            match nearest(name, names) {
                Some(near) => format!("this class takes no `{name}`; did you mean `{near}`?"),
                None => format!("this class takes no argument `{name}`"),
            }
        })
    }
}

/// The classes that a program knows; none in the plain program.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Classes(Arc<BTreeMap<String, Option<Signature>>>);

impl Classes {
    /// Classes by path; without a signature a class takes any arguments.
    pub fn new(classes: BTreeMap<String, Option<Signature>>) -> Self {
        Self(Arc::new(classes))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether there is a class with this path.
    pub fn contains(&self, path: &str) -> bool {
        self.0.contains_key(path)
    }

    /// The known path nearest to one that is not known.
    pub fn nearest(&self, path: &str) -> Option<&str> {
        nearest(path, self.0.keys().map(String::as_str))
    }

    /// Whether the arguments of a call fit its class, which is known.
    pub fn check(&self, call: &Call) -> Result<(), Misfit> {
        match self.0.get(&call.path) {
            Some(Some(signature)) => signature.bind(call).map(drop),
            Some(None) | None => Ok(()),
        }
    }
}
