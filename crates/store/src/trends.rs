//! Counts and durations of an integration over time.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::database::OrgTx;
use crate::error::StoreError;

/// One bucket that holds at least one sync.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct TrendRow {
    /// Its beginning.
    pub start: DateTime<Utc>,
    /// Syncs that began in it.
    pub syncs: i64,
    /// Of those: failed.
    pub failed_syncs: i64,
    /// Records delivered.
    pub records_processed: i64,
    /// Records failed.
    pub records_failed: i64,
    /// Median duration of the attempts.
    pub p50_duration_ms: Option<i64>,
    /// 95th percentile of the attempts' durations.
    pub p95_duration_ms: Option<i64>,
}

/// Buckets of an integration in a period, oldest first. `unit` is `day` or `hour`, in UTC.
pub async fn list(
    tx: &mut OrgTx,
    integration_config_id: Uuid,
    unit: &'static str,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
) -> Result<Vec<TrendRow>, StoreError> {
    let organization_id = tx.organization_id();
    Ok(sqlx::query_as(
        "
        WITH syncs AS (
            SELECT id, started_at, status, records_processed, records_failed,
                   date_trunc($3, started_at, 'UTC') AS start
            FROM sync_logs
            WHERE organization_id = $1 AND integration_config_id = $2 AND started_at >= $4 AND started_at < $5
        ),
        sums AS (
            SELECT start, count(*) AS syncs,
                   count(*) FILTER (WHERE status IN ('failed', 'retried_failed')) AS failed_syncs,
                   coalesce(sum(records_processed), 0) AS records_processed,
                   coalesce(sum(records_failed), 0) AS records_failed
            FROM syncs GROUP BY start
        ),
        durations AS (
            SELECT syncs.start,
                   percentile_disc(0.5) WITHIN GROUP (ORDER BY sync_attempts.duration_ms) AS p50_duration_ms,
                   percentile_disc(0.95) WITHIN GROUP (ORDER BY sync_attempts.duration_ms) AS p95_duration_ms
            FROM syncs
            JOIN sync_attempts
                ON sync_attempts.organization_id = $1 AND sync_attempts.sync_started_at = syncs.started_at
                AND sync_attempts.sync_id = syncs.id
            WHERE sync_attempts.duration_ms IS NOT NULL
            GROUP BY syncs.start
        )
        SELECT sums.start, syncs, failed_syncs, records_processed, records_failed, p50_duration_ms, p95_duration_ms
        FROM sums LEFT JOIN durations ON durations.start = sums.start
        ORDER BY sums.start
        ",
    )
    .bind(organization_id)
    .bind(integration_config_id)
    .bind(unit)
    .bind(from)
    .bind(to)
    .fetch_all(tx.conn())
    .await?)
}
