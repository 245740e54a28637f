//! What time alone brings about: leases that ran out, schedules and retries that are due, integrations that went stale.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{Datelike as _, NaiveDate, TimeDelta};
use domain::sync_log::draft::Reporter;
use store::active_syncs::ActiveSync;
use store::retry_timers::DueRetry;
use store::timers::Due;
use store::{OrgTx, PlainTx, StoreError};
use tokio::sync::Mutex;

use crate::http::problem::Chain;
use crate::ledger::LedgerError;
use crate::state::AppState;

/// Most items of one sweep; the rest comes with the next.
const LIMIT: i64 = 200;
/// Most retries that one sweep asks for: each looks at all of its sync's records, and leases that ran out are not to wait
/// for them.
const RETRIES: i64 = 20;

/// How long a webhook that has been settled is kept: far longer than its retry can wait.
const WEBHOOKS_KEPT: TimeDelta = TimeDelta::days(30);

/// One look at everything.
pub(super) async fn sweep(state: AppState) {
    let done = async {
        expire(&state).await?;
        run_due(&state).await?;
        retry_due(&state).await?;
        review_stale(&state).await
    };
    if let Err(error) = done.await {
        tracing::warn!(error = %Chain(&error), "a sweep was cut short");
    }
}

/// Ends attempts whose lease ran out, and gives up those that nobody claimed.
async fn expire(state: &AppState) -> Result<(), StoreError> {
    let expired = {
        let mut tx = PlainTx::begin(&state.db).await?;
        store::active_syncs::expired(&mut tx, state.clock.now(), LIMIT).await?
    };
    for active in &expired {
        let ended = expire_one(state, active).await;
        report(ended, "an abandoned attempt could not be ended")?;
    }
    if !expired.is_empty() {
        state.wake();
    }
    Ok(())
}

async fn expire_one(state: &AppState, active: &ActiveSync) -> Result<(), LedgerError> {
    let mut tx = OrgTx::begin(&state.db, active.organization_id).await?;
    state.ledger(&mut tx, state.clock.now()).expire(active).await?;
    Ok(tx.commit().await?)
}

/// Starts managed syncs whose schedule is due. A sync of everything that is still under way is not joined by a second;
/// after an outage one missed run is made up for.
async fn run_due(state: &AppState) -> Result<(), StoreError> {
    let due = {
        let mut tx = PlainTx::begin(&state.db).await?;
        store::timers::due_runs(&mut tx, state.clock.now(), LIMIT).await?
    };
    for due in &due {
        let started = run_one(state, due).await;
        report(started, "a scheduled sync could not be started")?;
    }
    if !due.is_empty() {
        state.wake();
    }
    Ok(())
}

async fn run_one(state: &AppState, due: &Due) -> Result<(), LedgerError> {
    let now = state.clock.now();
    let mut tx = OrgTx::begin(&state.db, due.organization_id).await?;
    // Before the timer, in the order of those who end a sync or change the settings, so that no two wait for each other.
    store::health::lock(&mut tx, due.integration_config_id).await?;
    let Some(config) = store::integrations::find(&mut tx, due.integration_config_id).await? else { return Ok(()) };
    if !store::timers::advance_run(&mut tx, config.id, now, config.next_run(None, now)).await? {
        return Ok(());
    }
    if !config.paused {
        match state.ledger(&mut tx, now).trigger(config.id, None, Reporter::Machine).await {
            Ok(_) | Err(LedgerError::AlreadyActive(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(tx.commit().await?)
}

/// Retries syncs of which something may pass by itself by now.
async fn retry_due(state: &AppState) -> Result<(), StoreError> {
    let due = {
        let mut tx = PlainTx::begin(&state.db).await?;
        store::retry_timers::due(&mut tx, state.clock.now(), RETRIES).await?
    };
    for due in &due {
        match retry_one(state, *due).await {
            Ok(()) => continue,
            Err(LedgerError::AlreadyActive(_) | LedgerError::Refused(_)) => {}
            other => report(other, "a sync could not be retried by itself")?,
        }
        // Also what fails for another reason: it is not to be there first, again and again, before others that are due.
        report(put_off_one(state, *due).await, "a sync's retry could not be put off")?;
    }
    if !due.is_empty() {
        state.wake();
    }
    Ok(())
}

async fn retry_one(state: &AppState, due: DueRetry) -> Result<(), LedgerError> {
    let mut tx = OrgTx::begin(&state.db, due.organization_id).await?;
    state.ledger(&mut tx, state.clock.now()).retry_by_itself(due).await?;
    Ok(tx.commit().await?)
}

async fn put_off_one(state: &AppState, due: DueRetry) -> Result<(), LedgerError> {
    let mut tx = OrgTx::begin(&state.db, due.organization_id).await?;
    state.ledger(&mut tx, state.clock.now()).put_off_retry(due).await?;
    Ok(tx.commit().await?)
}

/// Looks again at integrations whose freshness window ran out.
async fn review_stale(state: &AppState) -> Result<(), StoreError> {
    let due = {
        let mut tx = PlainTx::begin(&state.db).await?;
        store::timers::due_stale(&mut tx, state.clock.now(), LIMIT).await?
    };
    for due in &due {
        let reviewed = review_one(state, due).await;
        report(reviewed, "an integration's freshness could not be reviewed")?;
    }
    if !due.is_empty() {
        state.hub.nudge();
    }
    Ok(())
}

async fn review_one(state: &AppState, due: &Due) -> Result<(), LedgerError> {
    let mut tx = OrgTx::begin(&state.db, due.organization_id).await?;
    state.ledger(&mut tx, state.clock.now()).review_freshness(due.integration_config_id).await?;
    Ok(tx.commit().await?)
}

/// A database that is away ends the sweep; anything else is about one item and is logged.
fn report(result: Result<(), LedgerError>, what: &str) -> Result<(), StoreError> {
    match result {
        Ok(()) => Ok(()),
        Err(LedgerError::Store(error)) if error.is_passing() => Err(error),
        Err(error) => {
            tracing::error!(error = %Chain(&error), "{what}");
            Ok(())
        }
    }
}

/// Deletes webhooks that were settled long ago, of one organization after the other.
pub(super) async fn purge_webhooks(state: AppState) {
    let before = state.clock.now() - WEBHOOKS_KEPT;
    let purged = async {
        let organizations = {
            let mut tx = PlainTx::begin(&state.db).await?;
            store::timers::organizations(&mut tx).await?
        };
        let mut purged = 0;
        for organization_id in organizations {
            let mut tx = OrgTx::begin(&state.db, organization_id).await?;
            purged += store::webhooks::purge(&mut tx, before).await?;
            tx.commit().await?;
        }
        Ok::<_, StoreError>(purged)
    };
    match purged.await {
        Ok(0) => {}
        Ok(purged) => tracing::info!(purged, "settled webhooks were deleted"),
        Err(error) => tracing::warn!(error = %Chain(&error), "settled webhooks could not be deleted"),
    }
}

/// How long after a failure partitions are tried again.
const PARTITION_PATIENCE: Duration = Duration::from_mins(1);

/// The day for which the ledger's partitions were made last, and when they may be tried again.
#[derive(Debug)]
pub(super) struct PartitionsMade {
    day: Option<NaiveDate>,
    not_before: Instant,
}

impl Default for PartitionsMade {
    fn default() -> Self {
        Self { day: None, not_before: Instant::now() }
    }
}

/// Makes the ledger's partitions ahead of time, once a day.
pub(super) async fn ensure_partitions(state: AppState, made: Arc<Mutex<PartitionsMade>>) {
    let mut made = made.lock().await;
    let today = state.clock.now().date_naive();
    if made.day == Some(today) || Instant::now() < made.not_before {
        return;
    }
    match state.db.ensure_partitions(today).await {
        Ok(new) => {
            made.day = Some(today);
            if new > 0 {
                tracing::info!(new, year = today.year(), month = today.month(), "partitions were made");
            }
        }
        Err(error) => {
            made.not_before = Instant::now() + PARTITION_PATIENCE;
            tracing::error!(error = %Chain(&error), "partitions could not be made");
        }
    }
}
