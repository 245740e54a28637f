//! Executing a managed sync: asks for records of unknown fate, sends what may leave, records each outcome as it comes, ends
//! the attempt.

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
use super::{ask, send};
use crate::http::integrations::settings;
use crate::http::problem::Chain;
use crate::ledger::{Claimed, LedgerError, Report};
use crate::state::AppState;

/// Pause before the database is tried again.
pub(super) const DATABASE_PAUSE: Duration = Duration::from_millis(500);
/// Most records that are marked as leaving before there is a slot for their requests, unless one batch holds more: of
/// these a killed worker can say nothing, although they never left.
const MARKED_AHEAD: usize = 256;

/// How often in an attempt records leave again at once because a request was refused with them in it.
const MOST_SPLITS: u32 = 64;

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
    let mut records = claimed.records.clone();
    records.extend(ask::ask_all(state, &claimed, &connector, &lease, shutdown).await);
    let sent = send_all(state, &claimed, records, &connector, &lease, shutdown).await;
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
    records: Vec<RecordKey>,
    connector: &Arc<dyn Connector>,
    lease: &Lease,
    shutdown: &CancellationToken,
) -> Sent {
    let slots = connector.concurrency().max(1);
    let batch_size = connector.batch_size().max(1);
    let ahead = marked_ahead(slots, batch_size);
    let mut queue = VecDeque::from(records);
    let mut ready: VecDeque<Vec<OutboundRecord>> = VecDeque::new();
    let mut under_way: JoinSet<Vec<(OutboundRecord, RecordAnswer)>> = JoinSet::new();
    let mut splits = MOST_SPLITS;
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
                Ok(records) => ready.extend(connector.batches(&records)),
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
        let mut answered = sort_out(first.unwrap_or_default(), &mut ready, &mut splits);
        while let Some(more) = under_way.try_join_next() {
            answered.extend(sort_out(more.unwrap_or_default(), &mut ready, &mut splits));
        }
        if !answered.is_empty() {
            record(state, claimed, &answered).await;
        }
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

/// Takes out of a request's answers those that are to be written. Records that were refused with others, not for
/// themselves, are ready to leave again before everything else: in halves, where nobody knows whose fault it was. Each
/// of their requests holds fewer records than the one before, so this comes to an end.
fn sort_out(
    answers: Vec<(OutboundRecord, RecordAnswer)>,
    ready: &mut VecDeque<Vec<OutboundRecord>>,
    splits: &mut u32,
) -> Vec<(OutboundRecord, RecordAnswer)> {
    let count = answers.len();
    if *splits == 0 || count < 2 {
        return answers;
    }
    let (again, answered): (Vec<_>, Vec<_>) = answers.into_iter().partition(|(_, answer)| answer.again);
    if again.is_empty() {
        return answered;
    }
    *splits -= 1;
    let records: Vec<OutboundRecord> = again.into_iter().map(|(record, _)| record).collect();
    let size = if records.len() == count { count.div_ceil(2) } else { records.len() };
    for batch in records.rchunks(size) {
        ready.push_front(batch.to_vec());
    }
    answered
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
    use connectors::Permanence;
    use domain::doubt::Certainty;
    use domain::record::RecordOutcome;
    use serde_json::Value;

    use super::*;

    fn answered(again: &[bool]) -> Vec<(OutboundRecord, RecordAnswer)> {
        let one = |(number, again): (usize, &bool)| {
            let record = OutboundRecord {
                source_record_type: "t".to_owned(),
                source_record_id: Uuid::from_u128(number as u128),
                payload: Value::Null,
                payload_hash: String::new(),
                idempotency_key: String::new(),
            };
            let answer = RecordAnswer {
                outcome: RecordOutcome::NotAttempted,
                certainty: Certainty::NotTaken,
                errors: Vec::new(),
                http_status_code: None,
                external_reference_id: None,
                permanence: Permanence::Transient,
                retry_after: None,
                again: *again,
            };
            (record, answer)
        };
        again.iter().enumerate().map(one).collect()
    }

    /// What is to be written, and what is ready to leave, by numbers.
    fn sorted_out(again: &[bool], splits: &mut u32) -> (Vec<u128>, Vec<Vec<u128>>) {
        let number = |record: &OutboundRecord| record.source_record_id.as_u128();
        let mut ready = VecDeque::new();
        let written = sort_out(answered(again), &mut ready, splits);
        let ready = ready.iter().map(|batch| batch.iter().map(number).collect()).collect();
        (written.iter().map(|(record, _)| number(record)).collect(), ready)
    }

    #[test]
    fn who_is_not_to_blame_leaves_again_with_fewer() {
        let mut splits = 3;
        assert_eq!(sorted_out(&[false, false], &mut splits), (vec![0, 1], vec![]));
        assert_eq!(sorted_out(&[true, false, true], &mut splits), (vec![1], vec![vec![0, 2]]));
        assert_eq!(sorted_out(&[true; 5], &mut splits), (vec![], vec![vec![0, 1], vec![2, 3, 4]]));
        assert_eq!(sorted_out(&[true], &mut splits), (vec![0], vec![]), "one alone is never sent again at once");
        assert_eq!(sorted_out(&[true, true], &mut splits), (vec![], vec![vec![0], vec![1]]));
        assert_eq!(splits, 0);
        assert_eq!(sorted_out(&[true, true], &mut splits), (vec![0, 1], vec![]));
    }

    #[test]
    fn few_records_are_marked_ahead_and_never_less_than_a_batch() {
        for (slots, batch_size, batches) in [(1, 1, 1), (4, 1, 4), (300, 1, 256), (4, 100, 2), (4, 500, 1)] {
            assert_eq!(marked_ahead(slots, batch_size), batches, "{slots} slots, {batch_size} a batch");
        }
    }
}
