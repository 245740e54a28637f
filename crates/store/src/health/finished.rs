//! What the ledger says of an integration's finished syncs, for building its health row anew.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::database::OrgTx;
use crate::error::StoreError;
use crate::sync_logs::{Row, SyncKey, SyncLog};

/// Syncs of an integration (`$2`) that are no backfill, as their latest finished attempt left them: one whose retry waits
/// or runs stands here as it did before. Whether a success awaits its records' posting is told by its remarks, which
/// stay until an attempt ends.
macro_rules! finished {
    () => {
        "
        SELECT syncs.started_at, syncs.id, coalesce(former.status, syncs.status) AS status,
               greatest(coalesce(former.completed_at, syncs.completed_at), syncs.started_at) AS completed_at,
               syncs.warnings @> '[{\"code\": \"AWAITING_POSTING\"}]' AS awaits
        FROM sync_logs AS syncs
        LEFT JOIN LATERAL (
            SELECT CASE WHEN attempt_number = 0 THEN status ELSE 'retried_' || status END AS status, completed_at
            FROM sync_attempts
            WHERE syncs.status IN ('pending', 'in_progress') AND sync_attempts.status <> 'in_progress'
                AND sync_attempts.organization_id = $1 AND sync_started_at = syncs.started_at AND sync_id = syncs.id
            ORDER BY attempt_number DESC LIMIT 1
        ) AS former ON true
        WHERE syncs.organization_id = $1 AND syncs.integration_config_id = $2 AND NOT syncs.backfill
            AND (syncs.status NOT IN ('pending', 'in_progress') OR former.status IS NOT NULL)
            -- The first comparison says nothing new; the database leaves out partitions by it.
            AND syncs.started_at <= $3 AND (syncs.started_at, syncs.id) < ($3, $4)
        "
    };
}

/// How many syncs started before this one and failed without a success in between, and when the first of them turned the
/// light red: a first attempt as it ended, a failed retry as its sync began. A success that awaits the posting of its
/// records is none yet.
pub async fn failures_before(
    tx: &mut OrgTx,
    integration_config_id: Uuid,
    before: SyncKey,
) -> Result<(i64, Option<DateTime<Utc>>), StoreError> {
    let organization_id = tx.organization_id();
    let success: Option<(DateTime<Utc>, Uuid)> = sqlx::query_as(concat!(
        "SELECT started_at, id FROM (",
        finished!(),
        ") AS finished WHERE status IN ('success', 'retried_success') AND NOT awaits
            ORDER BY started_at DESC, id DESC LIMIT 1"
    ))
    .bind(organization_id)
    .bind(integration_config_id)
    .bind(before.started_at)
    .bind(before.id)
    .fetch_optional(tx.conn())
    .await?;
    let (since, id) = success.unzip();
    Ok(sqlx::query_as(concat!(
        "SELECT count(*), min(CASE WHEN status = 'retried_failed' THEN started_at ELSE completed_at END) FROM (",
        finished!(),
        // Without an OR, which no index could serve: the whole history would be read.
        ") AS finished WHERE status IN ('failed', 'retried_failed')
            AND started_at >= coalesce($5, '-infinity'::timestamptz)
            AND (started_at, id)
                > (coalesce($5, '-infinity'::timestamptz), coalesce($6, '00000000-0000-0000-0000-000000000000'::uuid))"
    ))
    .bind(organization_id)
    .bind(integration_config_id)
    .bind(before.started_at)
    .bind(before.id)
    .bind(since)
    .bind(id)
    .fetch_one(tx.conn())
    .await?)
}

/// The latest-started syncs of an integration that are no backfill and have a finished attempt, newest first, as they
/// stand now.
pub async fn latest_finished(
    tx: &mut OrgTx,
    integration_config_id: Uuid,
    limit: i64,
) -> Result<Vec<SyncLog>, StoreError> {
    let organization_id = tx.organization_id();
    let rows: Vec<Row> = sqlx::query_as(
        "
        SELECT * FROM sync_logs
        WHERE organization_id = $1 AND integration_config_id = $2 AND NOT backfill
            AND (
                status NOT IN ('pending', 'in_progress')
                OR EXISTS (
                    SELECT FROM sync_attempts
                    WHERE sync_attempts.organization_id = $1 AND sync_attempts.sync_started_at = sync_logs.started_at
                        AND sync_attempts.sync_id = sync_logs.id AND sync_attempts.status <> 'in_progress'
                )
            )
        ORDER BY started_at DESC, id DESC LIMIT $3
        ",
    )
    .bind(organization_id)
    .bind(integration_config_id)
    .bind(limit)
    .fetch_all(tx.conn())
    .await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

/// Whether the ledger's own tables hold the month of a moment; a month that they do not was archived.
pub async fn holds_month(tx: &mut OrgTx, moment: DateTime<Utc>) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar(
        "
        SELECT EXISTS (
            SELECT FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
            WHERE inhparent = 'public.sync_logs'::regclass
                AND relname = 'sync_logs_' || to_char($1 AT TIME ZONE 'UTC', 'YYYY_MM')
        )
        ",
    )
    .bind(moment)
    .fetch_one(tx.conn())
    .await?)
}
