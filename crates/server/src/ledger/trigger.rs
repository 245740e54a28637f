//! Managed syncs: asked for by a person or due by schedule.

use chrono::Duration;
use domain::integration::Runner;
use domain::sync_log::draft::{Reporter, StartDraft, StartFacts, validate_start};
use domain::sync_log::{SyncStatus, TriggeredBy};
use store::integrations::IntegrationConfig;
use store::source_records::RecordKey;
use store::sync_logs::SyncLog;
use uuid::Uuid;

use super::start::{StartInput, UNCLAIMED_HOURS, blank, sync_id};
use super::{Ledger, LedgerError, earliest_start};

impl Ledger<'_> {
    /// Enters a managed sync that waits for the worker: of one record, or of all that are due. While a sync of everything
    /// waits or runs, a second one is refused; syncs of one record and retries stand in nobody's way, since each record
    /// is claimed by itself.
    pub async fn trigger(
        &mut self,
        integration_config_id: Uuid,
        only: Option<RecordKey>,
        reporter: Reporter,
    ) -> Result<SyncLog, LedgerError> {
        let config = store::integrations::find(self.tx, integration_config_id).await?.ok_or(LedgerError::NotFound)?;
        if config.runner != Runner::Managed {
            return Err(LedgerError::InvalidState("an external runner starts this integration's syncs"));
        }
        if only.is_none() {
            // Whoever asks at the same moment waits here, so that one alone enters.
            store::health::lock(self.tx, config.id).await?;
            if let Some(active) = store::active_syncs::find_whole_of_integration(self.tx, config.id).await? {
                return Err(LedgerError::AlreadyActive(active));
            }
        }
        self.enter(&config, only, reporter).await
    }

    async fn enter(
        &mut self,
        config: &IntegrationConfig,
        only: Option<RecordKey>,
        reporter: Reporter,
    ) -> Result<SyncLog, LedgerError> {
        let (triggered_by, user_id) = match reporter {
            Reporter::Person(user) => (TriggeredBy::Manual, Some(user)),
            Reporter::Machine => (TriggeredBy::Automatic, None),
        };
        let (source_record_type, source_record_id) =
            only.map(|key| (key.source_record_type, key.source_record_id)).unzip();
        let draft = StartDraft {
            connector_type: config.connector_type,
            sync_type: config.sync_type,
            triggered_by,
            records_total: None,
            source_record_type,
            source_record_id,
            started_at: None,
            lease_seconds: None,
            client_run_id: None,
        };
        let facts = StartFacts {
            integration: Some(config.connector_type),
            reporter,
            earliest: earliest_start(self.now),
            now: self.now,
        };
        let valid = validate_start(&draft, &facts)?;
        let input =
            StartInput { integration_config_id: config.id, draft, backfill: false, queued: true, metadata: None };
        let id = sync_id(valid.started_at);
        let sync = SyncLog {
            triggered_by_user_id: user_id,
            ..blank(config, id, valid.started_at, SyncStatus::Pending, &input)
        };
        store::sync_logs::insert(self.tx, &sync).await?;
        self.activate(&sync, true, Duration::hours(UNCLAIMED_HOURS), false, user_id).await?;
        self.tell_sync(&sync).await?;
        self.tell_integration(config.id).await?;
        Ok(sync)
    }
}
