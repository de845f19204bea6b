//! `schema`: the JSON Schema of manifests or settings.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::cli::exit::{Exit, Failure};
use crate::cli::output::print;
use crate::io::files::read_alone;
use crate::spec::schema;

/// Arguments of `schema`.
#[derive(Debug, Args)]
#[command(
    before_help = "Examples:\n  cronwright schema > jobs.schema.json\n  cronwright schema jobs --check jobs.schema.json"
)]
pub(super) struct SchemaArgs {
    /// Of what.
    #[arg(value_enum, default_value = "jobs")]
    of: Of,
    /// Print nothing; exit 1 when this file is not the schema.
    #[arg(long, value_name = "FILE")]
    check: Option<PathBuf>,
}

/// What has a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Of {
    /// Manifests.
    Jobs,
    /// The settings file.
    Settings,
}

pub(super) fn schema(args: &SchemaArgs) -> Result<Exit, Failure> {
    let schema = match args.of {
        Of::Jobs => schema::jobs(),
        Of::Settings => schema::settings(),
    };
    let text = schema::text(&schema);
    let Some(path) = &args.check else {
        print(&text)?;
        return Ok(Exit::Done);
    };
    let found = read_alone(path).map_err(|problem| {
        Failure::new(Exit::NotFound, format!("cannot read {}: {problem}", path.display()))
    })?;
    if found == text.as_bytes() {
        return Ok(Exit::Done);
    }
    let message = format!("{} is not the schema of this version", path.display());
    Err(Failure::new(Exit::No, message).help("write it anew with `cronwright schema`"))
}
