//! Asking for a retry of what did not arrive.

use chrono::Duration;
use domain::integration::Runner;
use domain::retry::RetryPreview;
use domain::sync_log::{SyncStatus, Transition, TransitionRefused};
use store::active_syncs::ActiveSync;
use store::integrations::IntegrationConfig;
use store::sync_logs::SyncLog;
use uuid::Uuid;

use super::start::UNCLAIMED_HOURS;
use super::{Ledger, LedgerError, state_of};

/// Whether sending a record of an integration again cannot book it twice: the external system recognises the repeated
/// request by its idempotency header.
pub fn repeat_safe(config: &IntegrationConfig) -> bool {
    config.runner == Runner::Managed && connectors::repeat_safe(config.connector_type, &config.settings)
}

impl Ledger<'_> {
    /// What a retry would do now.
    pub async fn preview_retry(&mut self, sync_id: Uuid) -> Result<RetryPreview, LedgerError> {
        let sync = store::sync_logs::find(self.tx, sync_id).await?.ok_or(LedgerError::NotFound)?;
        let config =
            store::integrations::find(self.tx, sync.integration_config_id).await?.ok_or(LedgerError::NotFound)?;
        self.preview_of(&sync, &config).await
    }

    /// What a retry of a sync of this integration would do now.
    pub(super) async fn preview_of(
        &mut self,
        sync: &SyncLog,
        config: &IntegrationConfig,
    ) -> Result<RetryPreview, LedgerError> {
        let safe = repeat_safe(config);
        let candidates = store::record_outcomes::retry_candidates(self.tx, sync.key(), config.id, safe).await?;
        Ok(RetryPreview::of(candidates.iter().map(|(_, candidate)| candidate)))
    }

    /// Asks for a retry: the sync waits for a runner. Of two that ask at once, one is told that it is under way.
    pub async fn request_retry(&mut self, sync_id: Uuid, user_id: Option<Uuid>) -> Result<SyncLog, LedgerError> {
        let mut sync = self.lock_sync(sync_id).await?;
        // Held: whoever sets a webhook address meanwhile finds this retry among those that wait.
        let config =
            store::integrations::find_held(self.tx, sync.integration_config_id).await?.ok_or(LedgerError::NotFound)?;
        let records = self.preview_of(&sync, &config).await?.records;
        let retryable = records > 0 || self.failed_before_any_record(&sync).await?;
        let state = match state_of(&sync, None, retryable).apply(Transition::RequestRetry) {
            Err(TransitionRefused::AlreadyActive) => return Err(LedgerError::AlreadyActive(sync.id)),
            other => other?,
        };
        store::sync_logs::update_pending(self.tx, sync.key()).await?;
        let lease = Duration::hours(UNCLAIMED_HOURS);
        let active = ActiveSync {
            organization_id: sync.organization_id,
            sync: sync.key(),
            integration_config_id: sync.integration_config_id,
            attempt: state.retry_count + 1,
            running: false,
            managed: config.runner == Runner::Managed,
            requested_by: user_id,
            lease_owner: None,
            lease_seconds: u32::try_from(lease.num_seconds()).unwrap_or(u32::MAX),
            lease_expires_at: self.now + lease,
        };
        store::active_syncs::insert(self.tx, &active, self.now).await?;
        self.announce_retry(&sync, &config, active.attempt, records).await?;
        self.claim_own_record(&sync).await?;
        sync.status = SyncStatus::Pending;
        sync.completed_at = None;
        sync.duration_ms = None;
        self.tell_sync(&sync).await?;
        self.tell_integration(sync.integration_config_id).await?;
        Ok(sync)
    }

    /// Whether a sync failed before any record was in scope, so that everything is to be sent.
    async fn failed_before_any_record(&mut self, sync: &SyncLog) -> Result<bool, LedgerError> {
        let counts = store::record_outcomes::count_sync(self.tx, sync.key()).await?;
        Ok(counts.total() == 0 && sync.status.is_failure())
    }
}
