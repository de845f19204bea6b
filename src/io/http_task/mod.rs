//! The process that makes the HTTP call of a job.
//!
//! Each call is a process of its own under the supervisor, as every task is: it survives the daemon, and its
//! time limits, its cancelling and its output are those of any job. The order is in its environment; what
//! the call came to goes to its result file, the body of the answer to stdout, a word about it to stderr.

mod address;

use std::collections::BTreeMap;
use std::error::Error as _;
use std::io::{self, Write};
use std::time::Duration;

use ipnet::IpNet;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Response, redirect};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::Url;

use crate::io::clock;
use crate::io::http_task::address::Policy;
use crate::io::secrets::escaped;
use crate::spec::task::http::HttpCall;
use crate::spec::task::template::{self, Template};
use crate::supervisor::protocol::{RESULT_BYTES_MAX, RESULT_VARIABLE};

/// The verb of the program that makes a call.
pub const VERB: &str = "http-call";

/// The variable that holds the order.
pub const ORDER_VARIABLE: &str = "CRONWRIGHT_CALL";

/// The mark of a report in the result file, with its version.
pub const REPORT_MARK: &str = "cronwright.http";

/// How long connecting may take, the lookup of the name and the handshake of TLS included.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// How long the server may be silent.
const SILENT_FOR: Duration = Duration::from_mins(1);
/// The longest answer that is read, in bytes.
const BODY_BYTES_MAX: usize = 64 << 20;
/// What a report needs around a result, in bytes.
const REPORT_BYTES: usize = 256;

/// What a process is ordered to call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// The call, its templates not filled in.
    pub call: HttpCall,
    /// Addresses that may be called although they are of a kind that may not.
    pub allow: Vec<IpNet>,
}

/// The variables of this process, by name.
pub type Variables = BTreeMap<String, String>;

/// Why a call did not succeed.
#[derive(Debug, thiserror::Error)]
enum CallError {
    #[error("there is nothing to fill in for `{0}`")]
    Template(String),
    #[error("{0}")]
    BadCall(String),
    #[error(transparent)]
    Refused(#[from] address::Refused),
    #[error("{0}")]
    Transport(String),
    #[error("the server took too long: {0}")]
    Timeout(String),
    #[error("the answer was {0}")]
    Status(String),
    #[error("the answer is longer than {BODY_BYTES_MAX} bytes")]
    TooLong,
    #[error("cannot write the answer to stdout: {0}")]
    Output(#[from] io::Error),
}

impl CallError {
    fn kind(&self) -> &'static str {
        match self {
            Self::Template(_) => "HttpTemplate",
            Self::BadCall(_) => "HttpCall",
            Self::Refused(_) => "HttpAddress",
            Self::Transport(_) => "HttpTransport",
            Self::Timeout(_) => "HttpTimeout",
            Self::Status(_) => "HttpStatus",
            Self::TooLong => "HttpTooLong",
            Self::Output(_) => "HttpOutput",
        }
    }
}

impl From<reqwest::Error> for CallError {
    fn from(error: reqwest::Error) -> Self {
        // The address may hold what was filled in.
        let error = error.without_url();
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(inner) = cause {
            text = format!("{text}: {inner}");
            cause = inner.source();
        }
        if error.is_timeout() { Self::Timeout(text) } else { Self::Transport(text) }
    }
}

/// Makes the call that the variables order; whether it succeeded.
pub async fn run(variables: &Variables) -> bool {
    let outcome = match order(variables) {
        Ok(order) => make(&order, variables).await,
        Err(error) => Err(error),
    };
    let report = match &outcome {
        Ok(result) => json!({ REPORT_MARK: 1, "ended": true, "result": result }),
        Err(error) => {
            say(&error.to_string());
            let exception = json!({ "type": error.kind(), "message": error.to_string() });
            json!({ REPORT_MARK: 1, "ended": true, "exception": exception })
        }
    };
    if let Err(error) = write_report(&report, variables) {
        say(&format!("cannot report what the call came to: {error}"));
    }
    outcome.is_ok()
}

fn order(variables: &Variables) -> Result<Order, CallError> {
    let text = variables.get(ORDER_VARIABLE).map_or("", String::as_str);
    serde_json::from_str(text)
        .map_err(|error| CallError::BadCall(format!("`{ORDER_VARIABLE}` holds no call: {error}")))
}

/// Makes the call; its result is the body, when that is JSON and not too long.
async fn make(order: &Order, variables: &Variables) -> Result<Option<Value>, CallError> {
    let call = &order.call;
    let policy = Policy::new(order.allow.clone());
    let url = Url::parse(&filled(&call.url, variables, escaped)?)
        .map_err(|error| CallError::BadCall(format!("`{}` is no address: {error}", call.url)))?;
    policy.check_url(&url)?;
    let begun = clock::boot();
    let method = reqwest::Method::from_bytes(call.method.as_str().as_bytes())
        .map_err(|error| CallError::BadCall(error.to_string()))?;
    let mut request = client(call, policy)?.request(method, url).headers(headers(call, variables)?);
    if let Some(json) = &call.json {
        request = request.body(filled_json(json, variables)?.to_string());
    } else if let Some(body) = &call.body {
        request = request.body(filled(body, variables, str::to_owned)?);
    }
    let response = request.send().await?;
    let status = response.status();
    let (bytes, kept) = pass_on(response).await?;
    let took = clock::boot().0.saturating_sub(begun.0).as_millis();
    let method = call.method.as_str();
    say(&format!("{method} {}: {status}, {bytes} bytes, {took} ms", call.url));
    if !call.expect.contains(status.as_u16()) {
        return Err(CallError::Status(status.to_string()));
    }
    Ok((bytes == kept.len()).then(|| serde_json::from_slice(&kept).ok()).flatten())
}

fn client(call: &HttpCall, policy: Policy) -> Result<Client, CallError> {
    // An error: it is installed already.
    drop(rustls::crypto::ring::default_provider().install_default());
    let max_redirects = usize::try_from(call.max_redirects).unwrap_or(usize::MAX);
    let of_redirects = policy.clone();
    let redirects = redirect::Policy::custom(move |attempt| {
        if max_redirects == 0 {
            return attempt.stop();
        }
        if attempt.previous().len() > max_redirects {
            return attempt.error(format!("more than {max_redirects} redirects"));
        }
        match of_redirects.check_url(attempt.url()) {
            Ok(()) => attempt.follow(),
            Err(refused) => attempt.error(refused),
        }
    });
    let client = Client::builder()
        .no_proxy()
        .user_agent(concat!("cronwright/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_WITHIN)
        .read_timeout(SILENT_FOR)
        .redirect(redirects)
        // A server may close a connection at the moment in which a redirect would use it again.
        .pool_max_idle_per_host(0)
        .dns_resolver(policy)
        .build()?;
    Ok(client)
}

/// The header fields that are declared, and those that say which execution this is.
fn headers(call: &HttpCall, variables: &Variables) -> Result<HeaderMap, CallError> {
    let bad = |name: &str| CallError::BadCall(format!("`{name}` has no value that can be sent"));
    let mut headers = HeaderMap::new();
    if call.json.is_some() {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    for (name, value) in &call.headers {
        let value = filled(value, variables, str::to_owned)?;
        let field = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad(name))?;
        headers.insert(field, HeaderValue::from_str(&value).map_err(|_| bad(name))?);
    }
    let own = [
        ("idempotency-key", "CRONWRIGHT_EXECUTION_ID"),
        ("cronwright-fence", "CRONWRIGHT_FENCE"),
        ("traceparent", "TRACEPARENT"),
    ];
    for (name, variable) in own {
        if let Some(value) = variables.get(variable) {
            headers.insert(name, HeaderValue::from_str(value).map_err(|_| bad(name))?);
        }
    }
    Ok(headers)
}

fn filled(
    text: &str,
    variables: &Variables,
    encoded: impl Fn(&str) -> String,
) -> Result<String, CallError> {
    let fill =
        |template: &Template<'_>| Some(encoded(variables.get(&*template.variable()?)?.as_str()));
    template::expand(text, fill).map_err(CallError::Template)
}

fn filled_json(value: &Value, variables: &Variables) -> Result<Value, CallError> {
    Ok(match value {
        Value::String(text) => Value::String(filled(text, variables, str::to_owned)?),
        Value::Array(items) => {
            items.iter().map(|item| filled_json(item, variables)).collect::<Result<_, _>>()?
        }
        Value::Object(fields) => {
            let filled =
                |(key, value): (&String, &Value)| Ok((key.clone(), filled_json(value, variables)?));
            Value::Object(fields.iter().map(filled).collect::<Result<_, CallError>>()?)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    })
}

/// Writes the body to stdout as it comes: its bytes, and the beginning of it.
async fn pass_on(mut response: Response) -> Result<(usize, Vec<u8>), CallError> {
    let mut bytes = 0;
    let mut kept = Vec::new();
    let mut stdout = io::stdout().lock();
    while let Some(chunk) = response.chunk().await? {
        bytes += chunk.len();
        if bytes > BODY_BYTES_MAX {
            return Err(CallError::TooLong);
        }
        stdout.write_all(&chunk)?;
        let room = (RESULT_BYTES_MAX - REPORT_BYTES).saturating_sub(kept.len());
        kept.extend_from_slice(&chunk[..chunk.len().min(room)]);
    }
    stdout.flush()?;
    Ok((bytes, kept))
}

fn say(words: &str) {
    // Nobody is left to be told that stderr is gone.
    drop(writeln!(io::stderr(), "{words}"));
}

fn write_report(report: &Value, variables: &Variables) -> io::Result<()> {
    let path = variables.get(RESULT_VARIABLE).ok_or(io::ErrorKind::NotFound)?;
    #[expect(clippy::disallowed_methods, reason = "the supervisor made the file for this process")]
    std::fs::write(path, report.to_string())
}
