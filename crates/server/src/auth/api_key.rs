//! Machines' keys: random secrets, shown once, compared by their hash in constant time.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use rand::RngCore as _;
use sha2::{Digest, Sha256};

/// A random opaque secret with a prefix that tells people and scanners what it is.
pub fn generate(prefix: &str) -> String {
    let mut bytes = [0; 32];
    rand::rng().fill_bytes(&mut bytes);
    format!("{prefix}{}", URL_SAFE_NO_PAD.encode(bytes))
}

/// The prefix of machines' secrets.
pub const SECRET_PREFIX: &str = "swk_";

/// SHA-256: enough for a secret that is random and long.
pub fn hash(secret: &str) -> Vec<u8> {
    Sha256::digest(secret.as_bytes()).to_vec()
}

/// Whether a secret belongs to a hash, in constant time.
pub fn fits(secret: &str, stored: &[u8]) -> bool {
    // Comparing two keyed hashes under a fresh key says nothing about where the inputs differ.
    let mut key = [0; 32];
    rand::rng().fill_bytes(&mut key);
    let Ok(keyed) = Hmac::<Sha256>::new_from_slice(&key) else { return false };
    let wanted = keyed.clone().chain_update(stored).finalize();
    keyed.chain_update(hash(secret)).verify_slice(&wanted.into_bytes()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_fits_its_own_hash_only() {
        let secret = generate(SECRET_PREFIX);
        assert!(secret.starts_with("swk_") && secret.len() > 40);
        assert!(fits(&secret, &hash(&secret)));
        assert!(!fits(&generate(SECRET_PREFIX), &hash(&secret)));
        assert!(!fits(&secret, &[]));
    }
}
