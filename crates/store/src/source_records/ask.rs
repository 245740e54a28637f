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
/// where there is one. What became of them in any other way meanwhile stays, and so does one that it was found to have
/// taken meanwhile. The system's own id of one that it has refused is of no use any more: whatever is sent next, it is
/// not that.
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
            external_reference_id = NULL,
            refused_for_good = refused_for_good OR record.refused, updated_at = $5
        FROM (
            SELECT $1::uuid AS organization, $2::uuid AS integration, type, id, refused
            FROM unnest($3::text[], $4::uuid[], $6::boolean[]) AS record (type, id, refused) OFFSET 0
        ) AS record
        WHERE organization_id = organization AND integration_config_id = integration
            AND source_record_type = record.type AND source_record_id = record.id AND state = 'unknown'
            AND (record.refused OR external_reference_id IS NULL)
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

/// Keeps the system's own ids of records in doubt that it has taken and may refuse after all: whoever asks once more and
/// does not find them knows that they were there.
pub async fn note_taken(
    tx: &mut OrgTx,
    integration_config_id: Uuid,
    taken: &[(&RecordKey, &str)],
) -> Result<(), StoreError> {
    if taken.is_empty() {
        return Ok(());
    }
    let organization_id = tx.organization_id();
    sqlx::query(
        "
        UPDATE source_records SET external_reference_id = record.reference
        FROM (
            SELECT $1::uuid AS organization, $2::uuid AS integration, type, id, reference
            FROM unnest($3::text[], $4::uuid[], $5::text[]) AS record (type, id, reference) OFFSET 0
        ) AS record
        WHERE organization_id = organization AND integration_config_id = integration
            AND source_record_type = record.type AND source_record_id = record.id AND state = 'unknown'
            AND external_reference_id IS DISTINCT FROM record.reference
        ",
    )
    .bind(organization_id)
    .bind(integration_config_id)
    .bind(taken.iter().map(|(key, _)| key.source_record_type.as_str()).collect::<Vec<_>>())
    .bind(taken.iter().map(|(key, _)| key.source_record_id).collect::<Vec<_>>())
    .bind(taken.iter().map(|(_, reference)| *reference).collect::<Vec<_>>())
    .persistent(false)
    .execute(tx.conn())
    .await?;
    Ok(())
}
