//! Syncs, their attempts, and retries.

use api_types::Page;
use api_types::attempts::Attempt;
use api_types::records::RetryPreview;
use api_types::sync_logs::Sync;
use uuid::Uuid;

use super::http::{Call, Query};
use super::{ApiError, Client};

/// What a history shows; empty texts stand for no filter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SyncFilter {
    /// A status.
    pub status: String,
    /// What initiated it.
    pub triggered_by: String,
    /// First moment, RFC 3339.
    pub from: String,
    /// Moment after the last, RFC 3339.
    pub to: String,
    /// Where the page begins.
    pub cursor: String,
}

impl Client {
    /// One page of an integration's syncs, newest first.
    pub async fn syncs(&self, integration: Uuid, filter: &SyncFilter, limit: u16) -> Result<Page<Sync>, ApiError> {
        let query = Query::new()
            .with("integration_config_id", integration.to_string())
            .with("status", &filter.status)
            .with("triggered_by", &filter.triggered_by)
            .with("from", &filter.from)
            .with("to", &filter.to)
            .with("cursor", &filter.cursor)
            .with("limit", limit.to_string());
        self.fetch(query.on("/sync-logs")).await
    }

    /// One sync.
    pub async fn sync(&self, id: Uuid) -> Result<Sync, ApiError> {
        self.fetch(format!("/sync-logs/{id}")).await
    }

    /// A sync's attempts, first to last.
    pub async fn attempts(&self, id: Uuid) -> Result<Vec<Attempt>, ApiError> {
        let mut page: Page<Attempt> = self.fetch(format!("/sync-logs/{id}/attempts")).await?;
        page.items.sort_by_key(|attempt| attempt.attempt);
        Ok(page.items)
    }

    /// What a retry would do.
    pub async fn retry_preview(&self, id: Uuid) -> Result<RetryPreview, ApiError> {
        self.fetch(format!("/sync-logs/{id}/retry-preview")).await
    }

    /// Asks for a retry of the failed records. The same key never starts a second one.
    pub async fn request_retry(&self, id: Uuid, key: Uuid) -> Result<Sync, ApiError> {
        self.ask(Call::post(format!("/sync-logs/{id}/retries")).header("idempotency-key", key.to_string())).await
    }

    /// A sync's records as CSV.
    pub async fn records_csv(&self, id: Uuid) -> Result<Vec<u8>, ApiError> {
        let call = Call::get(format!("/sync-logs/{id}/records/export")).header("accept", "text/csv");
        self.call(call).await?.binary().await.map_err(|_| ApiError::Offline)
    }
}
