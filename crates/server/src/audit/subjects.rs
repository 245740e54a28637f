//! What the ledger says of what is sealed, wherever it lies: in the database, or in the archive.

use std::collections::{BTreeMap, HashSet};

use archive::{ArchiveError, Layout};
use chrono::NaiveDate;
use domain::columns::{OutcomeColumns, SyncAttemptColumns, SyncLogColumns};
use domain::seal::{Subject, SubjectKey};
use store::archives::{Archive, month_of};
use store::seals::Digests;
use store::{OrgTx, StoreError};
use uuid::Uuid;

use crate::archive::{ArchiveReader, check_version};
use crate::http::problem::ApiError;

/// Why seals and ledger could not be compared.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The archive.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
}

impl From<AuditError> for ApiError {
    fn from(error: AuditError) -> Self {
        match error {
            AuditError::Store(error) => error.into(),
            AuditError::Archive(error) => error.into(),
        }
    }
}

/// What the ledger says of each of these, in their order. `None`: the month was deleted when its retention had ended,
/// and there is nothing left to compare.
pub(super) async fn read(
    tx: &mut OrgTx,
    reader: &ArchiveReader,
    keys: &[SubjectKey],
) -> Result<Vec<Option<Subject>>, AuditError> {
    let subjects = store::seals::subjects(tx, keys).await?;
    let mut subjects: Vec<Option<Subject>> = subjects.into_iter().map(Some).collect();
    let mut gone: BTreeMap<NaiveDate, Vec<usize>> = BTreeMap::new();
    for (place, key) in keys.iter().enumerate() {
        if subjects[place].as_ref().is_some_and(|subject| subject.sync.is_none()) {
            gone.entry(month_of(key.sync_started_at)).or_default().push(place);
        }
    }
    for (month, places) in gone {
        let entries = store::archives::find(tx, month).await?;
        if entries.is_empty() {
            continue;
        }
        if entries.iter().any(Archive::is_expired) {
            for place in places {
                subjects[place] = None;
            }
            continue;
        }
        let wanted: Vec<SubjectKey> = places.iter().map(|place| keys[*place]).collect();
        for (place, subject) in places.into_iter().zip(archived(reader, &entries, &wanted).await?) {
            subjects[place] = Some(subject);
        }
    }
    Ok(subjects)
}

/// Of one month's files, a row group at a time.
async fn archived(
    reader: &ArchiveReader,
    entries: &[Archive],
    keys: &[SubjectKey],
) -> Result<Vec<Subject>, ArchiveError> {
    let mut digests = Digests::default();
    for_each(reader, entries, keys, |row: &SyncLogColumns| row.id, |row| digests.sync(&row)).await?;
    for_each(reader, entries, keys, |row: &SyncAttemptColumns| row.sync_id, |row| digests.attempt(&row)).await?;
    // A sync's outcomes lie together in the file, in another order than they are sealed in.
    let mut of_sync: Vec<OutcomeColumns> = Vec::new();
    for_each(
        reader,
        entries,
        keys,
        |row: &OutcomeColumns| row.sync_id,
        |row| {
            if of_sync.first().is_some_and(|first| first.sync_id != row.sync_id) {
                add_in_order(&mut digests, std::mem::take(&mut of_sync));
            }
            of_sync.push(row);
        },
    )
    .await?;
    add_in_order(&mut digests, of_sync);
    Ok(digests.subjects(keys))
}

/// Takes in a sync's outcomes in the order that they are sealed in.
fn add_in_order(digests: &mut Digests, mut outcomes: Vec<OutcomeColumns>) {
    outcomes.sort_by(|left, right| {
        let place = |row: &OutcomeColumns| (row.attempt_number, row.source_record_id);
        left.source_record_type.cmp(&right.source_record_type).then_with(|| place(left).cmp(&place(right)))
    });
    for row in &outcomes {
        digests.record(row);
    }
}

/// Hands over a table's rows of the wanted syncs, in the file's order.
async fn for_each<R: Layout>(
    reader: &ArchiveReader,
    entries: &[Archive],
    keys: &[SubjectKey],
    sync_of: impl Fn(&R) -> Uuid,
    mut take: impl FnMut(R),
) -> Result<(), ArchiveError> {
    let starts = || keys.iter().map(|key| key.sync_started_at);
    let entry = entries.iter().find(|entry| entry.table == R::TABLE && entry.rows > 0);
    let (Some(entry), Some(from), Some(to)) = (entry, starts().min(), starts().max()) else { return Ok(()) };
    check_version(entry)?;
    let wanted: HashSet<Uuid> = keys.iter().map(|key| key.sync_id).collect();
    let index = reader.index(entry).await?;
    for group in index.groups_within::<R>(from, to) {
        let rows: Vec<R> = reader.group(&index, group).await?;
        rows.into_iter().filter(|row| wanted.contains(&sync_of(row))).for_each(&mut take);
    }
    Ok(())
}
