//! One tree for YAML, TOML and JSON: values with the places where they stand.
//!
//! The readers ([`yaml`], [`toml`]) make it; `check` compares it with the schema; [`de`] decodes it
//! into the types of `raw`. Scalars are those of YAML's core schema in version 1.2, except that a
//! number with a leading zero stays text, and a date or time of TOML is its text, so that the same
//! text means the same in every format.

pub mod de;
pub mod scalar;
pub mod toml;
pub mod yaml;

use std::ops::Range;

/// The deepest nesting that is read.
pub const DEPTH_MAX: usize = 64;
/// The most values in one file, copies made by aliases included.
pub const NODES_MAX: usize = 250_000;
/// The most values that aliases and merge keys may copy in one file.
pub const ALIAS_NODES_MAX: usize = 100_000;
/// The most faults that are looked for in one file; more tell nobody anything.
pub const FAULTS_MAX: usize = 1000;

/// A place in the text of a file: byte offsets, the end excluded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// The byte after the last.
    pub end: usize,
}

impl Span {
    /// A span from a range.
    pub fn new(range: Range<usize>) -> Self {
        Self { start: range.start, end: range.end }
    }

    /// Whether two spans share a byte.
    pub fn overlaps(self, other: Self) -> bool {
        self.start < other.end && other.start < self.end
    }
}

/// A value and where it stands. A value without text (`key:` in YAML) has an empty span.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Where.
    pub span: Span,
    /// What.
    pub value: Value,
}

/// What a node holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// Any other number, whole ones beyond 64 bits among them.
    Float(f64),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A map, in the order of the file; no key twice.
    Map(Vec<Entry>),
}

/// A key with its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key stands.
    pub key_span: Span,
    /// The value.
    pub node: Node,
}

impl Node {
    /// The entry with this key, when this is a map that has it.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key == key)
    }

    /// The value under a key.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.node)
    }

    /// The entries of a map; none of anything else.
    pub fn entries(&self) -> &[Entry] {
        if let Value::Map(entries) = &self.value { entries } else { &[] }
    }

    /// The items of a list; none of anything else.
    pub fn items(&self) -> &[Node] {
        if let Value::List(items) = &self.value { items } else { &[] }
    }

    /// The text, when it is text.
    pub fn text(&self) -> Option<&str> {
        if let Value::Text(text) = &self.value { Some(text) } else { None }
    }

    /// How many values it holds, itself included.
    pub fn count(&self) -> usize {
        let below: usize = match &self.value {
            Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Float(_) | Value::Text(_) => {
                0
            }
            Value::List(items) => items.iter().map(Self::count).sum(),
            Value::Map(entries) => entries.iter().map(|entry| entry.node.count()).sum(),
        };
        below + 1
    }

    /// How many levels it has: 1 for a scalar.
    pub fn depth(&self) -> usize {
        let items = self.items().iter().map(Self::depth);
        let below = items.chain(self.entries().iter().map(|entry| entry.node.depth())).max();
        below.unwrap_or(0) + 1
    }

    /// The part of this text value that `inner` is about, in the file: exact when the text stands
    /// in the file as it is (plain, or quoted without escapes), else the whole value.
    pub fn part(&self, source: &str, inner: Range<usize>) -> Span {
        let Some(text) = self.text() else { return self.span };
        let Some(written) = source.get(self.span.start..self.span.end) else { return self.span };
        let quotes = [0, 1, 3].into_iter().find(|count| {
            written.len() == text.len() + 2 * count
                && written.get(*count..*count + text.len()) == Some(text)
        });
        match quotes {
            Some(count) if inner.end <= text.len() => {
                let start = self.span.start + count;
                Span { start: start + inner.start, end: start + inner.end }
            }
            _ => self.span,
        }
    }
}

/// What a reader found wrong, before it is known in which job it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyntaxFault {
    /// One of `diagnostic::codes`.
    pub code: &'static str,
    /// One sentence.
    pub message: String,
    /// Where.
    pub span: Span,
    /// Under the underline.
    pub label: String,
    /// The next act.
    pub help: Option<String>,
    /// Another place that belongs to it.
    pub related: Option<(Span, String)>,
}

impl SyntaxFault {
    /// A fault at a place.
    pub fn new(code: &'static str, span: Span, message: impl Into<String>) -> Self {
        let (message, label) = (message.into(), String::new());
        Self { code, message, span, label, help: None, related: None }
    }

    /// Writes under the underline.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// Says the next act.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds another place that belongs to it.
    #[must_use]
    pub fn related(mut self, span: Span, label: impl Into<String>) -> Self {
        self.related = Some((span, label.into()));
        self
    }
}

/// What a reader made of a text.
#[derive(Debug, Default)]
pub struct Parsed {
    /// One tree per document that is not empty; incomplete when `broken`.
    pub documents: Vec<Node>,
    /// What is wrong, in the order of the file.
    pub faults: Vec<SyntaxFault>,
    /// The reader had to stop before the end, or to guess: the trees only say which names stand
    /// there.
    pub broken: bool,
    /// Places whose text was replaced to be able to read on; complaints there are not true.
    pub repaired: Vec<Span>,
}
