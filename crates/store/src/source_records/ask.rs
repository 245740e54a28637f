//! What comes of asking for records of unknown fate.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::RecordKey;
use crate::database::OrgTx;
use crate::error::StoreError;

/// A record that its system does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AbsentRecord {
    /// Which.
    pub key: RecordKey,
    /// Whether the system had taken it, and has refused it after all: it stays so until somebody changes something.
    pub refused: bool,
}

/// Ends the doubt about records that their system does not have: they are free to be sent, with the version that waits
/// where there is one. What became of them in any other way meanwhile stays.
pub async fn settle_absent(
    tx: &mut OrgTx,
    integration_config_id: Uuid,
    records: &[AbsentRecord],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let organization_id = tx.organization_id();
    sqlx::query(
        "
        UPDATE source_records
        SET state = 'failed', sent_in_doubt_since = NULL, given_up_at = NULL,
            payload_sealed = coalesce(next_payload_sealed, payload_sealed),
            payload_key_id = coalesce(next_payload_key_id, payload_key_id),
            payload_hash = coalesce(next_payload_hash, payload_hash),
            next_payload_sealed = NULL, next_payload_key_id = NULL, next_payload_hash = NULL,
            refused_for_good = refused_for_good OR record.refused, updated_at = $5
        FROM (
            SELECT $1::uuid AS organization, $2::uuid AS integration, type, id, refused
            FROM unnest($3::text[], $4::uuid[], $6::boolean[]) AS record (type, id, refused) OFFSET 0
        ) AS record
        WHERE organization_id = organization AND integration_config_id = integration
            AND source_record_type = record.type AND source_record_id = record.id AND state = 'unknown'
        ",
    )
    .bind(organization_id)
    .bind(integration_config_id)
    .bind(records.iter().map(|record| record.key.source_record_type.as_str()).collect::<Vec<_>>())
    .bind(records.iter().map(|record| record.key.source_record_id).collect::<Vec<_>>())
    .bind(now)
    .bind(records.iter().map(|record| record.refused).collect::<Vec<_>>())
    .persistent(false)
    .execute(tx.conn())
    .await?;
    Ok(())
}
