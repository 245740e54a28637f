//! The timers of integrations: when the schedule is due and when the light turns red. Ids and moments only.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::database::{OrgTx, PlainTx};
use crate::error::StoreError;

/// Whose timer ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Due {
    /// The organization.
    pub organization_id: Uuid,
    /// The integration.
    pub integration_config_id: Uuid,
}

/// Sets an integration's timers.
pub async fn set(
    tx: &mut OrgTx,
    integration_config_id: Uuid,
    managed: bool,
    next_run_at: Option<DateTime<Utc>>,
    stale_at: Option<DateTime<Utc>>,
) -> Result<(), StoreError> {
    let organization_id = tx.organization_id();
    sqlx::query(
        "
        INSERT INTO integration_timers (organization_id, integration_config_id, managed, next_run_at, stale_at)
        VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (organization_id, integration_config_id) DO UPDATE
        SET managed = excluded.managed, next_run_at = excluded.next_run_at, stale_at = excluded.stale_at
        ",
    )
    .bind(organization_id)
    .bind(integration_config_id)
    .bind(managed)
    .bind(next_run_at)
    .bind(stale_at)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Sets only the moment at which the light turns red.
pub async fn set_stale_at(
    tx: &mut OrgTx,
    integration_config_id: Uuid,
    stale_at: Option<DateTime<Utc>>,
) -> Result<(), StoreError> {
    let organization_id = tx.organization_id();
    sqlx::query(
        "UPDATE integration_timers SET stale_at = $3 WHERE organization_id = $1 AND integration_config_id = $2",
    )
    .bind(organization_id)
    .bind(integration_config_id)
    .bind(stale_at)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// When the schedule of an integration is due next, or has been due since.
pub async fn find_next_run(tx: &mut OrgTx, integration_config_id: Uuid) -> Result<Option<DateTime<Utc>>, StoreError> {
    let organization_id = tx.organization_id();
    let row: Option<(Option<DateTime<Utc>>,)> = sqlx::query_as(
        "SELECT next_run_at FROM integration_timers WHERE organization_id = $1 AND integration_config_id = $2",
    )
    .bind(organization_id)
    .bind(integration_config_id)
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.and_then(|(next_run_at,)| next_run_at))
}

/// Takes the schedule's due moment if it is still the one that was seen; returns whether it was, so that of several
/// processes one alone starts the sync.
pub async fn advance_run(
    tx: &mut OrgTx,
    integration_config_id: Uuid,
    now: DateTime<Utc>,
    next_run_at: Option<DateTime<Utc>>,
) -> Result<bool, StoreError> {
    let organization_id = tx.organization_id();
    let done = sqlx::query(
        "
        UPDATE integration_timers SET next_run_at = $4
        WHERE organization_id = $1 AND integration_config_id = $2 AND next_run_at <= $3
        ",
    )
    .bind(organization_id)
    .bind(integration_config_id)
    .bind(now)
    .bind(next_run_at)
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Every organization that has an integration.
pub async fn organizations(tx: &mut PlainTx) -> Result<Vec<Uuid>, StoreError> {
    Ok(sqlx::query_scalar("SELECT DISTINCT organization_id FROM integration_timers ORDER BY 1")
        .fetch_all(tx.conn())
        .await?)
}

/// Managed integrations whose schedule is due.
pub async fn due_runs(tx: &mut PlainTx, now: DateTime<Utc>, limit: i64) -> Result<Vec<Due>, StoreError> {
    Ok(sqlx::query_as(
        "
        SELECT organization_id, integration_config_id FROM integration_timers
        WHERE next_run_at <= $1 AND managed ORDER BY next_run_at LIMIT $2
        ",
    )
    .bind(now)
    .bind(limit)
    .fetch_all(tx.conn())
    .await?)
}

/// Integrations whose freshness window ran out.
pub async fn due_stale(tx: &mut PlainTx, now: DateTime<Utc>, limit: i64) -> Result<Vec<Due>, StoreError> {
    Ok(sqlx::query_as(
        "
        SELECT organization_id, integration_config_id FROM integration_timers
        WHERE stale_at <= $1 ORDER BY stale_at LIMIT $2
        ",
    )
    .bind(now)
    .bind(limit)
    .fetch_all(tx.conn())
    .await?)
}
