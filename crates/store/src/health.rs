//! The health row of an integration: the domain's facts, kept in the ledger's transactions.

mod finished;

use chrono::{DateTime, Utc};
use domain::health::{Amount, HealthFacts, Undelivered};
use rust_decimal::Decimal;
use uuid::Uuid;

use crate::database::OrgTx;
use crate::error::StoreError;
use crate::events::NewEvent;
use crate::words::money;

pub use finished::{failures_before, holds_month, latest_finished};

/// The facts of an integration.
pub async fn find(tx: &mut OrgTx, integration_config_id: Uuid) -> Result<HealthFacts, StoreError> {
    let organization_id = tx.organization_id();
    let facts: Option<sqlx::types::Json<HealthFacts>> = sqlx::query_scalar(
        "SELECT facts FROM integration_health WHERE organization_id = $1 AND integration_config_id = $2",
    )
    .bind(organization_id)
    .bind(integration_config_id)
    .fetch_optional(tx.conn())
    .await?;
    Ok(facts.map(|facts| facts.0).unwrap_or_default())
}

/// The facts, held against other writers until the transaction ends; so this comes late in it.
pub async fn lock(tx: &mut OrgTx, integration_config_id: Uuid) -> Result<HealthFacts, StoreError> {
    let organization_id = tx.organization_id();
    let facts: sqlx::types::Json<HealthFacts> = sqlx::query_scalar(
        "SELECT facts FROM integration_health WHERE organization_id = $1 AND integration_config_id = $2 FOR UPDATE",
    )
    .bind(organization_id)
    .bind(integration_config_id)
    .fetch_one(tx.conn())
    .await?;
    Ok(facts.0)
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
        UPDATE integration_health SET facts = $3, updated_at = $4
        WHERE organization_id = $1 AND integration_config_id = $2
        ",
    )
    .bind(organization_id)
    .bind(integration_config_id)
    .bind(sqlx::types::Json(facts))
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Writes the facts, the moment at which the light turns red by itself, and the events that tell of it, in one round
/// trip.
pub async fn update_and_tell(
    tx: &mut OrgTx,
    integration_config_id: Uuid,
    facts: &HealthFacts,
    stale_at: Option<DateTime<Utc>>,
    events: &[NewEvent],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let organization_id = tx.organization_id();
    sqlx::query(
        "
        WITH health AS (
            UPDATE integration_health SET facts = $3, updated_at = $4
            WHERE organization_id = $1 AND integration_config_id = $2
        ), timer AS (
            UPDATE integration_timers SET stale_at = $5 WHERE organization_id = $1 AND integration_config_id = $2
        )
        INSERT INTO events (organization_id, kind, data)
        SELECT $1, event.kind, event.data FROM unnest($6::text[], $7::jsonb[]) AS event (kind, data)
        ",
    )
    .bind(organization_id)
    .bind(integration_config_id)
    .bind(sqlx::types::Json(facts))
    .bind(now)
    .bind(stale_at)
    .bind(events.iter().map(|event| event.kind).collect::<Vec<_>>())
    .bind(events.iter().map(|event| &event.data).collect::<Vec<_>>())
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// What has not arrived, counted and summed by currency from the records' states.
pub async fn undelivered(tx: &mut OrgTx, integration_config_id: Uuid) -> Result<Undelivered, StoreError> {
    Ok(standing(tx, integration_config_id).await?.0)
}

/// The same, and the integration's open incident. Read after the health row is locked, both are as whoever held it
/// before left them.
pub async fn standing(tx: &mut OrgTx, integration_config_id: Uuid) -> Result<(Undelivered, Option<Uuid>), StoreError> {
    type Row = (Option<Uuid>, Option<String>, Option<i64>, Option<Decimal>);
    let organization_id = tx.organization_id();
    let rows: Vec<Row> = sqlx::query_as(
        "
        SELECT incident.id, sums.currency, sums.records, sums.amount
        FROM (VALUES (true)) AS always
        LEFT JOIN (
            SELECT id FROM incidents
            WHERE organization_id = $1 AND integration_config_id = $2 AND resolved_at IS NULL
        ) AS incident ON true
        LEFT JOIN (
            SELECT currency, count(*) AS records, sum(amount) AS amount FROM source_records
            WHERE organization_id = $1 AND integration_config_id = $2 AND state IN ('failed', 'unknown')
            GROUP BY currency
        ) AS sums ON true
        ORDER BY sums.currency
        ",
    )
    .bind(organization_id)
    .bind(integration_config_id)
    .fetch_all(tx.conn())
    .await?;
    let incident = rows.first().and_then(|row| row.0);
    let records = rows.iter().filter_map(|row| row.2).sum();
    let amounts = rows
        .into_iter()
        .filter_map(|(_, currency, _, sum)| Some(Amount { currency: currency?, amount: money(sum?) }))
        .collect();
    Ok((Undelivered { records, amounts }, incident))
}
