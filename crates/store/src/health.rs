//! The health row of an integration: the domain's facts, kept in the ledger's transactions.

use chrono::{DateTime, Utc};
use domain::health::{Amount, HealthFacts, Undelivered};
use rust_decimal::Decimal;
use uuid::Uuid;

use crate::database::OrgTx;
use crate::error::StoreError;
use crate::words::money;

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

/// What has not arrived, counted and summed by currency from the records' states.
pub async fn undelivered(tx: &mut OrgTx, integration_config_id: Uuid) -> Result<Undelivered, StoreError> {
    let organization_id = tx.organization_id();
    let sums: Vec<(Option<String>, i64, Option<Decimal>)> = sqlx::query_as(
        "
        SELECT currency, count(*), sum(amount)
        FROM source_records
        WHERE organization_id = $1 AND integration_config_id = $2 AND state IN ('failed', 'unknown')
        GROUP BY currency ORDER BY currency
        ",
    )
    .bind(organization_id)
    .bind(integration_config_id)
    .fetch_all(tx.conn())
    .await?;
    let records = sums.iter().map(|(_, count, _)| count).sum();
    let amounts = sums
        .into_iter()
        .filter_map(|(currency, _, sum)| Some(Amount { currency: currency?, amount: money(sum?) }))
        .collect();
    Ok(Undelivered { records, amounts })
}
