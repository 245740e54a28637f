//! Outcomes of syncs that are recorded after they ended.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::NewOutcome;
use crate::database::OrgTx;
use crate::error::StoreError;
use crate::sync_logs::SyncKey;

/// Inserts outcomes of the first attempts of syncs that are new in this transaction; a record stands once in each.
pub async fn insert_imported(
    tx: &mut OrgTx,
    outcomes: &[(SyncKey, &NewOutcome)],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let organization_id = tx.organization_id();
    let texts = |pick: fn(&NewOutcome) -> Option<&str>| -> Vec<Option<&str>> {
        outcomes.iter().map(|(_, new)| pick(new)).collect()
    };
    let errors =
        outcomes.iter().map(|(_, new)| serde_json::to_value(&new.errors)).collect::<Result<Vec<Value>, _>>()?;
    sqlx::query(
        "
        INSERT INTO sync_record_outcomes (
            organization_id, sync_started_at, sync_id, attempt_number, source_record_type, source_record_id, outcome,
            errors, http_status_code, external_reference_id, request_payload_hash, label, amount, currency, updated_at
        )
        SELECT $1, record.sync_started_at, record.sync_id, 0, record.type, record.id, record.outcome, record.errors,
               record.http_status, record.reference, record.hash, record.label, record.amount, record.currency, $2
        FROM unnest($3::timestamptz[], $4::uuid[], $5::text[], $6::uuid[], $7::text[], $8::jsonb[], $9::smallint[],
                    $10::text[], $11::text[], $12::text[], $13::numeric[], $14::text[])
            AS record (sync_started_at, sync_id, type, id, outcome, errors, http_status, reference, hash, label, amount,
                       currency)
        ",
    )
    .bind(organization_id)
    .bind(now)
    .bind(outcomes.iter().map(|(sync, _)| sync.started_at).collect::<Vec<_>>())
    .bind(outcomes.iter().map(|(sync, _)| sync.id).collect::<Vec<_>>())
    .bind(outcomes.iter().map(|(_, new)| new.key.source_record_type.as_str()).collect::<Vec<_>>())
    .bind(outcomes.iter().map(|(_, new)| new.key.source_record_id).collect::<Vec<_>>())
    .bind(outcomes.iter().map(|(_, new)| new.outcome.as_str()).collect::<Vec<_>>())
    .bind(errors)
    .bind(outcomes.iter().map(|(_, new)| new.http_status_code).collect::<Vec<_>>())
    .bind(texts(|new| new.external_reference_id.as_deref()))
    .bind(texts(|new| new.request_payload_hash.as_deref()))
    .bind(texts(|new| new.label.as_deref()))
    .bind(outcomes.iter().map(|(_, new)| new.amount).collect::<Vec<_>>())
    .bind(texts(|new| new.currency.as_deref()))
    .execute(tx.conn())
    .await?;
    Ok(())
}
