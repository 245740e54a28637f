//! Comparing an organization's chain of seals with its ledger.
//!
//! Each batch is read at one moment: what changed legitimately up to then is sealed, or waits in the queue. So nothing
//! has to stand still, and memory does not grow with the ledger.

use std::collections::HashSet;

use api_types::audit::AuditMismatch;
use chrono::{DateTime, Duration, Utc};
use domain::seal::compare::follows;
use domain::seal::{Difference, Hash, SealedTable, SubjectKey, Unfit, compare};
use store::seals::{ChainedSeal, LedgerRow, Sealed, SignedCheckpoint};
use store::{Database, OrgTx, StoreError};
use uuid::Uuid;

use super::checkpoint::{PublicKeys, public_keys};
use super::subjects::{self, AuditError};
use crate::archive::ArchiveReader;

/// Seals, and syncs, of a batch.
const BATCH: i64 = 500;

/// How much is looked at.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// Only seals after this one.
    pub after: i64,
    /// At most so many seals.
    pub seals: Option<i64>,
    /// At most so many syncs.
    pub syncs: Option<i64>,
    /// A checkpoint that was kept outside.
    pub outside: Option<SignedCheckpoint>,
}

/// How far a verification is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Seals that were looked at.
    pub seals: i64,
    /// Seals there are.
    pub of: i64,
    /// Syncs that were looked at.
    pub syncs: i64,
}

/// What a verification found.
#[derive(Clone, Debug, Default)]
pub struct Verification {
    /// Seals that were looked at.
    pub checked: i64,
    /// Syncs that were looked at for seals.
    pub syncs_checked: i64,
    /// Whether every sync of the seals' time was looked at.
    pub all_syncs_checked: bool,
    /// Changes that wait to be sealed.
    pub waiting: i64,
    /// Seals in the chain.
    pub head_seq: i64,
    /// The last seal that was looked at, where there are more.
    pub next_after: Option<i64>,
    /// The first thing that does not fit.
    pub first_mismatch: Option<AuditMismatch>,
}

/// The times of the syncs that were looked at.
struct Window {
    from: DateTime<Utc>,
    before: DateTime<Utc>,
}

struct Verifier<'a> {
    database: &'a Database,
    organization_id: Uuid,
    scope: &'a Scope,
    archive: &'a ArchiveReader,
    keys: PublicKeys,
    found: Verification,
}

/// Compares a chain and its checkpoints with the ledger, up to the first thing that does not fit.
pub async fn verify(
    database: &Database,
    archive: &ArchiveReader,
    organization_id: Uuid,
    scope: &Scope,
    mut progress: impl FnMut(Progress) + Send,
) -> Result<Verification, AuditError> {
    let keys = public_keys(database).await?;
    let mut verifier = Verifier { database, organization_id, scope, archive, keys, found: Verification::default() };
    let window = verifier.walk_chain(&mut progress).await?;
    if let Some(window) = window.filter(|_| verifier.found.first_mismatch.is_none()) {
        verifier.walk_ledger(&window, &mut progress).await?;
    }
    Ok(verifier.found)
}

impl Verifier<'_> {
    async fn snapshot(&self) -> Result<OrgTx, StoreError> {
        OrgTx::begin_snapshot(self.database, self.organization_id).await
    }

    fn unfit(&mut self, table: SealedTable, reason: Unfit, seq: i64) {
        self.found.first_mismatch = Some(mismatch(table, reason, Some(seq), None));
    }

    /// Goes along the chain; `None` where it ended at something that does not fit.
    async fn walk_chain(&mut self, progress: &mut impl FnMut(Progress)) -> Result<Option<Window>, AuditError> {
        let mut at = self.scope.after;
        let (mut earliest, mut latest) = (None, None);
        let mut previous = {
            let mut tx = self.snapshot().await?;
            self.found.head_seq = store::seals::head(&mut tx).await?.0;
            self.found.waiting = store::seals::count_waiting(&mut tx).await?;
            if !self.outside_fits(&mut tx).await? {
                return Ok(None);
            }
            let Some(hash) = store::seals::hash_at(&mut tx, at).await? else {
                self.unfit(SealedTable::Seals, Unfit::SealMissing, at);
                return Ok(None);
            };
            if at > 0 {
                // Looked for from where the part before ended: no sync lies between the times of two parts.
                let before = store::seals::list(&mut tx, at - 1, 1).await?;
                earliest = before.first().map(|link| link.seal.sync_started_at);
            }
            hash
        };
        let at_end = loop {
            let room = self.scope.seals.map_or(BATCH, |limit| (limit - self.found.checked).min(BATCH));
            if room <= 0 {
                break at >= self.found.head_seq;
            }
            let mut tx = self.snapshot().await?;
            let links = store::seals::list(&mut tx, at, room).await?;
            let checkpoints = store::seals::list_checkpoints(&mut tx, Some(at), true, BATCH).await?;
            let Some(last) = links.last() else {
                if let Some(lost) = checkpoints.first() {
                    self.unfit(SealedTable::Seals, Unfit::SealMissing, lost.checkpoint.seq);
                    return Ok(None);
                }
                break true;
            };
            if !self.links_fit(&mut tx, &links, &checkpoints, &mut previous, at).await? {
                return Ok(None);
            }
            at = last.seal.seq;
            let starts = || links.iter().map(|link| link.seal.sync_started_at);
            earliest = earliest.into_iter().chain(starts()).min();
            latest = latest.into_iter().chain(starts()).max();
            self.found.head_seq = self.found.head_seq.max(at);
            progress(Progress { seals: self.found.checked, of: self.found.head_seq - self.scope.after, syncs: 0 });
        };
        self.found.next_after = (!at_end).then_some(at);
        let beginning = (self.scope.after == 0).then_some(DateTime::UNIX_EPOCH).or(earliest);
        let end = if at_end { Some(end_of_time()) } else { latest.map(|latest| latest + Duration::milliseconds(1)) };
        Ok(beginning.zip(end).map(|(from, before)| Window { from, before }))
    }

    /// Compares a batch of seals with each other, with the checkpoints among them, and with the ledger.
    async fn links_fit(
        &mut self,
        tx: &mut OrgTx,
        links: &[ChainedSeal],
        checkpoints: &[SignedCheckpoint],
        previous: &mut Hash,
        after: i64,
    ) -> Result<bool, AuditError> {
        let keys: Vec<SubjectKey> = links.iter().map(key_of).collect();
        let newest = store::seals::newest(tx, links).await?;
        let ids: Vec<Uuid> = keys.iter().map(|key| key.sync_id).collect();
        let waiting: HashSet<Uuid> = store::seals::waiting(tx, &ids).await?.into_iter().collect();
        let subjects = subjects::read(tx, self.archive, &keys).await?;
        let mut seq = after;
        for (((link, key), newest), subject) in links.iter().zip(&keys).zip(newest).zip(&subjects) {
            let seal = &link.seal;
            if let Err(reason) = follows(seal, &link.chain_hash, previous, seq) {
                self.unfit(SealedTable::Seals, reason, seq + 1);
                return Ok(false);
            }
            (seq, *previous) = (seal.seq, link.chain_hash);
            for signed in checkpoints.iter().filter(|signed| signed.checkpoint.seq == seq) {
                if !self.checkpoint_fits(signed, previous) {
                    return Ok(false);
                }
            }
            let difference =
                subject.as_ref().and_then(|subject| compare(seal, subject, newest, waiting.contains(&seal.sync_id)));
            if let Some(difference) = difference {
                self.found.first_mismatch = Some(self.describe(tx, seq, key, difference).await?);
                return Ok(false);
            }
            self.found.checked += 1;
        }
        Ok(true)
    }

    fn checkpoint_fits(&mut self, signed: &SignedCheckpoint, hash: &Hash) -> bool {
        let seq = signed.checkpoint.seq;
        if !self.keys.verify(signed) {
            self.unfit(SealedTable::SealCheckpoints, Unfit::SignatureInvalid, seq);
            return false;
        }
        if signed.checkpoint.chain_hash != *hash {
            self.unfit(SealedTable::SealCheckpoints, Unfit::CheckpointOffChain, seq);
            return false;
        }
        true
    }

    /// Whether the chain passes through the checkpoint that was kept outside.
    async fn outside_fits(&mut self, tx: &mut OrgTx) -> Result<bool, StoreError> {
        let Some(outside) = &self.scope.outside else { return Ok(true) };
        if let Some(hash) = store::seals::hash_at(tx, outside.checkpoint.seq).await? {
            return Ok(self.checkpoint_fits(outside, &hash));
        }
        self.unfit(SealedTable::Seals, Unfit::SealMissing, outside.checkpoint.seq);
        Ok(false)
    }

    async fn describe(
        &self,
        tx: &mut OrgTx,
        seq: i64,
        key: &SubjectKey,
        difference: Difference,
    ) -> Result<AuditMismatch, StoreError> {
        let about = SubjectKey { attempt: key.attempt.filter(|_| difference.table != SealedTable::SyncLogs), ..*key };
        let mut told = mismatch(difference.table, difference.reason, Some(seq), Some(about));
        if let Some(record) = difference.record {
            told.source_record_id = Some(record);
            told.source_record_type = store::seals::record_type(tx, key, record).await?;
            told.detail = sentence(&told);
        }
        Ok(told)
    }

    /// Looks at every sync for the seals that it must have.
    async fn walk_ledger(&mut self, window: &Window, progress: &mut impl FnMut(Progress)) -> Result<(), StoreError> {
        let mut after = (window.from, Uuid::nil());
        loop {
            let room = self.scope.syncs.map_or(BATCH, |limit| (limit - self.found.syncs_checked).min(BATCH));
            if room <= 0 {
                return Ok(());
            }
            let mut tx = self.snapshot().await?;
            let rows = store::seals::ledger_after(&mut tx, after, window.before, room).await?;
            let Some(last) = rows.last() else {
                self.found.all_syncs_checked = true;
                return Ok(());
            };
            after = (last.started_at, last.id);
            let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
            let sealed = store::seals::sealed_of(&mut tx, &ids).await?;
            let waiting: HashSet<Uuid> = store::seals::waiting(&mut tx, &ids).await?.into_iter().collect();
            for row in &rows {
                let sealed = sealed.get(&row.id).cloned().unwrap_or_default();
                if let Some((table, reason, attempt)) = unsealed(row, &sealed, waiting.contains(&row.id)) {
                    let key = SubjectKey { sync_id: row.id, sync_started_at: row.started_at, attempt };
                    self.found.first_mismatch = Some(mismatch(table, reason, None, Some(key)));
                    return Ok(());
                }
                self.found.syncs_checked += 1;
            }
            let of = self.found.head_seq - self.scope.after;
            progress(Progress { seals: self.found.checked, of, syncs: self.found.syncs_checked });
        }
    }
}

/// What of a sync should have been sealed and is not.
fn unsealed(row: &LedgerRow, sealed: &Sealed, waits: bool) -> Option<(SealedTable, Unfit, Option<u16>)> {
    if !row.ended && !row.under_way {
        return Some((SealedTable::SyncLogs, Unfit::NotUnderWay, None));
    }
    if waits {
        return None;
    }
    if row.ended && !sealed.whole {
        return Some((SealedTable::SyncLogs, Unfit::RowUnsealed, None));
    }
    let attempt = row.closed_attempts.iter().find(|number| !sealed.attempts.contains(number))?;
    Some((SealedTable::SyncAttempts, Unfit::RowUnsealed, Some(attempt.unsigned_abs())))
}

fn key_of(link: &ChainedSeal) -> SubjectKey {
    SubjectKey {
        sync_id: link.seal.sync_id,
        sync_started_at: link.seal.sync_started_at,
        attempt: link.seal.attempt.as_ref().map(|attempt| attempt.number),
    }
}

/// Later than any sync.
fn end_of_time() -> DateTime<Utc> {
    DateTime::from_timestamp(253_402_300_799, 0).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

fn mismatch(table: SealedTable, reason: Unfit, seq: Option<i64>, key: Option<SubjectKey>) -> AuditMismatch {
    let mut told = AuditMismatch {
        table,
        reason,
        seq,
        sync_id: key.map(|key| key.sync_id),
        attempt: key.and_then(|key| key.attempt),
        source_record_type: None,
        source_record_id: None,
        detail: String::new(),
    };
    told.detail = sentence(&told);
    told
}

fn sentence(told: &AuditMismatch) -> String {
    let mut place = vec![told.table.as_str().to_owned()];
    place.extend(told.sync_id.map(|id| format!("sync {id}")));
    place.extend(told.attempt.map(|attempt| format!("attempt {attempt}")));
    let kind = told.source_record_type.as_deref().unwrap_or("(gone)");
    place.extend(told.source_record_id.map(|record| format!("record {kind} {record}")));
    place.extend(told.seq.map(|seq| format!("seal {seq}")));
    let what = match told.reason {
        Unfit::RowChanged => "the row is another one than was sealed",
        Unfit::RowMissing => "a sealed row is gone",
        Unfit::RowUnsealed => "the row was never sealed",
        Unfit::NotUnderWay => "the sync is said to be under way, and nothing is",
        Unfit::ChainBroken => "the seal does not follow from the one before it",
        Unfit::SealMissing => "a seal is gone",
        Unfit::CheckpointOffChain => "the chain does not pass through the checkpoint",
        Unfit::SignatureInvalid => "the checkpoint's signature is not this installation's",
    };
    format!("{}: {what}", place.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(ended: bool, under_way: bool) -> LedgerRow {
        LedgerRow { id: Uuid::nil(), started_at: DateTime::UNIX_EPOCH, ended, under_way, closed_attempts: vec![0, 1] }
    }

    #[test]
    fn an_ended_sync_and_its_closed_attempts_are_sealed_or_wait() {
        let all = Sealed { whole: true, attempts: vec![1, 0] };
        assert_eq!(unsealed(&row(true, false), &all, false), None);
        assert_eq!(unsealed(&row(true, false), &Sealed::default(), true), None);
        let first = Sealed { whole: true, attempts: vec![0] };
        let second = Some((SealedTable::SyncAttempts, Unfit::RowUnsealed, Some(1)));
        assert_eq!(unsealed(&row(true, false), &first, false), second);
        let whole = Some((SealedTable::SyncLogs, Unfit::RowUnsealed, None));
        assert_eq!(unsealed(&row(true, false), &Sealed { whole: false, ..all }, false), whole);
    }

    #[test]
    fn a_sync_that_is_not_ended_is_under_way() {
        let sealed = Sealed { whole: false, attempts: vec![0, 1] };
        assert_eq!(unsealed(&row(false, true), &sealed, false), None);
        let idle = Some((SealedTable::SyncLogs, Unfit::NotUnderWay, None));
        assert_eq!(unsealed(&row(false, false), &sealed, true), idle);
    }
}
