//! The transaction before a request: `sending` is durable before it leaves.

use std::collections::HashMap;

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use connectors::{Connector, OutboundRecord};
use domain::asking::{FATE_UNKNOWN, Way};
use domain::doubt::Certainty;
use domain::pacing::{Held, Passage};
use domain::record::{ALREADY_DELIVERED, HANDLED_MANUALLY, RecordError, RecordOutcome, RecordState};
use sha2::{Digest, Sha256};
use store::OrgTx;
use store::record_outcomes::NewOutcome;
use store::source_records::{OutboundRow, RecordKey, SettledRecord};
use uuid::Uuid;

use super::lease::Lease;
use super::moment::Moment;
use super::outcomes::settled;
use super::pace::Pace;
use crate::ledger::{Claimed, skipped, staging_context};
use crate::state::AppState;
use crate::vault::Sealed;

/// Error code of a record whose data is not staged.
const NO_DATA: &str = "NO_DATA";
/// Error code of a record whose data is staged and cannot be opened, by the keys that are known here.
const DATA_UNREADABLE: &str = "DATA_UNREADABLE";

/// Records that were looked at before they leave.
pub(super) struct Prepared {
    /// Those that may leave, marked, by request.
    pub(super) batches: Vec<Vec<OutboundRecord>>,
    /// Those that may not yet; they stand as they stood.
    pub(super) back: Vec<RecordKey>,
    /// Why not.
    pub(super) held: Option<Held>,
}

/// Reads the records' current versions and marks those to be sent as `sending`, as many as their external system takes
/// now; all of them where that was asked for before (`paid`). One that may have been taken is among them only if the
/// system still recognises it. `None` if the attempt's lease is lost.
pub(super) async fn prepare(
    state: &AppState,
    claimed: &Claimed,
    lease: &Lease,
    connector: &dyn Connector,
    pace: &Pace,
    keys: &[RecordKey],
    paid: bool,
) -> anyhow::Result<Option<Prepared>> {
    let (sync, config) = (&claimed.sync, &claimed.config);
    let mut tx = OrgTx::begin_durable(&state.db, sync.organization_id).await?;
    // Not before: the wait for a connection would take as much from a lease that was extended meanwhile.
    let (asked, now) = (Moment::now(), state.clock.now());
    if !lease.extend(&mut tx, now).await? {
        return Ok(None);
    }
    let rows = store::source_records::load_outbound(&mut tx, config.id, keys).await?;
    let rows: HashMap<RecordKey, OutboundRow> = rows.into_iter().map(|row| (row.key.clone(), row)).collect();
    let mut outcomes = Vec::with_capacity(rows.len());
    let mut leaving = Vec::with_capacity(rows.len());
    let mut known = HashMap::with_capacity(rows.len());
    let mut kept = Vec::new();
    for key in keys {
        match rows.get(key).map(|row| (row, row.state)) {
            Some((_, RecordState::Delivered)) => outcomes.push(skipped(key.clone(), ALREADY_DELIVERED)),
            Some((_, RecordState::Handled)) => outcomes.push(skipped(key.clone(), HANDLED_MANUALLY)),
            Some((row, _)) if may_be_taken_twice(claimed, row, now) => kept.push(fate_unknown(row)),
            Some((row, _)) => match open(state, config.id, row) {
                Ok(Some(record)) => {
                    known.insert(row.key.clone(), sending(row));
                    leaving.push(record);
                }
                Ok(None) => outcomes.push(without_data(key)),
                // It keeps nobody else from leaving.
                Err(error) => {
                    tracing::error!(sync_id = %sync.id, error = %format!("{error:#}"), "a record cannot be read");
                    kept.push(unreadable(row));
                }
            },
            None => outcomes.push(without_data(key)),
        }
    }
    let mut batches = connector.batches(&leaving);
    let passage = if paid {
        // Nothing more is asked for, but whether the system wants to be left alone meanwhile.
        pace.pass(&mut tx, 0, now).await?;
        Passage { granted: u32::try_from(batches.len()).unwrap_or(u32::MAX), held: None }
    } else {
        pace.pass(&mut tx, batches.len(), now).await?
    };
    let granted = usize::try_from(passage.granted).unwrap_or(usize::MAX).min(batches.len());
    let back: Vec<RecordKey> = batches.split_off(granted).iter().flatten().map(key_of).collect();
    let sent: Vec<RecordKey> = batches.iter().flatten().map(key_of).collect();
    let leaving: Vec<NewOutcome> = sent.iter().filter_map(|key| known.remove(key)).collect();
    let (attempt, asking) = (claimed.attempt, &claimed.asking);
    store::source_records::mark_sending(&mut tx, config.id, sync.id, attempt, &sent, asking, now).await?;
    if !kept.is_empty() {
        // One that was marked before and did not leave is no longer on its way.
        let settled: Vec<SettledRecord<'_>> = kept.iter().map(|new| settled(new, Certainty::NotTaken)).collect();
        let updates = config.allow_updates;
        store::source_records::settle(&mut tx, config.id, sync.id, attempt, &settled, updates, now).await?;
        outcomes.append(&mut kept);
    }
    store::record_outcomes::mark_sending(&mut tx, sync.key(), attempt, &leaving, now).await?;
    store::record_outcomes::upsert(&mut tx, sync.key(), attempt, &outcomes, now).await?;
    tx.commit().await?;
    lease.extended(asked);
    if !paid {
        pace.granted(passage.granted);
    }
    Ok(Some(Prepared { batches, back, held: passage.held }))
}

/// Whether a record's fate is unknown, and its repetition would not be recognised: it has to be asked for first.
fn may_be_taken_twice(claimed: &Claimed, row: &OutboundRow, now: DateTime<Utc>) -> bool {
    row.doubt.as_ref().is_some_and(|doubt| claimed.asking.way(doubt, now) != Way::Repeat)
}

fn fate_unknown(row: &OutboundRow) -> NewOutcome {
    let error = RecordError {
        code: FATE_UNKNOWN.to_owned(),
        message: "it is not known whether the external system took the record before; nothing was sent".to_owned(),
        ..RecordError::default()
    };
    NewOutcome { outcome: RecordOutcome::Unknown, errors: vec![error], ..sending(row) }
}

/// A record whose fate is unknown stays so: that nothing is sent of it now says nothing of what was sent before.
fn unreadable(row: &OutboundRow) -> NewOutcome {
    let error = RecordError {
        code: DATA_UNREADABLE.to_owned(),
        message: "the record's staged data could not be opened; nothing was sent".to_owned(),
        ..RecordError::default()
    };
    let outcome = if row.doubt.is_some() { RecordOutcome::Unknown } else { RecordOutcome::Failed };
    NewOutcome { outcome, errors: vec![error], ..sending(row) }
}

/// The outcome of a record that leaves as it stands.
pub(super) fn sending(row: &OutboundRow) -> NewOutcome {
    NewOutcome {
        request_payload_hash: row.payload_hash.clone(),
        label: row.label.clone(),
        amount: row.amount,
        currency: row.currency.clone(),
        ..NewOutcome::bare(row.key.clone(), RecordOutcome::Sending)
    }
}

fn without_data(key: &RecordKey) -> NewOutcome {
    let error = RecordError {
        code: NO_DATA.to_owned(),
        message: "the record has no staged data to send".to_owned(),
        ..RecordError::default()
    };
    NewOutcome { errors: vec![error], ..NewOutcome::bare(key.clone(), RecordOutcome::Failed) }
}

/// Opens a record's staged payload.
pub(super) fn open(
    state: &AppState,
    integration_config_id: Uuid,
    row: &OutboundRow,
) -> anyhow::Result<Option<OutboundRecord>> {
    let (Some(sealed), Some(payload_hash)) = (&row.payload, &row.payload_hash) else { return Ok(None) };
    let sealed = Sealed { key_id: sealed.key_id.clone(), bytes: sealed.bytes.clone() };
    let context = staging_context(integration_config_id, &row.key);
    let plain = state.vault.open(&sealed, &context).context("a staged payload could not be opened")?;
    let payload = serde_json::from_slice(&plain).context("a staged payload is not JSON")?;
    Ok(Some(OutboundRecord {
        source_record_type: row.key.source_record_type.clone(),
        source_record_id: row.key.source_record_id,
        payload,
        payload_hash: payload_hash.clone(),
        idempotency_key: idempotency_key(integration_config_id, &row.key, payload_hash),
        in_doubt: row.doubt.is_some(),
    }))
}

/// The same for every repetition of the same version of a record, and for nothing else.
fn idempotency_key(integration_config_id: Uuid, key: &RecordKey, payload_hash: &str) -> String {
    let name = format!("{integration_config_id}\n{}\n{}\n{payload_hash}", key.source_record_type, key.source_record_id);
    hex::encode(&Sha256::digest(name)[..16])
}

/// Which record it is.
pub(super) fn key_of(record: &OutboundRecord) -> RecordKey {
    RecordKey { source_record_type: record.source_record_type.clone(), source_record_id: record.source_record_id }
}
