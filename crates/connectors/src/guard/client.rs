//! The HTTP client that goes to addresses of external systems.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, Method, RequestBuilder};
use url::Url;

use super::OutboundPolicy;

/// The longest time connecting may take.
const MAX_CONNECT: Duration = Duration::from_secs(10);
/// Times that connecting may take where clients are shared, in milliseconds: few, so that there are few clients.
const CONNECTS: [u64; 9] = [50, 100, 250, 500, 1_000, 2_500, 5_000, 7_500, 10_000];
/// How long an idle connection is kept: shorter than servers keep theirs (5 s are common), so that a request is
/// rarely written into a connection that the server is just closing, which would make its outcome unknown.
const IDLE: Duration = Duration::from_secs(2);

/// The address of a request, or every address of its name, is one that requests may not go to.
#[derive(Debug, thiserror::Error)]
#[error("requests may not go to where this address leads")]
pub struct DestinationRefused;

/// An HTTP client that goes only where the policy allows, follows no redirect, repeats nothing by itself and uses no
/// proxy.
///
/// Names are checked in its resolver, which every new connection asks and whose addresses that connection then takes: a
/// name that changes its address between check and use gains nothing. Literal addresses, for which no resolver is asked,
/// are checked with each request; so there is no way to the client within.
#[derive(Clone, Debug)]
pub struct GuardedClient {
    client: Client,
    timeout: Duration,
    policy: Arc<OutboundPolicy>,
}

impl GuardedClient {
    /// A client that asks the operating system for names.
    pub fn new(timeout: Duration, policy: &OutboundPolicy) -> Result<Self, reqwest::Error> {
        Self::with_names(timeout, policy, SystemNames)
    }

    /// A client that asks another source of names, which is believed no more than the operating system.
    pub fn with_names(
        timeout: Duration,
        policy: &OutboundPolicy,
        names: impl Resolve + 'static,
    ) -> Result<Self, reqwest::Error> {
        let policy = Arc::new(policy.clone());
        // Shorter than the whole, so that a connection that doesn't come about is never taken for a missing answer.
        let client = make((timeout / 2).min(MAX_CONNECT), &policy, names)?;
        Ok(Self { client, timeout, policy })
    }

    /// Begins a request, unless its address is a literal one that is refused.
    pub fn request(&self, method: Method, url: Url) -> Result<RequestBuilder, DestinationRefused> {
        if self.policy.refuses_literal(&url) {
            return Err(DestinationRefused);
        }
        Ok(self.client.request(method, url).timeout(self.timeout))
    }
}

/// Guarded clients that share what is costly: the trusted roots, and connections to the same system. All of it belongs to
/// the runtime in which requests are made, so each has its own.
#[derive(Clone, Debug)]
pub struct GuardedClients {
    policy: Arc<OutboundPolicy>,
    made: Arc<Mutex<HashMap<Duration, Client>>>,
}

impl GuardedClients {
    /// Clients that go where the policy allows.
    pub fn new(policy: &OutboundPolicy) -> Self {
        Self { policy: Arc::new(policy.clone()), made: Arc::default() }
    }

    /// Where they go.
    pub fn policy(&self) -> &OutboundPolicy {
        &self.policy
    }

    /// A client whose requests take no longer than this.
    pub fn with_timeout(&self, timeout: Duration) -> Result<GuardedClient, reqwest::Error> {
        let connect = connect_within(timeout);
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let client = if let Some(client) = made.get(&connect) {
            client.clone()
        } else {
            let client = make(connect, &self.policy, SystemNames)?;
            made.insert(connect, client.clone());
            client
        };
        Ok(GuardedClient { client, timeout, policy: Arc::clone(&self.policy) })
    }
}

/// How long connecting may take where clients are shared: at most half of the whole.
fn connect_within(timeout: Duration) -> Duration {
    let half = timeout / 2;
    CONNECTS.iter().rev().map(|millis| Duration::from_millis(*millis)).find(|time| *time <= half).unwrap_or(half)
}

#[expect(clippy::disallowed_methods, reason = "the client that all others have to be")]
fn make(
    connect: Duration,
    policy: &Arc<OutboundPolicy>,
    names: impl Resolve + 'static,
) -> Result<Client, reqwest::Error> {
    // The first provider a process installs stays; without one the client could not be made.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .user_agent(concat!("Syncwatch/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(connect)
        .pool_idle_timeout(IDLE)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .no_proxy()
        .dns_resolver(GuardedNames { names, policy: Arc::clone(policy) })
        .build()
}

/// Hands on only those addresses of a name that the policy allows.
pub(super) struct GuardedNames<N> {
    pub(super) names: N,
    pub(super) policy: Arc<OutboundPolicy>,
}

impl<N: Resolve> Resolve for GuardedNames<N> {
    fn resolve(&self, name: Name) -> Resolving {
        let (found, policy) = (self.names.resolve(name), Arc::clone(&self.policy));
        Box::pin(async move {
            let allowed: Vec<SocketAddr> = found.await?.filter(|address| policy.allows(address.ip())).collect();
            if allowed.is_empty() {
                return Err(DestinationRefused.into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// Names as the operating system resolves them.
pub(super) struct SystemNames;

impl Resolve for SystemNames {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connecting_takes_at_most_half_of_the_time_and_ten_seconds() {
        for (timeout, connect) in [(100, 50), (199, 50), (2_000, 1_000), (15_000, 7_500), (60_000, 10_000), (40, 20)] {
            assert_eq!(connect_within(Duration::from_millis(timeout)), Duration::from_millis(connect), "{timeout}");
        }
    }

    #[test]
    fn few_clients_serve_all() {
        let clients = GuardedClients::new(&OutboundPolicy::public_only());
        for millis in 100..5_000 {
            clients.with_timeout(Duration::from_millis(millis)).unwrap();
        }
        assert!(clients.made.lock().unwrap().len() <= CONNECTS.len());
    }
}
