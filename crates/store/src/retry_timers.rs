//! When syncs are retried by themselves: `retry_timers`. Ids and moments only.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::database::{OrgTx, PlainTx};
use crate::error::StoreError;
use crate::sync_logs::SyncKey;

/// A sync whose moment has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct DueRetry {
    /// The organization.
    pub organization_id: Uuid,
    /// The sync.
    pub sync_id: Uuid,
}

/// Sets the moment at which a sync is retried by itself.
pub async fn set(tx: &mut OrgTx, sync: SyncKey, due_at: DateTime<Utc>) -> Result<(), StoreError> {
    let organization_id = tx.organization_id();
    sqlx::query(
        "
        INSERT INTO retry_timers (organization_id, sync_id, sync_started_at, due_at) VALUES ($1, $2, $3, $4)
        ON CONFLICT (organization_id, sync_id) DO UPDATE SET due_at = excluded.due_at
        ",
    )
    .bind(organization_id)
    .bind(sync.id)
    .bind(sync.started_at)
    .bind(due_at)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// When a sync is retried by itself.
pub async fn find(tx: &mut OrgTx, sync_id: Uuid) -> Result<Option<DateTime<Utc>>, StoreError> {
    let organization_id = tx.organization_id();
    Ok(sqlx::query_scalar("SELECT due_at FROM retry_timers WHERE organization_id = $1 AND sync_id = $2")
        .bind(organization_id)
        .bind(sync_id)
        .fetch_optional(tx.conn())
        .await?)
}

/// A sync is not retried by itself any more.
pub async fn delete(tx: &mut OrgTx, sync_id: Uuid) -> Result<(), StoreError> {
    let organization_id = tx.organization_id();
    sqlx::query("DELETE FROM retry_timers WHERE organization_id = $1 AND sync_id = $2")
        .bind(organization_id)
        .bind(sync_id)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Takes the moment of a sync if it has come; returns whether it had, so that of several processes one alone retries.
pub async fn take(tx: &mut OrgTx, sync_id: Uuid, now: DateTime<Utc>) -> Result<bool, StoreError> {
    let organization_id = tx.organization_id();
    let done = sqlx::query("DELETE FROM retry_timers WHERE organization_id = $1 AND sync_id = $2 AND due_at <= $3")
        .bind(organization_id)
        .bind(sync_id)
        .bind(now)
        .execute(tx.conn())
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Puts off a moment that has come, if it still is the same.
pub async fn put_off(
    tx: &mut OrgTx,
    sync_id: Uuid,
    now: DateTime<Utc>,
    due_at: DateTime<Utc>,
) -> Result<(), StoreError> {
    let organization_id = tx.organization_id();
    sqlx::query("UPDATE retry_timers SET due_at = $4 WHERE organization_id = $1 AND sync_id = $2 AND due_at <= $3")
        .bind(organization_id)
        .bind(sync_id)
        .bind(now)
        .bind(due_at)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Syncs whose moment has come.
pub async fn due(tx: &mut PlainTx, now: DateTime<Utc>, limit: i64) -> Result<Vec<DueRetry>, StoreError> {
    Ok(sqlx::query_as("SELECT organization_id, sync_id FROM retry_timers WHERE due_at <= $1 ORDER BY due_at LIMIT $2")
        .bind(now)
        .bind(limit)
        .fetch_all(tx.conn())
        .await?)
}
