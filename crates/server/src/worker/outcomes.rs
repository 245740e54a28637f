//! What became of an attempt's records, written as soon as it is known: with an answer, held back, or never sent.

use chrono::{DateTime, Utc};
use connectors::{OutboundRecord, Permanence, RecordAnswer};
use domain::doubt::Certainty;
use domain::pacing::{Held, HeldBy};
use domain::record::{RecordError, RecordOutcome};
use store::OrgTx;
use store::record_outcomes::NewOutcome;
use store::source_records::{RecordKey, SettledRecord};

use super::lease::Lease;
use super::moment::Moment;
use super::send::key_of;
use crate::ledger::{Claimed, storable_errors};
use crate::state::AppState;

/// Error code of a record whose attempt was taken for dead before its request left.
const NEVER_SENT: &str = "NEVER_SENT";

/// When live listeners are told of what is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Telling {
    /// With it.
    Now,
    /// With what is written later.
    Later,
}

/// Writes what became of records that were sent, if there are any.
pub(super) async fn record(
    state: &AppState,
    claimed: &Claimed,
    answered: &[(OutboundRecord, RecordAnswer)],
    telling: Telling,
) -> anyhow::Result<()> {
    let now = state.clock.now();
    let outcomes: Vec<NewOutcome> = answered.iter().map(|(record, answer)| outcome_of(record, answer)).collect();
    let settled: Vec<SettledRecord<'_>> =
        outcomes.iter().zip(answered).map(|(new, (_, answer))| settled_by(new, answer)).collect();
    let mut tx = OrgTx::begin(&state.db, claimed.sync.organization_id).await?;
    if !outcomes.is_empty() {
        enter(state, claimed, &mut tx, &outcomes, &settled, outcomes.len(), now).await?;
    }
    if telling == Telling::Now {
        state.ledger(&mut tx, now).tell_sync(&claimed.sync).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// Writes of records that wait for their external system, within the attempt, that they do not leave yet: those that it
/// turned away with what it said, and those that no request left with. If the attempt no longer runs, they are written
/// for good; returns whether it does.
pub(super) async fn put_back(
    state: &AppState,
    claimed: &Claimed,
    lease: &Lease,
    throttled: &[(OutboundRecord, RecordAnswer)],
    unsent: &[RecordKey],
) -> anyhow::Result<bool> {
    let mut tx = OrgTx::begin_durable(&state.db, claimed.sync.organization_id).await?;
    let (asked, now) = (Moment::now(), state.clock.now());
    let runs = lease.extend(&mut tx, now).await?;
    let mut outcomes: Vec<NewOutcome> = throttled.iter().map(|(record, answer)| outcome_of(record, answer)).collect();
    if runs {
        for waiting in &mut outcomes {
            waiting.outcome = RecordOutcome::NotAttempted;
        }
    }
    outcomes.extend(unsent.iter().map(|key| never_sent(key, runs)));
    let settled: Vec<SettledRecord<'_>> = outcomes.iter().map(|new| settled(new, Certainty::NotTaken)).collect();
    // Of what waits nothing is done.
    let done = if runs { 0 } else { outcomes.len() };
    write(state, claimed, tx, &outcomes, &settled, done, now).await?;
    if runs {
        lease.extended(asked);
    }
    Ok(runs)
}

/// Writes of records that they are left for another attempt, and why; also of those that are marked already. One whose fate
/// is unknown stays so: that nothing is sent of it now says nothing of what was sent before.
pub(super) async fn record_held(
    state: &AppState,
    claimed: &Claimed,
    lease: &Lease,
    marked: &[RecordKey],
    keys: &[RecordKey],
    held: Held,
) -> anyhow::Result<()> {
    let mut tx = OrgTx::begin(&state.db, claimed.sync.organization_id).await?;
    let now = state.clock.now();
    let runs = lease.extend(&mut tx, now).await?;
    let both: Vec<RecordKey> = marked.iter().chain(keys).cloned().collect();
    let doubted = store::source_records::in_doubt(&mut tx, claimed.config.id, &both).await?;
    let left = |key: &RecordKey| left(key, held, doubted.contains(key));
    let unsent = marked.iter().map(|key| if runs { left(key) } else { never_sent(key, runs) });
    // What is queued when an attempt ends is closed by whoever ends it.
    let queued = keys.iter().filter(|_| runs).map(left);
    let outcomes: Vec<NewOutcome> = unsent.chain(queued).collect();
    let settled: Vec<SettledRecord<'_>> =
        outcomes[..marked.len()].iter().map(|new| settled(new, Certainty::NotTaken)).collect();
    write(state, claimed, tx, &outcomes, &settled, outcomes.len(), now).await
}

fn left(key: &RecordKey, held: Held, in_doubt: bool) -> NewOutcome {
    let (code, message) = (held.code().to_owned(), held_back(held).to_owned());
    let error = RecordError { code, message, ..RecordError::default() };
    let outcome = if in_doubt { RecordOutcome::Unknown } else { RecordOutcome::NotAttempted };
    NewOutcome { errors: vec![error], ..NewOutcome::bare(key.clone(), outcome) }
}

/// Why nothing was sent, in words.
pub(super) const fn held_back(held: Held) -> &'static str {
    match held.by {
        HeldBy::Breaker | HeldBy::Probe => "the external system did not answer others before; nothing was sent",
        HeldBy::Pause => {
            "the external system asked to be left alone for longer than the sync could wait; nothing was sent"
        }
        HeldBy::Rate => "the external system's rate was used up for longer than the sync could wait; nothing was sent",
    }
}

/// Writes of records that may be marked that no request left with them.
pub(super) async fn record_unsent(
    state: &AppState,
    claimed: &Claimed,
    lease: &Lease,
    unsent: &[RecordKey],
) -> anyhow::Result<()> {
    let mut tx = OrgTx::begin(&state.db, claimed.sync.organization_id).await?;
    let now = state.clock.now();
    // Held until the end of the transaction, so that nobody closes the attempt meanwhile.
    let runs = lease.extend(&mut tx, now).await?;
    let outcomes: Vec<NewOutcome> = unsent.iter().map(|key| never_sent(key, runs)).collect();
    let settled: Vec<SettledRecord<'_>> = outcomes.iter().map(|new| settled(new, Certainty::NotTaken)).collect();
    write(state, claimed, tx, &outcomes, &settled, outcomes.len(), now).await
}

/// A closed attempt calls what it had marked unknown, which only an outcome that says more takes back.
fn never_sent(key: &RecordKey, runs: bool) -> NewOutcome {
    if runs {
        return NewOutcome::bare(key.clone(), RecordOutcome::NotAttempted);
    }
    let error = RecordError {
        code: NEVER_SENT.to_owned(),
        message: "the attempt ended before the record's request had left; nothing was sent".to_owned(),
        ..RecordError::default()
    };
    NewOutcome { errors: vec![error], ..NewOutcome::bare(key.clone(), Certainty::NotTaken.outcome()) }
}

/// What an answer makes of its record.
fn settled_by<'a>(new: &'a NewOutcome, answer: &RecordAnswer) -> SettledRecord<'a> {
    let for_good = !new.outcome.is_delivered() && answer.permanence == Permanence::Permanent;
    SettledRecord { for_good, ..settled(new, answer.certainty) }
}

/// What an outcome makes of its record.
pub(super) fn settled(new: &NewOutcome, certainty: Certainty) -> SettledRecord<'_> {
    SettledRecord {
        key: &new.key,
        outcome: new.outcome,
        certainty,
        for_good: false,
        external_reference_id: new.external_reference_id.as_deref(),
    }
}

/// Writes outcomes of an attempt and what they make of the records, tells listeners, and ends the transaction. So many
/// more records are done with it.
pub(super) async fn write(
    state: &AppState,
    claimed: &Claimed,
    mut tx: OrgTx,
    outcomes: &[NewOutcome],
    settled: &[SettledRecord<'_>],
    done: usize,
    now: DateTime<Utc>,
) -> anyhow::Result<()> {
    enter(state, claimed, &mut tx, outcomes, settled, done, now).await?;
    state.ledger(&mut tx, now).tell_sync(&claimed.sync).await?;
    tx.commit().await?;
    Ok(())
}

/// The same within a transaction, and nobody is told.
async fn enter(
    state: &AppState,
    claimed: &Claimed,
    tx: &mut OrgTx,
    outcomes: &[NewOutcome],
    settled: &[SettledRecord<'_>],
    done: usize,
    now: DateTime<Utc>,
) -> anyhow::Result<()> {
    let (sync, config) = (&claimed.sync, &claimed.config);
    let updates = config.allow_updates;
    store::source_records::settle(tx, config.id, sync.id, claimed.attempt, settled, updates, now).await?;
    store::record_outcomes::upsert(tx, sync.key(), claimed.attempt, outcomes, now).await?;
    let done = i32::try_from(done).unwrap_or(i32::MAX);
    let runs = store::sync_attempts::add_done(tx, sync.key(), claimed.attempt, done).await?;
    if !runs {
        // Closed as abandoned meanwhile: its outcomes change after they were counted and sealed.
        let mut ledger = state.ledger(tx, now);
        ledger.enter_for_sealing(sync.key(), Some(claimed.attempt)).await?;
        ledger.count_late_answers(sync, claimed.attempt).await?;
    }
    Ok(())
}

fn outcome_of(record: &OutboundRecord, answer: &RecordAnswer) -> NewOutcome {
    NewOutcome {
        errors: storable_errors(&answer.errors),
        http_status_code: answer.http_status_code.filter(|code| (100..=599).contains(code)),
        external_reference_id: answer.external_reference_id.as_deref().map(storable_reference),
        request_payload_hash: Some(record.payload_hash.clone()),
        ..NewOutcome::bare(key_of(record), answer.outcome)
    }
}

/// An external system's own id, fit for storing.
pub(super) fn storable_reference(reference: &str) -> String {
    domain::sync_log::cut(&reference.replace('\0', ""), 500).to_owned()
}
