//! Source records: where each stands towards an integration, and its staged data.

mod ask;
mod reported;
mod send;
mod sent;

use chrono::{DateTime, Utc};
use domain::record::{RecordState, Resolution};
use rust_decimal::Decimal;
use uuid::Uuid;

use crate::database::OrgTx;
use crate::error::StoreError;
use crate::integrations::SealedBytes;
use crate::words::{money, word};

pub use ask::{AbsentRecord, note_taken, settle_absent};
pub use reported::{Reported, upsert_reported, upsert_reported_many};
pub use send::{OutboundRow, SettledRecord, due, load_outbound, mark_sending, revert_abandoned, settle};
pub use sent::{in_doubt, sent_hashes};

/// A source record by type and id.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordKey {
    /// Its type.
    pub source_record_type: String,
    /// Its id.
    pub source_record_id: Uuid,
}

impl RecordKey {
    /// The keys as two columns.
    pub(crate) fn columns(keys: &[Self]) -> (Vec<&str>, Vec<Uuid>) {
        keys.iter().map(|key| (key.source_record_type.as_str(), key.source_record_id)).unzip()
    }
}

impl From<(String, Uuid)> for RecordKey {
    fn from((source_record_type, source_record_id): (String, Uuid)) -> Self {
        Self { source_record_type, source_record_id }
    }
}

/// What a person decided about a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolutionRow {
    /// The decision.
    pub resolution: Resolution,
    /// Why.
    pub reason: String,
    /// A voucher or other reference.
    pub reference: Option<String>,
    /// The name of who decided.
    pub resolved_by: Option<String>,
    /// When.
    pub resolved_at: DateTime<Utc>,
}

/// A source record as it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceRecord {
    /// Which.
    pub key: RecordKey,
    /// Where it stands.
    pub state: RecordState,
    /// A human label.
    pub label: Option<String>,
    /// Its amount.
    pub amount: Option<Decimal>,
    /// ISO 4217 code of the amount.
    pub currency: Option<String>,
    /// Hash of its current version.
    pub payload_hash: Option<String>,
    /// Hash of the version that waits.
    pub next_payload_hash: Option<String>,
    /// Hash of the version that was sent last.
    pub sent_hash: Option<String>,
    /// The external system's id.
    pub external_reference_id: Option<String>,
}

#[derive(sqlx::FromRow)]
struct Row {
    source_record_type: String,
    source_record_id: Uuid,
    state: String,
    label: Option<String>,
    amount: Option<Decimal>,
    currency: Option<String>,
    payload_hash: Option<String>,
    next_payload_hash: Option<String>,
    sent_hash: Option<String>,
    external_reference_id: Option<String>,
}

impl TryFrom<Row> for SourceRecord {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            key: RecordKey { source_record_type: row.source_record_type, source_record_id: row.source_record_id },
            state: word(&row.state)?,
            label: row.label,
            amount: row.amount.map(money),
            currency: row.currency,
            payload_hash: row.payload_hash,
            next_payload_hash: row.next_payload_hash,
            sent_hash: row.sent_hash,
            external_reference_id: row.external_reference_id,
        })
    }
}

/// One record of an integration.
pub async fn find(
    tx: &mut OrgTx,
    integration_config_id: Uuid,
    key: &RecordKey,
) -> Result<Option<SourceRecord>, StoreError> {
    select(tx, integration_config_id, key, FIND).await
}

/// One record of an integration, held until the transaction ends.
pub async fn lock(
    tx: &mut OrgTx,
    integration_config_id: Uuid,
    key: &RecordKey,
) -> Result<Option<SourceRecord>, StoreError> {
    select(tx, integration_config_id, key, LOCK).await
}

const FIND: &str = "
    SELECT source_record_type, source_record_id, state, label, amount, currency, payload_hash, next_payload_hash,
           sent_hash, external_reference_id
    FROM source_records
    WHERE organization_id = $1 AND integration_config_id = $2 AND source_record_type = $3 AND source_record_id = $4
";
const LOCK: &str = "
    SELECT source_record_type, source_record_id, state, label, amount, currency, payload_hash, next_payload_hash,
           sent_hash, external_reference_id
    FROM source_records
    WHERE organization_id = $1 AND integration_config_id = $2 AND source_record_type = $3 AND source_record_id = $4
    FOR UPDATE
";

async fn select(
    tx: &mut OrgTx,
    integration_config_id: Uuid,
    key: &RecordKey,
    sql: &'static str,
) -> Result<Option<SourceRecord>, StoreError> {
    let organization_id = tx.organization_id();
    let row: Option<Row> = sqlx::query_as(sql)
        .bind(organization_id)
        .bind(integration_config_id)
        .bind(&key.source_record_type)
        .bind(key.source_record_id)
        .fetch_optional(tx.conn())
        .await?;
    row.map(TryInto::try_into).transpose()
}

/// The current version of a record, as it is staged.
#[derive(Clone, Debug)]
pub struct Staging<'a> {
    /// Which record.
    pub key: &'a RecordKey,
    /// Its sealed payload.
    pub payload: &'a SealedBytes,
    /// Hash of the payload.
    pub payload_hash: &'a str,
    /// A human label.
    pub label: Option<&'a str>,
    /// Its amount.
    pub amount: Option<Decimal>,
    /// ISO 4217 code of the amount.
    pub currency: Option<&'a str>,
}

/// Inserts a record that was never staged; returns false if somebody else just did.
pub async fn insert_staged(
    tx: &mut OrgTx,
    integration_config_id: Uuid,
    staging: &Staging<'_>,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let organization_id = tx.organization_id();
    let done = sqlx::query(
        "
        INSERT INTO source_records (
            organization_id, integration_config_id, source_record_type, source_record_id, state, label, amount,
            currency, payload_sealed, payload_key_id, payload_hash, created_at, updated_at
        )
        VALUES ($1, $2, $3, $4, 'staged', $5, $6, $7, $8, $9, $10, $11, $11)
        ON CONFLICT DO NOTHING
        ",
    )
    .bind(organization_id)
    .bind(integration_config_id)
    .bind(&staging.key.source_record_type)
    .bind(staging.key.source_record_id)
    .bind(staging.label)
    .bind(staging.amount)
    .bind(staging.currency)
    .bind(&staging.payload.bytes)
    .bind(&staging.payload.key_id)
    .bind(staging.payload_hash)
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Writes a new version of a record that is known. While the current version is on its way, or its fate is unknown, the
/// new one waits; otherwise it replaces the current one and leaves the record in `state`.
pub async fn update_staged(
    tx: &mut OrgTx,
    integration_config_id: Uuid,
    staging: &Staging<'_>,
    state: RecordState,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    const REPLACE: &str = "
        UPDATE source_records
        SET state = $5, label = coalesce($6, label), amount = coalesce($7, amount), currency = coalesce($8, currency),
            payload_sealed = $9, payload_key_id = $10, payload_hash = $11, updated_at = $12
        WHERE organization_id = $1 AND integration_config_id = $2 AND source_record_type = $3
            AND source_record_id = $4
    ";
    const WAIT: &str = "
        UPDATE source_records
        SET state = $5, label = coalesce($6, label), amount = coalesce($7, amount), currency = coalesce($8, currency),
            next_payload_sealed = $9, next_payload_key_id = $10, next_payload_hash = $11, updated_at = $12
        WHERE organization_id = $1 AND integration_config_id = $2 AND source_record_type = $3
            AND source_record_id = $4
    ";
    let organization_id = tx.organization_id();
    let waits = matches!(state, RecordState::Sending | RecordState::Unknown);
    sqlx::query(if waits { WAIT } else { REPLACE })
        .bind(organization_id)
        .bind(integration_config_id)
        .bind(&staging.key.source_record_type)
        .bind(staging.key.source_record_id)
        .bind(state.as_str())
        .bind(staging.label)
        .bind(staging.amount)
        .bind(staging.currency)
        .bind(&staging.payload.bytes)
        .bind(&staging.payload.key_id)
        .bind(staging.payload_hash)
        .bind(now)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// A person's decision about a record.
#[derive(Clone, Debug)]
pub struct NewResolution<'a> {
    /// The decision.
    pub resolution: Resolution,
    /// Why.
    pub reason: &'a str,
    /// A voucher or other reference.
    pub reference: Option<&'a str>,
    /// Who decided.
    pub resolved_by: Uuid,
}

/// Writes a decision and what it makes of the record, which is in doubt no more. A settled record's payload is deleted.
pub async fn resolve(
    tx: &mut OrgTx,
    integration_config_id: Uuid,
    key: &RecordKey,
    new: &NewResolution<'_>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let organization_id = tx.organization_id();
    let state = match new.resolution {
        Resolution::HandledManually => RecordState::Handled,
        Resolution::Delivered => RecordState::Delivered,
        Resolution::SendAgain => RecordState::Failed,
    };
    sqlx::query(
        "
        UPDATE source_records
        SET state = $5, resolution = $6, resolution_reason = $7, resolution_reference = $8, resolved_by = $9,
            resolved_at = $10, updated_at = $10,
            -- The id of what a person says did not arrive is of no use: nobody is to look for that any more.
            external_reference_id = CASE $6 WHEN 'delivered' THEN $8
                                            WHEN 'handled_manually' THEN external_reference_id END,
            payload_sealed = CASE WHEN $6 = 'send_again' THEN coalesce(next_payload_sealed, payload_sealed) END,
            payload_key_id = CASE WHEN $6 = 'send_again' THEN coalesce(next_payload_key_id, payload_key_id) END,
            payload_hash = CASE WHEN $6 = 'send_again' THEN coalesce(next_payload_hash, payload_hash)
                                ELSE payload_hash END,
            next_payload_sealed = NULL, next_payload_key_id = NULL, next_payload_hash = NULL,
            sent_in_doubt_since = NULL, given_up_at = NULL
        WHERE organization_id = $1 AND integration_config_id = $2 AND source_record_type = $3
            AND source_record_id = $4
        ",
    )
    .bind(organization_id)
    .bind(integration_config_id)
    .bind(&key.source_record_type)
    .bind(key.source_record_id)
    .bind(state.as_str())
    .bind(new.resolution.as_str())
    .bind(new.reason)
    .bind(new.reference)
    .bind(new.resolved_by)
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(())
}
