//! `plan`: what would change, were the sources applied now.

use clap::Args;
use serde_json::Value;

use crate::cli::Session;
use crate::cli::exit::{Exit, Failure};
use crate::cli::list::schedule;
use crate::cli::output::{Look, Shape};
use crate::cli::table::{Page, Paint, plain};
use crate::io::http::documents::At;
use crate::io::http::documents::plan::{ChangeEntry, PlanDocument, PlanSummary};

/// Arguments of `plan`.
#[derive(Debug, Args)]
#[command(before_help = "Examples:\n  cronwright plan\n  cronwright plan --exit-code -o json")]
pub(super) struct PlanArgs {
    /// Exit 1 when something would change.
    #[arg(long)]
    exit_code: bool,
}

/// A plan is one thing; its name is its id.
pub(super) const SHAPE: Shape = Shape { list: None, name: "/id" };

pub(super) async fn plan(args: PlanArgs, session: Session) -> Result<Exit, Failure> {
    let document = session.client.get("/api/v1/plan").await?;
    let plan: PlanDocument = document.read()?;
    session.output.document(&document, SHAPE, table)?;
    let differs = args.exit_code && !plan.changes.is_empty();
    Ok(if differs { Exit::No } else { Exit::Done })
}

/// A plan for people.
pub(super) fn table(plan: &PlanDocument, look: &Look) -> String {
    let revision = &plan.revision;
    let branch = revision.branch.as_ref().map(|branch| format!(" ({branch})")).unwrap_or_default();
    let applied = plan.applied.as_deref().unwrap_or("nothing");
    let (commit, generation) = (plain(&revision.commit), plan.generation);
    let mut page = Page::default();
    page.line(format!(
        "revision  {commit}{}, applied {}, store generation {generation}\n",
        plain(&branch),
        plain(applied)
    ));
    for diagnostic in &plan.diagnostics {
        let line = diagnostic.line.map(|line| format!(":{line}")).unwrap_or_default();
        let word = Paint::of(&diagnostic.severity).on(&plain(&diagnostic.severity), look.colour);
        let (code, message) = (plain(&diagnostic.code), plain(&diagnostic.message));
        let file = plain(&diagnostic.file);
        page.line(format!("  ! {word}[{code}]: {message} at {file}{line}"));
    }
    for change in &plan.changes {
        changed(&mut page, change, look);
    }
    let unchanged = plan.summary.unchanged;
    if unchanged > 0 {
        let untouched = "schedules, phases and running executions untouched";
        page.line(format!("  = {unchanged} unchanged ({untouched})"));
    }
    page.line(format!("\n{}", summary(&plan.summary)));
    page.text()
}

/// How many changes there are, in a sentence.
pub(super) fn summary(summary: &PlanSummary) -> String {
    let PlanSummary { create, update, rename, remove, blocked, unchanged } = summary;
    let mut parts = Vec::new();
    for (count, what) in
        [(create, "to add"), (update, "to change"), (rename, "to rename"), (remove, "to remove")]
    {
        if *count > 0 {
            parts.push(format!("{count} {what}"));
        }
    }
    if *blocked > 0 {
        parts.push(format!("{blocked} held back"));
    }
    if parts.is_empty() {
        return format!("Plan: no changes, {unchanged} unchanged.");
    }
    format!("Plan: {}, {unchanged} unchanged.", parts.join(", "))
}

fn changed(page: &mut Page, change: &ChangeEntry, look: &Look) {
    let (sign, paint) = match change.action.as_str() {
        "create" => ("+", Paint::Good),
        "update" => ("~", Paint::Notice),
        "rename" => ("↻", Paint::Notice),
        "remove" => ("-", Paint::Bad),
        _ => ("=", Paint::Plain),
    };
    let schedule = (change.action == "create").then(|| schedule(&change.schedule));
    let source = change.source.as_ref().map(|source| format!("{}:{}", source.file, source.line));
    let blocked = change.blocked.as_ref().map(|blocked| format!("held back: {blocked}"));
    let facts: Vec<String> = schedule.into_iter().chain(source).chain(blocked).collect();
    let (job, facts) = (plain(&change.job), facts.join("  "));
    page.line(format!("  {} {job:<18} {}", paint.on(sign, look.colour), plain(&facts)));
    for field in &change.fields {
        let (name, from, to) = (dotted(&field.pointer), value(&field.from), value(&field.to));
        page.line(format!("      {:<18}  {from}  →  {to}", plain(&name)));
    }
    if let Some(next) = &change.next_fire {
        let time = |at: &Option<At>| at.as_ref().map(|at| look.clock.time(at));
        let none = || "none".to_owned();
        let from = time(&next.from).unwrap_or_else(none);
        let to = time(&next.to).unwrap_or_else(none);
        page.line(format!("      {:<18}  {from}  →  {to}", "next fire"));
    }
    if let Some(fires) = change.fires_7d.as_ref().filter(|f| f.gained + f.lost > 0) {
        let (gained, lost) = (fires.gained, fires.lost);
        page.line(format!("      {:<18}  {gained} appear, {lost} disappear", "next 7 days"));
    }
}

/// `/triggers/0/cron` as `triggers[0].cron`.
fn dotted(pointer: &str) -> String {
    let mut dotted = String::new();
    for part in pointer.split('/').skip(1) {
        let part = part.replace("~1", "/").replace("~0", "~");
        let is_index = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        let before = if is_index {
            "["
        } else if dotted.is_empty() {
            ""
        } else {
            "."
        };
        let after = if is_index { "]" } else { "" };
        dotted.extend([before, &part, after]);
    }
    dotted
}

fn value(value: &Value) -> String {
    match value {
        Value::Null => "(none)".to_owned(),
        Value::String(text) => plain(text).into_owned(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            plain(&value.to_string()).into_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::output::tests::look;

    #[test]
    fn a_plan_says_what_would_change_and_what_follows() {
        let document = serde_json::json!({
            "schema": "cronwright.plan/v1", "id": "318-9c1f", "generation": 318,
            "revision": {"commit": "8f3c2a1", "branch": "main", "dirty": null}, "applied": "51de0b7",
            "diagnostics": [{"code": "E0107", "severity": "error", "message": "unknown field `comand`",
                "help": null, "file": "jobs.d/broken.yaml", "line": 14, "column": 5, "end_line": 14,
                "end_column": 11, "job": "x", "pointer": "/jobs/x/comand"}],
            "changes": [
                {"action": "create", "job": "pg-dump", "blocked": null,
                 "source": {"file": "jobs.d/pg.yaml", "line": 2}, "fields": [],
                 "schedule": ["cron 0 0 * * * Asia/Shanghai"],
                 "next_fire": {"from": null, "to": "2026-11-23T00:00:00+08:00"}, "fires_7d": null},
                {"action": "update", "job": "warehouse-etl", "blocked": null,
                 "source": {"file": "jobs.d/etl.yaml", "line": 12},
                 "fields": [
                    {"pointer": "/triggers/0/cron", "from": "30 2 * * *", "to": "30 2 * * mon-fri"},
                    {"pointer": "/timeout", "from": "30m", "to": null},
                    {"pointer": "/env/A~1B", "from": null, "to": 3}],
                 "next_fire": {"from": "2026-11-28T02:30:00+08:00", "to": "2026-11-30T02:30:00+08:00"},
                 "fires_7d": {"gained": 0, "lost": 2}},
                {"action": "remove", "job": "old-report", "blocked": "invalid_manifest", "fields": [],
                 "next_fire": null, "fires_7d": null}],
            "summary": {"create": 1, "update": 1, "rename": 0, "remove": 1, "blocked": 1, "unchanged": 209},
        });
        let plan: PlanDocument = serde_json::from_value(document).unwrap();
        assert_eq!(
            table(&plan, &look()),
            "revision  8f3c2a1 (main), applied 51de0b7, store generation 318\n\
             \n  \
               ! error[E0107]: unknown field `comand` at jobs.d/broken.yaml:14\n  \
               + pg-dump            cron 0 0 * * * Asia/Shanghai  jobs.d/pg.yaml:2\n      \
                   next fire           none  →  2026-11-23 00:00:00 +08:00\n  \
               ~ warehouse-etl      jobs.d/etl.yaml:12\n      \
                   triggers[0].cron    30 2 * * *  →  30 2 * * mon-fri\n      \
                   timeout             30m  →  (none)\n      \
                   env.A/B             (none)  →  3\n      \
                   next fire           2026-11-28 02:30:00 +08:00  →  2026-11-30 02:30:00 +08:00\n      \
                   next 7 days         0 appear, 2 disappear\n  \
               - old-report         held back: invalid_manifest\n  \
               = 209 unchanged (schedules, phases and running executions untouched)\n\
             \nPlan: 1 to add, 1 to change, 1 to remove, 1 held back, 209 unchanged.\n"
        );
    }
}
