//! The ledger's rows column by column, exactly as they are stored: what is sealed, archived and read back. Words are not
//! looked at here, so that a row that no rule would allow is there like any other.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use uuid::Uuid;

/// A row of `sync_logs`.
#[derive(Clone, Debug, PartialEq)]
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
    /// JSON.
    pub metadata: Option<String>,
    /// JSON.
    pub warnings: String,
    pub backfill: bool,
    pub client_run_id: Option<String>,
}

/// A row of `sync_attempts`.
#[derive(Clone, Debug, PartialEq)]
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

/// A row of `sync_record_outcomes`.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the columns of the table, by their names")]
pub struct OutcomeColumns {
    pub organization_id: Uuid,
    pub sync_started_at: DateTime<Utc>,
    pub sync_id: Uuid,
    pub attempt_number: i16,
    pub source_record_type: String,
    pub source_record_id: Uuid,
    pub outcome: String,
    /// JSON.
    pub errors: String,
    pub http_status_code: Option<i16>,
    pub external_reference_id: Option<String>,
    pub request_payload_hash: Option<String>,
    pub label: Option<String>,
    pub amount: Option<Decimal>,
    pub currency: Option<String>,
    pub updated_at: DateTime<Utc>,
}
