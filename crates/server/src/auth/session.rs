//! Sessions of people: refresh tokens that are exchanged at each use. One that comes twice was stolen, by whichever of
//! the two; its whole family ends.

use chrono::{DateTime, Duration, Utc};
use store::refresh_tokens::{self, RefreshToken};
use store::{Database, PlainTx, StoreError, memberships};
use uuid::Uuid;

use super::api_key::{generate, hash};
use super::context::Role;

/// The prefix of refresh tokens.
const PREFIX: &str = "swr_";
/// Longest refresh token that is looked up.
const MAX_BYTES: usize = 200;

/// A session that goes on, with its new refresh token.
#[derive(Clone, Debug)]
pub struct Session {
    /// The person.
    pub user_id: Uuid,
    /// The organization signed in to.
    pub organization_id: Uuid,
    /// The person's role there, at this moment.
    pub role: Role,
    /// The next refresh token, known to the caller alone.
    pub refresh_token: String,
}

/// What became of a refresh token.
#[derive(Clone, Debug)]
pub enum Refreshed {
    /// The session goes on.
    Continues(Session),
    /// Unknown, expired or revoked.
    Ended,
    /// It was used before: the family is revoked.
    Reused,
}

/// Begins a session.
pub async fn begin(
    tx: &mut PlainTx,
    user_id: Uuid,
    organization_id: Uuid,
    days: u32,
    now: DateTime<Utc>,
) -> Result<String, StoreError> {
    insert(tx, Uuid::now_v7(), user_id, organization_id, days, now).await
}

/// Exchanges a refresh token for its successor.
pub async fn refresh(database: &Database, token: &str, days: u32, now: DateTime<Utc>) -> Result<Refreshed, StoreError> {
    if token.len() > MAX_BYTES {
        return Ok(Refreshed::Ended);
    }
    let token_hash = hash(token);
    let mut tx = PlainTx::begin(database).await?;
    let Some(stored) = refresh_tokens::lock(&mut tx, &token_hash).await? else { return Ok(Refreshed::Ended) };
    if stored.used_at.is_some() {
        refresh_tokens::revoke_family(&mut tx, stored.family_id, now).await?;
        tx.commit().await?;
        return Ok(Refreshed::Reused);
    }
    if stored.revoked_at.is_some() || stored.expires_at <= now {
        return Ok(Refreshed::Ended);
    }
    tx.set_person(stored.user_id).await?;
    let role = memberships::of_person(&mut tx, stored.user_id)
        .await?
        .into_iter()
        .find(|membership| membership.organization_id == stored.organization_id)
        .and_then(|membership| membership.role.parse().ok());
    let Some(role) = role else {
        refresh_tokens::revoke_family(&mut tx, stored.family_id, now).await?;
        tx.commit().await?;
        return Ok(Refreshed::Ended);
    };
    refresh_tokens::mark_used(&mut tx, &token_hash, now).await?;
    let refresh_token = insert(&mut tx, stored.family_id, stored.user_id, stored.organization_id, days, now).await?;
    tx.commit().await?;
    Ok(Refreshed::Continues(Session {
        user_id: stored.user_id,
        organization_id: stored.organization_id,
        role,
        refresh_token,
    }))
}

/// Ends the session of a refresh token, whatever state it is in.
pub async fn end(database: &Database, token: &str, now: DateTime<Utc>) -> Result<(), StoreError> {
    if token.len() > MAX_BYTES {
        return Ok(());
    }
    let mut tx = PlainTx::begin(database).await?;
    if let Some(stored) = refresh_tokens::lock(&mut tx, &hash(token)).await? {
        refresh_tokens::revoke_family(&mut tx, stored.family_id, now).await?;
    }
    tx.commit().await
}

async fn insert(
    tx: &mut PlainTx,
    family_id: Uuid,
    user_id: Uuid,
    organization_id: Uuid,
    days: u32,
    now: DateTime<Utc>,
) -> Result<String, StoreError> {
    let token = generate(PREFIX);
    let row = RefreshToken {
        token_hash: hash(&token),
        family_id,
        user_id,
        organization_id,
        created_at: now,
        expires_at: now + Duration::days(i64::from(days)),
        used_at: None,
        revoked_at: None,
    };
    refresh_tokens::insert(tx, &row).await?;
    Ok(token)
}
