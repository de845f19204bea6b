//! `version`.

use clap::Args;
use serde::Serialize;

use crate::cli::exit::{Exit, Failure};
use crate::cli::output::{Document, Output, Shape};
use crate::time::zone_database;

/// Arguments of `version`.
#[derive(Debug, Args)]
#[command(before_help = "Examples:\n  cronwright version\n  cronwright version -o json")]
pub(super) struct VersionArgs {}

/// What the program is.
#[derive(Debug, Serialize)]
struct VersionDocument {
    schema: &'static str,
    version: &'static str,
    features: Vec<&'static str>,
    /// Release and origin of the time zone data.
    tzdb: &'static str,
}

/// The adapters that are built in.
const FEATURES: [(&str, bool); 4] = [
    ("mongo", cfg!(feature = "mongo")),
    ("redis", cfg!(feature = "redis")),
    ("sqlite", cfg!(feature = "sqlite")),
    ("watch", cfg!(feature = "watch")),
];

pub(super) fn version(_args: VersionArgs, output: &Output) -> Result<Exit, Failure> {
    let features = FEATURES.iter().filter(|(_, built_in)| *built_in).map(|(name, _)| *name);
    let document = VersionDocument {
        schema: "cronwright.version/v1",
        version: env!("CARGO_PKG_VERSION"),
        features: features.collect(),
        tzdb: zone_database(),
    };
    let shape = Shape { list: None, name: "/version" };
    let text = format!(
        "cronwright {} ({})\ntime zones {}\n",
        document.version,
        document.features.join(", "),
        document.tzdb
    );
    output.document(&Document::of(&document)?, shape, |_: &serde_json::Value, _| text)?;
    Ok(Exit::Done)
}
