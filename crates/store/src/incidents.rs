//! Incidents: `incidents`.

use chrono::{DateTime, Utc};
use domain::incident::IncidentKind;
use uuid::Uuid;

use crate::database::OrgTx;
use crate::error::StoreError;
use crate::words::word;

/// An incident of an integration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incident {
    /// Its id.
    pub id: Uuid,
    /// The integration.
    pub integration_config_id: Uuid,
    /// Its name.
    pub integration_name: String,
    /// Why it opened.
    pub kind: IncidentKind,
    /// The sync that opened it.
    pub sync_id: Option<Uuid>,
    /// The external system's words at that time.
    pub error_message: Option<String>,
    /// When it opened.
    pub opened_at: DateTime<Utc>,
    /// When it was resolved.
    pub resolved_at: Option<DateTime<Utc>>,
    /// When somebody took notice.
    pub acknowledged_at: Option<DateTime<Utc>>,
    /// The name of who did.
    pub acknowledged_by: Option<String>,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    integration_config_id: Uuid,
    integration_name: String,
    kind: String,
    sync_id: Option<Uuid>,
    error_message: Option<String>,
    opened_at: DateTime<Utc>,
    resolved_at: Option<DateTime<Utc>>,
    acknowledged_at: Option<DateTime<Utc>>,
    acknowledged_by: Option<String>,
}

impl TryFrom<Row> for Incident {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id,
            integration_config_id: row.integration_config_id,
            integration_name: row.integration_name,
            kind: word(&row.kind)?,
            sync_id: row.sync_id,
            error_message: row.error_message,
            opened_at: row.opened_at,
            resolved_at: row.resolved_at,
            acknowledged_at: row.acknowledged_at,
            acknowledged_by: row.acknowledged_by,
        })
    }
}

/// An incident that opens.
#[derive(Clone, Debug)]
pub struct NewIncident<'a> {
    /// Its id.
    pub id: Uuid,
    /// The integration.
    pub integration_config_id: Uuid,
    /// Why.
    pub kind: IncidentKind,
    /// The sync that opened it.
    pub sync_id: Option<Uuid>,
    /// The external system's words.
    pub error_message: Option<&'a str>,
}

/// Opens an incident unless one is open; returns whether it was opened.
pub async fn open(tx: &mut OrgTx, new: &NewIncident<'_>, now: DateTime<Utc>) -> Result<bool, StoreError> {
    let organization_id = tx.organization_id();
    let done = sqlx::query(
        "
        INSERT INTO incidents (organization_id, id, integration_config_id, kind, sync_id, error_message, opened_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        ON CONFLICT (organization_id, integration_config_id) WHERE resolved_at IS NULL DO NOTHING
        ",
    )
    .bind(organization_id)
    .bind(new.id)
    .bind(new.integration_config_id)
    .bind(new.kind.as_str())
    .bind(new.sync_id)
    .bind(new.error_message)
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The open incident of an integration.
pub async fn find_open(tx: &mut OrgTx, integration_config_id: Uuid) -> Result<Option<Uuid>, StoreError> {
    let organization_id = tx.organization_id();
    Ok(sqlx::query_scalar(
        "
        SELECT id FROM incidents
        WHERE organization_id = $1 AND integration_config_id = $2 AND resolved_at IS NULL
        ",
    )
    .bind(organization_id)
    .bind(integration_config_id)
    .fetch_optional(tx.conn())
    .await?)
}

/// Resolves an incident.
pub async fn resolve(tx: &mut OrgTx, id: Uuid, now: DateTime<Utc>) -> Result<(), StoreError> {
    let organization_id = tx.organization_id();
    sqlx::query(
        "
        UPDATE incidents SET resolved_at = greatest($3, opened_at)
        WHERE organization_id = $1 AND id = $2 AND resolved_at IS NULL
        ",
    )
    .bind(organization_id)
    .bind(id)
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Notes who took notice; the first one stays. Returns whether the incident exists.
pub async fn acknowledge(tx: &mut OrgTx, id: Uuid, user_id: Uuid, now: DateTime<Utc>) -> Result<bool, StoreError> {
    let organization_id = tx.organization_id();
    let done = sqlx::query(
        "
        UPDATE incidents
        SET acknowledged_at = coalesce(acknowledged_at, $4), acknowledged_by = coalesce(acknowledged_by, $3)
        WHERE organization_id = $1 AND id = $2
        ",
    )
    .bind(organization_id)
    .bind(id)
    .bind(user_id)
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// One incident.
pub async fn find(tx: &mut OrgTx, id: Uuid) -> Result<Option<Incident>, StoreError> {
    let organization_id = tx.organization_id();
    let row: Option<Row> = sqlx::query_as(
        "
        SELECT incidents.id, integration_config_id, integration_configs.name AS integration_name, kind, sync_id,
               error_message, opened_at, resolved_at, acknowledged_at, users.name AS acknowledged_by
        FROM incidents
        JOIN integration_configs
            ON integration_configs.organization_id = incidents.organization_id
            AND integration_configs.id = integration_config_id
        LEFT JOIN users ON users.id = acknowledged_by
        WHERE incidents.organization_id = $1 AND incidents.id = $2
        ",
    )
    .bind(organization_id)
    .bind(id)
    .fetch_optional(tx.conn())
    .await?;
    row.map(TryInto::try_into).transpose()
}

/// Incidents beyond the cursor, newest first (oldest first when going backwards); only open ones, or of one integration,
/// if asked.
pub async fn list(
    tx: &mut OrgTx,
    integration_config_id: Option<Uuid>,
    open: Option<bool>,
    beyond: Option<(DateTime<Utc>, Uuid)>,
    backwards: bool,
    limit: i64,
) -> Result<Vec<Incident>, StoreError> {
    let organization_id = tx.organization_id();
    let rows: Vec<Row> = sqlx::query_as(if backwards { NEWER } else { OLDER })
        .bind(organization_id)
        .bind(integration_config_id)
        .bind(open)
        .bind(beyond.map(|(at, _)| at))
        .bind(beyond.map(|(_, id)| id))
        .bind(limit)
        .fetch_all(tx.conn())
        .await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

macro_rules! list_sql {
    ($beyond:literal, $order:literal) => {
        concat!(
            "
            SELECT incidents.id, integration_config_id, integration_configs.name AS integration_name, kind, sync_id,
                   error_message, opened_at, resolved_at, acknowledged_at, users.name AS acknowledged_by
            FROM incidents
            JOIN integration_configs
                ON integration_configs.organization_id = incidents.organization_id
                AND integration_configs.id = integration_config_id
            LEFT JOIN users ON users.id = acknowledged_by
            WHERE incidents.organization_id = $1
                AND ($2::uuid IS NULL OR integration_config_id = $2)
                AND ($3::boolean IS NULL OR (resolved_at IS NULL) = $3)
                AND ($4::timestamptz IS NULL OR (opened_at, incidents.id) ",
            $beyond,
            " ($4, $5)) ORDER BY ",
            $order,
            " LIMIT $6"
        )
    };
}
const OLDER: &str = list_sql!("<", "opened_at DESC, incidents.id DESC");
const NEWER: &str = list_sql!(">", "opened_at, incidents.id");
