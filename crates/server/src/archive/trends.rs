//! Counts and durations of archived syncs, as the database would have counted them.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Duration, DurationRound as _, Utc};
use domain::columns::{SyncAttemptColumns, SyncLogColumns};
use domain::retention::LedgerTable;
use store::OrgTx;
use store::sync_logs::{SyncFilter, SyncLog};
use store::trends::TrendRow;
use uuid::Uuid;

use super::month;
use crate::http::problem::ApiError;
use crate::state::AppState;

/// Buckets of an integration in a period, oldest first, wherever its syncs lie. A bucket lies within one month, so none
/// is counted in both places.
pub async fn trends(
    state: &AppState,
    mut tx: OrgTx,
    integration_config_id: Uuid,
    (unit, width): (&'static str, Duration),
    (from, to): (DateTime<Utc>, DateTime<Utc>),
) -> Result<Vec<TrendRow>, ApiError> {
    let mut rows = store::trends::list(&mut tx, integration_config_id, unit, from, to).await?;
    let syncs = month::within(&mut tx, LedgerTable::SyncLogs, Some(from), Some(to)).await?;
    if syncs.is_empty() {
        return Ok(rows);
    }
    let attempts = month::within(&mut tx, LedgerTable::SyncAttempts, Some(from), Some(to)).await?;
    drop(tx);

    let filter = SyncFilter {
        integration_config_id: Some(integration_config_id),
        from: Some(from),
        to: Some(to),
        ..SyncFilter::default()
    };
    let mut buckets: BTreeMap<DateTime<Utc>, Bucket> = BTreeMap::new();
    let mut start_of: HashMap<Uuid, DateTime<Utc>> = HashMap::new();
    for entry in &syncs {
        month::check_version(entry)?;
        let index = state.archive.index(entry).await?;
        for group in index.groups_within::<SyncLogColumns>(from, to) {
            let rows: Vec<SyncLogColumns> = state.archive.group(&index, group).await?;
            for row in rows {
                let sync = SyncLog::try_from(row)?;
                if !filter.admits_archived(&sync) {
                    continue;
                }
                let Ok(start) = sync.started_at.duration_trunc(width) else { continue };
                start_of.insert(sync.id, start);
                let bucket = buckets.entry(start).or_default();
                bucket.syncs += 1;
                bucket.failed_syncs += i64::from(sync.status.is_failure());
                bucket.processed += i64::from(sync.records_processed.unwrap_or(0));
                bucket.failed += i64::from(sync.records_failed.unwrap_or(0));
            }
        }
    }
    for entry in &attempts {
        month::check_version(entry)?;
        let index = state.archive.index(entry).await?;
        for group in index.groups_within::<SyncAttemptColumns>(from, to) {
            let rows: Vec<SyncAttemptColumns> = state.archive.group(&index, group).await?;
            for row in rows {
                let bucket = start_of.get(&row.sync_id).and_then(|start| buckets.get_mut(start));
                if let (Some(bucket), Some(duration)) = (bucket, row.duration_ms) {
                    bucket.durations.push(duration);
                }
            }
        }
    }
    rows.extend(buckets.into_iter().map(|(start, bucket)| bucket.into_row(start)));
    rows.sort_by_key(|row| row.start);
    Ok(rows)
}

#[derive(Default)]
struct Bucket {
    syncs: i64,
    failed_syncs: i64,
    processed: i64,
    failed: i64,
    durations: Vec<i64>,
}

impl Bucket {
    fn into_row(mut self, start: DateTime<Utc>) -> TrendRow {
        self.durations.sort_unstable();
        TrendRow {
            start,
            syncs: self.syncs,
            failed_syncs: self.failed_syncs,
            records_processed: self.processed,
            records_failed: self.failed,
            p50_duration_ms: percentile(&self.durations, 50),
            p95_duration_ms: percentile(&self.durations, 95),
        }
    }
}

/// The first of the ordered values at which so many percent of them are reached, as `percentile_disc` has it.
fn percentile(sorted: &[i64], percent: usize) -> Option<i64> {
    let place = (sorted.len() * percent).div_ceil(100).max(1) - 1;
    sorted.get(place).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        assert_eq!(percentile(&[], 50), None);
        assert_eq!(percentile(&[7], 95), Some(7));
        assert_eq!(percentile(&[1, 2, 3, 4], 50), Some(2));
        assert_eq!(percentile(&(1..=100).collect::<Vec<_>>(), 95), Some(95));
    }
}
