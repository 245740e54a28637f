//! What the maintenance role does: reading whole months, remembering their files, and having their partitions taken away.

use chrono::{DateTime, NaiveDate, Utc};
use domain::integration::SyncType;
use domain::retention::{LedgerTable, RetentionClass};
use futures::TryStreamExt as _;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Executor as _};
use uuid::Uuid;

use super::{Archive, LedgerColumns, Row, bounds_of};
use crate::error::StoreError;
use crate::words::word;

/// Two connections of the maintenance role: one remembers what was done while the other reads as of one moment.
pub struct Maintenance {
    connection: PgConnection,
    snapshot: PgConnection,
}

/// What decides whether a month can be archived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MonthFacts {
    /// Its first day.
    pub month: NaiveDate,
    /// Its syncs.
    pub syncs: i64,
    /// Of those: pending, in progress, or waiting to be sealed.
    pub active: i64,
    /// Start of the newest.
    pub newest: Option<DateTime<Utc>>,
}

/// Rows of an organization, and a checksum of all their columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checksum {
    /// How many.
    pub rows: i64,
    /// The checksum.
    pub checksum: String,
}

/// A file that was written.
#[derive(Clone, Debug)]
pub struct NewArchive {
    /// The organization.
    pub organization_id: Uuid,
    /// First day of the month.
    pub month: NaiveDate,
    /// The table.
    pub table: LedgerTable,
    /// The file's name within the archive.
    pub location: String,
    /// Its length.
    pub bytes: i64,
    /// SHA-256 of its content.
    pub sha256: String,
    /// Version of its columns.
    pub schema_version: i16,
    /// What the database said of the rows when they were read.
    pub checksum: Checksum,
    /// Start of its oldest sync.
    pub oldest: Option<DateTime<Utc>>,
    /// Start of its newest sync.
    pub newest: Option<DateTime<Utc>>,
    /// How long it is kept.
    pub retention_class: RetentionClass,
}

impl Maintenance {
    /// Connects as a role that may act as maintenance, and acts as that alone.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        Ok(Self { connection: connect(url).await?, snapshot: connect(url).await? })
    }

    /// Keeps every other run out until the connection ends; false if one is in. What a killed run held is free as soon
    /// as the database has noticed, so it waits a moment.
    pub async fn lock(&mut self) -> Result<bool, StoreError> {
        self.connection.execute("SET lock_timeout = '10s'").await?;
        let locked = self.connection.execute("SELECT pg_advisory_lock(hashtext('syncwatch_archive'))").await;
        match locked.map_err(StoreError::from) {
            Ok(_) => Ok(true),
            Err(StoreError::Contention(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Months that have partitions, oldest first, with what they hold.
    pub async fn months(&mut self, before: DateTime<Utc>) -> Result<Vec<MonthFacts>, StoreError> {
        let months: Vec<NaiveDate> = sqlx::query_scalar(
            "
            SELECT to_date(right(child.relname, 7), 'YYYY_MM')
            FROM pg_inherits JOIN pg_class child ON child.oid = inhrelid
            WHERE inhparent = 'sync_logs'::regclass ORDER BY 1
            ",
        )
        .fetch_all(&mut self.connection)
        .await?;
        let mut facts = Vec::new();
        for month in months {
            let (from, to) = bounds_of(month);
            if from >= before {
                break;
            }
            let (syncs, active, newest) = sqlx::query_as(
                "
                SELECT count(*),
                       count(*) FILTER (WHERE status IN ('pending', 'in_progress'))
                           + (SELECT count(DISTINCT sync_id) FROM seal_queue
                              WHERE sync_started_at >= $1 AND sync_started_at < $2),
                       max(started_at)
                FROM sync_logs WHERE started_at >= $1 AND started_at < $2
                ",
            )
            .bind(from)
            .bind(to)
            .fetch_one(&mut self.connection)
            .await?;
            facts.push(MonthFacts { month, syncs, active, newest });
        }
        Ok(facts)
    }

    /// Remembers that a month is being archived.
    pub async fn plan(&mut self, month: NaiveDate) -> Result<(), StoreError> {
        sqlx::query("INSERT INTO archived_months (month) VALUES ($1) ON CONFLICT DO NOTHING")
            .bind(month)
            .execute(&mut self.connection)
            .await?;
        Ok(())
    }

    /// Organizations with syncs in a month.
    pub async fn organizations(&mut self, month: NaiveDate) -> Result<Vec<Uuid>, StoreError> {
        let (from, to) = bounds_of(month);
        Ok(sqlx::query_scalar(
            "
            SELECT DISTINCT organization_id FROM sync_logs WHERE started_at >= $1 AND started_at < $2
            ORDER BY organization_id
            ",
        )
        .bind(from)
        .bind(to)
        .fetch_all(&mut self.connection)
        .await?)
    }

    /// Until [`Self::end_snapshot`] everything is read as it is at this moment.
    pub async fn begin_snapshot(&mut self) -> Result<(), StoreError> {
        self.snapshot.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
        Ok(())
    }

    /// Ends a snapshot.
    pub async fn end_snapshot(&mut self) -> Result<(), StoreError> {
        self.snapshot.execute("ROLLBACK").await?;
        Ok(())
    }

    /// The kinds of syncs an organization has in a month.
    pub async fn kinds(&mut self, month: NaiveDate, organization_id: Uuid) -> Result<Vec<SyncType>, StoreError> {
        let (from, to) = bounds_of(month);
        let kinds: Vec<String> = sqlx::query_scalar(
            "
            SELECT DISTINCT sync_type FROM sync_logs
            WHERE organization_id = $1 AND started_at >= $2 AND started_at < $3
            ",
        )
        .bind(organization_id)
        .bind(from)
        .bind(to)
        .fetch_all(&mut self.snapshot)
        .await?;
        kinds.iter().map(|kind| word(kind)).collect()
    }

    /// The checksum of an organization's rows of a table and month.
    pub async fn checksum(
        &mut self,
        table: LedgerTable,
        month: NaiveDate,
        organization_id: Uuid,
    ) -> Result<Checksum, StoreError> {
        let (rows, checksum) = sqlx::query_as("SELECT rows, checksum FROM ledger_checksum($1, $2, $3)")
            .bind(table.as_str())
            .bind(month)
            .bind(organization_id)
            .fetch_one(&mut self.snapshot)
            .await?;
        Ok(Checksum { rows, checksum })
    }

    /// Hands over an organization's rows of a table and month, newest first, so many at a time.
    pub async fn for_each_group<R: LedgerColumns, E: From<StoreError>>(
        &mut self,
        month: NaiveDate,
        organization_id: Uuid,
        size: usize,
        mut take: impl AsyncFnMut(Vec<R>) -> Result<(), E>,
    ) -> Result<(), E> {
        let (from, to) = bounds_of(month);
        let statement = format!("SELECT {} {}", R::COLUMNS, R::OF_PERIOD);
        let mut rows =
            sqlx::query(AssertSqlSafe(statement)).bind(organization_id).bind(from).bind(to).fetch(&mut self.snapshot);
        let mut group = Vec::with_capacity(size);
        while let Some(row) = rows.try_next().await.map_err(StoreError::from)? {
            group.push(R::read(&row).map_err(StoreError::from)?);
            if group.len() == size {
                take(std::mem::replace(&mut group, Vec::with_capacity(size))).await?;
            }
        }
        if group.is_empty() { Ok(()) } else { take(group).await }
    }

    /// What is known of the files of a month, or of all months.
    pub async fn archives(&mut self, month: Option<NaiveDate>) -> Result<Vec<Archive>, StoreError> {
        let rows: Vec<Row> = sqlx::query_as(
            "
            SELECT * FROM archives WHERE $1::date IS NULL OR month = $1
            ORDER BY month, organization_id, table_name
            ",
        )
        .bind(month)
        .fetch_all(&mut self.connection)
        .await?;
        rows.into_iter().map(TryInto::try_into).collect()
    }

    /// Remembers a file that was written, in place of one that was written before.
    pub async fn record_written(&mut self, new: &NewArchive) -> Result<(), StoreError> {
        sqlx::query(
            "
            INSERT INTO archives (
                organization_id, month, table_name, state, location, bytes, sha256, schema_version, rows, checksum,
                min_started_at, max_started_at, retention_class
            )
            VALUES ($1, $2, $3, 'written', $4, $5, $6, $7, $8, $9, $10, $11, $12)
            ON CONFLICT (organization_id, month, table_name) DO UPDATE SET
                state = 'written', location = excluded.location, bytes = excluded.bytes, sha256 = excluded.sha256,
                schema_version = excluded.schema_version, rows = excluded.rows, checksum = excluded.checksum,
                min_started_at = excluded.min_started_at, max_started_at = excluded.max_started_at,
                retention_class = excluded.retention_class, written_at = now()
            ",
        )
        .bind(new.organization_id)
        .bind(new.month)
        .bind(new.table.as_str())
        .bind(&new.location)
        .bind(new.bytes)
        .bind(&new.sha256)
        .bind(new.schema_version)
        .bind(new.checksum.rows)
        .bind(&new.checksum.checksum)
        .bind(new.oldest)
        .bind(new.newest)
        .bind(new.retention_class.as_str())
        .execute(&mut self.connection)
        .await?;
        Ok(())
    }

    /// Remembers that a written file was read back and is equal to the rows.
    pub async fn record_verified(
        &mut self,
        organization_id: Uuid,
        month: NaiveDate,
        table: LedgerTable,
        sha256: &str,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "
            UPDATE archives SET state = 'verified'
            WHERE organization_id = $1 AND month = $2 AND table_name = $3 AND sha256 = $4 AND state = 'written'
            ",
        )
        .bind(organization_id)
        .bind(month)
        .bind(table.as_str())
        .bind(sha256)
        .execute(&mut self.connection)
        .await?;
        Ok(())
    }

    /// Has a month's partitions taken away, all or none; returns how many rows went. The database refuses unless every
    /// row lies verified in the archive.
    pub async fn detach(&mut self, month: NaiveDate) -> Result<i64, StoreError> {
        // Nobody is kept waiting for long behind a lock that does not come.
        self.connection.execute("SET lock_timeout = '5s'").await?;
        Ok(sqlx::query_scalar("SELECT detach_archived_month($1)").bind(month).fetch_one(&mut self.connection).await?)
    }

    /// Turns an organization's files of a month into tombstones; the database refuses before their time.
    pub async fn expire(&mut self, organization_id: Uuid, month: NaiveDate) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE archives SET state = 'expired' WHERE organization_id = $1 AND month = $2 AND state = 'detached'",
        )
        .bind(organization_id)
        .bind(month)
        .execute(&mut self.connection)
        .await?;
        Ok(())
    }

    /// Remembers that the files of an expired month were deleted.
    pub async fn record_deleted(&mut self, organization_id: Uuid, month: NaiveDate) -> Result<(), StoreError> {
        sqlx::query(
            "
            UPDATE archives SET deleted_at = now()
            WHERE organization_id = $1 AND month = $2 AND state = 'expired' AND deleted_at IS NULL
            ",
        )
        .bind(organization_id)
        .bind(month)
        .execute(&mut self.connection)
        .await?;
        Ok(())
    }
}

async fn connect(url: &str) -> Result<PgConnection, StoreError> {
    let options: PgConnectOptions = url.parse().map_err(StoreError::Other)?;
    let mut connection = options.disable_statement_logging().connect().await?;
    connection.execute(AssertSqlSafe(format!("SET ROLE {}", crate::migrate::MAINTENANCE))).await?;
    Ok(connection)
}
