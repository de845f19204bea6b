//! The closed set of classes that may be called: handlers of this program, and classes in Python.
//!
//! Pure: it says whether a call leads somewhere. How the classes in Python are found is `io::executor::python`'s.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Deserialize;

use crate::diagnostic::quoted;
use crate::diagnostic::suggest::nearest;
use crate::spec::task::call::{Call, Runtime};
use crate::spec::task::signature::{Misfit, Signature};

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

/// The classes in Python that may be called.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum PythonClasses {
    /// The settings name no folder of classes.
    #[default]
    Nowhere,
    /// They could not be found out, and why.
    Unknown(Arc<str>),
    /// These.
    Found(Arc<FoundClasses>),
}

/// Whether a handler takes the arguments of a call.
pub type ArgumentCheck = fn(&Call) -> Result<(), Misfit>;

/// The handlers that are compiled into this program, by path.
#[derive(Debug, Clone, Default)]
pub struct CompiledClasses(pub Arc<BTreeMap<String, ArgumentCheck>>);

/// A program is compiled once: what its handlers take changes with their paths only.
impl PartialEq for CompiledClasses {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.keys().eq(other.0.keys())
    }
}

/// The classes that may be called: a closed set.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Classes {
    /// Compiled into this program.
    pub compiled: CompiledClasses,
    /// In Python.
    pub python: PythonClasses,
}

/// Who takes a call.
#[derive(Debug, Clone, Copy)]
pub enum Taker<'c> {
    /// A handler.
    Compiled(ArgumentCheck),
    /// A class in Python; no signature: what it takes shows when it is called.
    Python(Option<&'c Signature>),
}

impl Taker<'_> {
    /// Whether it takes the arguments.
    pub fn check(&self, call: &Call) -> Result<(), Misfit> {
        match self {
            Self::Compiled(check) => check(call),
            Self::Python(Some(signature)) => signature.check(call),
            Self::Python(None) => Ok(()),
        }
    }
}

/// Why a path leads to no class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoClass {
    /// What is wrong.
    pub message: String,
    /// The next act.
    pub help: String,
}

impl NoClass {
    fn new(message: String, help: impl Into<String>) -> Self {
        Self { message, help: help.into() }
    }
}

impl Classes {
    /// Who takes a call of the class at a path.
    pub fn find(&self, path: &str, runtime: Option<Runtime>) -> Result<Taker<'_>, NoClass> {
        let compiled = self.compiled.0.get(path).map(|check| Taker::Compiled(*check));
        match (runtime, compiled) {
            (Some(Runtime::Rust), Some(compiled)) => Ok(compiled),
            (None, Some(compiled)) => {
                if self.python.find(path).is_ok() {
                    let shown = quoted(path);
                    return Err(NoClass::new(
                        format!("{shown} is a handler of this program and a class in Python"),
                        format!(
                            "say which: `class: {{ path: {path}, runtime: rust }}`, or `python`"
                        ),
                    ));
                }
                Ok(compiled)
            }
            (Some(Runtime::Rust), None) => Err(self.no_handler(path)),
            (Some(Runtime::Python), _) => self.python.find(path).map(Taker::Python),
            (None, None) => self.python.find(path).map(Taker::Python).map_err(|no| {
                // What is nearly a handler's path is meant to be one.
                self.near_handler(path).map_or(no, |near| NoClass {
                    message: format!("there is no class {}", quoted(path)),
                    help: format!("did you mean `{near}`?"),
                })
            }),
        }
    }

    fn near_handler(&self, path: &str) -> Option<&str> {
        nearest(path, self.compiled.0.keys().map(String::as_str))
    }

    fn no_handler(&self, path: &str) -> NoClass {
        let message = format!("there is no handler {} in this program", quoted(path));
        match self.near_handler(path) {
            Some(near) => NoClass::new(message, format!("did you mean `{near}`?")),
            None if self.compiled.0.is_empty() => NoClass::new(message, "none is compiled into it"),
            None => NoClass::new(message, "register it under this path"),
        }
    }
}

impl PythonClasses {
    /// The signature of the class at a path, where it is known.
    fn find(&self, path: &str) -> Result<Option<&Signature>, NoClass> {
        let shown = quoted(path);
        let found = match self {
            Self::Nowhere => {
                return Err(NoClass::new(
                    format!("there is no class {shown}: the settings name no folder of classes"),
                    "name it in `cronwright.toml`: a table `[python]` with `root = \"tasks\"`",
                ));
            }
            Self::Unknown(why) => {
                return Err(NoClass::new(
                    format!("whether there is a class {shown} cannot be told: {why}"),
                    "look at `[python]` in `cronwright.toml`",
                ));
            }
            Self::Found(found) => found,
        };
        match found.classes.get(path) {
            Some(signature) => Ok(signature.as_ref()),
            None => Err(found.why_not(path)),
        }
    }
}

impl FoundClasses {
    fn why_not(&self, path: &str) -> NoClass {
        let shown = quoted(path);
        if self.without_main.contains(path) {
            let message = format!("the class {shown} has no method `main`");
            return NoClass::new(message, "add one, without arguments");
        }
        let module = path.rsplit_once('.').map_or("", |(module, _)| module);
        if let Some(why) = self.broken.get(module) {
            let message = format!("the module {} cannot be read: {why}", quoted(module));
            return NoClass::new(message, "mend it");
        }
        let message = format!("there is no class {shown}");
        match nearest(path, self.classes.keys().map(String::as_str)) {
            Some(near) => NoClass::new(message, format!("did you mean `{near}`?")),
            None => NoClass::new(
                message,
                "it must be defined below the `root` of `[python]`, and one of its `allow`",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_leads_to_a_class_or_it_is_said_why_not() {
        let found = FoundClasses {
            classes: [("test.main.Test".to_owned(), Some(Signature::default()))].into(),
            without_main: ["test.main.No".to_owned()].into(),
            broken: [("bad".to_owned(), "SyntaxError in line 1: invalid syntax".to_owned())].into(),
        };
        let classes = |python| Classes { python, ..Classes::default() };
        let found = classes(PythonClasses::Found(found.into()));
        let told = |classes: &Classes, path: &str| told(classes, path, None);
        assert_eq!(told(&found, "test.main.Test"), "in Python");
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
        let nowhere = classes(PythonClasses::Nowhere);
        assert!(told(&nowhere, "a.B").contains("name no folder of classes"));
        let unknown = classes(PythonClasses::Unknown("no such program".into()));
        assert!(told(&unknown, "a.B").contains("no such program"));
    }

    #[test]
    fn a_path_leads_to_a_handler_of_this_program_or_to_a_class_in_python() {
        let check: ArgumentCheck = |_| Ok(());
        let classes = Classes {
            compiled: CompiledClasses(Arc::new(
                ["a.Both", "a.Compiled"].map(|path| (path.to_owned(), check)).into(),
            )),
            python: PythonClasses::Found(Arc::new(FoundClasses {
                classes: ["a.Both", "a.Python"].map(|path| (path.to_owned(), None)).into(),
                ..FoundClasses::default()
            })),
        };
        let (rust, python) = (Some(Runtime::Rust), Some(Runtime::Python));
        for (path, runtime, expected) in [
            ("a.Compiled", None, "compiled"),
            ("a.Compiled", rust, "compiled"),
            ("a.Compiled", python, "there is no class `a.Compiled`"),
            ("a.Python", None, "in Python"),
            ("a.Python", python, "in Python"),
            ("a.Python", rust, "there is no handler `a.Python` in this program"),
            (
                "a.Both",
                None,
                "`a.Both` is a handler of this program and a class in Python; say which",
            ),
            ("a.Both", rust, "compiled"),
            ("a.Both", python, "in Python"),
            ("a.Compild", None, "there is no class `a.Compild`; did you mean `a.Compiled`?"),
        ] {
            let told = told(&classes, path, runtime);
            assert!(told.starts_with(expected), "{path} in {runtime:?}: {told}");
        }
    }

    fn told(classes: &Classes, path: &str, runtime: Option<Runtime>) -> String {
        match classes.find(path, runtime) {
            Ok(Taker::Compiled(_)) => "compiled".to_owned(),
            Ok(Taker::Python(_)) => "in Python".to_owned(),
            Err(no) => format!("{}; {}", no.message, no.help),
        }
    }
}
