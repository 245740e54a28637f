//! Syncs that are recorded after they ended.

use sqlx::types::Json;

use super::SyncLog;
use crate::database::OrgTx;
use crate::error::StoreError;

/// A sync that ended with its first attempt. What the attempt shares with it is not said again.
#[derive(Clone, Debug, PartialEq)]
pub struct Finished {
    /// The sync, `success` or `failed`.
    pub sync: SyncLog,
    /// Records with a final outcome, where they were reported one by one; otherwise 0.
    pub records_done: i32,
    /// Left out on purpose, where records were reported one by one.
    pub records_skipped: Option<i32>,
    /// Sent without an answer, where records were reported one by one.
    pub records_unknown: Option<i32>,
    /// In scope and never sent, where records were reported one by one.
    pub records_not_attempted: Option<i32>,
}

/// Inserts syncs that have ended, each with its attempt, in one statement. Rule triggers name the rule that refused.
pub async fn insert_finished(tx: &mut OrgTx, finished: &[&Finished]) -> Result<(), StoreError> {
    let organization_id = tx.organization_id();
    sqlx::query(
        "
        WITH finished AS (
            SELECT * FROM unnest(
                $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::integer[], $8::integer[],
                $9::integer[], $10::text[], $11::text[], $12::text[], $13::uuid[], $14::uuid[], $15::text[],
                $16::text[], $17::text[], $18::smallint[], $19::bigint[], $20::timestamptz[], $21::timestamptz[],
                $22::jsonb[], $23::jsonb[], $24::boolean[], $25::text[], $26::integer[], $27::integer[],
                $28::integer[], $29::integer[]
            ) AS f (
                id, integration_config_id, connector_type, sync_type, status, records_processed, records_failed,
                records_total, error_code, error_message, triggered_by, triggered_by_user_id, source_record_id,
                source_record_type, external_reference_id, request_payload_hash, http_status_code, duration_ms,
                started_at, completed_at, metadata, warnings, backfill, client_run_id, records_done, records_skipped,
                records_unknown, records_not_attempted
            )
        ), syncs AS (
            INSERT INTO sync_logs (
                id, integration_config_id, organization_id, connector_type, sync_type, status, records_processed,
                records_failed, records_total, error_code, error_message, triggered_by, triggered_by_user_id,
                source_record_id, source_record_type, external_reference_id, request_payload_hash, http_status_code,
                duration_ms, started_at, completed_at, metadata, warnings, backfill, client_run_id
            )
            SELECT id, integration_config_id, $1, connector_type, sync_type, status, records_processed,
                   records_failed, records_total, error_code, error_message, triggered_by, triggered_by_user_id,
                   source_record_id, source_record_type, external_reference_id, request_payload_hash,
                   http_status_code, duration_ms, started_at, completed_at, metadata, warnings, backfill,
                   client_run_id
            FROM finished
        )
        INSERT INTO sync_attempts (
            organization_id, sync_started_at, sync_id, attempt_number, status, started_at, completed_at, duration_ms,
            records_total, records_done, records_processed, records_failed, records_skipped, records_unknown,
            records_not_attempted, error_code, error_message, http_status_code
        )
        SELECT $1, started_at, id, 0, status, started_at, completed_at, duration_ms, records_total, records_done,
               records_processed, records_failed, records_skipped, records_unknown, records_not_attempted, error_code,
               error_message, http_status_code
        FROM finished
        ",
    )
    .bind(organization_id)
    .bind(column(finished, |new| new.sync.id))
    .bind(column(finished, |new| new.sync.integration_config_id))
    .bind(column(finished, |new| new.sync.connector_type.as_str()))
    .bind(column(finished, |new| new.sync.sync_type.as_str()))
    .bind(column(finished, |new| new.sync.status.as_str()))
    .bind(column(finished, |new| new.sync.records_processed))
    .bind(column(finished, |new| new.sync.records_failed))
    .bind(column(finished, |new| new.sync.records_total))
    .bind(column(finished, |new| new.sync.error_code.as_deref()))
    .bind(column(finished, |new| new.sync.error_message.as_deref()))
    .bind(column(finished, |new| new.sync.triggered_by.as_str()))
    .bind(column(finished, |new| new.sync.triggered_by_user_id))
    .bind(column(finished, |new| new.sync.source_record_id))
    .bind(column(finished, |new| new.sync.source_record_type.as_deref()))
    .bind(column(finished, |new| new.sync.external_reference_id.as_deref()))
    .bind(column(finished, |new| new.sync.request_payload_hash.as_deref()))
    .bind(column(finished, |new| new.sync.http_status_code))
    .bind(column(finished, |new| new.sync.duration_ms))
    .bind(column(finished, |new| new.sync.started_at))
    .bind(column(finished, |new| new.sync.completed_at))
    .bind(column(finished, |new| new.sync.metadata.as_ref().map(Json)))
    .bind(column(finished, |new| Json(&new.sync.warnings)))
    .bind(column(finished, |new| new.sync.backfill))
    .bind(column(finished, |new| new.sync.client_run_id.as_deref()))
    .bind(column(finished, |new| new.records_done))
    .bind(column(finished, |new| new.records_skipped))
    .bind(column(finished, |new| new.records_unknown))
    .bind(column(finished, |new| new.records_not_attempted))
    .execute(tx.conn())
    .await?;
    Ok(())
}

fn column<'a, T>(finished: &[&'a Finished], pick: impl Fn(&'a Finished) -> T) -> Vec<T> {
    finished.iter().map(|new| pick(new)).collect()
}
