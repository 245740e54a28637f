//! Syncs: `sync_logs`.

mod client_runs;
mod filter;
mod finished;

use chrono::{DateTime, Utc};
use domain::columns::SyncLogColumns;
use domain::integration::{ConnectorType, SyncType};
use domain::sync_log::{SyncStatus, SyncWarning, TriggeredBy, started_at_of};
use serde_json::Value;
use sqlx::types::Json;
use uuid::Uuid;

use crate::database::OrgTx;
use crate::error::StoreError;
use crate::words::word;

pub use client_runs::{ClientRun, claim_client_run, claim_client_runs, find_client_run};
pub use filter::{Direction, Place, SyncFilter, explain, list, list_without_metadata};
pub use finished::{Finished, insert_finished};

/// A sync as the ledger keeps it.
#[derive(Clone, Debug, PartialEq)]
pub struct SyncLog {
    /// Its id, a `UUIDv7` whose time is `started_at`.
    pub id: Uuid,
    /// The integration.
    pub integration_config_id: Uuid,
    /// The organization.
    pub organization_id: Uuid,
    /// The external system's kind.
    pub connector_type: ConnectorType,
    /// What is synchronised.
    pub sync_type: SyncType,
    /// Lifecycle state.
    pub status: SyncStatus,
    /// Records delivered so far.
    pub records_processed: Option<i32>,
    /// Records failed.
    pub records_failed: Option<i32>,
    /// Records in scope.
    pub records_total: Option<i32>,
    /// Machine-readable code of the failure.
    pub error_code: Option<String>,
    /// The external system's words.
    pub error_message: Option<String>,
    /// Number of the latest attempt.
    pub retry_count: u16,
    /// What initiated it.
    pub triggered_by: TriggeredBy,
    /// The person, for a manual sync.
    pub triggered_by_user_id: Option<Uuid>,
    /// The primary source record.
    pub source_record_id: Option<Uuid>,
    /// Its type.
    pub source_record_type: Option<String>,
    /// The external system's id.
    pub external_reference_id: Option<String>,
    /// SHA-256 of the canonical payload.
    pub request_payload_hash: Option<String>,
    /// HTTP status of the external system's answer.
    pub http_status_code: Option<i16>,
    /// Wall-clock milliseconds.
    pub duration_ms: Option<i64>,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it reached a terminal status.
    pub completed_at: Option<DateTime<Utc>>,
    /// The connector's context.
    pub metadata: Option<Value>,
    /// Remarks.
    pub warnings: Vec<SyncWarning>,
    /// Imported or re-run old records.
    pub backfill: bool,
    /// The runner's own name for the run.
    pub client_run_id: Option<String>,
}

impl SyncLog {
    /// Where the sync lies: its organization comes from the transaction.
    pub const fn key(&self) -> SyncKey {
        SyncKey { id: self.id, started_at: self.started_at }
    }
}

/// Where a sync lies in the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyncKey {
    /// Its id.
    pub id: Uuid,
    /// Its start, which decides the partition.
    pub started_at: DateTime<Utc>,
}

impl SyncKey {
    /// The key of an id; `None` if the id is no sync's.
    pub fn of(id: Uuid) -> Option<Self> {
        started_at_of(id).map(|started_at| Self { id, started_at })
    }
}

#[derive(sqlx::FromRow)]
pub(crate) struct Row {
    id: Uuid,
    integration_config_id: Uuid,
    organization_id: Uuid,
    connector_type: String,
    sync_type: String,
    status: String,
    records_processed: Option<i32>,
    records_failed: Option<i32>,
    records_total: Option<i32>,
    error_code: Option<String>,
    error_message: Option<String>,
    retry_count: i16,
    triggered_by: String,
    triggered_by_user_id: Option<Uuid>,
    source_record_id: Option<Uuid>,
    source_record_type: Option<String>,
    external_reference_id: Option<String>,
    request_payload_hash: Option<String>,
    http_status_code: Option<i16>,
    duration_ms: Option<i64>,
    started_at: DateTime<Utc>,
    completed_at: Option<DateTime<Utc>>,
    metadata: Option<Value>,
    warnings: Json<Vec<SyncWarning>>,
    backfill: bool,
    client_run_id: Option<String>,
}

/// The sync of a row whose JSON has been read.
macro_rules! sync_log {
    ($row:ident, $metadata:expr, $warnings:expr) => {
        SyncLog {
            id: $row.id,
            integration_config_id: $row.integration_config_id,
            organization_id: $row.organization_id,
            connector_type: word(&$row.connector_type)?,
            sync_type: word(&$row.sync_type)?,
            status: word(&$row.status)?,
            records_processed: $row.records_processed,
            records_failed: $row.records_failed,
            records_total: $row.records_total,
            error_code: $row.error_code,
            error_message: $row.error_message,
            retry_count: $row.retry_count.unsigned_abs(),
            triggered_by: word(&$row.triggered_by)?,
            triggered_by_user_id: $row.triggered_by_user_id,
            source_record_id: $row.source_record_id,
            source_record_type: $row.source_record_type,
            external_reference_id: $row.external_reference_id,
            request_payload_hash: $row.request_payload_hash,
            http_status_code: $row.http_status_code,
            duration_ms: $row.duration_ms,
            started_at: $row.started_at,
            completed_at: $row.completed_at,
            metadata: $metadata,
            warnings: $warnings,
            backfill: $row.backfill,
            client_run_id: $row.client_run_id,
        }
    };
}

impl TryFrom<Row> for SyncLog {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(sync_log!(row, row.metadata, row.warnings.0))
    }
}

impl TryFrom<SyncLogColumns> for SyncLog {
    type Error = StoreError;

    fn try_from(row: SyncLogColumns) -> Result<Self, StoreError> {
        let metadata = row.metadata.as_deref().map(serde_json::from_str).transpose()?;
        Ok(sync_log!(row, metadata, serde_json::from_str(&row.warnings)?))
    }
}

/// Inserts a new sync. Rule triggers name the rule that refused.
pub async fn insert(tx: &mut OrgTx, sync: &SyncLog) -> Result<(), StoreError> {
    let organization_id = tx.organization_id();
    sqlx::query(
        "
        INSERT INTO sync_logs (
            id, integration_config_id, organization_id, connector_type, sync_type, status, records_processed,
            records_failed, records_total, error_code, error_message, triggered_by, triggered_by_user_id,
            source_record_id, source_record_type, external_reference_id, request_payload_hash, http_status_code,
            duration_ms, started_at, completed_at, metadata, warnings, backfill, client_run_id
        )
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22,
                $23, $24, $25)
        ",
    )
    .bind(sync.id)
    .bind(sync.integration_config_id)
    .bind(organization_id)
    .bind(sync.connector_type.as_str())
    .bind(sync.sync_type.as_str())
    .bind(sync.status.as_str())
    .bind(sync.records_processed)
    .bind(sync.records_failed)
    .bind(sync.records_total)
    .bind(&sync.error_code)
    .bind(&sync.error_message)
    .bind(sync.triggered_by.as_str())
    .bind(sync.triggered_by_user_id)
    .bind(sync.source_record_id)
    .bind(&sync.source_record_type)
    .bind(&sync.external_reference_id)
    .bind(&sync.request_payload_hash)
    .bind(sync.http_status_code)
    .bind(sync.duration_ms)
    .bind(sync.started_at)
    .bind(sync.completed_at)
    .bind(&sync.metadata)
    .bind(Json(&sync.warnings))
    .bind(sync.backfill)
    .bind(&sync.client_run_id)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// One sync of the organization.
pub async fn find(tx: &mut OrgTx, id: Uuid) -> Result<Option<SyncLog>, StoreError> {
    select(tx, id, "SELECT * FROM sync_logs WHERE organization_id = $1 AND started_at = $2 AND id = $3").await
}

/// One sync of the organization, held against other writers until the transaction ends.
pub async fn lock(tx: &mut OrgTx, id: Uuid) -> Result<Option<SyncLog>, StoreError> {
    select(tx, id, "SELECT * FROM sync_logs WHERE organization_id = $1 AND started_at = $2 AND id = $3 FOR UPDATE")
        .await
}

async fn select(tx: &mut OrgTx, id: Uuid, sql: &'static str) -> Result<Option<SyncLog>, StoreError> {
    let Some(key) = SyncKey::of(id) else { return Ok(None) };
    let organization_id = tx.organization_id();
    let row: Option<Row> =
        sqlx::query_as(sql).bind(organization_id).bind(key.started_at).bind(key.id).fetch_optional(tx.conn()).await?;
    row.map(TryInto::try_into).transpose()
}

/// Writes what an ended attempt left: status, times, cumulative counts, error, warnings.
pub async fn update_ended(tx: &mut OrgTx, sync: &SyncLog) -> Result<(), StoreError> {
    let organization_id = tx.organization_id();
    sqlx::query(
        "
        UPDATE sync_logs
        SET status = $4, records_processed = $5, records_failed = $6, records_total = $7, error_code = $8,
            error_message = $9, external_reference_id = $10, request_payload_hash = $11, http_status_code = $12,
            duration_ms = $13, completed_at = $14, warnings = $15
        WHERE organization_id = $1 AND started_at = $2 AND id = $3
        ",
    )
    .bind(organization_id)
    .bind(sync.started_at)
    .bind(sync.id)
    .bind(sync.status.as_str())
    .bind(sync.records_processed)
    .bind(sync.records_failed)
    .bind(sync.records_total)
    .bind(&sync.error_code)
    .bind(&sync.error_message)
    .bind(&sync.external_reference_id)
    .bind(&sync.request_payload_hash)
    .bind(sync.http_status_code)
    .bind(sync.duration_ms)
    .bind(sync.completed_at)
    .bind(Json(&sync.warnings))
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// A retry was asked for: `pending`; counts and error stay until the attempt is claimed.
pub async fn update_pending(tx: &mut OrgTx, key: SyncKey) -> Result<(), StoreError> {
    let organization_id = tx.organization_id();
    sqlx::query(
        "
        UPDATE sync_logs SET status = 'pending', completed_at = NULL, duration_ms = NULL
        WHERE organization_id = $1 AND started_at = $2 AND id = $3
        ",
    )
    .bind(organization_id)
    .bind(key.started_at)
    .bind(key.id)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// An attempt was claimed: `in_progress`; counts and error are null until it ends.
pub async fn update_in_progress(
    tx: &mut OrgTx,
    key: SyncKey,
    retry_count: u16,
    records_total: Option<i32>,
) -> Result<(), StoreError> {
    let organization_id = tx.organization_id();
    sqlx::query(
        "
        UPDATE sync_logs
        SET status = 'in_progress', retry_count = $4, records_total = coalesce($5, records_total),
            records_processed = NULL, records_failed = NULL, error_code = NULL, error_message = NULL,
            http_status_code = NULL
        WHERE organization_id = $1 AND started_at = $2 AND id = $3
        ",
    )
    .bind(organization_id)
    .bind(key.started_at)
    .bind(key.id)
    .bind(i16::try_from(retry_count).unwrap_or(i16::MAX))
    .bind(records_total)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Sets the records in scope while an attempt runs.
pub async fn update_records_total(tx: &mut OrgTx, key: SyncKey, records_total: i32) -> Result<(), StoreError> {
    let organization_id = tx.organization_id();
    sqlx::query("UPDATE sync_logs SET records_total = $4 WHERE organization_id = $1 AND started_at = $2 AND id = $3")
        .bind(organization_id)
        .bind(key.started_at)
        .bind(key.id)
        .bind(records_total)
        .execute(tx.conn())
        .await?;
    Ok(())
}
