//! Integrations and their trends.

use api_types::Page;
use api_types::integrations::{
    ConnectionTest, Integration, IntegrationPatch, IntegrationSummary, RotatedWebhookSecret, TestIntegration,
};
use api_types::mapping_trials::{MappingTrial, TryMapping};
use api_types::sync_logs::{Sync, TriggerSync};
use api_types::trends::Trends;
use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use super::http::{Call, Query, read};
use super::{ApiError, Client, Versioned};

impl Client {
    /// Every integration of the organization.
    pub async fn integrations(&self) -> Result<Vec<IntegrationSummary>, ApiError> {
        let mut all = Vec::new();
        let mut cursor = String::new();
        loop {
            let query = Query::new().with("limit", "200").with("cursor", cursor);
            let page: Page<IntegrationSummary> = self.fetch(query.on("/integrations")).await?;
            all.extend(page.items);
            match page.next_cursor {
                Some(next) => cursor = next,
                None => return Ok(all),
            }
        }
    }

    /// One integration with its version.
    pub async fn integration(&self, id: Uuid) -> Result<Versioned<Integration>, ApiError> {
        self.fetch_versioned(format!("/integrations/{id}")).await
    }

    /// Changes settings, unless somebody else changed them in the meantime.
    pub async fn update_integration(
        &self,
        id: Uuid,
        etag: Option<&str>,
        patch: &IntegrationPatch,
    ) -> Result<Versioned<Integration>, ApiError> {
        let call = Call::patch(format!("/integrations/{id}")).json(patch).header("if-match", etag.unwrap_or("*"));
        let response = self.call(call).await?;
        let etag = response.headers().get("etag");
        Ok(Versioned { value: read(response).await?, etag })
    }

    /// Tries the connection to the external system, with these credentials or those that are kept.
    pub async fn test_integration(&self, id: Uuid, credentials: Option<Value>) -> Result<ConnectionTest, ApiError> {
        let call = Call::post(format!("/integrations/{id}/test")).json(&TestIntegration { credentials });
        self.ask(call).await
    }

    /// What a mapping makes of a sample record; nothing is kept, and nothing leaves.
    pub async fn try_mapping(&self, trial: &TryMapping) -> Result<MappingTrial, ApiError> {
        self.ask(Call::post("/integrations/mapping-trials").json(trial)).await
    }

    /// Makes a new secret for an integration's webhooks.
    pub async fn rotate_webhook_secret(&self, id: Uuid, key: Uuid) -> Result<RotatedWebhookSecret, ApiError> {
        let path = format!("/integrations/{id}/webhook-secret");
        self.ask(Call::post(path).header("idempotency-key", key.to_string())).await
    }

    /// Starts a sync of everything that is due.
    pub async fn trigger_sync(&self, id: Uuid, key: Uuid) -> Result<Sync, ApiError> {
        let body = TriggerSync { source_record_type: None, source_record_id: None };
        self.ask(Call::post(format!("/integrations/{id}/syncs")).json(&body).header("idempotency-key", key.to_string()))
            .await
    }

    /// Counts and durations per day.
    pub async fn trends(&self, id: Uuid, from: DateTime<Utc>, to: DateTime<Utc>) -> Result<Trends, ApiError> {
        let query = Query::new().with("from", stamp(from)).with("to", stamp(to)).with("bucket", "day");
        self.fetch(query.on(&format!("/integrations/{id}/trends"))).await
    }
}

/// A moment as it stands in a query.
pub fn stamp(moment: DateTime<Utc>) -> String {
    moment.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}
