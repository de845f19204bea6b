//! `add` and `remove`: jobs that no file declares; they belong to `request` and live in the store.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Map, Value};

use crate::cli::Session;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::Shape;
use crate::cli::run::{envelope, reply_failure};
use crate::cli::table::plain;
use crate::io::files::{FileProblem, read_alone};
use crate::io::http::documents::request::{
    ArgsDocument, ENVELOPE_BYTES_MAX, ReplyDocument, RequestDocument,
};

/// Arguments of `add`.
#[derive(Debug, Args)]
#[command(
    before_help = "Examples:\n  cronwright add report.yaml\n  cronwright add - --update < report.json"
)]
pub(super) struct AddArgs {
    /// A manifest whose jobs are added, in YAML, TOML or JSON; `-` reads YAML or JSON from standard input.
    file: PathBuf,
    /// Change jobs that are there, instead of adding new ones.
    #[arg(long)]
    update: bool,
    /// Say what would be done, and do nothing.
    #[arg(long)]
    dry_run: bool,
}

/// Arguments of `remove`.
#[derive(Debug, Args)]
#[command(before_help = "Examples:\n  cronwright remove report")]
pub(super) struct RemoveArgs {
    /// A job that was added by request.
    job: String,
    /// Say what would be done, and do nothing.
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn add(args: AddArgs, session: Session) -> Result<Exit, Failure> {
    let jobs = jobs_of(&args.file)?;
    for (name, spec) in jobs {
        let arguments = ArgsDocument { spec: Some(spec), ..ArgsDocument::default() };
        let request = RequestDocument {
            job: Some(name),
            args: arguments,
            dry_run: args.dry_run,
            ..envelope(if args.update { "update" } else { "add" })
        };
        ask(&request, &session).await?;
    }
    Ok(Exit::Done)
}

pub(super) async fn remove(args: RemoveArgs, session: Session) -> Result<Exit, Failure> {
    let request =
        RequestDocument { job: Some(args.job), dry_run: args.dry_run, ..envelope("remove") };
    ask(&request, &session).await?;
    Ok(Exit::Done)
}

async fn ask(request: &RequestDocument, session: &Session) -> Result<(), Failure> {
    let document = session.client.post("/api/v1/requests", request).await?;
    let reply: ReplyDocument = document.read()?;
    if let Some(failure) = reply_failure(&reply) {
        return Err(failure);
    }
    let shape = Shape { list: None, name: "/in_reply_to" };
    session.output.document(&document, shape, |reply: &ReplyDocument, _| {
        let note = reply.result.as_ref().and_then(|result| result.note.as_deref());
        format!("{}\n", plain(note.unwrap_or("done")))
    })
}

/// The jobs of a manifest, as they are written: the daemon reads and checks them.
fn jobs_of(file: &Path) -> Result<Map<String, Value>, Failure> {
    let shown = file.display();
    let failed = |why: String| Failure::new(Exit::Usage, format!("{shown}: {why}"));
    let text =
        String::from_utf8(bytes_of(file)?).map_err(|_| failed("it is not UTF-8".to_owned()))?;
    let manifest: Value = if file.extension().is_some_and(|extension| extension == "toml") {
        toml::from_str(&text).map_err(|error| failed(error.to_string()))?
    } else {
        serde_yaml::from_str(&text).map_err(|error| failed(error.to_string()))?
    };
    let Value::Object(mut manifest) = manifest else {
        return Err(failed("it is no manifest".to_owned()));
    };
    let jobs = manifest.remove("jobs");
    manifest.retain(|key, _| key != "version" && key != "$schema");
    if let Some(other) = manifest.keys().next() {
        let help = "write it into each job: what is added has `jobs` alone";
        return Err(failed(format!("`{other}` does not go along")).help(help));
    }
    match jobs {
        Some(Value::Object(jobs)) if !jobs.is_empty() => Ok(jobs),
        Some(_) | None => Err(failed("it declares no jobs".to_owned())
            .help("write `jobs:` with a map of jobs by name, as in a manifest")),
    }
}

fn bytes_of(file: &Path) -> Result<Vec<u8>, Failure> {
    let failed = |exit, why: String| Failure::new(exit, format!("{}: {why}", file.display()));
    if file != Path::new("-") {
        return read_alone(file).map_err(|problem| {
            let exit = if problem == FileProblem::Vanished { Exit::NotFound } else { Exit::Usage };
            failed(exit, problem.to_string())
        });
    }
    // What is larger than one request can be cannot be sent.
    let limit = u64::try_from(ENVELOPE_BYTES_MAX).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    let read = std::io::stdin().lock().take(limit).read_to_end(&mut bytes);
    read.map(|_| bytes).map_err(|error| failed(Exit::Usage, error.to_string()))
}
