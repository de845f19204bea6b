//! What settings may say about a repository elsewhere: its URL and the ref to follow. Pure.

use std::fmt;

/// The longest URL, in bytes.
const URL_BYTES_MAX: usize = 2048;
/// The longest ref, in bytes.
const REF_BYTES_MAX: usize = 255;
/// Hosts that a message reaches without leaving the machine.
const OWN_HOSTS: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// What is wrong with a URL or ref, and what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NameFault {
    /// What is wrong, to follow a colon.
    pub message: &'static str,
    /// What to do.
    pub help: &'static str,
    /// Whether the text must not be shown.
    pub is_secret: bool,
}

/// The URL of a repository, without a password. Shown without what identifies a user to a web server.
#[derive(Clone, PartialEq, Eq)]
pub struct GitUrl {
    text: String,
    shown: String,
    /// The protocols that git may speak for it, as `GIT_ALLOW_PROTOCOL` takes them.
    protocols: &'static str,
}

/// The name of a branch or tag, a full ref (`refs/…`), `HEAD`, or the full hash of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitRef(String);

impl GitUrl {
    /// Takes `https`, `ssh` (also as `user@host:path`), `git+ssh` and `file`; `http` only to this machine.
    ///
    /// ```
    /// use cronwright::io::git::GitUrl;
    /// assert!(GitUrl::parse("https://git.example.com/ops/jobs.git").is_ok());
    /// assert!(GitUrl::parse("git@git.example.com:ops/jobs.git").is_ok());
    /// assert!(GitUrl::parse("ext::sh -c evil").is_err());
    /// ```
    pub fn parse(text: &str) -> Result<Self, NameFault> {
        let odd = |sign: char| sign.is_control() || sign.is_whitespace();
        if text.is_empty() || text.len() > URL_BYTES_MAX || text.contains(odd) {
            return Err(fault("it is empty, too long, or has white space in it", WRITE));
        }
        let Some((scheme, rest)) = text.split_once("://") else { return Self::of_scp(text) };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
        if user.contains(':') {
            let message = "it has a password, which every list of processes would show";
            return Err(NameFault { message, help: KEEP, is_secret: true });
        }
        if host.starts_with('-') || user.starts_with('-') {
            return Err(fault("its host begins with `-`", WRITE));
        }
        let name = host.strip_prefix('[').map_or_else(
            || host.split(':').next().unwrap_or_default(),
            |inner| inner.find(']').and_then(|end| host.get(..end + 2)).unwrap_or_default(),
        );
        let protocols = match scheme {
            "https" | "ssh" | "git+ssh" if !name.is_empty() => "https:ssh",
            "http" if OWN_HOSTS.contains(&name) => "http:https:ssh",
            "http" => return Err(fault("`http` is not encrypted", "write `https://…`")),
            "file" if host.is_empty() && user.is_empty() => "file",
            _ => return Err(fault("its protocol is not one of those that are spoken", WRITE)),
        };
        if path.len() < 2 {
            return Err(fault("it names no repository", WRITE));
        }
        let shown = match scheme {
            "https" | "http" => format!("{scheme}://{host}{path}"),
            _ => text.to_owned(),
        };
        Ok(Self { text: text.to_owned(), shown, protocols })
    }

    /// `user@host:path`.
    fn of_scp(text: &str) -> Result<Self, NameFault> {
        let (authority, path) = text.split_once(':').unwrap_or((text, ""));
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        if authority.contains('/') || host.is_empty() || path.is_empty() {
            return Err(fault("it is a path, not a URL", "write `file:///srv/jobs.git`"));
        }
        if path.starts_with([':', '-']) || authority.starts_with('-') || host.starts_with('-') {
            return Err(fault("its protocol is not one of those that are spoken", WRITE));
        }
        Ok(Self { text: text.to_owned(), shown: text.to_owned(), protocols: "https:ssh" })
    }

    /// As git takes it.
    pub(super) fn expose(&self) -> &str {
        &self.text
    }

    pub(super) fn protocols(&self) -> &'static str {
        self.protocols
    }
}

impl fmt::Display for GitUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for GitUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl GitRef {
    /// Takes what git allows as a name, and nothing that it could take for an option or expression.
    pub fn parse(text: &str) -> Result<Self, NameFault> {
        let odd =
            |sign: char| sign.is_control() || sign.is_whitespace() || "~^:?*[\\".contains(sign);
        let parts_are_names = text.split('/').all(|part| {
            !part.is_empty() && !part.starts_with('.') && part.strip_suffix(".lock").is_none()
        });
        let plain = text.len() <= REF_BYTES_MAX
            && !text.starts_with('-')
            && !text.ends_with('.')
            && text != "@"
            && !text.contains(odd)
            && !["..", "@{"].iter().any(|no| text.contains(no))
            && parts_are_names;
        if plain {
            Ok(Self(text.to_owned()))
        } else {
            Err(fault("it cannot be the name of a branch or tag", "write for example `main`"))
        }
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for GitRef {
    /// What the server's own `HEAD` stands for.
    fn default() -> Self {
        Self("HEAD".to_owned())
    }
}

const WRITE: &str = "write for example `https://git.example.com/ops/jobs.git`, `ssh://git@host/jobs.git` or `file:///srv/jobs.git`";
const KEEP: &str = "leave it out, and let a credential helper of git give it (docs/sources.md)";

fn fault(message: &'static str, help: &'static str) -> NameFault {
    NameFault { message, help, is_secret: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_of_few_protocols_and_hold_no_password() {
        let protocols = |text: &str| GitUrl::parse(text).map(|url| url.protocols);
        for (url, expected) in [
            ("https://git.example.com/ops/jobs.git", "https:ssh"),
            ("https://ann@git.example.com:8443/jobs", "https:ssh"),
            ("ssh://git@host:2222/srv/jobs.git", "https:ssh"),
            ("git+ssh://host/jobs.git", "https:ssh"),
            ("git@host:ops/jobs.git", "https:ssh"),
            ("host:jobs", "https:ssh"),
            ("file:///srv/jobs.git", "file"),
            ("http://localhost/jobs.git", "http:https:ssh"),
            ("http://[::1]:8080/jobs.git", "http:https:ssh"),
        ] {
            assert_eq!(protocols(url), Ok(expected), "{url}");
        }
        for (url, part) in [
            ("", "empty"),
            ("https://git.example.com/a b", "white space"),
            ("https://ann:secret@git.example.com/jobs", "password"),
            ("http://git.example.com/jobs", "not encrypted"),
            ("http://localhost.example.com/jobs", "not encrypted"),
            ("git://git.example.com/jobs", "protocol"),
            ("ftp://git.example.com/jobs", "protocol"),
            ("file://host/srv/jobs.git", "protocol"),
            ("https:///jobs", "protocol"),
            ("https://host", "names no repository"),
            ("ssh://-oProxyCommand=evil/x", "begins with `-`"),
            ("-oProxyCommand=evil:x", "protocol"),
            ("x@-oProxyCommand=evil:x", "protocol"),
            ("--upload-pack=evil:x", "protocol"),
            ("ext::sh", "protocol"),
            ("/srv/jobs.git", "a path"),
            ("../jobs.git", "a path"),
            ("./a:b", "a path"),
        ] {
            let message = GitUrl::parse(url).unwrap_err().message;
            assert!(message.contains(part), "{url}: {message}");
        }
        let url = GitUrl::parse("https://token-1@git.example.com/jobs").unwrap();
        assert_eq!(url.to_string(), "https://git.example.com/jobs");
    }

    #[test]
    fn a_ref_is_a_name_and_no_expression() {
        for name in ["main", "HEAD", "team/ops", "v1.2", "refs/heads/main", &"a1".repeat(20)] {
            assert!(GitRef::parse(name).is_ok(), "{name}");
        }
        let long = "x".repeat(256);
        for name in [
            "", "-x", "--all", "a..b", "a@{1}", "@", "a b", "a~1", "a^", "a:b", "+a", "a*", "/a",
            "a/", "a//b", ".a", "a/.b", "a.lock", "a.", "a\nb", "a\\b", &long,
        ] {
            let refused = GitRef::parse(name).is_err();
            // A plus is a part of names; it stands behind a plus of our own in what is fetched.
            assert_eq!(refused, name != "+a", "{name:?}");
        }
    }
}
