//! Secrets of a job: where their values are found when it starts. The values are nowhere in what is declared.

use serde_json::{Value, json};

/// Where the value of a secret is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// In a variable of the daemon's environment.
    Variable(String),
    /// In a file; relative to the folder of the settings, or below [`CREDENTIALS`].
    File(String),
    /// What a program prints, which the daemon starts before each attempt. Never empty.
    Program(Vec<String>),
}

/// How the path of a file begins that systemd hands to the daemon (`LoadCredential=`).
pub const CREDENTIALS: &str = "$CREDENTIALS_DIRECTORY/";

impl SecretSource {
    /// Whether a program must be asked.
    pub fn is_program(&self) -> bool {
        match self {
            Self::Program(_) => true,
            Self::Variable(_) | Self::File(_) => false,
        }
    }

    /// As a manifest says it.
    pub fn said(&self) -> Value {
        match self {
            Self::Variable(name) => json!({ "env": name }),
            Self::File(path) => json!({ "file": path }),
            Self::Program(argv) => json!({ "exec": argv }),
        }
    }
}
