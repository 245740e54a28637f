//! Recording syncs that have already ended.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use domain::record::OutcomeCounts;
use domain::sync_log::SyncStatus;
use domain::sync_log::draft::{Completion, Reporter, StartFacts, finished_status, validate_completion, validate_start};
use domain::violation::{Rule, Violation};
use store::integrations::IntegrationConfig;
use store::record_outcomes::NewOutcome;
use store::sync_attempts::SyncAttempt;
use store::sync_logs::SyncLog;
use uuid::Uuid;

use super::finish::Report;
use super::outcomes::violations as outcome_violations;
use super::start::{StartInput, Started, blank, sync_id};
use super::{Ledger, LedgerError, earliest_start, message};

/// A sync that has ended, as a caller describes it.
#[derive(Clone, Debug)]
pub struct Imported {
    /// How it began.
    pub start: StartInput,
    /// `success` or `failed`.
    pub status: SyncStatus,
    /// How it ended.
    pub report: Report,
    /// What happened to its records.
    pub records: Vec<NewOutcome>,
}

impl Ledger<'_> {
    /// Records a sync that has ended, with everything that follows from it.
    pub async fn record_finished(&mut self, input: &Imported, reporter: Reporter) -> Result<Started, LedgerError> {
        let recorded = self.record(input, reporter, &mut BTreeMap::new()).await?;
        if recorded.created {
            let config = store::integrations::find(self.tx, recorded.sync.integration_config_id)
                .await?
                .ok_or(LedgerError::NotFound)?;
            self.tell_sync(&recorded.sync).await?;
            self.draw_consequences(&recorded.sync, &config).await?;
        }
        Ok(recorded)
    }

    /// Records many syncs that have ended; each has its own result, and a refused one takes nothing with it. What
    /// follows for an integration is drawn once.
    pub async fn import(
        &mut self,
        inputs: &[Imported],
        reporter: Reporter,
    ) -> Result<Vec<Result<Started, LedgerError>>, LedgerError> {
        let mut configs = BTreeMap::new();
        let mut results = Vec::with_capacity(inputs.len());
        let mut recorded: BTreeMap<Uuid, Vec<SyncLog>> = BTreeMap::new();
        for input in inputs {
            let result = match self.record(input, reporter, &mut configs).await {
                Err(LedgerError::Store(error)) => return Err(error.into()),
                other => other,
            };
            if let Ok(Started { sync, created: true }) = &result {
                recorded.entry(sync.integration_config_id).or_default().push(sync.clone());
            }
            results.push(result);
        }
        for (integration, syncs) in recorded {
            if let Some(Some(config)) = configs.get(&integration) {
                let config = config.clone();
                self.draw_consequences_of_many(&syncs, &config).await?;
            }
        }
        Ok(results)
    }

    async fn record(
        &mut self,
        input: &Imported,
        reporter: Reporter,
        configs: &mut BTreeMap<Uuid, Option<IntegrationConfig>>,
    ) -> Result<Started, LedgerError> {
        let integration = input.start.integration_config_id;
        let config = match configs.entry(integration) {
            Entry::Occupied(known) => known.get().clone(),
            Entry::Vacant(place) => place.insert(store::integrations::find(self.tx, integration).await?).clone(),
        };
        let facts = StartFacts {
            integration: config.as_ref().map(|config| config.connector_type),
            reporter,
            earliest: earliest_start(self.now),
            now: self.now,
        };
        let mut found = Vec::new();
        let start = validate_start(&input.start.draft, &facts).map_err(|broken| found.extend(broken)).ok();
        let succeeded = finished_status(input.status);
        if succeeded.is_none() {
            found.push(Violation::new(Rule::UnknownValue, "/status", "a finished sync is success or failed"));
        }
        let started_at = start.as_ref().map_or(facts.earliest, |start| start.started_at);
        let completion =
            Completion { started_at, succeeded: succeeded.unwrap_or(false), ..input.report.completion.clone() };
        let valid = validate_completion(&completion, self.now).map_err(|broken| found.extend(broken)).ok();
        found.extend(outcome_violations(&input.records, "/records"));
        let (Some(start), Some(valid), Some(config), true) = (start, valid, config, found.is_empty()) else {
            return Err(found.into());
        };

        let id = sync_id(start.started_at);
        if let Some(known) = self.claim_client_run(&input.start, id).await? {
            return Ok(Started { sync: known, created: false });
        }
        let counts = OutcomeCounts::of(input.records.iter().map(|new| new.outcome.after_abandonment()));
        let ended = super::finish::ended(
            &config,
            &completion,
            &valid,
            (!input.records.is_empty()).then_some(counts),
            start.records_total,
        );
        let mut warnings: Vec<_> = input.report.warnings.iter().map(message::storable_warning).collect();
        warnings.extend(ended.warnings);
        let duration_ms = Some((valid.completed_at - start.started_at).num_milliseconds());
        let sync = SyncLog {
            status: SyncStatus::finished(0, ended.failure.is_none()),
            records_total: ended.total,
            records_processed: ended.processed,
            records_failed: ended.failed,
            error_code: ended.failure.as_ref().map(|failure| failure.code.clone()),
            error_message: ended.failure.as_ref().map(|failure| failure.message.clone()),
            triggered_by_user_id: start.triggered_by_user_id,
            external_reference_id: completion.external_reference_id.clone(),
            request_payload_hash: completion.request_payload_hash.clone(),
            http_status_code: valid.http_status_code,
            duration_ms,
            completed_at: Some(valid.completed_at),
            warnings,
            ..blank(&config, id, start.started_at, SyncStatus::Success, &input.start)
        };
        store::sync_logs::insert(self.tx, &sync).await?;
        let attempt = SyncAttempt {
            status: if ended.failure.is_none() { SyncStatus::Success } else { SyncStatus::Failed },
            completed_at: sync.completed_at,
            duration_ms,
            records_processed: sync.records_processed,
            records_failed: sync.records_failed,
            records_skipped: ended.by_record.then_some(counts.skipped),
            records_unknown: ended.by_record.then_some(counts.unknown),
            records_not_attempted: ended.by_record.then_some(counts.not_attempted),
            records_done: counts.total(),
            error_code: sync.error_code.clone(),
            error_message: sync.error_message.clone(),
            http_status_code: sync.http_status_code,
            ..SyncAttempt::begun(0, sync.started_at, sync.records_total, None)
        };
        store::sync_attempts::insert(self.tx, sync.key(), &attempt).await?;
        if !input.records.is_empty() {
            let closed: Vec<NewOutcome> = input
                .records
                .iter()
                .map(|new| NewOutcome { outcome: new.outcome.after_abandonment(), ..new.clone() })
                .collect();
            self.write_outcomes(&sync, 0, !sync.backfill, &closed).await?;
        }
        Ok(Started { sync, created: true })
    }
}
