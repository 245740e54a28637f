//! Signing checkpoints, and checking their signatures.

use std::collections::HashMap;

use anyhow::{Context as _, ensure};
use api_types::audit::SealCheckpoint;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use domain::seal::Checkpoint;
use ed25519_dalek::pkcs8::DecodePrivateKey as _;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use store::seals::SignedCheckpoint;
use store::{Database, OrgTx, PlainTx};
use uuid::Uuid;

use crate::auth::keys;
use crate::vault::Vault;

/// The installation's signing key, for checkpoints.
pub struct Signer {
    kid: String,
    key: SigningKey,
}

impl Signer {
    /// Opens the newest key in use.
    pub async fn load(database: &Database, vault: &Vault) -> anyhow::Result<Self> {
        let mut tx = PlainTx::begin(database).await?;
        let row = store::signing_keys::newest(&mut tx).await?;
        let row = row.context("the installation has no signing key yet: start the server once")?;
        let pair = keys::open(&row, vault)?;
        let key = SigningKey::from_pkcs8_der(&pair.private_key).ok().context("the signing key is not readable")?;
        Ok(Self { kid: pair.kid, key })
    }

    fn sign(&self, checkpoint: Checkpoint) -> SignedCheckpoint {
        let signature = self.key.sign(checkpoint.signed_text().as_bytes()).to_bytes().to_vec();
        SignedCheckpoint { checkpoint, kid: self.kid.clone(), signature }
    }
}

/// Signs where an organization's chain ends, unless its newest checkpoint says it; returns the newest checkpoint, or
/// `None` if nothing was ever sealed or somebody else holds the chain.
pub async fn make_checkpoint(
    database: &Database,
    signer: &Signer,
    organization_id: Uuid,
    now: DateTime<Utc>,
) -> anyhow::Result<Option<SignedCheckpoint>> {
    let mut tx = OrgTx::begin(database, organization_id).await?;
    let Some(chain) = store::seals::lock_chain(&mut tx).await? else { return Ok(None) };
    if chain.seq > 0 {
        let newest = store::seals::list_checkpoints(&mut tx, None, false, 1).await?.pop();
        if let Some(newest) = newest.filter(|newest| newest.checkpoint.seq == chain.seq) {
            store::seals::insert_checkpoint(&mut tx, &newest).await?;
            tx.commit().await?;
            return Ok(Some(newest));
        }
        let checkpoint = Checkpoint { organization_id, seq: chain.seq, chain_hash: chain.hash, made_at: now };
        let made = signer.sign(checkpoint);
        store::seals::insert_checkpoint(&mut tx, &made).await?;
        tx.commit().await?;
        return Ok(Some(made));
    }
    Ok(None)
}

/// The keys that may have signed checkpoints.
pub struct PublicKeys(HashMap<String, VerifyingKey>);

impl PublicKeys {
    /// Whether a checkpoint's signature is one of theirs.
    pub fn verify(&self, signed: &SignedCheckpoint) -> bool {
        let signature = Signature::from_slice(&signed.signature).ok();
        let key = self.0.get(&signed.kid);
        key.zip(signature).is_some_and(|(key, signature)| {
            key.verify_strict(signed.checkpoint.signed_text().as_bytes(), &signature).is_ok()
        })
    }
}

/// Reads the public halves of every key there ever was.
pub async fn public_keys(database: &Database) -> Result<PublicKeys, store::StoreError> {
    let mut tx = PlainTx::begin(database).await?;
    let rows = store::signing_keys::public_keys(&mut tx).await?;
    let key = |bytes: Vec<u8>| VerifyingKey::from_bytes(&bytes.try_into().ok()?).ok();
    Ok(PublicKeys(rows.into_iter().filter_map(|(kid, bytes)| Some((kid, key(bytes)?))).collect()))
}

/// A checkpoint as it is shown.
pub fn shown(signed: &SignedCheckpoint) -> SealCheckpoint {
    SealCheckpoint {
        organization_id: signed.checkpoint.organization_id,
        seq: signed.checkpoint.seq,
        chain_hash: hex::encode(signed.checkpoint.chain_hash),
        made_at: signed.checkpoint.made_at,
        kid: signed.kid.clone(),
        signature: URL_SAFE_NO_PAD.encode(&signed.signature),
    }
}

/// Reads a checkpoint that was kept outside.
pub fn read_checkpoint(text: &str) -> anyhow::Result<SignedCheckpoint> {
    let shown: SealCheckpoint = serde_json::from_str(text).context("the checkpoint is not readable")?;
    let mut chain_hash = [0; 32];
    hex::decode_to_slice(&shown.chain_hash, &mut chain_hash).context("the checkpoint's chain_hash is no hash")?;
    ensure!(shown.seq > 0, "the checkpoint's seq is not positive");
    let checkpoint =
        Checkpoint { organization_id: shown.organization_id, seq: shown.seq, chain_hash, made_at: shown.made_at };
    let signature = URL_SAFE_NO_PAD.decode(&shown.signature).context("the checkpoint's signature is not readable")?;
    Ok(SignedCheckpoint { checkpoint, kid: shown.kid, signature })
}
