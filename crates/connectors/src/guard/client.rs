//! The HTTP client that goes to addresses of external systems.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, Method, RequestBuilder};
use url::Url;

use super::OutboundPolicy;

/// The longest time connecting may take.
const MAX_CONNECT: Duration = Duration::from_secs(10);
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
    policy: Arc<OutboundPolicy>,
}

impl GuardedClient {
    /// A client that asks the operating system for names.
    pub fn new(timeout: Duration, policy: &OutboundPolicy) -> Result<Self, reqwest::Error> {
        Self::with_names(timeout, policy, SystemNames)
    }

    /// A client that asks another source of names, which is believed no more than the operating system.
    #[expect(clippy::disallowed_methods, reason = "the client that all others have to be")]
    pub fn with_names(
        timeout: Duration,
        policy: &OutboundPolicy,
        names: impl Resolve + 'static,
    ) -> Result<Self, reqwest::Error> {
        // The first provider a process installs stays; without one the client could not be made.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let policy = Arc::new(policy.clone());
        let client = Client::builder()
            .user_agent(concat!("Syncwatch/", env!("CARGO_PKG_VERSION")))
            .timeout(timeout)
            // Shorter than the whole, so that a connection that doesn't come about is never taken for a missing answer.
            .connect_timeout((timeout / 2).min(MAX_CONNECT))
            .pool_idle_timeout(IDLE)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .no_proxy()
            .dns_resolver(GuardedNames { names, policy: Arc::clone(&policy) })
            .build()?;
        Ok(Self { client, policy })
    }

    /// Begins a request, unless its address is a literal one that is refused.
    pub fn request(&self, method: Method, url: Url) -> Result<RequestBuilder, DestinationRefused> {
        if self.policy.refuses_literal(&url) {
            return Err(DestinationRefused);
        }
        Ok(self.client.request(method, url))
    }
}

/// Hands on only those addresses of a name that the policy allows.
struct GuardedNames<N> {
    names: N,
    policy: Arc<OutboundPolicy>,
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
struct SystemNames;

impl Resolve for SystemNames {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}
