//! The secrets that sign an integration's webhooks, sealed.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::database::OrgTx;
use crate::error::StoreError;
use crate::integrations::SealedBytes;

/// A secret that signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningSecret {
    /// Its id.
    pub id: Uuid,
    /// The secret, sealed.
    pub sealed: SealedBytes,
}

/// Makes a secret the integration's current one; the former one goes on signing until `former_until`. Secrets that have
/// expired are deleted.
pub async fn replace(
    tx: &mut OrgTx,
    integration_config_id: Uuid,
    secret: &SigningSecret,
    now: DateTime<Utc>,
    former_until: DateTime<Utc>,
) -> Result<(), StoreError> {
    let organization_id = tx.organization_id();
    sqlx::query(
        "DELETE FROM webhook_secrets WHERE organization_id = $1 AND integration_config_id = $2 AND expires_at <= $3",
    )
    .bind(organization_id)
    .bind(integration_config_id)
    .bind(now)
    .execute(tx.conn())
    .await?;
    sqlx::query(
        "
        UPDATE webhook_secrets SET expires_at = $3
        WHERE organization_id = $1 AND integration_config_id = $2 AND expires_at IS NULL
        ",
    )
    .bind(organization_id)
    .bind(integration_config_id)
    .bind(former_until)
    .execute(tx.conn())
    .await?;
    sqlx::query(
        "
        INSERT INTO webhook_secrets (
            organization_id, id, integration_config_id, secret_sealed, secret_key_id, created_at
        )
        VALUES ($1, $2, $3, $4, $5, $6)
        ",
    )
    .bind(organization_id)
    .bind(secret.id)
    .bind(integration_config_id)
    .bind(&secret.sealed.bytes)
    .bind(&secret.sealed.key_id)
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// The secrets that sign at a moment, the newest first, up to `limit`.
pub async fn signing(
    tx: &mut OrgTx,
    integration_config_id: Uuid,
    now: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<SigningSecret>, StoreError> {
    let organization_id = tx.organization_id();
    let rows: Vec<(Uuid, Vec<u8>, String)> = sqlx::query_as(
        "
        SELECT id, secret_sealed, secret_key_id FROM webhook_secrets
        WHERE organization_id = $1 AND integration_config_id = $2 AND (expires_at IS NULL OR expires_at > $3)
        ORDER BY created_at DESC, id DESC LIMIT $4
        ",
    )
    .bind(organization_id)
    .bind(integration_config_id)
    .bind(now)
    .bind(limit)
    .fetch_all(tx.conn())
    .await?;
    Ok(rows
        .into_iter()
        .map(|(id, bytes, key_id)| SigningSecret { id, sealed: SealedBytes { key_id, bytes } })
        .collect())
}

/// The organization's integrations whose runner has an address but no secret to verify messages with, and so is not
/// told.
pub async fn missing(tx: &mut OrgTx) -> Result<Vec<Uuid>, StoreError> {
    let organization_id = tx.organization_id();
    Ok(sqlx::query_scalar(
        "
        SELECT id FROM integration_configs
        WHERE organization_id = $1 AND runner = 'external' AND retry_webhook_url IS NOT NULL
            AND NOT EXISTS (
                SELECT FROM webhook_secrets
                WHERE webhook_secrets.organization_id = integration_configs.organization_id
                    AND webhook_secrets.integration_config_id = integration_configs.id
                    AND webhook_secrets.expires_at IS NULL
            )
        ORDER BY lower(name), id
        ",
    )
    .bind(organization_id)
    .fetch_all(tx.conn())
    .await?)
}

/// Whether the integration has a secret.
pub async fn exists(tx: &mut OrgTx, integration_config_id: Uuid) -> Result<bool, StoreError> {
    let organization_id = tx.organization_id();
    Ok(sqlx::query_scalar(
        "
        SELECT EXISTS (
            SELECT FROM webhook_secrets
            WHERE organization_id = $1 AND integration_config_id = $2 AND expires_at IS NULL
        )
        ",
    )
    .bind(organization_id)
    .bind(integration_config_id)
    .fetch_one(tx.conn())
    .await?)
}
