//! Records that are not sent because of what their source says, or does not say.

use std::collections::HashMap;

use domain::record::{RecordError, RecordOutcome};
use domain::source::{SOURCE_GONE, SOURCE_UNAVAILABLE};
use store::OrgTx;
use store::record_outcomes::NewOutcome;
use store::source_records::{OutboundRow, RecordKey};
use tokio_util::sync::CancellationToken;

use super::{Read, STAGED_AT_ONCE};
use crate::ledger::{Claimed, skipped, storable_errors};
use crate::state::AppState;
use crate::worker::lease::Lease;
use crate::worker::moment::Moment;
use crate::worker::sync::DATABASE_PAUSE;
use crate::worker::{outcomes, send};

/// Why a record is not sent.
#[derive(Clone, Debug)]
pub(in crate::worker) enum Held {
    /// Its source has it no more.
    Gone,
    /// Its source could not be read, for this reason.
    Unreadable(String),
}

/// Writes of records that are held back why they are, and returns the others.
pub(in crate::worker) async fn hold_back(
    state: &AppState,
    claimed: &Claimed,
    read: &Read,
    records: Vec<RecordKey>,
    lease: &Lease,
    shutdown: &CancellationToken,
) -> Vec<RecordKey> {
    if read.held.is_empty() {
        return records;
    }
    let (held, others): (Vec<RecordKey>, Vec<RecordKey>) =
        records.into_iter().partition(|key| read.held.contains_key(key));
    for some in held.chunks(STAGED_AT_ONCE) {
        while let Err(error) = record_held(state, claimed, &read.held, some, lease).await {
            tracing::warn!(sync_id = %claimed.sync.id, error = %error, "records could not be held back; trying again");
            if shutdown.is_cancelled() {
                break;
            }
            tokio::time::sleep(DATABASE_PAUSE).await;
        }
    }
    if !held.is_empty() {
        state.hub.nudge();
    }
    others
}

async fn record_held(
    state: &AppState,
    claimed: &Claimed,
    held: &HashMap<RecordKey, Held>,
    keys: &[RecordKey],
    lease: &Lease,
) -> anyhow::Result<()> {
    // Durable, since the lease is counted on from here.
    let mut tx = OrgTx::begin_durable(&state.db, claimed.sync.organization_id).await?;
    let (asked, now) = (Moment::now(), state.clock.now());
    if !lease.extend(&mut tx, now).await? {
        return Ok(());
    }
    let rows = store::source_records::load_outbound(&mut tx, claimed.config.id, keys).await?;
    let rows: HashMap<&RecordKey, &OutboundRow> = rows.iter().map(|row| (&row.key, row)).collect();
    let outcomes: Vec<NewOutcome> =
        keys.iter().filter_map(|key| Some(held_back(key, held.get(key)?, rows.get(key).copied()))).collect();
    outcomes::write(state, claimed, tx, &outcomes, &[], outcomes.len(), now).await?;
    lease.extended(asked);
    Ok(())
}

/// A record whose fate is unknown stays so: that nothing is sent of it now says nothing of what was sent before.
fn held_back(key: &RecordKey, held: &Held, row: Option<&OutboundRow>) -> NewOutcome {
    let (outcome, errors) = match held {
        Held::Gone => (RecordOutcome::Skipped, skipped(key.clone(), SOURCE_GONE).errors),
        Held::Unreadable(why) => {
            let message = format!("The record could not be read from its source, so nothing of it was sent. {why}");
            let error = RecordError { code: SOURCE_UNAVAILABLE.to_owned(), message, ..RecordError::default() };
            (RecordOutcome::Failed, storable_errors(&[error]))
        }
    };
    let in_doubt = row.is_some_and(|row| row.doubt.is_some());
    let outcome = if in_doubt { RecordOutcome::Unknown } else { outcome };
    let known = row.map_or_else(|| NewOutcome::bare(key.clone(), outcome), send::sending);
    let request_payload_hash = known.request_payload_hash.clone().filter(|_| in_doubt);
    NewOutcome { outcome, errors, request_payload_hash, ..known }
}
