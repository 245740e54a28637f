//! Live events, written in the transaction of the change they tell of.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::FromRow;
use sqlx::postgres::PgListener;
use uuid::Uuid;

use crate::database::{Database, OrgTx, PlainTx};
use crate::error::StoreError;

/// Records that something changed; ids only. `user_id` restricts it to one person.
pub async fn record(tx: &mut OrgTx, kind: &str, user_id: Option<Uuid>, data: &Value) -> Result<(), StoreError> {
    let organization_id = tx.organization_id();
    sqlx::query("INSERT INTO events (organization_id, kind, user_id, data) VALUES ($1, $2, $3, $4)")
        .bind(organization_id)
        .bind(kind)
        .bind(user_id)
        .bind(data)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// An event for everybody in the organization, to be recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct NewEvent {
    /// What changed, such as `sync.changed`.
    pub kind: &'static str,
    /// Ids only.
    pub data: Value,
}

/// The channel on which the publisher tells that events were numbered.
const CHANNEL: &str = "syncwatch_events";

/// A numbered event.
#[derive(Clone, Debug, PartialEq, FromRow)]
pub struct Event {
    /// Its number: whoever has seen it has been able to see every smaller one.
    pub seq: i64,
    /// The organization it belongs to.
    pub organization_id: Uuid,
    /// What changed, such as `sync.changed`.
    pub kind: String,
    /// Only for this person, where set.
    pub user_id: Option<Uuid>,
    /// Ids only.
    pub data: Value,
}

/// Numbers the events of committed transactions and tells every process, in one transaction. Only one process does so
/// at a time; the others return at once. Returns how many were numbered.
pub async fn publish(database: &Database, batch: i64) -> Result<u64, StoreError> {
    let mut tx = PlainTx::begin(database).await?;
    // Each waiting event is found by its index, never by reading all events there are: so no other way is allowed, and
    // the statement is planned each time, with the size that the table has by then.
    let (mine, ..): (bool, String, String, String) = sqlx::query_as(
        "
        SELECT pg_try_advisory_xact_lock(hashtext('syncwatch_events')), set_config('enable_seqscan', 'off', true),
               set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true)
        ",
    )
    .fetch_one(tx.conn())
    .await?;
    if !mine {
        return Ok(0);
    }
    let numbered = sqlx::query(
        "
        UPDATE events SET seq = numbered.seq
        FROM (
            SELECT waiting.id, nextval('events_seq') AS seq
            FROM (SELECT id FROM events WHERE seq IS NULL ORDER BY id LIMIT $1) AS waiting
        ) AS numbered
        WHERE events.id = numbered.id
        ",
    )
    .bind(batch)
    .persistent(false)
    .execute(tx.conn())
    .await?
    .rows_affected();
    if numbered > 0 {
        sqlx::query("SELECT pg_notify($1, '')").bind(CHANNEL).execute(tx.conn()).await?;
    }
    tx.commit().await?;
    Ok(numbered)
}

/// The number of the newest event; 0 if there is none.
pub async fn newest(tx: &mut PlainTx) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar("SELECT coalesce(max(seq), 0) FROM events").fetch_one(tx.conn()).await?)
}

/// Events of every organization after a number, in order.
pub async fn after(tx: &mut PlainTx, seq: i64, limit: i64) -> Result<Vec<Event>, StoreError> {
    Ok(sqlx::query_as(
        "
        SELECT seq, organization_id, kind, user_id, data FROM events
        WHERE seq > $1 ORDER BY seq LIMIT $2
        ",
    )
    .bind(seq)
    .bind(limit)
    .fetch_all(tx.conn())
    .await?)
}

/// Events of one organization after a number, in order.
pub async fn of_organization_after(
    tx: &mut PlainTx,
    organization_id: Uuid,
    seq: i64,
    limit: i64,
) -> Result<Vec<Event>, StoreError> {
    Ok(sqlx::query_as(
        "
        SELECT seq, organization_id, kind, user_id, data FROM events
        WHERE organization_id = $1 AND seq > $2 ORDER BY seq LIMIT $3
        ",
    )
    .bind(organization_id)
    .bind(seq)
    .bind(limit)
    .fetch_all(tx.conn())
    .await?)
}

/// Forgets numbered events older than a moment: in the order of their numbers, up to the first that is not.
pub async fn purge(tx: &mut PlainTx, before: DateTime<Utc>) -> Result<u64, StoreError> {
    let done = sqlx::query(
        "
        DELETE FROM events WHERE seq < coalesce(
            (SELECT seq FROM events WHERE created_at >= $1 AND seq IS NOT NULL ORDER BY seq LIMIT 1),
            9223372036854775807
        )
        ",
    )
    .bind(before)
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected())
}

/// Hears when events were numbered, in whichever process. Reconnects by itself.
pub struct Listener(PgListener);

impl Listener {
    /// Begins to listen.
    pub async fn connect(database: &Database) -> Result<Self, StoreError> {
        Ok(Self(database.listen(&[CHANNEL]).await?))
    }

    /// Waits until events were numbered, or until the connection was lost and made anew (some may have been missed).
    pub async fn heard(&mut self) -> Result<(), StoreError> {
        self.0.try_recv().await?;
        Ok(())
    }
}
