//! The pool of the application role, and the transactions that are the only doors to the tables.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgConnection, PgListener, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection as _, PgPool, Postgres, Transaction};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

use crate::error::StoreError;

/// A connection that rested no longer than this answered a moment ago, when it was given back; another question would
/// cost every transaction a round trip.
const FRESH: Duration = Duration::from_millis(100);

/// The application role's connections.
#[derive(Clone, Debug)]
pub struct Database {
    pool: PgPool,
    share: Option<Arc<Semaphore>>,
}

impl Database {
    /// Connects with up to so many connections, and lets nobody wait for one longer than `patience`. Refuses a role that is a superuser, bypasses row-level security, or owns the ledger.
    pub async fn connect(url: &str, max_connections: u32, patience: Duration) -> Result<Self, StoreError> {
        let pool = PgPoolOptions::new()
            .max_connections(max_connections)
            .acquire_timeout(patience)
            .test_before_acquire(false)
            .before_acquire(|connection, rested| {
                Box::pin(async move { Ok(rested.idle_for <= FRESH || connection.ping().await.is_ok()) })
            })
            .after_release(|connection, _| {
                Box::pin(async move {
                    // One large statement is not to take its memory for as long as the connection lives.
                    connection.shrink_buffers();
                    Ok(true)
                })
            })
            .connect(url)
            .await?;
        let database = Self { pool, share: None };
        database.check_role().await?;
        Ok(database)
    }

    /// The same connections, of which all transactions begun through it (and its clones) hold no more than so many at a
    /// time. The others wait, for as long as it takes.
    #[must_use]
    pub fn sharing(&self, most: usize) -> Self {
        Self { pool: self.pool.clone(), share: Some(Arc::new(Semaphore::new(most.max(1)))) }
    }

    /// The same connections, and all of them: for what is not to wait for those that share.
    #[must_use]
    pub fn whole(&self) -> Self {
        Self { pool: self.pool.clone(), share: None }
    }

    /// A place in the share, if this is one.
    async fn place(&self) -> Option<OwnedSemaphorePermit> {
        let share = self.share.clone()?;
        // Nobody closes it.
        share.acquire_owned().await.ok()
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

/// Begins a transaction to its end, also when nobody waits for it any more. Dropped between the statement and its answer,
/// the connection would go back to the pool within a transaction that nobody knows of, and in some organization.
async fn whole(
    begin: impl Future<Output = Result<Transaction<'static, Postgres>, sqlx::Error>> + Send + 'static,
) -> Result<Transaction<'static, Postgres>, StoreError> {
    Ok(tokio::spawn(begin).await.unwrap_or(Err(sqlx::Error::WorkerCrashed))?)
}

/// A transaction in one organization: the only door to tenant tables. Dropped without commit, it rolls back.
#[derive(Debug)]
pub struct OrgTx {
    tx: Transaction<'static, Postgres>,
    organization_id: Uuid,
    /// Given back after the connection.
    _place: Option<OwnedSemaphorePermit>,
}

impl OrgTx {
    /// Begins a transaction that sees and writes this organization's rows alone.
    pub async fn begin(database: &Database, organization_id: Uuid) -> Result<Self, StoreError> {
        Self::begin_as(database, organization_id, "BEGIN").await
    }

    /// The same, and once it is committed, not even the end of the database forgets it, whatever its operator has set for
    /// the sake of speed: for what something outside the database depends on. What was committed before it is as safe then.
    pub async fn begin_durable(database: &Database, organization_id: Uuid) -> Result<Self, StoreError> {
        Self::begin_as(database, organization_id, "BEGIN; SET LOCAL synchronous_commit = on").await
    }

    /// Begins a transaction that sees this organization's rows alone and can write none.
    pub async fn begin_reading(database: &Database, organization_id: Uuid) -> Result<Self, StoreError> {
        Self::begin_as(database, organization_id, "BEGIN READ ONLY").await
    }

    async fn begin_as(database: &Database, organization_id: Uuid, begin: &str) -> Result<Self, StoreError> {
        // Every statement finds its rows by an index, whatever its parameters are. PostgreSQL would plan each anew every
        // time, over all partitions, which takes many times as long as running it. And it would read a table from end to
        // end, for as long as the connection lives, if the table was empty when the plan was made: those of triggers too.
        // What has no index after all looks so expensive then that it would be compiled first.
        // All in one round trip, which takes no parameters; a UUID's text holds nothing but digits and hyphens.
        let begin = format!(
            "{begin}; SELECT set_config('app.org_id', '{organization_id}', true),
             set_config('plan_cache_mode', 'force_generic_plan', true), set_config('enable_seqscan', 'off', true),
             set_config('jit', 'off', true)"
        );
        let place = database.place().await;
        let pool = database.pool.clone();
        let tx = whole(async move { pool.begin_with(AssertSqlSafe(begin)).await }).await?;
        Ok(Self { tx, organization_id, _place: place })
    }

    /// Begins a transaction that only reads, and sees everything at one moment.
    pub async fn begin_snapshot(database: &Database, organization_id: Uuid) -> Result<Self, StoreError> {
        // Held before the moment is chosen: a month that left between the two would be missing in the ledger, and not
        // yet be in the archive.
        let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; LOCK TABLE ONLY sync_logs IN ACCESS SHARE MODE";
        Self::begin_as(database, organization_id, begin).await
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
    /// Given back after the connection.
    _place: Option<OwnedSemaphorePermit>,
}

impl PlainTx {
    /// Begins one.
    pub async fn begin(database: &Database) -> Result<Self, StoreError> {
        let place = database.place().await;
        let pool = database.pool.clone();
        Ok(Self { tx: whole(async move { pool.begin().await }).await?, _place: place })
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
