//! The installation's own signing keys: made at first start, sealed at rest.

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use store::signing_keys::{self, SigningKeyRow};
use store::{Database, PlainTx};

use super::token::{SigningPair, TokenService};
use crate::config::Config;
use crate::vault::{Sealed, Vault};

/// The token service with the stored keys; makes the first one.
pub async fn token_service(
    database: &Database,
    config: &Config,
    vault: &Vault,
    now: DateTime<Utc>,
) -> anyhow::Result<TokenService> {
    let mut tx = PlainTx::begin(database).await?;
    let rows = signing_keys::lock_all(&mut tx).await?;
    let mut pairs = Vec::new();
    for row in rows {
        pairs.push(open(&row, vault).with_context(|| format!("opening the signing key {}", row.kid))?);
    }
    if pairs.is_empty() {
        let pair = SigningPair::generate()?;
        let sealed = vault.seal(&pair.private_key, &context(&pair.kid))?;
        let row = SigningKeyRow {
            kid: pair.kid.clone(),
            public_key: pair.public_key.to_vec(),
            private_key_sealed: sealed.bytes,
            sealing_key_id: sealed.key_id,
            created_at: now,
        };
        signing_keys::insert(&mut tx, &row).await?;
        pairs.push(pair);
    }
    tx.commit().await?;
    Ok(TokenService::new(config.http.public_url.as_str(), &pairs, config.sessions.access_seconds)?)
}

/// Opens a stored pair.
pub(crate) fn open(row: &SigningKeyRow, vault: &Vault) -> anyhow::Result<SigningPair> {
    let sealed = Sealed { key_id: row.sealing_key_id.clone(), bytes: row.private_key_sealed.clone() };
    let private_key = vault.open(&sealed, &context(&row.kid))?;
    let public_key = row.public_key.as_slice().try_into().context("a public key has 32 bytes")?;
    Ok(SigningPair { kid: row.kid.clone(), public_key, private_key })
}

/// What a private key is sealed for.
pub(crate) fn context(kid: &str) -> String {
    format!("signing_key:{kid}")
}
