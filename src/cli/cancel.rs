//! `cancel`: ends an execution, or all of a job.

use clap::Args;

use crate::cli::Session;
use crate::cli::client::{Client, encoded};
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::Shape;
use crate::cli::run::{envelope, reply_failure};
use crate::cli::table::plain;
use crate::io::http::documents::request::{ArgsDocument, ReplyDocument, RequestDocument};

/// Arguments of `cancel`.
#[derive(Debug, Args)]
#[command(
    before_help = "Examples:\n  cronwright cancel backup\n  cronwright cancel 0193b2c4-7d1e-7c3a-9b0e-5f6a1c2d3e4f --force"
)]
pub(super) struct CancelArgs {
    /// An execution, or a job: all of its executions.
    target: String,
    /// KILL at once, instead of TERM and a grace.
    #[arg(long)]
    force: bool,
}

pub(super) async fn cancel(args: CancelArgs, session: Session) -> Result<Exit, Failure> {
    let mut request = envelope("cancel");
    let mut arguments = ArgsDocument { force: args.force, ..ArgsDocument::default() };
    if is_job(&session.client, &args.target).await? {
        request.job = Some(args.target);
    } else {
        arguments.execution_id = Some(args.target);
    }
    let request = RequestDocument { args: arguments, ..request };
    let document = session.client.post("/api/v1/requests", &request).await?;
    let reply: ReplyDocument = document.read()?;
    if let Some(failure) = reply_failure(&reply) {
        return Err(failure);
    }
    let shape = Shape { list: None, name: "/execution_id" };
    session.output.document(&document, shape, |reply: &ReplyDocument, _| {
        format!("ending {}\n", plain(reply.execution_id.as_deref().unwrap_or("it")))
    })?;
    Ok(Exit::Done)
}

/// Whether a name is that of a job. An `@` stands in ids of executions only; an id without one may look
/// like a name, so the daemon is asked.
pub(super) async fn is_job(client: &Client, name: &str) -> Result<bool, Failure> {
    if name.contains('@') {
        return Ok(false);
    }
    match client.get(&format!("/api/v1/jobs/{}", encoded(name))).await {
        Ok(_) => Ok(true),
        Err(failure) if failure.exit == Exit::NotFound => Ok(false),
        Err(failure) => Err(failure),
    }
}
