//! Asking for a retry of what did not arrive.

use chrono::Duration;
use domain::asking::Asking;
use domain::integration::Runner;
use domain::retry::{RetryCandidate, RetryPreview};
use domain::sync_log::{SyncStatus, Transition, TransitionRefused};
use sha2::{Digest, Sha256};
use store::active_syncs::ActiveSync;
use store::integrations::IntegrationConfig;
use store::source_records::RecordKey;
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
    let Asking { target, recognition, look_up, refusable_for } =
        connectors::asking(config.connector_type, &config.settings);
    let mut hash = Sha256::new();
    for part in [config.connector_type.as_str(), target.as_str()] {
        hash.update(part);
        hash.update(b"\0");
    }
    // Where updates are sent, what is found may be the version before the one in doubt, also after they no longer are.
    hash.update([u8::from(config.allow_updates)]);
    // Whenever they are set anew, another account may be behind them.
    if let Some(mark) = &config.credentials_mark {
        hash.update(mark.as_bytes());
    }
    let look_up = look_up.filter(|_| !config.allow_updates);
    Asking { target: hex::encode(hash.finalize()), recognition, look_up, refusable_for }
}

/// What a retry of a sync could be about.
#[derive(Clone, Debug)]
pub struct Candidates {
    /// The integration.
    pub config: IntegrationConfig,
    /// Its records that have not arrived by this sync.
    pub records: Vec<(RecordKey, RetryCandidate)>,
}

impl Candidates {
    /// What a retry would do with them.
    pub fn preview(&self) -> RetryPreview {
        RetryPreview::of(self.records.iter().map(|(_, candidate)| candidate))
    }
}

/// Who asks for a retry.
#[derive(Clone, Copy, Debug)]
pub(super) enum AskedBy {
    /// Somebody: a person, where it says which.
    Somebody(Option<Uuid>),
    /// Nobody: its time has come.
    Nobody,
}

impl Ledger<'_> {
    /// What a retry would be about now.
    pub async fn retry_candidates(&mut self, sync_id: Uuid) -> Result<Candidates, LedgerError> {
        let sync = store::sync_logs::find(self.tx, sync_id).await?.ok_or(LedgerError::NotFound)?;
        let config =
            store::integrations::find(self.tx, sync.integration_config_id).await?.ok_or(LedgerError::NotFound)?;
        let asking = asking(&config);
        let records =
            store::record_outcomes::retry_candidates(self.tx, sync.key(), config.id, &asking, self.now).await?;
        Ok(Candidates { config, records })
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
        let sync = self.lock_sync(sync_id).await?;
        // Held: whoever sets a webhook address meanwhile finds this retry among those that wait.
        let config =
            store::integrations::find_held(self.tx, sync.integration_config_id).await?.ok_or(LedgerError::NotFound)?;
        let preview = self.preview_of(&sync, &config).await?;
        let retryable = preview.in_scope() > 0 || self.failed_before_any_record(&sync).await?;
        // Whoever asks is quicker than the timer.
        store::retry_timers::delete(self.tx, sync.id).await?;
        self.enter_retry(sync, &config, retryable, preview.records, AskedBy::Somebody(user_id)).await
    }

    /// Lets a sync wait for its next attempt, about so many records.
    pub(super) async fn enter_retry(
        &mut self,
        mut sync: SyncLog,
        config: &IntegrationConfig,
        retryable: bool,
        records: i64,
        asked_by: AskedBy,
    ) -> Result<SyncLog, LedgerError> {
        let state = match state_of(&sync, None, retryable).apply(Transition::RequestRetry) {
            Err(TransitionRefused::AlreadyActive) => return Err(LedgerError::AlreadyActive(sync.id)),
            other => other?,
        };
        store::sync_logs::update_pending(self.tx, sync.key()).await?;
        let lease = Duration::hours(UNCLAIMED_HOURS);
        let (requested_by, automatic) = match asked_by {
            AskedBy::Somebody(user_id) => (user_id, false),
            AskedBy::Nobody => (None, true),
        };
        let active = ActiveSync {
            organization_id: sync.organization_id,
            sync: sync.key(),
            integration_config_id: sync.integration_config_id,
            attempt: state.retry_count + 1,
            running: false,
            managed: config.runner == Runner::Managed,
            requested_by,
            automatic,
            lease_owner: None,
            lease_seconds: u32::try_from(lease.num_seconds()).unwrap_or(u32::MAX),
            lease_expires_at: self.now + lease,
        };
        store::active_syncs::insert(self.tx, &active, self.now).await?;
        self.announce_retry(&sync, config, active.attempt, records).await?;
        self.claim_own_record(&sync).await?;
        sync.status = SyncStatus::Pending;
        sync.completed_at = None;
        sync.duration_ms = None;
        self.tell_sync(&sync).await?;
        self.tell_integration(sync.integration_config_id).await?;
        Ok(sync)
    }

    /// Whether a sync failed before any record was in scope, so that everything is to be sent.
    pub(super) async fn failed_before_any_record(&mut self, sync: &SyncLog) -> Result<bool, LedgerError> {
        let counts = store::record_outcomes::count_sync(self.tx, sync.key()).await?;
        Ok(counts.total() == 0 && sync.status.is_failure())
    }
}
