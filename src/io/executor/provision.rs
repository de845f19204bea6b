//! What an attempt needs of the world before it can start: the values of its secrets, and the user that it names.

use std::collections::BTreeMap;

use crate::io::executor::secrets::{self, SecretError, SecretPlaces};
use crate::io::executor::users::{self, Account, UserError};
use crate::spec::job::JobSpec;

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
