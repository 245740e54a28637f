//! Sealing every secret anew with the current master key, so that older ones are needed no more.
//!
//! Servers go on meanwhile: a value is replaced only where it still is the one that was read, and nothing else of its row
//! changes. Killed at any moment it can be run again, and passes over what is sealed with the current key already.

use std::collections::BTreeMap;

use store::integrations::SealedBytes;
use store::sealed::{SealedSecret, Secret};
use store::{Database, OrgTx, PlainTx, StoreError};

use crate::auth::keys;
use crate::http::integrations::settings;
use crate::ledger::staging_context;
use crate::vault::{Sealed, Vault, VaultError};
use crate::webhook_secrets;

/// Staged records whose payloads are sealed anew in one transaction.
const BATCH: i64 = 100;

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resealed {
    /// Values that the current key has sealed now.
    pub replaced: u64,
    /// Values that no known key opens; they stay as they are.
    pub unreadable: u64,
}

/// Seals anew what other keys have sealed, and says from time to time how much that was.
pub async fn reseal_all(
    database: &Database,
    vault: &Vault,
    mut told: impl FnMut(Resealed),
) -> Result<Resealed, StoreError> {
    let mut done = Resealed::default();
    reseal_signing_keys(database, vault, &mut done).await?;
    for organization in organizations(database).await? {
        let mut tx = OrgTx::begin(database, organization).await?;
        let found = store::sealed::of_integrations(&mut tx, vault.current_key_id()).await?;
        reseal(&mut tx, vault, &found, &mut done).await?;
        tx.commit().await?;
        let mut place = None;
        loop {
            let mut tx = OrgTx::begin(database, organization).await?;
            let (found, next) =
                store::sealed::of_records(&mut tx, vault.current_key_id(), place.as_ref(), BATCH).await?;
            reseal(&mut tx, vault, &found, &mut done).await?;
            tx.commit().await?;
            told(done);
            if next.is_none() {
                break;
            }
            place = next;
        }
    }
    Ok(done)
}

/// How many values each key has sealed, by its id.
pub async fn standing(database: &Database) -> Result<BTreeMap<String, i64>, StoreError> {
    let mut all = {
        let mut tx = PlainTx::begin(database).await?;
        store::sealed::count_signing_keys_by_key(&mut tx).await?
    };
    for organization in organizations(database).await? {
        let mut tx = OrgTx::begin_reading(database, organization).await?;
        for (key_id, number) in store::sealed::count_by_key(&mut tx).await? {
            *all.entry(key_id).or_default() += number;
        }
    }
    Ok(all)
}

async fn organizations(database: &Database) -> Result<Vec<uuid::Uuid>, StoreError> {
    let mut tx = PlainTx::begin(database).await?;
    store::timers::organizations(&mut tx).await
}

async fn reseal_signing_keys(database: &Database, vault: &Vault, done: &mut Resealed) -> Result<(), StoreError> {
    let mut tx = PlainTx::begin(database).await?;
    for (kid, sealed) in store::sealed::signing_keys(&mut tx, vault.current_key_id()).await? {
        match sealed_anew(vault, &sealed, &keys::context(&kid)) {
            Ok(anew) => {
                let replaced = store::sealed::replace_signing_key(&mut tx, &kid, &sealed, &anew).await?;
                done.replaced += u64::from(replaced);
            }
            Err(_) => done.unreadable += 1,
        }
    }
    tx.commit().await
}

async fn reseal(tx: &mut OrgTx, vault: &Vault, found: &[SealedSecret], done: &mut Resealed) -> Result<(), StoreError> {
    for secret in found {
        match sealed_anew(vault, &secret.sealed, &context(&secret.of)) {
            Ok(anew) => done.replaced += u64::from(store::sealed::replace(tx, secret, &anew).await?),
            Err(_) => done.unreadable += 1,
        }
    }
    Ok(())
}

/// What a value is sealed for.
fn context(of: &Secret) -> String {
    match of {
        Secret::Credentials { integration_config_id } => settings::context(*integration_config_id),
        Secret::WebhookSecret { integration_config_id, id } => webhook_secrets::context(*integration_config_id, *id),
        Secret::Payload { integration_config_id, key } | Secret::NextPayload { integration_config_id, key } => {
            staging_context(*integration_config_id, key)
        }
    }
}

fn sealed_anew(vault: &Vault, sealed: &SealedBytes, context: &str) -> Result<SealedBytes, VaultError> {
    let read = Sealed { key_id: sealed.key_id.clone(), bytes: sealed.bytes.clone() };
    let anew = vault.seal(&vault.open(&read, context)?, context)?;
    Ok(SealedBytes { key_id: anew.key_id, bytes: anew.bytes })
}
