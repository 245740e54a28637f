//! What comes of asking for records of unknown fate.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::RecordKey;
use crate::database::OrgTx;
use crate::error::StoreError;

/// Ends the doubt about records that their system does not have: they are free to be sent, with the version that waits
/// where there is one. What became of them in any other way meanwhile stays.
pub async fn settle_absent(
    tx: &mut OrgTx,
    integration_config_id: Uuid,
    keys: &[RecordKey],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let organization_id = tx.organization_id();
    let (types, ids) = RecordKey::columns(keys);
    sqlx::query(
        "
        UPDATE source_records
        SET state = 'failed', sent_in_doubt_since = NULL, given_up_at = NULL,
            payload_sealed = coalesce(next_payload_sealed, payload_sealed),
            payload_key_id = coalesce(next_payload_key_id, payload_key_id),
            payload_hash = coalesce(next_payload_hash, payload_hash),
            next_payload_sealed = NULL, next_payload_key_id = NULL, next_payload_hash = NULL, updated_at = $5
        FROM (
            SELECT $1::uuid AS organization, $2::uuid AS integration, type, id
            FROM unnest($3::text[], $4::uuid[]) AS record (type, id) OFFSET 0
        ) AS record
        WHERE organization_id = organization AND integration_config_id = integration
            AND source_record_type = record.type AND source_record_id = record.id AND state = 'unknown'
        ",
    )
    .bind(organization_id)
    .bind(integration_config_id)
    .bind(types)
    .bind(ids)
    .bind(now)
    .persistent(false)
    .execute(tx.conn())
    .await?;
    Ok(())
}
