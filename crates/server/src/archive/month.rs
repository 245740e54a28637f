//! One organization's files of one month.

use std::collections::{HashMap, HashSet};

use archive::{ArchiveError, Layout, SCHEMA_VERSION};
use chrono::{DateTime, Utc};
use domain::columns::{OutcomeColumns, SyncAttemptColumns, SyncLogColumns};
use domain::retention::LedgerTable;
use store::OrgTx;
use store::archives::{Archive, month_of, record_of};
use store::source_records::RecordKey;
use store::sync_attempts::SyncAttempt;
use store::sync_logs::{Direction, SyncFilter, SyncKey, SyncLog};
use uuid::Uuid;

use super::{ArchiveReader, expired};
use crate::http::problem::ApiError;

/// Where a sync lies that is not in the database.
pub(super) struct Month {
    key: SyncKey,
    entries: Vec<Archive>,
}

impl Month {
    /// The month of a sync's id, if it lies in the archive; the transaction has looked into the database before.
    pub(super) async fn of(mut tx: OrgTx, id: Uuid) -> Result<Self, ApiError> {
        let key = SyncKey::of(id).ok_or_else(ApiError::not_found)?;
        let entries = store::archives::find(&mut tx, month_of(key.started_at)).await?;
        if entries.is_empty() {
            return Err(ApiError::not_found());
        }
        if entries.iter().any(Archive::is_expired) {
            return Err(expired());
        }
        Ok(Self { key, entries })
    }

    /// The sync.
    pub(super) async fn sync(&self, reader: &ArchiveReader) -> Result<SyncLog, ApiError> {
        let found = self.rows(reader, |row: &SyncLogColumns| row.id == self.key.id).await?.pop();
        Ok(found.ok_or_else(ApiError::not_found)?.try_into()?)
    }

    /// Its attempts, the first one first.
    pub(super) async fn attempts(&self, reader: &ArchiveReader) -> Result<Vec<SyncAttempt>, ApiError> {
        let rows = self.rows(reader, |row: &SyncAttemptColumns| row.sync_id == self.key.id).await?;
        Ok(rows.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?)
    }

    /// Its record outcomes of every attempt, in the order of the ledger's lists.
    pub(super) async fn outcomes(&self, reader: &ArchiveReader) -> Result<Vec<OutcomeColumns>, ApiError> {
        self.rows(reader, |row: &OutcomeColumns| row.sync_id == self.key.id).await
    }

    async fn rows<R: Layout>(&self, reader: &ArchiveReader, wanted: impl Fn(&R) -> bool) -> Result<Vec<R>, ApiError> {
        let entry = self.entries.iter().find(|entry| entry.table == R::TABLE).ok_or_else(ApiError::not_found)?;
        check_version(entry)?;
        if entry.rows == 0 {
            return Ok(Vec::new());
        }
        let index = reader.index(entry).await?;
        let mut found = Vec::new();
        for group in index.groups_within::<R>(self.key.started_at, self.key.started_at) {
            found.extend(reader.group::<R>(&index, group).await?.into_iter().filter(&wanted));
        }
        Ok(found)
    }
}

pub(crate) fn check_version(entry: &Archive) -> Result<(), ArchiveError> {
    if entry.schema_version == SCHEMA_VERSION {
        return Ok(());
    }
    Err(ArchiveError::Corrupt(format!("its columns have version {}", entry.schema_version)))
}

/// The organization's months of a table that lie in the archive and hold something of a period, newest first.
pub(super) async fn within(
    tx: &mut OrgTx,
    table: LedgerTable,
    from: Option<DateTime<Utc>>,
    to: Option<DateTime<Utc>>,
) -> Result<Vec<Archive>, ApiError> {
    let mut entries = store::archives::list(tx, table).await?;
    entries.retain(|entry| match (entry.is_expired(), entry.min_started_at, entry.max_started_at) {
        (false, Some(min), Some(max)) => from.is_none_or(|from| max >= from) && to.is_none_or(|to| min < to),
        _ => false,
    });
    Ok(entries)
}

/// A place in a list of syncs.
pub(super) type Place = (DateTime<Utc>, Uuid);

/// Whether a place lies beyond another in a direction.
pub(super) fn is_beyond(direction: Direction, place: Place, other: Place) -> bool {
    match direction {
        Direction::Older => place < other,
        Direction::Newer => place > other,
    }
}

/// Up to `limit` syncs of a month beyond the cursor, nearest first.
pub(super) async fn syncs(
    reader: &ArchiveReader,
    entry: &Archive,
    filter: &SyncFilter,
    cursor: Option<Place>,
    direction: Direction,
    limit: usize,
) -> Result<Vec<SyncLog>, ApiError> {
    check_version(entry)?;
    let index = reader.index(entry).await?;
    let (mut from, mut to) =
        (filter.from.unwrap_or(DateTime::<Utc>::MIN_UTC), filter.to.unwrap_or(DateTime::<Utc>::MAX_UTC));
    match (cursor, direction) {
        (Some((at, _)), Direction::Older) => to = to.min(at),
        (Some((at, _)), Direction::Newer) => from = from.max(at),
        (None, _) => {}
    }
    let mut groups = index.groups_within::<SyncLogColumns>(from, to);
    if direction == Direction::Newer {
        groups.reverse();
    }
    let mut found = Vec::new();
    for group in groups {
        let mut rows: Vec<SyncLogColumns> = reader.group(&index, group).await?;
        if direction == Direction::Newer {
            rows.reverse();
        }
        for row in rows {
            let sync = SyncLog::try_from(row)?;
            let place = (sync.started_at, sync.id);
            if cursor.is_none_or(|cursor| is_beyond(direction, place, cursor)) && filter.admits_archived(&sync) {
                found.push(sync);
                if found.len() == limit {
                    return Ok(found);
                }
            }
        }
    }
    Ok(found)
}

/// A record's outcomes in a month: one column tells which row groups have any.
pub(super) async fn outcomes_of(
    reader: &ArchiveReader,
    entry: &Archive,
    record: &RecordKey,
) -> Result<Vec<OutcomeColumns>, ApiError> {
    check_version(entry)?;
    let index = reader.index(entry).await?;
    let mut found = Vec::new();
    for group in index.groups() {
        let ids = index.read_records::<OutcomeColumns>(&reader.files, group).await?;
        if ids.contains(&record.source_record_id) {
            let rows: Vec<OutcomeColumns> = reader.group(&index, group).await?;
            found.extend(rows.into_iter().filter(|row| record_of(row) == *record));
        }
    }
    Ok(found)
}

/// The integrations of the syncs that outcomes belong to, by the syncs' ids.
pub(super) async fn integrations_of(
    reader: &ArchiveReader,
    entry: &Archive,
    outcomes: &[OutcomeColumns],
) -> Result<HashMap<Uuid, Uuid>, ApiError> {
    check_version(entry)?;
    let moments = || outcomes.iter().map(|row| row.sync_started_at);
    let (Some(from), Some(to)) = (moments().min(), moments().max()) else { return Ok(HashMap::new()) };
    let wanted: HashSet<Uuid> = outcomes.iter().map(|row| row.sync_id).collect();
    let index = reader.index(entry).await?;
    let mut found = HashMap::new();
    for group in index.groups_within::<SyncLogColumns>(from, to) {
        let rows: Vec<SyncLogColumns> = reader.group(&index, group).await?;
        let rows = rows.into_iter().filter(|row| wanted.contains(&row.id));
        found.extend(rows.map(|row| (row.id, row.integration_config_id)));
    }
    Ok(found)
}
