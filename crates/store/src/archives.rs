//! What lies in the archive: `archives` and `archived_months`, and rows of the ledger as they stand in files.

mod columns;
mod maintenance;
mod standing;

use chrono::{DateTime, Datelike as _, Months, NaiveDate, NaiveTime, Utc};
use domain::retention::{LedgerTable, RetentionClass};
use uuid::Uuid;

use crate::database::OrgTx;
use crate::error::StoreError;
use crate::words::word;

pub use columns::{LedgerColumns, errors_of, outcome_of, record_of};
pub use maintenance::{Checksum, Maintenance, MonthFacts, NewArchive};
pub use standing::standing;

/// One organization's file of a table and month, or what is left to say of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Archive {
    /// The organization.
    pub organization_id: Uuid,
    /// First day of the month.
    pub month: NaiveDate,
    /// The table.
    pub table: LedgerTable,
    /// `written`, `verified`, `detached` or `expired`.
    pub state: String,
    /// The file's name within the archive.
    pub location: String,
    /// Its length.
    pub bytes: i64,
    /// SHA-256 of its content.
    pub sha256: String,
    /// Version of its columns.
    pub schema_version: i16,
    /// Its rows.
    pub rows: i64,
    /// Checksum of the rows as the database had them.
    pub checksum: String,
    /// Start of its oldest sync.
    pub min_started_at: Option<DateTime<Utc>>,
    /// Start of its newest sync.
    pub max_started_at: Option<DateTime<Utc>>,
    /// How long it is kept.
    pub retention_class: RetentionClass,
    /// Whether an expired file was deleted.
    pub deleted: bool,
}

impl Archive {
    /// Whether it was deleted, or is about to be.
    pub fn is_expired(&self) -> bool {
        self.state == "expired"
    }
}

#[derive(sqlx::FromRow)]
pub(crate) struct Row {
    organization_id: Uuid,
    month: NaiveDate,
    table_name: String,
    state: String,
    location: String,
    bytes: i64,
    sha256: String,
    schema_version: i16,
    rows: i64,
    checksum: String,
    min_started_at: Option<DateTime<Utc>>,
    max_started_at: Option<DateTime<Utc>>,
    retention_class: String,
    deleted_at: Option<DateTime<Utc>>,
}

impl TryFrom<Row> for Archive {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            organization_id: row.organization_id,
            month: row.month,
            table: word(&row.table_name)?,
            state: row.state,
            location: row.location,
            bytes: row.bytes,
            sha256: row.sha256,
            schema_version: row.schema_version,
            rows: row.rows,
            checksum: row.checksum,
            min_started_at: row.min_started_at,
            max_started_at: row.max_started_at,
            retention_class: word(&row.retention_class)?,
            deleted: row.deleted_at.is_some(),
        })
    }
}

/// The first day of the month, in UTC, whose partition a start belongs to.
pub fn month_of(started_at: DateTime<Utc>) -> NaiveDate {
    let day = started_at.date_naive();
    day.with_day(1).unwrap_or(day)
}

/// The first moment of a month and of the next one.
pub fn bounds_of(month: NaiveDate) -> (DateTime<Utc>, DateTime<Utc>) {
    let next = month.checked_add_months(Months::new(1)).unwrap_or(NaiveDate::MAX);
    (month.and_time(NaiveTime::MIN).and_utc(), next.and_time(NaiveTime::MIN).and_utc())
}

/// The organization's files of one table whose syncs no longer stand in the database, newest month first; those that
/// have expired are among them.
///
/// Asked in the transaction that has looked into the ledger before: while it is open no month leaves the ledger.
pub async fn list(tx: &mut OrgTx, table: LedgerTable) -> Result<Vec<Archive>, StoreError> {
    let organization_id = tx.organization_id();
    let rows: Vec<Row> = sqlx::query_as(
        "
        SELECT * FROM archives
        WHERE organization_id = $1 AND table_name = $2 AND state IN ('detached', 'expired') ORDER BY month DESC
        ",
    )
    .bind(organization_id)
    .bind(table.as_str())
    .fetch_all(tx.conn())
    .await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

/// The organization's files of one month, if the month has left the database.
pub async fn find(tx: &mut OrgTx, month: NaiveDate) -> Result<Vec<Archive>, StoreError> {
    let organization_id = tx.organization_id();
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT * FROM archives WHERE organization_id = $1 AND month = $2 AND state IN ('detached', 'expired')",
    )
    .bind(organization_id)
    .bind(month)
    .fetch_all(tx.conn())
    .await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

/// Which of these months have left the database, for every organization: nothing starts in them any more.
pub async fn closed(tx: &mut OrgTx, months: &[NaiveDate]) -> Result<Vec<NaiveDate>, StoreError> {
    Ok(sqlx::query_scalar("SELECT month FROM archived_months WHERE month = ANY($1) AND detached_at IS NOT NULL")
        .bind(months)
        .fetch_all(tx.conn())
        .await?)
}
