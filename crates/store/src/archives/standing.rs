//! Where records of an archived sync stand today.

use chrono::{DateTime, Utc};
use domain::record::Resolution;
use uuid::Uuid;

use super::OutcomeColumns;
use crate::database::OrgTx;
use crate::error::StoreError;
use crate::record_outcomes::OutcomeRow;
use crate::source_records::{RecordKey, ResolutionRow};
use crate::words::{money, word};

#[derive(sqlx::FromRow)]
struct Row {
    state: Option<String>,
    changed: bool,
    resolution: Option<String>,
    resolution_reason: Option<String>,
    resolution_reference: Option<String>,
    resolved_by: Option<String>,
    resolved_at: Option<DateTime<Utc>>,
}

/// Puts each archived outcome beside where its record stands over all syncs, in the same order: what the ledger's own
/// list gives for a sync that lies in the database.
pub async fn standing(
    tx: &mut OrgTx,
    integration_config_id: Uuid,
    outcomes: Vec<OutcomeColumns>,
) -> Result<Vec<OutcomeRow>, StoreError> {
    let organization_id = tx.organization_id();
    let keys: Vec<RecordKey> = outcomes.iter().map(OutcomeColumns::key).collect();
    let (kinds, ids) = RecordKey::columns(&keys);
    let rows: Vec<Row> = sqlx::query_as(
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
    outcomes.into_iter().zip(keys).zip(rows).map(|((outcome, key), row)| beside(outcome, key, row)).collect()
}

fn beside(outcome: OutcomeColumns, key: RecordKey, row: Row) -> Result<OutcomeRow, StoreError> {
    let resolution = match (row.resolution, row.resolution_reason, row.resolved_at) {
        (Some(resolution), Some(reason), Some(resolved_at)) => Some(ResolutionRow {
            resolution: word::<Resolution>(&resolution)?,
            reason,
            reference: row.resolution_reference,
            resolved_by: row.resolved_by,
            resolved_at,
        }),
        _ => None,
    };
    Ok(OutcomeRow {
        attempt: outcome.attempt_number.unsigned_abs(),
        outcome: outcome.outcome()?,
        errors: outcome.errors()?,
        key,
        http_status_code: outcome.http_status_code,
        external_reference_id: outcome.external_reference_id,
        request_payload_hash: outcome.request_payload_hash,
        label: outcome.label,
        amount: outcome.amount.map(money),
        currency: outcome.currency,
        updated_at: outcome.updated_at,
        state: row.state.as_deref().map(word).transpose()?,
        changed: row.changed,
        resolution,
    })
}
