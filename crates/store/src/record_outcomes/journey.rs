//! One record across all syncs.

use chrono::{DateTime, Utc};
use domain::record::{RecordError, RecordOutcome};
use sqlx::types::Json;
use uuid::Uuid;

use crate::database::OrgTx;
use crate::error::StoreError;
use crate::source_records::RecordKey;
use crate::words::word;

/// One step of a record's journey.
#[derive(Clone, Debug, PartialEq)]
pub struct JourneyRow {
    /// The sync.
    pub sync_id: Uuid,
    /// The integration.
    pub integration_config_id: Uuid,
    /// Its name.
    pub integration_name: String,
    /// The attempt.
    pub attempt: u16,
    /// What happened.
    pub outcome: RecordOutcome,
    /// The external system's complaints.
    pub errors: Vec<RecordError>,
    /// HTTP status of the external system's answer.
    pub http_status_code: Option<i16>,
    /// The external system's id.
    pub external_reference_id: Option<String>,
    /// A human label.
    pub label: Option<String>,
    /// When.
    pub updated_at: DateTime<Utc>,
}

/// A record across all syncs, newest first, up to `limit` steps.
pub async fn journey(tx: &mut OrgTx, record: &RecordKey, limit: i64) -> Result<Vec<JourneyRow>, StoreError> {
    #[derive(sqlx::FromRow)]
    struct Step {
        sync_id: Uuid,
        integration_config_id: Uuid,
        name: String,
        attempt_number: i16,
        outcome: String,
        errors: Json<Vec<RecordError>>,
        http_status_code: Option<i16>,
        external_reference_id: Option<String>,
        label: Option<String>,
        updated_at: DateTime<Utc>,
    }
    let organization_id = tx.organization_id();
    let rows: Vec<Step> = sqlx::query_as(
        "
        SELECT step.sync_id, sync_logs.integration_config_id, integration_configs.name, step.attempt_number,
               step.outcome, step.errors, step.http_status_code, step.external_reference_id, step.label,
               step.updated_at
        FROM sync_record_outcomes step
        JOIN sync_logs
            ON sync_logs.organization_id = step.organization_id AND sync_logs.started_at = step.sync_started_at
            AND sync_logs.id = step.sync_id
        JOIN integration_configs
            ON integration_configs.organization_id = sync_logs.organization_id
            AND integration_configs.id = sync_logs.integration_config_id
        WHERE step.organization_id = $1 AND step.source_record_type = $2 AND step.source_record_id = $3
        ORDER BY step.sync_started_at DESC, step.sync_id DESC, step.attempt_number DESC
        LIMIT $4
        ",
    )
    .bind(organization_id)
    .bind(&record.source_record_type)
    .bind(record.source_record_id)
    .bind(limit)
    .fetch_all(tx.conn())
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(JourneyRow {
                sync_id: row.sync_id,
                integration_config_id: row.integration_config_id,
                integration_name: row.name,
                attempt: row.attempt_number.unsigned_abs(),
                outcome: word(&row.outcome)?,
                errors: row.errors.0,
                http_status_code: row.http_status_code,
                external_reference_id: row.external_reference_id,
                label: row.label,
                updated_at: row.updated_at,
            })
        })
        .collect()
}
