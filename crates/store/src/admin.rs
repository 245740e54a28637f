//! What only the owner may do: making organizations, people and keys, from the command line.

use chrono::{DateTime, Utc};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Executor as _};
use uuid::Uuid;

use crate::error::StoreError;

/// A connection as the owner.
pub struct AdminConnection {
    connection: PgConnection,
}

/// A person to be made.
pub struct NewUser<'a> {
    /// E-mail address, unique over all organizations.
    pub email: &'a str,
    /// Display name.
    pub name: &'a str,
    /// Argon2id hash in PHC form.
    pub password_hash: &'a str,
    /// `en`, `nb` or `nn`.
    pub language: &'a str,
    /// `org_viewer`, `org_admin` or `global_admin`.
    pub role: &'a str,
}

impl AdminConnection {
    /// Connects as a role that may act as the owner.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        let options: PgConnectOptions = url.parse().map_err(StoreError::Other)?;
        let mut connection = options.disable_statement_logging().connect().await?;
        connection.execute(AssertSqlSafe(format!("SET ROLE {}", crate::migrate::OWNER))).await?;
        Ok(Self { connection })
    }

    /// The organization of that name, made if there is none.
    pub async fn organization(&mut self, name: &str) -> Result<Uuid, StoreError> {
        sqlx::query("INSERT INTO organizations (organization_id, name) VALUES ($1, $2) ON CONFLICT DO NOTHING")
            .bind(Uuid::now_v7())
            .bind(name)
            .execute(&mut self.connection)
            .await?;
        Ok(sqlx::query_scalar("SELECT organization_id FROM organizations WHERE lower(name) = lower($1)")
            .bind(name)
            .fetch_one(&mut self.connection)
            .await?)
    }

    /// Every organization with its name.
    pub async fn organizations(&mut self) -> Result<Vec<(Uuid, String)>, StoreError> {
        Ok(sqlx::query_as("SELECT organization_id, name FROM organizations ORDER BY lower(name)")
            .fetch_all(&mut self.connection)
            .await?)
    }

    /// Makes a person and their membership; a known e-mail address keeps its password and joins.
    pub async fn user(&mut self, organization_id: Uuid, user: &NewUser<'_>) -> Result<Uuid, StoreError> {
        sqlx::query(
            "
            INSERT INTO users (id, email, name, password_hash, language) VALUES ($1, $2, $3, $4, $5)
            ON CONFLICT DO NOTHING
            ",
        )
        .bind(Uuid::now_v7())
        .bind(user.email)
        .bind(user.name)
        .bind(user.password_hash)
        .bind(user.language)
        .execute(&mut self.connection)
        .await?;
        let id: Uuid = sqlx::query_scalar("SELECT id FROM users WHERE lower(email) = lower($1)")
            .bind(user.email)
            .fetch_one(&mut self.connection)
            .await?;
        sqlx::query(
            "
            INSERT INTO memberships (organization_id, user_id, role) VALUES ($1, $2, $3)
            ON CONFLICT (organization_id, user_id) DO UPDATE SET role = excluded.role
            ",
        )
        .bind(organization_id)
        .bind(id)
        .bind(user.role)
        .execute(&mut self.connection)
        .await?;
        Ok(id)
    }

    /// Makes a machine's key; its secret is known to the caller alone.
    pub async fn api_key(
        &mut self,
        organization_id: Uuid,
        name: &str,
        secret_hash: &[u8],
        scopes: &[String],
        now: DateTime<Utc>,
    ) -> Result<Uuid, StoreError> {
        let id = Uuid::now_v7();
        sqlx::query(
            "
            INSERT INTO api_keys (organization_id, id, name, secret_hash, scopes, created_at)
            VALUES ($1, $2, $3, $4, $5, $6)
            ",
        )
        .bind(organization_id)
        .bind(id)
        .bind(name)
        .bind(secret_hash)
        .bind(scopes)
        .bind(now)
        .execute(&mut self.connection)
        .await?;
        Ok(id)
    }
}
