//! Connections that are no HTTP, as guarded as requests are.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Name, Resolve};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::OutboundPolicy;
use super::client::{DestinationRefused, GuardedNames, SystemNames};

/// Addresses of one name that are tried.
const MOST_ADDRESSES: usize = 8;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum Unconnected {
    /// The address, or every address of the name, is one that nothing may connect to.
    #[error(transparent)]
    Refused(#[from] DestinationRefused),
    /// The name has no address.
    #[error("the name could not be resolved")]
    Name,
    /// Nobody accepted the connection in time.
    #[error("the connection was not accepted in time")]
    Time,
    /// The connection did not come about.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Connects to a name, or to an address, if the policy allows.
///
/// The addresses that were checked are those that are connected to: a name that changes its address in between gains
/// nothing. Later connections ask for the name, and check, anew.
pub async fn connect(
    policy: &OutboundPolicy,
    host: &str,
    port: u16,
    within: Duration,
) -> Result<TcpStream, Unconnected> {
    connect_with_names(policy, host, port, within, SystemNames).await
}

/// The same with another source of names, which is believed no more than the operating system.
pub async fn connect_with_names(
    policy: &OutboundPolicy,
    host: &str,
    port: u16,
    within: Duration,
    names: impl Resolve,
) -> Result<TcpStream, Unconnected> {
    let work = async {
        let addresses = match host.parse::<IpAddr>() {
            Ok(address) if policy.allows(address) => vec![SocketAddr::new(address, port)],
            Ok(_) => return Err(DestinationRefused.into()),
            Err(_) => addresses(policy, host, port, names).await?,
        };
        let each = within / u32::try_from(addresses.len().max(1)).unwrap_or(u32::MAX);
        let mut why = Unconnected::Name;
        for address in addresses {
            match timeout(each, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => why = error.into(),
                Err(_) => why = Unconnected::Time,
            }
        }
        Err(why)
    };
    timeout(within, work).await.unwrap_or(Err(Unconnected::Time))
}

/// Those addresses of a name that the policy allows.
async fn addresses(
    policy: &OutboundPolicy,
    host: &str,
    port: u16,
    names: impl Resolve,
) -> Result<Vec<SocketAddr>, Unconnected> {
    let name: Name = host.parse().map_err(|_| Unconnected::Name)?;
    let guarded = GuardedNames { names, policy: Arc::new(policy.clone()) };
    match guarded.resolve(name).await {
        Ok(found) => Ok(found.take(MOST_ADDRESSES).map(|address| SocketAddr::new(address.ip(), port)).collect()),
        Err(error) if error.is::<DestinationRefused>() => Err(DestinationRefused.into()),
        Err(_) => Err(Unconnected::Name),
    }
}
