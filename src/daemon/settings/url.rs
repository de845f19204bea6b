//! URLs of servers with a password that nobody gets to see.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::daemon::settings::environment::Environment;
use crate::io::secrets::escaped;

/// A URL whose password, if any, is covered by `Display` and `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretUrl {
    text: String,
    password: Option<PasswordSource>,
}

/// Where a password is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PasswordSource {
    /// A file; one line break at its end does not count.
    File(PathBuf),
    /// An environment variable of the daemon.
    Variable(String),
}

/// A password that cannot be fetched.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// The file cannot be read.
    #[error("cannot read the password file {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file or variable is empty, or the variable is not set.
    #[error("there is no password in {0}")]
    Empty(String),
}

/// Why a text is not a URL of its kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UrlError {
    /// One sentence; never with the password.
    pub message: String,
    /// The next act.
    pub help: &'static str,
}

/// Kinds of server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// `mongodb://` and `mongodb+srv://`.
    Mongo,
    /// `redis://` and `rediss://`.
    Redis,
}

impl Scheme {
    fn prefixes(self) -> [&'static str; 2] {
        match self {
            Self::Mongo => ["mongodb://", "mongodb+srv://"],
            Self::Redis => ["redis://", "rediss://"],
        }
    }

    fn help(self) -> &'static str {
        match self {
            Self::Mongo => {
                "write `sqlite:PATH` or `mongodb://[USER[:PASSWORD]@]HOST[:PORT][,…]/DATABASE`"
            }
            Self::Redis => "write `redis://[USER[:PASSWORD]@]HOST[:PORT][/NUMBER]`",
        }
    }
}

/// The parts of a URL that matter here.
struct Parts<'u> {
    /// With `://`.
    scheme: &'u str,
    user_info: Option<&'u str>,
    hosts: &'u str,
    /// From the `/` after the hosts on.
    rest: &'u str,
}

impl<'u> Parts<'u> {
    fn of(text: &'u str) -> Option<Self> {
        let (_, after) = text.split_once("://")?;
        let scheme = &text[..text.len() - after.len()];
        let end = after.find(['/', '?', '#']).unwrap_or(after.len());
        let (authority, rest) = after.split_at(end);
        let (user_info, hosts) = match authority.rsplit_once('@') {
            Some((user_info, hosts)) => (Some(user_info), hosts),
            None => (None, authority),
        };
        Some(Self { scheme, user_info, hosts, rest })
    }

    fn user(&self) -> &str {
        self.user_info.map_or("", |info| info.split(':').next().unwrap_or_default())
    }

    fn has_password(&self) -> bool {
        self.user_info.is_some_and(|info| info.contains(':'))
    }
}

/// Whether a URL holds a password.
pub(super) fn has_password(text: &str) -> bool {
    Parts::of(text).is_some_and(|parts| parts.has_password())
}

impl PasswordSource {
    /// What is kept there.
    pub(super) fn fetch(
        &self,
        environment: &Environment,
        read: &mut impl FnMut(&Path) -> std::io::Result<String>,
    ) -> Result<String, PasswordError> {
        match self {
            Self::File(path) => {
                let text = read(path)
                    .map_err(|source| PasswordError::File { path: path.clone(), source })?;
                let line = text.strip_suffix('\n').unwrap_or(&text);
                let line = line.strip_suffix('\r').unwrap_or(line).to_owned();
                if line.is_empty() {
                    return Err(PasswordError::Empty(path.display().to_string()));
                }
                Ok(line)
            }
            Self::Variable(name) => {
                let value = environment.value(name);
                let empty = || PasswordError::Empty(format!("the variable {name}"));
                value.map(str::to_owned).ok_or_else(empty)
            }
        }
    }
}

impl SecretUrl {
    /// Reads a URL of a kind. The caller has seen to it that not both the URL and `password` give one.
    pub fn parse(
        text: &str,
        scheme: Scheme,
        password: Option<PasswordSource>,
    ) -> Result<Self, UrlError> {
        let error = |message: &str| UrlError { message: message.to_owned(), help: scheme.help() };
        if text.chars().any(|sign| sign.is_whitespace() || sign.is_control()) {
            return Err(error("it holds white space"));
        }
        let parts = Parts::of(text).ok_or_else(|| error("it has no `://`"))?;
        if !scheme.prefixes().contains(&parts.scheme) {
            return Err(error(&format!("`{}` is no scheme for it", parts.scheme)));
        }
        if !parts.hosts.split(',').all(is_host) {
            let help = "after `://` stand host and port; in a password, `/`, `:`, `@`, `?` and `#` are written as %2F, %3A, %40, %3F and %23";
            return Err(UrlError { message: "it has no host, or a wrong port".to_owned(), help });
        }
        let number = parts.rest.trim_start_matches('/').split('?').next().unwrap_or_default();
        if scheme == Scheme::Redis && !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(error("after the host stands the number of a database"));
        }
        if scheme == Scheme::Mongo && password.is_some() && parts.user().is_empty() {
            return Err(error("a password without a user"));
        }
        Ok(Self { text: text.to_owned(), password })
    }

    /// The URL as it is, password included: for the driver alone.
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// The database that a URL of `MongoDB` names.
    pub fn database(&self) -> Option<String> {
        let path = Parts::of(&self.text)?.rest.strip_prefix('/')?;
        let name = path.split(['?', '#']).next().unwrap_or_default();
        Some(name.to_owned()).filter(|name| !name.is_empty())
    }

    /// Fetches the password, when it is kept elsewhere, and puts it in.
    pub fn resolve(
        &mut self,
        environment: &Environment,
        read: &mut impl FnMut(&Path) -> std::io::Result<String>,
    ) -> Result<(), PasswordError> {
        let Some(source) = &self.password else { return Ok(()) };
        let password = source.fetch(environment, read)?;
        if let Some(parts) = Parts::of(&self.text) {
            let password = escaped(&password);
            self.text = format!(
                "{}{}:{password}@{}{}",
                parts.scheme,
                parts.user(),
                parts.hosts,
                parts.rest
            );
        }
        self.password = None;
        Ok(())
    }
}

/// `host`, `host:port`, `[::1]:port`.
fn is_host(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, after)) => (host, after.strip_prefix(':')),
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    !host.is_empty() && port.is_none_or(|port| port.parse::<u16>().is_ok())
}

impl fmt::Display for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Parts::of(&self.text) {
            Some(parts) if parts.has_password() => {
                write!(f, "{}{}:***@{}{}", parts.scheme, parts.user(), parts.hosts, parts.rest)
            }
            Some(_) | None => f.write_str(&self.text),
        }
    }
}

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}
