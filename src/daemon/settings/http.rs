//! Who may ask over TCP: tokens, which are fetched last and kept as hashes only, and names of hosts.

use std::path::Path;

use crate::daemon::settings::environment::{Environment, Places};
use crate::daemon::settings::url::{PasswordError, PasswordSource};
use crate::diagnostic::{Diagnostic, codes, quoted};
use crate::io::http::address::is_name;
use crate::io::http::auth::{Token, Weakness};
use crate::spec::manifest::lower::site::Site;
use crate::spec::settings::{RawSettings, Role};

/// How many tokens there may be.
const TOKENS_MAX: usize = 64;

/// Who may ask over TCP.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HttpSettings {
    /// Tokens, by name.
    pub tokens: Vec<TokenSettings>,
    /// Names by which the API is asked, besides those that are built in.
    pub hosts: Vec<String>,
}

/// A token, and where its value is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenSettings {
    /// Its name.
    pub name: String,
    /// What it may.
    pub role: Role,
    /// Where its value is kept.
    pub source: PasswordSource,
}

/// Why a token cannot be used. Never with its value.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// It cannot be fetched.
    #[error("the token `{name}` cannot be read from {place}{why}")]
    Away {
        /// Its name.
        name: String,
        /// Where it should be.
        place: String,
        /// Why.
        why: String,
    },
    /// It is no secret.
    #[error("the token `{name}` cannot be used: {weakness}")]
    Weak {
        /// Its name.
        name: String,
        /// Why.
        weakness: Weakness,
    },
    /// Nobody could say who asks.
    #[error("the tokens `{first}` and `{second}` are the same")]
    Same {
        /// One.
        first: String,
        /// The other.
        second: String,
    },
}

impl HttpSettings {
    /// Fetches the tokens. `read` reads a file.
    pub fn fetch_tokens(
        &self,
        environment: &Environment,
        mut read: impl FnMut(&Path) -> std::io::Result<String>,
    ) -> Result<Vec<Token>, TokenError> {
        let mut tokens: Vec<Token> = Vec::new();
        for TokenSettings { name, role, source } in &self.tokens {
            let value = source.fetch(environment, &mut read).map_err(|error| away(name, error))?;
            let weak = |weakness| TokenError::Weak { name: name.clone(), weakness };
            let token = Token::new(name, *role, &value).map_err(weak)?;
            if let Some(same) = tokens.iter().find(|other| other.is_same(&token)) {
                let (first, second) = (same.name.to_string(), name.clone());
                return Err(TokenError::Same { first, second });
            }
            tokens.push(token);
        }
        Ok(tokens)
    }
}

fn away(name: &str, error: PasswordError) -> TokenError {
    let (place, why) = match error {
        PasswordError::File { path, source } => (path.display().to_string(), format!(": {source}")),
        PasswordError::Empty(place) => (place, ": it is empty or not there".to_owned()),
    };
    TokenError::Away { name: name.to_owned(), place, why }
}

pub(super) fn read(
    raw: &RawSettings,
    site: Option<&Site<'_>>,
    places: &Places,
    out: &mut Vec<Diagnostic>,
) -> HttpSettings {
    let Some((raw, site)) = raw.http.as_ref().zip(site) else { return HttpSettings::default() };
    let site = site.child("http");
    let mut settings = HttpSettings::default();
    if raw.tokens.0.len() > TOKENS_MAX {
        let message = format!("{} tokens; there may be {TOKENS_MAX}", raw.tokens.0.len());
        out.push(site.key("tokens").diagnostic(codes::BAD_TOKEN, message));
    }
    for (name, token) in raw.tokens.0.iter().take(TOKENS_MAX) {
        let file = token.file.as_ref().map(|file| places.base_dir.join(file));
        let file = file.map(PasswordSource::File);
        // The schema has seen to it that there is one of them.
        let source = file.or_else(|| token.env.clone().map(PasswordSource::Variable));
        let token =
            source.map(|source| TokenSettings { name: name.clone(), role: token.role, source });
        settings.tokens.extend(token);
    }
    for (index, host) in raw.hosts.iter().enumerate() {
        let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let is_v6 = inner.is_some_and(|inner| inner.parse::<std::net::Ipv6Addr>().is_ok());
        if is_v6 || is_name(host) {
            settings.hosts.push(host.to_ascii_lowercase());
        } else {
            let message = format!("{} is not the name of a host", quoted(host));
            let site = site.child("hosts").item(index);
            let help = "write for example `cron.example.com`, without scheme and port";
            out.push(site.diagnostic(codes::WRONG_FORM, message).help(help));
        }
    }
    settings
}
