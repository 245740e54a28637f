//! Record outcomes: `sync_record_outcomes`, what happened to each record in each attempt.

mod imported;
mod journey;
mod read;
mod retry;

use chrono::{DateTime, Utc};
use domain::record::{OutcomeCounts, RecordError, RecordOutcome};
use rust_decimal::Decimal;
use serde_json::Value;
use uuid::Uuid;

use crate::database::OrgTx;
use crate::error::StoreError;
use crate::source_records::RecordKey;
use crate::sync_logs::SyncKey;
use crate::words::word;

pub use imported::insert_imported;
pub use journey::{JourneyRow, journey};
pub(crate) use read::Standing;
pub use read::{OutcomeFilter, OutcomeRow, failed, latest, list};
pub use retry::retry_candidates;

/// One record's outcome, to be written.
#[derive(Clone, Debug, PartialEq)]
pub struct NewOutcome {
    /// The record.
    pub key: RecordKey,
    /// What happened.
    pub outcome: RecordOutcome,
    /// The external system's complaints.
    pub errors: Vec<RecordError>,
    /// HTTP status of the external system's answer.
    pub http_status_code: Option<i16>,
    /// The external system's id.
    pub external_reference_id: Option<String>,
    /// SHA-256 of the payload.
    pub request_payload_hash: Option<String>,
    /// A human label.
    pub label: Option<String>,
    /// Its amount.
    pub amount: Option<Decimal>,
    /// ISO 4217 code of the amount.
    pub currency: Option<String>,
}

impl NewOutcome {
    /// An outcome of which nothing else is known.
    pub const fn bare(key: RecordKey, outcome: RecordOutcome) -> Self {
        Self {
            key,
            outcome,
            errors: Vec::new(),
            http_status_code: None,
            external_reference_id: None,
            request_payload_hash: None,
            label: None,
            amount: None,
            currency: None,
        }
    }
}

/// Writes outcomes of an attempt. An outcome that says no more than what is known changes nothing, so reports that come
/// twice or out of order are harmless. Returns the records whose outcome was taken.
pub async fn upsert(
    tx: &mut OrgTx,
    sync: SyncKey,
    attempt: u16,
    outcomes: &[NewOutcome],
    now: DateTime<Utc>,
) -> Result<Vec<RecordKey>, StoreError> {
    write(tx, sync, attempt, outcomes, false, now).await
}

/// Writes that records of a running attempt leave; also those that were held back before, and so were not attempted.
pub async fn mark_sending(
    tx: &mut OrgTx,
    sync: SyncKey,
    attempt: u16,
    outcomes: &[NewOutcome],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    write(tx, sync, attempt, outcomes, true, now).await?;
    Ok(())
}

async fn write(
    tx: &mut OrgTx,
    sync: SyncKey,
    attempt: u16,
    outcomes: &[NewOutcome],
    after_all: bool,
    now: DateTime<Utc>,
) -> Result<Vec<RecordKey>, StoreError> {
    if outcomes.is_empty() {
        return Ok(Vec::new());
    }
    let organization_id = tx.organization_id();
    let column = |pick: fn(&NewOutcome) -> Option<&str>| -> Vec<Option<&str>> { outcomes.iter().map(pick).collect() };
    let errors = outcomes.iter().map(|new| serde_json::to_value(&new.errors)).collect::<Result<Vec<Value>, _>>()?;
    let written: Vec<(String, Uuid)> = sqlx::query_as(
        "
        INSERT INTO sync_record_outcomes AS known (
            organization_id, sync_started_at, sync_id, attempt_number, source_record_type, source_record_id, outcome,
            errors, http_status_code, external_reference_id, request_payload_hash, label, amount, currency, updated_at
        )
        SELECT $1, $2, $3, $4, record.type, record.id, record.outcome, record.errors, record.http_status,
               record.reference, record.hash, record.label, record.amount, record.currency, $5
        FROM unnest($6::text[], $7::uuid[], $8::text[], $9::jsonb[], $10::smallint[], $11::text[], $12::text[],
                    $13::text[], $14::numeric[], $15::text[])
            AS record (type, id, outcome, errors, http_status, reference, hash, label, amount, currency)
        ORDER BY record.type, record.id
        ON CONFLICT (organization_id, sync_started_at, sync_id, source_record_type, source_record_id, attempt_number)
        DO UPDATE SET
            outcome = excluded.outcome, errors = excluded.errors, http_status_code = excluded.http_status_code,
            external_reference_id = coalesce(excluded.external_reference_id, known.external_reference_id),
            request_payload_hash = coalesce(excluded.request_payload_hash, known.request_payload_hash),
            label = coalesce(excluded.label, known.label), amount = coalesce(excluded.amount, known.amount),
            currency = coalesce(excluded.currency, known.currency), updated_at = excluded.updated_at
        WHERE outcome_rank(excluded.outcome) > outcome_rank(known.outcome)
            OR ($16 AND known.outcome = 'not_attempted' AND excluded.outcome = 'sending')
        RETURNING source_record_type, source_record_id
        ",
    )
    .bind(organization_id)
    .bind(sync.started_at)
    .bind(sync.id)
    .bind(i16::try_from(attempt).unwrap_or(i16::MAX))
    .bind(now)
    .bind(outcomes.iter().map(|new| new.key.source_record_type.as_str()).collect::<Vec<_>>())
    .bind(outcomes.iter().map(|new| new.key.source_record_id).collect::<Vec<_>>())
    .bind(outcomes.iter().map(|new| new.outcome.as_str()).collect::<Vec<_>>())
    .bind(errors)
    .bind(outcomes.iter().map(|new| new.http_status_code).collect::<Vec<_>>())
    .bind(column(|new| new.external_reference_id.as_deref()))
    .bind(column(|new| new.request_payload_hash.as_deref()))
    .bind(column(|new| new.label.as_deref()))
    .bind(outcomes.iter().map(|new| new.amount).collect::<Vec<_>>())
    .bind(column(|new| new.currency.as_deref()))
    .bind(after_all)
    .fetch_all(tx.conn())
    .await?;
    Ok(written.into_iter().map(RecordKey::from).collect())
}

/// Ends what an attempt left open: `sending` becomes `unknown`, `queued` becomes `not_attempted`. Returns the records
/// with their new outcome.
pub async fn abandon(
    tx: &mut OrgTx,
    sync: SyncKey,
    attempt: u16,
    now: DateTime<Utc>,
) -> Result<Vec<(RecordKey, RecordOutcome)>, StoreError> {
    let organization_id = tx.organization_id();
    let rows: Vec<(String, Uuid, String)> = sqlx::query_as(
        "
        UPDATE sync_record_outcomes
        SET outcome = CASE outcome WHEN 'sending' THEN 'unknown' ELSE 'not_attempted' END, updated_at = $5
        WHERE organization_id = $1 AND sync_started_at = $2 AND sync_id = $3 AND attempt_number = $4
            AND outcome IN ('queued', 'sending')
        RETURNING source_record_type, source_record_id, outcome
        ",
    )
    .bind(organization_id)
    .bind(sync.started_at)
    .bind(sync.id)
    .bind(i16::try_from(attempt).unwrap_or(i16::MAX))
    .bind(now)
    .fetch_all(tx.conn())
    .await?;
    rows.into_iter().map(|(kind, id, outcome)| Ok((RecordKey::from((kind, id)), word(&outcome)?))).collect()
}

/// Records that an attempt has not attempted.
pub async fn not_attempted(tx: &mut OrgTx, sync: SyncKey, attempt: u16) -> Result<Vec<RecordKey>, StoreError> {
    let organization_id = tx.organization_id();
    let rows: Vec<(String, Uuid)> = sqlx::query_as(
        "
        SELECT source_record_type, source_record_id FROM sync_record_outcomes
        WHERE organization_id = $1 AND sync_started_at = $2 AND sync_id = $3 AND attempt_number = $4
            AND outcome = 'not_attempted'
        ",
    )
    .bind(organization_id)
    .bind(sync.started_at)
    .bind(sync.id)
    .bind(i16::try_from(attempt).unwrap_or(i16::MAX))
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(RecordKey::from).collect())
}

/// Calls records unknown that an attempt has not attempted: they may have been taken before. What was said of them stays.
pub async fn keep_unknown(
    tx: &mut OrgTx,
    sync: SyncKey,
    attempt: u16,
    keys: &[RecordKey],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let organization_id = tx.organization_id();
    let (types, ids) = RecordKey::columns(keys);
    sqlx::query(
        "
        UPDATE sync_record_outcomes SET outcome = 'unknown', updated_at = $5
        FROM (
            SELECT $1::uuid AS organization, $3::uuid AS sync, $4::smallint AS attempt, type, id
            FROM unnest($6::text[], $7::uuid[]) AS record (type, id) OFFSET 0
        ) AS record
        WHERE organization_id = organization AND sync_started_at = $2 AND sync_id = sync
            AND source_record_type = record.type AND source_record_id = record.id AND attempt_number = attempt
            AND outcome = 'not_attempted'
        ",
    )
    .bind(organization_id)
    .bind(sync.started_at)
    .bind(sync.id)
    .bind(i16::try_from(attempt).unwrap_or(i16::MAX))
    .bind(now)
    .bind(types)
    .bind(ids)
    .persistent(false)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Counts of one attempt.
pub async fn count_attempt(tx: &mut OrgTx, sync: SyncKey, attempt: u16) -> Result<OutcomeCounts, StoreError> {
    let organization_id = tx.organization_id();
    let rows: Vec<(String, i64)> = sqlx::query_as(
        "
        SELECT outcome, count(*) FROM sync_record_outcomes
        WHERE organization_id = $1 AND sync_started_at = $2 AND sync_id = $3 AND attempt_number = $4
        GROUP BY outcome
        ",
    )
    .bind(organization_id)
    .bind(sync.started_at)
    .bind(sync.id)
    .bind(i16::try_from(attempt).unwrap_or(i16::MAX))
    .fetch_all(tx.conn())
    .await?;
    counts(rows)
}

/// Cumulative counts of a sync: by each record's outcome in the latest attempt that did something about it.
pub async fn count_sync(tx: &mut OrgTx, sync: SyncKey) -> Result<OutcomeCounts, StoreError> {
    let organization_id = tx.organization_id();
    let rows: Vec<(String, i64)> = sqlx::query_as(
        "
        SELECT outcome, count(*) FROM (
            SELECT DISTINCT ON (source_record_type, source_record_id) outcome
            FROM sync_record_outcomes
            WHERE organization_id = $1 AND sync_started_at = $2 AND sync_id = $3
            ORDER BY source_record_type, source_record_id, attempt_number DESC
        ) latest
        GROUP BY outcome
        ",
    )
    .bind(organization_id)
    .bind(sync.started_at)
    .bind(sync.id)
    .fetch_all(tx.conn())
    .await?;
    counts(rows)
}

fn counts(rows: Vec<(String, i64)>) -> Result<OutcomeCounts, StoreError> {
    let mut sum = OutcomeCounts::default();
    for (outcome, count) in rows {
        let count = i32::try_from(count).unwrap_or(i32::MAX);
        match word::<RecordOutcome>(&outcome)? {
            RecordOutcome::Queued | RecordOutcome::Sending => sum.open += count,
            RecordOutcome::Succeeded => sum.processed += count,
            RecordOutcome::Warning => {
                sum.processed += count;
                sum.warning += count;
            }
            RecordOutcome::Failed => sum.failed += count,
            RecordOutcome::Skipped => sum.skipped += count,
            RecordOutcome::Unknown => sum.unknown += count,
            RecordOutcome::NotAttempted => sum.not_attempted += count,
        }
    }
    Ok(sum)
}
