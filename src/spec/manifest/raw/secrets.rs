//! Secrets as written: where their values are.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::spec::manifest::raw::{Given, RawVariable};

/// Variables of the job process whose values are read when it starts, and masked in what is kept of it, by
/// name; `null` takes one of the defaults away.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[schemars(rename = "Secrets", extend("propertyNames" = { "pattern": "^[A-Za-z_][A-Za-z0-9_]{0,254}$" }))]
#[schemars(extend("examples" = [{ "PGPASSWORD": { "file": "/run/secrets/etl_pg" } }]))]
pub struct RawSecrets(pub BTreeMap<String, Given<RawSecret>>);

/// Where the value of a secret is: one of `env`, `file` and `exec`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Secret")]
pub struct RawSecret {
    /// A variable of the daemon's environment.
    #[serde(default)]
    #[schemars(example = &"ETL_API_TOKEN")]
    pub env: Option<RawVariable>,
    /// A file; relative to the folder of the settings file, or `$CREDENTIALS_DIRECTORY/…`. Line ends at its end do not
    /// count.
    #[serde(default)]
    #[schemars(length(min = 1, max = 4096), example = &"/run/secrets/etl_pg")]
    pub file: Option<String>,
    /// A program with its arguments, which prints the value; only where the settings say `allow_exec_secrets`. It is
    /// started by the daemon before each attempt, in the folder of the settings file, and may take 10 s. Line ends
    /// at the end do not count.
    #[serde(default)]
    #[schemars(length(min = 1, max = 100), extend("examples" = [["sops", "-d", "--extract", "[\"key\"]", "secrets/etl.enc.yaml"]]))]
    pub exec: Option<Vec<String>>,
}
