//! A seal beside what the ledger says now.

use uuid::Uuid;

use super::{Hash, LOCATOR_BYTES, Seal, Subject};

wire_enum! {
    /// A table that does not fit its seals.
    SealedTable {
        /// Syncs.
        SyncLogs = "sync_logs",
        /// Attempts.
        SyncAttempts = "sync_attempts",
        /// Record outcomes.
        SyncRecordOutcomes = "sync_record_outcomes",
        /// The seals themselves.
        Seals = "seals",
        /// Checkpoints.
        SealCheckpoints = "seal_checkpoints",
    }
}

wire_enum! {
    /// What does not fit.
    Unfit {
        /// The row is another one than the sealed one.
        RowChanged = "row_changed",
        /// A sealed row is gone.
        RowMissing = "row_missing",
        /// The row was never sealed.
        RowUnsealed = "row_unsealed",
        /// The sync is said to be under way, and nothing is.
        NotUnderWay = "not_under_way",
        /// The seal does not follow from the seals before it: it, or its order, was changed.
        ChainBroken = "chain_broken",
        /// A seal is gone.
        SealMissing = "seal_missing",
        /// The chain does not pass through the checkpoint.
        CheckpointOffChain = "checkpoint_off_chain",
        /// The checkpoint's signature is not this installation's.
        SignatureInvalid = "signature_invalid",
    }
}

/// Whether a seal is the newest one of its subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Newest {
    /// Of the sync's row.
    pub sync: bool,
    /// Of the attempt.
    pub attempt: bool,
}

/// What does not fit a seal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Where.
    pub table: SealedTable,
    /// What.
    pub reason: Unfit,
    /// The record, where it is an outcome's.
    pub record: Option<Uuid>,
}

const fn row(table: SealedTable, reason: Unfit) -> Difference {
    Difference { table, reason, record: None }
}

/// The first thing that does not fit a seal. `waits`: a change of the sync is in the queue to be sealed; what can change
/// is then not compared.
pub fn compare(seal: &Seal, now: &Subject, newest: Newest, waits: bool) -> Option<Difference> {
    let Some(sync) = &now.sync else { return Some(row(SealedTable::SyncLogs, Unfit::RowMissing)) };
    let settled = newest.sync && sync.ended && !waits;
    if seal.fixed_hash != sync.fixed || settled && seal.sync_hash.is_some_and(|hash| hash != sync.whole) {
        return Some(row(SealedTable::SyncLogs, Unfit::RowChanged));
    }
    let sealed = seal.attempt.as_ref()?;
    let Some(attempt) = &now.attempt else { return Some(row(SealedTable::SyncAttempts, Unfit::RowMissing)) };
    let settled = newest.attempt && !waits;
    if (settled || sealed.is_final) && sealed.hash != attempt.hash {
        return Some(row(SealedTable::SyncAttempts, Unfit::RowChanged));
    }
    (settled && sealed.records_hash != now.records.hash).then(|| locate(&sealed.records, &now.records.locators))
}

/// The first outcome in which two lists differ.
fn locate(sealed: &[u8], now: &[u8]) -> Difference {
    let (sealed, now) = (entries(sealed), entries(now));
    let table = SealedTable::SyncRecordOutcomes;
    let first = sealed.iter().zip(&now).position(|(left, right)| left != right);
    let at = first.unwrap_or_else(|| sealed.len().min(now.len()));
    let holds = |list: &[(Uuid, &[u8])], id: Uuid| list.iter().any(|(other, _)| *other == id);
    let (reason, record) = match (sealed.get(at), now.get(at)) {
        (Some((left, _)), _) if !holds(&now, *left) => (Unfit::RowMissing, Some(*left)),
        (_, Some((right, _))) if !holds(&sealed, *right) => (Unfit::RowUnsealed, Some(*right)),
        (left, right) => (Unfit::RowChanged, left.or(right).map(|(id, _)| *id)),
    };
    Difference { table, reason, record }
}

fn entries(locators: &[u8]) -> Vec<(Uuid, &[u8])> {
    let entry = |bytes: &'_ [u8]| Uuid::from_slice(&bytes[..16]).unwrap_or_default();
    locators.chunks_exact(LOCATOR_BYTES).map(|bytes| (entry(bytes), &bytes[16..])).collect()
}

/// Whether the chain goes on with this seal at this hash.
pub fn follows(seal: &Seal, chain_hash: &Hash, previous: &Hash, previous_seq: i64) -> Result<(), Unfit> {
    if seal.seq != previous_seq + 1 {
        return Err(Unfit::SealMissing);
    }
    if seal.chain(previous) == *chain_hash { Ok(()) } else { Err(Unfit::ChainBroken) }
}
