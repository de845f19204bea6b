//! Which arguments a class in Python takes, and whether a call fits.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::diagnostic::suggest::nearest;
use crate::spec::task::call::Call;

/// How a parameter may be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Passing {
    /// By position or by name.
    Any,
    /// By position only.
    Position,
    /// By name only.
    Name,
}

/// A parameter of a class.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// How it may be given.
    pub by: Passing,
    /// Whether it must be given.
    pub required: bool,
}

/// The arguments that a class takes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Signature {
    /// In order.
    pub parameters: Vec<Parameter>,
    /// Whether it takes more of them by position.
    pub rest: bool,
    /// Whether it takes more of them by name.
    pub rest_named: bool,
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

impl Signature {
    /// Whether the arguments of a call fit.
    pub fn check(&self, call: &Call) -> Result<(), Misfit> {
        let mut given = BTreeSet::new();
        for index in 0..call.args.len() {
            let wrong = |message| Misfit { part: Part::Position(index), message };
            given.extend(self.at(index).map_err(wrong)?);
        }
        for (index, (name, _)) in call.kwargs.iter().enumerate() {
            let wrong = |message| Misfit { part: Part::Named(index), message };
            if self.named(name).map_err(wrong)? && !given.insert(name.as_str()) {
                return Err(wrong(format!("`{name}` is given by position already")));
            }
        }
        let missing =
            |parameter: &&Parameter| parameter.required && !given.contains(parameter.name.as_str());
        match self.parameters.iter().find(missing) {
            None => Ok(()),
            Some(Parameter { name, .. }) => {
                let message = format!("the argument `{name}` is missing");
                Err(Misfit { part: Part::Path, message })
            }
        }
    }

    /// The parameter that the argument at this position is for; none: one of the rest.
    fn at(&self, index: usize) -> Result<Option<&str>, String> {
        let mut by_position = self.parameters.iter().filter(|one| one.by != Passing::Name);
        match by_position.nth(index) {
            Some(parameter) => Ok(Some(&parameter.name)),
            None if self.rest => Ok(None),
            None => {
                let by_position = self.parameters.iter().filter(|one| one.by != Passing::Name);
                let taken = match by_position.count() {
                    0 => "none".to_owned(),
                    count => count.to_string(),
                };
                Err(format!("it takes {taken} by position, and this is one more"))
            }
        }
    }

    /// Whether the name is a parameter's; if not, it is one of the rest.
    fn named(&self, name: &str) -> Result<bool, String> {
        let by_name = || self.parameters.iter().filter(|one| one.by != Passing::Position);
        if by_name().any(|parameter| parameter.name == name) {
            return Ok(true);
        }
        if self.rest_named {
            return Ok(false);
        }
        Err(match nearest(name, by_name().map(|parameter| parameter.name.as_str())) {
            Some(near) => format!("it takes no `{name}`; did you mean `{near}`?"),
            None => format!("it takes no argument `{name}`"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Parameters by name: `x=` has a default, `/x` goes by position only, `,x` by name only.
    fn signature(words: &str) -> Signature {
        let mut signature = Signature::default();
        for word in words.split_whitespace() {
            match word {
                "*" => signature.rest = true,
                "**" => signature.rest_named = true,
                word => {
                    let by = match word.get(..1) {
                        Some("/") => Passing::Position,
                        Some(",") => Passing::Name,
                        _ => Passing::Any,
                    };
                    let name = word.trim_matches(['/', ',', '=']).to_owned();
                    let required = !word.ends_with('=');
                    signature.parameters.push(Parameter { name, by, required });
                }
            }
        }
        signature
    }

    #[test]
    fn arguments_fit_or_it_is_said_which_does_not() {
        let check = |words: &str, args: &str| {
            let call = Call::parse(&format!("a.B({args})")).unwrap();
            match signature(words).check(&call) {
                Ok(()) => "fits".to_owned(),
                Err(misfit) => format!("{:?}: {misfit}", misfit.part),
            }
        };
        for (words, args, told) in [
            ("name age", "\"kinit\", 1314", "fits"),
            ("name age=", "\"kinit\"", "fits"),
            ("name age", "age=1, name=2", "fits"),
            ("name age", "1", "Path: the argument `age` is missing"),
            ("name", "1, 2", "Position(1): it takes 1 by position, and this is one more"),
            ("", "1", "Position(0): it takes none by position, and this is one more"),
            ("*", "1, 2", "fits"),
            ("name", "1, name=2", "Named(0): `name` is given by position already"),
            ("name age=", "1, ago=2", "Named(0): it takes no `ago`; did you mean `age`?"),
            ("name", "1, other=2", "Named(0): it takes no argument `other`"),
            ("name **", "1, other=2", "fits"),
            ("/name", "name=1", "Named(0): it takes no argument `name`"),
            (",lang", "\"zh\"", "Position(0): it takes none by position, and this is one more"),
            ("name ,lang", "1, lang=\"zh\"", "fits"),
            ("name ,lang", "1", "Path: the argument `lang` is missing"),
        ] {
            assert_eq!(check(words, args), told, "({words}) called with ({args})");
        }
    }
}
