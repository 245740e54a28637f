//! Asking for records of unknown fate before they may be sent: those that have arrived never are, those that the external
//! system does not have are, and the others stay in doubt.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use connectors::OutboundRecord;
use domain::asking::{ASKED_TOO_EARLY, AWAITING_POSTING, Asked, Doubt, NO_LONGER_THERE, Way};
use domain::doubt::Certainty;
use domain::pacing::{Passage, Verdict};
use domain::record::{RecordError, RecordOutcome};
use store::OrgTx;
use store::record_outcomes::NewOutcome;
use store::source_records::{AbsentRecord, RecordKey, SettledRecord};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::dispatch::{ASK_AGAIN, Dispatch};
use super::lease::Lease;
use super::moment::Moment;
use super::pace::{LOOK_AGAIN, Pace, wait};
use super::sync::DATABASE_PAUSE;
use super::{outcomes, send};
use crate::http::problem::Chain;
use crate::ledger::{Claimed, storable_errors};
use crate::state::AppState;

/// Records that are asked for before what was said is written.
const GROUP: usize = 64;

/// A record of unknown fate.
struct Doubtful {
    doubt: Doubt,
    /// The external system has named an id of its own for it before.
    named: bool,
    record: OutboundRecord,
    /// What is known of it, to be written with what is said.
    known: NewOutcome,
}

/// What the external system said of one.
struct Answered {
    doubtful: Doubtful,
    asked_at: DateTime<Utc>,
    said: Asked,
}

/// Asks for an attempt's records of unknown fate. Returns those that may be sent now; and, told to stop or without its
/// lease, also those that were not asked for, of which nothing is sent either.
pub(super) async fn ask_all(with: &Dispatch<'_>, pace: &Pace) -> Vec<RecordKey> {
    let Dispatch { state, claimed, connector, lease, shutdown } = *with;
    let at_once = connector.asks_at_once().max(1);
    let mut waiting: VecDeque<RecordKey> = claimed.asked.iter().cloned().collect();
    let mut left = Vec::new();
    while !waiting.is_empty() && !lease.is_lost() && !shutdown.is_cancelled() {
        let mut keys: Vec<RecordKey> = waiting.drain(..waiting.len().min(GROUP)).collect();
        let mut doubtful = loop {
            match load(state, claimed, &keys).await {
                Ok(doubtful) => break doubtful,
                Err(error) => {
                    tracing::warn!(sync_id = %claimed.sync.id, error = %error, "records could not be read; trying again");
                    if shutdown.is_cancelled() {
                        break Vec::new();
                    }
                    tokio::time::sleep(DATABASE_PAUSE).await;
                }
            }
        };
        if !doubtful.is_empty() {
            let granted = admitted(with, pace, doubtful.len().div_ceil(at_once)).await;
            if granted == 0 {
                left.append(&mut keys);
                break;
            }
            let most = doubtful.len().min(granted.saturating_mul(at_once));
            for later in doubtful.split_off(most) {
                let key = send::key_of(&later.record);
                keys.retain(|one| *one != key);
                waiting.push_front(key);
            }
        }
        let answered = ask(with, pace, doubtful).await;
        let settled: HashSet<RecordKey> = record(state, claimed, lease, &answered, shutdown).await;
        keys.retain(|key| !settled.contains(key));
        left.append(&mut keys);
    }
    left.extend(waiting);
    left
}

/// How many requests may leave; waits for it where that is worth it, and is 0 otherwise.
async fn admitted(with: &Dispatch<'_>, pace: &Pace, wanted: usize) -> usize {
    let Dispatch { state, claimed, lease, shutdown, .. } = *with;
    let since = state.clock.now();
    while !lease.is_lost() && !shutdown.is_cancelled() {
        match pace.pass_alone(state, wanted).await {
            Ok(Passage { granted, .. }) if granted > 0 => return usize::try_from(granted).unwrap_or(usize::MAX),
            Ok(Passage { held: Some(held), .. }) if held.is_worth_waiting(since) => {
                wait(&state.clock, held.until.min(state.clock.now() + ASK_AGAIN), lease, shutdown).await;
            }
            Ok(_) => return 0,
            Err(error) => {
                tracing::warn!(sync_id = %claimed.sync.id, error = %Chain(&error), "nothing could be asked; trying again");
                tokio::time::sleep(DATABASE_PAUSE).await;
            }
        }
    }
    0
}

/// Reads the records that can be asked for. Any other is judged when it is about to leave.
async fn load(state: &AppState, claimed: &Claimed, keys: &[RecordKey]) -> anyhow::Result<Vec<Doubtful>> {
    let (config, now) = (&claimed.config, state.clock.now());
    let rows = {
        let mut tx = OrgTx::begin(&state.db, claimed.sync.organization_id).await?;
        store::source_records::load_outbound(&mut tx, config.id, keys).await?
    };
    let mut found = Vec::with_capacity(rows.len());
    for row in rows {
        let known = send::sending(&row);
        let Some(doubt) = row.doubt.clone().filter(|doubt| claimed.asking.way(doubt, now) == Way::LookUp) else {
            continue;
        };
        match send::open(state, config.id, &row) {
            Ok(Some(record)) => found.push(Doubtful { doubt, named: row.named, record, known }),
            Ok(None) => {}
            // Said of it when it is about to leave; the others can be asked for all the same.
            Err(error) => {
                tracing::error!(sync_id = %claimed.sync.id, error = %format!("{error:#}"), "a record cannot be read");
            }
        }
    }
    Ok(found)
}

/// Asks for records, several at a time, until all are answered or nobody wants to know any more.
async fn ask(with: &Dispatch<'_>, pace: &Pace, doubtful: Vec<Doubtful>) -> Vec<Answered> {
    let Dispatch { state, connector, lease, shutdown, .. } = *with;
    let slots = connector.concurrency().max(1);
    let mut waiting = VecDeque::from(doubtful);
    let at_once = connector.asks_at_once().max(1);
    let mut under_way: JoinSet<(Option<Verdict>, Vec<Answered>)> = JoinSet::new();
    let mut answered = Vec::new();
    loop {
        if pace.stopped(state.clock.now()).is_some() {
            // It wants to be left alone, or does not answer; what was not asked for stays in doubt.
            waiting.clear();
        }
        let system = pace.system();
        let mut freed = std::pin::pin!(system.freed());
        let mut blocked = false;
        while under_way.len() < slots && !waiting.is_empty() && !blocked {
            let Some(permit) = pace.enter(under_way.len()) else {
                blocked = true;
                continue;
            };
            let some: Vec<Doubtful> = waiting.drain(..waiting.len().min(at_once)).collect();
            let (connector, clock) = (Arc::clone(connector), state.clock.clone());
            under_way.spawn(async move {
                let asked_at = clock.now();
                let records: Vec<OutboundRecord> = some.iter().map(|doubtful| doubtful.record.clone()).collect();
                let looked_up = connector.ask(&records).await;
                drop(permit);
                let verdict = connectors::verdict_of_asking(&looked_up);
                let answered = some.into_iter().zip(looked_up.said);
                (verdict, answered.map(|(doubtful, said)| Answered { doubtful, asked_at, said }).collect())
            });
        }
        if waiting.is_empty() && under_way.is_empty() {
            return answered;
        }
        let next = tokio::select! {
            Some(next) = under_way.join_next() => next,
            () = &mut freed, if blocked => continue,
            () = tokio::time::sleep(LOOK_AGAIN), if blocked => continue,
            () = shutdown.cancelled() => return answered,
            () = lease.lost() => return answered,
        };
        let (verdict, some) = next.unwrap_or_default();
        let said = pace.take_in(verdict.as_slice(), state.clock.now());
        pace.tell(state, &said, shutdown).await;
        answered.extend(some);
    }
}

/// Writes what was said, and returns the records that are settled by it or stay in doubt; the others may be sent.
async fn record(
    state: &AppState,
    claimed: &Claimed,
    lease: &Lease,
    answered: &[Answered],
    shutdown: &CancellationToken,
) -> HashSet<RecordKey> {
    if answered.is_empty() {
        return HashSet::new();
    }
    let mut outcomes = Vec::with_capacity(answered.len());
    let mut absent = Vec::new();
    for one in answered {
        let outcome = outcome_of(claimed, one);
        // What was refused after all is not there either, but has failed.
        let refused = outcome.as_ref().is_some_and(|outcome| outcome.outcome == RecordOutcome::Failed);
        if refused || outcome.is_none() {
            absent.push(AbsentRecord { key: send::key_of(&one.doubtful.record), refused });
        }
        outcomes.extend(outcome);
    }
    while let Err(error) = write(state, claimed, lease, &outcomes, &absent).await {
        tracing::warn!(sync_id = %claimed.sync.id, error = %error, "what was said could not be recorded; trying again");
        if shutdown.is_cancelled() {
            break;
        }
        tokio::time::sleep(DATABASE_PAUSE).await;
    }
    state.hub.nudge();
    outcomes.into_iter().map(|outcome| outcome.key).collect()
}

/// One transaction. A record that the external system does not have is released only while the attempt runs: nobody else
/// can have sent it meanwhile.
async fn write(
    state: &AppState,
    claimed: &Claimed,
    lease: &Lease,
    outcomes: &[NewOutcome],
    absent: &[AbsentRecord],
) -> anyhow::Result<()> {
    let mut tx = OrgTx::begin_durable(&state.db, claimed.sync.organization_id).await?;
    let (asked, now) = (Moment::now(), state.clock.now());
    let held = lease.extend(&mut tx, now).await?;
    if held {
        store::source_records::settle_absent(&mut tx, claimed.config.id, absent, now).await?;
        let in_doubt = outcomes.iter().filter(|new| new.outcome == RecordOutcome::Unknown);
        let taken: Vec<(&RecordKey, &str)> =
            in_doubt.filter_map(|new| Some((&new.key, new.external_reference_id.as_deref()?))).collect();
        store::source_records::note_taken(&mut tx, claimed.config.id, &taken).await?;
    }
    // What has arrived is known whoever has the attempt now; the rest is said by whoever has it.
    let told: Vec<NewOutcome> =
        outcomes.iter().filter(|outcome| held || outcome.outcome.is_delivered()).cloned().collect();
    let settled: Vec<SettledRecord<'_>> = told.iter().map(|new| outcomes::settled(new, Certainty::Open)).collect();
    outcomes::write(state, claimed, tx, &told, &settled, told.len(), now).await?;
    if held {
        lease.extended(asked);
    }
    Ok(())
}

/// What was said of a record, as its outcome; `None` if it has not arrived, and never will by what was sent.
fn outcome_of(claimed: &Claimed, answered: &Answered) -> Option<NewOutcome> {
    let Answered { doubtful, asked_at, said } = answered;
    let known = doubtful.known.clone();
    let errors = match &said.clone().settled(&doubtful.doubt, *asked_at) {
        Asked::Found { reference } => {
            let external_reference_id = reference.as_deref().map(outcomes::storable_reference);
            return Some(NewOutcome { outcome: RecordOutcome::Succeeded, external_reference_id, ..known });
        }
        Asked::Taken { reference, .. } => {
            let external_reference_id = reference.as_deref().map(outcomes::storable_reference);
            let errors = vec![awaiting_posting()];
            return Some(NewOutcome { outcome: RecordOutcome::Unknown, errors, external_reference_id, ..known });
        }
        Asked::Refused(errors) if claimed.asking.believes_absence(&doubtful.doubt, *asked_at) => {
            let errors = storable_errors(errors);
            return Some(NewOutcome { outcome: RecordOutcome::Failed, errors, ..known });
        }
        // What was refused may be what an earlier request brought: the last one may still be on its way.
        Asked::Refused(errors) => storable_errors(errors),
        Asked::Absent if !claimed.asking.believes_absence(&doubtful.doubt, *asked_at) => vec![too_early()],
        // Where it went nobody has said: it may have been removed, and it may have been booked.
        Asked::Absent if doubtful.named => vec![no_longer_there()],
        Asked::Absent => return None,
        Asked::Unclear(error) => storable_errors(std::slice::from_ref(error)),
    };
    Some(NewOutcome { outcome: RecordOutcome::Unknown, errors, ..known })
}

fn awaiting_posting() -> RecordError {
    let message = "the external system has taken the record, and may refuse it after all; ask again later";
    RecordError { code: AWAITING_POSTING.to_owned(), message: message.to_owned(), ..RecordError::default() }
}

fn no_longer_there() -> RecordError {
    let message = "the external system had taken the record, and does not have it any more; it was not sent again";
    RecordError { code: NO_LONGER_THERE.to_owned(), message: message.to_owned(), ..RecordError::default() }
}

fn too_early() -> RecordError {
    let message = "the external system does not have the record, but was asked so soon that it may still arrive; \
                   ask again later";
    RecordError { code: ASKED_TOO_EARLY.to_owned(), message: message.to_owned(), ..RecordError::default() }
}
