//! `apply`: the daemon looks at its sources now, and applies what is different; on order only what a plan
//! showed before, and with the removals that it holds back.

use std::path::Path;
use std::time::Duration;

use clap::Args;
use tokio::time::{Instant, sleep};

use crate::cli::exit::{Exit, Failure};
use crate::cli::output::{Document, Look, Shape};
use crate::cli::table::{Paint, plain};
use crate::cli::{Session, plan};
use crate::io::http::documents::plan::PlanDocument;
use crate::io::http::documents::sync::{ApplyDocument, SyncDocument};
use crate::io::plan_file;
use crate::time::parse_duration;

/// How often `--wait` asks again.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// Arguments of `apply`.
#[derive(Debug, Args)]
#[command(
    before_help = "Examples:\n  cronwright apply\n  cronwright plan --out plan.json && cronwright apply --plan plan.json\n  \
    cronwright apply --allow-prune 12"
)]
pub(super) struct ApplyArgs {
    /// Only if sources and store are still what this plan saw: its id, or the file that it was kept in.
    #[arg(long, value_name = "ID|FILE")]
    plan: Option<String>,
    /// Also make the removals that are held back, of which there must be exactly so many.
    #[arg(long, value_name = "N")]
    allow_prune: Option<usize>,
    /// Only show what would change.
    #[arg(long, conflicts_with_all = ["plan", "allow_prune", "wait"])]
    dry_run: bool,
    /// When the daemon cannot apply it now, ask again for so long.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, num_args = 0..=1, default_missing_value = "1m")]
    wait: Option<Duration>,
}

pub(super) async fn apply(args: ApplyArgs, session: Session) -> Result<Exit, Failure> {
    if args.dry_run {
        let document = session.client.get("/api/v1/plan").await?;
        session.output.document(&document, plan::SHAPE, plan::text::page)?;
        return Ok(Exit::Done);
    }
    let mut only = args.plan.as_deref().map(seen_by).transpose()?.unwrap_or_default();
    only.allow_prune = args.allow_prune;
    let give_up_at = args.wait.map(|wait| Instant::now() + wait);
    let (document, sync) = loop {
        let (document, sync) = ask(&session, &only).await?;
        let again_at = Instant::now() + ASK_EVERY;
        if sync.waiting.is_none() || give_up_at.is_none_or(|give_up_at| again_at > give_up_at) {
            break (document, sync);
        }
        sleep(ASK_EVERY).await;
    };
    session.output.document(&document, Shape { list: None, name: "/applied" }, table)?;
    Ok(match (sync.state.as_str(), &sync.waiting) {
        ("Synced", _) => Exit::Done,
        (_, Some(_)) if args.wait.is_some() => Exit::TimedOut,
        (_, _) => Exit::No,
    })
}

async fn ask(session: &Session, only: &ApplyDocument) -> Result<(Document, SyncDocument), Failure> {
    let document = session.client.post("/api/v1/sync", only).await?;
    let sync = document.read()?;
    Ok((document, sync))
}

/// What must still be so, for a plan that was shown before: a file, or the id that it was shown with.
fn seen_by(plan: &str) -> Result<ApplyDocument, Failure> {
    let path = Path::new(plan);
    if !path.exists() {
        if is_id(plan) {
            return Ok(ApplyDocument { plan: Some(plan.to_owned()), ..ApplyDocument::default() });
        }
        let message = format!("`{}` is no file and no id of a plan", plain(plan));
        return Err(
            Failure::new(Exit::NotFound, message).help("make one: cronwright plan --out plan.json")
        );
    }
    let bad = |why: String| {
        Failure::new(Exit::Usage, format!("{} is no plan: {why}", plain(plan)))
            .help("make one: cronwright plan --out plan.json")
    };
    let text = plan_file::read(path).map_err(|error| bad(error.to_string()))?;
    let kept: PlanDocument = serde_json::from_str(&text).map_err(|error| bad(error.to_string()))?;
    if kept.schema != PlanDocument::SCHEMA || kept.against.is_some() {
        return Err(bad(format!("it is not a daemon's {}", PlanDocument::SCHEMA)));
    }
    Ok(ApplyDocument {
        generation: Some(kept.generation),
        sources_digest: kept.sources_digest,
        plan: Some(kept.id),
        allow_prune: None,
        confirm: false,
    })
}

/// Whether a text has the form of a plan's id: `318-9c1f03aa`.
fn is_id(text: &str) -> bool {
    text.split_once('-').is_some_and(|(generation, digest)| {
        !generation.is_empty()
            && !digest.is_empty()
            && generation.bytes().all(|byte| byte.is_ascii_digit())
            && digest.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

fn table(sync: &SyncDocument, look: &Look) -> String {
    let state = Paint::of(&sync.state).on(&plain(&sync.state), look.colour);
    let applied = plain(sync.applied.as_deref().unwrap_or("nothing"));
    let ending = format!("{state}: revision {applied}, store generation {}\n", sync.generation);
    match &sync.plan {
        Some(done) => format!("{}\n{ending}", plan::text::done(done, look)),
        None => ending,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_named_by_its_id_or_by_its_file() {
        let id = seen_by("318-9c1f03aa").unwrap();
        assert_eq!(id.plan.as_deref(), Some("318-9c1f03aa"));
        assert_eq!((id.generation, id.sources_digest), (None, None));
        for (bad, exit) in
            [("plan.json", Exit::NotFound), ("318-", Exit::NotFound), ("/", Exit::Usage)]
        {
            assert_eq!(seen_by(bad).unwrap_err().exit, exit, "{bad}");
        }
    }
}
