//! What the verbs that need no daemon find in this folder: settings, sources, classes.

use std::path::PathBuf;

use crate::cli::exit::{Exit, Failure};
use crate::cli::{Global, process};
use crate::daemon::settings::{self, Environment, Places, Settings};
use crate::diagnostic::Diagnostic;
use crate::io::executor::python::Python;
use crate::io::files::Source;
use crate::spec::manifest::Known;
use crate::spec::task::classes::{Classes, PythonClasses};

/// The settings in force here, and what is wrong with them.
pub(super) struct Here {
    /// None: they cannot be used.
    pub(super) settings: Option<Settings>,
    /// The folders that they name.
    pub(super) sources: Vec<Source>,
    /// What manifests may build upon.
    pub(super) known: Known,
    /// Where relative paths count from.
    pub(super) base_dir: PathBuf,
    /// This process's own.
    pub(super) environment: Environment,
    /// What is wrong with the settings.
    pub(super) diagnostics: Vec<Diagnostic>,
}

impl Here {
    /// Looks around.
    pub(super) fn find(global: &Global) -> Result<Self, Failure> {
        let (flags, environment) = (global.flags(), process::environment()?);
        let places = Places::find(&flags, &environment);
        let file = process::settings_file(&places)?;
        let (settings, diagnostics) =
            settings::load(&places, file.as_deref(), &flags, &environment);
        let folders = settings.iter().flat_map(|settings| &settings.sources);
        let sources = folders
            .map(|folder| Source { name: folder.name.clone(), path: folder.path.clone() })
            .collect();
        let known = settings.as_ref().map_or_else(Known::default, |settings| {
            let python = settings.python.as_ref();
            let python = python.map_or(PythonClasses::Nowhere, Python::classes);
            let classes = Classes { compiled: global.handlers.classes(), python };
            Known { classes, ..settings.known.clone() }
        });
        let base_dir = places.base_dir;
        Ok(Self { settings, sources, known, base_dir, environment, diagnostics })
    }

    /// The same; an error where the settings cannot be used.
    pub(super) fn usable(self) -> Result<Self, Failure> {
        if self.diagnostics.iter().any(Diagnostic::is_error) {
            return Err(Failure::new(Exit::Usage, "the settings cannot be used")
                .help("`cronwright validate` says what is wrong with them"));
        }
        Ok(self)
    }
}
