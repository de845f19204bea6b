//! The tree against the generated JSON Schema: every fault, at its place.
//!
//! A JSON Schema is compiled once into [`Rule`]s ([`compile`]); [`check`] walks them together with the
//! tree. It says yes and no where a validator for JSON Schema does (a property test compares them),
//! but tells more: it goes into the one alternative that fits the kind of the value, and names the
//! key. What is said about a fault is made in `faults`.

pub mod compile;
pub mod faults;

use std::collections::BTreeMap;

use regex::Regex;

use crate::spec::manifest::node::de::whole;
use crate::spec::manifest::node::{Entry, FAULTS_MAX, Node, Span, Value};

/// A compiled schema.
#[derive(Debug)]
pub struct Rules {
    rules: Vec<Rule>,
    root: RuleId,
}

/// The place of a rule in its schema.
pub type RuleId = usize;

/// The kinds of value, as a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kinds(u8);

impl Kinds {
    /// Nothing.
    pub const NULL: Self = Self(1);
    /// True or false.
    pub const BOOLEAN: Self = Self(1 << 1);
    /// A whole number.
    pub const INTEGER: Self = Self(1 << 2);
    /// Any number.
    pub const NUMBER: Self = Self(1 << 3 | 1 << 2);
    /// Text.
    pub const TEXT: Self = Self(1 << 4);
    /// A list.
    pub const LIST: Self = Self(1 << 5);
    /// A map.
    pub const MAP: Self = Self(1 << 6);
    /// Every kind.
    pub const ANY: Self = Self(0x7f);
    /// No kind.
    pub const NONE: Self = Self(0);

    /// Both.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether every kind of `other` is in it; never true of [`Self::NONE`].
    pub fn has(self, other: Self) -> bool {
        other.0 != 0 && self.0 & other.0 == other.0
    }

    /// The kind of a value. Infinity and "not a number" have none: JSON knows neither.
    pub fn of(value: &Value) -> Self {
        match value {
            Value::Null => Self::NULL,
            Value::Bool(_) => Self::BOOLEAN,
            Value::Integer(_) => Self::INTEGER,
            Value::Float(number) if whole(*number).is_some() => Self::INTEGER,
            Value::Float(number) if number.is_finite() => Self(1 << 3),
            Value::Float(_) => Self::NONE,
            Value::Text(_) => Self::TEXT,
            Value::List(_) => Self::LIST,
            Value::Map(_) => Self::MAP,
        }
    }
}

/// A value that a schema names.
#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    /// Text.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// True or false.
    Bool(bool),
    /// Nothing.
    Null,
}

impl Literal {
    fn is(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Text(this), Value::Text(text)) => this == text,
            (Self::Integer(this), Value::Integer(number)) => this == number,
            (Self::Integer(this), Value::Float(number)) => whole(*number) == Some(*this),
            (Self::Bool(this), Value::Bool(truth)) => this == truth,
            (Self::Null, Value::Null) => true,
            (Self::Text(_) | Self::Integer(_) | Self::Bool(_) | Self::Null, _) => false,
        }
    }
}

/// What becomes of a key that no property names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Additional {
    /// Anything may stand there.
    Any,
    /// It is unknown.
    Refused,
    /// Its value follows this rule.
    Rule(RuleId),
}

/// What one schema object asks for.
#[derive(Debug)]
pub struct Rule {
    /// The name of the definition, which says what it is about.
    pub name: Option<String>,
    kinds: Kinds,
    choices: Option<Vec<Literal>>,
    pattern: Option<Regex>,
    length_min: usize,
    length_max: usize,
    minimum: Option<f64>,
    maximum: Option<f64>,
    items: Option<RuleId>,
    items_min: usize,
    items_max: usize,
    properties: BTreeMap<String, RuleId>,
    patterns: Vec<(Regex, RuleId)>,
    additional: Additional,
    names: Option<Regex>,
    required: Vec<String>,
    /// Exactly one of these keys must be there.
    exactly_one: Vec<String>,
    any_of: Vec<RuleId>,
}

/// A fault: what the schema asks for and the tree does not give.
#[derive(Debug)]
pub struct Fault<'a> {
    /// What is wrong.
    pub kind: FaultKind<'a>,
    /// The name of the nearest definition that the value belongs to.
    pub about: &'a str,
    /// The value.
    pub node: &'a Node,
    /// The key of the value, or the unknown key itself.
    pub key: Option<&'a Entry>,
    /// JSON pointer of the value.
    pub pointer: String,
}

/// The ways in which a value can differ from its schema.
#[derive(Debug)]
pub enum FaultKind<'a> {
    /// Another kind of value.
    Kind(Kinds),
    /// Not one of the choices.
    Choice(Vec<&'a Literal>),
    /// A text that does not match the pattern.
    Pattern,
    /// A text shorter than this.
    TooShort(usize),
    /// A text longer than this.
    TooLong(usize),
    /// A number below this.
    BelowMinimum(f64),
    /// A number above this.
    AboveMaximum(f64),
    /// Fewer items than this.
    TooFewItems(usize),
    /// More items than this.
    TooManyItems(usize),
    /// An unknown key; the known ones.
    UnknownKey(Vec<&'a str>),
    /// A key that is no name of the kind asked for.
    KeyName,
    /// A missing key.
    Missing(&'a str),
    /// None, or more than one, of these keys.
    ExactlyOne(&'a [String]),
}

impl Fault<'_> {
    /// Where it stands: an absent value and a map at their key, all else at itself.
    pub fn span(&self) -> Span {
        let at_key = match &self.kind {
            FaultKind::UnknownKey(_)
            | FaultKind::KeyName
            | FaultKind::Missing(_)
            | FaultKind::ExactlyOne(_) => true,
            FaultKind::Kind(_)
            | FaultKind::Choice(_)
            | FaultKind::Pattern
            | FaultKind::TooShort(_)
            | FaultKind::TooLong(_)
            | FaultKind::BelowMinimum(_)
            | FaultKind::AboveMaximum(_)
            | FaultKind::TooFewItems(_)
            | FaultKind::TooManyItems(_) => self.node.span.start == self.node.span.end,
        };
        match self.key {
            Some(entry) if at_key => entry.key_span,
            _ => self.node.span,
        }
    }
}

/// Every fault of a tree, in the order in which they stand.
pub fn check<'a>(rules: &'a Rules, node: &'a Node) -> Vec<Fault<'a>> {
    let mut walk = Walk { rules, path: Vec::new(), about: "", key: None, faults: Vec::new() };
    walk.node(rules.root, node);
    walk.faults
}

struct Walk<'a> {
    rules: &'a Rules,
    path: Vec<Step<'a>>,
    about: &'a str,
    key: Option<&'a Entry>,
    faults: Vec<Fault<'a>>,
}

enum Step<'a> {
    Key(&'a str),
    Index(usize),
}

impl<'a> Walk<'a> {
    fn node(&mut self, id: RuleId, node: &'a Node) {
        let Some(rule) = self.rules.rules.get(id) else { return };
        let outer = self.about;
        if let Some(name) = &rule.name {
            self.about = name;
        }
        let kind = Kinds::of(&node.value);
        if !rule.any_of.is_empty() {
            self.any_of(&rule.any_of, kind, node);
        }
        if !rule.kinds.has(kind) {
            self.fault(FaultKind::Kind(rule.kinds), node);
        } else if rule
            .choices
            .as_ref()
            .is_some_and(|all| !all.iter().any(|one| one.is(&node.value)))
        {
            self.fault(FaultKind::Choice(rule.choices.iter().flatten().collect()), node);
        } else {
            match &node.value {
                Value::Text(text) => self.text(rule, text, node),
                #[expect(clippy::cast_precision_loss, reason = "bounds are far below 2^53")]
                Value::Integer(number) => self.number(rule, *number as f64, node),
                Value::Float(number) => self.number(rule, *number, node),
                Value::List(items) => self.list(rule, items, node),
                Value::Map(entries) => self.map(rule, entries, node),
                Value::Null | Value::Bool(_) => {}
            }
        }
        self.about = outer;
    }

    /// The alternative of the value's kind; among several the one with the fewest faults.
    fn any_of(&mut self, branches: &'a [RuleId], kind: Kinds, node: &'a Node) {
        let rules = self.rules;
        let fits = |id: &&RuleId| rules.kinds_of(**id).has(kind);
        let fitting: Vec<_> = branches.iter().filter(fits).collect();
        if fitting.is_empty() {
            let all = branches.iter().fold(Kinds::NONE, |all, id| all.or(rules.kinds_of(*id)));
            if let Some(name) = branches.iter().find_map(|id| rules.rules[*id].name.as_deref()) {
                self.about = name;
            }
            return self.fault(FaultKind::Kind(all), node);
        }
        let before = self.faults.len();
        let mut best: Option<Vec<Fault<'a>>> = None;
        for id in fitting {
            self.node(*id, node);
            let found = self.faults.split_off(before);
            if best.as_ref().is_none_or(|best| found.len() < best.len()) {
                best = Some(found);
            }
        }
        self.faults.extend(best.unwrap_or_default());
    }

    fn text(&mut self, rule: &'a Rule, text: &str, node: &'a Node) {
        let length = text.chars().count();
        if length < rule.length_min {
            self.fault(FaultKind::TooShort(rule.length_min), node);
        } else if length > rule.length_max {
            self.fault(FaultKind::TooLong(rule.length_max), node);
        } else if rule.pattern.as_ref().is_some_and(|pattern| !pattern.is_match(text)) {
            self.fault(FaultKind::Pattern, node);
        }
    }

    fn number(&mut self, rule: &'a Rule, number: f64, node: &'a Node) {
        if let Some(minimum) = rule.minimum.filter(|minimum| number < *minimum) {
            self.fault(FaultKind::BelowMinimum(minimum), node);
        }
        if let Some(maximum) = rule.maximum.filter(|maximum| number > *maximum) {
            self.fault(FaultKind::AboveMaximum(maximum), node);
        }
    }

    fn list(&mut self, rule: &'a Rule, items: &'a [Node], node: &'a Node) {
        if items.len() < rule.items_min {
            self.fault(FaultKind::TooFewItems(rule.items_min), node);
        } else if items.len() > rule.items_max {
            self.fault(FaultKind::TooManyItems(rule.items_max), node);
        }
        let Some(item_rule) = rule.items else { return };
        let key = self.key.take();
        for (at, item) in items.iter().enumerate() {
            self.path.push(Step::Index(at));
            self.node(item_rule, item);
            self.path.pop();
        }
        self.key = key;
    }

    fn map(&mut self, rule: &'a Rule, entries: &'a [Entry], node: &'a Node) {
        for missing in &rule.required {
            if !entries.iter().any(|entry| entry.key == *missing) {
                self.fault(FaultKind::Missing(missing), node);
            }
        }
        if !rule.exactly_one.is_empty() {
            let present = |key: &&String| entries.iter().any(|entry| entry.key == **key);
            if rule.exactly_one.iter().filter(present).count() != 1 {
                self.fault(FaultKind::ExactlyOne(&rule.exactly_one), node);
            }
        }
        for entry in entries {
            let outer = self.key.replace(entry);
            self.path.push(Step::Key(&entry.key));
            self.entry(rule, entry);
            self.path.pop();
            self.key = outer;
        }
    }

    fn entry(&mut self, rule: &'a Rule, entry: &'a Entry) {
        if rule.names.as_ref().is_some_and(|names| !names.is_match(&entry.key)) {
            self.fault(FaultKind::KeyName, &entry.node);
        }
        let patterned = rule.patterns.iter().find(|(pattern, _)| pattern.is_match(&entry.key));
        let named = rule.properties.get(&entry.key).or(patterned.map(|(_, id)| id));
        match (named, rule.additional) {
            (Some(id), _) => self.node(*id, &entry.node),
            (None, Additional::Rule(id)) => self.node(id, &entry.node),
            (None, Additional::Refused) => {
                let known = rule.properties.keys().map(String::as_str).collect();
                self.fault(FaultKind::UnknownKey(known), &entry.node);
            }
            (None, Additional::Any) => {}
        }
    }

    fn fault(&mut self, kind: FaultKind<'a>, node: &'a Node) {
        if self.faults.len() >= FAULTS_MAX {
            return;
        }
        let mut pointer = String::new();
        for step in &self.path {
            pointer.push('/');
            match step {
                Step::Key(key) => pointer.push_str(&key.replace('~', "~0").replace('/', "~1")),
                Step::Index(at) => pointer.push_str(&at.to_string()),
            }
        }
        self.faults.push(Fault { kind, about: self.about, node, key: self.key, pointer });
    }
}

impl Rules {
    /// The kinds that a rule allows, alternatives included.
    fn kinds_of(&self, id: RuleId) -> Kinds {
        let Some(rule) = self.rules.get(id) else { return Kinds::NONE };
        if rule.any_of.is_empty() {
            return rule.kinds;
        }
        rule.any_of.iter().fold(Kinds::NONE, |all, id| all.or(self.kinds_of(*id)))
    }
}
