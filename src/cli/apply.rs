//! `apply`: the daemon looks at its sources now.

use clap::Args;

use crate::cli::Session;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::{Look, Shape};
use crate::cli::plan;
use crate::cli::table::{Paint, plain};
use crate::io::http::documents::plan::SyncDocument;

/// Arguments of `apply`.
#[derive(Debug, Args)]
#[command(before_help = "Examples:\n  cronwright apply\n  cronwright plan && cronwright apply")]
pub(super) struct ApplyArgs {}

pub(super) async fn apply(_args: ApplyArgs, session: Session) -> Result<Exit, Failure> {
    let document = session.client.post("/api/v1/sync", &serde_json::json!({})).await?;
    let sync: SyncDocument = document.read()?;
    session.output.document(&document, Shape { list: None, name: "/applied" }, table)?;
    Ok(if sync.state == "Synced" { Exit::Done } else { Exit::No })
}

fn table(sync: &SyncDocument, look: &Look) -> String {
    let state = Paint::of(&sync.state).on(&plain(&sync.state), look.colour);
    let applied = plain(sync.applied.as_deref().unwrap_or("nothing"));
    let ending = format!("{state}: revision {applied}, store generation {}\n", sync.generation);
    match &sync.plan {
        Some(done) => format!("{}\n{ending}", plan::table(done, look)),
        None => ending,
    }
}
