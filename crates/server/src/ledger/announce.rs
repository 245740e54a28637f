//! Telling an external runner that a retry waits, and noticing that nobody is there to be told.

use api_types::webhooks::{RetryRequested, RetryRequestedData};
use domain::integration::Runner;
use domain::webhook::WebhookType;
use store::StoreError;
use store::integrations::IntegrationConfig;
use store::sync_logs::SyncLog;
use store::webhooks::NewWebhook;
use uuid::Uuid;

use super::{Ledger, LedgerError};

impl Ledger<'_> {
    /// Puts a message about a retry that waits, of so many records, into the outbox, if its integration's runner is told
    /// by webhook.
    pub(super) async fn announce_retry(
        &mut self,
        sync: &SyncLog,
        config: &IntegrationConfig,
        attempt: u16,
        records: i64,
    ) -> Result<(), LedgerError> {
        if !self.is_told(config).await? {
            return Ok(());
        }
        self.put_into_outbox(sync, config, attempt, records).await
    }

    /// Tells of every retry that waits and of which nobody at the integration's address has heard, after it got one.
    pub async fn announce_waiting(&mut self, config: &IntegrationConfig) -> Result<(), LedgerError> {
        if !self.is_told(config).await? {
            return Ok(());
        }
        // What a former address did not take is not left for the pause that it earned.
        store::webhooks::hasten(self.tx, config.id, self.now).await?;
        for (sync_id, attempt) in store::webhooks::untold(self.tx, config.id).await? {
            let Some(sync) = store::sync_logs::find(self.tx, sync_id).await? else { continue };
            let records = self.preview_of(&sync, config).await?.records;
            self.put_into_outbox(&sync, config, attempt, records).await?;
        }
        Ok(())
    }

    /// Whether an integration's runner is told by webhook.
    async fn is_told(&mut self, config: &IntegrationConfig) -> Result<bool, LedgerError> {
        if config.runner != Runner::External || config.told_at().is_none() {
            return Ok(false);
        }
        // Without a secret the runner could not tell the message from anybody's.
        Ok(store::webhook_secrets::exists(self.tx, config.id).await?)
    }

    async fn put_into_outbox(
        &mut self,
        sync: &SyncLog,
        config: &IntegrationConfig,
        attempt: u16,
        records: i64,
    ) -> Result<(), LedgerError> {
        let message = RetryRequested {
            kind: WebhookType::RetryRequested,
            timestamp: self.now,
            data: RetryRequestedData {
                sync_id: sync.id,
                integration_config_id: config.id,
                connector_type: config.connector_type,
                sync_type: sync.sync_type,
                attempt,
                records,
            },
        };
        let body = serde_json::to_string(&message).map_err(StoreError::from)?;
        let id = Uuid::now_v7();
        let new = NewWebhook { id, integration_config_id: config.id, sync_id: sync.id, attempt, body: &body };
        Ok(store::webhooks::insert(self.tx, &new, self.now).await?)
    }

    /// Takes in that a receiver said its address is gone: nothing more is sent there, and administrators are told.
    pub async fn webhook_gone(&mut self, integration_config_id: Uuid, url: &str) -> Result<(), LedgerError> {
        if !store::integrations::disable_retry_webhook(self.tx, integration_config_id, url, self.now).await? {
            return Ok(());
        }
        for person in store::memberships::administrators(self.tx).await? {
            let user = person.user_id;
            let id =
                store::notifications::insert_webhook_disabled(self.tx, user, integration_config_id, self.now).await?;
            let data = serde_json::json!({ "notification_id": id, "integration_config_id": integration_config_id });
            store::events::record(self.tx, "notification.created", Some(user), &data).await?;
        }
        self.tell_integration(integration_config_id).await
    }
}
