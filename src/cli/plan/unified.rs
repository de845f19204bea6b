//! A plan as a unified diff: each definition in canonical form, as YAML, before and after.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::cli::table::plain;
use crate::io::http::documents::plan::{ChangeEntry, PlanDocument};

/// How many equal lines are shown around a difference.
const CONTEXT: usize = 3;
/// How many pairs of lines are compared; two texts with more are shown as removed and added.
const PAIRS_MAX: usize = 4_000_000;

/// The whole diff; empty: nothing changes.
pub fn page(plan: &PlanDocument) -> String {
    let mut text = String::new();
    for change in &plan.changes {
        entry(&mut text, change);
    }
    for refused in &plan.refused {
        let (job, owner) = (plain(&refused.job), plain(&refused.owner));
        // Writing into a text cannot fail, here and below.
        let _written = writeln!(text, "# {job}: not applied, for {owner} owns the name");
    }
    text
}

fn entry(text: &mut String, change: &ChangeEntry) {
    let job = plain(&change.job);
    if let Some(blocked) = &change.blocked {
        let why = change.blocked_because.as_ref().unwrap_or(blocked);
        let _written = writeln!(text, "# {job}: {} blocked: {}", plain(&change.action), plain(why));
        return;
    }
    let definition = change.definition.as_ref();
    let from = definition.and_then(|definition| definition.from.as_ref());
    let to = definition.and_then(|definition| definition.to.as_ref());
    let old_name = change.renamed_from.as_deref().unwrap_or(&change.job);
    let (before, after) = (lines(old_name, from), lines(&change.job, to));
    let side = |prefix: &str, name: &str, value: Option<&Value>| match value {
        Some(_) => format!("{prefix}/{}", plain(name)),
        None => "/dev/null".to_owned(),
    };
    let place = change.source.as_ref();
    let place = place.map(|place| format!("\t{}:{}", plain(&place.file), place.line));
    let place = place.unwrap_or_default();
    let (old_place, new_place) = if to.is_some() { ("", &*place) } else { (&*place, "") };
    let _written = writeln!(text, "--- {}{old_place}", side("a", old_name, from));
    let _written = writeln!(text, "+++ {}{new_place}", side("b", &change.job, to));
    hunks(text, &steps(&before, &after));
    if change.fields.iter().any(|field| field.secret) {
        let _written = writeln!(text, "# {job}: secrets are not shown; one of them changed");
    }
}

/// A definition as YAML, line by line.
fn lines(name: &str, definition: Option<&Value>) -> Vec<String> {
    let Some(definition) = definition else { return Vec::new() };
    let manifest = json!({ "jobs": { name: definition } });
    // A definition is texts, numbers and lists of them: nothing that YAML cannot say.
    let text = serde_yaml::to_string(&manifest).unwrap_or_default();
    text.lines().map(|line| plain(line).into_owned()).collect()
}

/// One line of a diff.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step<'l> {
    Same(&'l str),
    Gone(&'l str),
    New(&'l str),
}

/// The lines of both texts in one order: equal ones once, of a difference what is gone first.
fn steps<'l>(before: &'l [String], after: &'l [String]) -> Vec<Step<'l>> {
    let same = before.iter().zip(after).take_while(|(a, b)| a == b).count();
    let (head, old) = before.split_at(same);
    let new = after.get(same..).unwrap_or_default();
    let same = old.iter().rev().zip(new.iter().rev()).take_while(|(a, b)| a == b).count();
    let (old, tail) = old.split_at(old.len() - same);
    let new = new.get(..new.len() - same).unwrap_or_default();
    let mut steps: Vec<Step<'l>> = head.iter().map(|line| Step::Same(line)).collect();
    if old.len().saturating_mul(new.len()) > PAIRS_MAX {
        steps.extend(old.iter().map(|line| Step::Gone(line)));
        steps.extend(new.iter().map(|line| Step::New(line)));
    } else {
        steps.extend(aligned(old, new));
    }
    steps.extend(tail.iter().map(|line| Step::Same(line)));
    steps
}

/// The longest common subsequence, by the table of its lengths.
fn aligned<'l>(old: &'l [String], new: &'l [String]) -> Vec<Step<'l>> {
    let width = new.len() + 1;
    let mut lengths = vec![0_u32; (old.len() + 1) * width];
    let at = |row: usize, column: usize| row * width + column;
    for (row, a) in old.iter().enumerate().rev() {
        for (column, b) in new.iter().enumerate().rev() {
            lengths[at(row, column)] = if a == b {
                lengths[at(row + 1, column + 1)] + 1
            } else {
                lengths[at(row + 1, column)].max(lengths[at(row, column + 1)])
            };
        }
    }
    let (mut row, mut column) = (0, 0);
    let mut steps = Vec::new();
    loop {
        match (old.get(row), new.get(column)) {
            (Some(a), Some(b)) if a == b => {
                steps.push(Step::Same(a));
                (row, column) = (row + 1, column + 1);
            }
            (Some(a), Some(_)) if lengths[at(row + 1, column)] >= lengths[at(row, column + 1)] => {
                steps.push(Step::Gone(a));
                row += 1;
            }
            (Some(_) | None, Some(b)) => {
                steps.push(Step::New(b));
                column += 1;
            }
            (Some(a), None) => {
                steps.push(Step::Gone(a));
                row += 1;
            }
            (None, None) => return steps,
        }
    }
}

/// The differences with the lines around them.
fn hunks(text: &mut String, steps: &[Step<'_>]) {
    let differs = |step: &Step<'_>| !matches!(step, Step::Same(_));
    let mut from = 0;
    while let Some(first) = steps.iter().skip(from).position(differs).map(|at| at + from) {
        let start = first.saturating_sub(CONTEXT).max(from);
        let mut end = first;
        // A hunk goes on while the next difference is within its context and that of the next.
        while let Some(next) = steps.iter().skip(end).position(differs)
            && (end == first || next <= 2 * CONTEXT)
        {
            end += next + 1;
        }
        let stop = (end + CONTEXT).min(steps.len());
        hunk(
            text,
            steps.get(..start).unwrap_or_default(),
            steps.get(start..stop).unwrap_or_default(),
        );
        from = stop;
    }
}

fn hunk(text: &mut String, above: &[Step<'_>], lines: &[Step<'_>]) {
    let old = |steps: &[Step<'_>]| steps.iter().filter(|s| !matches!(s, Step::New(_))).count();
    let new = |steps: &[Step<'_>]| steps.iter().filter(|s| !matches!(s, Step::Gone(_))).count();
    // A side without lines is at the line before it.
    let range = |above: usize, count: usize| match count {
        0 => format!("{above},0"),
        1 => format!("{}", above + 1),
        count => format!("{},{count}", above + 1),
    };
    let (old, new) = (range(old(above), old(lines)), range(new(above), new(lines)));
    let _written = writeln!(text, "@@ -{old} +{new} @@");
    for line in lines {
        let (sign, line) = match line {
            Step::Same(line) => (' ', line),
            Step::Gone(line) => ('-', line),
            Step::New(line) => ('+', line),
        };
        let _written = writeln!(text, "{sign}{line}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diffed(before: &str, after: &str) -> String {
        let lines = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let mut text = String::new();
        hunks(&mut text, &steps(&lines(before), &lines(after)));
        text
    }

    #[test]
    fn differences_stand_in_their_context() {
        assert_eq!(diffed("a b c", "a b c"), "");
        assert_eq!(diffed("", "a b"), "@@ -0,0 +1,2 @@\n+a\n+b\n");
        assert_eq!(diffed("a b", ""), "@@ -1,2 +0,0 @@\n-a\n-b\n");
        assert_eq!(
            diffed("1 2 3 4 5 6 7 8 9", "1 2 3 4 x 6 7 8 9"),
            "@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+x\n 6\n 7\n 8\n"
        );
        // Two differences: in one hunk while their contexts touch, else in two.
        assert_eq!(
            diffed("x 1 2 3 4 5 6 y", "1 2 3 4 5 6"),
            "@@ -1,8 +1,6 @@\n-x\n 1\n 2\n 3\n 4\n 5\n 6\n-y\n"
        );
        assert_eq!(
            diffed("x 1 2 3 4 5 6 7 y", "1 2 3 4 5 6 7"),
            "@@ -1,4 +1,3 @@\n-x\n 1\n 2\n 3\n@@ -6,4 +5,3 @@\n 5\n 6\n 7\n-y\n"
        );
    }

    #[test]
    fn texts_too_large_to_align_are_shown_whole() {
        let many = |sign: &str| (0..3_000).map(|at| format!("{sign}{at}")).collect::<Vec<_>>();
        let (before, after) = (many("a"), many("b"));
        assert_eq!(steps(&before, &after).len(), 6_000);
    }
}
