//! People: signing in, and their own settings.

use sqlx::FromRow;
use uuid::Uuid;

use crate::database::PlainTx;
use crate::error::StoreError;

/// What signing in needs to know.
#[derive(Clone, FromRow)]
pub struct Login {
    /// The person.
    pub user_id: Uuid,
    /// Argon2id hash in PHC form.
    pub password_hash: String,
}

/// A person as they see themselves.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct Profile {
    /// The person's id.
    pub id: Uuid,
    /// E-mail address.
    pub email: String,
    /// Display name.
    pub name: String,
    /// `en`, `nb` or `nn`.
    pub language: String,
    /// Whether incidents are told by e-mail.
    pub email_on_incident: bool,
}

/// Finds who signs in with an e-mail address, in any letter case.
pub async fn find_login(tx: &mut PlainTx, email: &str) -> Result<Option<Login>, StoreError> {
    Ok(sqlx::query_as("SELECT user_id, password_hash FROM login_lookup($1)")
        .bind(email)
        .fetch_optional(tx.conn())
        .await?)
}

/// The person's own profile; the transaction's person must be set.
pub async fn profile(tx: &mut PlainTx, user_id: Uuid) -> Result<Option<Profile>, StoreError> {
    Ok(sqlx::query_as("SELECT id, email, name, language, email_on_incident FROM users WHERE id = $1")
        .bind(user_id)
        .fetch_optional(tx.conn())
        .await?)
}

/// Changes the person's own settings, those given; the transaction's person must be set.
pub async fn update_settings(
    tx: &mut PlainTx,
    user_id: Uuid,
    language: Option<&str>,
    email_on_incident: Option<bool>,
) -> Result<(), StoreError> {
    sqlx::query(
        "
        UPDATE users
        SET language = coalesce($2, language), email_on_incident = coalesce($3, email_on_incident)
        WHERE id = $1
        ",
    )
    .bind(user_id)
    .bind(language)
    .bind(email_on_incident)
    .execute(tx.conn())
    .await?;
    Ok(())
}
