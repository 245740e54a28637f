//! Executing a managed sync: reads records from their source, asks for those of unknown fate, sends what may leave, records
//! each outcome as it comes, ends the attempt.

use std::sync::Arc;
use std::time::Duration;

use connectors::{Connector, GuardedClients, Source};
use domain::source::SOURCE_UNAVAILABLE;
use domain::sync_log::draft::Completion;
use store::OrgTx;
use store::active_syncs::ActiveSync;
use store::source_records::RecordKey;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use super::dispatch::{Dispatch, Sent, send_all};
use super::lease::{self, Holder, Lease};
use super::moment::Moment;
use super::pace::{Pace, Systems};
use super::read::{self, Read, Unread};
use super::{ask, outcomes};
use crate::external_systems;
use crate::http::integrations::settings;
use crate::http::problem::Chain;
use crate::ledger::{Claimed, LedgerError, Report};
use crate::state::AppState;

/// Pause before the database is tried again.
pub(super) const DATABASE_PAUSE: Duration = Duration::from_millis(500);
/// Error code of a managed sync whose connector could not be made.
const CONNECTOR_UNAVAILABLE: &str = "CONNECTOR_UNAVAILABLE";
/// Error code of an attempt that ended because the worker was told to stop.
const WORKER_STOPPED: &str = "WORKER_STOPPED";

/// Claims a waiting sync; `None` if somebody else did, or it is gone, or the worker was told to stop: then it goes on
/// waiting, for another worker or for the next start.
pub(super) async fn claim(
    state: &AppState,
    owner: Uuid,
    active: &ActiveSync,
    shutdown: &CancellationToken,
) -> Option<(Claimed, Lease)> {
    if shutdown.is_cancelled() {
        return None;
    }
    let lease_seconds = state.config.worker.lease_seconds;
    let claimed = async {
        let mut tx = OrgTx::begin(&state.db, active.organization_id).await?;
        // The lease counts from here, and not from when a connection was waited for.
        let asked = Moment::now();
        let mut ledger = state.ledger(&mut tx, state.clock.now());
        let claimed = ledger.claim_attempt(active.sync.id, Some(owner), Some(i64::from(lease_seconds))).await?;
        // It may have taken a while. Not committed, nothing of it ever was.
        if shutdown.is_cancelled() {
            return Ok(None);
        }
        tx.commit().await?;
        Ok::<_, LedgerError>(Some((claimed, asked)))
    };
    match claimed.await {
        Ok(Some((claimed, asked))) => {
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
        Ok(None) | Err(_) => None,
    }
}

/// What all attempts of a process share.
#[derive(Clone)]
pub(super) struct Senders {
    /// Their HTTP clients.
    pub(super) clients: GuardedClients,
    /// What they know of external systems.
    pub(super) systems: Systems,
}

/// Executes a claimed attempt to its end.
pub(super) async fn execute(
    state: &AppState,
    mut claimed: Claimed,
    lease: Lease,
    senders: &Senders,
    shutdown: &CancellationToken,
) {
    let made = settings::connector(state, &claimed.config, &senders.clients)
        .and_then(|connector| Ok((connector, settings::source(state, &claimed.config, &senders.clients)?)));
    let (connector, source) = match made {
        Ok((connector, source)) => (Arc::<dyn Connector>::from(connector), source.map(Arc::<dyn Source>::from)),
        Err(error) => {
            tracing::error!(integration_config_id = %claimed.config.id, error = %error, "no connector could be made");
            let words = "the connector could not be made from the integration's settings";
            return end(state, &claimed, failed(claimed.attempt, CONNECTOR_UNAVAILABLE, words)).await;
        }
    };
    let lease = Arc::new(lease);
    // It ends with whatever ends this: beating on, it would keep an attempt alive that nobody works on.
    let heartbeat = AbortOnDropHandle::new(tokio::spawn(lease::beat(state.clone(), Arc::clone(&lease))));
    let report = match read::read(state, &mut claimed, source, &lease, shutdown).await {
        Ok(read) => {
            let records = std::mem::take(&mut claimed.records);
            let with = Dispatch { state, claimed: &claimed, connector: &connector, lease: &lease, shutdown };
            let ended = match ask_and_send(with, senders, &read, records).await {
                Sent::All | Sent::LeaseLost => succeeded(claimed.attempt),
                Sent::Stopped => stopped(claimed.attempt),
                Sent::Held(held) => failed(claimed.attempt, held.code(), outcomes::held_back(held)),
            };
            Report { warnings: read.warnings, ..ended }
        }
        Err(Unread::Failed(why)) => failed(claimed.attempt, SOURCE_UNAVAILABLE, &why),
        Err(Unread::Stopped) => stopped(claimed.attempt),
        // Closed already, and nothing was done that could be told late: least of all that it went well.
        Err(Unread::LeaseLost) => return,
    };
    drop(heartbeat);
    end(state, &claimed, report).await;
}

/// Asks for an attempt's records of unknown fate and sends what may leave beside its `records`, but for what its source
/// holds back.
async fn ask_and_send(with: Dispatch<'_>, senders: &Senders, read: &Read, mut records: Vec<RecordKey>) -> Sent {
    let Dispatch { state, claimed, connector, lease, shutdown } = with;
    let (asked, sent_to) = (external_systems::asked_by(&claimed.config), external_systems::id_of(&claimed.config));
    let asking = Pace::new(&senders.systems, asked, claimed, &**connector);
    let sending = Pace::new(&senders.systems, sent_to, claimed, &**connector);
    records.extend(ask::ask_all(&with, &asking).await);
    let records = read::hold_back(state, claimed, read, records, lease, shutdown).await;
    send_all(with, &sending, records).await
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

fn stopped(attempt: u16) -> Report {
    failed(attempt, WORKER_STOPPED, "the worker was stopped before all records were sent")
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
