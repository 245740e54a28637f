//! Sessions of people: refresh tokens by their hash, one family per sign-in.

use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

use crate::database::PlainTx;
use crate::error::StoreError;

/// A stored refresh token.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct RefreshToken {
    /// SHA-256 of the token.
    pub token_hash: Vec<u8>,
    /// The sign-in it descends from.
    pub family_id: Uuid,
    /// The person.
    pub user_id: Uuid,
    /// The organization signed in to.
    pub organization_id: Uuid,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it ends by itself.
    pub expires_at: DateTime<Utc>,
    /// When it was exchanged for its successor.
    pub used_at: Option<DateTime<Utc>>,
    /// When its family was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
}

/// Stores a new token.
pub async fn insert(tx: &mut PlainTx, token: &RefreshToken) -> Result<(), StoreError> {
    sqlx::query(
        "
        INSERT INTO refresh_tokens (token_hash, family_id, user_id, organization_id, created_at, expires_at)
        VALUES ($1, $2, $3, $4, $5, $6)
        ",
    )
    .bind(&token.token_hash)
    .bind(token.family_id)
    .bind(token.user_id)
    .bind(token.organization_id)
    .bind(token.created_at)
    .bind(token.expires_at)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Finds a token and holds it until the transaction ends, so that it is exchanged once.
pub async fn lock(tx: &mut PlainTx, token_hash: &[u8]) -> Result<Option<RefreshToken>, StoreError> {
    Ok(sqlx::query_as(
        "
        SELECT token_hash, family_id, user_id, organization_id, created_at, expires_at, used_at, revoked_at
        FROM refresh_tokens WHERE token_hash = $1 FOR UPDATE
        ",
    )
    .bind(token_hash)
    .fetch_optional(tx.conn())
    .await?)
}

/// Marks a token as exchanged.
pub async fn mark_used(tx: &mut PlainTx, token_hash: &[u8], now: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query("UPDATE refresh_tokens SET used_at = $2 WHERE token_hash = $1")
        .bind(token_hash)
        .bind(now)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Ends a sign-in: every token of the family.
pub async fn revoke_family(tx: &mut PlainTx, family_id: Uuid, now: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query("UPDATE refresh_tokens SET revoked_at = $2 WHERE family_id = $1 AND revoked_at IS NULL")
        .bind(family_id)
        .bind(now)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Forgets tokens that ended before a moment.
pub async fn purge(tx: &mut PlainTx, before: DateTime<Utc>) -> Result<u64, StoreError> {
    Ok(sqlx::query("DELETE FROM refresh_tokens WHERE expires_at < $1")
        .bind(before)
        .execute(tx.conn())
        .await?
        .rows_affected())
}
