//! Which addresses an HTTP call may go to.
//!
//! Whoever can write a URL, or answer with a redirect, must not reach what only this machine is meant to
//! reach: itself, and the services that hand out its credentials. Names are resolved once and the call
//! goes to the address that was looked at.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use ipnet::IpNet;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// Services that hand out credentials, outside of the link-local range.
const METADATA: [IpAddr; 3] = [
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
];

/// Addresses that may be called although they are of a kind that may not.
#[derive(Debug, Clone, Default)]
pub(super) struct Policy {
    allow: Arc<[IpNet]>,
}

/// An address that may not be called.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{address} is {kind}, which HTTP tasks may call only when `[http_tasks] allow_addresses` names it"
)]
pub(super) struct Refused {
    address: IpAddr,
    kind: &'static str,
}

impl Policy {
    /// With these exceptions.
    pub(super) fn new(allow: Vec<IpNet>) -> Self {
        Self { allow: allow.into() }
    }

    /// Whether an address may be called.
    pub(super) fn check(&self, address: IpAddr) -> Result<(), Refused> {
        let allowed = self.allow.iter().any(|net| net.contains(&address.to_canonical()));
        match kind(address).filter(|_| !allowed) {
            Some(kind) => Err(Refused { address, kind }),
            None => Ok(()),
        }
    }

    /// Whether the address that a URL names, if it does, may be called. Names are looked at when they are
    /// resolved.
    pub(super) fn check_url(&self, url: &Url) -> Result<(), Refused> {
        match url.host() {
            Some(Host::Ipv4(address)) => self.check(address.into()),
            Some(Host::Ipv6(address)) => self.check(address.into()),
            Some(Host::Domain(_)) | None => Ok(()),
        }
    }
}

impl Resolve for Policy {
    fn resolve(&self, name: Name) -> Resolving {
        let policy = self.clone();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let mut refused = None;
            let allowed: Vec<SocketAddr> = found
                .filter(|at| policy.check(at.ip()).map_err(|why| refused = Some(why)).is_ok())
                .collect();
            match refused {
                Some(why) if allowed.is_empty() => Err(why.into()),
                None if allowed.is_empty() => {
                    Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address").into())
                }
                Some(_) | None => Ok(Box::new(allowed.into_iter()) as Addrs),
            }
        })
    }
}

/// The kind of an address that may not be called; none: it may.
fn kind(address: IpAddr) -> Option<&'static str> {
    let address = address.to_canonical();
    if METADATA.contains(&address) {
        return Some("a metadata service");
    }
    if address.is_loopback() {
        return Some("a loopback address");
    }
    if address.is_multicast() {
        return Some("a multicast address");
    }
    match address {
        IpAddr::V4(v4) if v4.octets()[0] == 0 => Some("an address of this host"),
        IpAddr::V4(v4) if v4.is_link_local() => Some("a link-local address"),
        IpAddr::V4(v4) if v4.is_broadcast() => Some("a broadcast address"),
        IpAddr::V6(v6) if v6.is_unspecified() => Some("an address of this host"),
        IpAddr::V6(v6) if v6.is_unicast_link_local() => Some("a link-local address"),
        IpAddr::V6(v6) => inner_v4(v6).and_then(|v4| kind(v4.into())),
        IpAddr::V4(_) => None,
    }
}

/// The IPv4 address that a translated (RFC 6052) or tunnelled (RFC 3056) address leads to.
fn inner_v4(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    let [first, second, third, .., before, last] = v6.segments();
    let v4 = |high: u16, low: u16| Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
    match (first, second) {
        (0x64, 0xff9b) => Some(v4(before, last)),
        (0x2002, _) => Some(v4(second, third)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(policy: &Policy, address: &str) -> Option<&'static str> {
        policy.check(address.parse().unwrap()).err().map(|refused| refused.kind)
    }

    #[test]
    fn what_only_this_machine_is_meant_to_reach_is_refused_however_it_is_written() {
        let policy = Policy::default();
        for (address, expected) in [
            ("93.184.216.34", None),
            ("10.1.2.3", None),
            ("192.168.1.1", None),
            ("fd12::1", None),
            ("127.0.0.1", Some("a loopback address")),
            ("127.9.9.9", Some("a loopback address")),
            ("::1", Some("a loopback address")),
            ("::ffff:127.0.0.1", Some("a loopback address")),
            ("64:ff9b::7f00:1", Some("a loopback address")),
            ("2002:7f00:1::", Some("a loopback address")),
            ("0.0.0.0", Some("an address of this host")),
            ("::", Some("an address of this host")),
            ("169.254.169.254", Some("a link-local address")),
            ("::ffff:169.254.169.254", Some("a link-local address")),
            ("64:ff9b::a9fe:a9fe", Some("a link-local address")),
            ("fe80::1", Some("a link-local address")),
            ("100.100.100.200", Some("a metadata service")),
            ("fd00:ec2::254", Some("a metadata service")),
            ("224.0.0.1", Some("a multicast address")),
            ("255.255.255.255", Some("a broadcast address")),
        ] {
            assert_eq!(refused(&policy, address), expected, "{address}");
        }
        let policy = Policy::new(vec!["127.0.0.1/32".parse().unwrap()]);
        assert_eq!(refused(&policy, "127.0.0.1"), None);
        assert_eq!(refused(&policy, "::ffff:127.0.0.1"), None);
        assert_eq!(refused(&policy, "127.0.0.2"), Some("a loopback address"));
    }

    #[test]
    fn addresses_in_urls_are_looked_at_in_each_notation() {
        for url in ["http://127.1/", "http://0x7f000001/", "http://2130706433/", "http://[::1]:80/"]
        {
            assert!(Policy::default().check_url(&Url::parse(url).unwrap()).is_err(), "{url}");
        }
        assert!(Policy::default().check_url(&Url::parse("https://example.com").unwrap()).is_ok());
    }
}
