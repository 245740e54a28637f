//! Retries that nobody asks for: what may pass by itself is sent again after a while, and what awaits its posting is
//! asked for.

use chrono::Duration;
use domain::integration::Runner;
use domain::posting::{Awaiting, awaits, is_awaiting, is_lost, next_wait};
use domain::retry::{RetryCandidate, automatic_wait, may_pass_by_itself};
use store::integrations::IntegrationConfig;
use store::retry_timers::DueRetry;
use store::sync_logs::SyncLog;

use super::retry::AskedBy;
use super::{Ledger, LedgerError};
use crate::external_systems;

/// For how long a retry is put off that another sync stands in the way of, or a pause.
const PUT_OFF: Duration = Duration::minutes(1);

impl Ledger<'_> {
    /// What has not arrived of a managed sync, as its retry would find it.
    pub(super) async fn left_behind(
        &mut self,
        sync: &SyncLog,
        config: &IntegrationConfig,
    ) -> Result<Vec<RetryCandidate>, LedgerError> {
        if config.runner != Runner::Managed {
            return Ok(Vec::new());
        }
        let asking = super::asking(config);
        let candidates =
            store::record_outcomes::retry_candidates(self.tx, sync.key(), config.id, &asking, self.now).await?;
        Ok(candidates.into_iter().map(|(_, candidate)| candidate).collect())
    }

    /// How many of these records await their posting, whether they will be asked for after this attempt, and of how many
    /// others that were accepted nobody may find out what became of them.
    pub(super) fn awaiting(&self, left: &[RetryCandidate], config: &IntegrationConfig, attempt: u16) -> Awaiting {
        let count = |of: fn(&RetryCandidate) -> bool| {
            i32::try_from(left.iter().filter(|candidate| of(candidate)).count()).unwrap_or(i32::MAX)
        };
        Awaiting {
            records: count(awaits),
            asked_again: !config.paused && automatic_wait(attempt, self.automatic_retries, 0.0).is_some(),
            lost: count(is_lost),
        }
    }

    /// Sets the moment at which a sync that has ended is retried by itself, or takes it back: later with each attempt, and
    /// not before its external system wants to hear again. A success may have `left` records behind as well.
    pub(super) async fn schedule_retry(
        &mut self,
        sync: &SyncLog,
        config: &IntegrationConfig,
        left: &[RetryCandidate],
    ) -> Result<(), LedgerError> {
        if config.runner != Runner::Managed {
            return Ok(());
        }
        let wait = next_wait(left, sync.retry_count, self.automatic_retries, rand::random(), self.now);
        let wait = wait.filter(|_| !config.paused);
        let wait = if is_awaiting(sync.status, &sync.warnings) {
            // Of such a sync somebody will ask in any case.
            Some(wait.unwrap_or(PUT_OFF))
        } else if wait.is_some() && self.something_may_pass(sync, config, left).await? {
            wait
        } else {
            None
        };
        let Some(wait) = wait else {
            return Ok(store::retry_timers::delete(self.tx, sync.id).await?);
        };
        let system = store::external_systems::find(self.tx, external_systems::id_of(config)).await?;
        // The wait comes on top: not everybody is to be there at the very moment.
        let from = system.held(self.now).map_or(self.now, |held| held.until);
        Ok(store::retry_timers::set(self.tx, sync.key(), from + wait).await?)
    }

    async fn something_may_pass(
        &mut self,
        sync: &SyncLog,
        config: &IntegrationConfig,
        left: &[RetryCandidate],
    ) -> Result<bool, LedgerError> {
        if left.iter().any(may_pass_by_itself) {
            return Ok(true);
        }
        if !sync.status.is_failure() {
            return Ok(false);
        }
        // Its source was not read to the end, or its worker ended before it knew what is due: it may be otherwise next time.
        let begun = store::sync_attempts::find(self.tx, sync.key(), sync.retry_count).await?.is_some();
        Ok((begun || connectors::has_source(&config.settings)) && self.failed_before_any_record(sync).await?)
    }

    /// Retries a sync whose moment has come, unless somebody was quicker, or nothing is left that may pass by itself.
    ///
    /// A sync whose records await their posting is a success only because somebody asks: it is retried in any case, and
    /// fails by that where nobody could be asked any more. During a pause nobody asks, but it is not forgotten.
    pub async fn retry_by_itself(&mut self, due: DueRetry) -> Result<(), LedgerError> {
        let sync = store::sync_logs::lock(self.tx, due.sync_id).await?;
        if !store::retry_timers::take(self.tx, due.sync_id, self.now).await? {
            return Ok(());
        }
        // It may have gone to the archive.
        let Some(sync) = sync.filter(|sync| sync.status.is_terminal()) else { return Ok(()) };
        let config =
            store::integrations::find_held(self.tx, sync.integration_config_id).await?.ok_or(LedgerError::NotFound)?;
        let awaiting = is_awaiting(sync.status, &sync.warnings);
        if config.paused && awaiting {
            // Its records are not looked at each time: a pause may last for months.
            return Ok(store::retry_timers::set(self.tx, sync.key(), self.now + PUT_OFF).await?);
        }
        let may = !config.paused && automatic_wait(sync.retry_count, self.automatic_retries, 0.0).is_some();
        if !may && !awaiting {
            return Ok(());
        }
        let left = self.left_behind(&sync, &config).await?;
        if awaiting {
            // What another sync has under way may be settled by it.
            if left.iter().any(|candidate| awaits(candidate) && candidate.claimed_elsewhere) {
                return Ok(store::retry_timers::set(self.tx, sync.key(), self.now + PUT_OFF).await?);
            }
        } else if !self.something_may_pass(&sync, &config, &left).await? {
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
