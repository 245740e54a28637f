//! In-app notifications, each of one person.

use chrono::{DateTime, Utc};
use domain::incident::{IncidentKind, NotificationKind};
use domain::notification::NoticeKind;
use uuid::Uuid;

use crate::database::OrgTx;
use crate::error::StoreError;
use crate::words::word;

/// A notification of a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// Its id.
    pub id: Uuid,
    /// What it tells.
    pub kind: NoticeKind,
    /// Why the incident opened, if it is about one.
    pub incident_kind: Option<IncidentKind>,
    /// The incident, if it is about one.
    pub incident_id: Option<Uuid>,
    /// The integration.
    pub integration_config_id: Uuid,
    /// Its name.
    pub integration_name: String,
    /// The sync it is about.
    pub sync_id: Option<Uuid>,
    /// The external system's words.
    pub error_message: Option<String>,
    /// Failed syncs in a row at that time.
    pub consecutive_failures: i32,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was read.
    pub read_at: Option<DateTime<Utc>>,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    kind: String,
    incident_kind: Option<String>,
    incident_id: Option<Uuid>,
    integration_config_id: Uuid,
    integration_name: String,
    sync_id: Option<Uuid>,
    error_message: Option<String>,
    consecutive_failures: i32,
    created_at: DateTime<Utc>,
    read_at: Option<DateTime<Utc>>,
}

/// A notification to be made.
#[derive(Clone, Debug)]
pub struct NewNotification<'a> {
    /// For whom.
    pub user_id: Uuid,
    /// What it tells.
    pub kind: NotificationKind,
    /// The incident.
    pub incident_id: Uuid,
    /// The sync it is about.
    pub sync_id: Option<Uuid>,
    /// The external system's words.
    pub error_message: Option<&'a str>,
    /// Failed syncs in a row.
    pub consecutive_failures: i32,
}

/// Makes a notification unless the incident has said this to the person; returns its id if it was made.
pub async fn insert(tx: &mut OrgTx, new: &NewNotification<'_>, now: DateTime<Utc>) -> Result<Option<Uuid>, StoreError> {
    let organization_id = tx.organization_id();
    Ok(sqlx::query_scalar(
        "
        INSERT INTO notifications (
            organization_id, user_id, id, kind, incident_id, sync_id, error_message, consecutive_failures, created_at
        )
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        ON CONFLICT (organization_id, user_id, incident_id, kind) DO NOTHING
        RETURNING id
        ",
    )
    .bind(organization_id)
    .bind(new.user_id)
    .bind(Uuid::now_v7())
    .bind(new.kind.as_str())
    .bind(new.incident_id)
    .bind(new.sync_id)
    .bind(new.error_message)
    .bind(new.consecutive_failures)
    .bind(now)
    .fetch_optional(tx.conn())
    .await?)
}

/// Tells a person that an integration's webhook address is gone; returns the notification's id.
pub async fn insert_webhook_disabled(
    tx: &mut OrgTx,
    user_id: Uuid,
    integration_config_id: Uuid,
    now: DateTime<Utc>,
) -> Result<Uuid, StoreError> {
    let organization_id = tx.organization_id();
    let id = Uuid::now_v7();
    sqlx::query(
        "
        INSERT INTO notifications (
            organization_id, user_id, id, kind, integration_config_id, consecutive_failures, created_at
        )
        VALUES ($1, $2, $3, $4, $5, 0, $6)
        ",
    )
    .bind(organization_id)
    .bind(user_id)
    .bind(id)
    .bind(NoticeKind::WebhookDisabled.as_str())
    .bind(integration_config_id)
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(id)
}

/// A person's notifications beyond the cursor, newest first (oldest first when going backwards).
pub async fn list(
    tx: &mut OrgTx,
    user_id: Uuid,
    unread_only: bool,
    beyond: Option<Uuid>,
    backwards: bool,
    limit: i64,
) -> Result<Vec<Notification>, StoreError> {
    let organization_id = tx.organization_id();
    let rows: Vec<Row> = sqlx::query_as(if backwards { NEWER } else { OLDER })
        .bind(organization_id)
        .bind(user_id)
        .bind(unread_only)
        .bind(beyond)
        .bind(limit)
        .fetch_all(tx.conn())
        .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Notification {
                id: row.id,
                kind: word(&row.kind)?,
                incident_kind: row.incident_kind.as_deref().map(word).transpose()?,
                incident_id: row.incident_id,
                integration_config_id: row.integration_config_id,
                integration_name: row.integration_name,
                sync_id: row.sync_id,
                error_message: row.error_message,
                consecutive_failures: row.consecutive_failures,
                created_at: row.created_at,
                read_at: row.read_at,
            })
        })
        .collect()
}

macro_rules! list_sql {
    ($beyond:literal, $order:literal) => {
        concat!(
            "
            SELECT notifications.id, notifications.kind, incidents.kind AS incident_kind, notifications.incident_id,
                   integration_configs.id AS integration_config_id, integration_configs.name AS integration_name,
                   notifications.sync_id, notifications.error_message, consecutive_failures, notifications.created_at,
                   read_at
            FROM notifications
            LEFT JOIN incidents
                ON incidents.organization_id = notifications.organization_id
                AND incidents.id = notifications.incident_id
            JOIN integration_configs
                ON integration_configs.organization_id = notifications.organization_id
                AND integration_configs.id
                    = coalesce(notifications.integration_config_id, incidents.integration_config_id)
            WHERE notifications.organization_id = $1 AND notifications.user_id = $2
                AND (NOT $3 OR read_at IS NULL) AND ($4::uuid IS NULL OR notifications.id ",
            $beyond,
            " $4) ORDER BY notifications.id ",
            $order,
            " LIMIT $5"
        )
    };
}
const OLDER: &str = list_sql!("<", "DESC");
const NEWER: &str = list_sql!(">", "ASC");

/// A person's unread notifications.
pub async fn count_unread(tx: &mut OrgTx, user_id: Uuid) -> Result<i64, StoreError> {
    let organization_id = tx.organization_id();
    Ok(sqlx::query_scalar(
        "SELECT count(*) FROM notifications WHERE organization_id = $1 AND user_id = $2 AND read_at IS NULL",
    )
    .bind(organization_id)
    .bind(user_id)
    .fetch_one(tx.conn())
    .await?)
}

/// Marks one of a person's notifications as read; returns whether they have it.
pub async fn mark_read(tx: &mut OrgTx, user_id: Uuid, id: Uuid, now: DateTime<Utc>) -> Result<bool, StoreError> {
    let organization_id = tx.organization_id();
    let done = sqlx::query(
        "
        UPDATE notifications SET read_at = coalesce(read_at, $4)
        WHERE organization_id = $1 AND user_id = $2 AND id = $3
        ",
    )
    .bind(organization_id)
    .bind(user_id)
    .bind(id)
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Marks all of a person's notifications as read.
pub async fn mark_all_read(tx: &mut OrgTx, user_id: Uuid, now: DateTime<Utc>) -> Result<(), StoreError> {
    let organization_id = tx.organization_id();
    sqlx::query(
        "UPDATE notifications SET read_at = $3 WHERE organization_id = $1 AND user_id = $2 AND read_at IS NULL",
    )
    .bind(organization_id)
    .bind(user_id)
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(())
}
