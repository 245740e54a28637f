//! Retries that nobody asks for: what may pass by itself is sent again after a while.

use chrono::Duration;
use domain::integration::Runner;
use domain::retry::{automatic_wait, may_pass_by_itself};
use store::integrations::IntegrationConfig;
use store::retry_timers::DueRetry;
use store::sync_logs::SyncLog;

use super::retry::AskedBy;
use super::{Ledger, LedgerError};
use crate::external_systems;

/// For how long a retry is put off that another sync stands in the way of.
const PUT_OFF: Duration = Duration::minutes(1);

impl Ledger<'_> {
    /// Sets the moment at which a sync that has ended is retried by itself, or takes it back: later with each attempt, and
    /// not before its external system wants to hear again. A success may have left records `undelivered` as well.
    pub(super) async fn schedule_retry(
        &mut self,
        sync: &SyncLog,
        config: &IntegrationConfig,
        undelivered: bool,
    ) -> Result<(), LedgerError> {
        if config.runner != Runner::Managed {
            return Ok(());
        }
        let undelivered = undelivered || sync.status.is_failure();
        let wait = automatic_wait(sync.retry_count, self.automatic_retries, rand::random());
        let Some(wait) = wait.filter(|_| undelivered && !config.paused) else {
            return Ok(store::retry_timers::delete(self.tx, sync.id).await?);
        };
        if !self.something_may_pass(sync, config).await? {
            return Ok(store::retry_timers::delete(self.tx, sync.id).await?);
        }
        let system = store::external_systems::find(self.tx, external_systems::id_of(config)).await?;
        // The wait comes on top: not everybody is to be there at the very moment.
        let from = system.held(self.now).map_or(self.now, |held| held.until);
        Ok(store::retry_timers::set(self.tx, sync.key(), from + wait).await?)
    }

    async fn something_may_pass(&mut self, sync: &SyncLog, config: &IntegrationConfig) -> Result<bool, LedgerError> {
        let asking = super::asking(config);
        let candidates =
            store::record_outcomes::retry_candidates(self.tx, sync.key(), config.id, &asking, self.now).await?;
        if candidates.iter().any(|(_, candidate)| may_pass_by_itself(candidate)) {
            return Ok(true);
        }
        // Its source was not read to the end, or its worker ended before it knew what is due: it may be otherwise next time.
        let begun = store::sync_attempts::find(self.tx, sync.key(), sync.retry_count).await?.is_some();
        Ok((begun || connectors::has_source(&config.settings)) && self.failed_before_any_record(sync).await?)
    }

    /// Retries a sync whose moment has come, unless somebody was quicker, or nothing is left that may pass by itself.
    pub async fn retry_by_itself(&mut self, due: DueRetry) -> Result<(), LedgerError> {
        let sync = store::sync_logs::lock(self.tx, due.sync_id).await?;
        if !store::retry_timers::take(self.tx, due.sync_id, self.now).await? {
            return Ok(());
        }
        // It may have gone to the archive.
        let Some(sync) = sync else { return Ok(()) };
        let config =
            store::integrations::find_held(self.tx, sync.integration_config_id).await?.ok_or(LedgerError::NotFound)?;
        let may = !config.paused && automatic_wait(sync.retry_count, self.automatic_retries, 0.0).is_some();
        if !may || !sync.status.is_terminal() || !self.something_may_pass(&sync, &config).await? {
            return Ok(());
        }
        // An external runner's retries are not scheduled, so nobody is told how many records there are.
        self.enter_retry(sync, &config, true, 0, AskedBy::Nobody).await?;
        Ok(())
    }

    /// Puts off the retry of a sync whose record another one has under way.
    pub async fn put_off_retry(&mut self, due: DueRetry) -> Result<(), LedgerError> {
        Ok(store::retry_timers::put_off(self.tx, due.sync_id, self.now, self.now + PUT_OFF).await?)
    }
}
