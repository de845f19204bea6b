//! An address of TCP as people write it: `HOST:PORT`.

use std::fmt;

/// What is in front of `HOST:PORT` at most.
const BEGINNINGS: [&str; 2] = ["tcp:", "http://"];

/// A host and its port.
#[derive(Clone, PartialEq, Eq)]
pub struct HostPort {
    /// A name or an address; one of IPv6 without brackets.
    pub host: String,
    /// 0: any that is free, to listen at.
    pub port: u16,
}

impl HostPort {
    /// Reads `HOST:PORT`, `tcp:HOST:PORT` or `http://HOST:PORT`.
    pub fn parse(text: &str) -> Option<Self> {
        let rest = BEGINNINGS.iter().find_map(|beginning| text.strip_prefix(beginning));
        let rest = rest.map_or(text, |rest| rest.strip_suffix('/').unwrap_or(rest));
        let (host, port) = rest.rsplit_once(':')?;
        let port = Some(port).filter(|port| port.bytes().all(|byte| byte.is_ascii_digit()));
        let port = port?.parse().ok()?;
        let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host = match inner {
            Some(inner) => inner.parse::<std::net::Ipv6Addr>().ok()?.to_string(),
            None => Some(host).filter(|host| is_name(host))?.to_ascii_lowercase(),
        };
        Some(Self { host, port })
    }
}

/// Whether this may be the name of a host, or an address of IPv4.
pub fn is_name(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    !text.is_empty() && text.bytes().all(is_part)
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

impl fmt::Debug for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::HostPort;

    #[test]
    fn addresses_are_read_as_people_write_them() {
        for (text, expected) in [
            ("127.0.0.1:8470", Some("127.0.0.1:8470")),
            ("tcp:Localhost:0", Some("localhost:0")),
            ("http://cron.example.com:80/", Some("cron.example.com:80")),
            ("http://[::1]:8470", Some("[::1]:8470")),
            ("::1:8470", None),
            ("localhost", None),
            ("localhost:", None),
            ("localhost:+1", None),
            ("localhost:65536", None),
            (":8470", None),
            ("http://a/b:1", None),
            ("https://a:1", None),
            ("unix:/x.sock", None),
            ("me@host:1", None),
        ] {
            let read = HostPort::parse(text).map(|address| address.to_string());
            assert_eq!(read.as_deref(), expected, "{text}");
        }
    }
}
