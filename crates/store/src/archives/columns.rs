//! Rows of the ledger column by column, exactly as the database gives them, and the structs they stand for.

use chrono::{DateTime, Utc};
use domain::record::{RecordError, RecordOutcome};
use rust_decimal::Decimal;
use sqlx::FromRow;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use crate::error::StoreError;
use crate::source_records::RecordKey;
use crate::sync_attempts::SyncAttempt;
use crate::sync_logs::{SyncKey, SyncLog};
use crate::words::word;

/// A table's rows as columns.
pub trait LedgerColumns: for<'r> FromRow<'r, PgRow> + Send + Unpin {
    /// The columns. JSON comes as text, so that it is kept as it is.
    const COLUMNS: &'static str;
    /// Where an organization's rows of a period are, newest sync first.
    const OF_PERIOD: &'static str;
}

/// A row of `sync_logs`.
#[derive(Clone, Debug, PartialEq, FromRow)]
#[expect(missing_docs, reason = "the columns of the table, by their names")]
pub struct SyncLogColumns {
    pub id: Uuid,
    pub integration_config_id: Uuid,
    pub organization_id: Uuid,
    pub connector_type: String,
    pub sync_type: String,
    pub status: String,
    pub records_processed: Option<i32>,
    pub records_failed: Option<i32>,
    pub records_total: Option<i32>,
    pub error_code: Option<String>,
    pub error_message: Option<String>,
    pub retry_count: i16,
    pub triggered_by: String,
    pub triggered_by_user_id: Option<Uuid>,
    pub source_record_id: Option<Uuid>,
    pub source_record_type: Option<String>,
    pub external_reference_id: Option<String>,
    pub request_payload_hash: Option<String>,
    pub http_status_code: Option<i16>,
    pub duration_ms: Option<i64>,
    pub started_at: DateTime<Utc>,
    pub completed_at: Option<DateTime<Utc>>,
    pub metadata: Option<String>,
    pub warnings: String,
    pub backfill: bool,
    pub client_run_id: Option<String>,
}

impl LedgerColumns for SyncLogColumns {
    const COLUMNS: &'static str = "
        id, integration_config_id, organization_id, connector_type, sync_type, status, records_processed,
        records_failed, records_total, error_code, error_message, retry_count, triggered_by,
        triggered_by_user_id, source_record_id, source_record_type, external_reference_id, request_payload_hash,
        http_status_code, duration_ms, started_at, completed_at, metadata::text AS metadata,
        warnings::text AS warnings, backfill, client_run_id
        ";
    const OF_PERIOD: &'static str = "
        FROM sync_logs
        WHERE organization_id = $1 AND started_at >= $2 AND started_at < $3
        ORDER BY started_at DESC, id DESC
        ";
}

impl TryFrom<SyncLogColumns> for SyncLog {
    type Error = StoreError;

    fn try_from(row: SyncLogColumns) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id,
            integration_config_id: row.integration_config_id,
            organization_id: row.organization_id,
            connector_type: word(&row.connector_type)?,
            sync_type: word(&row.sync_type)?,
            status: word(&row.status)?,
            records_processed: row.records_processed,
            records_failed: row.records_failed,
            records_total: row.records_total,
            error_code: row.error_code,
            error_message: row.error_message,
            retry_count: row.retry_count.unsigned_abs(),
            triggered_by: word(&row.triggered_by)?,
            triggered_by_user_id: row.triggered_by_user_id,
            source_record_id: row.source_record_id,
            source_record_type: row.source_record_type,
            external_reference_id: row.external_reference_id,
            request_payload_hash: row.request_payload_hash,
            http_status_code: row.http_status_code,
            duration_ms: row.duration_ms,
            started_at: row.started_at,
            completed_at: row.completed_at,
            metadata: row.metadata.as_deref().map(serde_json::from_str).transpose()?,
            warnings: serde_json::from_str(&row.warnings)?,
            backfill: row.backfill,
            client_run_id: row.client_run_id,
        })
    }
}

/// A row of `sync_attempts`.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
#[expect(missing_docs, reason = "the columns of the table, by their names")]
pub struct SyncAttemptColumns {
    pub organization_id: Uuid,
    pub sync_started_at: DateTime<Utc>,
    pub sync_id: Uuid,
    pub attempt_number: i16,
    pub status: String,
    pub started_at: DateTime<Utc>,
    pub completed_at: Option<DateTime<Utc>>,
    pub duration_ms: Option<i64>,
    pub records_total: Option<i32>,
    pub records_done: i32,
    pub records_processed: Option<i32>,
    pub records_failed: Option<i32>,
    pub records_skipped: Option<i32>,
    pub records_unknown: Option<i32>,
    pub records_not_attempted: Option<i32>,
    pub error_code: Option<String>,
    pub error_message: Option<String>,
    pub http_status_code: Option<i16>,
    pub triggered_by_user_id: Option<Uuid>,
}

impl LedgerColumns for SyncAttemptColumns {
    const COLUMNS: &'static str = "
        organization_id, sync_started_at, sync_id, attempt_number, status, started_at, completed_at, duration_ms,
        records_total, records_done, records_processed, records_failed, records_skipped, records_unknown,
        records_not_attempted, error_code, error_message, http_status_code, triggered_by_user_id
        ";
    const OF_PERIOD: &'static str = "
        FROM sync_attempts
        WHERE organization_id = $1 AND sync_started_at >= $2 AND sync_started_at < $3
        ORDER BY sync_started_at DESC, sync_id DESC, attempt_number
        ";
}

impl TryFrom<SyncAttemptColumns> for SyncAttempt {
    type Error = StoreError;

    fn try_from(row: SyncAttemptColumns) -> Result<Self, StoreError> {
        Ok(Self {
            number: row.attempt_number.unsigned_abs(),
            status: word(&row.status)?,
            started_at: row.started_at,
            completed_at: row.completed_at,
            duration_ms: row.duration_ms,
            records_total: row.records_total,
            records_done: row.records_done,
            records_processed: row.records_processed,
            records_failed: row.records_failed,
            records_skipped: row.records_skipped,
            records_unknown: row.records_unknown,
            records_not_attempted: row.records_not_attempted,
            error_code: row.error_code,
            error_message: row.error_message,
            http_status_code: row.http_status_code,
            triggered_by_user_id: row.triggered_by_user_id,
        })
    }
}

/// A row of `sync_record_outcomes`.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
#[expect(missing_docs, reason = "the columns of the table, by their names")]
pub struct OutcomeColumns {
    pub organization_id: Uuid,
    pub sync_started_at: DateTime<Utc>,
    pub sync_id: Uuid,
    pub attempt_number: i16,
    pub source_record_type: String,
    pub source_record_id: Uuid,
    pub outcome: String,
    pub errors: String,
    pub http_status_code: Option<i16>,
    pub external_reference_id: Option<String>,
    pub request_payload_hash: Option<String>,
    pub label: Option<String>,
    pub amount: Option<Decimal>,
    pub currency: Option<String>,
    pub updated_at: DateTime<Utc>,
}

impl LedgerColumns for OutcomeColumns {
    const COLUMNS: &'static str = "
        organization_id, sync_started_at, sync_id, attempt_number, source_record_type, source_record_id, outcome,
        errors::text AS errors, http_status_code, external_reference_id, request_payload_hash, label, amount,
        currency, updated_at
        ";
    const OF_PERIOD: &'static str = "
        FROM sync_record_outcomes
        WHERE organization_id = $1 AND sync_started_at >= $2 AND sync_started_at < $3
        ORDER BY sync_started_at DESC, sync_id DESC, source_record_type, source_record_id, attempt_number
        ";
}

impl OutcomeColumns {
    /// The sync it belongs to.
    pub const fn sync(&self) -> SyncKey {
        SyncKey { id: self.sync_id, started_at: self.sync_started_at }
    }

    /// The record it is about.
    pub fn key(&self) -> RecordKey {
        RecordKey { source_record_type: self.source_record_type.clone(), source_record_id: self.source_record_id }
    }

    /// What happened.
    pub fn outcome(&self) -> Result<RecordOutcome, StoreError> {
        word(&self.outcome)
    }

    /// The external system's complaints.
    pub fn errors(&self) -> Result<Vec<RecordError>, StoreError> {
        Ok(serde_json::from_str(&self.errors)?)
    }
}
