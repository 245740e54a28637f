//! From the store's rows to what the API says.

use api_types::attempts::Attempt;
use api_types::integrations::{Integration, IntegrationSummary, LastSync};
use api_types::records::{ClassifiedError, RecordOutcomeItem, RecordResolution};
use api_types::source_records::StagedRecord;
use api_types::sync_logs::{Progress, RecordKey, Sync};
use chrono::{DateTime, Utc};
use domain::error_group::{classify, fingerprint_among};
use domain::health::{HealthFacts, judge};
use domain::integration::record_url;
use domain::lineage::LineageJob;
use domain::record::RecordError;
use domain::sync_log::{MAX_RETRIES, left_records_behind};
use store::integrations::IntegrationConfig;
use store::record_outcomes::OutcomeRow;
use store::source_records::SourceRecord;
use store::sync_attempts::SyncAttempt;
use store::sync_logs::SyncLog;
use uuid::Uuid;

use crate::archive::read::Found;

/// A sync. `metadata` is shown only if `debug` says so.
pub fn sync(sync: &SyncLog, debug: bool, running: Option<&SyncAttempt>) -> Sync {
    let undelivered = sync.status.is_failure() || left_records_behind(sync.status, sync.records_failed, &sync.warnings);
    Sync {
        id: sync.id,
        integration_config_id: sync.integration_config_id,
        organization_id: sync.organization_id,
        connector_type: sync.connector_type,
        sync_type: sync.sync_type,
        status: sync.status,
        records_processed: sync.records_processed,
        records_failed: sync.records_failed,
        records_total: sync.records_total,
        error_code: sync.error_code.clone(),
        error_message: sync.error_message.clone(),
        retry_count: sync.retry_count,
        triggered_by: sync.triggered_by,
        triggered_by_user_id: sync.triggered_by_user_id,
        source_record_id: sync.source_record_id,
        source_record_type: sync.source_record_type.clone(),
        external_reference_id: sync.external_reference_id.clone(),
        request_payload_hash: sync.request_payload_hash.clone(),
        http_status_code: sync.http_status_code,
        duration_ms: sync.duration_ms,
        started_at: sync.started_at,
        completed_at: sync.completed_at,
        metadata: sync.metadata.clone().filter(|_| debug),
        warnings: sync.warnings.clone(),
        backfill: sync.backfill,
        client_run_id: sync.client_run_id.clone(),
        attempt: sync.retry_count,
        retryable: undelivered && sync.retry_count < MAX_RETRIES,
        next_retry_at: None,
        archived: false,
        progress: running
            .map(|attempt| Progress { records_total: attempt.records_total, records_done: attempt.records_done }),
    }
}

/// A sync that lies in the archive: it can be read, and never be retried.
pub fn archived(sync: &SyncLog, debug: bool) -> Sync {
    Sync { archived: true, retryable: false, ..self::sync(sync, debug, None) }
}

/// A sync, wherever it lies.
pub fn found(found: &Found, debug: bool) -> Sync {
    if found.archived { archived(&found.sync, debug) } else { sync(&found.sync, debug, None) }
}

/// An attempt.
pub fn attempt(attempt: &SyncAttempt) -> Attempt {
    Attempt {
        attempt: attempt.number,
        status: attempt.status,
        started_at: attempt.started_at,
        completed_at: attempt.completed_at,
        duration_ms: attempt.duration_ms,
        records_total: attempt.records_total,
        records_processed: attempt.records_processed,
        records_failed: attempt.records_failed,
        records_skipped: attempt.records_skipped,
        records_unknown: attempt.records_unknown,
        records_not_attempted: attempt.records_not_attempted,
        error_code: attempt.error_code.clone(),
        error_message: attempt.error_message.clone(),
        http_status_code: attempt.http_status_code,
        triggered_by_user_id: attempt.triggered_by_user_id,
    }
}

/// An integration in the list, judged now.
pub fn summary(
    config: &IntegrationConfig,
    facts: &HealthFacts,
    active_sync_id: Option<Uuid>,
    now: DateTime<Utc>,
) -> IntegrationSummary {
    IntegrationSummary {
        id: config.id,
        name: config.name.clone(),
        connector_type: config.connector_type,
        sync_type: config.sync_type,
        runner: config.runner,
        paused: config.paused,
        health: judge(facts, &config.health_settings(facts), now),
        last_sync: facts.last_sync().map(|last| LastSync {
            id: last.id,
            status: last.status,
            started_at: last.started_at,
            completed_at: last.completed_at,
            records_total: last.records_total,
            records_processed: last.records_processed,
            records_failed: last.records_failed,
            duration_ms: last.duration_ms,
        }),
        consecutive_failures: facts.consecutive_failures,
        undelivered: facts.undelivered.clone(),
        recent: facts.recent.clone(),
        active_sync_id,
    }
}

/// An integration with its settings.
pub fn integration(
    config: &IntegrationConfig,
    facts: &HealthFacts,
    active_sync_id: Option<Uuid>,
    open_incident_id: Option<Uuid>,
    lineage_job: Option<LineageJob>,
    now: DateTime<Utc>,
) -> Integration {
    Integration {
        summary: summary(config, facts, active_sync_id, now),
        settings: config.settings.clone(),
        has_credentials: config.credentials.is_some(),
        schedule: config.schedule.clone(),
        freshness_hours: config.policy.freshness_hours,
        business_days_only: config.policy.business_days_only,
        failure_threshold: config.policy.failure_threshold,
        partial_failure: config.policy.partial_failure,
        allow_updates: config.allow_updates,
        record_url_template: config.record_url_template.clone(),
        retry_webhook_url: config.retry_webhook_url.clone(),
        lineage_job,
        retry_webhook_disabled_at: config.retry_webhook_disabled_at,
        retry_webhook_secret: None,
        created_at: config.created_at,
        updated_at: config.updated_at,
        open_incident_id,
    }
}

/// A record's latest outcome in a sync.
pub fn outcome(row: OutcomeRow, record_url_template: Option<&str>) -> RecordOutcomeItem {
    let url =
        record_url_template.map(|template| record_url(template, &row.key.source_record_type, row.key.source_record_id));
    RecordOutcomeItem {
        source_record_type: row.key.source_record_type,
        source_record_id: row.key.source_record_id,
        errors: errors(row.errors, row.http_status_code, row.label.as_deref()),
        label: row.label,
        amount: row.amount,
        currency: row.currency,
        outcome: row.outcome,
        attempt: row.attempt,
        http_status_code: row.http_status_code,
        external_reference_id: row.external_reference_id,
        request_payload_hash: row.request_payload_hash,
        updated_at: row.updated_at,
        state: row.state,
        changed_since_failure: row.changed,
        resolution: row.resolution.map(|resolution| RecordResolution {
            resolution: resolution.resolution,
            reason: resolution.reason,
            reference: resolution.reference,
            resolved_by: resolution.resolved_by,
            resolved_at: resolution.resolved_at,
        }),
        record_url: url,
    }
}

/// What was complained of about a record, each with its kind and its group.
pub fn errors(errors: Vec<RecordError>, http_status: Option<i16>, label: Option<&str>) -> Vec<ClassifiedError> {
    let identifiers: Vec<&str> = label.into_iter().collect();
    errors
        .into_iter()
        .map(|error| {
            let (class, fingerprint) = (classify(&error, http_status), fingerprint_among(&error, &identifiers));
            ClassifiedError::new(error, class, fingerprint)
        })
        .collect()
}

/// Where a staged record stands.
pub fn staged(record: SourceRecord) -> StagedRecord {
    StagedRecord {
        state: record.state,
        payload_hash: record.next_payload_hash.or(record.payload_hash).or(record.sent_hash).unwrap_or_default(),
        label: record.label,
        amount: record.amount,
        currency: record.currency,
        external_reference_id: record.external_reference_id,
    }
}

/// A source record by type and id.
pub fn record_key(key: store::source_records::RecordKey) -> RecordKey {
    RecordKey { source_record_type: key.source_record_type, source_record_id: key.source_record_id }
}
