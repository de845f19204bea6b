//! The task of a job: `class`, as a text or as parts.

use std::ops::Range;

use crate::diagnostic::{Diagnostic, codes, quoted};
use crate::spec::manifest::lower::site::Site;
use crate::spec::manifest::lower::templates::{Audience, Sources};
use crate::spec::manifest::node::{Entry, Node, Value};
use crate::spec::manifest::raw::RawClass;
use crate::spec::params::{ParamKind, Params};
use crate::spec::task::Task;
use crate::spec::task::call::{Argument, Call, CallError, Filling, PlacedCall, Runtime};
use crate::spec::task::classes::{Classes, Taker};
use crate::spec::task::signature::Part;
use crate::spec::task::template::{Namespace, Template};

/// A call; `site` is the value of `class`. Whether there is such a class is [`check`]'s.
pub fn read(
    raw: &RawClass,
    sources: Sources<'_>,
    site: &Site<'_>,
    out: &mut Vec<Diagnostic>,
) -> Option<Task> {
    match raw {
        RawClass::Call(text) => {
            sources.check(text, Audience::Task, site, out);
            let call = Call::parse(text).map_err(|error| {
                let before = text.get(..error.at.start).unwrap_or_default();
                let column = format!("column {} of the call", before.chars().count() + 1);
                let site = site.clone().part(error.at.clone());
                out.push(complaint(&site, &error).label(column));
            });
            Some(Task::Class { call: call.ok()?, runtime: None })
        }
        RawClass::Parts(parts) => {
            check_templates(sources, site, out);
            if !Call::is_path(&parts.path) {
                let message = format!("{} is no path of a class", quoted(&parts.path));
                let help = "names with dots between them, 255 bytes at most; the arguments stand in `args`";
                out.push(site.child("path").diagnostic(codes::BAD_CALL, message).help(help));
                return None;
            }
            let call = call_of(site)
                .map_err(|error| out.push(complaint(&site.child("path"), &error)))
                .ok()?;
            Some(Task::Class { call, runtime: parts.runtime })
        }
    }
}

fn complaint(site: &Site<'_>, error: &CallError) -> Diagnostic {
    let message = format!("cannot read this call: {}", error.message);
    let mut diagnostic = site.diagnostic(codes::BAD_CALL, message);
    diagnostic.help = error.help.map(str::to_owned);
    diagnostic
}

/// The call of its parts, of which `site` is the map: what its text cannot say is refused as in a text.
fn call_of(site: &Site<'_>) -> Result<Call, CallError> {
    let part = |key: &str| site.node().get(key);
    let call = Call {
        path: part("path").and_then(Node::text).unwrap_or_default().to_owned(),
        args: part("args").map(Node::items).unwrap_or_default().iter().map(argument_of).collect(),
        kwargs: arguments_of(part("kwargs").map(Node::entries).unwrap_or_default()),
    };
    Call::parse(&call.to_string())
}

/// Read from the tree, which still tells `2.0` from `2`.
fn argument_of(node: &Node) -> Argument {
    match &node.value {
        Value::Null => Argument::None,
        Value::Bool(value) => Argument::Bool(*value),
        Value::Integer(number) => Argument::Integer(i128::from(*number)),
        Value::Float(number) => Argument::Float(*number),
        Value::Text(text) => Argument::Text(text.clone()),
        Value::List(items) => Argument::List(items.iter().map(argument_of).collect()),
        Value::Map(entries) => Argument::Map(arguments_of(entries)),
    }
}

fn arguments_of(entries: &[Entry]) -> Vec<(String, Argument)> {
    entries.iter().map(|entry| (entry.key.clone(), argument_of(&entry.node))).collect()
}

fn check_templates(sources: Sources<'_>, site: &Site<'_>, out: &mut Vec<Diagnostic>) {
    if let Some(text) = site.node().text() {
        sources.check(text, Audience::Task, site, out);
    }
    for index in 0..site.node().items().len() {
        check_templates(sources, &site.item(index), out);
    }
    for entry in site.node().entries() {
        check_templates(sources, &site.child(&entry.key), out);
    }
}

/// A call as it may look when its parameters are filled in: whether the class takes it is the same for all values of
/// a parameter's kind. All else is text.
fn example_of(call: &Call, params: &Params) -> Call {
    let fill = |found: &Template<'_>| {
        let param = match found.namespace {
            Namespace::Params => params.declared.get(found.name),
            Namespace::Secrets | Namespace::Env | Namespace::Execution => None,
        };
        let kind = param.map(|param| &param.kind);
        let written = || format!("${{{}.{}}}", found.namespace.as_str(), found.name);
        let text = kind.map_or_else(written, ParamKind::example);
        Some(Filling { text, kind })
    };
    call.filled(fill).unwrap_or_else(|_| call.clone())
}

/// Whether a call, which is sound, leads to a class and fits it; `site` is the value of `class`.
pub fn check(
    raw: &RawClass,
    params: &Params,
    classes: &Classes,
    site: &Site<'_>,
    out: &mut Vec<Diagnostic>,
) {
    match raw {
        RawClass::Call(text) => {
            let Ok(placed) = Call::parse_placed(text) else { return };
            let site = |part| site.clone().part(range_of(&placed, part));
            check_call(&example_of(&placed.call, params), classes, None, &site, out);
        }
        RawClass::Parts(parts) => {
            let Ok(call) = call_of(site) else { return };
            let site = |part| match part {
                Part::Path => site.child("path"),
                Part::Position(index) => site.child("args").item(index),
                Part::Named(index) => match call.kwargs.get(index) {
                    Some((name, _)) => site.child("kwargs").child(name),
                    None => site.clone(),
                },
            };
            check_call(&example_of(&call, params), classes, parts.runtime, &site, out);
        }
    }
}

/// Whether a call leads to a handler of this program.
pub fn is_compiled(raw: &RawClass, classes: &Classes) -> bool {
    let (path, runtime) = match raw {
        RawClass::Call(text) => {
            (Call::parse_placed(text).ok().map(|placed| placed.call.path), None)
        }
        RawClass::Parts(parts) => (Some(parts.path.clone()), parts.runtime),
    };
    path.is_some_and(|path| matches!(classes.find(&path, runtime), Ok(Taker::Compiled(_))))
}

/// What cannot hold for a handler of this program, which runs in the daemon: limits of its share of that, and a user.
pub fn refuse_of_process(job: &Node, site: &Site<'_>, out: &mut Vec<Diagnostic>) {
    let mut refuse = |place: Site<'_>, name: &str| {
        let message =
            format!("`{name}` cannot hold for a handler, which runs in the daemon itself");
        let help = "remove it, or do the work in a `command`";
        out.push(place.diagnostic(codes::IDLE_FIELD, message).help(help));
    };
    if job.get("user").is_some() {
        refuse(site.key("user"), "user");
    }
    let limits = site.child("limits");
    for key in ["cpu", "memory", "pids"] {
        if job.get("limits").is_some_and(|limits| limits.get(key).is_some()) {
            refuse(limits.key(key), &format!("limits.{key}"));
        }
    }
}

fn check_call<'s>(
    call: &Call,
    classes: &Classes,
    runtime: Option<Runtime>,
    site: &dyn Fn(Part) -> Site<'s>,
    out: &mut Vec<Diagnostic>,
) {
    match classes.find(&call.path, runtime) {
        Err(no) => {
            let site = site(Part::Path);
            out.push(site.diagnostic(codes::UNKNOWN_CLASS, no.message).help(no.help));
        }
        Ok(taker) => {
            let Err(misfit) = taker.check(call) else { return };
            let message = format!("{} cannot be called so: {misfit}", quoted(&call.path));
            out.push(site(misfit.part).diagnostic(codes::BAD_ARGUMENT, message));
        }
    }
}

fn range_of(placed: &PlacedCall, part: Part) -> Range<usize> {
    let place = match part {
        Part::Path => None,
        Part::Position(index) => placed.args.get(index),
        Part::Named(index) => placed.kwargs.get(index),
    };
    place.unwrap_or(&placed.path).clone()
}
