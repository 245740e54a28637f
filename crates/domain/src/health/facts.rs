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
    /// It succeeded but for records that await their posting: it is not known yet how it ends.
    #[serde(skip)]
    pub awaits_posting: bool,
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
    /// When the run of failures that `recent` begins with turned the light red; `None` without one.
    pub failing_since: Option<DateTime<Utc>>,
    /// Length of the run of failures that `recent` begins with, beyond the list too.
    pub consecutive_failures: i32,
    /// What has not arrived.
    pub undelivered: Undelivered,
}

/// What is known of the run of failures after a sync was taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureRun {
    /// Its length and beginning.
    Known,
    /// It reaches beyond the list, where the facts cannot look: it must be counted ([`HealthFacts::count_run`]).
    Unsure,
}

impl RecentSync {
    /// When it turned the light red, as far as the latest attempt tells: a first attempt as it ended; a failed retry
    /// kept a light red that had been so since the first attempt, soon after the sync began.
    fn failed_at(&self) -> DateTime<Utc> {
        if self.status == SyncStatus::RetriedFailed { self.started_at } else { self.completed_at }
    }

    /// Whether a run of failures goes on beyond it: it is one of them, or nobody knows yet.
    fn ends_no_run(&self) -> bool {
        self.status.is_failure() || self.awaits_posting
    }
}

impl HealthFacts {
    /// Takes in a sync whose attempt has just finished. A sync that is taken in again (a retry, a late report) replaces
    /// its former entry, and is never counted twice; a sync without a finished attempt changes nothing.
    ///
    /// Syncs may arrive in any order: `recent` holds the [`RECENT_SYNCS`] latest-started ones, whatever came first. What
    /// is said of *one* sync arrives in the order in which the ledger wrote it, because the ledger holds the sync's row
    /// while it writes; moments say nothing about that order, since clocks are set back.
    ///
    /// The run of failures follows from the list; a sync of which nobody knows yet how it ends neither belongs to it
    /// nor ends it. A run that fills the list is carried along as long as that is exact, which it is while failures are
    /// added one by one; otherwise the answer says that it must be counted.
    pub fn record(&mut self, sync: RecentSync) -> FailureRun {
        if sync.status.is_active() {
            return FailureRun::Known;
        }
        let was_full = self.oldest_of_full_run().is_some();
        let known = self.recent.iter().position(|other| other.id == sync.id);
        let former = known.map(|known| self.recent.remove(known));
        let key = |sync: &RecentSync| (sync.started_at, sync.id);
        let place = self.recent.partition_point(|other| key(other) > key(&sync));
        if place >= RECENT_SYNCS {
            return if was_full { FailureRun::Unsure } else { FailureRun::Known };
        }
        let failed_at = sync.status.is_failure().then(|| sync.failed_at());
        self.recent.insert(place, sync);
        self.recent.truncate(RECENT_SYNCS);
        if self.oldest_of_full_run().is_some() {
            match former {
                None if was_full => {
                    let one_more = i32::from(failed_at.is_some());
                    self.consecutive_failures = self.consecutive_failures.saturating_add(one_more);
                    self.fails_since(failed_at);
                    return FailureRun::Known;
                }
                Some(former)
                    if !was_full
                        || self.failing_since == Some(former.failed_at())
                        || former.status.is_failure() != failed_at.is_some() =>
                {
                    self.count_run(0, None);
                    return FailureRun::Unsure;
                }
                Some(_) => {
                    self.fails_since(failed_at);
                    return FailureRun::Known;
                }
                // The list has just become full of failures: nothing but failures has left it since its last success.
                None => {}
            }
        }
        self.count_run(0, None);
        FailureRun::Known
    }

    /// The oldest sync of the list, if the list is full and every sync in it failed, as far as it is known: the run of
    /// failures may reach further back.
    pub fn oldest_of_full_run(&self) -> Option<&RecentSync> {
        let full = self.recent.len() == RECENT_SYNCS && self.recent.iter().all(RecentSync::ends_no_run);
        self.recent.last().filter(|_| full)
    }

    /// Takes in that a failure of the run turned the light red at a moment.
    fn fails_since(&mut self, failed_at: Option<DateTime<Utc>>) {
        self.failing_since = self.failing_since.into_iter().chain(failed_at).min();
    }

    /// Sets the run of failures from the list and from what was counted beyond it: how many syncs before the list's oldest
    /// failed without a success in between, and when the first of them turned the light red.
    pub fn count_run(&mut self, beyond: i32, beyond_since: Option<DateTime<Utc>>) {
        let run = self.recent.iter().take_while(|sync| sync.ends_no_run()).filter(|sync| sync.status.is_failure());
        let (mut length, mut since) = (beyond, beyond_since);
        for sync in run {
            length = length.saturating_add(1);
            since = Some(since.map_or(sync.failed_at(), |since| since.min(sync.failed_at())));
        }
        self.consecutive_failures = length;
        self.failing_since = since;
    }

    /// The same without the syncs of which nobody knows yet how they end.
    #[must_use]
    pub fn settled(&self) -> Self {
        let recent = self.recent.iter().filter(|sync| !sync.awaits_posting).cloned().collect();
        Self { recent, ..self.clone() }
    }

    /// The latest-started sync that is no backfill and has a finished attempt.
    pub fn last_sync(&self) -> Option<&RecentSync> {
        self.recent.first()
    }
}
