//! Where records of an archived sync stand today.

use domain::columns::OutcomeColumns;
use uuid::Uuid;

use super::{errors_of, outcome_of, record_of};
use crate::database::OrgTx;
use crate::error::StoreError;
use crate::record_outcomes::{OutcomeRow, Standing};
use crate::source_records::RecordKey;
use crate::words::money;

/// Puts each archived outcome beside where its record stands over all syncs, in the same order: what the ledger's own
/// list gives for a sync that lies in the database.
pub async fn standing(
    tx: &mut OrgTx,
    integration_config_id: Uuid,
    outcomes: Vec<OutcomeColumns>,
) -> Result<Vec<OutcomeRow>, StoreError> {
    let organization_id = tx.organization_id();
    let keys: Vec<RecordKey> = outcomes.iter().map(record_of).collect();
    let (kinds, ids) = RecordKey::columns(&keys);
    let rows: Vec<Standing> = sqlx::query_as(
        "
        SELECT source_records.state,
               coalesce(coalesce(next_payload_hash, payload_hash) <> sent_hash, false) AS changed,
               source_records.resolution, source_records.resolution_reason, source_records.resolution_reference,
               users.name AS resolved_by, source_records.resolved_at
        FROM unnest($3::text[], $4::uuid[]) WITH ORDINALITY AS wanted (type, id, place)
        LEFT JOIN source_records
            ON source_records.organization_id = $1 AND source_records.integration_config_id = $2
            AND source_records.source_record_type = wanted.type AND source_records.source_record_id = wanted.id
        LEFT JOIN users ON users.id = source_records.resolved_by
        ORDER BY wanted.place
        ",
    )
    .bind(organization_id)
    .bind(integration_config_id)
    .bind(kinds)
    .bind(ids)
    .fetch_all(tx.conn())
    .await?;
    outcomes.into_iter().zip(keys).zip(rows).map(|((outcome, key), standing)| beside(outcome, key, standing)).collect()
}

fn beside(outcome: OutcomeColumns, key: RecordKey, standing: Standing) -> Result<OutcomeRow, StoreError> {
    Ok(OutcomeRow {
        attempt: outcome.attempt_number.unsigned_abs(),
        outcome: outcome_of(&outcome)?,
        errors: errors_of(&outcome)?,
        key,
        http_status_code: outcome.http_status_code,
        external_reference_id: outcome.external_reference_id,
        request_payload_hash: outcome.request_payload_hash,
        label: outcome.label,
        amount: outcome.amount.map(money),
        currency: outcome.currency,
        updated_at: outcome.updated_at,
        state: standing.state()?,
        changed: standing.changed,
        resolution: standing.resolution()?,
    })
}
