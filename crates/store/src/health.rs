//! The health row of an integration: the domain's facts, kept in the ledger's transactions.

mod finished;
mod stored;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use domain::health::{Amount, HealthFacts, Undelivered};
use rust_decimal::Decimal;
use sqlx::types::Json;
use uuid::Uuid;

use crate::database::OrgTx;
use crate::error::StoreError;
use crate::events::NewEvent;
use crate::words::money;

pub use finished::{failures_before, holds_month, latest_finished};
pub use stored::StoredFacts;

/// The facts of an integration.
pub async fn find(tx: &mut OrgTx, integration_config_id: Uuid) -> Result<HealthFacts, StoreError> {
    let organization_id = tx.organization_id();
    let facts: Option<Json<StoredFacts>> = sqlx::query_scalar(
        "SELECT facts FROM integration_health WHERE organization_id = $1 AND integration_config_id = $2",
    )
    .bind(organization_id)
    .bind(integration_config_id)
    .fetch_optional(tx.conn())
    .await?;
    Ok(facts.map(|facts| facts.0.into()).unwrap_or_default())
}

/// The facts, held against other writers until the transaction ends; so this comes late in it.
pub async fn lock(tx: &mut OrgTx, integration_config_id: Uuid) -> Result<HealthFacts, StoreError> {
    let held = lock_many(tx, &[integration_config_id]).await?.remove(&integration_config_id);
    held.ok_or_else(|| StoreError::Corrupt("an integration has no health row".to_owned()))
}

/// The same of several integrations, always in the same order, so that two who hold several never wait for each other.
pub async fn lock_many(
    tx: &mut OrgTx,
    integration_config_ids: &[Uuid],
) -> Result<BTreeMap<Uuid, HealthFacts>, StoreError> {
    let organization_id = tx.organization_id();
    let held: Vec<(Uuid, Json<StoredFacts>)> = sqlx::query_as(
        "
        SELECT integration_config_id, facts
        -- Read first (`OFFSET 0`), so that each row is looked up by its key.
        FROM (SELECT $1::uuid AS organization, id FROM unnest($2::uuid[]) AS wanted (id) OFFSET 0) AS wanted
        JOIN integration_health ON organization_id = organization AND integration_config_id = id
        ORDER BY integration_config_id
        FOR UPDATE OF integration_health
        ",
    )
    .bind(organization_id)
    .bind(integration_config_ids)
    .fetch_all(tx.conn())
    .await?;
    Ok(held.into_iter().map(|(id, facts)| (id, facts.0.into())).collect())
}

/// Writes the facts.
pub async fn update(
    tx: &mut OrgTx,
    integration_config_id: Uuid,
    facts: &HealthFacts,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let organization_id = tx.organization_id();
    sqlx::query(
        "
        UPDATE integration_health SET facts = $3::text::json, updated_at = $4
        WHERE organization_id = $1 AND integration_config_id = $2
        ",
    )
    .bind(organization_id)
    .bind(integration_config_id)
    .bind(StoredFacts::text(facts)?)
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// An integration's health as it is to be written.
#[derive(Clone, Debug, PartialEq)]
pub struct NewHealth {
    /// The integration.
    pub integration_config_id: Uuid,
    /// The facts.
    pub facts: HealthFacts,
    /// When the light turns red by itself.
    pub stale_at: Option<DateTime<Utc>>,
}

/// Writes the health of integrations, and the events that tell of it, in one round trip.
pub async fn update_and_tell(
    tx: &mut OrgTx,
    health: &[NewHealth],
    events: &[NewEvent],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let organization_id = tx.organization_id();
    let facts = health.iter().map(|new| StoredFacts::text(&new.facts)).collect::<Result<Vec<String>, _>>()?;
    sqlx::query(
        "
        WITH new AS (
            SELECT $1::uuid AS organization, id, facts::json, stale_at
            FROM unnest($2::uuid[], $3::text[], $4::timestamptz[]) AS new (id, facts, stale_at)
        ), health AS (
            UPDATE integration_health SET facts = new.facts, updated_at = $5 FROM new
            WHERE organization_id = organization AND integration_config_id = new.id
        ), timer AS (
            UPDATE integration_timers SET stale_at = new.stale_at FROM new
            WHERE organization_id = organization AND integration_config_id = new.id
        )
        INSERT INTO events (organization_id, kind, data)
        SELECT $1, event.kind, event.data FROM unnest($6::text[], $7::jsonb[]) AS event (kind, data)
        ",
    )
    .bind(organization_id)
    .bind(health.iter().map(|new| new.integration_config_id).collect::<Vec<_>>())
    .bind(facts)
    .bind(health.iter().map(|new| new.stale_at).collect::<Vec<_>>())
    .bind(now)
    .bind(events.iter().map(|event| event.kind).collect::<Vec<_>>())
    .bind(events.iter().map(|event| &event.data).collect::<Vec<_>>())
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// What an integration's facts and incidents are judged with.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Standing {
    /// What has not arrived, counted and summed by currency from the records' states.
    pub undelivered: Undelivered,
    /// The open incident.
    pub incident: Option<Uuid>,
}

/// Where integrations stand. Read after their health rows are locked, it is as whoever held them before left it.
pub async fn standing(tx: &mut OrgTx, integration_config_ids: &[Uuid]) -> Result<BTreeMap<Uuid, Standing>, StoreError> {
    type Row = (Uuid, Option<Uuid>, Option<String>, Option<i64>, Option<Decimal>);
    let organization_id = tx.organization_id();
    let rows: Vec<Row> = sqlx::query_as(
        "
        SELECT wanted.id, incident.id, sums.currency, sums.records, sums.amount
        FROM unnest($2::uuid[]) AS wanted (id)
        LEFT JOIN incidents AS incident
            ON incident.organization_id = $1 AND incident.integration_config_id = wanted.id
            AND incident.resolved_at IS NULL
        LEFT JOIN LATERAL (
            SELECT currency, count(*) AS records, sum(amount) AS amount FROM source_records
            WHERE organization_id = $1 AND integration_config_id = wanted.id AND state IN ('failed', 'unknown')
            GROUP BY currency
        ) AS sums ON true
        ORDER BY wanted.id, sums.currency
        ",
    )
    .bind(organization_id)
    .bind(integration_config_ids)
    .fetch_all(tx.conn())
    .await?;
    let mut standing: BTreeMap<Uuid, Standing> = BTreeMap::new();
    for (id, incident, currency, records, sum) in rows {
        let one = standing.entry(id).or_default();
        one.incident = incident;
        one.undelivered.records += records.unwrap_or(0);
        one.undelivered
            .amounts
            .extend(currency.zip(sum).map(|(currency, sum)| Amount { currency, amount: money(sum) }));
    }
    Ok(standing)
}

/// What of an integration has not arrived.
pub async fn undelivered(tx: &mut OrgTx, integration_config_id: Uuid) -> Result<Undelivered, StoreError> {
    let standing = standing(tx, &[integration_config_id]).await?.remove(&integration_config_id);
    Ok(standing.unwrap_or_default().undelivered)
}
