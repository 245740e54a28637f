//! The pool of the application role, and the transactions that are the only doors to the tables.

use std::time::Duration;

use sqlx::postgres::{PgConnection, PgListener, PgPoolOptions};
use sqlx::{PgPool, Postgres, Transaction};
use uuid::Uuid;

use crate::error::StoreError;

/// The application role's connections.
#[derive(Clone, Debug)]
pub struct Database {
    pool: PgPool,
}

impl Database {
    /// Connects, and refuses a role that is a superuser, bypasses row-level security, or owns the ledger.
    pub async fn connect(url: &str, max_connections: u32) -> Result<Self, StoreError> {
        let pool = PgPoolOptions::new()
            .max_connections(max_connections)
            .acquire_timeout(Duration::from_secs(5))
            .connect(url)
            .await?;
        let database = Self { pool };
        database.check_role().await?;
        Ok(database)
    }

    async fn check_role(&self) -> Result<(), StoreError> {
        let (role, superuser, bypasses, owns): (String, bool, bool, bool) = sqlx::query_as(
            "
            SELECT current_user::text, rolsuper, rolbypassrls,
                   EXISTS (
                       SELECT FROM pg_class
                       WHERE relname IN ('sync_logs', 'integration_configs') AND pg_has_role(relowner, 'USAGE')
                   )
            FROM pg_roles WHERE rolname = current_user
            ",
        )
        .fetch_one(&self.pool)
        .await?;
        let may = match (superuser, bypasses, owns) {
            (true, _, _) => "is a superuser",
            (_, true, _) => "bypasses row-level security",
            (_, _, true) => "owns the ledger's tables",
            _ => return Ok(()),
        };
        Err(StoreError::UnsafeRole { role, may })
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query("SELECT 1").execute(&self.pool).await?;
        Ok(())
    }

    /// A connection of its own that hears `NOTIFY` on the channels.
    pub async fn listen(&self, channels: &[&str]) -> Result<PgListener, StoreError> {
        let mut listener = PgListener::connect_with(&self.pool).await?;
        listener.listen_all(channels.iter().copied()).await?;
        Ok(listener)
    }

    /// Makes the ledger's partitions around the present day, and returns how many were new.
    pub async fn ensure_partitions(&self, today: chrono::NaiveDate) -> Result<i32, StoreError> {
        Ok(sqlx::query_scalar("SELECT ensure_ledger_partitions($1)").bind(today).fetch_one(&self.pool).await?)
    }

    /// Closes every connection.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// A transaction in one organization: the only door to tenant tables. Dropped without commit, it rolls back.
#[derive(Debug)]
pub struct OrgTx {
    tx: Transaction<'static, Postgres>,
    organization_id: Uuid,
}

impl OrgTx {
    /// Begins a transaction that sees and writes this organization's rows alone.
    pub async fn begin(database: &Database, organization_id: Uuid) -> Result<Self, StoreError> {
        let mut tx = database.pool.begin().await?;
        sqlx::query("SELECT set_config('app.org_id', $1, true)")
            .bind(organization_id.to_string())
            .execute(&mut *tx)
            .await?;
        Ok(Self { tx, organization_id })
    }

    /// Lets the transaction see the person's own rows too.
    pub async fn set_person(&mut self, user_id: Uuid) -> Result<(), StoreError> {
        sqlx::query("SELECT set_config('app.user_id', $1, true)")
            .bind(user_id.to_string())
            .execute(&mut *self.tx)
            .await?;
        Ok(())
    }

    /// The organization.
    pub const fn organization_id(&self) -> Uuid {
        self.organization_id
    }

    /// Makes everything since the beginning durable.
    pub async fn commit(self) -> Result<(), StoreError> {
        Ok(self.tx.commit().await?)
    }

    pub(crate) fn conn(&mut self) -> &mut PgConnection {
        &mut self.tx
    }
}

/// A transaction outside any organization: it reaches non-tenant tables, and no row of a tenant table.
#[derive(Debug)]
pub struct PlainTx {
    tx: Transaction<'static, Postgres>,
}

impl PlainTx {
    /// Begins one.
    pub async fn begin(database: &Database) -> Result<Self, StoreError> {
        Ok(Self { tx: database.pool.begin().await? })
    }

    /// Lets the transaction see one person's own rows, for signing in.
    pub async fn set_person(&mut self, user_id: Uuid) -> Result<(), StoreError> {
        sqlx::query("SELECT set_config('app.user_id', $1, true)")
            .bind(user_id.to_string())
            .execute(&mut *self.tx)
            .await?;
        Ok(())
    }

    /// Makes everything since the beginning durable.
    pub async fn commit(self) -> Result<(), StoreError> {
        Ok(self.tx.commit().await?)
    }

    pub(crate) fn conn(&mut self) -> &mut PgConnection {
        &mut self.tx
    }
}
