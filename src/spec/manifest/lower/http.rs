//! HTTP calls: from what is written to the call.

use std::collections::BTreeMap;

use serde_json::Value;
use url::Url;

use crate::diagnostic::{Diagnostic, codes, quoted};
use crate::spec::manifest::lower::site::Site;
use crate::spec::manifest::raw::{RawHeaders, RawHttp};
use crate::spec::manifest::rules::environment::{TEXT_BYTES_MAX, looks_secret};
use crate::spec::secret::SecretSource;
use crate::spec::task::http::{Expected, HttpCall, MAX_REDIRECTS, Method};
use crate::spec::task::template::{self, EXECUTION_FACTS, Namespace};

/// Header fields that the daemon writes itself, or that belong to the connection.
const OWN_HEADERS: [&str; 9] = [
    "connection",
    "content-length",
    "cronwright-fence",
    "host",
    "idempotency-key",
    "te",
    "traceparent",
    "transfer-encoding",
    "upgrade",
];

/// The secrets of the job, by name.
type Secrets = BTreeMap<String, SecretSource>;

/// The call; none when there is an error, which has been pushed. `site` is the value of `http`.
pub fn read(
    raw: &RawHttp,
    secrets: &Secrets,
    site: &Site<'_>,
    out: &mut Vec<Diagnostic>,
) -> Option<HttpCall> {
    let before = out.len();
    check_url(&raw.url, secrets, &site.child("url"), out);
    let headers = read_headers(raw.headers.as_ref(), secrets, &site.child("headers"), out);
    if let Some(json) = &raw.json {
        check_json(json, secrets, &site.child("json"), out);
    }
    if let Some(body) = &raw.body {
        check_templates(body, secrets, &site.child("body"), out);
    }
    if raw.json.is_some() && raw.body.is_some() {
        let message = "a call sends `json` or `body`, not both";
        out.push(site.key("body").diagnostic(codes::BAD_HTTP, message).help("remove one of them"));
    }
    let sends = raw.json.is_some() || raw.body.is_some();
    let method = raw.method.unwrap_or(if sends { Method::Post } else { Method::Get });
    if sends && method == Method::Head {
        let message = "a HEAD call sends nothing";
        out.push(site.child("method").diagnostic(codes::BAD_HTTP, message));
    }
    let call = HttpCall {
        method,
        url: raw.url.clone(),
        headers,
        json: raw.json.clone(),
        body: raw.body.clone(),
        expect: Expected {
            // The schema has seen to it that they are status codes.
            status: raw
                .expect
                .iter()
                .flat_map(|expected| &expected.status)
                .filter_map(|status| u16::try_from(*status).ok())
                .collect(),
        },
        max_redirects: raw.max_redirects.unwrap_or(MAX_REDIRECTS),
    };
    refuse_size(&call, site, out);
    let faulty = out.iter().skip(before).any(Diagnostic::is_error);
    (!faulty).then_some(call)
}

fn check_url(text: &str, secrets: &Secrets, site: &Site<'_>, out: &mut Vec<Diagnostic>) {
    check_templates(text, secrets, site, out);
    // What is filled in is percent-encoded, and cannot change what the parts are.
    let example = template::expand(text, |_| Some("x".to_owned())).unwrap_or_default();
    match Url::parse(&example) {
        Err(error) => {
            let message = format!("this is no address of a web server: {error}");
            out.push(site.diagnostic(codes::BAD_HTTP, message));
        }
        Ok(url) if url.password().is_some() || !url.username().is_empty() => {
            let message = "a user or password in an address stands there for everyone to read";
            let help = "send them in a header field";
            out.push(site.diagnostic(codes::BAD_HTTP, message).help(help));
        }
        Ok(_) => {}
    }
}

fn read_headers(
    raw: Option<&RawHeaders>,
    secrets: &Secrets,
    site: &Site<'_>,
    out: &mut Vec<Diagnostic>,
) -> BTreeMap<String, String> {
    let mut headers = BTreeMap::new();
    let mut names: BTreeMap<String, &str> = BTreeMap::new();
    for (name, value) in raw.iter().flat_map(|raw| &raw.0) {
        check_templates(&value.0, secrets, &site.child(name), out);
        let lower = name.to_ascii_lowercase();
        if OWN_HEADERS.contains(&lower.as_str()) {
            let message = format!("{} is written by the daemon or the connection", quoted(name));
            out.push(site.key(name).diagnostic(codes::BAD_HTTP, message).help("remove it"));
        }
        if let Some(other) = names.insert(lower, name) {
            let message = format!("{} is the same header field as {}", quoted(name), quoted(other));
            out.push(site.key(name).diagnostic(codes::BAD_HTTP, message).help("keep one of them"));
        }
        let is_login = name.eq_ignore_ascii_case("authorization") && !value.0.contains("${");
        if is_login || looks_secret(name, &value.0) {
            let message = format!(
                "{} looks like a secret, and stands here for everyone to read",
                quoted(name)
            );
            out.push(site.key(name).diagnostic(codes::SECRET_LITERAL, message));
        }
        headers.insert(name.clone(), value.0.clone());
    }
    headers
}

fn check_json(value: &Value, secrets: &Secrets, site: &Site<'_>, out: &mut Vec<Diagnostic>) {
    match value {
        Value::String(text) => check_templates(text, secrets, site, out),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                check_json(item, secrets, &site.item(index), out);
            }
        }
        Value::Object(fields) => {
            for (key, field) in fields {
                check_json(field, secrets, &site.child(key), out);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn check_templates(text: &str, secrets: &Secrets, site: &Site<'_>, out: &mut Vec<Diagnostic>) {
    for found in template::templates(text) {
        let place = site.clone().part(found.place.clone());
        let name = quoted(found.name);
        match (found.namespace, found.variable()) {
            (Namespace::Execution, None) => {
                let names: Vec<_> =
                    EXECUTION_FACTS.iter().map(|(name, _)| format!("`{name}`")).collect();
                let message = format!("an execution has no {name}");
                let help = format!("known here: {}", names.join(", "));
                out.push(place.diagnostic(codes::TEMPLATE, message).help(help));
            }
            (Namespace::Secrets, Some(variable)) if !secrets.contains_key(variable) => {
                let message = format!("this job has no secret {name}");
                let help = "declare it in its `secrets`";
                out.push(place.diagnostic(codes::TEMPLATE, message).help(help));
            }
            (Namespace::Params, None) => {
                let message = "`${params.…}` is not supported yet";
                out.push(place.diagnostic(codes::TEMPLATE, message));
            }
            (_, Some(_)) | (Namespace::Secrets | Namespace::Env, None) => {}
        }
    }
}

/// The call is one variable in the environment of the process that makes it.
fn refuse_size(call: &HttpCall, site: &Site<'_>, out: &mut Vec<Diagnostic>) {
    let bytes = serde_json::to_string(call).map_or(0, |text| text.len());
    if bytes > TEXT_BYTES_MAX / 2 {
        let message = format!("this call is {bytes} bytes, more than {}", TEXT_BYTES_MAX / 2);
        let help = "send large bodies with a script, from a file";
        out.push(site.diagnostic(codes::ENV_TOO_LARGE, message).help(help));
    }
}
