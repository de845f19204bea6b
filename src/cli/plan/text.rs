//! A plan for people at a terminal.

use serde_json::Value;

use crate::cli::list::schedule;
use crate::cli::output::Look;
use crate::cli::table::{Page, Paint, plain};
use crate::io::http::documents::plan::{
    ChangeEntry, FieldEntry, FiresEntry, PausedEntry, PlanDocument, PlanSummary,
};
use crate::io::http::documents::{At, at_in};

/// The longest value that is shown whole, in characters.
const VALUE_SHOWN: usize = 100;
/// How many paused jobs are named.
const PAUSED_NAMED: usize = 20;

/// A plan that may be applied.
pub fn page(plan: &PlanDocument, look: &Look) -> String {
    format!("{}\n{}\n", body(plan, look), ending(plan))
}

/// A plan that was applied.
pub fn done(plan: &PlanDocument, look: &Look) -> String {
    format!("{}\n{}\n", body(plan, look), summary(&plan.summary))
}

fn body(plan: &PlanDocument, look: &Look) -> String {
    let mut page = Page::default();
    page.line(format!("{}\n", heading(plan)));
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
    for refused in &plan.refused {
        let (job, owner) = (plain(&refused.job), plain(&refused.owner));
        let (file, line) = (plain(&refused.source.file), refused.source.line);
        page.line(format!("  ! {job:<18} {file}:{line}  not applied: {owner} owns the name"));
    }
    unchanged(&mut page, &plan.summary);
    paused(&mut page, &plan.paused, look);
    for note in &plan.notes {
        page.line(format!("  ! {}", plain(note)));
    }
    page.text()
}

/// What is compared.
fn heading(plan: &PlanDocument) -> String {
    let revision = &plan.revision;
    let state = revision.dirty.map(|dirty| if dirty { "dirty" } else { "clean" });
    let facts: Vec<&str> = revision.branch.as_deref().into_iter().chain(state).collect();
    let facts =
        if facts.is_empty() { String::new() } else { format!(" ({})", plain(&facts.join(", "))) };
    let commit = plain(&revision.commit);
    if let Some(against) = &plan.against {
        let (name, at) = (plain(&against.name), plain(&against.commit));
        return format!(
            "revision  {commit}{facts} → compared with {name} ({at}), without a daemon"
        );
    }
    let applied = plain(plan.applied.as_deref().unwrap_or("nothing"));
    let generation = plan.generation;
    format!(
        "revision  {commit}{facts} → currently applied {applied}      store generation {generation}"
    )
}

fn unchanged(page: &mut Page, summary: &PlanSummary) {
    let PlanSummary { unchanged, moved, .. } = summary;
    if *unchanged > 0 {
        let untouched = "schedules, phases and running executions untouched";
        let moved = match moved {
            0 => String::new(),
            moved => format!("; {moved} only stand elsewhere now"),
        };
        page.line(format!("  = {unchanged} unchanged ({untouched}{moved})"));
    }
}

fn paused(page: &mut Page, paused: &[PausedEntry], look: &Look) {
    for pause in paused.iter().take(PAUSED_NAMED) {
        let since = look.clock.relative(&pause.since);
        let reason = pause.reason.as_ref().map(|reason| format!(" (\"{}\")", plain(reason)));
        let until = pause.until.as_ref().map(|until| format!(" until {}", time(until, look)));
        let (by, job) = (plain(&pause.by), plain(&pause.job));
        let (reason, until) = (reason.unwrap_or_default(), until.unwrap_or_default());
        page.line(format!("  ! paused by {by} {since}{reason}: {job} stays paused{until}"));
    }
    let more = paused.len().saturating_sub(PAUSED_NAMED);
    if more > 0 {
        page.line(format!("  ! {more} more jobs are paused and stay so"));
    }
}

/// How many changes there are, and how to apply them.
fn ending(plan: &PlanDocument) -> String {
    let counts = summary(&plan.summary);
    if plan.against.is_some() || plan.changes.is_empty() {
        return counts;
    }
    let id = plain(&plan.id);
    format!("{counts}      plan id {id}  (apply with: cronwright apply --plan {id})")
}

/// How many changes there are, in a sentence.
pub fn summary(summary: &PlanSummary) -> String {
    let PlanSummary { create, update, rename, remove, blocked, unchanged, .. } = summary;
    let mut parts = Vec::new();
    for (count, what) in
        [(create, "to add"), (update, "to change"), (rename, "to rename"), (remove, "to remove")]
    {
        if *count > 0 {
            parts.push(format!("{count} {what}"));
        }
    }
    if *blocked > 0 {
        parts.push(format!("{blocked} of them held back"));
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
    let name = change.renamed_from.as_ref().unwrap_or(&change.job);
    let renamed = change.renamed_from.as_ref().map(|_| {
        let held = if change.blocked.is_some() { "not yet " } else { "" };
        format!("{held}renamed to {} (previous_names): history kept", change.job)
    });
    let schedule = (change.action == "create").then(|| schedule(&change.schedule));
    let source = change.source.as_ref().map(|source| format!("{}:{}", source.file, source.line));
    let blocked = change
        .blocked
        .as_ref()
        .map(|word| change.blocked_because.clone().unwrap_or_else(|| format!("held back: {word}")));
    let facts = [renamed, schedule, source, blocked];
    let facts: Vec<String> = facts.into_iter().flatten().collect();
    let (name, facts) = (plain(name), facts.join("  "));
    page.line(format!("  {} {name:<18} {}", paint.on(sign, look.colour), plain(&facts)));
    for line in details(change, |at| time(at, look), |at| look.clock.relative(at)) {
        page.line(format!("      {line}"));
    }
}

/// What is different in a change and what follows, a line each.
fn details(
    change: &ChangeEntry,
    time: impl Fn(&At) -> String,
    relative: impl Fn(&At) -> String,
) -> Vec<String> {
    if change.blocked.is_some() {
        return Vec::new();
    }
    let mut lines: Vec<String> = change.fields.iter().map(field).collect();
    let mut put = |name: &str, text: String| lines.push(format!("{name:<18}  {text}"));
    if let Some(next) = &change.next_fire {
        let told = |at: &Option<At>| at.as_ref().map_or_else(|| "none".to_owned(), &time);
        match (&next.from, &next.to) {
            (None, Some(to)) if change.action == "create" => {
                put("first fire", format!("{} ({})", time(to), relative(to)));
            }
            (from, to) if from == to => put("next fire", format!("{}, as before", told(to))),
            (from, to) => put("next fire", format!("{}  →  {}", told(from), told(to))),
        }
        put("next 7 days", week(change.fires_7d.as_ref(), &time));
    } else if matches!(change.action.as_str(), "update" | "rename") {
        put("schedule", "nothing moves".to_owned());
    }
    for (name, text) in at_once(change) {
        put(name, text);
    }
    lines
}

/// What becomes of that which is due or runs while the change is applied.
pub fn at_once(change: &ChangeEntry) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    let fires =
        |count: u64| if count == 1 { "1 fire".to_owned() } else { format!("{count} fires") };
    if change.caught_up > 0 {
        lines.push(("due now", format!("{} will start at once", fires(change.caught_up))));
    }
    if change.dropped > 0 {
        lines.push(("due now", format!("{} will not start", fires(change.dropped))));
    }
    if let Some(running) = &change.running {
        let count = running.count;
        let text = match (running.then.as_str(), count) {
            ("cancel", 1) => "1 execution is cancelled".to_owned(),
            ("cancel", count) => format!("{count} executions are cancelled"),
            (_, 1) => "1 execution ends under the definition it started with".to_owned(),
            (_, count) => format!("{count} executions end under the definition they started with"),
        };
        lines.push(("running", text));
    }
    lines
}

/// The fire times of a week that come and go, in words.
pub fn week(fires: Option<&FiresEntry>, time: impl Fn(&At) -> String) -> String {
    let Some(fires) = fires else { return "too many fires to compare".to_owned() };
    let part = |count: u64, first: &[At], one: &str, many: &str| {
        let times: Vec<String> = first.iter().map(&time).collect();
        let more = if count > first.len() as u64 { " …" } else { "" };
        let (word, fires) = if count == 1 { (one, "fire") } else { (many, "fires") };
        let named =
            if times.is_empty() { String::new() } else { format!(": {}{more}", times.join(", ")) };
        (count > 0).then(|| format!("{count} {fires} {word}{named}"))
    };
    let parts: Vec<String> = [
        part(fires.lost, &fires.lost_first, "disappears", "disappear"),
        part(fires.gained, &fires.gained_first, "appears", "appear"),
    ]
    .into_iter()
    .flatten()
    .collect();
    if parts.is_empty() { "the same fires as before".to_owned() } else { parts.join("; ") }
}

fn field(field: &FieldEntry) -> String {
    let name = dotted(&field.pointer);
    let name = plain(&name);
    if field.secret && !field.from.is_null() && !field.to.is_null() {
        return format!("{name:<18}  (changed)");
    }
    format!("{name:<18}  {}  →  {}", value(&field.from), value(&field.to))
}

/// A time with its weekday; seconds where there are some.
fn time(at: &At, look: &Look) -> String {
    let form = if at.timestamp() % 60 == 0 { "%a %Y-%m-%d %H:%M" } else { "%a %Y-%m-%d %H:%M:%S" };
    match &look.clock.zone {
        Some(zone) => at_in(zone, at.to_utc()).format(form).to_string(),
        None => format!("{} {}", at.format(form), at.format("%:z")),
    }
}

/// `/triggers/0/cron` as `triggers[0].cron`.
pub fn dotted(pointer: &str) -> String {
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

/// A value on one line.
pub fn value(value: &Value) -> String {
    let text = match value {
        Value::Null => return "(none)".to_owned(),
        Value::String(text) if text.is_empty() || text.trim() != text || text.contains('\n') => {
            value.to_string()
        }
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    };
    let text = plain(&text);
    if text.chars().count() <= VALUE_SHOWN {
        return text.into_owned();
    }
    let cut: String = text.chars().take(VALUE_SHOWN).collect();
    format!("{cut}…")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_told_on_one_line_and_pointers_as_paths() {
        for (given, expected) in [
            (json!(null), "(none)"),
            (json!("30m"), "30m"),
            (json!(""), "\"\""),
            (json!(" x"), "\" x\""),
            (json!("set -e\nx\n"), "\"set -e\\nx\\n\""),
            (json!("a\u{1b}[2J"), "a\\u{1b}[2J"),
            (json!(["a", 1]), "[\"a\",1]"),
        ] {
            assert_eq!(value(&given), expected);
        }
        let long = value(&json!("x".repeat(101)));
        assert_eq!(long, format!("{}…", "x".repeat(100)));
        assert_eq!(dotted("/triggers/0/cron"), "triggers[0].cron");
        assert_eq!(dotted("/env/A~1B"), "env.A/B");
    }
}
