//! `sync`: how what is declared and what runs agree, what is held back, and what was applied.

use clap::{Args, Subcommand};

use crate::cli::client::path;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::{Look, Shape};
use crate::cli::run::actor;
use crate::cli::simulate::plural;
use crate::cli::table::{Cell, Page, Paint, columns, plain};
use crate::cli::{Session, plan};
use crate::io::http::documents::diagnostics::DiagnosticEntry;
use crate::io::http::documents::plan::ChangeEntry;
use crate::io::http::documents::sync::{
    AppliedPlanEntry, ApplyDocument, GoBackDocument, PinEntry, PlansDocument, ResumeDocument,
    SyncDocument,
};

/// How many jobs of a plan are named in a table.
const NAMED_MAX: usize = 3;

/// Arguments of `sync`.
#[derive(Debug, Args)]
#[command(before_help = "Examples:\n  cronwright sync\n  cronwright sync confirm 318-9c1f03aa\n  \
    cronwright sync history --limit 5\n  cronwright sync rollback 4be0643f --reason 'the new ETL eats memory'\n  \
    cronwright sync resume")]
pub(super) struct SyncArgs {
    #[command(subcommand)]
    act: Option<Act>,
}

/// What about it.
#[derive(Debug, Subcommand)]
enum Act {
    /// How what is declared and what runs agree: exits 0 when they do.
    Status,
    /// Makes the removals that the plan of this id holds back, if it is still the plan.
    Confirm {
        /// As `sync status` and `plan` show it.
        id: String,
    },
    /// Makes the jobs what they were at a revision, and pins them: what the sources declare waits until `sync
    /// resume`.
    Rollback {
        /// The revision, or how it begins: `sync history` shows them.
        revision: String,
        #[command(flatten)]
        why: Why,
    },
    /// Takes the newest plan back, and pins the jobs as they were before it.
    Undo {
        #[command(flatten)]
        why: Why,
    },
    /// Ends the pin, and applies what the sources declare.
    Resume,
    /// The plans that were applied, newest first.
    History {
        /// At most so many.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1_000))]
        limit: u32,
    },
}

/// What is said about going back.
#[derive(Debug, Args)]
struct Why {
    /// Why, for those who find the jobs pinned.
    #[arg(long)]
    reason: Option<String>,
    /// Go back although so many removals would be held back.
    #[arg(long, value_name = "N")]
    allow_prune: Option<usize>,
}

pub(super) async fn sync(args: SyncArgs, session: Session) -> Result<Exit, Failure> {
    match args.act.unwrap_or(Act::Status) {
        Act::Status => {
            let document = session.client.get("/api/v1/sync").await?;
            let sync: SyncDocument = document.read()?;
            session.output.document(&document, Shape { list: None, name: "/state" }, table)?;
            Ok(if sync.state == "Synced" { Exit::Done } else { Exit::No })
        }
        Act::Confirm { id } => {
            let only = ApplyDocument { plan: Some(id), confirm: true, ..ApplyDocument::default() };
            let document = session.client.post("/api/v1/sync", &only).await?;
            let shape = Shape { list: None, name: "/applied" };
            session.output.document(&document, shape, confirmed)?;
            Ok(Exit::Done)
        }
        Act::Rollback { revision, why } => go_back(Some(revision), why, session).await,
        Act::Undo { why } => go_back(None, why, session).await,
        Act::Resume => {
            let document = ResumeDocument { actor: Some(actor()) };
            let document = session.client.post("/api/v1/sync/resume", &document).await?;
            let shape = Shape { list: None, name: "/applied" };
            session.output.document(&document, shape, confirmed)?;
            Ok(Exit::Done)
        }
        Act::History { limit } => {
            let parameters = [("limit", Some(limit.to_string()))];
            let document = session.client.get(&path("/api/v1/plans", &parameters)).await?;
            let shape = Shape { list: Some("plans"), name: "/generation" };
            session.output.document(&document, shape, history)?;
            Ok(Exit::Done)
        }
    }
}

async fn go_back(revision: Option<String>, why: Why, session: Session) -> Result<Exit, Failure> {
    let Why { reason, allow_prune } = why;
    let document = GoBackDocument { revision, actor: Some(actor()), reason, allow_prune };
    let document = session.client.post("/api/v1/sync/rollback", &document).await?;
    let shape = Shape { list: None, name: "/applied" };
    session.output.document(&document, shape, confirmed)?;
    Ok(Exit::Done)
}

fn confirmed(sync: &SyncDocument, look: &Look) -> String {
    let done = sync.plan.as_ref().map(|done| plan::text::done(done, look)).unwrap_or_default();
    format!("{done}\n{}", table(sync, look))
}

/// The state for people: the word, the two revisions, what is wrong, what is held back and what to do.
fn table(sync: &SyncDocument, look: &Look) -> String {
    let mut page = Page::default();
    let revision =
        |revision: &Option<String>| plain(revision.as_deref().unwrap_or("none")).into_owned();
    let state = Paint::of(&sync.state).on(&plain(&sync.state), look.colour);
    let looked_at = sync.looked_at.as_ref().map_or("never".to_owned(), |at| look.clock.time(at));
    page.line(format!("state      {state}"));
    page.line(format!(
        "applied    {}, store generation {}",
        revision(&sync.applied),
        sync.generation
    ));
    page.line(format!(
        "read       {}, {} files, {looked_at}",
        revision(&sync.attempted),
        sync.files
    ));
    for source in &sync.sources {
        page.line(format!("source     {}: {}", plain(&source.folder), plain(&source.state)));
    }
    if let Some(text) = &sync.waiting {
        page.line(format!("waiting    {}", plain(text)));
    }
    if let Some(pin) = &sync.pinned {
        page.line(pinned(pin, look));
    }
    if sync.rejected > 0 {
        let until = if sync.pinned.is_some() {
            "`cronwright plan` shows them, `cronwright sync resume` applies them"
        } else {
            "until every manifest is valid (on_invalid = \"reject\")"
        };
        page.line(format!("waiting    {}: {until}", plural(sync.rejected, "change")));
    }
    if let Some(mended) = &sync.mended {
        let at = look.clock.time(&mended.at);
        let jobs = usize::try_from(mended.jobs).unwrap_or(usize::MAX);
        page.line(format!("mended     {} edited in the store, last {at}", plural(jobs, "job")));
    }
    for drift in &sync.drift {
        let fields = if drift.fields.is_empty() { &drift.kind } else { &drift.fields.join(", ") };
        let (job, fields) = (plain(&drift.job), plain(fields));
        page.line(format!("drift      {job}: somebody has edited it in the store: {fields}"));
    }
    for diagnostic in &sync.diagnostics {
        page.line(complaint(diagnostic, look));
    }
    for change in &sync.blocked {
        page.line(held(change));
    }
    if let Some(id) = &sync.confirm {
        page.line(format!("\nto remove them: cronwright sync confirm {}", plain(id)));
    }
    page.text()
}

/// `pinned     revision 4be0643f1d98, by li.wei since 09:00: vendor API down`
fn pinned(pin: &PinEntry, look: &Look) -> String {
    let (revision, by) = (plain(&pin.revision), plain(&pin.by));
    let revision = if revision.is_empty() { "none".into() } else { revision };
    let reason = pin.reason.as_deref().map(|reason| format!(": {}", plain(reason)));
    let (at, reason) = (look.clock.time(&pin.at), reason.unwrap_or_default());
    format!("pinned     revision {revision}, by {by} since {at}{reason}")
}

fn complaint(diagnostic: &DiagnosticEntry, look: &Look) -> String {
    let line = diagnostic.line.map(|line| format!(":{line}")).unwrap_or_default();
    let word = Paint::of(&diagnostic.severity).on(&plain(&diagnostic.severity), look.colour);
    let (code, message) = (plain(&diagnostic.code), plain(&diagnostic.message));
    format!("{word}[{code}] {}{line}: {message}", plain(&diagnostic.file))
}

fn held(change: &ChangeEntry) -> String {
    let why = change.blocked_because.as_ref().or(change.blocked.as_ref());
    format!("held back  {}: {}", plain(&change.job), plain(why.map_or("", String::as_str)))
}

fn history(document: &PlansDocument, look: &Look) -> String {
    if document.plans.is_empty() {
        return "nothing was applied yet\n".to_owned();
    }
    let applied = look.clock.heading("APPLIED");
    let headings = ["GENERATION", applied.as_str(), "REVISION", "BY", "CHANGES"];
    let row = |plan: &AppliedPlanEntry| -> Vec<Cell> {
        vec![
            plan.generation.to_string().as_str().into(),
            look.clock.time(&plan.effective_at).as_str().into(),
            plan.revision.as_str().into(),
            plan.origin.as_str().into(),
            changes(plan).as_str().into(),
        ]
    };
    let rows: Vec<Vec<Cell>> = document.plans.iter().map(row).collect();
    columns(&headings, &rows, look.colour)
}

/// The changes by action: `2 update (a, b), 1 remove (c)`.
fn changes(plan: &AppliedPlanEntry) -> String {
    let mut actions: Vec<(&str, Vec<&str>)> = Vec::new();
    for change in &plan.changes {
        match actions.iter_mut().find(|(action, _)| *action == change.action) {
            Some((_, jobs)) => jobs.push(&change.job),
            None => actions.push((&change.action, vec![&change.job])),
        }
    }
    let part = |(action, jobs): (&str, Vec<&str>)| {
        let more = if jobs.len() > NAMED_MAX { ", …" } else { "" };
        let named: Vec<&str> = jobs.iter().take(NAMED_MAX).copied().collect();
        format!("{} {action} ({}{more})", jobs.len(), named.join(", "))
    };
    actions.into_iter().map(part).collect::<Vec<_>>().join(", ")
}
