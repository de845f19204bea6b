//! Who asks over TCP, and whether they may: the one place that lets anybody in.
//!
//! Looked at before a route is: the host that is asked for (a page in a browser may ask for this address under a
//! name of its own), then the token, then what its role may ([`access`]). On the Unix socket the file's
//! mode does all of that.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;
use serde::Deserialize;

use crate::diagnostic::{codes, quoted};
use crate::engine::request::Refusal;
use crate::io::http::access::{self, Need};
use crate::io::http::address::HostPort;
use crate::io::http::documents::request::ENVELOPE_BYTES_MAX;
use crate::io::http::routes::{refused, too_large};
use crate::spec::settings::Role;

/// The shortest token, in characters.
pub const TOKEN_LENGTH_MIN: usize = 32;
/// How many different characters a token has at least.
const TOKEN_VARIETY_MIN: usize = 8;
/// What stands in samples until somebody puts a secret there.
const PLACEHOLDERS: [&str; 9] = [
    "changeme",
    "change_me",
    "change-me",
    "default_token",
    "defaulttoken",
    "123456",
    "password",
    "secret_key",
    "your_token",
];
/// Names by which this machine asks itself.
const OWN_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// Somebody who may connect to the socket.
    Owner,
    /// Somebody with this token.
    Token {
        /// Its name.
        name: Arc<str>,
        /// What it may.
        role: Role,
    },
}

/// A token, of which only the hash is kept.
#[derive(Clone)]
pub struct Token {
    /// Its name.
    pub name: Arc<str>,
    /// What it may.
    pub role: Role,
    hash: blake3::Hash,
}

/// Why a text is no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Weakness {
    /// It can be guessed by trying.
    #[error("it has less than {TOKEN_LENGTH_MIN} characters")]
    Short,
    /// It stands in samples.
    #[error("it holds what stands in samples instead of a secret")]
    Placeholder,
    /// It repeats itself.
    #[error("it has less than {TOKEN_VARIETY_MIN} different characters")]
    Monotonous,
    /// It cannot be sent.
    #[error("it holds white space, or a character that is not ASCII")]
    NotPlain,
}

/// Who is let in.
#[derive(Debug)]
pub struct Gate {
    tokens: Vec<Token>,
    hosts: BTreeSet<String>,
}

impl Caller {
    /// The name under which it is recorded; none: whatever the caller says.
    pub fn actor(&self) -> Option<String> {
        match self {
            Self::Owner => None,
            Self::Token { name, .. } => Some(format!("token:{name}")),
        }
    }
}

impl Token {
    /// A token, unless it is too easy to guess.
    pub fn new(name: &str, role: Role, value: &str) -> Result<Self, Weakness> {
        let plain = value.to_ascii_lowercase();
        if PLACEHOLDERS.iter().any(|placeholder| plain.contains(placeholder)) {
            return Err(Weakness::Placeholder);
        }
        if !value.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Weakness::NotPlain);
        }
        if value.len() < TOKEN_LENGTH_MIN {
            return Err(Weakness::Short);
        }
        if value.bytes().collect::<BTreeSet<_>>().len() < TOKEN_VARIETY_MIN {
            return Err(Weakness::Monotonous);
        }
        Ok(Self { name: name.into(), role, hash: blake3::hash(value.as_bytes()) })
    }

    /// Whether both have the same value.
    pub fn is_same(&self, other: &Self) -> bool {
        self.hash == other.hash
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({}, {})", self.name, self.role.as_str())
    }
}

impl Gate {
    /// Lets in who has one of the tokens and asks for one of the hosts, or for an address that is listened at.
    pub fn new(tokens: Vec<Token>, hosts: &[String], listening: &[HostPort]) -> Self {
        let own = OWN_NAMES.iter().map(|name| (*name).to_owned());
        let listening = listening.iter().filter_map(|address| match address.host.parse() {
            Ok(address) if IpAddr::is_unspecified(&address) => None,
            Ok(IpAddr::V6(address)) => Some(format!("[{address}]")),
            Ok(IpAddr::V4(_)) | Err(_) => Some(address.host.clone()),
        });
        Self { tokens, hosts: own.chain(listening).chain(hosts.iter().cloned()).collect() }
    }

    /// Who asks, when they may.
    async fn admit(&self, request: Request) -> Result<Request, Refusal> {
        self.check_host(&request)?;
        let caller = self.caller(request.headers())?;
        let (parts, body) = request.into_parts();
        let (need, body) = match access::needed(parts.method.as_str(), parts.uri.path()) {
            Need::Role(role) => (role, body),
            Need::OfOperation => {
                let body = to_bytes(body, ENVELOPE_BYTES_MAX).await.map_err(|_| too_large())?;
                (access::needed_for(&operation(&body)), Body::from(body))
            }
        };
        let Caller::Token { role, .. } = &caller else { return Err(no_token()) };
        if *role < need {
            return Err(Refusal {
                code: codes::FORBIDDEN,
                message: format!("a token of a {} may not do this", role.as_str()),
                help: Some(format!("use one with the role `{}`", need.as_str())),
            });
        }
        let mut request = Request::from_parts(parts, body);
        request.extensions_mut().insert(caller);
        Ok(request)
    }

    /// Whether this program is meant, by the name that it has.
    fn check_host(&self, request: &Request) -> Result<(), Refusal> {
        let mut named = request.headers().get_all(header::HOST).iter();
        let (Some(host), None) = (named.next(), named.next()) else {
            let message = "there is not exactly one `Host`".to_owned();
            let help = Some("say which host is asked".to_owned());
            return Err(Refusal { code: codes::BAD_REQUEST, message, help });
        };
        let host = host.to_str().unwrap_or_default();
        let asked = request.uri().authority().map(Authority::as_str);
        for host in [Some(host), asked].into_iter().flatten() {
            if !self.hosts.contains(&name_of(host)) {
                return Err(Refusal {
                    code: codes::WRONG_HOST,
                    message: format!("{} is no name of this daemon", quoted(host)),
                    help: Some("add it to `hosts` under `[http]` in the settings".to_owned()),
                });
            }
        }
        Ok(())
    }

    /// Whose token it is. Each is compared, in a time that does not depend on where they differ.
    fn caller(&self, headers: &HeaderMap) -> Result<Caller, Refusal> {
        let mut given = headers.get_all(header::AUTHORIZATION).iter();
        let (Some(given), None) = (given.next(), given.next()) else { return Err(no_token()) };
        let token = given.to_str().ok().and_then(|given| given.split_once(' '));
        let token = token.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        let hash = blake3::hash(token.ok_or_else(no_token)?.1.as_bytes());
        let found = self
            .tokens
            .iter()
            .fold(None, |found, token| if token.hash == hash { Some(token) } else { found });
        let caller =
            |token: &Token| Caller::Token { name: Arc::clone(&token.name), role: token.role };
        found.map(caller).ok_or_else(no_token)
    }
}

fn no_token() -> Refusal {
    Refusal {
        code: codes::UNAUTHORIZED,
        message: "there is no token in the request, or not one that is known".to_owned(),
        help: Some("send `Authorization: Bearer TOKEN`; `[http.tokens]` in the daemon's settings names the tokens".to_owned()),
    }
}

/// A host without its port, in lower case.
fn name_of(host: &str) -> String {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        Some(_) | None => host,
    };
    name.to_ascii_lowercase()
}

/// The operation of a request; nothing where it cannot be read, which is an operation that nobody has.
fn operation(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Operation {
        op: String,
    }
    serde_json::from_slice(body).map(|Operation { op }| op).unwrap_or_default()
}

/// Lets a request through to its route, or refuses it.
pub(super) async fn guard(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Response {
    let mut response = match gate.admit(request).await {
        Ok(request) => next.run(request).await,
        Err(refusal) => {
            let mut response = refused(&refusal);
            if refusal.code == codes::UNAUTHORIZED {
                let scheme = HeaderValue::from_static("Bearer");
                response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
            }
            response
        }
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_guessed_is_no_token() {
        let weakness = |value: &str| Token::new("ci", Role::Viewer, value).err();
        assert_eq!(weakness("q7Ck2vX9mZ4rT8wB1nL6pD3sF5hJ0gYa"), None);
        assert_eq!(weakness("q7Ck2vX9mZ4rT8wB1nL6pD3sF5hJ0gY"), Some(Weakness::Short));
        assert_eq!(weakness(""), Some(Weakness::Short));
        for sample in
            ["CHANGE_ME", "default_token", "123456", "default_token-0123456789abcdefghijkl"]
        {
            assert_eq!(weakness(sample), Some(Weakness::Placeholder), "{sample}");
        }
        assert_eq!(weakness(&"ab".repeat(20)), Some(Weakness::Monotonous));
        assert_eq!(weakness("q7Ck2vX9mZ4rT8wB 1nL6pD3sF5hJ0gYa"), Some(Weakness::NotPlain));
    }

    #[test]
    fn nothing_shows_a_token() {
        let token = Token::new("ci", Role::Admin, "q7Ck2vX9mZ4rT8wB1nL6pD3sF5hJ0gYa").unwrap();
        assert_eq!(format!("{token:?}"), "Token(ci, admin)");
    }

    #[test]
    fn a_name_is_looked_at_without_its_port() {
        for (host, name) in [
            ("LocalHost:8470", "localhost"),
            ("[::1]:8470", "[::1]"),
            ("cron.example.com", "cron.example.com"),
            ("localhost:80:evil", "localhost:80:evil"),
        ] {
            assert_eq!(name_of(host), name);
        }
        assert_ne!(name_of("localhost.evil.com:8470"), "localhost");
    }
}
