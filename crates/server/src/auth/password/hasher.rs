//! Argon2 in memory that is kept for the next hash.
//!
//! Given back after each hash, 19 MiB would teach the C library's allocator to keep as much at hand in every thread that
//! computes one, and everything else that is large with it: for good, and many times over.

use std::sync::{Mutex, PoisonError};

use argon2::password_hash::{self, Decimal, Ident, Output, ParamsString, PasswordHash, PasswordHasher, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};

/// What no hash is computed in now: as many as were computed at once.
static KEPT: Mutex<Vec<Vec<Block>>> = Mutex::new(Vec::new());

/// Computes as [`Argon2`] does.
pub(super) struct Hasher;

impl PasswordHasher for Hasher {
    type Params = Params;

    fn hash_password_customized<'a>(
        &self,
        password: &[u8],
        algorithm: Option<Ident<'a>>,
        version: Option<Decimal>,
        params: Params,
        salt: impl Into<Salt<'a>>,
    ) -> password_hash::Result<PasswordHash<'a>> {
        let algorithm = algorithm.map(Algorithm::try_from).transpose()?.unwrap_or_default();
        let version = version.map(Version::try_from).transpose()?.unwrap_or_default();
        let salt = salt.into();
        let mut decoded = [0; Salt::MAX_LENGTH];
        let salt_bytes = salt.decode_b64(&mut decoded)?;
        let mut memory = Memory::take(params.block_count());
        let argon2 = Argon2::new(algorithm, version, params.clone());
        let length = params.output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN);
        let output = Output::init_with(length, |out| {
            Ok(argon2.hash_password_into_with_memory(password, salt_bytes, out, &mut memory.0)?)
        })?;
        Ok(PasswordHash {
            algorithm: algorithm.ident(),
            version: Some(version.into()),
            params: ParamsString::try_from(&params)?,
            salt: Some(salt),
            hash: Some(output),
        })
    }
}

/// Memory in which one hash is computed; kept when it is dropped.
struct Memory(Vec<Block>);

impl Memory {
    fn take(blocks: usize) -> Self {
        let kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut memory = kept.unwrap_or_default();
        if memory.len() < blocks {
            memory.resize(blocks, Block::new());
        }
        Self(memory)
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // Nothing is left in it of a password.
        self.0.fill(Block::new());
        let memory = std::mem::take(&mut self.0);
        KEPT.lock().unwrap_or_else(PoisonError::into_inner).push(memory);
    }
}

#[cfg(test)]
mod tests {
    use argon2::password_hash::{PasswordVerifier as _, SaltString};

    use super::*;

    #[test]
    fn hashes_are_those_of_argon2_also_in_memory_that_was_used() {
        let salt = SaltString::encode_b64(b"sixteen bytes of").unwrap();
        for password in ["correct horse battery", "another horse battery"] {
            let theirs = Argon2::default().hash_password(password.as_bytes(), &salt).unwrap();
            let ours = Hasher.hash_password(password.as_bytes(), &salt).unwrap();
            assert_eq!(ours.to_string(), theirs.to_string());
            assert!(Hasher.verify_password(password.as_bytes(), &theirs).is_ok());
            assert!(Hasher.verify_password(b"a third horse battery", &theirs).is_err());
        }
    }

    #[test]
    fn a_hash_of_other_parameters_is_compared_by_its_own() {
        let salt = SaltString::encode_b64(b"sixteen bytes of").unwrap();
        for blocks in [8, 64, Params::DEFAULT_M_COST + 64] {
            let params = Params::new(blocks, 1, 1, None).unwrap();
            let theirs = Argon2::from(params).hash_password(b"password", &salt).unwrap();
            assert!(Hasher.verify_password(b"password", &theirs).is_ok());
            assert!(Hasher.verify_password(b"passwort", &theirs).is_err());
        }
    }
}
