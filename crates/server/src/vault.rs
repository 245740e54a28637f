//! Seals what is secret at rest: credentials, staged payloads, signing keys.
//!
//! XChaCha20-Poly1305 with a random nonce. The context (what the secret belongs to) is authenticated with it, so that a
//! sealed value copied to another row does not open there. Several master keys may be known at once: the first one
//! seals, every one opens, which is what makes rotation possible.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use rand::RngCore as _;
use sha2::{Digest, Sha256};

const NONCE_BYTES: usize = 24;
const KEY_BYTES: usize = 32;

/// A sealed secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// Which master key sealed it.
    pub key_id: String,
    /// Nonce and ciphertext.
    pub bytes: Vec<u8>,
}

/// Why a master key or a sealed value was refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    /// The master key's text is not 32 bytes in base64.
    #[error("a master key is 32 bytes in base64")]
    MalformedKey,
    /// No master key was given.
    #[error("no master key was given")]
    NoKey,
    /// The value was sealed with a key that is not known here.
    #[error("the value was sealed with the master key {0}, which is not known here")]
    UnknownKey(String),
    /// The value is damaged or belongs to another context.
    #[error("the sealed value is damaged or belongs elsewhere")]
    Damaged,
    /// The value could not be sealed.
    #[error("the value could not be sealed")]
    Unsealable,
}

/// The master keys.
#[derive(Clone)]
pub struct Vault {
    keys: Arc<Vec<(String, XChaCha20Poly1305)>>,
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault").field("key_ids", &self.key_ids()).finish()
    }
}

impl Vault {
    /// Reads master keys, one in base64 per line or separated by commas; the first one seals.
    pub fn from_text(text: &str) -> Result<Self, VaultError> {
        let mut keys = Vec::new();
        for word in text.split([',', '\n', '\r', ' ']).filter(|word| !word.is_empty()) {
            let bytes = STANDARD.decode(word).map_err(|_| VaultError::MalformedKey)?;
            let bytes: [u8; KEY_BYTES] = bytes.try_into().map_err(|_| VaultError::MalformedKey)?;
            keys.push(entry(bytes));
        }
        if keys.is_empty() {
            return Err(VaultError::NoKey);
        }
        Ok(Self { keys: Arc::new(keys) })
    }

    /// A new random master key as text.
    pub fn generate_key() -> String {
        let mut bytes = [0; KEY_BYTES];
        rand::rng().fill_bytes(&mut bytes);
        STANDARD.encode(bytes)
    }

    /// The id of the key that seals.
    pub fn current_key_id(&self) -> &str {
        self.keys.first().map_or("", |(id, _)| id.as_str())
    }

    /// The ids of every key that opens, the one that seals first.
    pub fn key_ids(&self) -> Vec<&str> {
        self.keys.iter().map(|(id, _)| id.as_str()).collect()
    }

    /// Seals a secret for a context, such as `integration:<id>`.
    pub fn seal(&self, plain: &[u8], context: &str) -> Result<Sealed, VaultError> {
        let (key_id, cipher) = self.keys.first().ok_or(VaultError::NoKey)?;
        let mut nonce = [0; NONCE_BYTES];
        rand::rng().fill_bytes(&mut nonce);
        let payload = Payload { msg: plain, aad: context.as_bytes() };
        let ciphertext = cipher.encrypt(XNonce::from_slice(&nonce), payload).map_err(|_| VaultError::Unsealable)?;
        let mut bytes = nonce.to_vec();
        bytes.extend(ciphertext);
        Ok(Sealed { key_id: key_id.clone(), bytes })
    }

    /// Opens a sealed secret; the context must be the one it was sealed for.
    pub fn open(&self, sealed: &Sealed, context: &str) -> Result<Vec<u8>, VaultError> {
        let (_, cipher) = self
            .keys
            .iter()
            .find(|(id, _)| *id == sealed.key_id)
            .ok_or_else(|| VaultError::UnknownKey(sealed.key_id.clone()))?;
        let (nonce, ciphertext) = sealed.bytes.split_at_checked(NONCE_BYTES).ok_or(VaultError::Damaged)?;
        cipher
            .decrypt(XNonce::from_slice(nonce), Payload { msg: ciphertext, aad: context.as_bytes() })
            .map_err(|_| VaultError::Damaged)
    }
}

/// A key under its id, which says nothing about the key itself.
fn entry(bytes: [u8; KEY_BYTES]) -> (String, XChaCha20Poly1305) {
    let digest = Sha256::new_with_prefix(b"syncwatch master key id").chain_update(bytes).finalize();
    (hex::encode(&digest[..6]), XChaCha20Poly1305::new(&bytes.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vault() -> Vault {
        Vault::from_text(&Vault::generate_key()).unwrap()
    }

    #[test]
    fn what_was_sealed_opens_in_its_context_only() {
        let vault = vault();
        let sealed = vault.seal(b"secret", "integration:1").unwrap();
        assert_eq!(vault.open(&sealed, "integration:1").unwrap(), b"secret");
        assert_eq!(vault.open(&sealed, "integration:2"), Err(VaultError::Damaged));
    }

    #[test]
    fn a_changed_byte_or_a_short_value_is_damaged() {
        let vault = vault();
        let mut sealed = vault.seal(b"secret", "x").unwrap();
        sealed.bytes[30] ^= 1;
        assert_eq!(vault.open(&sealed, "x"), Err(VaultError::Damaged));
        sealed.bytes.truncate(5);
        assert_eq!(vault.open(&sealed, "x"), Err(VaultError::Damaged));
    }

    #[test]
    fn an_older_key_still_opens_after_rotation() {
        let old = Vault::generate_key();
        let sealed = Vault::from_text(&old).unwrap().seal(b"secret", "x").unwrap();
        let rotated = Vault::from_text(&format!("{}\n{old}\n", Vault::generate_key())).unwrap();
        assert_ne!(rotated.current_key_id(), sealed.key_id);
        assert_eq!(rotated.open(&sealed, "x").unwrap(), b"secret");
        assert!(matches!(vault().open(&sealed, "x"), Err(VaultError::UnknownKey(_))));
    }

    #[test]
    fn two_seals_of_one_secret_differ() {
        let vault = vault();
        assert_ne!(vault.seal(b"s", "x").unwrap().bytes, vault.seal(b"s", "x").unwrap().bytes);
    }

    #[test]
    fn keys_of_the_wrong_size_are_refused() {
        assert_eq!(Vault::from_text("").err(), Some(VaultError::NoKey));
        assert_eq!(Vault::from_text("AAAA").err(), Some(VaultError::MalformedKey));
        assert_eq!(Vault::from_text("not base64!").err(), Some(VaultError::MalformedKey));
    }

    #[test]
    fn debug_shows_no_key() {
        let key = Vault::generate_key();
        assert!(!format!("{:?}", Vault::from_text(&key).unwrap()).contains(&key));
    }
}
