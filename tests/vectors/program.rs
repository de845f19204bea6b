//! Vectors through the program, as a user runs it.

use std::process::{Command, Output};

use chrono::{DateTime, FixedOffset};
use cronwright::spec::trigger::{Dialect, Field};
use serde_json::Value;

use super::Vector;
use super::library::{dialects, standard_accepts, wrong_field};

pub(super) fn check(vector: &Vector) -> Result<(), String> {
    // The first is the vector's own dialect.
    let dialect = dialects(vector)[0];
    if vector.maybe("error_about").is_some() {
        check_refused(vector, &run(vector, dialect, &[]))
    } else {
        check_fires(vector, dialect)
    }
}

/// Whether the program gives a meaning to an expression that should be invalid in its own dialect.
pub(super) fn accepts(vector: &Vector) -> bool {
    let is_standard = dialects(vector)[0] == Dialect::Standard;
    vector.maybe("error_about").is_some() && is_standard && standard_accepts(vector)
}

fn check_fires(vector: &Vector, dialect: Dialect) -> Result<(), String> {
    let expected = vector.fires();
    // One more than listed shows whether they end.
    let count = (expected.len() + usize::from(vector.is_ended())).max(1).to_string();
    let after = vector.text("after");
    let arguments = ["--timezone", vector.text("tz"), "--from", after, "-n", &count];
    let document = document(&run(vector, dialect, &arguments), 0, "cronwright.next/v1")?;
    let fires = document["fires"].as_array().ok_or("no fires")?;
    let found: Vec<&str> = fires.iter().filter_map(|fire| fire["at"].as_str()).collect();
    let as_times = |texts: &[&str]| texts.iter().map(|text| with_offset(text)).collect::<Vec<_>>();
    if as_times(&found) != as_times(&expected) {
        return Err(format!("expected {expected:?}\n  found    {found:?}"));
    }
    if document["timezone"] != vector.text("tz") {
        return Err(format!("the zone is {}", document["timezone"]));
    }
    Ok(())
}

fn check_refused(vector: &Vector, output: &Output) -> Result<(), String> {
    let document = document(output, 1, "cronwright.diagnostics/v1")?;
    let diagnostic = &document["diagnostics"][0];
    let number = |key: &str| diagnostic[key].as_u64().unwrap_or_default();
    let (line, column) = (number("line"), number("column"));
    let (end_line, end_column) = (number("end_line"), number("end_column"));
    if line == 0 || column == 0 || (end_line, end_column) < (line, column) {
        return Err(format!("no position in {diagnostic}"));
    }
    let message = diagnostic["message"].as_str().unwrap_or_default();
    let field = wrong_field(vector);
    let is_named = field == Field::Expression || message.contains(field.as_str());
    if diagnostic["code"] == "E0301" && is_named {
        Ok(())
    } else {
        Err(format!("the {field} is not named in {diagnostic}"))
    }
}

/// Runs `next --cron`.
fn run(vector: &Vector, dialect: Dialect, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cronwright"));
    command.args(["next", "-o", "json", "--dialect", dialect.as_str()]);
    command.arg(format!("--cron={}", vector.text("expr"))).args(arguments);
    command.current_dir(env!("CARGO_TARGET_TMPDIR"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CRONWRIGHT_") {
            command.env_remove(name);
        }
    }
    command.output().unwrap()
}

/// The document that the program printed, ending as it should.
fn document(output: &Output, exit: i32, schema: &str) -> Result<Value, String> {
    let document: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    if output.status.code() == Some(exit) && document["schema"] == schema {
        Ok(document)
    } else {
        Err(format!("{output:?}"))
    }
}

/// A time and the offset with which it is told.
fn with_offset(text: &str) -> (DateTime<FixedOffset>, FixedOffset) {
    let at = DateTime::parse_from_rfc3339(text).unwrap();
    (at, *at.offset())
}
