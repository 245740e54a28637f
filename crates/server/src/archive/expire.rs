//! Expiry: files whose retention has ended are deleted, by a step of its own, and leave a tombstone.

use anyhow::ensure;
use chrono::NaiveDate;
use domain::retention::RetentionYears;
use store::archives::Archive;
use uuid::Uuid;

use super::run::{Run, manifest_name, name};

/// What an expiry did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expired {
    /// Months of organizations that were deleted.
    pub months: u32,
    /// Rows that went with them.
    pub rows: i64,
}

impl Run<'_> {
    /// Deletes what need not be kept any more. First the tombstones are set, so that nobody looks for a file that is
    /// going; a run that was killed is gone on with by the next.
    pub async fn expire(&mut self, years: RetentionYears, today: NaiveDate, dry_run: bool) -> anyhow::Result<Expired> {
        ensure!(self.maintenance.lock().await?, "another run is under way");
        let mut done = Expired::default();
        let all = self.maintenance.archives(None).await?;
        for files in
            all.chunk_by(|left, right| (left.month, left.organization_id) == (right.month, right.organization_id))
        {
            let Some(first) = files.first() else { continue };
            if !is_due(files, years, today) {
                continue;
            }
            let (organization, month) = (first.organization_id, first.month);
            let rows: i64 = files.iter().map(|file| file.rows).sum();
            let what = format!("{}: organization {organization}, {}, {rows} rows", name(month), first.retention_class);
            done.months += 1;
            done.rows += rows;
            if dry_run {
                (self.progress)(&format!("{what}, would expire"));
                continue;
            }
            self.maintenance.expire(organization, month).await?;
            self.delete(files, organization, month).await?;
            (self.progress)(&format!("{what}, expired"));
        }
        Ok(done)
    }

    async fn delete(&mut self, files: &[Archive], organization: Uuid, month: NaiveDate) -> anyhow::Result<()> {
        for file in files {
            self.files.delete(&file.location).await?;
        }
        self.files.delete(&manifest_name(organization, month)).await?;
        Ok(self.maintenance.record_deleted(organization, month).await?)
    }
}

/// Whether an organization's files of a month are to go: their time has come, or their deletion was cut short.
fn is_due(files: &[Archive], years: RetentionYears, today: NaiveDate) -> bool {
    files.iter().all(|file| file.state == "detached" || file.is_expired())
        && files.iter().any(|file| !file.deleted)
        && files.iter().all(|file| file.is_expired() || file.retention_class.expires_on(file.month, years) <= today)
}
