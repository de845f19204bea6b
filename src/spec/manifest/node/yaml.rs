//! YAML text (and so JSON text) into the tree. Only here and in `faults` the YAML library is named.
//!
//! Only the events of its parser are used; scalars, merge keys, duplicate keys, aliases and budgets
//! are decided here, so that another parser could take its place. The two mistakes that newcomers
//! make, `cron: */5 …` and `cron: @daily` without quotes, get their own message; the reader then goes
//! on as if they were quoted, to find the other mistakes of the file too.

mod faults;

use std::collections::{BTreeMap, BTreeSet};

use serde_yaml::granit_parser::{
    Event, Parser, ScalarStyle, ScanError, Span as ParserSpan, StructureStyle, Tag, options,
};

use crate::diagnostic::{codes, quoted};
use crate::spec::manifest::node::scalar;
use crate::spec::manifest::node::yaml::faults::{
    duplicate_key, syntax_fault, tag_fault, too_deep, unquoted,
};
use crate::spec::manifest::node::{
    ALIAS_NODES_MAX, DEPTH_MAX, Entry, FAULTS_MAX, NODES_MAX, Node, Parsed, Span, SyntaxFault,
    Value,
};

/// The most unquoted values that are reported of one file.
const REPAIRS_MAX: usize = 20;

/// Reads the documents of a YAML text.
pub fn parse(text: &str) -> Parsed {
    let mut repaired = Vec::new();
    let mut found = Vec::new();
    let mut shown = text.to_owned();
    loop {
        let (mut parsed, error) = Reader::new(&shown).read();
        let Some(error) = error else { break finish(parsed, found, repaired) };
        let at = error.marker().byte_offset().unwrap_or(shown.len());
        match unquoted(text, at) {
            Some((fault, value)) if repaired.len() < REPAIRS_MAX && !repaired.contains(&value) => {
                // One letter for another of the same length: every offset stays what it was.
                shown.replace_range(value.start..=value.start, "x");
                repaired.push(value);
                found.push(fault);
            }
            _ => {
                parsed.broken = true;
                parsed.faults.push(syntax_fault(text, &error, at));
                break finish(parsed, found, repaired);
            }
        }
    }
}

fn finish(mut parsed: Parsed, mut found: Vec<SyntaxFault>, repaired: Vec<Span>) -> Parsed {
    found.append(&mut parsed.faults);
    found.sort_by_key(|fault| fault.span);
    parsed.faults = found;
    parsed.repaired = repaired;
    parsed
}

/// A list or map whose end has not come yet.
struct Open {
    span: Span,
    style: StructureStyle,
    anchor: usize,
    children: Children,
}

enum Children {
    List(Vec<Node>),
    Map { entries: Vec<Entry>, key: Option<Key>, merged: Vec<Node> },
}

struct Key {
    text: String,
    span: Span,
    /// A plain `<<`, which merges.
    merges: bool,
}

/// A value that an alias may copy.
struct Anchored {
    node: Node,
    count: usize,
    depth: usize,
}

struct Reader<'t> {
    text: &'t str,
    open: Vec<Open>,
    anchors: BTreeMap<usize, Anchored>,
    documents: Vec<Node>,
    faults: Vec<SyntaxFault>,
    nodes: usize,
    alias_nodes: usize,
    /// A budget is spent: the rest of the text is not read.
    spent: bool,
}

impl<'t> Reader<'t> {
    fn new(text: &'t str) -> Self {
        Self {
            text,
            open: Vec::new(),
            anchors: BTreeMap::new(),
            documents: Vec::new(),
            faults: Vec::new(),
            nodes: 0,
            alias_nodes: 0,
            spent: false,
        }
    }

    fn read(mut self) -> (Parsed, Option<ScanError>) {
        let settings = options! {
            emit_unresolved_aliases: true,
            flow_nesting_limit: DEPTH_MAX,
            block_nesting_limit: DEPTH_MAX,
        };
        let mut error = None;
        for event in Parser::new_from_str_with_options(self.text, settings) {
            match event {
                Ok((event, span)) => self.event(event, span),
                Err(failed) => error = Some(failed),
            }
            if error.is_some() || self.spent {
                break;
            }
        }
        let broken = self.spent || error.is_some();
        while let Some(open) = self.open.pop() {
            let end = open.span.end;
            self.close(open, end);
        }
        let documents = self.documents;
        (Parsed { documents, faults: self.faults, broken, repaired: Vec::new() }, error)
    }

    fn fault(&mut self, fault: SyntaxFault) {
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(fault);
        }
    }

    #[expect(clippy::match_same_arms, reason = "the enum may grow, so known events are named too")]
    fn event(&mut self, event: Event<'_>, at: ParserSpan) {
        let span = Span::new(at.byte_range().unwrap_or_default());
        match event {
            Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(..)
            | Event::Anchor(..) => {}
            Event::DocumentEnd => self.anchors.clear(),
            Event::Alias(id) => self.alias(id, span),
            Event::UnresolvedAlias(name) => {
                let message = format!("there is no anchor `&{name}` above this alias");
                self.fault(SyntaxFault::new(codes::UNKNOWN_ALIAS, span, message));
                self.place(Node { span, value: Value::Null }, None);
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.scalar(&text, style, anchor, tag.as_deref(), &at);
            }
            Event::SequenceStart(style, anchor, tag) => {
                self.refuse_tag(tag.as_deref(), "seq", &at);
                let children = Children::List(Vec::new());
                self.open(Open { span, style, anchor, children });
            }
            Event::MappingStart(style, anchor, tag) => {
                self.refuse_tag(tag.as_deref(), "map", &at);
                let children = Children::Map { entries: Vec::new(), key: None, merged: Vec::new() };
                self.open(Open { span, style, anchor, children });
            }
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(open) = self.open.pop() {
                    self.close(open, span.end);
                }
            }
            // The enum may grow; what it could grow by is presentation.
            _ => {}
        }
    }

    fn scalar(
        &mut self,
        text: &str,
        style: ScalarStyle,
        anchor: usize,
        tag: Option<&Tag>,
        at: &ParserSpan,
    ) {
        let span = Span::new(at.byte_range().unwrap_or_default());
        let text_tag = tag.is_some_and(|tag| tag.is_yaml_core_schema_tag("str"));
        self.refuse_tag(tag, "str", at);
        if text.contains('\0') {
            let message = "this text holds a NUL character, which no program can receive";
            self.fault(SyntaxFault::new(codes::NUL_BYTE, span, message));
        }
        let plain = style == ScalarStyle::Plain && !text_tag;
        let value = if plain { scalar::resolve(text) } else { Value::Text(text.to_owned()) };
        if let (true, Value::Text(_), Some(reading)) = (plain, &value, scalar::legacy_reading(text))
        {
            let message = format!("older YAML readers see {reading} in {}", quoted(text));
            let fault = SyntaxFault::new(codes::LEGACY_SCALAR, span, message);
            self.fault(fault.label(format!("quote it: \"{text}\"")));
        }
        // A key is its text, whatever it looks like.
        let key = Key { text: text.to_owned(), span, merges: plain && text == "<<" };
        let node = Node { span, value };
        if anchor > 0 {
            self.anchors.insert(anchor, Anchored { node: node.clone(), count: 1, depth: 1 });
        }
        self.spend(1, span);
        self.place(node, Some(key));
    }

    fn alias(&mut self, id: usize, span: Span) {
        let Some(anchored) = self.anchors.get(&id) else {
            let message = "this alias stands inside the value that it names";
            self.fault(SyntaxFault::new(codes::UNKNOWN_ALIAS, span, message));
            return self.place(Node { span, value: Value::Null }, None);
        };
        self.alias_nodes += anchored.count;
        if self.open.len() + anchored.depth > DEPTH_MAX {
            self.fault(too_deep(span));
            self.spent = true;
        } else if self.alias_nodes > ALIAS_NODES_MAX {
            let message =
                format!("the aliases of this file copy more than {ALIAS_NODES_MAX} values");
            self.fault(SyntaxFault::new(codes::TOO_MANY_NODES, span, message));
            self.spent = true;
        } else {
            let node = anchored.node.clone();
            let count = anchored.count;
            let key = node.text().map(|text| Key { text: text.to_owned(), span, merges: false });
            self.spend(count, span);
            self.place(node, key);
        }
    }

    fn spend(&mut self, count: usize, span: Span) {
        self.nodes += count;
        if self.nodes > NODES_MAX && !self.spent {
            self.spent = true;
            let message = format!("more than {NODES_MAX} values in one file");
            self.fault(SyntaxFault::new(codes::TOO_MANY_NODES, span, message));
        }
    }

    fn refuse_tag(&mut self, tag: Option<&Tag>, allowed: &str, at: &ParserSpan) {
        if let Some(tag) = tag.filter(|tag| !tag.is_yaml_core_schema_tag(allowed)) {
            let written = at.tag_span().and_then(|span| span.byte_range());
            self.fault(tag_fault(tag, Span::new(written.unwrap_or_default())));
        }
    }

    fn open(&mut self, open: Open) {
        self.spend(1, open.span);
        self.open.push(open);
    }

    fn close(&mut self, open: Open, end: usize) {
        let Open { span, style, anchor, children } = open;
        let (value, last) = match children {
            Children::List(items) => {
                let last = items.last().map(|item| item.span.end);
                (Value::List(items), last)
            }
            Children::Map { mut entries, merged, .. } => {
                let last = entries.last().map(|entry| entry.node.span.end.max(entry.key_span.end));
                self.refuse_duplicates(&mut entries);
                for node in merged {
                    self.merge(&mut entries, node);
                }
                (Value::Map(entries), last)
            }
        };
        // A block ends with its last value, not where the parser sees the next token.
        let end = match style {
            StructureStyle::Flow => end,
            StructureStyle::Block => last.unwrap_or(end),
        };
        let span = Span { start: span.start, end: end.max(span.start) };
        let node = Node { span, value };
        if anchor > 0 {
            let (count, depth) = (node.count(), node.depth());
            self.anchors.insert(anchor, Anchored { node: node.clone(), count, depth });
        }
        self.place(node, None);
    }

    /// Keeps the first of each key. Sorted, so that a map of many thousand keys costs little.
    fn refuse_duplicates(&mut self, entries: &mut Vec<Entry>) {
        let mut order: Vec<usize> = (0..entries.len()).collect();
        order.sort_by(|a, b| entries[*a].key.cmp(&entries[*b].key).then(a.cmp(b)));
        let mut surplus = BTreeSet::new();
        let mut first = 0;
        for at in 1..order.len() {
            if entries[order[at]].key == entries[order[first]].key {
                let again = &entries[order[at]];
                self.fault(duplicate_key(again, entries[order[first]].key_span));
                surplus.insert(order[at]);
            } else {
                first = at;
            }
        }
        let mut at = 0;
        entries.retain(|_| {
            at += 1;
            !surplus.contains(&(at - 1))
        });
    }

    /// Adds the entries of a merged map (or list of maps) that are not there yet.
    fn merge(&mut self, entries: &mut Vec<Entry>, node: Node) {
        match node.value {
            Value::Map(merged) => {
                for entry in merged {
                    if !entries.iter().any(|known| known.key == entry.key) {
                        entries.push(entry);
                    }
                }
            }
            Value::List(items) => {
                for item in items {
                    self.merge(entries, item);
                }
            }
            Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Float(_) | Value::Text(_) => {
                let message = "`<<` merges a map, or a list of maps, and this is neither";
                self.fault(SyntaxFault::new(codes::BAD_MERGE, node.span, message));
            }
        }
    }

    /// Puts a finished node where it belongs; `as_key` is what it would be as a key.
    fn place(&mut self, node: Node, as_key: Option<Key>) {
        if self.expects_key() {
            if as_key.is_none() {
                let message = "a key must be text";
                self.fault(SyntaxFault::new(codes::KEY_NOT_TEXT, node.span, message));
            }
            let no_text = Key { text: String::new(), span: node.span, merges: false };
            if let Some(Open { children: Children::Map { key, .. }, .. }) = self.open.last_mut() {
                *key = Some(as_key.unwrap_or(no_text));
            }
            return;
        }
        match self.open.last_mut().map(|open| &mut open.children) {
            None if node.value == Value::Null => {}
            None => self.documents.push(node),
            Some(Children::List(items)) => items.push(node),
            Some(Children::Map { entries, key, merged }) => match key.take() {
                Some(key) if key.merges => merged.push(node),
                Some(key) => entries.push(Entry { key: key.text, key_span: key.span, node }),
                // Said by `expects_key`.
                None => {}
            },
        }
    }

    fn expects_key(&self) -> bool {
        let children = self.open.last().map(|open| &open.children);
        matches!(children, Some(Children::Map { key: None, .. }))
    }
}
