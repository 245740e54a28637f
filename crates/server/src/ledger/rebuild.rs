//! The health row and the ledger: counting what the row alone cannot know, and building it anew.

use domain::health::{HealthFacts, RECENT_SYNCS, RecentSync};
use domain::sync_log::SyncStatus;
use store::integrations::IntegrationConfig;
use store::sync_logs::{SyncKey, SyncLog};
use uuid::Uuid;

use super::consequences::recent_of;
use super::{Ledger, LedgerError};

/// A health row, and what the ledger makes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RebuiltHealth {
    /// As the row is (or was).
    pub kept: HealthFacts,
    /// As the ledger says.
    pub rebuilt: HealthFacts,
}

impl RebuiltHealth {
    /// Whether the row says something else than the ledger.
    pub fn differs(&self) -> bool {
        self.kept != self.rebuilt
    }
}

impl Ledger<'_> {
    /// Folds an integration's syncs anew, and writes the row where it differs and `write` says so. The row is held from
    /// the beginning, so that whoever ends a sync meanwhile goes on from what is written here.
    ///
    /// What the ledger's own tables do not tell any more stays as the row says: syncs of archived months, and the
    /// figures that a sync had before a retry that is under way. A run of failures is counted as far as they reach.
    pub async fn rebuild_health(
        &mut self,
        integration_config_id: Uuid,
        write: bool,
    ) -> Result<RebuiltHealth, LedgerError> {
        let config = store::integrations::find(self.tx, integration_config_id).await?.ok_or(LedgerError::NotFound)?;
        let kept = store::health::lock(self.tx, config.id).await?;
        let mut rebuilt = self.fold(&config, &kept).await?;
        rebuilt.undelivered = store::health::undelivered(self.tx, config.id).await?;
        let found = RebuiltHealth { kept, rebuilt };
        if write && found.differs() {
            store::health::update(self.tx, config.id, &found.rebuilt, self.now).await?;
            if !config.paused {
                // The next sweep looks whether the incident is still the right one.
                store::timers::set_stale_at(self.tx, config.id, Some(self.now)).await?;
            }
            self.tell_integration(config.id).await?;
        }
        Ok(found)
    }

    async fn fold(&mut self, config: &IntegrationConfig, kept: &HealthFacts) -> Result<HealthFacts, LedgerError> {
        let limit = i64::try_from(RECENT_SYNCS).unwrap_or(i64::MAX);
        let latest = store::health::latest_finished(self.tx, config.id, limit).await?;
        let mut facts = HealthFacts::default();
        for entry in &kept.recent {
            if !latest.iter().any(|sync| sync.id == entry.id) && self.stands_alone(config, entry).await? {
                facts.record(entry.clone());
            }
        }
        for sync in &latest {
            let recent = match recent_of(sync) {
                Some(recent) => Some(recent),
                None => self.before_retry(sync, kept).await?,
            };
            if let Some(recent) = recent {
                facts.record(recent);
            }
        }
        self.count_failures(config.id, &mut facts).await?;
        Ok(facts)
    }

    /// Whether the row alone knows of a sync: its month was archived, or nobody had claimed its start, and it waits or runs
    /// anew.
    async fn stands_alone(&mut self, config: &IntegrationConfig, entry: &RecentSync) -> Result<bool, LedgerError> {
        match store::sync_logs::find(self.tx, entry.id).await? {
            Some(sync) => {
                let begins_anew = sync.status.is_active() && entry.status == SyncStatus::Failed;
                Ok(begins_anew && sync.integration_config_id == config.id && !sync.backfill)
            }
            None => Ok(!store::health::holds_month(self.tx, entry.started_at).await?),
        }
    }

    /// What a sync was before the retry that is under way. Its figures are the row's if that speaks of the same attempt;
    /// the attempts' own are the next best.
    async fn before_retry(&mut self, sync: &SyncLog, kept: &HealthFacts) -> Result<Option<RecentSync>, LedgerError> {
        let mut attempts = store::sync_attempts::list(self.tx, sync.key()).await?;
        attempts.retain(|attempt| attempt.status.is_terminal());
        let Some(last) = attempts.last() else { return Ok(None) };
        let completed_at = last.completed_at.map(|completed_at| completed_at.max(sync.started_at));
        let delivered = attempts.iter().filter_map(|attempt| attempt.records_processed).reduce(i32::saturating_add);
        let before = SyncLog {
            status: SyncStatus::finished(last.number, last.status == SyncStatus::Success),
            completed_at,
            duration_ms: completed_at.map(|completed_at| (completed_at - sync.started_at).num_milliseconds()),
            records_processed: sync.records_processed.or(delivered),
            records_failed: sync.records_failed.or(last.records_failed),
            ..sync.clone()
        };
        let found = recent_of(&before);
        let same = |entry: &&RecentSync| {
            found.as_ref().is_some_and(|found| {
                (entry.id, entry.status, entry.completed_at) == (found.id, found.status, found.completed_at)
            })
        };
        Ok(kept.recent.iter().find(same).cloned().or(found))
    }

    /// Counts a run of failures that fills the row's list, as far back as it reaches.
    pub(super) async fn count_failures(
        &mut self,
        integration_config_id: Uuid,
        facts: &mut HealthFacts,
    ) -> Result<(), LedgerError> {
        let oldest = facts.oldest_of_full_run().map(|sync| SyncKey { id: sync.id, started_at: sync.started_at });
        if let Some(oldest) = oldest {
            let (beyond, since) = store::health::failures_before(self.tx, integration_config_id, oldest).await?;
            facts.count_run(i32::try_from(beyond).unwrap_or(i32::MAX), since);
        }
        Ok(())
    }

    /// Counts anew what has not arrived, after answers that came when their attempt had already ended: no end is still to
    /// come that would.
    pub async fn count_late_answers(&mut self, sync: &SyncLog, attempt: u16) -> Result<(), LedgerError> {
        let attempt = store::sync_attempts::find(self.tx, sync.key(), attempt).await?;
        if attempt.is_some_and(|attempt| attempt.status.is_terminal()) {
            self.count_after_the_end(sync).await?;
        }
        Ok(())
    }

    /// Counts anew what has not arrived by a sync whose attempt is known to have ended.
    pub(super) async fn count_after_the_end(&mut self, sync: &SyncLog) -> Result<(), LedgerError> {
        self.refresh_undelivered(sync.integration_config_id).await?;
        self.tell_integration(sync.integration_config_id).await
    }
}
