//! Passwords: Argon2id, away from the threads that serve requests, and the same work for an unknown e-mail address.

mod hasher;

use std::sync::LazyLock;

use argon2::password_hash::rand_core::OsRng;
use argon2::password_hash::{PasswordHash, PasswordHasher as _, PasswordVerifier as _, SaltString};
use tokio::sync::Semaphore;

use hasher::Hasher;

/// Hashes that are computed at once: each takes 19 MiB, which stay taken for the next one, and a core.
static PLACES: Semaphore = Semaphore::const_new(2);
/// Compared against where there is no such person, so that the answer takes as long.
static NOBODYS_HASH: LazyLock<Option<String>> = LazyLock::new(|| hash_now("nobody's password").ok());

/// Fewest characters of a new password.
pub const MIN_CHARS: usize = 12;
/// Most bytes of a password.
pub const MAX_BYTES: usize = 1024;

/// Why a password could not be hashed or compared.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// Too short or too long.
    #[error("a password has at least {MIN_CHARS} characters and at most {MAX_BYTES} bytes")]
    Length,
    /// The computation did not end as it should.
    #[error("the password could not be hashed: {0}")]
    Failed(String),
}

/// The Argon2id hash of a new password, in PHC form.
pub async fn hash(password: String) -> Result<String, PasswordError> {
    if password.chars().count() < MIN_CHARS || password.len() > MAX_BYTES {
        return Err(PasswordError::Length);
    }
    compute(move || hash_now(&password)).await
}

/// Whether a password belongs to a hash; without a hash the same work is done, and the answer is no.
pub async fn verify(password: String, hash: Option<String>) -> Result<bool, PasswordError> {
    if password.len() > MAX_BYTES {
        return Ok(false);
    }
    compute(move || {
        let known = hash.is_some();
        let Some(hash) = hash.as_deref().or(NOBODYS_HASH.as_deref()) else { return Ok(false) };
        let hash = PasswordHash::new(hash).map_err(|error| PasswordError::Failed(error.to_string()))?;
        Ok(Hasher.verify_password(password.as_bytes(), &hash).is_ok() && known)
    })
    .await
}

async fn compute<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, PasswordError> + Send + 'static,
) -> Result<T, PasswordError> {
    let place = PLACES.acquire().await.map_err(|error| PasswordError::Failed(error.to_string()))?;
    // Held by the work itself, which goes on when nobody waits for it any more.
    let computing = tokio::task::spawn_blocking(move || {
        let computed = work();
        drop(place);
        computed
    });
    computing.await.map_err(|error| PasswordError::Failed(error.to_string()))?
}

fn hash_now(password: &str) -> Result<String, PasswordError> {
    let salt = SaltString::generate(&mut OsRng);
    let hash = Hasher.hash_password(password.as_bytes(), &salt);
    hash.map(|hash| hash.to_string()).map_err(|error| PasswordError::Failed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_right_password_fits_and_no_other() {
        let hash = hash("correct horse battery".to_owned()).await.unwrap();
        assert!(hash.starts_with("$argon2id$"));
        assert!(verify("correct horse battery".to_owned(), Some(hash.clone())).await.unwrap());
        assert!(!verify("correct horse batterx".to_owned(), Some(hash)).await.unwrap());
    }

    #[tokio::test]
    async fn nobody_has_no_password() {
        assert!(!verify("nobody's password".to_owned(), None).await.unwrap());
    }

    #[tokio::test]
    async fn short_and_endless_passwords_are_refused() {
        assert!(matches!(hash("short".to_owned()).await, Err(PasswordError::Length)));
        assert!(matches!(hash("x".repeat(2000)).await, Err(PasswordError::Length)));
        assert!(!verify("x".repeat(2000), None).await.unwrap());
    }
}
