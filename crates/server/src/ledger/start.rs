//! Starting a sync.

use chrono::{DateTime, Duration, Utc};
use domain::integration::Runner;
use domain::record::RecordOutcome;
use domain::sync_log::draft::{Reporter, StartDraft, StartFacts, validate_start};
use domain::sync_log::{SyncStatus, SyncWarning};
use serde_json::Value;
use store::active_syncs::ActiveSync;
use store::integrations::IntegrationConfig;
use store::record_outcomes::NewOutcome;
use store::source_records::RecordKey;
use store::sync_attempts::SyncAttempt;
use store::sync_logs::SyncLog;
use uuid::{NoContext, Timestamp, Uuid};

use super::{Ledger, LedgerError, earliest_start, month_is_closed};

/// Hours after which a waiting attempt that nobody claimed is given up.
pub(super) const UNCLAIMED_HOURS: i64 = 24;

/// A sync that begins, as a caller describes it.
#[derive(Clone, Debug)]
pub struct StartInput {
    /// The integration.
    pub integration_config_id: Uuid,
    /// The fields that rules are about.
    pub draft: StartDraft,
    /// Whether it re-runs old records.
    pub backfill: bool,
    /// Only announced: a runner will claim attempt 0.
    pub queued: bool,
    /// The connector's context.
    pub metadata: Option<Value>,
}

/// A sync that was started, or was known already by its runner's own name for it.
#[derive(Clone, Debug)]
pub struct Started {
    /// The sync.
    pub sync: SyncLog,
    /// Whether it is new.
    pub created: bool,
}

impl Ledger<'_> {
    /// Starts a sync that an external runner executes.
    pub async fn start(&mut self, input: &StartInput, reporter: Reporter) -> Result<Started, LedgerError> {
        let config = store::integrations::find(self.tx, input.integration_config_id).await?;
        let facts = StartFacts {
            integration: config.as_ref().map(|config| config.connector_type),
            reporter,
            earliest: earliest_start(self.now),
            now: self.now,
        };
        let valid = validate_start(&input.draft, &facts)?;
        if !self.closed_months(&[valid.started_at]).await?.is_empty() {
            return Err(vec![month_is_closed()].into());
        }
        let Some(config) = config else { return Err(LedgerError::NotFound) };
        let id = sync_id(valid.started_at);
        if let Some(known) = self.claim_client_run(input, id).await? {
            return Ok(Started { sync: known, created: false });
        }
        let status = if input.queued { SyncStatus::Pending } else { SyncStatus::InProgress };
        let sync = SyncLog {
            records_total: valid.records_total,
            triggered_by_user_id: valid.triggered_by_user_id,
            ..blank(&config, id, valid.started_at, status, input)
        };
        store::sync_logs::insert(self.tx, &sync).await?;
        if !input.queued {
            let attempt = SyncAttempt::begun(0, valid.started_at, valid.records_total, None);
            store::sync_attempts::insert(self.tx, sync.key(), &attempt).await?;
        }
        let lease = if input.queued {
            Duration::hours(UNCLAIMED_HOURS)
        } else {
            Duration::seconds(i64::from(valid.lease_seconds))
        };
        self.activate(&sync, config.runner == Runner::Managed && input.queued, lease, !input.queued, None).await?;
        self.tell_sync(&sync).await?;
        Ok(Started { sync, created: true })
    }

    /// The sync that a runner's own name for it already stands for.
    pub(super) async fn claim_client_run(
        &mut self,
        input: &StartInput,
        id: Uuid,
    ) -> Result<Option<SyncLog>, LedgerError> {
        let Some(run) = &input.draft.client_run_id else { return Ok(None) };
        match store::sync_logs::claim_client_run(self.tx, input.integration_config_id, run, id).await? {
            None => Ok(None),
            Some(known) => {
                store::sync_logs::find(self.tx, known).await?.map(Some).ok_or(LedgerError::ArchivedRun(known))
            }
        }
    }

    /// Enters a sync among those under way and claims its own source record.
    pub(super) async fn activate(
        &mut self,
        sync: &SyncLog,
        managed: bool,
        lease: Duration,
        running: bool,
        requested_by: Option<Uuid>,
    ) -> Result<(), LedgerError> {
        let active = ActiveSync {
            organization_id: sync.organization_id,
            sync: sync.key(),
            integration_config_id: sync.integration_config_id,
            attempt: 0,
            running,
            managed,
            requested_by,
            automatic: false,
            lease_owner: None,
            lease_seconds: u32::try_from(lease.num_seconds()).unwrap_or(u32::MAX),
            lease_expires_at: self.now + lease,
        };
        store::active_syncs::insert(self.tx, &active, self.now).await?;
        self.claim_own_record(sync).await
    }

    /// Claims the source record that a sync is about, where it is about one.
    pub(super) async fn claim_own_record(&mut self, sync: &SyncLog) -> Result<(), LedgerError> {
        let (Some(kind), Some(id)) = (&sync.source_record_type, sync.source_record_id) else { return Ok(()) };
        let key = RecordKey { source_record_type: kind.clone(), source_record_id: id };
        let claimed =
            store::active_syncs::claim_records(self.tx, sync.connector_type, sync.id, std::slice::from_ref(&key))
                .await?;
        if claimed.is_empty() {
            let holder = store::active_syncs::find_claim(self.tx, sync.connector_type, &key).await?;
            return Err(LedgerError::AlreadyActive(holder.unwrap_or(sync.id)));
        }
        Ok(())
    }

    /// Claims records for a sync and writes them as `queued`; those under way elsewhere are written as `skipped`.
    /// Returns those that are the sync's.
    pub(super) async fn queue_records(
        &mut self,
        sync: &SyncLog,
        attempt: u16,
        keys: &[RecordKey],
    ) -> Result<Vec<RecordKey>, LedgerError> {
        let claimed = store::active_syncs::claim_records(self.tx, sync.connector_type, sync.id, keys).await?;
        let outcomes: Vec<NewOutcome> = keys
            .iter()
            .map(|key| {
                if claimed.binary_search(key).is_ok() {
                    NewOutcome::bare(key.clone(), RecordOutcome::Queued)
                } else {
                    super::message::skipped(key.clone(), domain::record::ALREADY_ACTIVE)
                }
            })
            .collect();
        store::record_outcomes::upsert(self.tx, sync.key(), attempt, &outcomes, self.now).await?;
        Ok(claimed)
    }
}

/// A new sync's id: a `UUIDv7` whose time is the sync's start.
pub(super) fn sync_id(started_at: DateTime<Utc>) -> Uuid {
    let seconds = u64::try_from(started_at.timestamp()).unwrap_or(0);
    Uuid::new_v7(Timestamp::from_unix(NoContext, seconds, started_at.timestamp_subsec_nanos()))
}

/// A sync of which nothing has happened yet.
pub(super) fn blank(
    config: &IntegrationConfig,
    id: Uuid,
    started_at: DateTime<Utc>,
    status: SyncStatus,
    input: &StartInput,
) -> SyncLog {
    SyncLog {
        id,
        integration_config_id: config.id,
        organization_id: config.organization_id,
        connector_type: config.connector_type,
        sync_type: input.draft.sync_type,
        status,
        records_processed: None,
        records_failed: None,
        records_total: None,
        error_code: None,
        error_message: None,
        retry_count: 0,
        triggered_by: input.draft.triggered_by,
        triggered_by_user_id: None,
        source_record_id: input.draft.source_record_id,
        source_record_type: input.draft.source_record_type.clone(),
        external_reference_id: None,
        request_payload_hash: None,
        http_status_code: None,
        duration_ms: None,
        started_at,
        completed_at: None,
        metadata: input.metadata.clone(),
        warnings: Vec::<SyncWarning>::new(),
        backfill: input.backfill,
        client_run_id: input.draft.client_run_id.clone(),
    }
}
