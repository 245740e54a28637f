//! Integrations: `integration_configs`.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use domain::health::{HealthFacts, HealthSettings, next_expected_at};
use domain::integration::{ConnectorType, HealthPolicy, PartialFailure, Runner, SyncType};
use domain::schedule::{Schedule, next_run};
use serde_json::Value;
use uuid::Uuid;

use crate::database::OrgTx;
use crate::error::StoreError;
use crate::health::StoredFacts;
use crate::words::word;

/// Credentials as they lie in the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedBytes {
    /// Which key sealed them.
    pub key_id: String,
    /// The sealed bytes.
    pub bytes: Vec<u8>,
}

/// An integration with all its settings.
#[derive(Clone, Debug, PartialEq)]
pub struct IntegrationConfig {
    /// Its id.
    pub id: Uuid,
    /// Its organization.
    pub organization_id: Uuid,
    /// Display name.
    pub name: String,
    /// The external system's kind.
    pub connector_type: ConnectorType,
    /// What is synchronised.
    pub sync_type: SyncType,
    /// Who executes its syncs.
    pub runner: Runner,
    /// The connector's own settings.
    pub settings: Value,
    /// The external system's credentials, sealed.
    pub credentials: Option<SealedBytes>,
    /// What the ledger knows the credentials by: new whenever they are set, the same however often they are sealed anew.
    pub credentials_mark: Option<Uuid>,
    /// When managed syncs run.
    pub schedule: Option<Schedule>,
    /// Whether it is paused.
    pub paused: bool,
    /// Colour and incident policy.
    pub policy: HealthPolicy,
    /// Whether a delivered record may be sent again with new content.
    pub allow_updates: bool,
    /// Address of a record in the organization's own app.
    pub record_url_template: Option<String>,
    /// Where an external runner is told about retries.
    pub retry_webhook_url: Option<String>,
    /// When the receiver there answered that it is gone; none while it is told.
    pub retry_webhook_disabled_at: Option<DateTime<Utc>>,
    /// When its source was last read from end to end with these settings and credentials.
    pub source_read_at: Option<DateTime<Utc>>,
    /// Rises with every change.
    pub version: i64,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When its settings last changed.
    pub updated_at: DateTime<Utc>,
}

impl IntegrationConfig {
    /// What the light depends on besides the facts.
    pub fn health_settings(&self, facts: &HealthFacts) -> HealthSettings {
        let expected = self.schedule.as_ref().filter(|_| !self.paused);
        HealthSettings {
            paused: self.paused,
            created_at: self.created_at,
            next_expected_at: expected.and_then(|schedule| next_expected_at(schedule, facts, self.created_at)),
            policy: self.policy.clone(),
        }
    }

    /// Where its runner is told about retries, while somebody is there.
    pub fn told_at(&self) -> Option<&str> {
        self.retry_webhook_url.as_deref().filter(|_| self.retry_webhook_disabled_at.is_none())
    }

    /// When the schedule is due next, where a run may be `waiting` already.
    pub fn next_run(&self, waiting: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        next_run(self.schedule.as_ref(), self.paused, waiting, now)
    }
}

#[derive(sqlx::FromRow)]
pub(crate) struct Row {
    id: Uuid,
    organization_id: Uuid,
    name: String,
    connector_type: String,
    sync_type: String,
    runner: String,
    settings: Value,
    credentials_sealed: Option<Vec<u8>>,
    credentials_key_id: Option<String>,
    credentials_mark: Option<Uuid>,
    cron: Option<String>,
    time_zone: Option<String>,
    paused: bool,
    freshness_hours: i32,
    business_days_only: bool,
    failure_threshold: i32,
    partial_failure: String,
    allow_updates: bool,
    record_url_template: Option<String>,
    retry_webhook_url: Option<String>,
    retry_webhook_disabled_at: Option<DateTime<Utc>>,
    source_read_at: Option<DateTime<Utc>>,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl TryFrom<Row> for IntegrationConfig {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id,
            organization_id: row.organization_id,
            name: row.name,
            connector_type: word(&row.connector_type)?,
            sync_type: word(&row.sync_type)?,
            runner: word(&row.runner)?,
            settings: row.settings,
            credentials: row
                .credentials_sealed
                .zip(row.credentials_key_id)
                .map(|(bytes, key_id)| SealedBytes { key_id, bytes }),
            credentials_mark: row.credentials_mark,
            schedule: row.cron.zip(row.time_zone).map(|(cron, time_zone)| Schedule { cron, time_zone }),
            paused: row.paused,
            policy: HealthPolicy {
                freshness_hours: row.freshness_hours.unsigned_abs(),
                business_days_only: row.business_days_only,
                failure_threshold: row.failure_threshold.unsigned_abs(),
                partial_failure: word::<PartialFailure>(&row.partial_failure)?,
            },
            allow_updates: row.allow_updates,
            record_url_template: row.record_url_template,
            retry_webhook_url: row.retry_webhook_url,
            retry_webhook_disabled_at: row.retry_webhook_disabled_at,
            source_read_at: row.source_read_at,
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

/// Inserts a new integration and its health row. A taken name is the constraint `integration_configs_name`.
pub async fn insert(tx: &mut OrgTx, config: &IntegrationConfig) -> Result<(), StoreError> {
    let organization_id = tx.organization_id();
    sqlx::query(
        "
        INSERT INTO integration_configs (
            organization_id, id, name, connector_type, sync_type, runner, settings, credentials_sealed,
            credentials_key_id, cron, time_zone, paused, freshness_hours, business_days_only, failure_threshold,
            partial_failure, allow_updates, record_url_template, retry_webhook_url, created_at, updated_at,
            credentials_mark
        )
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $20, $21)
        ",
    )
    .bind(organization_id)
    .bind(config.id)
    .bind(&config.name)
    .bind(config.connector_type.as_str())
    .bind(config.sync_type.as_str())
    .bind(config.runner.as_str())
    .bind(&config.settings)
    .bind(config.credentials.as_ref().map(|sealed| &sealed.bytes))
    .bind(config.credentials.as_ref().map(|sealed| &sealed.key_id))
    .bind(config.schedule.as_ref().map(|schedule| &schedule.cron))
    .bind(config.schedule.as_ref().map(|schedule| &schedule.time_zone))
    .bind(config.paused)
    .bind(config.policy.freshness_hours.cast_signed())
    .bind(config.policy.business_days_only)
    .bind(config.policy.failure_threshold.cast_signed())
    .bind(config.policy.partial_failure.as_str())
    .bind(config.allow_updates)
    .bind(&config.record_url_template)
    .bind(&config.retry_webhook_url)
    .bind(config.created_at)
    .bind(config.credentials_mark)
    .execute(tx.conn())
    .await?;
    sqlx::query(
        "
        INSERT INTO integration_health (organization_id, integration_config_id, facts, updated_at)
        VALUES ($1, $2, $3::text::json, $4)
        ",
    )
    .bind(organization_id)
    .bind(config.id)
    .bind(StoredFacts::text(&HealthFacts::default())?)
    .bind(config.created_at)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Writes an integration's settings if it still has the version that was read; returns whether it had. Credentials are
/// written only where they were set: those that stay may have been sealed anew since they were read.
pub async fn update(tx: &mut OrgTx, config: &IntegrationConfig, read_version: i64) -> Result<bool, StoreError> {
    let organization_id = tx.organization_id();
    let done = sqlx::query(
        "
        UPDATE integration_configs
        SET name = $4, settings = $5, cron = $8, time_zone = $9,
            credentials_sealed = CASE WHEN credentials_mark IS DISTINCT FROM $20 THEN $6 ELSE credentials_sealed END,
            credentials_key_id = CASE WHEN credentials_mark IS DISTINCT FROM $20 THEN $7 ELSE credentials_key_id END,
            credentials_mark = $20,
            -- Another source, or as somebody else: what has not changed there since may be new here.
            source_read_at = CASE WHEN settings = $5 AND credentials_mark IS NOT DISTINCT FROM $20 THEN source_read_at END,
            paused = $10, freshness_hours = $11, business_days_only = $12, failure_threshold = $13,
            partial_failure = $14, allow_updates = $15, record_url_template = $16, retry_webhook_url = $17,
            retry_webhook_disabled_at = $18, version = version + 1, updated_at = $19
        WHERE organization_id = $1 AND id = $2 AND version = $3
        ",
    )
    .bind(organization_id)
    .bind(config.id)
    .bind(read_version)
    .bind(&config.name)
    .bind(&config.settings)
    .bind(config.credentials.as_ref().map(|sealed| &sealed.bytes))
    .bind(config.credentials.as_ref().map(|sealed| &sealed.key_id))
    .bind(config.schedule.as_ref().map(|schedule| &schedule.cron))
    .bind(config.schedule.as_ref().map(|schedule| &schedule.time_zone))
    .bind(config.paused)
    .bind(config.policy.freshness_hours.cast_signed())
    .bind(config.policy.business_days_only)
    .bind(config.policy.failure_threshold.cast_signed())
    .bind(config.policy.partial_failure.as_str())
    .bind(config.allow_updates)
    .bind(&config.record_url_template)
    .bind(&config.retry_webhook_url)
    .bind(config.retry_webhook_disabled_at)
    .bind(config.updated_at)
    .bind(config.credentials_mark)
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Notes when an integration's source was read from end to end, unless its settings or credentials have changed since. An
/// earlier moment than the one that is known takes its place, too: a clock was set back, and what is read twice is no harm.
pub async fn note_source_read(
    tx: &mut OrgTx,
    config: &IntegrationConfig,
    read_at: DateTime<Utc>,
) -> Result<(), StoreError> {
    let organization_id = tx.organization_id();
    sqlx::query(
        "
        UPDATE integration_configs SET source_read_at = $5
        WHERE organization_id = $1 AND id = $2 AND settings = $3 AND credentials_mark IS NOT DISTINCT FROM $4
        ",
    )
    .bind(organization_id)
    .bind(config.id)
    .bind(&config.settings)
    .bind(config.credentials_mark)
    .bind(read_at)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Notes that nobody is at an integration's webhook address any more; returns whether that was news. An address that
/// was changed meanwhile stays.
pub async fn disable_retry_webhook(
    tx: &mut OrgTx,
    id: Uuid,
    url: &str,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let organization_id = tx.organization_id();
    let done = sqlx::query(
        "
        UPDATE integration_configs SET retry_webhook_disabled_at = $4, version = version + 1
        WHERE organization_id = $1 AND id = $2 AND retry_webhook_url = $3 AND retry_webhook_disabled_at IS NULL
        ",
    )
    .bind(organization_id)
    .bind(id)
    .bind(url)
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// One integration of the organization.
pub async fn find(tx: &mut OrgTx, id: Uuid) -> Result<Option<IntegrationConfig>, StoreError> {
    select(tx, id, "SELECT * FROM integration_configs WHERE organization_id = $1 AND id = $2").await
}

/// One integration, whose settings nobody changes until the transaction ends.
pub async fn find_held(tx: &mut OrgTx, id: Uuid) -> Result<Option<IntegrationConfig>, StoreError> {
    select(tx, id, "SELECT * FROM integration_configs WHERE organization_id = $1 AND id = $2 FOR SHARE").await
}

/// One integration, held for a change until the transaction ends.
pub async fn lock(tx: &mut OrgTx, id: Uuid) -> Result<Option<IntegrationConfig>, StoreError> {
    select(tx, id, "SELECT * FROM integration_configs WHERE organization_id = $1 AND id = $2 FOR NO KEY UPDATE").await
}

async fn select(tx: &mut OrgTx, id: Uuid, statement: &'static str) -> Result<Option<IntegrationConfig>, StoreError> {
    let organization_id = tx.organization_id();
    let row: Option<Row> = sqlx::query_as(statement).bind(organization_id).bind(id).fetch_optional(tx.conn()).await?;
    row.map(TryInto::try_into).transpose()
}

/// Those of some integrations that the organization has, by id.
pub async fn find_many(tx: &mut OrgTx, ids: &[Uuid]) -> Result<BTreeMap<Uuid, IntegrationConfig>, StoreError> {
    let organization_id = tx.organization_id();
    let rows: Vec<Row> =
        sqlx::query_as("SELECT * FROM integration_configs WHERE organization_id = $1 AND id = ANY($2)")
            .bind(organization_id)
            .bind(ids)
            .fetch_all(tx.conn())
            .await?;
    rows.into_iter().map(|row| Ok((row.id, row.try_into()?))).collect()
}

/// Every integration of the organization with its health facts and the sync that is under way, by name.
pub async fn list(tx: &mut OrgTx) -> Result<Vec<(IntegrationConfig, HealthFacts, Option<Uuid>)>, StoreError> {
    #[derive(sqlx::FromRow)]
    struct Joined {
        #[sqlx(flatten)]
        config: Row,
        facts: sqlx::types::Json<StoredFacts>,
        active_sync_id: Option<Uuid>,
    }
    let organization_id = tx.organization_id();
    let rows: Vec<Joined> = sqlx::query_as(
        "
        SELECT integration_configs.*, integration_health.facts, active.sync_id AS active_sync_id
        FROM integration_configs
        JOIN integration_health
            ON integration_health.organization_id = integration_configs.organization_id
            AND integration_health.integration_config_id = integration_configs.id
        LEFT JOIN LATERAL (
            SELECT sync_id FROM active_syncs
            WHERE active_syncs.organization_id = integration_configs.organization_id
                AND active_syncs.integration_config_id = integration_configs.id
            ORDER BY created_at DESC LIMIT 1
        ) active ON true
        WHERE integration_configs.organization_id = $1
        ORDER BY lower(integration_configs.name), integration_configs.id
        ",
    )
    .bind(organization_id)
    .fetch_all(tx.conn())
    .await?;
    rows.into_iter().map(|row| Ok((row.config.try_into()?, row.facts.0.into(), row.active_sync_id))).collect()
}
