//! Which addresses a request may go to.
//!
//! Addresses of external systems are typed in by people of the organizations, so they must not become a way into the
//! operator's own network. The check sits where it cannot be passed by: names are checked in the client's resolver,
//! which hands only allowed addresses to the connection that is then made (a name that changes its address between
//! check and use gains nothing), and literal addresses, for which no resolver is asked, are checked with the settings.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use reqwest::Client;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// IPv4 addresses that are nobody's public server, and the one public address that is a cloud's metadata service.
const REFUSED_V4: &[(Ipv4Addr, u8)] = &[
    (Ipv4Addr::UNSPECIFIED, 8),            // this network
    (Ipv4Addr::new(10, 0, 0, 0), 8),       // private
    (Ipv4Addr::new(100, 64, 0, 0), 10),    // carrier-grade NAT; also a cloud's metadata
    (Ipv4Addr::new(127, 0, 0, 0), 8),      // loopback
    (Ipv4Addr::new(168, 63, 129, 16), 32), // Azure's metadata
    (Ipv4Addr::new(169, 254, 0, 0), 16),   // link-local; most clouds' metadata
    (Ipv4Addr::new(172, 16, 0, 0), 12),    // private
    (Ipv4Addr::new(192, 0, 0, 0), 24),     // protocol assignments; also a cloud's metadata
    (Ipv4Addr::new(192, 0, 2, 0), 24),     // documentation
    (Ipv4Addr::new(192, 88, 99, 0), 24),   // 6to4 relays
    (Ipv4Addr::new(192, 168, 0, 0), 16),   // private
    (Ipv4Addr::new(198, 18, 0, 0), 15),    // benchmarks
    (Ipv4Addr::new(198, 51, 100, 0), 24),  // documentation
    (Ipv4Addr::new(203, 0, 113, 0), 24),   // documentation
    (Ipv4Addr::new(224, 0, 0, 0), 4),      // multicast
    (Ipv4Addr::new(240, 0, 0, 0), 4),      // reserved, broadcast
];

/// What is refused within `2000::/3`; everything outside it is refused as a whole.
const REFUSED_V6: &[(Ipv6Addr, u8)] = &[
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23), // protocol assignments, Teredo
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32), // documentation
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16), // 6to4: carries an IPv4 address
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20), // documentation
];

/// Where requests may go: public addresses, and the ranges the operator allows beyond them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutboundPolicy {
    allowed: Vec<(IpAddr, u8)>,
}

impl OutboundPolicy {
    /// Public addresses only.
    pub const fn public_only() -> Self {
        Self { allowed: Vec::new() }
    }

    /// Public addresses, and the listed ranges, such as `127.0.0.0/8, ::1`, separated by commas or white space.
    pub fn parse(text: &str) -> Result<Self, String> {
        let ranges = text.split(|c: char| c == ',' || c.is_whitespace()).filter(|range| !range.is_empty());
        Ok(Self { allowed: ranges.map(parse_range).collect::<Result<_, _>>()? })
    }

    /// Whether a request may go to an address.
    pub fn allows(&self, address: IpAddr) -> bool {
        // An IPv4 address in IPv6 clothes is the IPv4 address to the operating system.
        let address = address.to_canonical();
        is_public(address) || self.allowed.iter().any(|(net, prefix)| contains(*net, *prefix, address))
    }

    /// Whether the address of a URL is refused before any name is asked for: true only of a literal address.
    pub fn refuses_literal(&self, url: &Url) -> bool {
        match url.host() {
            Some(Host::Ipv4(address)) => !self.allows(address.into()),
            Some(Host::Ipv6(address)) => !self.allows(address.into()),
            Some(Host::Domain(_)) | None => false,
        }
    }
}

fn parse_range(range: &str) -> Result<(IpAddr, u8), String> {
    let refused = || format!("{range:?} is not an address range such as 10.1.0.0/16");
    let (address, prefix) = match range.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix.parse::<u8>().map_err(|_| refused())?)),
        None => (range, None),
    };
    let address: IpAddr = address.parse().map_err(|_| refused())?;
    let longest = if address.is_ipv4() { 32 } else { 128 };
    let prefix = prefix.unwrap_or(longest);
    if prefix > longest { Err(refused()) } else { Ok((address, prefix)) }
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(_) => !REFUSED_V4.iter().any(|(net, prefix)| contains((*net).into(), *prefix, address)),
        IpAddr::V6(v6) => {
            v6.segments()[0] & 0xe000 == 0x2000
                && !REFUSED_V6.iter().any(|(net, prefix)| contains((*net).into(), *prefix, address))
        }
    }
}

fn contains(net: IpAddr, prefix: u8, address: IpAddr) -> bool {
    match (net, address) {
        (IpAddr::V4(net), IpAddr::V4(address)) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
            net.to_bits() & mask == address.to_bits() & mask
        }
        (IpAddr::V6(net), IpAddr::V6(address)) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
            net.to_bits() & mask == address.to_bits() & mask
        }
        _ => false,
    }
}

/// No address of a name may be used.
#[derive(Debug, thiserror::Error)]
#[error("the name leads to an address that requests may not go to")]
pub struct DestinationRefused;

/// Resolves names as the operating system does, and hands on only addresses that the policy allows.
#[derive(Clone, Debug)]
struct GuardedResolver {
    policy: Arc<OutboundPolicy>,
}

impl GuardedResolver {
    /// A resolver under a policy.
    fn new(policy: OutboundPolicy) -> Self {
        Self { policy: Arc::new(policy) }
    }
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let policy = Arc::clone(&self.policy);
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed: Vec<SocketAddr> = found.filter(|address| policy.allows(address.ip())).collect();
            if allowed.is_empty() {
                return Err(DestinationRefused.into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// The longest time connecting may take.
const MAX_CONNECT: Duration = Duration::from_secs(10);
/// How long an idle connection is kept: shorter than servers keep theirs (5 s are common), so that a request is
/// rarely written into a connection that the server is just closing, which would make its outcome unknown.
const IDLE: Duration = Duration::from_secs(2);

/// An HTTP client that goes only where the policy allows, follows no redirect, repeats nothing by itself and uses no
/// proxy. Literal addresses never reach its resolver: check them with [`OutboundPolicy::refuses_literal`].
pub fn guarded_client(timeout: Duration, policy: &OutboundPolicy) -> Result<Client, reqwest::Error> {
    // The first provider a process installs stays; without one the client could not be made.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .user_agent(concat!("Syncwatch/", env!("CARGO_PKG_VERSION")))
        .timeout(timeout)
        // Shorter than the whole, so that a connection that doesn't come about is never taken for a missing answer.
        .connect_timeout((timeout / 2).min(MAX_CONNECT))
        .pool_idle_timeout(IDLE)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .no_proxy()
        .dns_resolver(GuardedResolver::new(policy.clone()))
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_pass_by_default() {
        let policy = OutboundPolicy::public_only();
        let refused = [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "10.255.255.255",
            "100.64.0.1",
            "100.100.100.200",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "168.63.129.16",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.9",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::a00:1",
            "100::1",
            "2001::1",
            "2001:0:4136:e378:8000:63bf:3fff:fdd2",
            "2001:db8::1",
            "2002:7f00:1::",
            "2002:a9fe:a9fe::1",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ];
        for address in refused {
            assert!(!policy.allows(address.parse().unwrap()), "{address} must be refused");
        }
        let allowed = [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.1",
            "168.63.129.15",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.1",
            "192.167.255.255",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2001:200::1",
            "2606:4700:4700::1111",
            "2a00:1450:400f:80d::200e",
            "::ffff:8.8.8.8",
        ];
        for address in allowed {
            assert!(policy.allows(address.parse().unwrap()), "{address} must pass");
        }
    }

    #[test]
    fn the_operator_opens_ranges() {
        let policy = OutboundPolicy::parse("127.0.0.0/8, ::1\n10.1.0.0/16").unwrap();
        for address in ["127.0.0.1", "127.9.9.9", "::1", "10.1.255.1", "::ffff:127.0.0.1", "8.8.8.8"] {
            assert!(policy.allows(address.parse().unwrap()), "{address}");
        }
        for address in ["10.2.0.1", "192.168.0.1", "::2", "169.254.169.254"] {
            assert!(!policy.allows(address.parse().unwrap()), "{address}");
        }
        assert_eq!(OutboundPolicy::parse(" ").unwrap(), OutboundPolicy::public_only());
        for wrong in ["10.0.0.0/33", "::/129", "localhost", "10.0.0.0/", "10.0.0/8"] {
            assert!(OutboundPolicy::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn literal_addresses_are_seen_however_they_are_written() {
        let policy = OutboundPolicy::public_only();
        let refused = [
            "http://127.0.0.1/",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://0177.0.0.1/",
            "http://127.1/",
            "http://[::1]/",
            "http://[::ffff:7f00:1]/",
            "http://[64:ff9b::a9fe:a9fe]/",
            "http://１２７.0.0.1/",
        ];
        for url in refused {
            assert!(policy.refuses_literal(&Url::parse(url).unwrap()), "{url}");
        }
        assert!(!policy.refuses_literal(&Url::parse("https://books.example/").unwrap()));
    }

    #[tokio::test]
    async fn the_resolver_hands_out_only_allowed_addresses() {
        let name = || "localhost".parse::<Name>().unwrap();
        let refused = GuardedResolver::new(OutboundPolicy::public_only()).resolve(name()).await;
        assert!(refused.err().unwrap().is::<DestinationRefused>());
        let policy = OutboundPolicy::parse("127.0.0.0/8").unwrap();
        let mut found = GuardedResolver::new(policy).resolve(name()).await.unwrap();
        assert!(found.all(|address| address.ip().is_ipv4()));
    }
}
