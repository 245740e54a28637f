//! What happened to records, and what people decide about them.

use api_types::Page;
use api_types::records::{ErrorGroup, ErrorGroups, RecordJourney, RecordOutcomeItem, ResolveRecord};
use domain::record::RecordOutcome;
use uuid::Uuid;

use super::http::{Call, Query, escape};
use super::{ApiError, Client};

impl Client {
    /// One page of a sync's records, of one outcome or all.
    pub async fn records(
        &self,
        sync: Uuid,
        outcome: Option<RecordOutcome>,
        cursor: &str,
        limit: u16,
    ) -> Result<Page<RecordOutcomeItem>, ApiError> {
        let query = Query::new()
            .with("outcome", outcome.map(RecordOutcome::as_str).unwrap_or_default())
            .with("cursor", cursor)
            .with("limit", limit.to_string());
        self.fetch(query.on(&format!("/sync-logs/{sync}/records"))).await
    }

    /// One page of the records of an error group.
    pub async fn group_records(
        &self,
        sync: Uuid,
        fingerprint: &str,
        cursor: &str,
        limit: u16,
    ) -> Result<Page<RecordOutcomeItem>, ApiError> {
        let query = Query::new()
            .with("outcome", RecordOutcome::Failed.as_str())
            .with("error_fingerprint", fingerprint)
            .with("cursor", cursor)
            .with("limit", limit.to_string());
        self.fetch(query.on(&format!("/sync-logs/{sync}/records"))).await
    }

    /// What went wrong, largest group first.
    pub async fn error_groups(&self, sync: Uuid) -> Result<Vec<ErrorGroup>, ApiError> {
        self.fetch::<ErrorGroups>(format!("/sync-logs/{sync}/error-groups")).await.map(|groups| groups.items)
    }

    /// Keeps a person's decision about a record.
    pub async fn resolve(
        &self,
        sync: Uuid,
        kind: &str,
        id: Uuid,
        body: &ResolveRecord,
        key: Uuid,
    ) -> Result<(), ApiError> {
        let path = format!("/sync-logs/{sync}/records/{}/{id}/resolution", escape(kind));
        self.tell(Call::post(path).json(body).header("idempotency-key", key.to_string())).await
    }

    /// A source record across all syncs.
    pub async fn journey(&self, kind: &str, id: Uuid) -> Result<RecordJourney, ApiError> {
        self.fetch(format!("/source-records/{}/{id}/journey", escape(kind))).await
    }
}
