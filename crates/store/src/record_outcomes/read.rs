//! Reading record outcomes.

use chrono::{DateTime, Utc};
use domain::record::{RecordError, RecordOutcome, RecordState, Resolution};
use domain::retry::RetryCandidate;
use rust_decimal::Decimal;
use sqlx::types::Json;
use uuid::Uuid;

use crate::database::OrgTx;
use crate::error::StoreError;
use crate::source_records::{RecordKey, ResolutionRow};
use crate::sync_logs::SyncKey;
use crate::words::{money, word};

/// One record's latest outcome in a sync, beside where the record stands over all syncs.
#[derive(Clone, Debug, PartialEq)]
pub struct OutcomeRow {
    /// The record.
    pub key: RecordKey,
    /// The attempt it happened in.
    pub attempt: u16,
    /// What happened.
    pub outcome: RecordOutcome,
    /// The external system's complaints.
    pub errors: Vec<RecordError>,
    /// HTTP status of the external system's answer.
    pub http_status_code: Option<i16>,
    /// The external system's id.
    pub external_reference_id: Option<String>,
    /// SHA-256 of the payload that was sent.
    pub request_payload_hash: Option<String>,
    /// A human label.
    pub label: Option<String>,
    /// Its amount.
    pub amount: Option<Decimal>,
    /// ISO 4217 code of the amount.
    pub currency: Option<String>,
    /// When it happened.
    pub updated_at: DateTime<Utc>,
    /// Where the record stands over all syncs.
    pub state: Option<RecordState>,
    /// Its data differs from what was sent last.
    pub changed: bool,
    /// What a person decided about it.
    pub resolution: Option<ResolutionRow>,
}

#[derive(sqlx::FromRow)]
struct Row {
    source_record_type: String,
    source_record_id: Uuid,
    attempt_number: i16,
    outcome: String,
    errors: Json<Vec<RecordError>>,
    http_status_code: Option<i16>,
    external_reference_id: Option<String>,
    request_payload_hash: Option<String>,
    label: Option<String>,
    amount: Option<Decimal>,
    currency: Option<String>,
    updated_at: DateTime<Utc>,
    state: Option<String>,
    changed: bool,
    resolution: Option<String>,
    resolution_reason: Option<String>,
    resolution_reference: Option<String>,
    resolved_by: Option<String>,
    resolved_at: Option<DateTime<Utc>>,
}

impl TryFrom<Row> for OutcomeRow {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
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
        Ok(Self {
            key: RecordKey { source_record_type: row.source_record_type, source_record_id: row.source_record_id },
            attempt: row.attempt_number.unsigned_abs(),
            outcome: word(&row.outcome)?,
            errors: row.errors.0,
            http_status_code: row.http_status_code,
            external_reference_id: row.external_reference_id,
            request_payload_hash: row.request_payload_hash,
            label: row.label,
            amount: row.amount.map(money),
            currency: row.currency,
            updated_at: row.updated_at,
            state: row.state.as_deref().map(word).transpose()?,
            changed: row.changed,
            resolution,
        })
    }
}

/// Which outcomes a list holds.
#[derive(Clone, Debug, Default)]
pub struct OutcomeFilter {
    /// With one of these outcomes; empty: with any.
    pub outcomes: Vec<RecordOutcome>,
    /// Of one record.
    pub record: Option<RecordKey>,
    /// Only records after this one, in the list's order (type, then id).
    pub after: Option<RecordKey>,
    /// Only records before this one; the list then runs backwards.
    pub before: Option<RecordKey>,
}

macro_rules! latest_sql {
    ($order:literal) => {
        concat!(
            "
            SELECT latest.*, source_records.state,
                   coalesce(coalesce(next_payload_hash, payload_hash) <> sent_hash, false) AS changed,
                   source_records.resolution, source_records.resolution_reason, source_records.resolution_reference,
                   users.name AS resolved_by, source_records.resolved_at
            FROM (
                SELECT DISTINCT ON (source_record_type, source_record_id)
                       source_record_type, source_record_id, attempt_number, outcome, errors, http_status_code,
                       external_reference_id, request_payload_hash, label, amount, currency, updated_at
                FROM sync_record_outcomes
                WHERE organization_id = $1 AND sync_started_at = $2 AND sync_id = $3
                    AND ($6::text IS NULL OR (source_record_type, source_record_id) = ($6, $7))
                    AND ($8::text IS NULL OR (source_record_type, source_record_id) > ($8, $9))
                    AND ($10::text IS NULL OR (source_record_type, source_record_id) < ($10, $11))
                ORDER BY source_record_type, source_record_id, attempt_number DESC
            ) latest
            -- One look-up per record whatever the planner believes: on a table not yet analyzed it would compare every
            -- outcome with every record. OFFSET keeps it from undoing this.
            LEFT JOIN LATERAL (
                SELECT * FROM source_records
                WHERE source_records.organization_id = $1 AND source_records.integration_config_id = $4
                    AND source_records.source_record_type = latest.source_record_type
                    AND source_records.source_record_id = latest.source_record_id
                OFFSET 0
            ) AS source_records ON true
            LEFT JOIN users ON users.id = source_records.resolved_by
            WHERE cardinality($5::text[]) = 0 OR latest.outcome = ANY($5)
            ",
            $order,
            " LIMIT $12"
        )
    };
}

/// Up to `limit` records of a sync by their latest outcome, ordered by type and id.
pub async fn list(
    tx: &mut OrgTx,
    sync: SyncKey,
    integration_config_id: Uuid,
    filter: &OutcomeFilter,
    limit: i64,
) -> Result<Vec<OutcomeRow>, StoreError> {
    const FORWARDS: &str = latest_sql!("ORDER BY latest.source_record_type, latest.source_record_id");
    const BACKWARDS: &str = latest_sql!("ORDER BY latest.source_record_type DESC, latest.source_record_id DESC");
    let organization_id = tx.organization_id();
    let words: Vec<&str> = filter.outcomes.iter().map(|outcome| outcome.as_str()).collect();
    let rows: Vec<Row> = sqlx::query_as(if filter.before.is_some() { BACKWARDS } else { FORWARDS })
        .bind(organization_id)
        .bind(sync.started_at)
        .bind(sync.id)
        .bind(integration_config_id)
        .bind(words)
        .bind(filter.record.as_ref().map(|key| &key.source_record_type))
        .bind(filter.record.as_ref().map(|key| key.source_record_id))
        .bind(filter.after.as_ref().map(|key| &key.source_record_type))
        .bind(filter.after.as_ref().map(|key| key.source_record_id))
        .bind(filter.before.as_ref().map(|key| &key.source_record_type))
        .bind(filter.before.as_ref().map(|key| key.source_record_id))
        .bind(limit)
        .fetch_all(tx.conn())
        .await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

/// One record's latest outcome in a sync.
pub async fn latest(
    tx: &mut OrgTx,
    sync: SyncKey,
    integration_config_id: Uuid,
    record: &RecordKey,
) -> Result<Option<OutcomeRow>, StoreError> {
    let filter = OutcomeFilter { record: Some(record.clone()), ..OutcomeFilter::default() };
    Ok(list(tx, sync, integration_config_id, &filter, 1).await?.pop())
}

/// Every record of a sync whose latest outcome says that it did not arrive, up to `limit`.
pub async fn failed(
    tx: &mut OrgTx,
    sync: SyncKey,
    integration_config_id: Uuid,
    limit: i64,
) -> Result<Vec<OutcomeRow>, StoreError> {
    let filter = OutcomeFilter { outcomes: vec![RecordOutcome::Failed], ..OutcomeFilter::default() };
    list(tx, sync, integration_config_id, &filter, limit).await
}

/// What the domain needs to decide about each undelivered record of a sync.
pub async fn retry_candidates(
    tx: &mut OrgTx,
    sync: SyncKey,
    integration_config_id: Uuid,
    repeat_safe: bool,
) -> Result<Vec<(RecordKey, RetryCandidate)>, StoreError> {
    #[derive(sqlx::FromRow)]
    struct Candidate {
        source_record_type: String,
        source_record_id: Uuid,
        outcome: String,
        state: Option<String>,
        changed: bool,
        claimed: bool,
    }
    let organization_id = tx.organization_id();
    let rows: Vec<Candidate> = sqlx::query_as(
        "
        SELECT latest.source_record_type, latest.source_record_id, latest.outcome, source_records.state,
               coalesce(coalesce(next_payload_hash, payload_hash) <> sent_hash, false) AS changed,
               EXISTS (
                   SELECT FROM sync_claims
                   JOIN integration_configs
                       ON integration_configs.organization_id = sync_claims.organization_id
                       AND integration_configs.id = $4
                       AND integration_configs.connector_type = sync_claims.connector_type
                   WHERE sync_claims.organization_id = $1
                       AND sync_claims.source_record_type = latest.source_record_type
                       AND sync_claims.source_record_id = latest.source_record_id
                       AND sync_claims.sync_id <> $3
               ) AS claimed
        FROM (
            SELECT DISTINCT ON (source_record_type, source_record_id) source_record_type, source_record_id, outcome
            FROM sync_record_outcomes
            WHERE organization_id = $1 AND sync_started_at = $2 AND sync_id = $3
            ORDER BY source_record_type, source_record_id, attempt_number DESC
        ) latest
        -- One look-up per record, as in the list above.
        LEFT JOIN LATERAL (
            SELECT * FROM source_records
            WHERE source_records.organization_id = $1 AND source_records.integration_config_id = $4
                AND source_records.source_record_type = latest.source_record_type
                AND source_records.source_record_id = latest.source_record_id
            OFFSET 0
        ) AS source_records ON true
        WHERE latest.outcome IN ('failed', 'unknown', 'not_attempted')
        ORDER BY latest.source_record_type, latest.source_record_id
        ",
    )
    .bind(organization_id)
    .bind(sync.started_at)
    .bind(sync.id)
    .bind(integration_config_id)
    .fetch_all(tx.conn())
    .await?;
    rows.into_iter()
        .map(|row| {
            let outcome: RecordOutcome = word(&row.outcome)?;
            let state = match row.state.as_deref() {
                Some(state) => word(state)?,
                None => RecordState::after(outcome).unwrap_or(RecordState::Failed),
            };
            Ok((
                RecordKey { source_record_type: row.source_record_type, source_record_id: row.source_record_id },
                RetryCandidate { outcome, state, changed: row.changed, repeat_safe, claimed_elsewhere: row.claimed },
            ))
        })
        .collect()
}

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
