//! A plan for the comment on a pull request: one table for each kind of change, the same text for the same
//! plan, and never longer than such a comment may be.

use std::fmt::Write as _;

use serde_json::Value;

use crate::cli::list::schedule;
use crate::cli::plan::text::{at_once, dotted, summary, value, week};
use crate::io::http::documents::At;
use crate::io::http::documents::plan::{ChangeEntry, FieldEntry, PlanDocument};

/// The longest text, in bytes: GitHub takes 65,536 characters.
pub const BYTES_MAX: usize = 60_000;
/// What is kept free for the end, in bytes.
const ENDING_BYTES: usize = 2_000;
/// A table with more rows than this is folded.
const ROWS_OPEN: usize = 25;
/// The longest cell, in characters before they are escaped.
const CELL_CHARACTERS: usize = 1_000;

/// The kinds of change with the heading of their table; what is held back is a kind of its own.
const KINDS: [(&str, &str); 5] = [
    ("create", "New"),
    ("update", "Changed"),
    ("rename", "Renamed"),
    ("remove", "Removed"),
    ("blocked", "Held back"),
];

/// The whole comment.
pub fn page(plan: &PlanDocument) -> String {
    let mut page = Cut::default();
    page.put(&format!("### cronwright plan\n\n{}\n\n{}\n", compared(plan), summary(&plan.summary)));
    diagnostics(&mut page, plan);
    for (kind, heading) in KINDS {
        table(&mut page, kind, heading, &plan.changes);
    }
    for refused in &plan.refused {
        let (job, owner) = (code(&refused.job), escaped(&refused.owner));
        page.put(&format!("\n{job} is not applied: {owner} owns the name.\n"));
    }
    for pause in &plan.paused {
        let (job, by) = (code(&pause.job), escaped(&pause.by));
        page.put(&format!("\n{job} is paused by {by} and stays so.\n"));
    }
    for note in &plan.notes {
        page.put(&format!("\n> {}\n", escaped(note)));
    }
    page.text()
}

fn compared(plan: &PlanDocument) -> String {
    let commit = code(&plan.revision.commit);
    if let Some(against) = &plan.against {
        return format!(
            "{commit} compared with {} ({})",
            code(&against.name),
            code(&against.commit)
        );
    }
    let applied = plan.applied.as_deref().map_or_else(|| "nothing".to_owned(), code);
    format!("{commit} compared with what is applied: {applied}")
}

fn diagnostics(page: &mut Cut, plan: &PlanDocument) {
    if plan.diagnostics.is_empty() {
        return;
    }
    page.put("\n#### Complaints\n\n");
    for diagnostic in &plan.diagnostics {
        let line = diagnostic.line.map(|line| format!(":{line}")).unwrap_or_default();
        let place = code(&format!("{}{line}", diagnostic.file));
        let (severity, code) = (escaped(&diagnostic.severity), escaped(&diagnostic.code));
        let message = escaped(&diagnostic.message);
        page.put(&format!("- {severity} {code} at {place}: {message}\n"));
    }
}

fn table(page: &mut Cut, kind: &str, heading: &str, changes: &[ChangeEntry]) {
    let of_kind = |change: &&ChangeEntry| match (&change.blocked, kind) {
        (Some(_), kind) => kind == "blocked",
        (None, kind) => change.action == kind,
    };
    let rows: Vec<&ChangeEntry> = changes.iter().filter(of_kind).collect();
    if rows.is_empty() {
        return;
    }
    let count = rows.len();
    let columns: &[&str] = match kind {
        "create" => &["Job", "Schedule", "First fire", "Where"],
        "remove" => &["Job", "Next fire was", "What follows"],
        "blocked" => &["Job", "Why"],
        _ => &["Job", "What changes", "Next fire", "What follows"],
    };
    let is_folded = count > ROWS_OPEN;
    let begins = if is_folded {
        format!("\n<details><summary>{heading}: {count}</summary>\n\n")
    } else {
        format!("\n#### {heading}: {count}\n\n")
    };
    let line = vec!["---"; columns.len()].join(" | ");
    if !page.put(&format!("{begins}| {} |\n| {line} |\n", columns.join(" | "))) {
        return;
    }
    for change in rows {
        page.put(&row(kind, change));
    }
    if is_folded {
        page.end("\n</details>\n");
    }
}

fn row(kind: &str, change: &ChangeEntry) -> String {
    let next = change.next_fire.as_ref();
    let at = |at: Option<&At>| at.map_or_else(|| "none".to_owned(), time);
    let place = change.source.as_ref().map(|place| format!("{}:{}", place.file, place.line));
    let cells = match kind {
        "create" => vec![
            code(&change.job),
            code(&schedule(&change.schedule)),
            escaped(&at(next.and_then(|next| next.to.as_ref()))),
            code(&place.unwrap_or_default()),
        ],
        "remove" => vec![
            code(&change.job),
            escaped(&at(next.and_then(|next| next.from.as_ref()))),
            follows(change),
        ],
        "blocked" => {
            let why = change.blocked_because.as_ref().or(change.blocked.as_ref());
            vec![renamed(change), why.map(|why| escaped(why)).unwrap_or_default()]
        }
        _ => vec![
            renamed(change),
            change.fields.iter().map(field).collect::<Vec<_>>().join("<br>"),
            moved(change),
            follows(change),
        ],
    };
    format!("| {} |\n", cells.join(" | "))
}

fn renamed(change: &ChangeEntry) -> String {
    match &change.renamed_from {
        Some(from) => format!("{} → {}", code(from), code(&change.job)),
        None => code(&change.job),
    }
}

fn moved(change: &ChangeEntry) -> String {
    let Some(next) = &change.next_fire else { return "nothing moves".to_owned() };
    let told = |at: &Option<At>| at.as_ref().map_or_else(|| "none".to_owned(), time);
    if next.from == next.to {
        return escaped(&format!("{}, as before", told(&next.to)));
    }
    format!("{} → {}", escaped(&told(&next.from)), escaped(&told(&next.to)))
}

fn follows(change: &ChangeEntry) -> String {
    let moves = change.schedule_moves.then(|| week(change.fires_7d.as_ref(), time));
    let parts: Vec<String> = moves
        .into_iter()
        .chain(at_once(change).into_iter().map(|(_, text)| text))
        .map(|text| escaped(&text))
        .collect();
    parts.join("<br>")
}

fn field(field: &FieldEntry) -> String {
    let name = code(&dotted(&field.pointer));
    let shown = |side: &Value| if side.is_null() { "none".to_owned() } else { code(&value(side)) };
    if field.secret && !field.from.is_null() && !field.to.is_null() {
        return format!("{name}: (changed)");
    }
    format!("{name}: {} → {}", shown(&field.from), shown(&field.to))
}

fn time(at: &At) -> String {
    let form =
        if at.timestamp() % 60 == 0 { "%a %Y-%m-%d %H:%M %:z" } else { "%a %Y-%m-%d %H:%M:%S %:z" };
    at.format(form).to_string()
}

/// Text in the type of code. HTML, since a text may hold any number of backticks.
fn code(text: &str) -> String {
    format!("<code>{}</code>", escaped(text))
}

/// Text in which nothing is markup: no table ends, nobody is mentioned, nothing is linked.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let is_cut = text.chars().nth(CELL_CHARACTERS).is_some();
    let mut signs = text.chars().take(CELL_CHARACTERS).peekable();
    while let Some(sign) = signs.next() {
        // What follows the colon of a time begins neither a link nor a symbol.
        let begins_something = |next: char| !(next.is_ascii_digit() || next == ' ');
        match sign {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '|' | '`' | '*' | '_' | '[' | ']' | '\\' | '@' | '#' | '~' | '!' | '$' | '{' | '}' => {
                // Writing into a text cannot fail.
                let _written = write!(out, "&#{};", u32::from(sign));
            }
            ':' if signs.peek().copied().is_some_and(begins_something) => out.push_str("&#58;"),
            sign if sign.is_control() => out.push(' '),
            sign => out.push(sign),
        }
    }
    if is_cut {
        out.push('…');
    }
    out
}

/// Text that ends in time, and says what it left out.
#[derive(Default)]
struct Cut {
    text: String,
    is_full: bool,
}

impl Cut {
    /// Adds a part, if there is room for it.
    fn put(&mut self, part: &str) -> bool {
        self.is_full |= self.text.len() + part.len() > BYTES_MAX - ENDING_BYTES;
        if !self.is_full {
            self.text.push_str(part);
        }
        !self.is_full
    }

    /// Adds what closes a part that was begun; there is room kept for it.
    fn end(&mut self, part: &str) {
        self.text.push_str(part);
    }

    fn text(mut self) -> String {
        if self.is_full {
            let ending =
                "**The rest does not fit into a comment**: see all of it with `cronwright plan`.";
            let _written = write!(self.text, "\n{ending}\n");
        }
        self.text
    }
}
