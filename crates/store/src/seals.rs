//! Seals: the queue of what is to be sealed, the chains, and what they say.

mod checkpoints;
mod subjects;

use chrono::{DateTime, Utc};
use domain::seal::{AttemptSeal, Hash, Newest, Seal, SubjectKey};
use sqlx::FromRow;
use uuid::Uuid;

use crate::database::{OrgTx, PlainTx};
use crate::error::StoreError;

pub use checkpoints::{SignedCheckpoint, insert_checkpoint, list_checkpoints};
pub use subjects::{Digests, LedgerRow, Sealed, ledger_after, record_type, sealed_of, subjects};

/// Something that is to be sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queued {
    /// Its place in the queue.
    pub id: i64,
    /// What it is.
    pub key: SubjectKey,
    /// It was there before seals were.
    pub backfill: bool,
}

/// Where a chain stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chain {
    /// Seals in it.
    pub seq: i64,
    /// Its hash at the end.
    pub hash: Hash,
    /// The newest checkpoint's place; 0 if there is none.
    pub checkpoint_seq: i64,
    /// When the next checkpoint is due; `None` if the newest one is at the end.
    pub checkpoint_due_at: Option<DateTime<Utc>>,
}

/// A seal in its chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainedSeal {
    /// The seal.
    pub seal: Seal,
    /// The chain's hash with it.
    pub chain_hash: Hash,
}

fn number(attempt: Option<u16>) -> Option<i16> {
    attempt.map(|number| i16::try_from(number).unwrap_or(i16::MAX))
}

fn hash(bytes: &[u8]) -> Result<Hash, StoreError> {
    bytes.try_into().map_err(|_| StoreError::Corrupt("a hash has 32 bytes".to_owned()))
}

/// Enters what is to be sealed, in the transaction of its change.
pub async fn enqueue(tx: &mut OrgTx, keys: &[SubjectKey]) -> Result<(), StoreError> {
    let organization_id = tx.organization_id();
    sqlx::query(
        "
        INSERT INTO seal_queue (organization_id, sync_id, sync_started_at, attempt_number)
        SELECT $1, * FROM unnest($2::uuid[], $3::timestamptz[], $4::smallint[])
        ",
    )
    .bind(organization_id)
    .bind(keys.iter().map(|key| key.sync_id).collect::<Vec<_>>())
    .bind(keys.iter().map(|key| key.sync_started_at).collect::<Vec<_>>())
    .bind(keys.iter().map(|key| number(key.attempt)).collect::<Vec<_>>())
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Organizations of which something is to be sealed.
pub async fn waiting_organizations(tx: &mut PlainTx) -> Result<Vec<Uuid>, StoreError> {
    Ok(sqlx::query_scalar(
        "
        -- From one organization to the next: the queue may be long, and its organizations few.
        WITH RECURSIVE waiting AS (
            (SELECT organization_id FROM seal_queue ORDER BY organization_id LIMIT 1)
            UNION ALL
            SELECT (
                SELECT next.organization_id FROM seal_queue next
                WHERE next.organization_id > waiting.organization_id ORDER BY next.organization_id LIMIT 1
            )
            FROM waiting WHERE waiting.organization_id IS NOT NULL
        )
        SELECT organization_id FROM waiting WHERE organization_id IS NOT NULL
        ",
    )
    .fetch_all(tx.conn())
    .await?)
}

/// Organizations whose chain needs a checkpoint.
pub async fn due_organizations(tx: &mut PlainTx, now: DateTime<Utc>, limit: i64) -> Result<Vec<Uuid>, StoreError> {
    Ok(sqlx::query_scalar(
        "
        SELECT organization_id FROM seal_chains WHERE checkpoint_due_at <= $1
        ORDER BY checkpoint_due_at LIMIT $2
        ",
    )
    .bind(now)
    .bind(limit)
    .fetch_all(tx.conn())
    .await?)
}

/// The organization's chain, held until the transaction ends; `None` while somebody else holds it.
pub async fn lock_chain(tx: &mut OrgTx) -> Result<Option<Chain>, StoreError> {
    let organization_id = tx.organization_id();
    // Not the row's own lock: whoever makes the first row of a chain would be waited for.
    let free: bool = sqlx::query_scalar("SELECT pg_try_advisory_xact_lock(hashtextextended('seals ' || $1::text, 0))")
        .bind(organization_id)
        .fetch_one(tx.conn())
        .await?;
    if !free {
        return Ok(None);
    }
    let row: Option<(i64, Option<DateTime<Utc>>)> =
        sqlx::query_as("SELECT checkpoint_seq, checkpoint_due_at FROM seal_chains WHERE organization_id = $1")
            .bind(organization_id)
            .fetch_optional(tx.conn())
            .await?;
    if row.is_none() {
        sqlx::query("INSERT INTO seal_chains (organization_id) VALUES ($1)")
            .bind(organization_id)
            .execute(tx.conn())
            .await?;
    }
    let (checkpoint_seq, checkpoint_due_at) = row.unwrap_or((0, None));
    let (seq, hash) = head(tx).await?;
    Ok(Some(Chain { seq, hash, checkpoint_seq, checkpoint_due_at }))
}

/// The number of the organization's newest seal and the chain's hash with it; 0 and the beginning if there is none.
pub async fn head(tx: &mut OrgTx) -> Result<(i64, Hash), StoreError> {
    let organization_id = tx.organization_id();
    let row: Option<(i64, Vec<u8>)> =
        sqlx::query_as("SELECT seq, chain_hash FROM seals WHERE organization_id = $1 ORDER BY seq DESC LIMIT 1")
            .bind(organization_id)
            .fetch_optional(tx.conn())
            .await?;
    row.map_or_else(|| Ok((0, domain::seal::genesis(organization_id))), |(seq, bytes)| Ok((seq, hash(&bytes)?)))
}

/// The chain's hash at a place; the beginning's at 0, `None` where there is no seal.
pub async fn hash_at(tx: &mut OrgTx, seq: i64) -> Result<Option<Hash>, StoreError> {
    let organization_id = tx.organization_id();
    if seq == 0 {
        return Ok(Some(domain::seal::genesis(organization_id)));
    }
    let row: Option<Vec<u8>> =
        sqlx::query_scalar("SELECT chain_hash FROM seals WHERE organization_id = $1 AND seq = $2")
            .bind(organization_id)
            .bind(seq)
            .fetch_optional(tx.conn())
            .await?;
    row.map(|bytes| hash(&bytes)).transpose()
}

/// The first of what is to be sealed.
pub async fn take(tx: &mut OrgTx, limit: i64) -> Result<Vec<Queued>, StoreError> {
    type Row = (i64, Uuid, DateTime<Utc>, Option<i16>, bool);
    let organization_id = tx.organization_id();
    let rows: Vec<Row> = sqlx::query_as(
        "
        SELECT id, sync_id, sync_started_at, attempt_number, backfill FROM seal_queue
        WHERE organization_id = $1 ORDER BY id LIMIT $2
        ",
    )
    .bind(organization_id)
    .bind(limit)
    .fetch_all(tx.conn())
    .await?;
    Ok(rows
        .into_iter()
        .map(|(id, sync_id, sync_started_at, attempt, backfill)| Queued {
            id,
            key: SubjectKey { sync_id, sync_started_at, attempt: attempt.map(i16::unsigned_abs) },
            backfill,
        })
        .collect())
}

/// Appends seals, takes what they seal off the queue, and says where the chain now stands.
pub async fn append(
    tx: &mut OrgTx,
    seals: &[ChainedSeal],
    done: &[i64],
    checkpoint_due_at: DateTime<Utc>,
    checkpoint_overdue: bool,
) -> Result<(), StoreError> {
    let organization_id = tx.organization_id();
    let attempts = || seals.iter().map(|link| link.seal.attempt.as_ref());
    sqlx::query(
        "
        INSERT INTO seals (
            organization_id, seq, sync_id, sync_started_at, attempt_number, fixed_hash, sync_hash, attempt_hash,
            attempt_final, records_hash, records, backfill, sealed_at, chain_hash
        )
        SELECT $1, link.*
        FROM unnest($2::bigint[], $3::uuid[], $4::timestamptz[], $5::smallint[], $6::bytea[], $7::bytea[],
                    $8::bytea[], $9::boolean[], $10::bytea[], $11::bytea[], $12::boolean[], $13::timestamptz[],
                    $14::bytea[])
            AS link (seq, sync_id, started_at, attempt, fixed, sync, attempt_hash, final, records_hash, records,
                     backfill, sealed_at, chain)
        ORDER BY link.seq
        ",
    )
    .bind(organization_id)
    .bind(seals.iter().map(|link| link.seal.seq).collect::<Vec<_>>())
    .bind(seals.iter().map(|link| link.seal.sync_id).collect::<Vec<_>>())
    .bind(seals.iter().map(|link| link.seal.sync_started_at).collect::<Vec<_>>())
    .bind(attempts().map(|attempt| number(attempt.map(|attempt| attempt.number))).collect::<Vec<_>>())
    .bind(seals.iter().map(|link| link.seal.fixed_hash.to_vec()).collect::<Vec<_>>())
    .bind(seals.iter().map(|link| link.seal.sync_hash.map(|hash| hash.to_vec())).collect::<Vec<_>>())
    .bind(attempts().map(|attempt| attempt.map(|attempt| attempt.hash.to_vec())).collect::<Vec<_>>())
    .bind(attempts().map(|attempt| attempt.map(|attempt| attempt.is_final)).collect::<Vec<_>>())
    .bind(attempts().map(|attempt| attempt.map(|attempt| attempt.records_hash.to_vec())).collect::<Vec<_>>())
    .bind(attempts().map(|attempt| attempt.map(|attempt| attempt.records.clone())).collect::<Vec<_>>())
    .bind(seals.iter().map(|link| link.seal.backfill).collect::<Vec<_>>())
    .bind(seals.iter().map(|link| link.seal.sealed_at).collect::<Vec<_>>())
    .bind(seals.iter().map(|link| link.chain_hash.to_vec()).collect::<Vec<_>>())
    .execute(tx.conn())
    .await?;
    sqlx::query("DELETE FROM seal_queue WHERE organization_id = $1 AND id = ANY ($2)")
        .bind(organization_id)
        .bind(done)
        .execute(tx.conn())
        .await?;
    sqlx::query(
        "
        UPDATE seal_chains
        SET seq = $2, checkpoint_due_at = CASE WHEN $4 THEN $3 ELSE coalesce(checkpoint_due_at, $3) END
        WHERE organization_id = $1
        ",
    )
    .bind(organization_id)
    .bind(seals.last().map_or(0, |link| link.seal.seq))
    .bind(checkpoint_due_at)
    .bind(checkpoint_overdue)
    .execute(tx.conn())
    .await?;
    Ok(())
}

#[derive(FromRow)]
struct Row {
    seq: i64,
    sync_id: Uuid,
    sync_started_at: DateTime<Utc>,
    attempt_number: Option<i16>,
    fixed_hash: Vec<u8>,
    sync_hash: Option<Vec<u8>>,
    attempt_hash: Option<Vec<u8>>,
    attempt_final: Option<bool>,
    records_hash: Option<Vec<u8>>,
    records: Option<Vec<u8>>,
    backfill: bool,
    sealed_at: DateTime<Utc>,
    chain_hash: Vec<u8>,
}

impl Row {
    fn link(self, organization_id: Uuid) -> Result<ChainedSeal, StoreError> {
        let attempt =
            match (self.attempt_number, self.attempt_hash, self.attempt_final, self.records_hash, self.records) {
                (Some(number), Some(attempt_hash), Some(is_final), Some(records_hash), Some(records)) => {
                    Some(AttemptSeal {
                        number: number.unsigned_abs(),
                        hash: hash(&attempt_hash)?,
                        is_final,
                        records_hash: hash(&records_hash)?,
                        records,
                    })
                }
                _ => None,
            };
        Ok(ChainedSeal {
            seal: Seal {
                organization_id,
                seq: self.seq,
                sync_id: self.sync_id,
                sync_started_at: self.sync_started_at,
                fixed_hash: hash(&self.fixed_hash)?,
                sync_hash: self.sync_hash.as_deref().map(hash).transpose()?,
                attempt,
                backfill: self.backfill,
                sealed_at: self.sealed_at,
            },
            chain_hash: hash(&self.chain_hash)?,
        })
    }
}

/// Seals after a place, in order.
pub async fn list(tx: &mut OrgTx, after: i64, limit: i64) -> Result<Vec<ChainedSeal>, StoreError> {
    let organization_id = tx.organization_id();
    let rows: Vec<Row> =
        sqlx::query_as("SELECT * FROM seals WHERE organization_id = $1 AND seq > $2 ORDER BY seq LIMIT $3")
            .bind(organization_id)
            .bind(after)
            .bind(limit)
            .fetch_all(tx.conn())
            .await?;
    rows.into_iter().map(|row| row.link(organization_id)).collect()
}

/// Which of these seals are the newest of their subjects.
pub async fn newest(tx: &mut OrgTx, seals: &[ChainedSeal]) -> Result<Vec<Newest>, StoreError> {
    let organization_id = tx.organization_id();
    let rows: Vec<(Uuid, Option<i16>, i64, Option<i64>)> = sqlx::query_as(
        "
        SELECT sync_id, attempt_number, max(seq), max(seq) FILTER (WHERE sync_hash IS NOT NULL)
        FROM seals WHERE organization_id = $1 AND sync_id = ANY ($2)
        GROUP BY sync_id, attempt_number
        ",
    )
    .bind(organization_id)
    .bind(seals.iter().map(|link| link.seal.sync_id).collect::<Vec<_>>())
    .fetch_all(tx.conn())
    .await?;
    let mut of_sync = std::collections::HashMap::new();
    let mut of_attempt = std::collections::HashMap::new();
    for (sync_id, attempt, seq, whole) in rows {
        of_attempt.insert((sync_id, attempt), seq);
        let known = of_sync.entry(sync_id).or_insert(0);
        *known = whole.unwrap_or(0).max(*known);
    }
    Ok(seals
        .iter()
        .map(|ChainedSeal { seal, .. }| Newest {
            sync: of_sync.get(&seal.sync_id) == Some(&seal.seq),
            attempt: seal.attempt.as_ref().is_some_and(|attempt| {
                of_attempt.get(&(seal.sync_id, number(Some(attempt.number)))) == Some(&seal.seq)
            }),
        })
        .collect())
}

/// Changes in the queue; at most 100,000 are counted.
pub async fn count_waiting(tx: &mut OrgTx) -> Result<i64, StoreError> {
    let organization_id = tx.organization_id();
    Ok(sqlx::query_scalar(
        "SELECT count(*) FROM (SELECT FROM seal_queue WHERE organization_id = $1 LIMIT 100000) AS queued",
    )
    .bind(organization_id)
    .fetch_one(tx.conn())
    .await?)
}

/// Which of these syncs have a change in the queue.
pub async fn waiting(tx: &mut OrgTx, syncs: &[Uuid]) -> Result<Vec<Uuid>, StoreError> {
    let organization_id = tx.organization_id();
    Ok(sqlx::query_scalar("SELECT DISTINCT sync_id FROM seal_queue WHERE organization_id = $1 AND sync_id = ANY ($2)")
        .bind(organization_id)
        .bind(syncs)
        .fetch_all(tx.conn())
        .await?)
}
