//! Signed checkpoints of the chains.

use chrono::{DateTime, Utc};
use domain::seal::Checkpoint;
use uuid::Uuid;

use super::hash;
use crate::database::OrgTx;
use crate::error::StoreError;

/// A checkpoint and its signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedCheckpoint {
    /// What was signed.
    pub checkpoint: Checkpoint,
    /// Which key signed it.
    pub kid: String,
    /// The Ed25519 signature, 64 bytes.
    pub signature: Vec<u8>,
}

type Row = (i64, Vec<u8>, DateTime<Utc>, String, Vec<u8>);

/// Stores a checkpoint at the end of a chain that is held; one that is there already stays.
pub async fn insert_checkpoint(tx: &mut OrgTx, signed: &SignedCheckpoint) -> Result<(), StoreError> {
    let organization_id = tx.organization_id();
    sqlx::query(
        "
        INSERT INTO seal_checkpoints (organization_id, seq, chain_hash, made_at, kid, signature)
        VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING
        ",
    )
    .bind(organization_id)
    .bind(signed.checkpoint.seq)
    .bind(signed.checkpoint.chain_hash.as_slice())
    .bind(signed.checkpoint.made_at)
    .bind(&signed.kid)
    .bind(&signed.signature)
    .execute(tx.conn())
    .await?;
    sqlx::query("UPDATE seal_chains SET checkpoint_seq = $2, checkpoint_due_at = NULL WHERE organization_id = $1")
        .bind(organization_id)
        .bind(signed.checkpoint.seq)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Checkpoints beyond a place: the newer ones in order, or the older ones backwards.
pub async fn list_checkpoints(
    tx: &mut OrgTx,
    beyond: Option<i64>,
    newer: bool,
    limit: i64,
) -> Result<Vec<SignedCheckpoint>, StoreError> {
    const NEWER: &str = "
        SELECT seq, chain_hash, made_at, kid, signature FROM seal_checkpoints
        WHERE organization_id = $1 AND ($2::bigint IS NULL OR seq > $2) ORDER BY seq LIMIT $3
    ";
    const OLDER: &str = "
        SELECT seq, chain_hash, made_at, kid, signature FROM seal_checkpoints
        WHERE organization_id = $1 AND ($2::bigint IS NULL OR seq < $2) ORDER BY seq DESC LIMIT $3
    ";
    let organization_id = tx.organization_id();
    let rows: Vec<Row> = sqlx::query_as(if newer { NEWER } else { OLDER })
        .bind(organization_id)
        .bind(beyond)
        .bind(limit)
        .fetch_all(tx.conn())
        .await?;
    rows.into_iter().map(|row| signed(organization_id, row)).collect()
}

fn signed(
    organization_id: Uuid,
    (seq, chain_hash, made_at, kid, signature): Row,
) -> Result<SignedCheckpoint, StoreError> {
    let checkpoint = Checkpoint { organization_id, seq, chain_hash: hash(&chain_hash)?, made_at };
    Ok(SignedCheckpoint { checkpoint, kid, signature })
}
