//! Reading the ledger's rows column by column, and the structs they stand for.

use domain::columns::{OutcomeColumns, SyncAttemptColumns, SyncLogColumns};
use domain::record::{RecordError, RecordOutcome};
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use crate::error::StoreError;
use crate::source_records::RecordKey;
use crate::words::word;

/// A table's rows as columns.
pub trait LedgerColumns: Sized + Send {
    /// The columns as a statement selects them. JSON comes as text, so that it is kept as it is.
    const COLUMNS: &'static str;
    /// Where an organization's rows of a period are, newest sync first.
    const OF_PERIOD: &'static str;

    /// Reads a row of a statement that selects the columns.
    fn read(row: &PgRow) -> Result<Self, sqlx::Error>;
}

/// How a column is selected.
macro_rules! selected {
    (metadata) => {
        "metadata::text AS metadata"
    };
    (warnings) => {
        "warnings::text AS warnings"
    };
    (errors) => {
        "errors::text AS errors"
    };
    ($column:ident) => {
        stringify!($column)
    };
}

macro_rules! ledger_columns {
    ($row:ident, $of_period:literal, [$first:ident $(, $column:ident)* $(,)?]) => {
        impl LedgerColumns for $row {
            const COLUMNS: &'static str = concat!(selected!($first) $(, ", ", selected!($column))*);
            const OF_PERIOD: &'static str = $of_period;

            fn read(row: &PgRow) -> Result<Self, sqlx::Error> {
                Ok(Self {
                    $first: row.try_get(stringify!($first))?,
                    $($column: row.try_get(stringify!($column))?,)*
                })
            }
        }
    };
}

ledger_columns!(
    SyncLogColumns,
    "
    FROM sync_logs
    WHERE organization_id = $1 AND started_at >= $2 AND started_at < $3
    ORDER BY started_at DESC, id DESC
    ",
    [
        id,
        integration_config_id,
        organization_id,
        connector_type,
        sync_type,
        status,
        records_processed,
        records_failed,
        records_total,
        error_code,
        error_message,
        retry_count,
        triggered_by,
        triggered_by_user_id,
        source_record_id,
        source_record_type,
        external_reference_id,
        request_payload_hash,
        http_status_code,
        duration_ms,
        started_at,
        completed_at,
        metadata,
        warnings,
        backfill,
        client_run_id,
    ]
);

ledger_columns!(
    SyncAttemptColumns,
    "
    FROM sync_attempts
    WHERE organization_id = $1 AND sync_started_at >= $2 AND sync_started_at < $3
    ORDER BY sync_started_at DESC, sync_id DESC, attempt_number
    ",
    [
        organization_id,
        sync_started_at,
        sync_id,
        attempt_number,
        status,
        started_at,
        completed_at,
        duration_ms,
        records_total,
        records_done,
        records_processed,
        records_failed,
        records_skipped,
        records_unknown,
        records_not_attempted,
        error_code,
        error_message,
        http_status_code,
        triggered_by_user_id,
    ]
);

ledger_columns!(
    OutcomeColumns,
    "
    FROM sync_record_outcomes
    WHERE organization_id = $1 AND sync_started_at >= $2 AND sync_started_at < $3
    ORDER BY sync_started_at DESC, sync_id DESC, source_record_type, source_record_id, attempt_number
    ",
    [
        organization_id,
        sync_started_at,
        sync_id,
        attempt_number,
        source_record_type,
        source_record_id,
        outcome,
        errors,
        http_status_code,
        external_reference_id,
        request_payload_hash,
        label,
        amount,
        currency,
        updated_at,
    ]
);

/// The record that an outcome is about.
pub fn record_of(row: &OutcomeColumns) -> RecordKey {
    RecordKey { source_record_type: row.source_record_type.clone(), source_record_id: row.source_record_id }
}

/// What happened to it.
pub fn outcome_of(row: &OutcomeColumns) -> Result<RecordOutcome, StoreError> {
    word(&row.outcome)
}

/// The external system's complaints about it.
pub fn errors_of(row: &OutcomeColumns) -> Result<Vec<RecordError>, StoreError> {
    Ok(serde_json::from_str(&row.errors)?)
}
