//! An organization's own database of claims, in the cluster for tests: what Syncwatch reads by queries.

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use reqwest::Url;
use serde_json::{Value, json};
use sqlx::postgres::PgPoolOptions;
use sqlx::{AssertSqlSafe, PgPool};

use crate::database::ForeignDatabase;
use crate::story::{CLAIM, Claim};

/// The password of the role that may only read the claims.
pub const READER_PASSWORD: &str = "what the reader of claims shows";
/// The columns that Syncwatch is told of.
const COLUMNS: &str = "SELECT id, label, total AS amount, currency, payload FROM claims";

/// A database with claims; it is dropped with the value.
#[derive(Debug)]
pub struct ClaimsDatabase {
    superuser: PgPool,
    database: ForeignDatabase,
}

impl ClaimsDatabase {
    /// Makes one with these claims.
    pub async fn start(claims: &[Claim]) -> anyhow::Result<Self> {
        let database = ForeignDatabase::create().await?;
        let superuser = PgPoolOptions::new().max_connections(2).connect(&database.superuser_url).await?;
        let made = Self { superuser, database };
        // Roles are the cluster's: another test may have made it, or be making it just now.
        let role = format!(
            "
            DO $$
            BEGIN
                CREATE ROLE syncwatch_test_reader LOGIN PASSWORD '{READER_PASSWORD}';
            EXCEPTION
                WHEN duplicate_object OR unique_violation THEN NULL;
            END
            $$
            "
        );
        sqlx::raw_sql(AssertSqlSafe(role)).execute(&made.superuser).await?;
        made.execute(
            "
            CREATE TABLE claims (
                id uuid PRIMARY KEY, label text NOT NULL, total numeric(12, 2) NOT NULL, currency text NOT NULL,
                payload jsonb NOT NULL, changed_at timestamptz NOT NULL
            )
            ",
        )
        .await?;
        made.hold(claims, None).await?;
        Ok(made)
    }

    /// From now on it has these claims and no others, as they were changed at a moment; without one, at every moment.
    pub async fn hold(&self, claims: &[Claim], changed_at: Option<DateTime<Utc>>) -> anyhow::Result<()> {
        let mut all = self.superuser.begin().await?;
        sqlx::query("DELETE FROM claims").execute(&mut *all).await?;
        for claim in claims {
            let text = |member: &str| claim.payload[member].as_str().unwrap_or_default();
            sqlx::query(
                "
                INSERT INTO claims (id, label, total, currency, payload, changed_at)
                VALUES ($1, $2, $3::text::numeric, $4, $5, coalesce($6::timestamptz, 'infinity'))
                ",
            )
            .bind(claim.id)
            .bind(format!("Claim {}", text("claim_number")))
            .bind(text("amount"))
            .bind(text("currency"))
            .bind(&claim.payload)
            .bind(changed_at)
            .execute(&mut *all)
            .await?;
        }
        sqlx::query("GRANT SELECT ON claims TO syncwatch_test_reader").execute(&mut *all).await?;
        Ok(all.commit().await?)
    }

    /// From now on the claims cannot be read.
    pub async fn break_down(&self) -> anyhow::Result<()> {
        self.execute("REVOKE SELECT ON claims FROM syncwatch_test_reader").await
    }

    /// Changes the database as its superuser.
    pub async fn execute(&self, statements: &'static str) -> anyhow::Result<()> {
        sqlx::raw_sql(statements).execute(&self.superuser).await?;
        Ok(())
    }

    /// A number from the database.
    pub async fn count(&self, query: &'static str) -> anyhow::Result<i64> {
        Ok(sqlx::query_scalar(query).fetch_one(&self.superuser).await?)
    }

    /// How Syncwatch is told to read it, so many records at a time.
    pub fn settings(&self, at_a_time: usize) -> anyhow::Result<Value> {
        let url: Url = self.database.superuser_url.parse()?;
        Ok(json!({
            "kind": "postgresql", "type": CLAIM, "host": url.host_str().context("a host")?,
            "port": url.port().unwrap_or(5432), "database": url.path().trim_start_matches('/'), "tls": "disable",
            "page_size": at_a_time, "list_query": format!("{COLUMNS} WHERE changed_at >= $1"),
            "fetch_query": format!("{COLUMNS} WHERE id = $1"),
        }))
    }

    /// What a reader shows, who may only read the claims.
    pub fn reader() -> Value {
        json!({ "type": "basic", "username": "syncwatch_test_reader", "password": READER_PASSWORD })
    }

    /// What a superuser shows.
    pub fn owner(&self) -> anyhow::Result<Value> {
        let url: Url = self.database.superuser_url.parse()?;
        Ok(json!({
            "type": "basic", "username": url.username(), "password": url.password().context("a password")?,
        }))
    }
}
