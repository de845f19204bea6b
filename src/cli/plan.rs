//! `plan` and `diff`: what would change, were the sources applied now; or, without a daemon, what
//! changed in them since a commit. The forms: [`text`], [`markdown`], [`unified`], and JSON as it is.

pub mod against;
pub mod markdown;
pub mod text;
pub mod unified;

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::cli::exit::{Exit, Failure};
use crate::cli::output::{self, Document, Output, Shape};
use crate::cli::{Global, Session};
use crate::io::http::documents::plan::PlanDocument;
use crate::io::plan_file;

/// Arguments of `plan`.
#[derive(Debug, Args)]
#[command(before_help = "Examples:\n  cronwright plan\n  cronwright plan --out plan.json\n  \
    cronwright plan --against origin/main --format markdown")]
pub(super) struct PlanArgs {
    #[command(flatten)]
    what: What,
    /// How it is shown.
    #[arg(long, value_enum, default_value = "text", value_name = "HOW", conflicts_with_all = ["output", "json"])]
    format: Form,
    /// Keep it, for `apply --plan FILE`.
    #[arg(long, value_name = "FILE", conflicts_with = "against")]
    out: Option<PathBuf>,
    /// Exit 1 when something would change.
    #[arg(long)]
    exit_code: bool,
}

/// Arguments of `diff`.
#[derive(Debug, Args)]
#[command(before_help = "Examples:\n  cronwright diff\n  cronwright diff --against HEAD~1 jobs.d")]
pub(super) struct DiffArgs {
    #[command(flatten)]
    what: What,
}

/// What is compared with what.
#[derive(Debug, Args)]
pub(super) struct What {
    /// Folders, or single manifests, to compare with a commit; without them, the sources of the settings.
    #[arg(requires = "against", value_name = "PATH")]
    pub(super) paths: Vec<PathBuf>,
    /// Compare with this commit, branch or tag, without a daemon.
    #[arg(long, value_name = "REF")]
    pub(super) against: Option<String>,
}

/// The forms of a plan for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// Lines for a terminal; or what `-o` says.
    Text,
    /// For the comment on a pull request.
    Markdown,
    /// The definitions before and after, as a unified diff.
    Unified,
}

/// A plan is one thing; its name is its id.
pub(super) const SHAPE: Shape = Shape { list: None, name: "/id" };

/// What would change; none: no daemon is asked, and what is compared is here.
pub(super) fn plan(args: &PlanArgs, global: &Global, output: &Output) -> Result<Exit, Failure> {
    let document = made(&args.what, args.format == Form::Unified, global, output)?;
    if let Some(path) = &args.out {
        keep(path, &document)?;
    }
    let plan: PlanDocument = document.read()?;
    match args.format {
        Form::Text => output.document(&document, SHAPE, text::page)?,
        Form::Markdown => output::print(&markdown::page(&plan))?,
        Form::Unified => output::print(&unified::page(&plan))?,
    }
    if let Some(path) = &args.out {
        let path = path.display();
        output.note(&format!("kept in {path}; apply it with: cronwright apply --plan {path}"));
    }
    Ok(if args.exit_code && plan.differs() { Exit::No } else { Exit::Done })
}

/// `plan --format unified --exit-code`; with `-o`, the document instead of the text.
pub(super) fn diff(args: &DiffArgs, global: &Global, output: &Output) -> Result<Exit, Failure> {
    let document = made(&args.what, true, global, output)?;
    output.document(&document, SHAPE, |plan: &PlanDocument, _| unified::page(plan))?;
    let plan: PlanDocument = document.read()?;
    Ok(if plan.differs() { Exit::No } else { Exit::Done })
}

fn made(
    what: &What,
    definitions: bool,
    global: &Global,
    output: &Output,
) -> Result<Document, Failure> {
    if let Some(name) = &what.against {
        let plan = against::plan(name, &what.paths, definitions, global, output.clock.now)?;
        return Document::of(&plan);
    }
    let session = Session { client: global.client()?, output: output.clone() };
    let path = if definitions { "/api/v1/plan?definitions=true" } else { "/api/v1/plan" };
    super::wait_for(session.client.get(path))
}

fn keep(path: &std::path::Path, document: &Document) -> Result<(), Failure> {
    plan_file::write(path, document.text()).map_err(|error| {
        Failure::new(Exit::Usage, format!("cannot write {}: {error}", path.display()))
            .help("name another file, in a folder that exists")
    })
}
