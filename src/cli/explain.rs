//! `explain`: a cron expression in words, with its next fire times and what changes of clocks do to it;
//! or the long text of a diagnostic code. Asks no daemon.

use chrono::{Datelike, TimeDelta};
use clap::Args;
use serde::Serialize;

use crate::cli::exit::{Exit, Failure};
use crate::cli::expression::{Reading, language, refused};
use crate::cli::output::{Document, Look, Output, Shape};
use crate::cli::process;
use crate::cli::table::{Cell, Page, Paint, columns};
use crate::diagnostic::explanation::{Explanation, explanation, is_code, nearest_code};
use crate::diagnostic::{codes, quoted};
use crate::io::http::documents::{At, at_in};
use crate::spec::trigger::{
    CronExpr, CronTrigger, DayMatch, Language, ShiftEffect, ShiftNote, describe_clock_rule,
    describe_cron, describe_shift, other_readings, weekday_word,
};
use crate::time::{Timestamp, Zone, rfc3339};

/// How many fire times are shown.
const FIRES_SHOWN: usize = 5;
/// How far ahead changes of clocks are told.
const CLOCK_CHANGES_AHEAD: TimeDelta = TimeDelta::days(2 * 366);

/// Arguments of `explain`.
#[derive(Debug, Args)]
#[command(
    before_help = "Examples:\n  cronwright explain '30 2 * * mon-fri' --timezone Europe/Berlin\n  \
    cronwright explain '0 0 3 * * 1' --dialect quartz --lang zh\n  cronwright explain E0107"
)]
pub(super) struct ExplainArgs {
    /// A cron expression, read in `--timezone` (else UTC), or the code of a diagnostic.
    #[arg(value_name = "CRON|CODE", allow_hyphen_values = true)]
    cron: String,
    #[command(flatten)]
    reading: Reading,
    /// Fire times after this, RFC 3339; without it, after now.
    #[arg(long, value_name = "TIME")]
    from: Option<Timestamp>,
    /// The language of the words about an expression; without it, that of the environment.
    #[arg(long, value_name = "LANGUAGE", value_parser = language())]
    lang: Option<Language>,
}

/// What a cron expression means: `cronwright.explain/v1`.
#[derive(Debug, Serialize)]
struct CronDocument {
    schema: &'static str,
    kind: &'static str,
    language: &'static str,
    expression: String,
    dialect: &'static str,
    timezone: String,
    words: String,
    normal_form: String,
    /// How day and weekday of the normal form are combined.
    day_match: &'static str,
    /// Their names in a manifest; null: the weekday field leaves all open.
    weekdays: Option<Vec<&'static str>>,
    schedule: &'static str,
    gap: &'static str,
    fold: &'static str,
    clock_rule: String,
    never_fires: bool,
    fires: Vec<Fire>,
    clock_changes_until: At,
    clock_changes: Vec<ClockChange>,
    /// Whether there are any until then, be it that they do not touch it.
    #[serde(skip)]
    clocks_are_changed: bool,
    other_dialects: Vec<OtherReading>,
}

#[derive(Debug, Serialize)]
struct Fire {
    at: At,
    utc: String,
}

#[derive(Debug, Serialize)]
struct ClockChange {
    at: At,
    effect: &'static str,
    words: String,
}

#[derive(Debug, Serialize)]
struct OtherReading {
    dialect: &'static str,
    words: String,
}

/// What a code means: `cronwright.explain/v1`.
#[derive(Debug, Serialize)]
struct CodeDocument {
    schema: &'static str,
    kind: &'static str,
    code: &'static str,
    severity: &'static str,
    title: &'static str,
    cause: String,
    example: &'static str,
    fix: String,
}

const SCHEMA: &str = "cronwright.explain/v1";

pub(super) fn explain(args: &ExplainArgs, output: &Output) -> Result<Exit, Failure> {
    let text = args.cron.as_str();
    if is_code(text.trim()) {
        return explain_code(text.trim(), output);
    }
    let zone = output.clock.zone.clone().unwrap_or_else(Zone::utc);
    match args.reading.trigger(text, zone) {
        Ok(cron) => {
            let language = args.lang.unwrap_or_else(process::language);
            let from = args.from.unwrap_or(output.clock.now);
            let found = CronDocument::new(text, &cron, from, language);
            let shape = Shape { list: None, name: "/normal_form" };
            let page = |_: &serde_json::Value, look: &Look| found.page(&cron, language, look);
            output.document(&Document::of(&found)?, shape, page)?;
            Ok(Exit::Done)
        }
        Err(error) => refused("expression", text, error, output),
    }
}

impl CronDocument {
    fn new(text: &str, cron: &CronTrigger, from: Timestamp, language: Language) -> Self {
        let CronTrigger { expr, zone, .. } = cron;
        let local = |at| at_in(zone, at);
        let fires = std::iter::successors(cron.next_after(from), |last| cron.next_after(*last));
        let fire = |at| Fire { at: local(at), utc: rfc3339(at) };
        let ahead_s = from.timestamp().saturating_add(CLOCK_CHANGES_AHEAD.num_seconds());
        let until = Timestamp::from_timestamp(ahead_s, 0).unwrap_or(from);
        let change = |note: &ShiftNote| ClockChange {
            at: local(note.at),
            effect: effect_word(note.effect),
            words: describe_shift(cron, note, language),
        };
        let other = |expr: CronExpr| OtherReading {
            dialect: expr.dialect().as_str(),
            words: describe_cron(&CronTrigger::new(expr, zone.clone()), language),
        };
        Self {
            schema: SCHEMA,
            kind: "cron",
            language: language.as_str(),
            expression: text.to_owned(),
            dialect: expr.dialect().as_str(),
            timezone: zone.name().to_owned(),
            words: describe_cron(cron, language),
            normal_form: expr.to_string(),
            day_match: expr.day_match().as_str(),
            weekdays: expr.named_weekdays().map(|days| days.into_iter().map(weekday_key).collect()),
            schedule: if expr.is_interval_like() { "interval_like" } else { "fixed_time" },
            gap: cron.gap_rule().as_str(),
            fold: cron.fold_rule().as_str(),
            clock_rule: describe_clock_rule(cron, language),
            never_fires: cron.next_after(Timestamp::MIN_UTC).is_none(),
            fires: fires.take(FIRES_SHOWN).map(fire).collect(),
            clock_changes_until: local(until),
            clock_changes: cron.shift_notes(from, until).iter().map(change).collect(),
            clocks_are_changed: zone.shifts_until(until.timestamp())
                > zone.shifts_until(from.timestamp()),
            other_dialects: other_readings(text, expr).into_iter().map(other).collect(),
        }
    }

    fn page(&self, cron: &CronTrigger, language: Language, look: &Look) -> String {
        let labels = Labels::of(language);
        let mut page = Page::default();
        page.line(Paint::Bold.on(&self.words, look.colour));
        page.line("");
        let mut rows: Vec<Vec<Cell>> = Vec::new();
        let mut tell = |label: &str, text: String| {
            rows.push(vec![Cell::painted(label, Paint::Dim), text.into()]);
        };
        let all = cron.expr.day_match() == DayMatch::All;
        let day_match = if all { ", day_match: all" } else { "" };
        tell(labels.normal_form, format!("{} ({}{day_match})", self.normal_form, self.dialect));
        if let Some(weekdays) = cron.expr.named_weekdays() {
            let names = weekdays.into_iter().map(|weekday| weekday_word(weekday, language));
            tell(labels.weekdays, names.collect::<Vec<_>>().join(labels.comma));
        }
        for other in &self.other_dialects {
            tell(labels.read_by, format!("{}: {}", other.dialect, other.words));
        }
        tell(labels.clocks, self.clock_rule.clone());
        lines(columns(&["", ""], &rows, look.colour).trim_start(), &mut page);
        page.line("");
        self.fires_lines(language, look, &mut page);
        if !cron.zone.shifts().is_empty() && !self.never_fires {
            page.line("");
            self.clock_lines(&labels, look, &mut page);
        }
        page.text()
    }

    fn fires_lines(&self, language: Language, look: &Look, page: &mut Page) {
        let labels = Labels::of(language);
        if self.fires.is_empty() {
            page.line(if self.never_fires { labels.never } else { labels.finished });
            return;
        }
        let is_utc = self.timezone == "UTC";
        let row = |fire: &Fire| {
            let local = fire.at.format(if is_utc { "%F %T" } else { "%F %T %:z" });
            let weekday = weekday_word(fire.at.weekday().num_days_from_monday(), language);
            let mut row = vec![local.to_string().into(), weekday.into()];
            if !is_utc {
                row.push(fire.at.to_utc().format("%F %T").to_string().into());
            }
            if language == Language::English {
                row.push(look.clock.relative(&fire.at).into());
            }
            row
        };
        let rows: Vec<Vec<Cell>> = self.fires.iter().map(row).collect();
        let next = format!("{} ({})", labels.next, self.timezone);
        let headings: &[&str] = if is_utc { &[&next, "", ""] } else { &[&next, "", "UTC", ""] };
        lines(&columns(headings, &rows, look.colour), page);
    }

    fn clock_lines(&self, labels: &Labels, look: &Look, page: &mut Page) {
        let until = self.clock_changes_until.format("%F");
        page.line(Paint::Bold.on(&format!("{} {until}", labels.changes), look.colour));
        for change in &self.clock_changes {
            page.line(&change.words);
        }
        if self.clock_changes.is_empty() {
            page.line(if self.clocks_are_changed { labels.untouched } else { labels.unchanged });
        }
    }
}

/// The words around the words.
struct Labels {
    normal_form: &'static str,
    weekdays: &'static str,
    read_by: &'static str,
    clocks: &'static str,
    next: &'static str,
    changes: &'static str,
    untouched: &'static str,
    unchanged: &'static str,
    never: &'static str,
    finished: &'static str,
    comma: &'static str,
}

impl Labels {
    fn of(language: Language) -> Self {
        match language {
            Language::English => Self {
                normal_form: "normal form",
                weekdays: "weekdays",
                read_by: "other dialects",
                clocks: "clock changes",
                next: "NEXT",
                changes: "CLOCK CHANGES UNTIL",
                untouched: "none of them touches it",
                unchanged: "there are none",
                never: "It never fires: no date in any year fits.",
                finished: "It fires no more: its last year is over.",
                comma: ", ",
            },
            Language::Chinese => Self {
                normal_form: "标准写法",
                weekdays: "星期",
                read_by: "其他方言",
                clocks: "时钟调整",
                next: "下次触发",
                changes: "时钟调整截至",
                untouched: "都不影响此表达式",
                unchanged: "无",
                never: "永不触发：任何年份都没有匹配的日期。",
                finished: "不再触发：所列年份已过。",
                comma: "、",
            },
        }
    }
}

/// Adds the lines of a table, without the blanks of empty cells at their end.
fn lines(text: &str, page: &mut Page) {
    for line in text.lines() {
        page.line(line.trim_end());
    }
}

/// The name of a weekday in expressions, Monday = 0.
fn weekday_key(weekday: u32) -> &'static str {
    const KEYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    KEYS.get(weekday as usize).copied().unwrap_or_default()
}

fn effect_word(effect: ShiftEffect) -> &'static str {
    match effect {
        ShiftEffect::FiresAfterGap => "fires_after_gap",
        ShiftEffect::NotFired => "not_fired",
        ShiftEffect::FiresFirst => "fires_first",
        ShiftEffect::FiresLast => "fires_last",
        ShiftEffect::FiresTwice => "fires_twice",
    }
}

fn explain_code(id: &str, output: &Output) -> Result<Exit, Failure> {
    let Some(found) = explanation(id) else {
        let failure = Failure::new(Exit::NotFound, format!("there is no code {}", quoted(id)));
        return Err(match nearest_code(id) {
            Some(near) => failure.help(format!("did you mean `{near}`?")),
            None => failure.help("docs/diagnostics.md lists all codes"),
        });
    };
    let document = CodeDocument {
        schema: SCHEMA,
        kind: "code",
        code: found.code.id,
        severity: codes::severity(found.code.id).as_str(),
        title: found.code.title,
        cause: flowing(found.cause),
        example: found.example,
        fix: flowing(found.fix),
    };
    let shape = Shape { list: None, name: "/code" };
    let page = |_: &serde_json::Value, look: &Look| code_page(&found, look);
    output.document(&Document::of(&document)?, shape, page)?;
    Ok(Exit::Done)
}

fn code_page(found: &Explanation, look: &Look) -> String {
    let mut page = Page::default();
    let title = format!("{}: {}", found.code.id, found.code.title);
    page.line(Paint::Bold.on(&title, look.colour));
    page.line("");
    page.line(found.cause);
    page.line("");
    page.indented(found.example.trim_end());
    page.line("");
    page.line(format!("Fix: {}", found.fix));
    page.text()
}

/// Paragraphs without the line breaks of the page.
fn flowing(text: &str) -> String {
    let paragraphs = text.split("\n\n").map(|paragraph| paragraph.replace('\n', " "));
    paragraphs.collect::<Vec<_>>().join("\n\n")
}
