//! The issuer's own keys.

use chrono::{DateTime, Utc};
use sqlx::FromRow;

use crate::database::PlainTx;
use crate::error::StoreError;

/// A key that signs or has signed tokens.
#[derive(Clone, FromRow)]
pub struct SigningKeyRow {
    /// Names the key in tokens.
    pub kid: String,
    /// The Ed25519 public key, 32 bytes.
    pub public_key: Vec<u8>,
    /// The private key in PKCS#8, sealed by the server.
    pub private_key_sealed: Vec<u8>,
    /// Which master key sealed it.
    pub sealing_key_id: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// Every key in use, newest first. Holds a lock until the transaction ends, so that only one process makes the first.
pub async fn lock_all(tx: &mut PlainTx) -> Result<Vec<SigningKeyRow>, StoreError> {
    sqlx::query("SELECT pg_advisory_xact_lock(hashtext('syncwatch_signing_keys'))").execute(tx.conn()).await?;
    Ok(sqlx::query_as(
        "
        SELECT kid, public_key, private_key_sealed, sealing_key_id, created_at
        FROM signing_keys WHERE retired_at IS NULL
        ORDER BY created_at DESC, kid
        ",
    )
    .fetch_all(tx.conn())
    .await?)
}

/// The key that signs: the newest in use.
pub async fn newest(tx: &mut PlainTx) -> Result<Option<SigningKeyRow>, StoreError> {
    Ok(sqlx::query_as(
        "
        SELECT kid, public_key, private_key_sealed, sealing_key_id, created_at
        FROM signing_keys WHERE retired_at IS NULL
        ORDER BY created_at DESC, kid LIMIT 1
        ",
    )
    .fetch_optional(tx.conn())
    .await?)
}

/// The public half of every key there ever was, by its id; what a retired key signed stays signed.
pub async fn public_keys(tx: &mut PlainTx) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
    Ok(sqlx::query_as("SELECT kid, public_key FROM signing_keys").fetch_all(tx.conn()).await?)
}

/// Stores a new key.
pub async fn insert(tx: &mut PlainTx, key: &SigningKeyRow) -> Result<(), StoreError> {
    sqlx::query(
        "
        INSERT INTO signing_keys (kid, public_key, private_key_sealed, sealing_key_id, created_at)
        VALUES ($1, $2, $3, $4, $5)
        ",
    )
    .bind(&key.kid)
    .bind(&key.public_key)
    .bind(&key.private_key_sealed)
    .bind(&key.sealing_key_id)
    .bind(key.created_at)
    .execute(tx.conn())
    .await?;
    Ok(())
}
