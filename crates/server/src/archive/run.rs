//! Archiving: planned, written, verified, detached, month after month. Killed at any point it can be run again: what was
//! done is seen by what the database and the files say, and nothing leaves the database before its file was read back.

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use archive::{FileWriter, Files, Index, Layout, Manifest, ManifestTable, SCHEMA_VERSION};
use chrono::{DateTime, NaiveDate, Utc};
use domain::columns::{OutcomeColumns, SyncAttemptColumns, SyncLogColumns};
use domain::retention::{LedgerTable, RetentionClass};
use sha2::{Digest as _, Sha256};
use store::StoreError;
use store::archives::{Archive, LedgerColumns, Maintenance, MonthFacts, NewArchive};
use uuid::Uuid;

/// How often a month is looked at again because rows came while it was written, or a lock was not to be had.
const TRIES: u32 = 5;

/// What a run is to do.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Months whose newest sync began before this are archived.
    pub cutoff: DateTime<Utc>,
    /// Months without any sync are closed if they lie before this one.
    pub empty_before: NaiveDate,
    /// Only say what would be done.
    pub dry_run: bool,
}

/// What a run did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Months that left the database.
    pub months: u32,
    /// Rows that went with them.
    pub rows: i64,
    /// Months that are old enough and could not go.
    pub waiting: u32,
}

/// What a run needs.
pub struct Run<'a> {
    /// The database, as the maintenance role.
    pub maintenance: &'a mut Maintenance,
    /// The archive.
    pub files: &'a Files,
    /// Takes a line for whoever watches.
    pub progress: &'a mut dyn FnMut(&str),
}

impl Run<'_> {
    /// Archives every month that is old enough.
    pub async fn archive(&mut self, plan: Plan) -> anyhow::Result<Summary> {
        ensure!(self.maintenance.lock().await?, "another run is under way");
        let mut summary = Summary::default();
        for facts in self.maintenance.months(plan.cutoff).await? {
            match decide(&facts, plan) {
                Decision::Leave => {}
                Decision::Wait => {
                    summary.waiting += 1;
                    (self.progress)(&format!(
                        "{}: waits for {} syncs under way or not sealed yet",
                        name(facts.month),
                        facts.active
                    ));
                }
                Decision::Archive if plan.dry_run => {
                    summary.months += 1;
                    (self.progress)(&format!("{}: would be archived, {} syncs", name(facts.month), facts.syncs));
                }
                Decision::Archive => match self.month(facts.month).await.with_context(|| name(facts.month))? {
                    Some(rows) => {
                        summary.months += 1;
                        summary.rows += rows;
                    }
                    None => summary.waiting += 1,
                },
            }
        }
        Ok(summary)
    }

    /// One month; returns how many rows left, or `None` if something began in it while it was written.
    async fn month(&mut self, month: NaiveDate) -> anyhow::Result<Option<i64>> {
        self.maintenance.plan(month).await?;
        let mut tried = 0;
        loop {
            let organizations = self.maintenance.organizations(month).await?;
            for (index, organization) in organizations.iter().enumerate() {
                let of = format!("{}: organization {} of {}", name(month), index + 1, organizations.len());
                self.organization(month, *organization, &of).await?;
            }
            tried += 1;
            match self.maintenance.detach(month).await {
                Ok(rows) => {
                    (self.progress)(&format!("{}: {rows} rows left the database", name(month)));
                    return Ok(Some(rows));
                }
                // Rows came in the meantime, or somebody held the month.
                Err(error) if tried < TRIES && may_pass(&error) => {
                    (self.progress)(&format!("{}: changed or held meanwhile, once more", name(month)));
                    tokio::time::sleep(Duration::from_millis(500)).await;
                }
                Err(error) if waits(&error) => {
                    (self.progress)(&format!("{}: waits, something began in it meanwhile", name(month)));
                    return Ok(None);
                }
                Err(error) => return Err(error).context("the month could not be taken out of the database"),
            }
        }
    }

    /// Everything of an organization and month, as it is at one moment.
    async fn organization(&mut self, month: NaiveDate, organization: Uuid, of: &str) -> anyhow::Result<()> {
        self.maintenance.begin_snapshot().await?;
        let done = self.organization_files(month, organization, of).await;
        let ended = self.maintenance.end_snapshot().await;
        done?;
        Ok(ended?)
    }

    async fn organization_files(&mut self, month: NaiveDate, organization: Uuid, of: &str) -> anyhow::Result<()> {
        let class = RetentionClass::of(self.maintenance.kinds(month, organization).await?);
        let known = self.maintenance.archives(Some(month)).await?;
        let known = |table| known.iter().find(|entry| entry.organization_id == organization && entry.table == table);
        let place = Place { month, organization, class };
        let tables = vec![
            self.table::<SyncLogColumns>(place, known(LedgerTable::SyncLogs), of).await?,
            self.table::<SyncAttemptColumns>(place, known(LedgerTable::SyncAttempts), of).await?,
            self.table::<OutcomeColumns>(place, known(LedgerTable::SyncRecordOutcomes), of).await?,
        ];
        let manifest = Manifest::new(organization, month, class, tables);
        Ok(self.files.put(&manifest_name(organization, month), manifest.to_json().into()).await?)
    }

    /// Writes a table's file and reads it back, unless that was done before and nothing has changed.
    async fn table<R: Layout + LedgerColumns>(
        &mut self,
        place: Place,
        known: Option<&Archive>,
        of: &str,
    ) -> anyhow::Result<ManifestTable> {
        let table = R::TABLE;
        let Place { month, organization, class } = place;
        let checksum = self.maintenance.checksum(table, month, organization).await?;
        if let Some(known) = known
            && known.state == "verified"
            && (known.rows, known.checksum.as_str()) == (checksum.rows, checksum.checksum.as_str())
            && (known.retention_class, known.schema_version) == (class, SCHEMA_VERSION)
            && self.files.get(&known.location).await.is_ok_and(|bytes| sha256(&bytes) == known.sha256)
        {
            (self.progress)(&format!("{of}: {table} was written before"));
            return Ok(manifest_table(known));
        }
        let mut writer = FileWriter::<R>::new()?;
        let add = async |rows: Vec<R>| writer.add(&rows).map_err(anyhow::Error::from);
        self.maintenance.for_each_group(month, organization, R::GROUP_ROWS, add).await?;
        let file = writer.finish()?;
        ensure!(i64::try_from(file.rows)? == checksum.rows, "{table}: rows were lost on the way to the file");
        let location = format!("{organization}/{}/{table}.parquet", name(month));
        let new = NewArchive {
            organization_id: organization,
            month,
            table,
            location: location.clone(),
            bytes: i64::try_from(file.bytes.len())?,
            sha256: file.sha256.clone(),
            schema_version: SCHEMA_VERSION,
            checksum,
            oldest: file.oldest,
            newest: file.newest,
            retention_class: class,
        };
        self.files.put(&location, file.bytes).await?;
        self.maintenance.record_written(&new).await?;
        (self.progress)(&format!("{of}: {table} written, {} rows", new.checksum.rows));
        self.verify::<R>(&new).await.with_context(|| format!("{location} is not what was written"))?;
        self.maintenance.record_verified(organization, month, table, &new.sha256).await?;
        (self.progress)(&format!("{of}: {table} verified"));
        Ok(ManifestTable {
            table,
            file: location,
            rows: new.checksum.rows,
            bytes: new.bytes,
            min_started_at: new.oldest,
            max_started_at: new.newest,
            sha256: new.sha256,
        })
    }

    /// Reads a file back and compares it with the database, row by row.
    async fn verify<R: Layout + LedgerColumns>(&mut self, new: &NewArchive) -> anyhow::Result<()> {
        let bytes = self.files.get(&new.location).await?;
        ensure!(sha256(&bytes) == new.sha256, "its content differs");
        drop(bytes);
        let index = Index::open(self.files, &new.location, u64::try_from(new.bytes)?).await?;
        let files = self.files;
        let mut groups = index.groups();
        let compare = async |rows: Vec<R>| -> anyhow::Result<()> {
            let group = groups.next().context("it has too few rows")?;
            ensure!(index.read::<R>(files, group).await? == rows, "its rows differ from the database's");
            Ok(())
        };
        self.maintenance.for_each_group(new.month, new.organization_id, R::GROUP_ROWS, compare).await?;
        if groups.next().is_some() {
            bail!("it has too many rows");
        }
        Ok(())
    }
}

#[derive(Clone, Copy)]
struct Place {
    month: NaiveDate,
    organization: Uuid,
    class: RetentionClass,
}

#[derive(Debug, PartialEq, Eq)]
enum Decision {
    Leave,
    Wait,
    Archive,
}

/// Whether a month goes: its newest sync is old enough, and none is under way. One without any sync goes when nothing can
/// be started in it any more.
fn decide(facts: &MonthFacts, plan: Plan) -> Decision {
    match facts.newest {
        None if facts.month < plan.empty_before => Decision::Archive,
        Some(newest) if newest < plan.cutoff && facts.active == 0 => Decision::Archive,
        Some(newest) if newest < plan.cutoff => Decision::Wait,
        _ => Decision::Leave,
    }
}

fn may_pass(error: &StoreError) -> bool {
    error.is_passing()
        || error.is_constraint("archive_is_complete")
        // Sealing follows a change within about a second.
        || error.is_constraint("archive_sealed_syncs_only")
}

/// Whether a month cannot go for now, which is no reason to leave the others where they are.
fn waits(error: &StoreError) -> bool {
    ["archive_terminal_syncs_only", "archive_sealed_syncs_only", "archive_after_1year"]
        .into_iter()
        .any(|rule| error.is_constraint(rule))
}

/// A month as people and files write it.
pub(super) fn name(month: NaiveDate) -> String {
    month.format("%Y-%m").to_string()
}

pub(super) fn manifest_name(organization: Uuid, month: NaiveDate) -> String {
    format!("{organization}/{}/manifest.json", name(month))
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn manifest_table(entry: &Archive) -> ManifestTable {
    ManifestTable {
        table: entry.table,
        file: entry.location.clone(),
        rows: entry.rows,
        bytes: entry.bytes,
        min_started_at: entry.min_started_at,
        max_started_at: entry.max_started_at,
        sha256: entry.sha256.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_goes_when_its_newest_sync_is_old_and_none_is_under_way() {
        let month: NaiveDate = "2025-10-01".parse().unwrap();
        let plan = Plan {
            cutoff: "2025-11-21T12:00:00Z".parse().unwrap(),
            empty_before: "2025-10-01".parse().unwrap(),
            dry_run: false,
        };
        let decision = |syncs, active, newest: Option<&str>| {
            let newest = newest.map(|at| at.parse().unwrap());
            decide(&MonthFacts { month, syncs, active, newest }, plan)
        };
        assert_eq!(decision(3, 0, Some("2025-10-30T00:00:00Z")), Decision::Archive);
        assert_eq!(decision(3, 1, Some("2025-10-30T00:00:00Z")), Decision::Wait);
        assert_eq!(decision(3, 0, Some("2025-11-21T12:00:00Z")), Decision::Leave);
        assert_eq!(decision(0, 0, None), Decision::Leave);
        let earlier = MonthFacts { month: "2025-09-01".parse().unwrap(), syncs: 0, active: 0, newest: None };
        assert_eq!(decide(&earlier, plan), Decision::Archive);
    }
}
