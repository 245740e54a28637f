//! What was sent of records.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use super::RecordKey;
use crate::database::OrgTx;
use crate::error::StoreError;

/// The hashes of the versions that were sent last, of those records that were ever sent.
pub async fn sent_hashes(
    tx: &mut OrgTx,
    integration_config_id: Uuid,
    keys: &[RecordKey],
) -> Result<HashMap<RecordKey, String>, StoreError> {
    let organization_id = tx.organization_id();
    let (types, ids) = RecordKey::columns(keys);
    let rows: Vec<(String, Uuid, String)> = sqlx::query_as(
        "
        SELECT source_record_type, source_record_id, sent_hash
        FROM (
            SELECT $1::uuid AS organization, $2::uuid AS integration, type, id
            FROM unnest($3::text[], $4::uuid[]) AS record (type, id) OFFSET 0
        ) AS record
        JOIN source_records ON organization_id = organization AND integration_config_id = integration
            AND source_record_type = record.type AND source_record_id = record.id
        WHERE sent_hash IS NOT NULL
        ",
    )
    .bind(organization_id)
    .bind(integration_config_id)
    .bind(types)
    .bind(ids)
    .persistent(false)
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(|(kind, id, hash)| (RecordKey::from((kind, id)), hash)).collect())
}

/// Which of these records may have been taken, whatever is sent of them next.
pub async fn in_doubt(
    tx: &mut OrgTx,
    integration_config_id: Uuid,
    keys: &[RecordKey],
) -> Result<HashSet<RecordKey>, StoreError> {
    let organization_id = tx.organization_id();
    let (types, ids) = RecordKey::columns(keys);
    let rows: Vec<(String, Uuid)> = sqlx::query_as(
        "
        SELECT source_record_type, source_record_id
        FROM (
            SELECT $1::uuid AS organization, $2::uuid AS integration, type, id
            FROM unnest($3::text[], $4::uuid[]) AS record (type, id) OFFSET 0
        ) AS record
        JOIN source_records ON organization_id = organization AND integration_config_id = integration
            AND source_record_type = record.type AND source_record_id = record.id
        WHERE state = 'unknown' OR sent_in_doubt_since IS NOT NULL
        ",
    )
    .bind(organization_id)
    .bind(integration_config_id)
    .bind(types)
    .bind(ids)
    .persistent(false)
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(RecordKey::from).collect())
}
