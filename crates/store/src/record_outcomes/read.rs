//! Reading record outcomes.

use chrono::{DateTime, Utc};
use domain::record::{RecordError, RecordOutcome, RecordState, Resolution};
use rust_decimal::Decimal;
use sqlx::types::Json;
use sqlx::{Postgres, QueryBuilder};
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
    #[sqlx(flatten)]
    standing: Standing,
}

/// Where a record stands over all syncs, as statements select it.
#[derive(sqlx::FromRow)]
pub(crate) struct Standing {
    state: Option<String>,
    pub(crate) changed: bool,
    resolution: Option<String>,
    resolution_reason: Option<String>,
    resolution_reference: Option<String>,
    resolved_by: Option<String>,
    resolved_at: Option<DateTime<Utc>>,
}

impl Standing {
    /// Its state.
    pub(crate) fn state(&self) -> Result<Option<RecordState>, StoreError> {
        self.state.as_deref().map(word).transpose()
    }

    /// What a person decided about it.
    pub(crate) fn resolution(self) -> Result<Option<ResolutionRow>, StoreError> {
        let (Some(resolution), Some(reason), Some(resolved_at)) =
            (self.resolution, self.resolution_reason, self.resolved_at)
        else {
            return Ok(None);
        };
        Ok(Some(ResolutionRow {
            resolution: word::<Resolution>(&resolution)?,
            reason,
            reference: self.resolution_reference,
            resolved_by: self.resolved_by,
            resolved_at,
        }))
    }
}

impl TryFrom<Row> for OutcomeRow {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
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
            state: row.standing.state()?,
            changed: row.standing.changed,
            resolution: row.standing.resolution()?,
        })
    }
}

/// Which outcomes a list holds.
#[derive(Clone, Debug, Default)]
pub struct OutcomeFilter {
    /// With one of these outcomes; empty: with any.
    pub outcomes: Vec<RecordOutcome>,
    /// With an error of this code among its errors.
    pub error_code: Option<String>,
    /// Of one record.
    pub record: Option<RecordKey>,
    /// Only records after this one, in the list's order (type, then id).
    pub after: Option<RecordKey>,
    /// Only records before this one; the list then runs backwards.
    pub before: Option<RecordKey>,
}

/// Up to `limit` records of a sync by their latest outcome, ordered by type and id.
pub async fn list(
    tx: &mut OrgTx,
    sync: SyncKey,
    integration_config_id: Uuid,
    filter: &OutcomeFilter,
    limit: i64,
) -> Result<Vec<OutcomeRow>, StoreError> {
    let mut query = statement(tx.organization_id(), sync, integration_config_id, filter, limit);
    let rows: Vec<Row> = query.build_query_as().fetch_all(tx.conn()).await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

/// Only what the filter asks for stands in the statement, so that the primary key leads straight to the page's first
/// record whatever plan the database keeps.
fn statement(
    organization_id: Uuid,
    sync: SyncKey,
    integration_config_id: Uuid,
    filter: &OutcomeFilter,
    limit: i64,
) -> QueryBuilder<Postgres> {
    let mut query = QueryBuilder::new(
        "
        SELECT latest.*, source_records.state,
               coalesce(coalesce(next_payload_hash, payload_hash) <> sent_hash, false) AS changed,
               source_records.resolution, source_records.resolution_reason, source_records.resolution_reference,
               users.name AS resolved_by, source_records.resolved_at
        FROM (
            SELECT DISTINCT ON (source_record_type, source_record_id)
                   organization_id, source_record_type, source_record_id, attempt_number, outcome, errors,
                   http_status_code, external_reference_id, request_payload_hash, label, amount, currency, updated_at
            FROM sync_record_outcomes
            WHERE organization_id = ",
    );
    query.push_bind(organization_id).push(" AND sync_started_at = ").push_bind(sync.started_at);
    query.push(" AND sync_id = ").push_bind(sync.id);
    let bounds = [(&filter.record, " = ("), (&filter.after, " > ("), (&filter.before, " < (")];
    for (key, comparison) in bounds {
        if let Some(key) = key {
            query.push(" AND (source_record_type, source_record_id)").push(comparison);
            query.push_bind(key.source_record_type.clone()).push(", ").push_bind(key.source_record_id).push(")");
        }
    }
    let order = if filter.before.is_some() { " DESC" } else { "" };
    query.push(format_args!(
        "
            ORDER BY source_record_type{order}, source_record_id{order}, attempt_number DESC
        ) latest
        -- One look-up per record whatever the planner believes: on a table not yet analyzed it would compare every
        -- outcome with every record. OFFSET keeps it from undoing this.
        LEFT JOIN LATERAL (
            SELECT * FROM source_records
            WHERE source_records.organization_id = latest.organization_id
                AND source_records.source_record_type = latest.source_record_type
                AND source_records.source_record_id = latest.source_record_id
                AND source_records.integration_config_id = "
    ));
    query.push_bind(integration_config_id);
    query.push(
        "
            OFFSET 0
        ) AS source_records ON true
        LEFT JOIN users ON users.id = source_records.resolved_by
        WHERE true",
    );
    if !filter.outcomes.is_empty() {
        let words: Vec<&str> = filter.outcomes.iter().map(|outcome| outcome.as_str()).collect();
        query.push(format_args!(" AND latest.outcome IN ('{}')", words.join("', '")));
    }
    if let Some(code) = &filter.error_code {
        query.push(" AND latest.errors @> jsonb_build_array(jsonb_build_object('code', ");
        query.push_bind(code.clone()).push("::text))");
    }
    query.push(format_args!(" ORDER BY latest.source_record_type{order}, latest.source_record_id{order} LIMIT "));
    query.push_bind(limit);
    query
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
