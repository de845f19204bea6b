//! The task of a job: `class`, as a text or as parts.

use std::ops::Range;

use serde_json::Value;

use crate::diagnostic::{Diagnostic, codes, quoted};
use crate::spec::manifest::lower::site::Site;
use crate::spec::manifest::lower::task::refuse_template;
use crate::spec::manifest::raw::{RawClass, RawClassParts};
use crate::spec::task::Task;
use crate::spec::task::call::{Argument, Call, CallError, PlacedCall, Runtime};
use crate::spec::task::classes::Classes;
use crate::spec::task::signature::Part;

/// A call; `site` is the value of `class`. Whether there is such a class is [`check`]'s.
pub fn read(raw: &RawClass, site: &Site<'_>, out: &mut Vec<Diagnostic>) -> Option<Task> {
    match raw {
        RawClass::Call(text) => {
            if refuse_template(text, site, out) {
                return None;
            }
            let call = Call::parse(text).map_err(|error| {
                let before = text.get(..error.at.start).unwrap_or_default();
                let column = format!("column {} of the call", before.chars().count() + 1);
                let site = site.clone().part(error.at.clone());
                out.push(complaint(&site, error).label(column));
            });
            Some(Task::Class { call: call.ok()?, runtime: None })
        }
        RawClass::Parts(parts) => {
            let before = out.len();
            refuse_templates(parts, site, out);
            if out.len() > before {
                return None;
            }
            let call = call_of(parts)
                .map_err(|error| out.push(complaint(&site.child("path"), error)))
                .ok()?;
            Some(Task::Class { call, runtime: parts.runtime })
        }
    }
}

fn complaint(site: &Site<'_>, error: CallError) -> Diagnostic {
    let message = format!("cannot read this call: {}", error.message);
    let mut diagnostic = site.diagnostic(codes::BAD_CALL, message);
    diagnostic.help = error.help.map(str::to_owned);
    diagnostic
}

/// The call of its parts: what its text cannot say is refused as in a text.
fn call_of(parts: &RawClassParts) -> Result<Call, CallError> {
    let argument = |(name, value): (&String, &Value)| (name.clone(), Argument::of_json(value));
    let call = Call {
        path: parts.path.clone(),
        args: parts.args.iter().map(Argument::of_json).collect(),
        kwargs: parts.kwargs.iter().map(argument).collect(),
    };
    Call::parse(&call.to_string())
}

fn refuse_templates(parts: &RawClassParts, site: &Site<'_>, out: &mut Vec<Diagnostic>) {
    let args = site.child("args");
    for (index, value) in parts.args.iter().enumerate() {
        refuse_in(value, &args.item(index), out);
    }
    let kwargs = site.child("kwargs");
    for (name, value) in &parts.kwargs {
        refuse_in(value, &kwargs.child(name), out);
    }
}

fn refuse_in(value: &Value, site: &Site<'_>, out: &mut Vec<Diagnostic>) {
    match value {
        Value::String(text) => {
            refuse_template(text, site, out);
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                refuse_in(item, &site.item(index), out);
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                refuse_in(field, &site.child(name), out);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Whether a call, which is sound, leads to a class and fits it; `site` is the value of `class`.
pub fn check(raw: &RawClass, classes: &Classes, site: &Site<'_>, out: &mut Vec<Diagnostic>) {
    match raw {
        RawClass::Call(text) => {
            let Ok(placed) = Call::parse_placed(text) else { return };
            let site = |part| site.clone().part(range_of(&placed, part));
            check_call(&placed.call, classes, None, &site, out);
        }
        RawClass::Parts(parts) => {
            let Ok(call) = call_of(parts) else { return };
            let site = |part| match part {
                Part::Path => site.child("path"),
                Part::Position(index) => site.child("args").item(index),
                Part::Named(index) => match call.kwargs.get(index) {
                    Some((name, _)) => site.child("kwargs").child(name),
                    None => site.clone(),
                },
            };
            check_call(&call, classes, parts.runtime, &site, out);
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
