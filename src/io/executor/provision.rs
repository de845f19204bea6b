//! What an attempt needs of the world before it can start: the values of its secrets, and the user that it names.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::io::executor::handlers::Handlers;
use crate::io::executor::secrets::{self, SecretError, SecretPlaces};
use crate::io::executor::users::{self, Account, UserError};
use crate::spec::job::JobSpec;
use crate::spec::process::ProcessRules;
use crate::spec::task::Task;

/// What an attempt is given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Provision {
    /// The values of its secrets.
    pub secrets: BTreeMap<String, String>,
    /// Who its process is.
    pub account: Account,
}

/// Why an attempt cannot be given what it needs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProvisionError {
    /// A secret has no value.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// It cannot run as its user.
    #[error(transparent)]
    User(#[from] UserError),
    /// Nobody could be asked.
    #[error("its secrets and its user cannot be looked up: {0}")]
    Unasked(String),
}

impl ProvisionError {
    /// The kind of exception that is recorded.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Secret(_) => "SecretError",
            Self::User(_) => "UserError",
            Self::Unasked(_) => "SpawnError",
        }
    }
}

/// The definition as it counts for a program with these handlers: they run in it, and a `user` of defaults is not
/// theirs.
pub fn for_handlers(spec: Arc<JobSpec>, handlers: &Handlers) -> Arc<JobSpec> {
    match &spec.task {
        Task::Class { call, runtime }
            if spec.process.user.is_some() && handlers.take(&call.path, *runtime) =>
        {
            let process = ProcessRules { user: None, ..spec.process.clone() };
            Arc::new(JobSpec { process, ..JobSpec::clone(&spec) })
        }
        Task::Command(_) | Task::Script { .. } | Task::Class { .. } | Task::Http(_) => spec,
    }
}

/// Whether others must be asked, who may take their time.
pub fn takes_time(spec: &JobSpec) -> bool {
    secrets::asks_programs(&spec.secrets) || spec.process.user.is_some()
}

/// All that an attempt of `spec` needs.
pub fn provide(spec: &JobSpec, places: &SecretPlaces<'_>) -> Result<Provision, ProvisionError> {
    let account = match &spec.process.user {
        Some(user) => users::find(user)?,
        None => Account::default(),
    };
    Ok(Provision { secrets: secrets::read(&spec.secrets, places)?, account })
}
