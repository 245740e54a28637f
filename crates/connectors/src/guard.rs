//! Which addresses a request may go to.
//!
//! Addresses of external systems are typed in by people of the organizations, so they must not become a way into the
//! operator's own network. The check sits where it cannot be passed by, in the one client that goes to them: see
//! [`GuardedClient`], and in the one function that connects to what is not HTTP: [`connect()`]. Requests that go where the
//! operator says (the archive's bucket, mail) are none of its business.

mod client;
mod connect;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

pub use client::{DestinationRefused, GuardedClient, GuardedClients};
pub use connect::{Unconnected, connect, connect_with_names};

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

/// Where clouds hand out what a machine may do to whoever asks from it.
const METADATA: &[IpAddr] = &[
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 2)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
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

    /// A cloud's metadata service that the operator's ranges let requests go to.
    pub fn opened_metadata(&self) -> Option<IpAddr> {
        METADATA.iter().copied().find(|address| self.allows(*address))
    }

    /// Whether the address of a URL is refused before any name is asked for: true only of a literal address. The client
    /// refuses it as well; this is for saying so when the address is set.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_beside_a_refused_range_passes() {
        let policy = OutboundPolicy::public_only();
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
        assert_eq!(policy.opened_metadata(), None);
        for wide in ["169.254.0.0/16", "100.64.0.0/10", "fd00::/8", "0.0.0.0/0"] {
            assert!(OutboundPolicy::parse(wide).unwrap().opened_metadata().is_some(), "{wide}");
        }
        assert_eq!(OutboundPolicy::parse(" ").unwrap(), OutboundPolicy::public_only());
        for wrong in ["10.0.0.0/33", "::/129", "localhost", "10.0.0.0/", "10.0.0/8"] {
            assert!(OutboundPolicy::parse(wrong).is_err(), "{wrong}");
        }
    }
}
