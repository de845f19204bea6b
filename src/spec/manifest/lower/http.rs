//! HTTP calls: from what is written to the call.

use std::collections::BTreeMap;

use serde_json::Value;
use url::Url;

use crate::diagnostic::{Diagnostic, codes, quoted};
use crate::spec::manifest::lower::site::Site;
use crate::spec::manifest::lower::templates::{Audience, Sources};
use crate::spec::manifest::raw::{RawHeaders, RawHttp};
use crate::spec::manifest::rules::environment::{TEXT_BYTES_MAX, looks_secret};
use crate::spec::task::http::{Expected, HttpCall, MAX_REDIRECTS, Method};
use crate::spec::task::template;

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

/// The call; none when there is an error, which has been pushed. `site` is the value of `http`.
pub fn read(
    raw: &RawHttp,
    sources: Sources<'_>,
    site: &Site<'_>,
    out: &mut Vec<Diagnostic>,
) -> Option<HttpCall> {
    let before = out.len();
    check_url(&raw.url, sources, &site.child("url"), out);
    let headers = read_headers(raw.headers.as_ref(), sources, &site.child("headers"), out);
    if let Some(json) = &raw.json {
        check_json(json, sources, &site.child("json"), out);
    }
    if let Some(body) = &raw.body {
        sources.check(body, Audience::Task, &site.child("body"), out);
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

fn check_url(text: &str, sources: Sources<'_>, site: &Site<'_>, out: &mut Vec<Diagnostic>) {
    sources.check(text, Audience::Task, site, out);
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
    sources: Sources<'_>,
    site: &Site<'_>,
    out: &mut Vec<Diagnostic>,
) -> BTreeMap<String, String> {
    let mut headers = BTreeMap::new();
    let mut names: BTreeMap<String, &str> = BTreeMap::new();
    for (name, value) in raw.iter().flat_map(|raw| &raw.0) {
        sources.check(&value.0, Audience::Task, &site.child(name), out);
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

fn check_json(value: &Value, sources: Sources<'_>, site: &Site<'_>, out: &mut Vec<Diagnostic>) {
    match value {
        Value::String(text) => sources.check(text, Audience::Task, site, out),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                check_json(item, sources, &site.item(index), out);
            }
        }
        Value::Object(fields) => {
            for (key, field) in fields {
                check_json(field, sources, &site.child(key), out);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
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
