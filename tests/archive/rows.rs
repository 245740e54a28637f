//! Rows of a sync that is over.

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::Executor as _;
use sqlx::postgres::PgConnection;
use uuid::{NoContext, Timestamp, Uuid};

use crate::scene::{CLAIM, FOLLOWED};

/// One sync that is over, on a connection of one's own.
pub async fn insert(
    connection: &mut PgConnection,
    organization: Uuid,
    integration: Uuid,
    sync_type: &str,
    at: DateTime<Utc>,
    number: u32,
) -> Uuid {
    let seconds = u64::try_from(at.timestamp()).unwrap();
    let id = Uuid::new_v7(Timestamp::from_unix(NoContext, seconds, at.timestamp_subsec_nanos()));
    let failed = number.is_multiple_of(3);
    // Made as they stand when all is over: the rules of the way there do not let them be.
    connection.execute("SET session_replication_role = replica").await.unwrap();
    sqlx::query(
        "
        INSERT INTO sync_logs (
            id, integration_config_id, organization_id, connector_type, sync_type, status, records_processed,
            records_failed, records_total, triggered_by, external_reference_id, started_at, completed_at,
            duration_ms, metadata, warnings, error_code, error_message, client_run_id, retry_count
        )
        VALUES ($1::uuid, $2, $3, 'xledger', $4,
                CASE WHEN $6::boolean THEN 'retried_failed' ELSE 'retried_success' END, 2, 1, 3, 'automatic',
                'batch-' || $5::integer, $7::timestamptz, $7 + interval '9 seconds', 9000,
                jsonb_build_object('n', $5, 'ratio', 0.1 + $5 / 7.0, 'text', 'Å \" \\ ' || $5),
                jsonb_build_array(jsonb_build_object('code', 'SLOW', 'message', 'it took long')),
                CASE WHEN $6 THEN 'TIMEOUT' END, CASE WHEN $6 THEN 'no answer' END, 'run-' || $1::uuid, 1)
        ",
    )
    .bind(id)
    .bind(integration)
    .bind(organization)
    .bind(sync_type)
    .bind(i32::try_from(number).unwrap())
    .bind(failed)
    .bind(at)
    .execute(&mut *connection)
    .await
    .unwrap();
    for attempt in 0..2_i16 {
        sqlx::query(
            "
            INSERT INTO sync_attempts (
                organization_id, sync_started_at, sync_id, attempt_number, status, started_at, completed_at,
                duration_ms, records_total, records_done, records_processed, records_failed
            )
            VALUES ($1, $2, $3, $4, 'success', $2, $2::timestamptz + make_interval(secs => $5::bigint / 1000.0), $5, 3, 3, 2, 1)
            ",
        )
        .bind(organization)
        .bind(at)
        .bind(id)
        .bind(attempt)
        .bind(i64::from(1000 * (i32::from(attempt) + 1)) + i64::from(number))
        .execute(&mut *connection)
        .await
        .unwrap();
    }
    for (place, record) in [FOLLOWED, Uuid::now_v7(), Uuid::now_v7()].into_iter().enumerate() {
        for attempt in 0..2_i16 {
            let outcome =
                if place == 0 && attempt == 0 { "failed" } else { ["succeeded", "succeeded", "failed"][place] };
            sqlx::query(
                "
                INSERT INTO sync_record_outcomes (
                    organization_id, sync_started_at, sync_id, attempt_number, source_record_type,
                    source_record_id, outcome, errors, http_status_code, label, amount, currency, updated_at
                )
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 422, 'Claim ' || $9::integer, 12.5 + $9, 'NOK',
                        $2::timestamptz + interval '1234567 microseconds')
                ",
            )
            .bind(organization)
            .bind(at)
            .bind(id)
            .bind(attempt)
            .bind(CLAIM)
            .bind(record)
            .bind(outcome)
            .bind(json!([{ "code": "INVALID_VALUE", "message": "Invalid cost center code: 9999" }]))
            .bind(i32::try_from(number).unwrap())
            .execute(&mut *connection)
            .await
            .unwrap();
        }
    }
    sqlx::query("INSERT INTO client_runs VALUES ($1, $2, $3, $4)")
        .bind(organization)
        .bind(integration)
        .bind(format!("run-{id}"))
        .bind(id)
        .execute(&mut *connection)
        .await
        .unwrap();
    connection.execute("SET session_replication_role = origin").await.unwrap();
    id
}
