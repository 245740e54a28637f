//! The webhook outbox: written with the retry request, sent by the dispatcher, possibly more than once.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::database::{OrgTx, PlainTx};
use crate::error::StoreError;

/// A message that tells of a retry request.
#[derive(Clone, Debug)]
pub struct NewWebhook<'a> {
    /// Its id, the same in every try.
    pub id: Uuid,
    /// The integration.
    pub integration_config_id: Uuid,
    /// The sync.
    pub sync_id: Uuid,
    /// The attempt that waits to be claimed.
    pub attempt: u16,
    /// What is signed.
    pub body: &'a str,
}

/// A message as the dispatcher sends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// Its id, the same in every try.
    pub id: Uuid,
    /// The integration.
    pub integration_config_id: Uuid,
    /// What is signed.
    pub body: String,
    /// Tries so far.
    pub tries: u32,
    /// Whether it waits, and the attempt it tells of still waits to be claimed.
    pub wanted: bool,
}

/// A message that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct DueWebhook {
    /// The organization.
    pub organization_id: Uuid,
    /// The message.
    pub webhook_id: Uuid,
    /// The integration.
    pub integration_config_id: Uuid,
}

/// Puts a message into the outbox and its id into the queue, in place of one about the same sync that still waits.
pub async fn insert(tx: &mut OrgTx, new: &NewWebhook<'_>, now: DateTime<Utc>) -> Result<(), StoreError> {
    let organization_id = tx.organization_id();
    sqlx::query(
        "
        WITH replaced AS (
            UPDATE webhook_outbox SET state = 'withdrawn', last_answer = 'a later request took its place'
            WHERE organization_id = $1 AND sync_id = $2 AND state = 'waiting'
            RETURNING organization_id, id
        )
        DELETE FROM webhook_queue USING replaced
        WHERE webhook_queue.organization_id = replaced.organization_id AND webhook_queue.webhook_id = replaced.id
        ",
    )
    .bind(organization_id)
    .bind(new.sync_id)
    .execute(tx.conn())
    .await?;
    sqlx::query(
        "
        WITH written AS (
            INSERT INTO webhook_outbox (
                organization_id, id, integration_config_id, sync_id, attempt_number, body, state, created_at
            )
            VALUES ($1, $2, $3, $4, $5, $6, 'waiting', $7)
            RETURNING organization_id, id, integration_config_id
        )
        INSERT INTO webhook_queue (organization_id, webhook_id, integration_config_id, next_try_at)
        SELECT organization_id, id, integration_config_id, $7 FROM written
        ",
    )
    .bind(organization_id)
    .bind(new.id)
    .bind(new.integration_config_id)
    .bind(new.sync_id)
    .bind(i16::try_from(new.attempt).unwrap_or(i16::MAX))
    .bind(new.body)
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Takes messages that are due, for as long as `locked_until`; other dispatchers pass them over. What a killed one had
/// is due again after that.
///
/// Of an integration at most `most_of_one` are under way, whoever has them; its oldest go first. Integrations take turns,
/// so that one with many messages comes no sooner to its second than another to its first.
pub async fn take_due(
    tx: &mut PlainTx,
    now: DateTime<Utc>,
    locked_until: DateTime<Utc>,
    most_of_one: i64,
    limit: i64,
) -> Result<Vec<DueWebhook>, StoreError> {
    // One dispatcher at a time, so that each sees what the others have taken.
    sqlx::query("SELECT pg_advisory_xact_lock(hashtext('webhook_queue'))").execute(tx.conn()).await?;
    Ok(sqlx::query_as(
        "
        WITH due AS (
            SELECT organization_id, webhook_id, integration_config_id, next_try_at,
                   locked_until IS NULL OR locked_until <= $1 AS is_free
            FROM webhook_queue WHERE next_try_at <= $1
        ),
        placed AS (
            -- What is under way has the first places.
            SELECT organization_id, webhook_id, next_try_at, is_free,
                   row_number() OVER (
                       PARTITION BY organization_id, integration_config_id ORDER BY is_free, next_try_at, webhook_id
                   ) AS place
            FROM due
        ),
        chosen AS MATERIALIZED (
            SELECT organization_id, webhook_id FROM placed WHERE is_free AND place <= $3
            ORDER BY place, next_try_at, webhook_id LIMIT $4
        )
        UPDATE webhook_queue SET locked_until = $2
        WHERE (organization_id, webhook_id) IN (
            SELECT queued.organization_id, queued.webhook_id FROM webhook_queue AS queued
            JOIN chosen ON chosen.organization_id = queued.organization_id AND chosen.webhook_id = queued.webhook_id
            WHERE queued.next_try_at <= $1 AND (queued.locked_until IS NULL OR queued.locked_until <= $1)
            FOR UPDATE OF queued SKIP LOCKED
        )
        RETURNING organization_id, webhook_id, integration_config_id
        ",
    )
    .bind(now)
    .bind(locked_until)
    .bind(most_of_one)
    .bind(limit)
    .fetch_all(tx.conn())
    .await?)
}

/// Makes the messages about an integration's retries that wait for their next try due now.
pub async fn hasten(tx: &mut OrgTx, integration_config_id: Uuid, now: DateTime<Utc>) -> Result<(), StoreError> {
    let organization_id = tx.organization_id();
    sqlx::query(
        "
        UPDATE webhook_queue SET next_try_at = $3
        WHERE organization_id = $1 AND integration_config_id = $2 AND next_try_at > $3
        ",
    )
    .bind(organization_id)
    .bind(integration_config_id)
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// An external runner's retries that wait to be claimed, and of which no message was delivered or waits: the sync and
/// the attempt's number, the oldest first.
pub async fn untold(tx: &mut OrgTx, integration_config_id: Uuid) -> Result<Vec<(Uuid, u16)>, StoreError> {
    let organization_id = tx.organization_id();
    let rows: Vec<(Uuid, i16)> = sqlx::query_as(
        "
        SELECT sync_id, attempt_number FROM active_syncs
        WHERE organization_id = $1 AND integration_config_id = $2 AND NOT running AND NOT managed
            AND attempt_number > 0
            AND NOT EXISTS (
                SELECT FROM webhook_outbox
                WHERE webhook_outbox.organization_id = active_syncs.organization_id
                    AND webhook_outbox.sync_id = active_syncs.sync_id
                    AND webhook_outbox.attempt_number = active_syncs.attempt_number
                    AND webhook_outbox.state IN ('delivered', 'waiting')
            )
        ORDER BY created_at, sync_id
        ",
    )
    .bind(organization_id)
    .bind(integration_config_id)
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(|(sync_id, attempt)| (sync_id, attempt.unsigned_abs())).collect())
}

/// Deletes the organization's messages that were written before a moment and wait no more; returns how many.
pub async fn purge(tx: &mut OrgTx, before: DateTime<Utc>) -> Result<u64, StoreError> {
    let organization_id = tx.organization_id();
    let statement = "DELETE FROM webhook_outbox WHERE organization_id = $1 AND created_at < $2 AND state <> 'waiting'";
    let done = sqlx::query(statement).bind(organization_id).bind(before).execute(tx.conn()).await?;
    Ok(done.rows_affected())
}

/// One message, held until the transaction ends, and whether it is still worth sending.
pub async fn lock(tx: &mut OrgTx, id: Uuid) -> Result<Option<Webhook>, StoreError> {
    #[derive(sqlx::FromRow)]
    struct Row {
        id: Uuid,
        integration_config_id: Uuid,
        body: String,
        tries: i32,
        wanted: bool,
    }
    let organization_id = tx.organization_id();
    let row: Option<Row> = sqlx::query_as(
        "
        SELECT id, integration_config_id, body, tries,
               state = 'waiting' AND EXISTS (
                   SELECT FROM active_syncs
                   WHERE active_syncs.organization_id = webhook_outbox.organization_id
                       AND active_syncs.sync_id = webhook_outbox.sync_id
                       AND active_syncs.attempt_number = webhook_outbox.attempt_number AND NOT running
               ) AS wanted
        FROM webhook_outbox
        WHERE organization_id = $1 AND id = $2
        FOR UPDATE
        ",
    )
    .bind(organization_id)
    .bind(id)
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(|row| Webhook {
        id: row.id,
        integration_config_id: row.integration_config_id,
        body: row.body,
        tries: row.tries.unsigned_abs(),
        wanted: row.wanted,
    }))
}

/// Counts a try, before it is made.
pub async fn mark_tried(tx: &mut OrgTx, id: Uuid) -> Result<(), StoreError> {
    let organization_id = tx.organization_id();
    sqlx::query("UPDATE webhook_outbox SET tries = tries + 1 WHERE organization_id = $1 AND id = $2")
        .bind(organization_id)
        .bind(id)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebhookState {
    /// The receiver has it.
    Delivered,
    /// It will be tried again at this moment.
    Again(DateTime<Utc>),
    /// The receiver is gone.
    Gone,
    /// Nobody needs it any more.
    Withdrawn,
}

/// The last answer to a message.
#[derive(Clone, Copy, Debug)]
pub struct LastAnswer<'a> {
    /// Its HTTP status; none if no answer came.
    pub status: Option<u16>,
    /// What happened, in our own words.
    pub words: &'a str,
}

/// Writes what became of a message that waits. One that was settled meanwhile stays as it is.
pub async fn settle(
    tx: &mut OrgTx,
    id: Uuid,
    state: WebhookState,
    answer: LastAnswer<'_>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let organization_id = tx.organization_id();
    let word = match state {
        WebhookState::Delivered => "delivered",
        WebhookState::Again(_) => "waiting",
        WebhookState::Gone => "gone",
        WebhookState::Withdrawn => "withdrawn",
    };
    sqlx::query(
        "
        UPDATE webhook_outbox
        SET state = $3, last_status = $4, last_answer = $5, delivered_at = CASE WHEN $3 = 'delivered' THEN $6 END
        WHERE organization_id = $1 AND id = $2 AND state = 'waiting'
        ",
    )
    .bind(organization_id)
    .bind(id)
    .bind(word)
    .bind(answer.status.and_then(|status| i16::try_from(status).ok()))
    .bind(answer.words)
    .bind(now)
    .execute(tx.conn())
    .await?;
    if let WebhookState::Again(next_try_at) = state {
        sqlx::query(
            "
            UPDATE webhook_queue SET next_try_at = $3, locked_until = NULL
            WHERE organization_id = $1 AND webhook_id = $2
            ",
        )
        .bind(organization_id)
        .bind(id)
        .bind(next_try_at)
        .execute(tx.conn())
        .await?;
    } else {
        sqlx::query("DELETE FROM webhook_queue WHERE organization_id = $1 AND webhook_id = $2")
            .bind(organization_id)
            .bind(id)
            .execute(tx.conn())
            .await?;
    }
    Ok(())
}
