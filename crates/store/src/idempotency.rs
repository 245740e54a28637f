//! Answers to requests that carried an `Idempotency-Key`, stored in the write's own transaction.

use chrono::{DateTime, Duration, Utc};
use serde_json::Value;
use sqlx::FromRow;
use uuid::Uuid;

use crate::database::OrgTx;
use crate::error::StoreError;

/// Days an answer is kept.
pub const KEPT_DAYS: i64 = 7;

/// Names a request: who asked for what under which key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestKey {
    /// The person or the machine's key.
    pub principal_id: Uuid,
    /// The operation and what it was asked on, such as `requestRetry/<sync>`.
    pub operation: String,
    /// The caller's own key.
    pub key: String,
    /// SHA-256 of the body.
    pub body_hash: Vec<u8>,
}

/// An answer, as it was given.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredAnswer {
    /// HTTP status.
    pub status: i16,
    /// The `Location` header.
    pub location: Option<String>,
    /// The body.
    pub body: Option<Value>,
}

/// What the ledger knows of a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Begin {
    /// Nothing: do the work, then [`finish`].
    New,
    /// It was answered: give the same answer.
    Replay(StoredAnswer),
    /// The key came with another body before.
    Mismatch,
    /// Another transaction is at work on it.
    InProgress,
}

#[derive(FromRow)]
struct Row {
    body_hash: Vec<u8>,
    status: Option<i16>,
    location: Option<String>,
    body: Option<Value>,
}

/// Looks a request up and holds its key until the transaction ends.
pub async fn begin(tx: &mut OrgTx, request: &RequestKey, now: DateTime<Utc>) -> Result<Begin, StoreError> {
    let organization_id = tx.organization_id();
    let name = format!("{}/{}/{}/{}", organization_id, request.principal_id, request.operation, request.key);
    let free: bool = sqlx::query_scalar("SELECT pg_try_advisory_xact_lock(hashtextextended($1, 7))")
        .bind(name)
        .fetch_one(tx.conn())
        .await?;
    if !free {
        return Ok(Begin::InProgress);
    }
    let found: Option<Row> = sqlx::query_as(
        "
        SELECT body_hash, status, location, body FROM idempotency_keys
        WHERE organization_id = $1 AND principal_id = $2 AND operation = $3 AND key = $4 AND created_at > $5
        ",
    )
    .bind(organization_id)
    .bind(request.principal_id)
    .bind(&request.operation)
    .bind(&request.key)
    .bind(now - Duration::days(KEPT_DAYS))
    .fetch_optional(tx.conn())
    .await?;
    Ok(match found {
        None => Begin::New,
        Some(row) if row.body_hash != request.body_hash => Begin::Mismatch,
        Some(Row { status: Some(status), location, body, .. }) => {
            Begin::Replay(StoredAnswer { status, location, body })
        }
        Some(Row { status: None, .. }) => Begin::InProgress,
    })
}

/// Stores the answer, to be durable exactly if the work is.
pub async fn finish(
    tx: &mut OrgTx,
    request: &RequestKey,
    answer: &StoredAnswer,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let organization_id = tx.organization_id();
    sqlx::query(
        "
        INSERT INTO idempotency_keys
            (organization_id, principal_id, operation, key, body_hash, status, location, body, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        ON CONFLICT (organization_id, principal_id, operation, key) DO UPDATE
        SET body_hash = excluded.body_hash, status = excluded.status, location = excluded.location,
            body = excluded.body, created_at = excluded.created_at
        ",
    )
    .bind(organization_id)
    .bind(request.principal_id)
    .bind(&request.operation)
    .bind(&request.key)
    .bind(&request.body_hash)
    .bind(answer.status)
    .bind(&answer.location)
    .bind(&answer.body)
    .bind(now)
    .execute(tx.conn())
    .await?;
    // A few outlived answers go with each new one, so that none stays for long and no request pays for many.
    sqlx::query(
        "
        DELETE FROM idempotency_keys
        WHERE (organization_id, principal_id, operation, key) IN (
            SELECT organization_id, principal_id, operation, key FROM idempotency_keys
            WHERE organization_id = $1 AND created_at < $2 ORDER BY created_at LIMIT 20 FOR UPDATE SKIP LOCKED
        )
        ",
    )
    .bind(organization_id)
    .bind(now - Duration::days(KEPT_DAYS))
    .execute(tx.conn())
    .await?;
    Ok(())
}
