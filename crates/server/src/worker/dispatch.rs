//! Sending an attempt's records: the next ones are marked and answers are written while requests are under way, which leave
//! only under a lease that holds, and only as fast as their external system takes them.

mod answers;
mod sending;
mod work;

use std::sync::Arc;

use chrono::TimeDelta;
use connectors::{Connector, OutboundRecord, RecordAnswer};
use domain::pacing::Held;
use store::source_records::RecordKey;
use tokio_util::sync::CancellationToken;

use super::lease::Lease;
use super::outcomes::Telling;
use super::pace::Pace;
use super::sync::DATABASE_PAUSE;
use super::{outcomes, send};
use crate::ledger::Claimed;
use crate::state::AppState;

/// How often it is asked whether somebody else's request has found out that the system answers again.
pub(super) const ASK_AGAIN: TimeDelta = TimeDelta::milliseconds(500);

/// How the sending of an attempt ended.
pub(super) enum Sent {
    /// Every record has its outcome.
    All,
    /// The worker was told to stop; the rest was not attempted.
    Stopped,
    /// The lease went to somebody else; what happened is recorded, the attempt is closed already.
    LeaseLost,
    /// Nothing got through; the rest was not attempted.
    Held(Held),
}

/// What there is to send an attempt's records with.
#[derive(Clone, Copy)]
pub(super) struct Dispatch<'a> {
    pub(super) state: &'a AppState,
    pub(super) claimed: &'a Claimed,
    pub(super) connector: &'a Arc<dyn Connector>,
    pub(super) lease: &'a Lease,
    pub(super) shutdown: &'a CancellationToken,
}

impl Dispatch<'_> {
    /// Writes that records which were marked did not leave after all; nobody is to look for them elsewhere.
    async fn record_unsent(&self, unsent: &[RecordKey]) {
        if unsent.is_empty() {
            return;
        }
        let Dispatch { state, claimed, lease, .. } = self;
        while let Err(error) = outcomes::record_unsent(state, claimed, lease, unsent).await {
            tracing::warn!(sync_id = %claimed.sync.id, error = %error, "unsent records could not be recorded; trying again");
            tokio::time::sleep(DATABASE_PAUSE).await;
        }
        state.hub.nudge();
    }

    /// Writes that records are left for another attempt, and why.
    async fn record_held(&self, marked: &[RecordKey], keys: &[RecordKey], held: Held) {
        let Dispatch { state, claimed, lease, .. } = self;
        while let Err(error) = outcomes::record_held(state, claimed, lease, marked, keys, held).await {
            tracing::warn!(sync_id = %claimed.sync.id, error = %error, "records could not be left; trying again");
            tokio::time::sleep(DATABASE_PAUSE).await;
        }
        state.hub.nudge();
    }

    /// Writes answers, and tells listeners of them if that is due; what was answered must not be forgotten, so this goes on
    /// until the database takes it.
    async fn record(&self, answered: &[(OutboundRecord, RecordAnswer)], telling: Telling) {
        let Dispatch { state, claimed, .. } = self;
        while let Err(error) = outcomes::record(state, claimed, answered, telling).await {
            tracing::warn!(sync_id = %claimed.sync.id, error = %error, "answers could not be recorded; trying again");
            tokio::time::sleep(DATABASE_PAUSE).await;
        }
        if telling == Telling::Now {
            state.hub.nudge();
        }
    }

    /// Lets records that were turned away, and those that are marked and have not left, wait until they may leave: of none
    /// of them a killed worker is to leave a doubt. Returns whether the attempt still runs; otherwise they are written for
    /// good, and nobody sends them any more in it.
    async fn put_back(&self, throttled: &[(OutboundRecord, RecordAnswer)], unsent: &[RecordKey]) -> bool {
        let Dispatch { state, claimed, lease, .. } = self;
        let runs = loop {
            match outcomes::put_back(state, claimed, lease, throttled, unsent).await {
                Ok(runs) => break runs,
                Err(error) => {
                    tracing::warn!(
                        sync_id = %claimed.sync.id, error = %error,
                        "records that wait could not be recorded; trying again"
                    );
                    tokio::time::sleep(DATABASE_PAUSE).await;
                }
            }
        };
        if runs {
            state.hub.nudge();
        }
        runs
    }

    /// Marks records as `sending`, durably, before any request leaves; `again`, where they are marked already. Says also
    /// whether those that come back may be marked all the same. Where none may leave any more, those come back that may be
    /// marked: the lease is lost, or the worker was told to stop while the database was away.
    async fn prepare(&self, pace: &Pace, keys: &[RecordKey], again: bool) -> Marked {
        let Dispatch { state, claimed, connector, lease, shutdown } = self;
        let mut marked = again;
        loop {
            match send::prepare(state, claimed, lease, &***connector, pace, keys, again).await {
                Ok(Some(prepared)) => return Ok((prepared, marked)),
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
}

/// What came of marking records: those that may leave and whether those that may not may be marked all the same, or else
/// those that are to be written off.
type Marked = Result<(send::Prepared, bool), Vec<RecordKey>>;

/// Sends an attempt's records.
pub(super) async fn send_all(with: Dispatch<'_>, pace: &Pace, records: Vec<RecordKey>) -> Sent {
    sending::Sending::new(with, pace, records).run().await
}
