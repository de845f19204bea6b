//! Templates in the texts of a task: whether there will be something to fill in.

use std::collections::BTreeMap;

use crate::diagnostic::{Diagnostic, codes, quoted};
use crate::spec::manifest::lower::site::Site;
use crate::spec::params::{Absent, Params};
use crate::spec::secret::SecretSource;
use crate::spec::task::template::{self, EXECUTION_FACTS, Namespace, Template};

/// What a job has that templates can name.
#[derive(Debug, Clone, Copy)]
pub struct Sources<'j> {
    /// Its secrets.
    pub secrets: &'j BTreeMap<String, SecretSource>,
    /// Its parameters.
    pub params: &'j Params,
}

/// Whether secrets may be filled in here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// The task alone reads it.
    Task,
    /// Every user of the host can read it, as the arguments of a process.
    Host,
}

impl Sources<'_> {
    /// Complains about each template of a text that nothing can be filled in for; `site` is the text.
    pub fn check(
        &self,
        text: &str,
        audience: Audience,
        site: &Site<'_>,
        out: &mut Vec<Diagnostic>,
    ) {
        for found in template::templates(text) {
            if let Err((message, help)) = self.check_one(&found, audience) {
                let place = site.clone().part(found.place.clone());
                out.push(place.diagnostic(codes::TEMPLATE, message).help(help));
            }
        }
    }

    fn check_one(&self, found: &Template<'_>, audience: Audience) -> Result<(), (String, String)> {
        let name = quoted(found.name);
        match (found.namespace, audience) {
            (Namespace::Execution, _) if found.variable().is_none() => {
                let names: Vec<_> =
                    EXECUTION_FACTS.iter().map(|(name, _)| format!("`{name}`")).collect();
                let known = format!("known here: {}", names.join(", "));
                Err((format!("an execution has no {name}"), known))
            }
            (Namespace::Secrets, Audience::Host) => {
                let message = "every user of the host can read the arguments of a process";
                let help = format!("let the program read its variable {name}");
                Err((message.to_owned(), help))
            }
            (Namespace::Secrets, Audience::Task) if !self.secrets.contains_key(found.name) => {
                let message = format!("this job has no secret {name}");
                Err((message, "declare it in its `secrets`".to_owned()))
            }
            (Namespace::Params, _) => match self.params.declared.get(found.name) {
                None => {
                    let message = format!("this job has no parameter {name}");
                    Err((message, "declare it in its `params`".to_owned()))
                }
                Some(param) if param.absent == Absent::Allowed => {
                    let message = format!("the parameter {name} may have no value");
                    Err((message, "give it a `default`, or read its variable".to_owned()))
                }
                Some(_) => Ok(()),
            },
            (Namespace::Execution | Namespace::Env, _) | (Namespace::Secrets, Audience::Task) => {
                Ok(())
            }
        }
    }
}
