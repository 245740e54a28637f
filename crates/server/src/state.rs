//! What every handler and every job shares.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use connectors::OutboundPolicy;
use store::{Database, OrgTx};
use tokio::sync::Notify;

use crate::archive::ArchiveReader;
use crate::auth::TokenService;
use crate::clock::Clock;
use crate::config::{Config, OutboundConfig};
use crate::http::events::EventHub;
use crate::ledger::{GroupCommit, Ledger};
use crate::vault::Vault;

/// The application's state; clones share everything.
#[derive(Clone)]
pub struct AppState {
    /// The application role's connections.
    pub db: Database,
    /// Months that have left the database.
    pub archive: ArchiveReader,
    /// What the operator has set.
    pub config: Arc<Config>,
    /// The present moment.
    pub clock: Clock,
    /// Seals and opens secrets.
    pub vault: Vault,
    /// Which addresses external systems may have.
    pub outbound: OutboundPolicy,
    /// Live events.
    pub hub: EventHub,
    /// Wakes the worker when there is something to do.
    pub jobs: Arc<Notify>,
    /// Wakes the worker when there is a webhook to send.
    pub webhooks: Arc<Notify>,
    /// Lets callers who record finished syncs share transactions.
    pub group_commit: GroupCommit,
    /// Issues and verifies access tokens.
    pub tokens: Arc<TokenService>,
}

impl AppState {
    /// The ledger within a transaction, at a moment.
    pub fn ledger<'a>(&'a self, tx: &'a mut OrgTx, now: DateTime<Utc>) -> Ledger<'a> {
        let automatic_retries = self.config.worker.automatic_retries;
        Ledger { tx, now, public_url: &self.config.http.public_url, automatic_retries }
    }

    /// Wakes the worker and tells live listeners, after a commit.
    pub fn wake(&self) {
        self.jobs.notify_one();
        self.hub.nudge();
    }
}

/// Reads the configured ranges.
pub fn outbound_policy(config: &OutboundConfig) -> Result<OutboundPolicy, String> {
    OutboundPolicy::parse(&config.allow.join(","))
}
