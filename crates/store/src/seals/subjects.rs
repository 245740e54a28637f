//! What the ledger says of what is sealed, read many at a time.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use domain::columns::{OutcomeColumns, SyncAttemptColumns, SyncLogColumns};
use domain::seal::{AttemptDigest, RecordsDigest, RecordsHasher, Subject, SubjectKey, SyncDigest};
use futures::TryStreamExt as _;
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::number;
use crate::archives::LedgerColumns;
use crate::database::OrgTx;
use crate::error::StoreError;

/// Hashes what is there of sync rows, attempts and record outcomes, wherever they were read.
#[derive(Default)]
pub struct Digests {
    syncs: HashMap<Uuid, SyncDigest>,
    attempts: HashMap<AttemptKey, AttemptDigest>,
    records: HashMap<AttemptKey, RecordsHasher>,
}

type AttemptKey = (Uuid, u16);

impl Digests {
    /// Takes in a sync.
    pub fn sync(&mut self, row: &SyncLogColumns) {
        self.syncs.insert(row.id, row.digest());
    }

    /// Takes in an attempt.
    pub fn attempt(&mut self, row: &SyncAttemptColumns) {
        self.attempts.insert((row.sync_id, row.attempt_number.unsigned_abs()), row.digest());
    }

    /// Takes in an outcome. Those of an attempt come ordered by the bytes of their type, and then by id.
    pub fn record(&mut self, row: &OutcomeColumns) {
        let key = (row.sync_id, row.attempt_number.unsigned_abs());
        self.records.entry(key).or_default().add(row);
    }

    /// What is said of each of these, in their order.
    pub fn subjects(self, keys: &[SubjectKey]) -> Vec<Subject> {
        let records: HashMap<AttemptKey, RecordsDigest> =
            self.records.into_iter().map(|(key, hasher)| (key, hasher.finish())).collect();
        keys.iter()
            .map(|key| {
                let attempt = key.attempt.map(|number| (key.sync_id, number));
                Subject {
                    sync: self.syncs.get(&key.sync_id).cloned(),
                    attempt: attempt.and_then(|key| self.attempts.get(&key).cloned()),
                    records: attempt
                        .and_then(|key| records.get(&key).cloned())
                        .unwrap_or_else(|| RecordsHasher::default().finish()),
                }
            })
            .collect()
    }
}

/// What the ledger says of each of these, in their order.
pub async fn subjects(tx: &mut OrgTx, keys: &[SubjectKey]) -> Result<Vec<Subject>, StoreError> {
    let mut digests = Digests::default();
    for row in syncs(tx, keys).await? {
        digests.sync(&row);
    }
    for row in attempts(tx, keys).await? {
        digests.attempt(&row);
    }
    add_records(tx, keys, &mut digests).await?;
    Ok(digests.subjects(keys))
}

async fn syncs(tx: &mut OrgTx, keys: &[SubjectKey]) -> Result<Vec<SyncLogColumns>, StoreError> {
    let organization_id = tx.organization_id();
    let wanted: HashSet<(Uuid, DateTime<Utc>)> = keys.iter().map(|key| (key.sync_id, key.sync_started_at)).collect();
    let (ids, starts): (Vec<Uuid>, Vec<DateTime<Utc>>) = wanted.into_iter().unzip();
    let statement = format!(
        "
        SELECT found.* FROM unnest($2::uuid[], $3::timestamptz[]) AS wanted (wanted_id, wanted_start)
        -- One look-up per sync, whatever the planner believes; OFFSET keeps it from undoing this.
        CROSS JOIN LATERAL (
            SELECT {} FROM sync_logs WHERE organization_id = $1 AND started_at = wanted_start AND id = wanted_id
            OFFSET 0
        ) AS found
        ",
        SyncLogColumns::COLUMNS
    );
    let rows =
        sqlx::query(AssertSqlSafe(statement)).bind(organization_id).bind(ids).bind(starts).fetch_all(tx.conn()).await?;
    Ok(rows.iter().map(LedgerColumns::read).collect::<Result<_, _>>()?)
}

type WantedAttempts = (Vec<Uuid>, Vec<DateTime<Utc>>, Vec<Option<i16>>);

fn wanted_attempts(keys: &[SubjectKey]) -> WantedAttempts {
    let wanted: HashSet<&SubjectKey> = keys.iter().filter(|key| key.attempt.is_some()).collect();
    let mut columns = WantedAttempts::default();
    for key in wanted {
        columns.0.push(key.sync_id);
        columns.1.push(key.sync_started_at);
        columns.2.push(number(key.attempt));
    }
    columns
}

/// Rows of a table that belong to the wanted attempts.
fn of_attempts<R: LedgerColumns>(table: &str, order: &str) -> AssertSqlSafe<String> {
    AssertSqlSafe(format!(
        "
        SELECT found.* FROM unnest($2::uuid[], $3::timestamptz[], $4::smallint[]) AS wanted (id, start, number)
        CROSS JOIN LATERAL (
            SELECT {} FROM {table}
            WHERE organization_id = $1 AND sync_started_at = wanted.start AND sync_id = wanted.id
                AND attempt_number = wanted.number
            OFFSET 0
        ) AS found
        {order}
        ",
        R::COLUMNS
    ))
}

async fn attempts(tx: &mut OrgTx, keys: &[SubjectKey]) -> Result<Vec<SyncAttemptColumns>, StoreError> {
    let organization_id = tx.organization_id();
    let (ids, starts, numbers) = wanted_attempts(keys);
    let rows = sqlx::query(of_attempts::<SyncAttemptColumns>("sync_attempts", ""))
        .bind(organization_id)
        .bind(ids)
        .bind(starts)
        .bind(numbers)
        .fetch_all(tx.conn())
        .await?;
    Ok(rows.iter().map(LedgerColumns::read).collect::<Result<_, _>>()?)
}

/// Hashes outcomes as they come, so that an attempt of many records takes little memory.
async fn add_records(tx: &mut OrgTx, keys: &[SubjectKey], digests: &mut Digests) -> Result<(), StoreError> {
    const ORDER: &str = r#"
        ORDER BY found.sync_id, found.attempt_number, found.source_record_type COLLATE "C", found.source_record_id
        "#;
    let organization_id = tx.organization_id();
    let (ids, starts, numbers) = wanted_attempts(keys);
    let mut rows = sqlx::query(of_attempts::<OutcomeColumns>("sync_record_outcomes", ORDER))
        .bind(organization_id)
        .bind(ids)
        .bind(starts)
        .bind(numbers)
        .fetch(tx.conn());
    while let Some(row) = rows.try_next().await? {
        digests.record(&OutcomeColumns::read(&row)?);
    }
    Ok(())
}

/// The type of a record whose outcome is known by its id.
pub async fn record_type(tx: &mut OrgTx, key: &SubjectKey, record: Uuid) -> Result<Option<String>, StoreError> {
    let organization_id = tx.organization_id();
    Ok(sqlx::query_scalar(
        "
        SELECT source_record_type FROM sync_record_outcomes
        WHERE organization_id = $1 AND sync_started_at = $2 AND sync_id = $3 AND attempt_number = $4
            AND source_record_id = $5
        LIMIT 1
        ",
    )
    .bind(organization_id)
    .bind(key.sync_started_at)
    .bind(key.sync_id)
    .bind(number(key.attempt))
    .bind(record)
    .fetch_optional(tx.conn())
    .await?)
}

/// A sync of the ledger, to see whether it was sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerRow {
    /// The sync.
    pub id: Uuid,
    /// Its start.
    pub started_at: DateTime<Utc>,
    /// Whether it has ended.
    pub ended: bool,
    /// Whether it waits or runs.
    pub under_way: bool,
    /// Its closed attempts.
    pub closed_attempts: Vec<i16>,
}

/// Syncs of the ledger after one, in the order of their start, that started before a moment.
pub async fn ledger_after(
    tx: &mut OrgTx,
    after: (DateTime<Utc>, Uuid),
    before: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<LedgerRow>, StoreError> {
    type Row = (Uuid, DateTime<Utc>, bool, bool, Vec<i16>);
    let organization_id = tx.organization_id();
    let rows: Vec<Row> = sqlx::query_as(
        "
        SELECT page.id, page.started_at, page.status NOT IN ('pending', 'in_progress'),
               EXISTS (SELECT FROM active_syncs WHERE organization_id = $1 AND sync_id = page.id),
               ARRAY(
                   SELECT attempt_number FROM sync_attempts
                   WHERE organization_id = $1 AND sync_started_at = page.started_at AND sync_id = page.id
                       AND status <> 'in_progress'
                   ORDER BY attempt_number
               )
        FROM (
            SELECT id, started_at, status FROM sync_logs
            WHERE organization_id = $1 AND (started_at, id) > ($2, $3) AND started_at < $4
            ORDER BY started_at, id LIMIT $5
        ) AS page
        ORDER BY page.started_at, page.id
        ",
    )
    .bind(organization_id)
    .bind(after.0)
    .bind(after.1)
    .bind(before)
    .bind(limit)
    .fetch_all(tx.conn())
    .await?;
    Ok(rows
        .into_iter()
        .map(|(id, started_at, ended, under_way, closed_attempts)| LedgerRow {
            id,
            started_at,
            ended,
            under_way,
            closed_attempts,
        })
        .collect())
}

/// What of a sync is sealed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sealed {
    /// Its whole row.
    pub whole: bool,
    /// These attempts.
    pub attempts: Vec<i16>,
}

/// What of these syncs is sealed; those of which nothing is are left out.
pub async fn sealed_of(tx: &mut OrgTx, syncs: &[Uuid]) -> Result<HashMap<Uuid, Sealed>, StoreError> {
    let organization_id = tx.organization_id();
    let rows: Vec<(Uuid, bool, Vec<i16>)> = sqlx::query_as(
        "
        SELECT sync_id, bool_or(sync_hash IS NOT NULL),
               coalesce(array_agg(DISTINCT attempt_number) FILTER (WHERE attempt_number IS NOT NULL), '{}')
        FROM seals WHERE organization_id = $1 AND sync_id = ANY ($2) GROUP BY sync_id
        ",
    )
    .bind(organization_id)
    .bind(syncs)
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(|(id, whole, attempts)| (id, Sealed { whole, attempts })).collect())
}
