//! Closing what nobody works on any more.

use domain::sync_log::draft::{Completion, validate_completion};
use domain::sync_log::{
    Failure, RETRY_NOT_CLAIMED, START_NOT_CLAIMED, SyncStatus, SyncWarning, Transition, TransitionRefused,
};
use store::active_syncs::ActiveSync;
use store::sync_logs::SyncLog;

use super::finish::abandoned;
use super::{Ledger, LedgerError, state_of};

impl Ledger<'_> {
    /// Ends an attempt whose lease ran out, or gives up one that nobody claimed. Does nothing if it was extended,
    /// claimed or ended in the meantime.
    pub async fn expire(&mut self, seen: &ActiveSync) -> Result<(), LedgerError> {
        let Some(sync) = store::sync_logs::lock(self.tx, seen.sync.id).await? else { return Ok(()) };
        let Some(active) = store::active_syncs::lock(self.tx, sync.id).await? else { return Ok(()) };
        if active.lease_expires_at > self.now {
            return Ok(());
        }
        if active.running {
            let report = abandoned(active.attempt);
            let attempt = store::sync_attempts::find(self.tx, sync.key(), active.attempt)
                .await?
                .ok_or(TransitionRefused::NotBegun(active.attempt))?;
            let completion = Completion { started_at: attempt.started_at, ..report.completion.clone() };
            let valid = validate_completion(&completion, self.now)?;
            self.end(sync, attempt, &report, &valid).await?;
            return Ok(());
        }
        match self.former_status(&sync).await? {
            Some(former) => self.give_up_retry(sync, former).await,
            None => self.give_up_start(sync).await,
        }
    }

    async fn give_up_start(&mut self, mut sync: SyncLog) -> Result<(), LedgerError> {
        let failure = Failure::new(START_NOT_CLAIMED, "no runner claimed the sync in time");
        sync.status = state_of(&sync, None, false).apply(Transition::GiveUp)?.status;
        // The clock may have been set back.
        let completed_at = self.now.max(sync.started_at);
        sync.completed_at = Some(completed_at);
        sync.duration_ms = Some((completed_at - sync.started_at).num_milliseconds());
        sync.error_code = Some(failure.code);
        sync.error_message = Some(failure.message);
        self.settle_unclaimed(&sync).await
    }

    async fn give_up_retry(&mut self, mut sync: SyncLog, former: SyncStatus) -> Result<(), LedgerError> {
        sync.status = state_of(&sync, Some(former), false).apply(Transition::RetryNotClaimed)?.status;
        let attempt = store::sync_attempts::find(self.tx, sync.key(), sync.retry_count).await?;
        let completed_at = attempt.and_then(|attempt| attempt.completed_at).unwrap_or(self.now).max(sync.started_at);
        sync.completed_at = Some(completed_at);
        sync.duration_ms = Some((completed_at - sync.started_at).num_milliseconds());
        sync.warnings.push(SyncWarning {
            code: RETRY_NOT_CLAIMED.to_owned(),
            message: "no runner claimed the retry in time".to_owned(),
            pointer: None,
        });
        self.settle_unclaimed(&sync).await
    }

    async fn settle_unclaimed(&mut self, sync: &SyncLog) -> Result<(), LedgerError> {
        let config =
            store::integrations::find(self.tx, sync.integration_config_id).await?.ok_or(LedgerError::NotFound)?;
        store::sync_logs::update_ended(self.tx, sync).await?;
        store::active_syncs::delete(self.tx, sync.id).await?;
        self.enter_for_sealing(sync.key(), None).await?;
        self.tell_sync(sync).await?;
        // Nobody was there to do what may be done by itself; somebody may be soon.
        let left = self.left_behind(sync, &config).await?;
        self.schedule_retry(sync, &config, &left).await?;
        self.draw_consequences(sync, &config).await
    }
}
