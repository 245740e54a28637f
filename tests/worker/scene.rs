//! A server of its own for every test, with one administrator and a clock that can be moved.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Context as _;
use chrono::{DateTime, Duration, Utc};
use serde_json::{Value, json};
use server::config::{MasterKey, Secret};
use server::connection_file::{ConnectionFile, Connections};
use server::serve::{Parts, spawn_parts};
use server::{Clock, Config, Running};
use sqlx::postgres::PgPool;
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Decode, Postgres, Row as _, Transaction, Type};
use store::admin::{AdminConnection, NewUser};
use tempfile::TempDir;
use tests::database::Database;
use tests::peers::Books;
use tests::server::program;
use tests::story::{Caller, items, until};
use uuid::Uuid;

const PASSWORD: &str = "correct horse battery staple";
const ORGANIZATION: &str = "Forening";

/// A running server and what a test needs beside it.
pub struct Scene {
    /// The first administrator.
    pub admin: Caller,
    /// The clock of every part of the server.
    pub clock: Clock,
    config: Config,
    running: Vec<Running>,
    database: Database,
    pool: PgPool,
    _data: TempDir,
}

impl Scene {
    /// The first administrator's address.
    pub const ADMIN: &'static str = "admin@example.org";

    /// With the machine's time.
    pub async fn start() -> anyhow::Result<Self> {
        Self::with(Clock::system(), |_| {}).await
    }

    /// With a clock that stands still. (The server starts in the present, for which the database makes partitions.)
    pub async fn standing_still_at(moment: DateTime<Utc>) -> anyhow::Result<Self> {
        let mut scene = Self::standing_still(|_| {}).await?;
        scene.clock.set(moment);
        scene.sign_in_again().await?;
        Ok(scene)
    }

    /// With a clock that stands still in the present, and other settings.
    pub async fn standing_still(change: impl FnOnce(&mut Config)) -> anyhow::Result<Self> {
        Self::with(Clock::fixed(Clock::system().now()), change).await
    }

    /// With other settings.
    pub async fn configured(change: impl FnOnce(&mut Config)) -> anyhow::Result<Self> {
        Self::with(Clock::system(), change).await
    }

    /// With a clock that lags behind, so that it can be moved on, past a lease for example: the database has its own, and
    /// takes no sync from the future.
    pub async fn before_now(lag: Duration) -> anyhow::Result<Self> {
        let mut scene = Self::start().await?;
        scene.clock.advance(-lag);
        scene.sign_in_again().await?;
        Ok(scene)
    }

    async fn with(clock: Clock, change: impl FnOnce(&mut Config)) -> anyhow::Result<Self> {
        let database = Database::create().await?;
        let data = tempfile::tempdir()?;
        let mut config = Config::for_tests(&database.app_url, data.path());
        change(&mut config);
        make_person(&database, ORGANIZATION, Self::ADMIN, "en").await?;
        let running = spawn_parts(config.clone(), clock.clone(), Parts::ALL).await?;
        let base = format!("http://{}", running.addr);
        Ok(Self {
            admin: Caller::sign_in(&base, Self::ADMIN, PASSWORD).await?,
            clock,
            config,
            running: vec![running],
            pool: PgPool::connect(&database.superuser_url).await?,
            database,
            _data: data,
        })
    }

    fn base(&self) -> String {
        format!("http://{}", self.running[0].addr)
    }

    /// Makes another administrator.
    pub async fn person(&self, email: &str, language: &str) -> anyhow::Result<Caller> {
        make_person(&self.database, ORGANIZATION, email, language).await?;
        Caller::sign_in(&self.base(), email, PASSWORD).await
    }

    /// Makes an administrator of another organization.
    pub async fn stranger(&self, organization: &str, email: &str) -> anyhow::Result<Caller> {
        make_person(&self.database, organization, email, "en").await?;
        Caller::sign_in(&self.base(), email, PASSWORD).await
    }

    /// Signs the administrator in again, whose token has run out when the clock was moved.
    pub async fn sign_in_again(&mut self) -> anyhow::Result<()> {
        self.admin = Caller::sign_in(&self.base(), Self::ADMIN, PASSWORD).await?;
        Ok(())
    }

    /// Starts a second worker on the same database.
    pub async fn another_worker(&mut self) -> anyhow::Result<()> {
        let parts = Parts { http: false, worker: true };
        self.running.push(spawn_parts(self.config.clone(), self.clock.clone(), parts).await?);
        Ok(())
    }

    /// Tells every part to end, as a deployment does; the test may go on beside it.
    pub fn end(&mut self) -> impl Future<Output = ()> + use<> {
        let ending = std::mem::take(&mut self.running);
        async move {
            for running in ending {
                running.stop().await;
            }
        }
    }

    /// Starts the server again after its end.
    pub async fn start_again(&mut self) -> anyhow::Result<()> {
        self.running.push(spawn_parts(self.config.clone(), self.clock.clone(), Parts::ALL).await?);
        self.sign_in_again().await
    }

    /// Gives the server these master keys from its next start on.
    pub fn set_master_keys(&mut self, keys: &str) {
        self.config.master_key = MasterKey::Given(Secret::new(keys.to_owned()));
    }

    /// The program on the same database, with these master keys.
    pub fn command(&self, argument: &str, keys: &str) -> anyhow::Result<Command> {
        let mut command = Command::new(program()?);
        command.arg(argument).env("DATABASE_URL", &self.database.app_url);
        command.env("SYNCWATCH_MASTER_KEY", keys).env("SYNCWATCH_LOG", "error");
        Ok(command)
    }

    /// The program beside the same database as if a server had embedded it, with these master keys, or with none. What tells
    /// the program of the database is taken away with the second value.
    pub fn command_beside(&self, argument: &str, keys: Option<&str>) -> anyhow::Result<(Command, ConnectionFile)> {
        let (app_url, owner_url) = (self.database.app_url.clone(), self.database.superuser_url.clone());
        let file = Connections { app_url, owner_url }.write(&self.config.data_dir)?;
        let mut command = Command::new(program()?);
        command.arg(argument).env_remove("DATABASE_URL").env_remove("SYNCWATCH_MASTER_KEY");
        command.env("SYNCWATCH_DATA_DIR", &self.config.data_dir).env("SYNCWATCH_LOG", "error");
        if let Some(keys) = keys {
            command.env("SYNCWATCH_MASTER_KEY", keys);
        }
        Ok((command, file))
    }

    /// Where an embedded database's master key would be.
    pub fn master_key_path(&self) -> PathBuf {
        self.config.master_key_path()
    }

    /// Keeps rows as they are until the transaction ends: who would change one waits.
    pub async fn hold(&self, rows: &'static str) -> anyhow::Result<Transaction<'static, Postgres>> {
        let mut held = self.pool.begin().await?;
        sqlx::query(rows).execute(&mut *held).await?;
        Ok(held)
    }

    /// Keeps every lease as it is until the transaction ends: who would extend or close one waits.
    pub async fn hold_leases(&self) -> anyhow::Result<Transaction<'static, Postgres>> {
        self.hold("SELECT 1 FROM active_syncs FOR UPDATE").await
    }

    /// Waits until so many transactions wait for a lock.
    pub async fn until_waiting(&self, number: i64) -> anyhow::Result<()> {
        until("transactions wait for a lock", async || {
            let waiting: i64 = self
                .one(
                    "
                    SELECT count(*) FROM pg_stat_activity
                    WHERE datname = current_database() AND wait_event_type = 'Lock'
                    ",
                )
                .await?;
            Ok((waiting >= number).then_some(()))
        })
        .await
    }

    /// Changes the database as its superuser.
    pub async fn execute(&self, statements: &'static str) -> anyhow::Result<()> {
        sqlx::raw_sql(statements).execute(&self.pool).await?;
        Ok(())
    }

    /// One value from the database, as a superuser sees it.
    pub async fn one<T>(&self, query: &'static str) -> anyhow::Result<T>
    where
        T: Send + Unpin + for<'r> Decode<'r, Postgres> + Type<Postgres>,
    {
        let row: PgRow = sqlx::query(query).fetch_one(&self.pool).await?;
        Ok(row.try_get(0)?)
    }

    /// Records that a sync has under way.
    pub async fn claims(&self) -> anyhow::Result<i64> {
        self.one("SELECT count(*) FROM sync_claims").await
    }

    /// Attempts that wait or run.
    pub async fn active_syncs(&self) -> anyhow::Result<i64> {
        self.one("SELECT count(*) FROM active_syncs").await
    }

    /// E-mails in a state.
    pub async fn emails(&self, state: &str) -> anyhow::Result<i64> {
        let count = sqlx::query_scalar("SELECT count(*) FROM email_outbox WHERE state = $1");
        Ok(count.bind(state).fetch_one(&self.pool).await?)
    }

    /// Staged payloads that are kept.
    pub async fn sealed_payloads(&self) -> anyhow::Result<i64> {
        self.one("SELECT count(*) FROM source_records WHERE payload_sealed IS NOT NULL").await
    }

    /// The tables in which some row holds a text, as it is or as the bytes of a binary column.
    pub async fn tables_that_hold(&self, text: &str) -> anyhow::Result<Vec<String>> {
        let tables: Vec<String> = sqlx::query_scalar(
            "
            SELECT format('%I', relname) FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
            WHERE relkind = 'r' AND nspname = 'public'
            ",
        )
        .fetch_all(&self.pool)
        .await?;
        anyhow::ensure!(tables.len() > 10, "there are tables to search");
        let mut found = Vec::new();
        for table in tables {
            let query = format!(
                "
                SELECT EXISTS (
                    SELECT FROM {table} t
                    WHERE strpos(t::text, $1) > 0 OR strpos(t::text, encode(convert_to($1, 'UTF8'), 'hex')) > 0
                )
                "
            );
            let holds: bool = sqlx::query_scalar(AssertSqlSafe(query)).bind(text).fetch_one(&self.pool).await?;
            if holds {
                found.push(table);
            }
        }
        Ok(found)
    }

    /// An integration's incidents.
    pub async fn incidents(&self, integration: Uuid) -> anyhow::Result<Vec<Value>> {
        items(&self.admin.get(&format!("/incidents?integration_config_id={integration}")).await?.ok()?)
    }

    /// Ends every part in order, and with them the database.
    pub async fn stop(self) {
        for running in self.running {
            running.stop().await;
        }
        self.pool.close().await;
    }
}

/// Where tests begin that move the clock on: the database has its own, and takes no sync from the future.
pub fn days_ago(days: i64) -> DateTime<Utc> {
    Clock::system().now() - Duration::days(days)
}

/// Settings of an integration that waits for held answers for longer than a test lets it wait.
pub fn patient(books: &Books) -> Value {
    json!({ "url": books.url("/claims"), "timeout_ms": 120_000 })
}

async fn make_person(database: &Database, organization: &str, email: &str, language: &str) -> anyhow::Result<()> {
    let password_hash = server::auth::password::hash(PASSWORD.to_owned()).await.context("hashing the password")?;
    let mut owner = AdminConnection::connect(&database.superuser_url).await?;
    let organization = owner.organization(organization).await?;
    let user = NewUser { email, name: "Admin", password_hash: &password_hash, language, role: "org_admin" };
    owner.user(organization, &user).await?;
    Ok(())
}
