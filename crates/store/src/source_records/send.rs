//! What a sync does with source records: finds those that are due, marks them as leaving, settles their outcomes.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use domain::asking::{Asking, Doubt};
use domain::doubt::{self, Certainty};
use domain::record::{RecordOutcome, RecordState};
use rust_decimal::Decimal;
use uuid::Uuid;

use super::RecordKey;
use crate::database::OrgTx;
use crate::error::StoreError;
use crate::integrations::SealedBytes;
use crate::words::word;

// Statements that find records by a list of keys take the whole key from the list, which is read first (`OFFSET 0`), and
// are planned anew each time. Where nothing is known yet of a table that has just been filled, PostgreSQL would take an
// integration for one record, and read all of its records for every batch of keys.

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
    /// Its requests in doubt, if it may have been taken.
    pub doubt: Option<Doubt>,
    /// The external system has named an id of its own for it: one in doubt was taken.
    pub named: bool,
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
        in_doubt: bool,
        sent_target: Option<String>,
        sent_recognised_by: Option<String>,
        doubted_since: DateTime<Utc>,
        given_up: DateTime<Utc>,
        named: bool,
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
        SELECT source_record_type, source_record_id, state,
               state = 'unknown' OR sent_in_doubt_since IS NOT NULL AS in_doubt, sent_target, sent_recognised_by,
               coalesce(sent_in_doubt_since, sent_at, updated_at) AS doubted_since,
               coalesce(given_up_at, updated_at) AS given_up, external_reference_id IS NOT NULL AS named,
               payload_sealed, payload_key_id, payload_hash, label, amount, currency
        FROM (
            SELECT $1::uuid AS organization, $2::uuid AS integration, type, id
            FROM unnest($3::text[], $4::uuid[]) AS record (type, id) OFFSET 0
        ) AS record
        JOIN source_records ON organization_id = organization AND integration_config_id = integration
            AND source_record_type = record.type AND source_record_id = record.id
        ORDER BY source_record_type, source_record_id
        FOR UPDATE OF source_records
        ",
    )
    .bind(organization_id)
    .bind(integration_config_id)
    .bind(types)
    .bind(ids)
    .persistent(false)
    .fetch_all(tx.conn())
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(OutboundRow {
                key: RecordKey { source_record_type: row.source_record_type, source_record_id: row.source_record_id },
                state: word(&row.state)?,
                doubt: row.in_doubt.then_some(Doubt {
                    target: row.sent_target,
                    recognised_by: row.sent_recognised_by,
                    since: row.doubted_since,
                    given_up: row.given_up,
                }),
                named: row.named,
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

/// Marks records as leaving with their current version in an attempt of a sync, before the request does, and how their
/// target can be asked for them. One that leaves again while its fate is unknown stays in doubt, whatever the answer
/// will be.
pub async fn mark_sending(
    tx: &mut OrgTx,
    integration_config_id: Uuid,
    sync_id: Uuid,
    attempt: u16,
    keys: &[RecordKey],
    asking: &Asking,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    if keys.is_empty() {
        return Ok(());
    }
    let organization_id = tx.organization_id();
    let (types, ids) = RecordKey::columns(keys);
    sqlx::query(
        "
        UPDATE source_records
        SET state = 'sending', sent_hash = payload_hash, sent_at = $7, last_sync_id = $5, sent_attempt = $6,
            sent_target = $8, sent_recognised_by = $9, given_up_at = NULL, refused_for_good = false,
            sent_in_doubt_since = CASE WHEN state = 'unknown' THEN coalesce(sent_in_doubt_since, sent_at, updated_at)
                                       ELSE sent_in_doubt_since END,
            updated_at = $7
        FROM (
            SELECT $1::uuid AS organization, $2::uuid AS integration, type, id
            FROM unnest($3::text[], $4::uuid[]) AS record (type, id) OFFSET 0
        ) AS record
        WHERE organization_id = organization AND integration_config_id = integration
            AND source_record_type = record.type AND source_record_id = record.id
        ",
    )
    .bind(organization_id)
    .bind(integration_config_id)
    .bind(types)
    .bind(ids)
    .bind(sync_id)
    .bind(i16::try_from(attempt).unwrap_or(i16::MAX))
    .bind(now)
    .bind(&asking.target)
    .bind(asking.recognition.as_ref().map(|recognition| &recognition.by))
    .persistent(false)
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
    /// What the answer says of the request, unless the record arrived.
    pub certainty: Certainty,
    /// Whether it stays so until somebody changes something.
    pub for_good: bool,
    /// The external system's id.
    pub external_reference_id: Option<&'a str>,
}

/// Writes what became of records that an attempt sent. A delivered record's payload is deleted, unless a newer version
/// waits and the integration sends updates; a version that waits takes the place of one that did not arrive.
///
/// An answer is taken only while no other attempt has sent the record and nobody has decided about it; a delivery is
/// always taken.
pub async fn settle(
    tx: &mut OrgTx,
    integration_config_id: Uuid,
    sync_id: Uuid,
    attempt: u16,
    records: &[SettledRecord<'_>],
    allow_updates: bool,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let standing = lock_answered(tx, integration_config_id, sync_id, attempt, records).await?;
    let settled: Vec<_> = records
        .iter()
        .filter_map(|record| {
            let (before, doubted) = *standing.get(record.key)?;
            Some((record, doubt::after(before, doubted, record.outcome, record.certainty)))
        })
        .collect();
    let organization_id = tx.organization_id();
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
            -- Ended by a delivery alone: left in any other state than `unknown`, the row would be refused.
            sent_in_doubt_since = CASE WHEN record.state <> 'delivered' THEN sent_in_doubt_since END,
            given_up_at = CASE WHEN record.state = 'unknown' THEN $8::timestamptz END,
            refused_for_good = record.for_good,
            updated_at = $8
        FROM (
            SELECT $1::uuid AS organization, $2::uuid AS integration, record.*
            FROM unnest($3::text[], $4::uuid[], $5::text[], $6::text[], $9::boolean[])
                AS record (type, id, state, reference, for_good) OFFSET 0
        ) AS record
        WHERE organization_id = organization AND integration_config_id = integration
            AND source_record_type = record.type AND source_record_id = record.id
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
    .bind(settled.iter().map(|(record, _)| record.for_good).collect::<Vec<_>>())
    .persistent(false)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Holds the records whose answers are to be taken, until the transaction ends: where each stands, and whether it was
/// sent again in doubt.
async fn lock_answered(
    tx: &mut OrgTx,
    integration_config_id: Uuid,
    sync_id: Uuid,
    attempt: u16,
    records: &[SettledRecord<'_>],
) -> Result<HashMap<RecordKey, (RecordState, bool)>, StoreError> {
    let organization_id = tx.organization_id();
    let rows: Vec<(String, Uuid, String, bool)> = sqlx::query_as(
        "
        SELECT source_record_type, source_record_id, state, sent_in_doubt_since IS NOT NULL
        FROM (
            SELECT $1::uuid AS organization, $2::uuid AS integration, record.*
            FROM unnest($3::text[], $4::uuid[], $5::boolean[]) AS record (type, id, delivered) OFFSET 0
        ) AS record
        JOIN source_records ON organization_id = organization AND integration_config_id = integration
            AND source_record_type = record.type AND source_record_id = record.id
        WHERE state NOT IN ('delivered', 'handled')
            AND (
                record.delivered
                OR (state IN ('sending', 'unknown') AND last_sync_id = $6 AND sent_attempt = $7)
            )
        ORDER BY source_record_type, source_record_id
        FOR UPDATE OF source_records
        ",
    )
    .bind(organization_id)
    .bind(integration_config_id)
    .bind(records.iter().map(|record| record.key.source_record_type.as_str()).collect::<Vec<_>>())
    .bind(records.iter().map(|record| record.key.source_record_id).collect::<Vec<_>>())
    .bind(records.iter().map(|record| record.outcome.is_delivered()).collect::<Vec<_>>())
    .bind(sync_id)
    .bind(i16::try_from(attempt).unwrap_or(i16::MAX))
    .persistent(false)
    .fetch_all(tx.conn())
    .await?;
    rows.into_iter()
        .map(|(kind, id, state, doubted)| Ok((RecordKey::from((kind, id)), (word(&state)?, doubted))))
        .collect()
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
        UPDATE source_records SET state = 'unknown', given_up_at = $4, updated_at = $4
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
