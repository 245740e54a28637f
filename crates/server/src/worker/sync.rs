//! Executing a managed sync: sends its records, records each outcome as it comes, ends the attempt.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use connectors::{Connector, OutboundRecord, RecordAnswer};
use domain::sync_log::draft::Completion;
use store::OrgTx;
use store::active_syncs::ActiveSync;
use store::source_records::RecordKey;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::lease::{self, Holder, Lease};
use super::send;
use crate::http::integrations::settings;
use crate::http::problem::Chain;
use crate::ledger::{Claimed, LedgerError, Report};
use crate::state::AppState;

/// Pause before the database is tried again.
const DATABASE_PAUSE: Duration = Duration::from_millis(500);
/// Most records that are marked as leaving before there is a slot for their requests, unless one batch holds more: of
/// these a killed worker can say nothing, although they never left.
const MARKED_AHEAD: usize = 256;

/// Error code of a managed sync whose connector could not be made.
const CONNECTOR_UNAVAILABLE: &str = "CONNECTOR_UNAVAILABLE";
/// Error code of an attempt that ended because the worker was told to stop.
const WORKER_STOPPED: &str = "WORKER_STOPPED";

/// Claims a waiting sync; `None` if somebody else did, or it is gone.
pub(super) async fn claim(state: &AppState, owner: Uuid, active: &ActiveSync) -> Option<(Claimed, Lease)> {
    let lease_seconds = state.config.worker.lease_seconds;
    let asked = Instant::now();
    let claimed = async {
        let mut tx = OrgTx::begin(&state.db, active.organization_id).await?;
        let mut ledger = state.ledger(&mut tx, state.clock.now());
        let claimed = ledger.claim_attempt(active.sync.id, Some(owner), Some(i64::from(lease_seconds))).await?;
        tx.commit().await?;
        Ok::<_, LedgerError>(claimed)
    };
    match claimed.await {
        Ok(claimed) => {
            state.hub.nudge();
            let (sync, attempt) = (&claimed.sync, claimed.attempt);
            let holder = Holder { organization_id: sync.organization_id, sync_id: sync.id, attempt, owner };
            let lease = Lease::given(holder, Duration::from_secs(lease_seconds.into()), asked);
            Some((claimed, lease))
        }
        Err(LedgerError::Store(error)) => {
            tracing::warn!(sync_id = %active.sync.id, error = %Chain(&error), "a waiting sync could not be claimed");
            None
        }
        Err(_) => None,
    }
}

/// How the sending of an attempt ended.
enum Sent {
    /// Every record has its outcome.
    All,
    /// The worker was told to stop; the rest was not attempted.
    Stopped,
    /// The lease went to somebody else; what happened is recorded, the attempt is closed already.
    LeaseLost,
}

/// Executes a claimed attempt to its end.
pub(super) async fn execute(state: &AppState, claimed: Claimed, lease: Lease, shutdown: &CancellationToken) {
    let connector = match settings::connector(state, &claimed.config) {
        Ok(connector) => Arc::<dyn Connector>::from(connector),
        Err(error) => {
            tracing::error!(integration_config_id = %claimed.config.id, error = %error, "no connector could be made");
            let words = "the connector could not be made from the integration's settings";
            return end(state, &claimed, failed(claimed.attempt, CONNECTOR_UNAVAILABLE, words)).await;
        }
    };
    let lease = Arc::new(lease);
    let heartbeat = tokio::spawn(lease::beat(state.clone(), Arc::clone(&lease)));
    let sent = send_all(state, &claimed, &connector, &lease, shutdown).await;
    heartbeat.abort();
    let report = match sent {
        Sent::All | Sent::LeaseLost => succeeded(claimed.attempt),
        Sent::Stopped => failed(claimed.attempt, WORKER_STOPPED, "the worker was stopped before all records were sent"),
    };
    end(state, &claimed, report).await;
}

/// Sends an attempt's records: requests leave while answers are being written, and only under a lease that holds.
async fn send_all(
    state: &AppState,
    claimed: &Claimed,
    connector: &Arc<dyn Connector>,
    lease: &Lease,
    shutdown: &CancellationToken,
) -> Sent {
    let slots = connector.concurrency().max(1);
    let batch_size = connector.batch_size().max(1);
    let ahead = marked_ahead(slots, batch_size);
    let mut queue: VecDeque<RecordKey> = claimed.records.iter().cloned().collect();
    let mut ready: VecDeque<Vec<OutboundRecord>> = VecDeque::new();
    let mut under_way: JoinSet<Vec<(OutboundRecord, RecordAnswer)>> = JoinSet::new();
    let mut stopped = false;
    loop {
        if lease.is_lost() || shutdown.is_cancelled() {
            stopped |= !(queue.is_empty() && ready.is_empty());
            queue.clear();
            let unsent = keys_of(ready.drain(..));
            record_unsent(state, claimed, lease, &unsent).await;
        }
        while under_way.len() < slots && lease.holds(Instant::now()) {
            let Some(batch) = ready.pop_front() else { break };
            let connector = Arc::clone(connector);
            under_way.spawn(async move {
                let answers = connector.send(&batch).await;
                batch.into_iter().zip(answers).collect()
            });
        }
        // Where a slot is free and something is ready, the lease has run out: nothing leaves before it is marked anew,
        // under a lease that holds. The ledger says whether the attempt still is this worker's.
        let again = under_way.len() < slots && !ready.is_empty();
        if again || (ready.is_empty() && !queue.is_empty()) {
            let keys: Vec<RecordKey> = if again {
                keys_of(ready.drain(..))
            } else {
                let number = ahead.saturating_mul(batch_size).min(queue.len());
                queue.drain(..number).collect()
            };
            match prepare(state, claimed, lease, &keys, again, shutdown).await {
                Ok(records) => ready.extend(batches(&records, batch_size)),
                Err(unsent) => {
                    stopped = true;
                    record_unsent(state, claimed, lease, &unsent).await;
                }
            }
            continue;
        }
        let waiting = !(queue.is_empty() && ready.is_empty());
        let first = tokio::select! {
            first = under_way.join_next() => first,
            // What is not to leave any more is written at once: the last answer may take longer than a stop does.
            () = shutdown.cancelled(), if waiting => continue,
            () = lease.lost(), if waiting => continue,
        };
        let Some(first) = first else { break };
        let mut answered = first.unwrap_or_default();
        while let Some(more) = under_way.try_join_next() {
            answered.extend(more.unwrap_or_default());
        }
        record(state, claimed, &answered).await;
    }
    match (lease.is_lost(), stopped) {
        (true, _) => Sent::LeaseLost,
        (false, true) => Sent::Stopped,
        (false, false) => Sent::All,
    }
}

/// How many batches are marked at a time: as many as there are slots, so that one transaction serves all of them.
fn marked_ahead(slots: usize, batch_size: usize) -> usize {
    slots.min((MARKED_AHEAD / batch_size).max(1))
}

fn batches(records: &[OutboundRecord], size: usize) -> Vec<Vec<OutboundRecord>> {
    records.chunks(size).map(<[OutboundRecord]>::to_vec).collect()
}

fn keys_of(batches: impl Iterator<Item = Vec<OutboundRecord>>) -> Vec<RecordKey> {
    batches.flatten().map(|record| send::key_of(&record)).collect()
}

/// Marks records as `sending`, durably, before any request leaves. Where none may leave any more, those come back that
/// may be `marked` already: the lease is lost, or the worker was told to stop while the database was away.
async fn prepare(
    state: &AppState,
    claimed: &Claimed,
    lease: &Lease,
    keys: &[RecordKey],
    mut marked: bool,
    shutdown: &CancellationToken,
) -> Result<Vec<OutboundRecord>, Vec<RecordKey>> {
    loop {
        match send::prepare(state, claimed, lease, keys).await {
            Ok(Some(records)) => return Ok(records),
            Ok(None) => return Err(if marked { keys.to_vec() } else { Vec::new() }),
            Err(error) => {
                tracing::warn!(sync_id = %claimed.sync.id, error = %error, "records could not be prepared; trying again");
                if shutdown.is_cancelled() {
                    return Err(keys.to_vec());
                }
                // Of a commit without an answer nobody knows whether it was taken.
                marked = true;
                tokio::time::sleep(DATABASE_PAUSE).await;
            }
        }
    }
}

/// Writes that records which were marked did not leave after all; nobody is to look for them elsewhere.
async fn record_unsent(state: &AppState, claimed: &Claimed, lease: &Lease, unsent: &[RecordKey]) {
    if unsent.is_empty() {
        return;
    }
    while let Err(error) = send::record_unsent(state, claimed, lease, unsent).await {
        tracing::warn!(sync_id = %claimed.sync.id, error = %error, "unsent records could not be recorded; trying again");
        tokio::time::sleep(DATABASE_PAUSE).await;
    }
    state.hub.nudge();
}

/// Writes answers; what was answered must not be forgotten, so this goes on until the database takes it.
async fn record(state: &AppState, claimed: &Claimed, answered: &[(OutboundRecord, RecordAnswer)]) {
    while let Err(error) = send::record(state, claimed, answered).await {
        tracing::warn!(sync_id = %claimed.sync.id, error = %error, "answers could not be recorded; trying again");
        tokio::time::sleep(DATABASE_PAUSE).await;
    }
    state.hub.nudge();
}

/// Ends an attempt. One that was closed as abandoned meanwhile reports late, unless it has a successor.
async fn end(state: &AppState, claimed: &Claimed, report: Report) {
    loop {
        let ended = async {
            let mut tx = OrgTx::begin(&state.db, claimed.sync.organization_id).await?;
            state.ledger(&mut tx, state.clock.now()).finish(claimed.sync.id, &report).await?;
            tx.commit().await?;
            Ok::<_, LedgerError>(())
        };
        match ended.await {
            Ok(()) => return state.wake(),
            Err(LedgerError::Store(error)) if error.is_passing() => {
                tracing::warn!(sync_id = %claimed.sync.id, error = %Chain(&error), "an attempt could not be ended; trying again");
                tokio::time::sleep(DATABASE_PAUSE).await;
            }
            Err(error) => {
                tracing::error!(sync_id = %claimed.sync.id, error = %Chain(&error), "an attempt could not be ended");
                return;
            }
        }
    }
}

/// The end of an attempt that did what it could; the ledger judges by its records.
fn succeeded(attempt: u16) -> Report {
    Report { attempt, completion: Completion { succeeded: true, ..Completion::default() }, warnings: Vec::new() }
}

fn failed(attempt: u16, code: &str, words: &str) -> Report {
    Report {
        attempt,
        completion: Completion {
            error_code: Some(code.to_owned()),
            error_message: Some(words.to_owned()),
            ..Completion::default()
        },
        warnings: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_records_are_marked_ahead_and_never_less_than_a_batch() {
        for (slots, batch_size, batches) in [(1, 1, 1), (4, 1, 4), (300, 1, 256), (4, 100, 2), (4, 500, 1)] {
            assert_eq!(marked_ahead(slots, batch_size), batches, "{slots} slots, {batch_size} a batch");
        }
    }
}
