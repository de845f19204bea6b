//! The closed set of classes that may be called, and which arguments each of them takes.
//!
//! Pure: it says whether a call leads somewhere and fits. How the classes are found is `io::executor::python`'s.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Deserialize;

use crate::diagnostic::quoted;
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

/// What stands in the folder of classes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct FoundClasses {
    /// The classes that may be called, by path; no signature: what one takes shows when it is called.
    pub classes: BTreeMap<String, Option<Signature>>,
    /// Classes without a method `main`.
    pub without_main: BTreeSet<String>,
    /// Modules that cannot be read, and why.
    pub broken: BTreeMap<String, String>,
}

/// The classes that may be called.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Classes {
    /// The settings name no folder of classes.
    #[default]
    Nowhere,
    /// They could not be found out, and why.
    Unknown(Arc<str>),
    /// These.
    Found(Arc<FoundClasses>),
}

/// Why a path leads to no class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoClass {
    /// What is wrong.
    pub message: String,
    /// The next act.
    pub help: String,
}

impl Classes {
    /// The signature of the class at a path, where it is known.
    pub fn find(&self, path: &str) -> Result<Option<&Signature>, NoClass> {
        let no = |message: String, help: &str| Err(NoClass { message, help: help.to_owned() });
        let shown = quoted(path);
        let found = match self {
            Self::Nowhere => {
                return no(
                    format!("there is no class {shown}: the settings name no folder of classes"),
                    "name it in `cronwright.toml`: a table `[python]` with `root = \"tasks\"`",
                );
            }
            Self::Unknown(why) => {
                let message = format!("whether there is a class {shown} cannot be told: {why}");
                return no(message, "look at `[python]` in `cronwright.toml`");
            }
            Self::Found(found) => found,
        };
        if let Some(signature) = found.classes.get(path) {
            return Ok(signature.as_ref());
        }
        if found.without_main.contains(path) {
            return no(
                format!("the class {shown} has no method `main`"),
                "add one, without arguments",
            );
        }
        let module = path.rsplit_once('.').map_or("", |(module, _)| module);
        if let Some(why) = found.broken.get(module) {
            return no(format!("the module {} cannot be read: {why}", quoted(module)), "mend it");
        }
        let help = match nearest(path, found.classes.keys().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => {
                "it must be defined below the `root` of `[python]`, and one of its `allow`".into()
            }
        };
        no(format!("there is no class {shown}"), &help)
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

    #[test]
    fn a_path_leads_to_a_class_or_it_is_said_why_not() {
        let found = FoundClasses {
            classes: [("test.main.Test".to_owned(), Some(signature("name")))].into(),
            without_main: ["test.main.No".to_owned()].into(),
            broken: [("bad".to_owned(), "SyntaxError in line 1: invalid syntax".to_owned())].into(),
        };
        let found = Classes::Found(found.into());
        let told = |classes: &Classes, path: &str| match classes.find(path) {
            Ok(_) => "there".to_owned(),
            Err(no) => format!("{}; {}", no.message, no.help),
        };
        assert_eq!(told(&found, "test.main.Test"), "there");
        assert_eq!(
            told(&found, "test.main.Tes"),
            "there is no class `test.main.Tes`; did you mean `test.main.Test`?"
        );
        assert_eq!(
            told(&found, "test.main.No"),
            "the class `test.main.No` has no method `main`; add one, without arguments"
        );
        assert_eq!(
            told(&found, "bad.X"),
            "the module `bad` cannot be read: SyntaxError in line 1: invalid syntax; mend it"
        );
        assert!(told(&Classes::Nowhere, "a.B").contains("name no folder of classes"));
        assert!(
            told(&Classes::Unknown("no such program".into()), "a.B").contains("no such program")
        );
    }
}
