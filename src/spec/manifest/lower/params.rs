//! Parameters: from what is written to which values each execution may be given.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::diagnostic::{Diagnostic, codes, quoted};
use crate::spec::manifest::lower::site::Site;
use crate::spec::manifest::raw::{RawParam, RawParamKind, RawParamValues, RawParams};
use crate::spec::params::{
    Absent, PARAM_PREFIX, PARAMS_MAX, Param, ParamError, ParamKind, ParamValues, Params, Pattern,
    variable_of,
};
use crate::spec::trigger::Trigger;
use crate::time::Zone;

/// The whole numbers that a number of the grammar can tell from each other.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// The parameters of a job, of which `site` is the map; one with a mistake is left out.
pub fn read(raw: RawParams, zone: &Zone, site: &Site<'_>, out: &mut Vec<Diagnostic>) -> Params {
    let site = &site.child("params");
    if raw.0.len() > PARAMS_MAX {
        let message = format!("these are {} parameters, more than {PARAMS_MAX}", raw.0.len());
        out.push(site.diagnostic(codes::BAD_PARAM, message));
    }
    let declared = raw.0.into_iter().filter_map(|(name, raw)| {
        let param = read_one(raw, &site.child(&name), out)?;
        Some((name, param))
    });
    let params = Params { declared: declared.collect(), zone: zone.clone() };
    // Where nothing depends on it, it is not kept.
    if params.counts_days() { params } else { Params { zone: Zone::utc(), ..params } }
}

fn read_one(raw: RawParam, site: &Site<'_>, out: &mut Vec<Diagnostic>) -> Option<Param> {
    let kind = read_kind(&raw, site, out)?;
    let absent = match (raw.default, raw.required) {
        (Some(_), Some(_)) => {
            let message = "`required` does nothing beside `default`";
            out.push(site.key("required").diagnostic(codes::IDLE_FIELD, message).help("remove it"));
            return None;
        }
        (Some(value), None) => match kind.check(&value.0) {
            Ok(text) => Absent::Default(text),
            Err(why) => {
                let message = format!("this default {why}");
                out.push(site.child("default").diagnostic(codes::BAD_PARAM, message));
                return None;
            }
        },
        (None, Some(false)) => Absent::Allowed,
        (None, Some(true) | None) => Absent::Refused,
    };
    Some(Param { kind, absent, description: raw.description })
}

fn read_kind(raw: &RawParam, site: &Site<'_>, out: &mut Vec<Diagnostic>) -> Option<ParamKind> {
    refuse_idle(raw, site, out)?;
    match raw.kind {
        RawParamKind::String => {
            let Some(text) = &raw.pattern else { return Some(ParamKind::String { pattern: None }) };
            let pattern = Pattern::parse(text).map_err(|why| {
                let message = format!("{} is no regular expression: {why}", quoted(text));
                out.push(site.child("pattern").diagnostic(codes::BAD_PARAM, message));
            });
            Some(ParamKind::String { pattern: Some(pattern.ok()?) })
        }
        RawParamKind::Integer => {
            let min = whole(raw.min, "min", site, out)?;
            let max = whole(raw.max, "max", site, out)?;
            ordered(raw, site, out).map(|()| ParamKind::Integer { min, max })
        }
        RawParamKind::Number => {
            // There is one zero.
            let bound = |bound: Option<f64>| bound.map(|bound| bound + 0.0);
            let (min, max) = (bound(raw.min), bound(raw.max));
            ordered(raw, site, out).map(|()| ParamKind::Number { min, max })
        }
        RawParamKind::Boolean => Some(ParamKind::Boolean),
        RawParamKind::Date => Some(ParamKind::Date),
        RawParamKind::Choice => {
            let Some(options) = &raw.options else {
                let message = "a `choice` needs `options`";
                out.push(site.child("type").diagnostic(codes::BAD_PARAM, message));
                return None;
            };
            Some(ParamKind::Choice { options: options.clone() })
        }
    }
}

/// Bounds that mean nothing for this kind.
fn refuse_idle(raw: &RawParam, site: &Site<'_>, out: &mut Vec<Diagnostic>) -> Option<()> {
    let takes: &[&str] = match raw.kind {
        RawParamKind::String => &["pattern"],
        RawParamKind::Integer | RawParamKind::Number => &["min", "max"],
        RawParamKind::Choice => &["options"],
        RawParamKind::Boolean | RawParamKind::Date => &[],
    };
    let given = [
        ("min", raw.min.is_some()),
        ("max", raw.max.is_some()),
        ("pattern", raw.pattern.is_some()),
        ("options", raw.options.is_some()),
    ];
    let idle = given.iter().find(|(key, is_given)| *is_given && !takes.contains(key));
    let Some((key, _)) = idle else { return Some(()) };
    let message = format!("`{key}` does nothing with this `type`");
    out.push(site.key(key).diagnostic(codes::IDLE_FIELD, message).help("remove it"));
    None
}

/// A bound of whole numbers; the outer `None` is a mistake.
#[expect(clippy::option_option, reason = "a mistake is told from what is not written")]
fn whole(
    bound: Option<f64>,
    key: &str,
    site: &Site<'_>,
    out: &mut Vec<Diagnostic>,
) -> Option<Option<i64>> {
    let Some(bound) = bound else { return Some(None) };
    if bound.fract() == 0.0 && bound.abs() <= EXACT_MAX {
        #[expect(clippy::cast_possible_truncation, reason = "whole, and far inside of it")]
        return Some(Some(bound as i64));
    }
    let message = "this bound is no whole number between -2^53 and 2^53";
    out.push(site.child(key).diagnostic(codes::BAD_PARAM, message));
    None
}

fn ordered(raw: &RawParam, site: &Site<'_>, out: &mut Vec<Diagnostic>) -> Option<()> {
    match (raw.min, raw.max) {
        (Some(min), Some(max)) if min > max => {
            let message = "nothing lies between this `min` and its `max`";
            out.push(site.child("min").diagnostic(codes::BAD_PARAM, message));
            None
        }
        (Some(_) | None, Some(_) | None) => Some(()),
    }
}

/// The values that a trigger gives; `site` is their map.
pub fn read_values(
    raw: &RawParamValues,
    params: &Params,
    site: &Site<'_>,
    out: &mut Vec<Diagnostic>,
) -> ParamValues {
    let mut values = ParamValues::new();
    for (name, value) in &raw.0 {
        let one: BTreeMap<String, Value> = [(name.clone(), value.0.clone())].into();
        match params.check(&one) {
            Ok(checked) => values.extend(checked),
            Err(ParamError::Unknown { near, .. }) => {
                let message = format!("this job has no parameter {}", quoted(name));
                let diagnostic = site.key(name).diagnostic(codes::BAD_PARAM, message);
                out.push(match near {
                    Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
                    None => diagnostic.help("declare it in its `params`"),
                });
            }
            Err(ParamError::Misvalue { why, .. }) => {
                out.push(
                    site.child(name).diagnostic(codes::BAD_PARAM, format!("this value {why}")),
                );
            }
            // Not looked at there.
            Err(ParamError::Missing { .. }) => {}
        }
    }
    values
}

/// What is due on its own must find a value for each parameter. `site` is the job, `at` says where a trigger
/// stands.
pub fn check_complete(
    params: &Params,
    triggers: &[Trigger],
    site: &Site<'_>,
    out: &mut Vec<Diagnostic>,
) {
    for trigger in triggers {
        let Some(ParamError::Missing { name }) = params.missing(&trigger.params) else { continue };
        let message = format!(
            "the parameter {} has no default, and a trigger of this job gives it no value",
            quoted(&name)
        );
        let help = "add a `default`, or `params` to each of the `triggers`, or `required: false`";
        let place = site.child("params").key(&name);
        out.push(place.diagnostic(codes::BAD_PARAM, message).help(help));
        return;
    }
}

/// Variables that a job sets itself although they are those of its parameters. `names` are the variables, `site` is
/// their map.
pub fn refuse_taken<'n>(
    params: &Params,
    names: impl Iterator<Item = &'n String>,
    site: &Site<'_>,
    out: &mut Vec<Diagnostic>,
) {
    let taken: Vec<String> = params.declared.keys().map(|name| variable_of(name)).collect();
    for name in names.filter(|name| name.starts_with(PARAM_PREFIX) && taken.contains(name)) {
        let message = format!("{} holds a parameter of this job", quoted(name));
        out.push(site.key(name).diagnostic(codes::BAD_PARAM, message).help("remove it here"));
    }
}
