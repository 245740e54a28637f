//! Machines' keys.

use chrono::{DateTime, Duration, Utc};
use sqlx::FromRow;
use uuid::Uuid;

use crate::database::{OrgTx, PlainTx};
use crate::error::StoreError;

/// What a machine's sign-in needs to know.
#[derive(Clone, FromRow)]
pub struct KeyLookup {
    /// The one organization the key works for.
    pub organization_id: Uuid,
    /// SHA-256 of the secret.
    pub secret_hash: Vec<u8>,
    /// What the key may do.
    pub scopes: Vec<String>,
    /// Whether it was revoked.
    pub revoked: bool,
}

/// Finds a key by its id.
pub async fn find(tx: &mut PlainTx, id: Uuid) -> Result<Option<KeyLookup>, StoreError> {
    Ok(sqlx::query_as("SELECT organization_id, secret_hash, scopes, revoked FROM api_key_lookup($1)")
        .bind(id)
        .fetch_optional(tx.conn())
        .await?)
}

/// Remembers that a key was used, at most once a minute.
pub async fn touch(tx: &mut OrgTx, id: Uuid, now: DateTime<Utc>) -> Result<(), StoreError> {
    let organization_id = tx.organization_id();
    sqlx::query(
        "
        UPDATE api_keys SET last_used_at = $3
        WHERE organization_id = $1 AND id = $2 AND (last_used_at IS NULL OR last_used_at < $4)
        ",
    )
    .bind(organization_id)
    .bind(id)
    .bind(now)
    .bind(now - Duration::minutes(1))
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// The name of a key and of its organization.
pub async fn names(tx: &mut OrgTx, id: Uuid) -> Result<Option<(String, String)>, StoreError> {
    let organization_id = tx.organization_id();
    Ok(sqlx::query_as(
        "
        SELECT api_keys.name, organizations.name
        FROM api_keys JOIN organizations USING (organization_id)
        WHERE api_keys.organization_id = $1 AND api_keys.id = $2
        ",
    )
    .bind(organization_id)
    .bind(id)
    .fetch_optional(tx.conn())
    .await?)
}
