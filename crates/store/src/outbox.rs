//! The e-mail outbox: written with the incident, sent by the dispatcher.

use chrono::{DateTime, Utc};
use domain::incident::NotificationKind;
use uuid::Uuid;

use crate::database::{OrgTx, PlainTx};
use crate::error::StoreError;

/// An e-mail to be sent.
#[derive(Clone, Debug)]
pub struct NewEmail<'a> {
    /// For whom.
    pub user_id: Uuid,
    /// The incident.
    pub incident_id: Uuid,
    /// What it tells.
    pub kind: NotificationKind,
    /// `en`, `nb` or `nn`.
    pub language: &'a str,
    /// Fixed for good.
    pub message_id: &'a str,
    /// The incident's first message to the person.
    pub in_reply_to: Option<&'a str>,
    /// Subject line.
    pub subject: &'a str,
    /// Plain text.
    pub body_text: &'a str,
    /// HTML.
    pub body_html: &'a str,
}

/// An e-mail as the dispatcher sends it.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Email {
    /// Its id.
    pub id: Uuid,
    /// The recipient's address.
    pub recipient: String,
    /// `en`, `nb` or `nn`.
    pub language: String,
    /// Fixed for good.
    pub message_id: String,
    /// The incident's first message to the person.
    pub in_reply_to: Option<String>,
    /// Subject line.
    pub subject: String,
    /// Plain text.
    pub body_text: String,
    /// HTML.
    pub body_html: String,
    /// `waiting`, `sending`, `sent`, `failed` or `unknown`.
    pub state: String,
    /// Tries so far.
    pub tries: i32,
}

/// An e-mail that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct DueEmail {
    /// The organization.
    pub organization_id: Uuid,
    /// The e-mail.
    pub email_id: Uuid,
}

/// Puts an e-mail into the outbox and its id into the queue, unless the incident has told the person this by e-mail.
pub async fn insert(tx: &mut OrgTx, new: &NewEmail<'_>, now: DateTime<Utc>) -> Result<(), StoreError> {
    let organization_id = tx.organization_id();
    sqlx::query(
        "
        WITH written AS (
            INSERT INTO email_outbox (
                organization_id, id, user_id, incident_id, kind, language, message_id, in_reply_to, subject, body_text,
                body_html, state, created_at
            )
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 'waiting', $12)
            ON CONFLICT (organization_id, user_id, incident_id, kind) DO NOTHING
            RETURNING organization_id, id
        )
        INSERT INTO email_queue (organization_id, email_id, next_try_at)
        SELECT organization_id, id, $12 FROM written
        ",
    )
    .bind(organization_id)
    .bind(Uuid::now_v7())
    .bind(new.user_id)
    .bind(new.incident_id)
    .bind(new.kind.as_str())
    .bind(new.language)
    .bind(new.message_id)
    .bind(new.in_reply_to)
    .bind(new.subject)
    .bind(new.body_text)
    .bind(new.body_html)
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// The Message-ID of an incident's first e-mail to a person.
pub async fn find_message_id(tx: &mut OrgTx, user_id: Uuid, incident_id: Uuid) -> Result<Option<String>, StoreError> {
    let organization_id = tx.organization_id();
    Ok(sqlx::query_scalar(
        "
        SELECT message_id FROM email_outbox
        WHERE organization_id = $1 AND user_id = $2 AND incident_id = $3 ORDER BY created_at LIMIT 1
        ",
    )
    .bind(organization_id)
    .bind(user_id)
    .bind(incident_id)
    .fetch_optional(tx.conn())
    .await?)
}

/// Takes e-mails that are due, for as long as `locked_until`; other dispatchers pass them over.
pub async fn take_due(
    tx: &mut PlainTx,
    now: DateTime<Utc>,
    locked_until: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<DueEmail>, StoreError> {
    Ok(sqlx::query_as(
        "
        UPDATE email_queue SET locked_until = $2
        WHERE (organization_id, email_id) IN (
            SELECT organization_id, email_id FROM email_queue
            WHERE next_try_at <= $1 AND (locked_until IS NULL OR locked_until <= $1)
            ORDER BY next_try_at LIMIT $3 FOR UPDATE SKIP LOCKED
        )
        RETURNING organization_id, email_id
        ",
    )
    .bind(now)
    .bind(locked_until)
    .bind(limit)
    .fetch_all(tx.conn())
    .await?)
}

/// One e-mail with its recipient's address, held until the transaction ends.
pub async fn lock(tx: &mut OrgTx, id: Uuid) -> Result<Option<Email>, StoreError> {
    let organization_id = tx.organization_id();
    Ok(sqlx::query_as(
        "
        SELECT email_outbox.id, users.email AS recipient, email_outbox.language, message_id, in_reply_to, subject,
               body_text, body_html, state, tries
        FROM email_outbox JOIN users ON users.id = email_outbox.user_id
        WHERE email_outbox.organization_id = $1 AND email_outbox.id = $2
        FOR UPDATE OF email_outbox
        ",
    )
    .bind(organization_id)
    .bind(id)
    .fetch_optional(tx.conn())
    .await?)
}

/// Marks an e-mail as being handed over, before it is.
pub async fn mark_sending(tx: &mut OrgTx, id: Uuid) -> Result<(), StoreError> {
    let organization_id = tx.organization_id();
    sqlx::query("UPDATE email_outbox SET state = 'sending', tries = tries + 1 WHERE organization_id = $1 AND id = $2")
        .bind(organization_id)
        .bind(id)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// What became of an e-mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmailFate {
    /// The server took it.
    Sent,
    /// It will be tried again at this moment.
    Later(DateTime<Utc>),
    /// The server refused it for good.
    Failed,
    /// It may or may not have been taken; it is not sent again.
    Unknown,
}

/// Writes what became of an e-mail.
pub async fn settle(
    tx: &mut OrgTx,
    id: Uuid,
    fate: EmailFate,
    answer: &str,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let organization_id = tx.organization_id();
    let state = match fate {
        EmailFate::Sent => "sent",
        EmailFate::Later(_) => "waiting",
        EmailFate::Failed => "failed",
        EmailFate::Unknown => "unknown",
    };
    sqlx::query(
        "
        UPDATE email_outbox SET state = $3, last_answer = $4, sent_at = CASE WHEN $3 = 'sent' THEN $5 END
        WHERE organization_id = $1 AND id = $2
        ",
    )
    .bind(organization_id)
    .bind(id)
    .bind(state)
    .bind(answer)
    .bind(now)
    .execute(tx.conn())
    .await?;
    if let EmailFate::Later(next_try_at) = fate {
        sqlx::query(
            "
            UPDATE email_queue SET next_try_at = $3, locked_until = NULL
            WHERE organization_id = $1 AND email_id = $2
            ",
        )
        .bind(organization_id)
        .bind(id)
        .bind(next_try_at)
        .execute(tx.conn())
        .await?;
    } else {
        sqlx::query("DELETE FROM email_queue WHERE organization_id = $1 AND email_id = $2")
            .bind(organization_id)
            .bind(id)
            .execute(tx.conn())
            .await?;
    }
    Ok(())
}
