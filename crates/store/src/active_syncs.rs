//! What is under way: the queue, the leases, and the claims on records.

use chrono::{DateTime, Utc};
use domain::integration::ConnectorType;
use uuid::Uuid;

use crate::database::{OrgTx, PlainTx};
use crate::error::StoreError;
use crate::source_records::RecordKey;
use crate::sync_logs::SyncKey;

/// An attempt that waits or runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActiveSync {
    /// The organization.
    pub organization_id: Uuid,
    /// The sync.
    pub sync: SyncKey,
    /// The integration.
    pub integration_config_id: Uuid,
    /// The attempt that waits or runs.
    pub attempt: u16,
    /// Whether it runs.
    pub running: bool,
    /// Whether Syncwatch's own worker runs it.
    pub managed: bool,
    /// The person who asked for it, where one did.
    pub requested_by: Option<Uuid>,
    /// Whether it is a retry that nobody asked for.
    pub automatic: bool,
    /// The process that runs it, for managed ones.
    pub lease_owner: Option<Uuid>,
    /// Length of its lease.
    pub lease_seconds: u32,
    /// When it counts as abandoned or unclaimed.
    pub lease_expires_at: DateTime<Utc>,
}

#[derive(sqlx::FromRow)]
struct Row {
    organization_id: Uuid,
    sync_id: Uuid,
    sync_started_at: DateTime<Utc>,
    integration_config_id: Uuid,
    attempt_number: i16,
    running: bool,
    managed: bool,
    requested_by: Option<Uuid>,
    automatic: bool,
    lease_owner: Option<Uuid>,
    lease_seconds: i32,
    lease_expires_at: DateTime<Utc>,
}

impl From<Row> for ActiveSync {
    fn from(row: Row) -> Self {
        Self {
            organization_id: row.organization_id,
            sync: SyncKey { id: row.sync_id, started_at: row.sync_started_at },
            integration_config_id: row.integration_config_id,
            attempt: row.attempt_number.unsigned_abs(),
            running: row.running,
            managed: row.managed,
            requested_by: row.requested_by,
            automatic: row.automatic,
            lease_owner: row.lease_owner,
            lease_seconds: row.lease_seconds.unsigned_abs(),
            lease_expires_at: row.lease_expires_at,
        }
    }
}

/// Inserts an attempt that waits or runs.
pub async fn insert(tx: &mut OrgTx, active: &ActiveSync, now: DateTime<Utc>) -> Result<(), StoreError> {
    let organization_id = tx.organization_id();
    sqlx::query(
        "
        INSERT INTO active_syncs (
            organization_id, sync_id, sync_started_at, integration_config_id, attempt_number, running, managed,
            requested_by, automatic, lease_owner, lease_seconds, lease_expires_at, created_at
        )
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
        ",
    )
    .bind(organization_id)
    .bind(active.sync.id)
    .bind(active.sync.started_at)
    .bind(active.integration_config_id)
    .bind(i16::try_from(active.attempt).unwrap_or(i16::MAX))
    .bind(active.running)
    .bind(active.managed)
    .bind(active.requested_by)
    .bind(active.automatic)
    .bind(active.lease_owner)
    .bind(active.lease_seconds.cast_signed())
    .bind(active.lease_expires_at)
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// The attempt of a sync that waits or runs, held until the transaction ends.
pub async fn lock(tx: &mut OrgTx, sync_id: Uuid) -> Result<Option<ActiveSync>, StoreError> {
    let organization_id = tx.organization_id();
    let row: Option<Row> =
        sqlx::query_as("SELECT * FROM active_syncs WHERE organization_id = $1 AND sync_id = $2 FOR UPDATE")
            .bind(organization_id)
            .bind(sync_id)
            .fetch_optional(tx.conn())
            .await?;
    Ok(row.map(Into::into))
}

/// Marks a waiting attempt as running under a lease; a managed one names the external system it sends to.
pub async fn update_running(
    tx: &mut OrgTx,
    sync_id: Uuid,
    attempt: u16,
    lease_owner: Option<Uuid>,
    lease_seconds: u32,
    external_system_id: Option<Uuid>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let organization_id = tx.organization_id();
    sqlx::query(
        "
        UPDATE active_syncs
        SET running = true, attempt_number = $3, lease_owner = $4, lease_seconds = $5,
            lease_expires_at = $6 + $5 * interval '1 second', external_system_id = $7
        WHERE organization_id = $1 AND sync_id = $2
        ",
    )
    .bind(organization_id)
    .bind(sync_id)
    .bind(i16::try_from(attempt).unwrap_or(i16::MAX))
    .bind(lease_owner)
    .bind(lease_seconds.cast_signed())
    .bind(now)
    .bind(external_system_id)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Extends the lease of a running attempt; returns whether it still runs (under this owner, where one is given).
pub async fn extend(
    tx: &mut OrgTx,
    sync_id: Uuid,
    attempt: u16,
    lease_owner: Option<Uuid>,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let organization_id = tx.organization_id();
    let done = sqlx::query(
        "
        UPDATE active_syncs SET lease_expires_at = $5 + lease_seconds * interval '1 second'
        WHERE organization_id = $1 AND sync_id = $2 AND attempt_number = $3 AND running
            AND lease_owner IS NOT DISTINCT FROM $4
        ",
    )
    .bind(organization_id)
    .bind(sync_id)
    .bind(i16::try_from(attempt).unwrap_or(i16::MAX))
    .bind(lease_owner)
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Ends what is under way for a sync, and with it its claims.
pub async fn delete(tx: &mut OrgTx, sync_id: Uuid) -> Result<(), StoreError> {
    let organization_id = tx.organization_id();
    sqlx::query("DELETE FROM active_syncs WHERE organization_id = $1 AND sync_id = $2")
        .bind(organization_id)
        .bind(sync_id)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// A sync of the integration that waits or runs.
pub async fn find_of_integration(tx: &mut OrgTx, integration_config_id: Uuid) -> Result<Option<Uuid>, StoreError> {
    let organization_id = tx.organization_id();
    Ok(sqlx::query_scalar(
        "
        SELECT sync_id FROM active_syncs WHERE organization_id = $1 AND integration_config_id = $2
        ORDER BY created_at DESC LIMIT 1
        ",
    )
    .bind(organization_id)
    .bind(integration_config_id)
    .fetch_optional(tx.conn())
    .await?)
}

/// A sync of everything that waits or runs: neither one of a single record nor a retry, which send nothing new.
pub async fn find_whole_of_integration(
    tx: &mut OrgTx,
    integration_config_id: Uuid,
) -> Result<Option<Uuid>, StoreError> {
    let organization_id = tx.organization_id();
    Ok(sqlx::query_scalar(
        "
        SELECT sync_id FROM active_syncs
        WHERE organization_id = $1 AND integration_config_id = $2 AND attempt_number = 0
            AND (
                SELECT source_record_id FROM sync_logs
                WHERE sync_logs.organization_id = $1 AND sync_logs.started_at = active_syncs.sync_started_at
                    AND sync_logs.id = active_syncs.sync_id
            ) IS NULL
        ORDER BY created_at DESC LIMIT 1
        ",
    )
    .bind(organization_id)
    .bind(integration_config_id)
    .fetch_optional(tx.conn())
    .await?)
}

/// Claims records for a sync; returns those that were free. The others are under way elsewhere.
pub async fn claim_records(
    tx: &mut OrgTx,
    connector_type: ConnectorType,
    sync_id: Uuid,
    records: &[RecordKey],
) -> Result<Vec<RecordKey>, StoreError> {
    let organization_id = tx.organization_id();
    let (types, ids) = RecordKey::columns(records);
    let mut claimed: Vec<(String, Uuid)> = sqlx::query_as(
        "
        INSERT INTO sync_claims (organization_id, connector_type, source_record_type, source_record_id, sync_id)
        SELECT $1, $2, record.type, record.id, $3
        FROM unnest($4::text[], $5::uuid[]) AS record (type, id)
        ORDER BY record.type, record.id
        ON CONFLICT DO NOTHING
        RETURNING source_record_type, source_record_id
        ",
    )
    .bind(organization_id)
    .bind(connector_type.as_str())
    .bind(sync_id)
    .bind(&types)
    .bind(&ids)
    .fetch_all(tx.conn())
    .await?;
    // A record this sync holds already is its own. Each is looked up by its key (`OFFSET 0`): where nothing is known yet of
    // claims just made, PostgreSQL would read all of the sync for each of them.
    let own: Vec<(String, Uuid)> = sqlx::query_as(
        "
        SELECT record.type, record.id FROM unnest($4::text[], $5::uuid[]) AS record (type, id)
        CROSS JOIN LATERAL (
            SELECT sync_id FROM sync_claims
            WHERE organization_id = $1 AND connector_type = $2
                AND source_record_type = record.type AND source_record_id = record.id
            OFFSET 0
        ) AS claim
        WHERE claim.sync_id = $3
        ",
    )
    .bind(organization_id)
    .bind(connector_type.as_str())
    .bind(sync_id)
    .bind(&types)
    .bind(&ids)
    .fetch_all(tx.conn())
    .await?;
    claimed.extend(own);
    claimed.sort();
    claimed.dedup();
    Ok(claimed.into_iter().map(RecordKey::from).collect())
}

/// The sync that has a record under way.
pub async fn find_claim(
    tx: &mut OrgTx,
    connector_type: ConnectorType,
    record: &RecordKey,
) -> Result<Option<Uuid>, StoreError> {
    let organization_id = tx.organization_id();
    Ok(sqlx::query_scalar(
        "
        SELECT sync_id FROM sync_claims
        WHERE organization_id = $1 AND connector_type = $2 AND source_record_type = $3 AND source_record_id = $4
        ",
    )
    .bind(organization_id)
    .bind(connector_type.as_str())
    .bind(&record.source_record_type)
    .bind(record.source_record_id)
    .fetch_optional(tx.conn())
    .await?)
}

/// Attempts that wait for Syncwatch's own worker: organizations take turns, those first that have the least under way;
/// within one, the oldest first. Somebody else may claim one first.
pub async fn queue(tx: &mut PlainTx, limit: i64) -> Result<Vec<ActiveSync>, StoreError> {
    let rows: Vec<Row> = sqlx::query_as(
        "
        SELECT waiting.* FROM (
            SELECT *, row_number() OVER (PARTITION BY organization_id ORDER BY created_at, sync_id) AS place
            FROM active_syncs WHERE managed AND NOT running
        ) AS waiting
        LEFT JOIN (
            SELECT organization_id, count(*) AS number FROM active_syncs WHERE managed AND running
            GROUP BY organization_id
        ) AS under_way ON under_way.organization_id = waiting.organization_id
        ORDER BY coalesce(under_way.number, 0) + waiting.place, waiting.created_at, waiting.sync_id
        LIMIT $1
        ",
    )
    .bind(limit)
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(Into::into).collect())
}

/// Attempts whose lease ran out, or that nobody claimed in time.
pub async fn expired(tx: &mut PlainTx, now: DateTime<Utc>, limit: i64) -> Result<Vec<ActiveSync>, StoreError> {
    let rows: Vec<Row> =
        sqlx::query_as("SELECT * FROM active_syncs WHERE lease_expires_at <= $1 ORDER BY lease_expires_at LIMIT $2")
            .bind(now)
            .bind(limit)
            .fetch_all(tx.conn())
            .await?;
    Ok(rows.into_iter().map(Into::into).collect())
}
