//! A JSON Schema, as `spec::schema` generates it, into the rules that `check` walks.
//!
//! Only the keywords that our types produce are known; any other is an error, found by a test, so
//! that the schema never asks for something that nobody looks at.

use std::collections::BTreeMap;

use regex::Regex;
use serde_json::{Map, Value};

use crate::spec::manifest::check::{Additional, Kinds, Literal, Rule, RuleId, Rules};

/// Keywords that ask for nothing.
const ANNOTATIONS: [&str; 7] =
    ["$schema", "$id", "$defs", "title", "description", "examples", "default"];

/// Why a schema cannot be compiled: a mistake in this program.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the schema cannot be used: {0}")]
pub struct CompileError(String);

impl Rules {
    /// Compiles a schema.
    pub fn compile(schema: &Value) -> Result<Self, CompileError> {
        let definitions = schema.get("$defs").and_then(Value::as_object);
        let mut compiler = Compiler { definitions, rules: Vec::new(), known: BTreeMap::new() };
        let name = schema.get("title").and_then(Value::as_str);
        let root = compiler.rule(schema, name)?;
        Ok(Self { rules: compiler.rules, root })
    }
}

struct Compiler<'s> {
    definitions: Option<&'s Map<String, Value>>,
    rules: Vec<Rule>,
    known: BTreeMap<String, RuleId>,
}

impl Compiler<'_> {
    fn rule(&mut self, schema: &Value, name: Option<&str>) -> Result<RuleId, CompileError> {
        let id = self.rules.len();
        self.rules.push(Rule::any(name));
        let map = match schema {
            Value::Bool(true) => return Ok(id),
            Value::Object(map) => map,
            Value::Null
            | Value::Bool(false)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_) => return Err(CompileError(format!("`{schema}` is no schema"))),
        };
        if let Some(target) = map.get("$ref") {
            if map.keys().any(|key| key != "$ref" && !ANNOTATIONS.contains(&key.as_str())) {
                return Err(CompileError(format!("`$ref` beside other keywords: {schema}")));
            }
            return self.reference(target);
        }
        let mut rule = Rule::any(name);
        for (key, value) in map {
            self.keyword(&mut rule, key, value)?;
        }
        self.rules[id] = rule;
        Ok(id)
    }

    fn reference(&mut self, target: &Value) -> Result<RuleId, CompileError> {
        let name = target.as_str().and_then(|path| path.strip_prefix("#/$defs/"));
        let name = name.ok_or_else(|| CompileError(format!("`$ref` {target}")))?;
        if let Some(id) = self.known.get(name) {
            return Ok(*id);
        }
        let definition = self.definitions.and_then(|all| all.get(name));
        let definition = definition.ok_or_else(|| CompileError(format!("no `{name}`")))?.clone();
        // Known before it is compiled: a definition may contain itself.
        self.known.insert(name.to_owned(), self.rules.len());
        self.rule(&definition, Some(name))
    }

    fn keyword(&mut self, rule: &mut Rule, key: &str, value: &Value) -> Result<(), CompileError> {
        match key {
            "type" => rule.kinds = kinds(value)?,
            "const" => rule.choices = Some(vec![literal(value)?]),
            "enum" => {
                let all = list(value)?.iter().map(literal);
                rule.choices = Some(all.collect::<Result<_, _>>()?);
            }
            "pattern" => rule.pattern = Some(pattern(value)?),
            "minLength" => rule.length_min = count(value)?,
            "maxLength" => rule.length_max = count(value)?,
            "minimum" => rule.minimum = value.as_f64(),
            "maximum" => rule.maximum = value.as_f64(),
            "items" => rule.items = Some(self.rule(value, None)?),
            "minItems" => rule.items_min = count(value)?,
            "maxItems" => rule.items_max = count(value)?,
            "required" => rule.required = texts(value)?,
            "properties" => {
                for (name, property) in object(value)? {
                    let id = self.rule(property, None)?;
                    rule.properties.insert(name.clone(), id);
                }
            }
            "patternProperties" => {
                for (name, property) in object(value)? {
                    let id = self.rule(property, None)?;
                    rule.patterns.push((pattern(&name.as_str().into())?, id));
                }
            }
            "additionalProperties" => {
                rule.additional = if *value == Value::Bool(false) {
                    Additional::Refused
                } else {
                    Additional::Rule(self.rule(value, None)?)
                };
            }
            "propertyNames" => {
                let names =
                    value.get("pattern").filter(|_| object(value).is_ok_and(|map| map.len() == 1));
                let names =
                    names.ok_or_else(|| CompileError(format!("`propertyNames` {value}")))?;
                rule.names = Some(pattern(names)?);
            }
            "anyOf" => {
                for branch in list(value)? {
                    let id = self.rule(branch, None)?;
                    rule.any_of.push(id);
                }
            }
            "oneOf" => one_of(rule, list(value)?)?,
            annotation if ANNOTATIONS.contains(&annotation) => {}
            other => return Err(CompileError(format!("unknown keyword `{other}`"))),
        }
        Ok(())
    }
}

/// `oneOf` is used in two ways only: a set of described words, and "exactly one of these keys".
fn one_of(rule: &mut Rule, branches: &[Value]) -> Result<(), CompileError> {
    let constants: Option<Vec<_>> = branches.iter().map(|branch| branch.get("const")).collect();
    if let Some(constants) = constants {
        rule.choices = Some(constants.into_iter().map(literal).collect::<Result<_, _>>()?);
        rule.kinds = branches.iter().try_fold(Kinds::NONE, |all, branch| {
            branch.get("type").map_or(Ok(Kinds::ANY), kinds).map(|some| all.or(some))
        })?;
        return Ok(());
    }
    for branch in branches {
        let keys =
            branch.get("required").filter(|_| object(branch).is_ok_and(|map| map.len() == 1));
        let keys = keys.ok_or_else(|| CompileError(format!("`oneOf` {branch}")))?;
        rule.exactly_one.extend(texts(keys)?);
    }
    Ok(())
}

impl Rule {
    fn any(name: Option<&str>) -> Self {
        Self {
            name: name.map(str::to_owned),
            kinds: Kinds::ANY,
            choices: None,
            pattern: None,
            length_min: 0,
            length_max: usize::MAX,
            minimum: None,
            maximum: None,
            items: None,
            items_min: 0,
            items_max: usize::MAX,
            properties: BTreeMap::new(),
            patterns: Vec::new(),
            additional: Additional::Any,
            names: None,
            required: Vec::new(),
            exactly_one: Vec::new(),
            any_of: Vec::new(),
        }
    }
}

fn kinds(value: &Value) -> Result<Kinds, CompileError> {
    let one = |word: &Value| match word.as_str() {
        Some("null") => Ok(Kinds::NULL),
        Some("boolean") => Ok(Kinds::BOOLEAN),
        Some("integer") => Ok(Kinds::INTEGER),
        Some("number") => Ok(Kinds::NUMBER),
        Some("string") => Ok(Kinds::TEXT),
        Some("array") => Ok(Kinds::LIST),
        Some("object") => Ok(Kinds::MAP),
        _ => Err(CompileError(format!("unknown type {word}"))),
    };
    match value.as_array() {
        None => one(value),
        Some(words) => {
            words.iter().try_fold(Kinds::NONE, |all, word| one(word).map(|kind| all.or(kind)))
        }
    }
}

fn literal(value: &Value) -> Result<Literal, CompileError> {
    match value {
        Value::String(text) => Ok(Literal::Text(text.clone())),
        Value::Bool(truth) => Ok(Literal::Bool(*truth)),
        Value::Null => Ok(Literal::Null),
        Value::Number(number) if number.is_i64() => {
            Ok(Literal::Integer(number.as_i64().unwrap_or_default()))
        }
        Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            Err(CompileError(format!("constant {value}")))
        }
    }
}

fn pattern(value: &Value) -> Result<Regex, CompileError> {
    let text = value.as_str().ok_or_else(|| CompileError(format!("pattern {value}")))?;
    Regex::new(text).map_err(|error| CompileError(format!("pattern `{text}`: {error}")))
}

fn count(value: &Value) -> Result<usize, CompileError> {
    let count = value.as_u64().and_then(|count| usize::try_from(count).ok());
    count.ok_or_else(|| CompileError(format!("count {value}")))
}

fn object(value: &Value) -> Result<&Map<String, Value>, CompileError> {
    value.as_object().ok_or_else(|| CompileError(format!("`{value}` is no object")))
}

fn list(value: &Value) -> Result<&[Value], CompileError> {
    let list = value.as_array().map(Vec::as_slice);
    list.ok_or_else(|| CompileError(format!("`{value}` is no list")))
}

fn texts(value: &Value) -> Result<Vec<String>, CompileError> {
    let text = |item: &Value| {
        item.as_str().map(str::to_owned).ok_or_else(|| CompileError(format!("`{item}` is no text")))
    };
    list(value)?.iter().map(text).collect()
}
