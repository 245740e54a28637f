//! What a sync does with source records: finds those that are due, marks them as leaving, settles their outcomes.

use chrono::{DateTime, Utc};
use domain::record::{RecordOutcome, RecordState};
use rust_decimal::Decimal;
use uuid::Uuid;

use super::RecordKey;
use crate::database::OrgTx;
use crate::error::StoreError;
use crate::integrations::SealedBytes;
use crate::words::word;

/// Records a sync takes: never sent, or corrected since they failed; never delivered or handled ones. Oldest first.
pub async fn due(
    tx: &mut OrgTx,
    integration_config_id: Uuid,
    only: Option<&RecordKey>,
    limit: i64,
) -> Result<Vec<RecordKey>, StoreError> {
    let organization_id = tx.organization_id();
    let rows: Vec<(String, Uuid)> = sqlx::query_as(
        "
        SELECT source_record_type, source_record_id FROM source_records
        WHERE organization_id = $1 AND integration_config_id = $2 AND payload_sealed IS NOT NULL
            AND state IN ('staged', 'failed')
            AND (state = 'staged' OR payload_hash IS DISTINCT FROM sent_hash)
            AND ($3::text IS NULL OR (source_record_type, source_record_id) = ($3, $4))
        ORDER BY created_at, source_record_type, source_record_id
        LIMIT $5
        ",
    )
    .bind(organization_id)
    .bind(integration_config_id)
    .bind(only.map(|key| &key.source_record_type))
    .bind(only.map(|key| key.source_record_id))
    .bind(limit)
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(RecordKey::from).collect())
}

/// A record on its way out.
#[derive(Clone, Debug)]
pub struct OutboundRow {
    /// Which.
    pub key: RecordKey,
    /// Where it stands.
    pub state: RecordState,
    /// Its sealed payload; none if it was deleted or never staged.
    pub payload: Option<SealedBytes>,
    /// Hash of the payload.
    pub payload_hash: Option<String>,
    /// A human label.
    pub label: Option<String>,
    /// Its amount.
    pub amount: Option<Decimal>,
    /// ISO 4217 code of the amount.
    pub currency: Option<String>,
}

/// The current versions of records, held until the transaction ends.
pub async fn load_outbound(
    tx: &mut OrgTx,
    integration_config_id: Uuid,
    keys: &[RecordKey],
) -> Result<Vec<OutboundRow>, StoreError> {
    #[derive(sqlx::FromRow)]
    struct Row {
        source_record_type: String,
        source_record_id: Uuid,
        state: String,
        payload_sealed: Option<Vec<u8>>,
        payload_key_id: Option<String>,
        payload_hash: Option<String>,
        label: Option<String>,
        amount: Option<Decimal>,
        currency: Option<String>,
    }
    let organization_id = tx.organization_id();
    let (types, ids) = RecordKey::columns(keys);
    let rows: Vec<Row> = sqlx::query_as(
        "
        SELECT source_record_type, source_record_id, state, payload_sealed, payload_key_id, payload_hash, label,
               amount, currency
        FROM source_records
        WHERE organization_id = $1 AND integration_config_id = $2
            AND (source_record_type, source_record_id) IN (
                SELECT record.type, record.id FROM unnest($3::text[], $4::uuid[]) AS record (type, id)
            )
        ORDER BY source_record_type, source_record_id
        FOR UPDATE
        ",
    )
    .bind(organization_id)
    .bind(integration_config_id)
    .bind(types)
    .bind(ids)
    .fetch_all(tx.conn())
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(OutboundRow {
                key: RecordKey { source_record_type: row.source_record_type, source_record_id: row.source_record_id },
                state: word(&row.state)?,
                payload: row
                    .payload_sealed
                    .zip(row.payload_key_id)
                    .map(|(bytes, key_id)| SealedBytes { key_id, bytes }),
                payload_hash: row.payload_hash,
                label: row.label,
                amount: row.amount,
                currency: row.currency,
            })
        })
        .collect()
}

/// Marks records as leaving with their current version, before the request does.
pub async fn mark_sending(
    tx: &mut OrgTx,
    integration_config_id: Uuid,
    sync_id: Uuid,
    keys: &[RecordKey],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let organization_id = tx.organization_id();
    let (types, ids) = RecordKey::columns(keys);
    sqlx::query(
        "
        UPDATE source_records
        SET state = 'sending', sent_hash = payload_hash, last_sync_id = $5, updated_at = $6
        FROM unnest($3::text[], $4::uuid[]) AS record (type, id)
        WHERE organization_id = $1 AND integration_config_id = $2
            AND source_record_type = record.type AND source_record_id = record.id
        ",
    )
    .bind(organization_id)
    .bind(integration_config_id)
    .bind(types)
    .bind(ids)
    .bind(sync_id)
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// A record whose request was answered (or was not).
#[derive(Clone, Debug)]
pub struct SettledRecord<'a> {
    /// Which.
    pub key: &'a RecordKey,
    /// What happened.
    pub outcome: RecordOutcome,
    /// The external system's id.
    pub external_reference_id: Option<&'a str>,
}

/// Writes what became of records that were `sending`. A delivered record's payload is deleted, unless a newer version
/// waits and the integration sends updates; a version that waits takes the place of one that did not arrive.
pub async fn settle(
    tx: &mut OrgTx,
    integration_config_id: Uuid,
    records: &[SettledRecord<'_>],
    allow_updates: bool,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let organization_id = tx.organization_id();
    let settled: Vec<_> =
        records.iter().filter_map(|record| Some((record, RecordState::after(record.outcome)?))).collect();
    sqlx::query(
        "
        UPDATE source_records
        SET state = CASE WHEN record.state = 'delivered' AND $7 AND next_payload_hash IS NOT NULL
                         THEN 'staged' ELSE record.state END,
            external_reference_id = coalesce(record.reference, external_reference_id),
            payload_sealed = CASE
                WHEN record.state = 'unknown' THEN payload_sealed
                WHEN record.state = 'delivered' AND NOT $7 THEN NULL
                WHEN record.state = 'delivered' THEN next_payload_sealed
                ELSE coalesce(next_payload_sealed, payload_sealed)
            END,
            payload_key_id = CASE
                WHEN record.state = 'unknown' THEN payload_key_id
                WHEN record.state = 'delivered' AND NOT $7 THEN NULL
                WHEN record.state = 'delivered' THEN next_payload_key_id
                ELSE coalesce(next_payload_key_id, payload_key_id)
            END,
            payload_hash = CASE
                WHEN record.state = 'unknown' OR (record.state = 'delivered' AND NOT $7) THEN payload_hash
                ELSE coalesce(next_payload_hash, payload_hash)
            END,
            next_payload_sealed = CASE WHEN record.state = 'unknown' THEN next_payload_sealed END,
            next_payload_key_id = CASE WHEN record.state = 'unknown' THEN next_payload_key_id END,
            next_payload_hash = CASE WHEN record.state = 'unknown' THEN next_payload_hash END,
            updated_at = $8
        FROM unnest($3::text[], $4::uuid[], $5::text[], $6::text[]) AS record (type, id, state, reference)
        WHERE organization_id = $1 AND integration_config_id = $2
            AND source_record_type = record.type AND source_record_id = record.id
            AND source_records.state NOT IN ('handled', 'delivered')
        ",
    )
    .bind(organization_id)
    .bind(integration_config_id)
    .bind(settled.iter().map(|(record, _)| record.key.source_record_type.as_str()).collect::<Vec<_>>())
    .bind(settled.iter().map(|(record, _)| record.key.source_record_id).collect::<Vec<_>>())
    .bind(settled.iter().map(|(_, state)| state.as_str()).collect::<Vec<_>>())
    .bind(settled.iter().map(|(record, _)| record.external_reference_id).collect::<Vec<_>>())
    .bind(allow_updates)
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Records that a dead attempt left `sending` become `unknown`.
pub async fn revert_abandoned(
    tx: &mut OrgTx,
    integration_config_id: Uuid,
    sync_id: Uuid,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let organization_id = tx.organization_id();
    sqlx::query(
        "
        UPDATE source_records SET state = 'unknown', updated_at = $4
        WHERE organization_id = $1 AND integration_config_id = $2 AND last_sync_id = $3 AND state = 'sending'
        ",
    )
    .bind(organization_id)
    .bind(integration_config_id)
    .bind(sync_id)
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(())
}
