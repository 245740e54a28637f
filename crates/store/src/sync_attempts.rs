//! Attempts: `sync_attempts`, one row per execution of a sync.

use chrono::{DateTime, Utc};
use domain::columns::SyncAttemptColumns;
use domain::sync_log::SyncStatus;
use uuid::Uuid;

use crate::archives::LedgerColumns as _;
use crate::database::OrgTx;
use crate::error::StoreError;
use crate::sync_logs::SyncKey;
use crate::words::word;

/// One execution of a sync.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncAttempt {
    /// 0 for the first, then the number of the retry.
    pub number: u16,
    /// `in_progress`, `success` or `failed`.
    pub status: SyncStatus,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub completed_at: Option<DateTime<Utc>>,
    /// Its own wall-clock milliseconds.
    pub duration_ms: Option<i64>,
    /// Records in its scope.
    pub records_total: Option<i32>,
    /// Records with a final outcome, while it runs.
    pub records_done: i32,
    /// Delivered in it.
    pub records_processed: Option<i32>,
    /// Failed in it.
    pub records_failed: Option<i32>,
    /// Left out on purpose in it.
    pub records_skipped: Option<i32>,
    /// Sent in it without an answer.
    pub records_unknown: Option<i32>,
    /// In its scope and never sent.
    pub records_not_attempted: Option<i32>,
    /// Machine-readable code of its failure.
    pub error_code: Option<String>,
    /// The external system's words.
    pub error_message: Option<String>,
    /// HTTP status of the external system's answer.
    pub http_status_code: Option<i16>,
    /// The person who asked for it.
    pub triggered_by_user_id: Option<Uuid>,
}

impl SyncAttempt {
    /// An attempt that begins.
    pub const fn begun(
        number: u16,
        started_at: DateTime<Utc>,
        records_total: Option<i32>,
        triggered_by_user_id: Option<Uuid>,
    ) -> Self {
        Self {
            number,
            status: SyncStatus::InProgress,
            started_at,
            completed_at: None,
            duration_ms: None,
            records_total,
            records_done: 0,
            records_processed: None,
            records_failed: None,
            records_skipped: None,
            records_unknown: None,
            records_not_attempted: None,
            error_code: None,
            error_message: None,
            http_status_code: None,
            triggered_by_user_id,
        }
    }
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

fn column(number: u16) -> i16 {
    i16::try_from(number).unwrap_or(i16::MAX)
}

/// Inserts an attempt.
pub async fn insert(tx: &mut OrgTx, sync: SyncKey, attempt: &SyncAttempt) -> Result<(), StoreError> {
    let organization_id = tx.organization_id();
    sqlx::query(
        "
        INSERT INTO sync_attempts (
            organization_id, sync_started_at, sync_id, attempt_number, status, started_at, completed_at, duration_ms,
            records_total, records_done, records_processed, records_failed, records_skipped, records_unknown,
            records_not_attempted, error_code, error_message, http_status_code, triggered_by_user_id
        )
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)
        ",
    )
    .bind(organization_id)
    .bind(sync.started_at)
    .bind(sync.id)
    .bind(column(attempt.number))
    .bind(attempt.status.as_str())
    .bind(attempt.started_at)
    .bind(attempt.completed_at)
    .bind(attempt.duration_ms)
    .bind(attempt.records_total)
    .bind(attempt.records_done)
    .bind(attempt.records_processed)
    .bind(attempt.records_failed)
    .bind(attempt.records_skipped)
    .bind(attempt.records_unknown)
    .bind(attempt.records_not_attempted)
    .bind(&attempt.error_code)
    .bind(&attempt.error_message)
    .bind(attempt.http_status_code)
    .bind(attempt.triggered_by_user_id)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Writes how an attempt ended.
pub async fn update_ended(tx: &mut OrgTx, sync: SyncKey, attempt: &SyncAttempt) -> Result<(), StoreError> {
    let organization_id = tx.organization_id();
    sqlx::query(
        "
        UPDATE sync_attempts
        SET status = $5, completed_at = $6, duration_ms = $7, records_total = $8, records_done = $9,
            records_processed = $10, records_failed = $11, records_skipped = $12, records_unknown = $13,
            records_not_attempted = $14, error_code = $15, error_message = $16, http_status_code = $17
        WHERE organization_id = $1 AND sync_started_at = $2 AND sync_id = $3 AND attempt_number = $4
        ",
    )
    .bind(organization_id)
    .bind(sync.started_at)
    .bind(sync.id)
    .bind(column(attempt.number))
    .bind(attempt.status.as_str())
    .bind(attempt.completed_at)
    .bind(attempt.duration_ms)
    .bind(attempt.records_total)
    .bind(attempt.records_done)
    .bind(attempt.records_processed)
    .bind(attempt.records_failed)
    .bind(attempt.records_skipped)
    .bind(attempt.records_unknown)
    .bind(attempt.records_not_attempted)
    .bind(&attempt.error_code)
    .bind(&attempt.error_message)
    .bind(attempt.http_status_code)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Writes how far a running attempt is; what is left out stays.
pub async fn update_progress(
    tx: &mut OrgTx,
    sync: SyncKey,
    number: u16,
    records_total: Option<i32>,
    records_done: Option<i32>,
) -> Result<(), StoreError> {
    let organization_id = tx.organization_id();
    sqlx::query(
        "
        UPDATE sync_attempts
        SET records_total = coalesce($5, records_total), records_done = greatest(records_done, coalesce($6, 0))
        WHERE organization_id = $1 AND sync_started_at = $2 AND sync_id = $3 AND attempt_number = $4
            AND status = 'in_progress'
        ",
    )
    .bind(organization_id)
    .bind(sync.started_at)
    .bind(sync.id)
    .bind(column(number))
    .bind(records_total)
    .bind(records_done)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Counts records that have got their outcome in a running attempt; returns whether it runs.
pub async fn add_done(tx: &mut OrgTx, sync: SyncKey, number: u16, more: i32) -> Result<bool, StoreError> {
    let organization_id = tx.organization_id();
    let done = sqlx::query(
        "
        UPDATE sync_attempts SET records_done = records_done + $5
        WHERE organization_id = $1 AND sync_started_at = $2 AND sync_id = $3 AND attempt_number = $4
            AND status = 'in_progress'
        ",
    )
    .bind(organization_id)
    .bind(sync.started_at)
    .bind(sync.id)
    .bind(column(number))
    .bind(more)
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// One attempt.
pub async fn find(tx: &mut OrgTx, sync: SyncKey, number: u16) -> Result<Option<SyncAttempt>, StoreError> {
    let organization_id = tx.organization_id();
    let row = sqlx::query(
        "
        SELECT * FROM sync_attempts
        WHERE organization_id = $1 AND sync_started_at = $2 AND sync_id = $3 AND attempt_number = $4
        ",
    )
    .bind(organization_id)
    .bind(sync.started_at)
    .bind(sync.id)
    .bind(column(number))
    .fetch_optional(tx.conn())
    .await?;
    row.map(|row| SyncAttemptColumns::read(&row)?.try_into()).transpose()
}

/// Every attempt of a sync, the first one first.
pub async fn list(tx: &mut OrgTx, sync: SyncKey) -> Result<Vec<SyncAttempt>, StoreError> {
    let organization_id = tx.organization_id();
    let rows = sqlx::query(
        "
        SELECT * FROM sync_attempts
        WHERE organization_id = $1 AND sync_started_at = $2 AND sync_id = $3 ORDER BY attempt_number
        ",
    )
    .bind(organization_id)
    .bind(sync.started_at)
    .bind(sync.id)
    .fetch_all(tx.conn())
    .await?;
    rows.iter().map(|row| SyncAttemptColumns::read(row)?.try_into()).collect()
}
