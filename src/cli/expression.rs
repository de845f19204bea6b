//! A cron expression on the command line: the flags that say how it is read, and what is told when it
//! cannot be.

use std::sync::Arc;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use crate::cli::exit::{Exit, Failure};
use crate::cli::output::{Document, Output, Shape};
use crate::diagnostic::render::{Colour, render};
use crate::diagnostic::report::Report;
use crate::diagnostic::{Diagnostic, Place, SourceText, codes};
use crate::spec::trigger::{
    CronError, CronExpr, CronTrigger, DayMatch, Dialect, FoldRule, GapRule, Language,
};
use crate::time::Zone;

/// How an expression is read. The words are those of a manifest; the expression's own argument is
/// called `cron` in every verb.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct Reading {
    /// How the expression is read.
    #[arg(long, value_name = "DIALECT", requires = "cron", default_value = "standard",
          value_parser = one_of(Dialect::ALL.map(Dialect::as_str), Dialect::parse))]
    dialect: Dialect,
    /// Whether day and weekday, both given, must both match.
    #[arg(long, value_name = "RULE", requires = "cron", default_value = "any",
          value_parser = one_of(DayMatch::ALL.map(DayMatch::as_str), DayMatch::parse))]
    day_match: DayMatch,
    /// What becomes of times that clocks skip; without it, by the kind of schedule.
    #[arg(long, value_name = "RULE", requires = "cron",
          value_parser = one_of(GapRule::ALL.map(GapRule::as_str), GapRule::parse))]
    gap: Option<GapRule>,
    /// Which pass of repeated times fires; without it, by the kind of schedule.
    #[arg(long, value_name = "PASS", requires = "cron",
          value_parser = one_of(FoldRule::ALL.map(FoldRule::as_str), FoldRule::parse))]
    fold: Option<FoldRule>,
}

/// Reads one of a closed set of words.
fn one_of<T: Clone + Send + Sync + 'static>(
    words: impl IntoIterator<Item = &'static str>,
    parse: fn(&str) -> Option<T>,
) -> impl TypedValueParser<Value = T> {
    PossibleValuesParser::new(words).try_map(move |word| parse(&word).ok_or("is no such word"))
}

/// Reads a language.
pub(super) fn language() -> impl TypedValueParser<Value = Language> {
    one_of(Language::ALL.map(Language::as_str), Language::parse)
}

impl Reading {
    /// The trigger that the text means in a zone.
    pub(super) fn trigger(self, text: &str, zone: Zone) -> Result<CronTrigger, CronError> {
        let expr = CronExpr::parse_matching(text, self.dialect, self.day_match)?;
        Ok(CronTrigger { gap: self.gap, fold: self.fold, ..CronTrigger::new(expr, zone) })
    }
}

/// Says what is wrong with an expression, as `validate` would.
pub(super) fn refused(
    origin: &str,
    text: &str,
    error: CronError,
    output: &Output,
) -> Result<Exit, Failure> {
    let source = Arc::new(SourceText::new(origin, text));
    let message = format!("this is not a cron expression: {}", error.sentence());
    let place = Place::new(&source, error.start, error.end);
    let mut diagnostic = Diagnostic::new(codes::BAD_CRON, message).at(place);
    diagnostic.help = error.help;
    let shape = Shape { list: Some("diagnostics"), name: "/code" };
    let report = Document::of(&Report::new(0, 0, std::slice::from_ref(&diagnostic)))?;
    let colour = if output.colour { Colour::Ansi } else { Colour::Plain };
    output.document(&report, shape, |_: &serde_json::Value, _| render(&diagnostic, colour))?;
    Ok(Exit::No)
}
