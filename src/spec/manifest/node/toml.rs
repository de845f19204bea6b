//! TOML text into the tree. The only file that names the `toml` crate.
//!
//! The parser recovers from errors, so several are reported at once; what it makes of a broken file
//! is only good for the names in it.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue, Error};

use crate::diagnostic::{codes, quoted};
use crate::spec::manifest::node::{
    DEPTH_MAX, Entry, NODES_MAX, Node, Parsed, Span, SyntaxFault, Value,
};

/// The most syntax errors that are reported of one file.
const SYNTAX_FAULTS_MAX: usize = 10;

/// Reads a TOML document.
pub fn parse(text: &str) -> Parsed {
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut reader = Reader { text, faults: Vec::new(), nodes: 0, stopped: false };
    let root = reader.table(table.get_ref(), Span { start: 0, end: text.len() }, 1);
    let mut faults = syntax_faults(text, &errors, &root);
    faults.append(&mut reader.faults);
    let broken = !errors.is_empty() || reader.stopped;
    let empty = root.entries().is_empty();
    Parsed {
        documents: if empty { Vec::new() } else { vec![root] },
        faults,
        broken,
        repaired: Vec::new(),
    }
}

/// One fault per line and the first ones only: after an open bracket or quote the rest of the file is noise.
fn syntax_faults(text: &str, errors: &[Error], root: &Node) -> Vec<SyntaxFault> {
    let mut faults: Vec<SyntaxFault> = Vec::new();
    let mut errors: Vec<_> =
        errors.iter().map(|error| (error.span().unwrap_or(0..0), error.message())).collect();
    errors.sort_by_key(|(span, _)| span.start);
    let unclosed = errors.iter().position(|(_, message)| message.starts_with("unclosed"));
    let count = if unclosed.is_some() { 1 } else { SYNTAX_FAULTS_MAX };
    for (range, message) in errors {
        let line = |at: usize| text.get(..at).map_or(0, |before| before.matches('\n').count());
        let same_line = |fault: &SyntaxFault| line(fault.span.start) == line(range.start);
        if faults.len() < count && !faults.last().is_some_and(same_line) {
            faults.push(syntax_fault(text, range, message, root));
        }
    }
    faults
}

fn syntax_fault(text: &str, range: Range<usize>, message: &str, root: &Node) -> SyntaxFault {
    let span = Span::new(range);
    if message == "duplicate key" {
        return duplicate_key(text, span, root);
    }
    let fault = SyntaxFault::new(codes::TOML_SYNTAX, span, format!("this is not TOML: {message}"));
    if let Some(list) = open_list(text, root, span.start) {
        return fault.related(list, "inside this list").help("close the list with `]`");
    }
    if message.starts_with("string values must be quoted") {
        let word = text.get(span.start..line_end(text, span.start)).unwrap_or_default().trim();
        if !word.is_empty() {
            return fault.help(format!("quote it: \"{word}\""));
        }
    }
    fault
}

fn duplicate_key(text: &str, span: Span, root: &Node) -> SyntaxFault {
    let key = text.get(span.start..span.end).unwrap_or_default();
    let message = format!("the key {} stands twice in one table", quoted(key));
    let fault = SyntaxFault::new(codes::DUPLICATE_KEY, span, message).label("again here");
    let line_start =
        text.get(..span.start).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1);
    let line = text.get(line_start..line_end(text, span.start)).unwrap_or_default().trim_end();
    // The tree keeps one key of two tables with the same head: the first is found by its line.
    let head = line.starts_with('[').then(|| text.find(line)).flatten();
    let first = match head {
        Some(at) if at < line_start => Some(at + span.start - line_start),
        Some(_) | None => {
            first_place(root, key.trim_matches(['"', '\'']), span).map(|first| first.start)
        }
    };
    match first {
        Some(at) => fault.related(Span { start: at, end: at + key.len() }, "first here"),
        None => fault,
    }
}

fn line_end(text: &str, at: usize) -> usize {
    text.get(at..).and_then(|rest| rest.find('\n')).map_or(text.len(), |length| at + length)
}

/// The first bracket of the innermost list around a place that begins on a line above it.
fn open_list(text: &str, node: &Node, at: usize) -> Option<Span> {
    let around = node.entries().iter().map(|entry| &entry.node).chain(node.items());
    let deeper = around.filter_map(|node| open_list(text, node, at)).max_by_key(|span| span.start);
    let is_list =
        matches!(node.value, Value::List(_)) && node.span.start < at && at <= node.span.end;
    let above = || text.get(node.span.start..at).is_some_and(|between| between.contains('\n'));
    let here = Span { start: node.span.start, end: node.span.start + 1 };
    deeper.or_else(|| (is_list && above()).then_some(here))
}

/// The first key before `span` with this text.
fn first_place(node: &Node, key: &str, span: Span) -> Option<Span> {
    let below = |node: &Node| first_place(node, key, span);
    let here =
        node.entries().iter().filter(|entry| entry.key == key && entry.key_span.start < span.start);
    let here = here.map(|entry| entry.key_span).max();
    let deeper = node.entries().iter().map(|entry| &entry.node).chain(node.items());
    deeper.filter_map(below).chain(here).max()
}

struct Reader<'t> {
    text: &'t str,
    faults: Vec<SyntaxFault>,
    nodes: usize,
    stopped: bool,
}

impl Reader<'_> {
    fn table(&mut self, table: &DeTable<'_>, span: Span, depth: usize) -> Node {
        if depth > DEPTH_MAX {
            return self.stop(
                span,
                codes::TOO_DEEP,
                format!("nested deeper than {DEPTH_MAX} levels"),
            );
        }
        let mut entries = Vec::with_capacity(table.len());
        for (key, value) in table {
            let key_span = Span::new(key.span());
            let node = self.value(value, depth);
            self.refuse_nul(key.get_ref(), key_span);
            entries.push(Entry { key: key.get_ref().to_string(), key_span, node });
        }
        entries.sort_by_key(|entry| entry.key_span);
        Node { span, value: Value::Map(entries) }
    }

    fn value(&mut self, value: &Spanned<DeValue<'_>>, depth: usize) -> Node {
        let span = Span::new(value.span());
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            return self.stop(span, codes::TOO_MANY_NODES, format!("more than {NODES_MAX} values"));
        }
        let found = match value.get_ref() {
            DeValue::String(text) => {
                self.refuse_nul(text, span);
                Value::Text(self.unix_lines(text, span))
            }
            DeValue::Integer(number) => integer(number.as_str(), number.radix()),
            DeValue::Float(number) => float(number.as_str()),
            DeValue::Boolean(truth) => Value::Bool(*truth),
            // Its text, so that it means what the same text means in YAML.
            DeValue::Datetime(_) => {
                Value::Text(self.text.get(span.start..span.end).unwrap_or_default().to_owned())
            }
            DeValue::Array(items) => {
                if depth >= DEPTH_MAX {
                    let message = format!("nested deeper than {DEPTH_MAX} levels");
                    return self.stop(span, codes::TOO_DEEP, message);
                }
                let items = items.iter().map(|item| self.value(item, depth + 1));
                Value::List(items.collect())
            }
            DeValue::Table(table) => return self.table(table, span, depth + 1),
        };
        Node { span, value: found }
    }

    /// A multi-line string of a file with CRLF has LF, as in YAML: a shell would stumble over CR.
    fn unix_lines(&self, text: &str, span: Span) -> String {
        let written = self.text.get(span.start..span.end).unwrap_or_default();
        if written.contains("\r\n") { text.replace("\r\n", "\n") } else { text.to_owned() }
    }

    fn refuse_nul(&mut self, text: &str, span: Span) {
        if text.contains('\0') {
            let message = "this text holds a NUL character, which no program can receive";
            self.faults.push(SyntaxFault::new(codes::NUL_BYTE, span, message));
        }
    }

    fn stop(&mut self, span: Span, code: &'static str, message: String) -> Node {
        if !self.stopped {
            self.stopped = true;
            self.faults.push(SyntaxFault::new(code, span, message));
        }
        Node { span, value: Value::Null }
    }
}

fn integer(digits: &str, radix: u32) -> Value {
    match i64::from_str_radix(digits, radix) {
        Ok(number) => Value::Integer(number),
        Err(_) => float(digits),
    }
}

fn float(digits: &str) -> Value {
    Value::Float(digits.parse().unwrap_or(f64::INFINITY))
}
