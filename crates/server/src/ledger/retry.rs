//! Asking for a retry of what did not arrive.

use chrono::Duration;
use domain::asking::Asking;
use domain::integration::Runner;
use domain::retry::RetryPreview;
use domain::sync_log::{SyncStatus, Transition, TransitionRefused};
use sha2::{Digest, Sha256};
use store::active_syncs::ActiveSync;
use store::integrations::IntegrationConfig;
use store::sync_logs::SyncLog;
use uuid::Uuid;

use super::start::UNCLAIMED_HOURS;
use super::{Ledger, LedgerError, state_of};

/// How an integration's external system can be asked for records that may have been taken. Of what others send, only
/// they know.
pub fn asking(config: &IntegrationConfig) -> Asking {
    if config.runner != Runner::Managed {
        return Asking::default();
    }
    let Asking { target, recognition, look_up } = connectors::asking(config.connector_type, &config.settings);
    let mut hash = Sha256::new();
    for part in [config.connector_type.as_str(), target.as_str()] {
        hash.update(part);
        hash.update(b"\0");
    }
    // Where updates are sent, what is found may be the version before the one in doubt, also after they no longer are.
    hash.update([u8::from(config.allow_updates)]);
    // As they lie in the database, so that the hash tells nothing of them. Whenever they are set anew, another account
    // may be behind them.
    if let Some(sealed) = &config.credentials {
        hash.update(&sealed.bytes);
    }
    Asking { target: hex::encode(hash.finalize()), recognition, look_up: look_up.filter(|_| !config.allow_updates) }
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
        let asking = asking(config);
        let candidates =
            store::record_outcomes::retry_candidates(self.tx, sync.key(), config.id, &asking, self.now).await?;
        Ok(RetryPreview::of(candidates.iter().map(|(_, candidate)| candidate)))
    }

    /// Asks for a retry: the sync waits for a runner. Of two that ask at once, one is told that it is under way.
    pub async fn request_retry(&mut self, sync_id: Uuid, user_id: Option<Uuid>) -> Result<SyncLog, LedgerError> {
        let mut sync = self.lock_sync(sync_id).await?;
        // Held: whoever sets a webhook address meanwhile finds this retry among those that wait.
        let config =
            store::integrations::find_held(self.tx, sync.integration_config_id).await?.ok_or(LedgerError::NotFound)?;
        let preview = self.preview_of(&sync, &config).await?;
        let retryable = preview.in_scope() > 0 || self.failed_before_any_record(&sync).await?;
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
        self.announce_retry(&sync, &config, active.attempt, preview.records).await?;
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
