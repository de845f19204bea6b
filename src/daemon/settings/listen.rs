//! Where the API listens: by flags, a variable, or the file.

use std::path::{Path, PathBuf};

use crate::daemon::settings::SOCKET_PATH_BYTES_MAX;
use crate::daemon::settings::environment::{Environment, Flags};
use crate::daemon::settings::read::{Loader, Value};
use crate::diagnostic::{Diagnostic, codes, quoted};
use crate::io::http::address::HostPort;
use crate::spec::manifest::lower::site::Site;
use crate::spec::settings::RawSettings;

/// A place to listen at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// A socket, for this user alone.
    Unix(PathBuf),
    /// An address, for those who have a token.
    Tcp(HostPort),
}

impl Listen {
    /// The address, of TCP.
    pub fn tcp(&self) -> Option<&HostPort> {
        match self {
            Self::Tcp(address) => Some(address),
            Self::Unix(_) => None,
        }
    }
}

impl Loader<'_> {
    pub(super) fn listen(
        &mut self,
        raw: &RawSettings,
        site: Option<&Site<'_>>,
        flags: &Flags,
        environment: &Environment,
    ) -> Vec<Listen> {
        let has_tokens = raw.http.as_ref().is_some_and(|http| !http.tokens.0.is_empty());
        let mut given: Vec<_> =
            flags.listen.iter().map(|text| Value::of_flag("--listen", text)).collect();
        if given.is_empty() {
            given.extend(Value::of_variable("CRONWRIGHT_LISTEN", environment));
        }
        if !given.is_empty() {
            let place = |value: &Value<'_>| {
                let complain = |code, message| value.diagnostic(code, message);
                self.place(value.text, has_tokens, complain, &self.places.cwd)
            };
            return given.iter().filter_map(place).collect();
        }
        let Some((texts, site)) = raw.listen.as_ref().zip(site) else {
            let path = self.places.state_dir.join("cronwright.sock");
            return self.short_enough(path, Diagnostic::new).into_iter().collect();
        };
        let site = site.child("listen");
        let place = |(at, text): (usize, &String)| {
            let site = site.item(at);
            let complain = |code, message| site.diagnostic(code, message);
            self.place(text, has_tokens, complain, &self.places.base_dir)
        };
        texts.iter().enumerate().filter_map(place).collect()
    }

    fn place(
        &mut self,
        text: &str,
        has_tokens: bool,
        complain: impl Fn(&'static str, String) -> Diagnostic,
        base: &Path,
    ) -> Option<Listen> {
        match text.strip_prefix("unix:") {
            Some("") => {
                let message = "`unix:` without a path".to_owned();
                self.out.push(complain(codes::BAD_LISTEN, message).help("write `unix:PATH`"));
                None
            }
            Some(path) => self.short_enough(base.join(path), complain),
            None => self.address(text, has_tokens, complain).map(Listen::Tcp),
        }
    }

    /// An address of TCP. Without tokens nobody is let in, and everybody would have to be: it is refused.
    fn address(
        &mut self,
        text: &str,
        has_tokens: bool,
        complain: impl Fn(&'static str, String) -> Diagnostic,
    ) -> Option<HostPort> {
        let Some(address) = HostPort::parse(text) else {
            let message = format!("{} is not an address to listen at", quoted(text));
            let help = if text.starts_with("https://") {
                "write `HOST:PORT`, and put a proxy in front of it that speaks TLS"
            } else {
                "write `unix:PATH` or `HOST:PORT`"
            };
            self.out.push(complain(codes::BAD_LISTEN, message).help(help));
            return None;
        };
        if !has_tokens {
            let message =
                format!("{} is for those who have a token, and there is none", quoted(text));
            let help = "add for example `ops = { role = \"operator\", file = \"secrets/ops\" }` under `[http.tokens]` in the settings, or listen at `unix:PATH`";
            self.out.push(complain(codes::BAD_TOKEN, message).help(help));
            return None;
        }
        Some(address)
    }

    fn short_enough(
        &mut self,
        path: PathBuf,
        complain: impl Fn(&'static str, String) -> Diagnostic,
    ) -> Option<Listen> {
        let bytes = path.as_os_str().len();
        if bytes <= SOCKET_PATH_BYTES_MAX {
            return Some(Listen::Unix(path));
        }
        let message = format!(
            "the path of the socket has {bytes} bytes, and no more than {SOCKET_PATH_BYTES_MAX} are possible: {}",
            quoted(&path.display().to_string())
        );
        let help = "give a shorter one with `--listen unix:PATH`";
        self.out.push(complain(codes::PATH_TOO_LONG, message).help(help));
        None
    }
}
