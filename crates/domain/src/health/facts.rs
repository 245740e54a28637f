//! What an integration's light depends on: its latest syncs, folded in whatever order they arrive.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::sync_log::SyncStatus;

/// One finished sync as the health row keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RecentSync {
    /// Its id.
    pub id: Uuid,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When its latest finished attempt ended.
    pub completed_at: DateTime<Utc>,
    /// Status of its latest finished attempt.
    pub status: SyncStatus,
    /// Records in scope.
    pub records_total: Option<i32>,
    /// Delivered.
    pub records_processed: Option<i32>,
    /// Failed.
    pub records_failed: Option<i32>,
    /// Wall-clock milliseconds of the sync.
    pub duration_ms: i64,
    /// Number of warnings.
    pub warnings: i32,
    /// Whether its counts do not add up.
    pub counts_mismatch: bool,
}

/// How many syncs the health row keeps.
pub const RECENT_SYNCS: usize = 30;

/// A sum of money of undelivered records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Amount {
    /// ISO 4217 code.
    pub currency: String,
    /// The sum, as a decimal string.
    pub amount: Decimal,
}

/// What has not arrived, over all syncs of an integration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Undelivered {
    /// Records that failed, are unknown or were not attempted, and were neither delivered nor handled since.
    pub records: i64,
    /// Their sums by currency.
    pub amounts: Vec<Amount>,
}

/// Everything the light depends on; the content of an integration's health row.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthFacts {
    /// Latest finished syncs that are no backfill, newest start first, at most [`RECENT_SYNCS`].
    pub recent: Vec<RecentSync>,
    /// The run of failures that `recent` begins with reaches back to this moment, if it outgrew the list.
    pub failing_since: Option<DateTime<Utc>>,
    /// Length of the run of failures that `recent` begins with.
    pub consecutive_failures: i32,
    /// What has not arrived.
    pub undelivered: Undelivered,
}

impl RecentSync {
    /// Orders the reports of one sync: the later attempt is the newer one. The rest only makes the order total, so that
    /// of two reports with the same end the same one wins whichever comes first: a retry before a first attempt, a
    /// late success before the abandonment it corrects, more remarks before fewer.
    fn recency(&self) -> impl Ord + use<> {
        (
            self.completed_at,
            matches!(self.status, SyncStatus::RetriedSuccess | SyncStatus::RetriedFailed),
            self.status.is_success(),
            (self.warnings, self.counts_mismatch),
            (self.records_processed, self.records_failed, self.records_total, self.duration_ms),
        )
    }

    /// When it turned the light red, as far as the latest attempt tells: a first attempt as it ended; a failed retry
    /// kept a light red that had been so since the first attempt, soon after the sync began.
    fn failed_at(&self) -> DateTime<Utc> {
        if self.status == SyncStatus::RetriedFailed { self.started_at } else { self.completed_at }
    }
}

impl HealthFacts {
    /// Takes in a sync whose attempt has just finished. A sync that is taken in again (a retry, a late report) replaces
    /// its former entry unless it is older than that, and is never counted twice; a sync without a finished attempt
    /// changes nothing.
    ///
    /// The order of arrival does not matter: `recent` holds the [`RECENT_SYNCS`] latest-started syncs, whatever came
    /// first, and the run of failures follows from it. Only a run that outgrows the list has to be carried along: its
    /// length and beginning are exact as long as its syncs arrive in the order of their starts, and its length is never
    /// below [`RECENT_SYNCS`].
    pub fn record(&mut self, sync: RecentSync) {
        if sync.status.is_active() {
            return;
        }
        let known = self.recent.iter().position(|other| other.id == sync.id);
        if let Some(known) = known {
            if self.recent[known].recency() >= sync.recency() {
                return;
            }
            self.recent.remove(known);
        }
        let key = |sync: &RecentSync| (sync.started_at, sync.id);
        let place = self.recent.partition_point(|other| key(other) > key(&sync));
        if place >= RECENT_SYNCS {
            return;
        }
        self.recent.insert(place, sync);
        self.recent.truncate(RECENT_SYNCS);
        let run = self.recent.iter().take_while(|sync| sync.status.is_failure()).count();
        let counted = i32::try_from(run).unwrap_or(i32::MAX);
        // How far the run reached before, counting the sync that a new one may just have pushed out of the list.
        let reached = self.consecutive_failures.saturating_add(i32::from(known.is_none()));
        if run == RECENT_SYNCS && reached > counted {
            // The run is longer than the list: only a new failure lengthens it.
            self.consecutive_failures = reached;
        } else {
            self.consecutive_failures = counted;
            self.failing_since = self.recent[..run].iter().map(RecentSync::failed_at).min();
        }
    }

    /// The latest-started sync that is no backfill and has a finished attempt.
    pub fn last_sync(&self) -> Option<&RecentSync> {
        self.recent.first()
    }
}
