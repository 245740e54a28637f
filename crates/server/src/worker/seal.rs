//! Sealing: what closed is hashed and appended to its organization's chain, behind the writers and in order.
//!
//! One batch is one transaction: the rows are read, their seals appended and the queue shortened, or none of it. Any
//! number of processes may seal; each chain is held by one at a time.

use std::collections::BTreeSet;

use chrono::Duration;
use domain::seal::{Seal, SubjectKey};
use store::seals::ChainedSeal;
use store::{OrgTx, PlainTx, StoreError};
use uuid::Uuid;

use crate::audit;
use crate::http::problem::Chain;
use crate::state::AppState;

/// Most entries of a batch.
const BATCH: i64 = 500;
/// Seals after which a checkpoint is made at once.
const CHECKPOINT_SEALS: i64 = 10_000;
/// Most batches of an organization in one look: neither checkpoints nor the end of the program wait for a long queue.
const ROUNDS: usize = 20;
/// How long a seal waits for a checkpoint at most.
const CHECKPOINT_AFTER: Duration = Duration::minutes(10);
/// Most checkpoints of one look; the rest comes with the next.
const CHECKPOINTS: i64 = 200;

/// One look at the queue and at the checkpoints that are due.
pub(super) async fn sweep(state: AppState) {
    let done = async {
        for _ in 0..ROUNDS {
            if seal_round(&state).await? == 0 {
                break;
            }
        }
        make_due_checkpoints(&state).await
    };
    if let Err(error) = done.await {
        tracing::warn!(error = %format!("{error:#}"), "sealing was cut short");
    }
}

/// Seals everything that waits, as far as no other process is at it, and returns how many seals were appended.
pub async fn seal_all(state: &AppState) -> Result<usize, StoreError> {
    let mut sealed = 0;
    loop {
        match seal_round(state).await? {
            0 => return Ok(sealed),
            round => sealed += round,
        }
    }
}

/// Seals a batch of every organization of which something waits, so that none waits for another's long queue.
async fn seal_round(state: &AppState) -> Result<usize, StoreError> {
    let mut sealed = 0;
    let organizations = {
        let mut tx = PlainTx::begin(&state.db).await?;
        store::seals::waiting_organizations(&mut tx).await?
    };
    for organization_id in organizations {
        match seal_batch(state, organization_id).await {
            Ok(batch) => sealed += batch.unwrap_or(0),
            Err(error) if error.is_passing() => return Err(error),
            // One organization's trouble is not the others'.
            Err(error) => tracing::error!(%organization_id, error = %Chain(&error), "nothing could be sealed"),
        }
    }
    Ok(sealed)
}

/// Seals a batch; `None` if nothing waits, or somebody else is at it.
async fn seal_batch(state: &AppState, organization_id: Uuid) -> Result<Option<usize>, StoreError> {
    let mut tx = OrgTx::begin(&state.db, organization_id).await?;
    let sealed = append_batch(&mut tx, state.clock.now()).await?;
    tx.commit().await?;
    Ok(sealed)
}

/// The batch within its transaction, which the caller commits.
pub async fn append_batch(tx: &mut OrgTx, now: chrono::DateTime<chrono::Utc>) -> Result<Option<usize>, StoreError> {
    let Some(chain) = store::seals::lock_chain(tx).await? else { return Ok(None) };
    let queued = store::seals::take(tx, BATCH).await?;
    if queued.is_empty() {
        return Ok(None);
    }
    let mut known = BTreeSet::new();
    let fresh: Vec<_> = queued.iter().filter(|entry| known.insert(entry.key)).collect();
    let keys: Vec<SubjectKey> = fresh.iter().map(|entry| entry.key).collect();
    let subjects = store::seals::subjects(tx, &keys).await?;
    let (mut seq, mut hash) = (chain.seq, chain.hash);
    let mut links = Vec::with_capacity(keys.len());
    for (entry, subject) in fresh.iter().zip(&subjects) {
        seq += 1;
        let seal = Seal::of(&entry.key, subject, tx.organization_id(), seq, entry.backfill, now);
        hash = seal.chain(&hash);
        links.push(ChainedSeal { seal, chain_hash: hash });
    }
    let done: Vec<i64> = queued.iter().map(|entry| entry.id).collect();
    let many = seq - chain.checkpoint_seq >= CHECKPOINT_SEALS;
    let due = if many { now } else { now + CHECKPOINT_AFTER };
    store::seals::append(tx, &links, &done, due, many).await?;
    Ok(Some(links.len()))
}

async fn make_due_checkpoints(state: &AppState) -> anyhow::Result<()> {
    let due = {
        let mut tx = PlainTx::begin(&state.db).await?;
        store::seals::due_organizations(&mut tx, state.clock.now(), CHECKPOINTS).await?
    };
    if due.is_empty() {
        return Ok(());
    }
    let signer = audit::Signer::load(&state.db, &state.vault).await?;
    for organization_id in due {
        match audit::make_checkpoint(&state.db, &signer, organization_id, state.clock.now()).await {
            Ok(_) => {}
            Err(error) if error.downcast_ref::<StoreError>().is_some_and(StoreError::is_passing) => return Err(error),
            // One organization's trouble is not the others' here either.
            Err(error) => {
                tracing::error!(%organization_id, error = %format!("{error:#}"), "no checkpoint could be made");
            }
        }
    }
    Ok(())
}
