//! Executing a managed sync: sends its records, records each outcome as it comes, ends the attempt.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use connectors::{Connector, OutboundRecord, RecordAnswer};
use domain::sync_log::draft::Completion;
use store::OrgTx;
use store::active_syncs::ActiveSync;
use store::source_records::RecordKey;
use tokio::task::JoinSet;
use tokio::time::interval;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::send;
use crate::http::integrations::settings;
use crate::http::problem::Chain;
use crate::ledger::{Claimed, LedgerError, Report};
use crate::state::AppState;

/// How often a running attempt extends its lease of a minute.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Pause before the database is tried again.
const DATABASE_PAUSE: Duration = Duration::from_millis(500);

/// Error code of a managed sync whose connector could not be made.
const CONNECTOR_UNAVAILABLE: &str = "CONNECTOR_UNAVAILABLE";
/// Error code of an attempt that ended because the worker was told to stop.
const WORKER_STOPPED: &str = "WORKER_STOPPED";

/// Claims a waiting sync; `None` if somebody else did, or it is gone.
pub(super) async fn claim(state: &AppState, owner: Uuid, active: &ActiveSync) -> Option<Claimed> {
    let claimed = async {
        let mut tx = OrgTx::begin(&state.db, active.organization_id).await?;
        let claimed = state.ledger(&mut tx, state.clock.now()).claim_attempt(active.sync.id, Some(owner), None).await?;
        tx.commit().await?;
        Ok::<_, LedgerError>(claimed)
    };
    match claimed.await {
        Ok(claimed) => {
            state.hub.nudge();
            Some(claimed)
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
pub(super) async fn execute(state: &AppState, owner: Uuid, claimed: Claimed, shutdown: &CancellationToken) {
    let connector = match settings::connector(state, &claimed.config) {
        Ok(connector) => Arc::<dyn Connector>::from(connector),
        Err(error) => {
            tracing::error!(integration_config_id = %claimed.config.id, error = %error, "no connector could be made");
            let words = "the connector could not be made from the integration's settings";
            return end(state, &claimed, failed(claimed.attempt, CONNECTOR_UNAVAILABLE, words)).await;
        }
    };
    let lost = CancellationToken::new();
    let heartbeat = tokio::spawn(beat(state.clone(), owner, lost.clone(), key_of(&claimed)));
    let sent = send_all(state, owner, &claimed, &connector, shutdown, &lost).await;
    heartbeat.abort();
    let report = match sent {
        Sent::All | Sent::LeaseLost => succeeded(claimed.attempt),
        Sent::Stopped => failed(claimed.attempt, WORKER_STOPPED, "the worker was stopped before all records were sent"),
    };
    end(state, &claimed, report).await;
}

/// What a heartbeat needs to know of its attempt.
#[derive(Clone, Copy)]
struct AttemptKey {
    organization_id: Uuid,
    sync_id: Uuid,
    attempt: u16,
}

const fn key_of(claimed: &Claimed) -> AttemptKey {
    AttemptKey { organization_id: claimed.sync.organization_id, sync_id: claimed.sync.id, attempt: claimed.attempt }
}

/// Extends the lease until aborted; says when it is lost.
async fn beat(state: AppState, owner: Uuid, lost: CancellationToken, key: AttemptKey) {
    let mut tick = interval(HEARTBEAT);
    loop {
        tick.tick().await;
        let extended = async {
            let mut tx = OrgTx::begin(&state.db, key.organization_id).await?;
            let now = state.clock.now();
            let held = store::active_syncs::extend(&mut tx, key.sync_id, key.attempt, Some(owner), now).await?;
            tx.commit().await?;
            Ok::<_, store::StoreError>(held)
        };
        match extended.await {
            Ok(true) => {}
            Ok(false) => return lost.cancel(),
            Err(error) => tracing::warn!(sync_id = %key.sync_id, error = %Chain(&error), "a lease was not extended"),
        }
    }
}

/// Sends an attempt's records: requests leave while answers are being written.
async fn send_all(
    state: &AppState,
    owner: Uuid,
    claimed: &Claimed,
    connector: &Arc<dyn Connector>,
    shutdown: &CancellationToken,
    lost: &CancellationToken,
) -> Sent {
    let slots = connector.concurrency().max(1);
    let mut queue: VecDeque<RecordKey> = claimed.records.iter().cloned().collect();
    let mut ready: VecDeque<Vec<OutboundRecord>> = VecDeque::new();
    let mut under_way: JoinSet<Vec<(OutboundRecord, RecordAnswer)>> = JoinSet::new();
    let mut stopped = false;
    let mut lease_lost = false;
    loop {
        stopped |= shutdown.is_cancelled();
        lease_lost |= lost.is_cancelled();
        let going_on = !stopped && !lease_lost;
        while going_on && under_way.len() < slots {
            let Some(batch) = ready.pop_front() else { break };
            let connector = Arc::clone(connector);
            under_way.spawn(async move {
                let answers = connector.send(&batch).await;
                batch.into_iter().zip(answers).collect()
            });
        }
        if going_on && ready.len() < slots && !queue.is_empty() {
            let number = (connector.batch_size() * slots).min(queue.len());
            let keys: Vec<RecordKey> = queue.drain(..number).collect();
            match prepare(state, owner, claimed, &keys, shutdown).await {
                Some(records) => ready.extend(batches(&records, connector.batch_size())),
                None => lease_lost = true,
            }
            continue;
        }
        let Some(first) = under_way.join_next().await else { break };
        let mut answered = first.unwrap_or_default();
        while let Some(more) = under_way.try_join_next() {
            answered.extend(more.unwrap_or_default());
        }
        record(state, claimed, &answered).await;
    }
    match (lease_lost, stopped && !(queue.is_empty() && ready.is_empty())) {
        (true, _) => Sent::LeaseLost,
        (false, true) => Sent::Stopped,
        (false, false) => Sent::All,
    }
}

fn batches(records: &[OutboundRecord], size: usize) -> Vec<Vec<OutboundRecord>> {
    records.chunks(size.max(1)).map(<[OutboundRecord]>::to_vec).collect()
}

/// Marks records as `sending`, durably, before any request leaves. `None` if the lease is lost.
async fn prepare(
    state: &AppState,
    owner: Uuid,
    claimed: &Claimed,
    keys: &[RecordKey],
    shutdown: &CancellationToken,
) -> Option<Vec<OutboundRecord>> {
    loop {
        match send::prepare(state, owner, claimed, keys).await {
            Ok(prepared) => return prepared,
            Err(error) => {
                tracing::warn!(sync_id = %claimed.sync.id, error = %error, "records could not be prepared; trying again");
                if shutdown.is_cancelled() {
                    return Some(Vec::new());
                }
                tokio::time::sleep(DATABASE_PAUSE).await;
            }
        }
    }
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
