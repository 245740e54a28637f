//! Each rule of the ledger, tried with plain SQL: as the application on the tables, on partitions by name, and as the
//! other roles. What the API checks first must hold without it.

mod attempts;
mod claims;
mod fields;
mod filled;
mod immutable;
mod outcomes;
mod partitions;
mod records;
mod roles;
mod shadows;
mod story;
mod systems;
mod transitions;

use chrono::{DateTime, Duration, Utc};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};
use uuid::{NoContext, Timestamp, Uuid};

use crate::scene::Scene;

/// What refuses a rule that is broken.
const RULE: &str = "23514";
/// What refuses a role.
const NOT_PERMITTED: &str = "42501";

/// Why a statement was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Refused {
    /// SQLSTATE.
    code: String,
    /// Name of the constraint or rule; empty without one.
    rule: String,
}

impl Refused {
    fn by(code: &str, rule: &str) -> Self {
        Self { code: code.to_owned(), rule: rule.to_owned() }
    }

    /// By a rule of the ledger.
    fn rule(rule: &str) -> Self {
        Self::by(RULE, rule)
    }
}

/// The application's role in the second organization, and the roles beside it.
struct Db {
    scene: Scene,
    app: PgConnection,
    organization: Uuid,
    integration: Uuid,
}

impl Db {
    async fn new() -> Self {
        let scene = Scene::new().await;
        let app = PgConnection::connect(&scene.server.database.app_url).await.unwrap();
        let (organization, integration) = (scene.theirs.organization.id, scene.theirs.integration);
        let mut db = Self { scene, app, organization, integration };
        db.within(Some(organization)).await;
        db
    }

    /// Moves the application's session to an organization, or out of any.
    async fn within(&mut self, organization: Option<Uuid>) {
        let text = organization.map(|id| id.to_string()).unwrap_or_default();
        let set = sqlx::query("SELECT set_config('app.org_id', $1, false)").bind(text);
        set.execute(&mut self.app).await.unwrap();
    }

    /// A session of another role.
    async fn role(&self, role: &str) -> PgConnection {
        let mut session = PgConnection::connect(&self.scene.server.database.superuser_url).await.unwrap();
        session.execute(AssertSqlSafe(format!("SET SESSION AUTHORIZATION {role}"))).await.unwrap();
        session
    }

    /// Runs statements of the application in one transaction; they must pass.
    async fn run(&mut self, statements: impl AsRef<str>) {
        let batch = format!("BEGIN; {}; COMMIT", statements.as_ref());
        if let Err(error) = sqlx::raw_sql(AssertSqlSafe(batch)).execute(&mut self.app).await {
            panic!("{}: {error}", statements.as_ref());
        }
    }

    /// What becomes of statements of the application in one transaction that is rolled back: deferred rules are asked too.
    async fn tried(&mut self, statements: impl AsRef<str>) -> Result<(), Refused> {
        tried(&mut self.app, statements.as_ref()).await
    }

    /// Why statements of the application are refused, which they must be.
    async fn refused(&mut self, statements: impl AsRef<str>) -> Refused {
        match self.tried(&statements).await {
            Ok(()) => panic!("{} was not refused", statements.as_ref()),
            Err(refused) => refused,
        }
    }

    /// A column's value of one row, as text, as a superuser sees it.
    async fn read(&self, query: String) -> Option<String> {
        sqlx::query_scalar(AssertSqlSafe(query)).fetch_one(&self.scene.superuser).await.unwrap()
    }

    /// Names and types of a table's columns, from the catalog, so that a new one cannot be forgotten.
    async fn columns(&self, table: &str) -> Vec<(String, String)> {
        let columns: Vec<(String, String)> = sqlx::query_as(
            "
            SELECT column_name::text, data_type::text FROM information_schema.columns
            WHERE table_schema = 'public' AND table_name = $1 ORDER BY ordinal_position
            ",
        )
        .bind(table)
        .fetch_all(&self.scene.superuser)
        .await
        .unwrap();
        assert!(columns.len() > 5, "{table}: {columns:?}");
        columns
    }
}

/// Runs statements in a transaction that is rolled back in the end.
async fn tried(session: &mut PgConnection, statements: &str) -> Result<(), Refused> {
    let batch = format!("BEGIN; {statements}; SET CONSTRAINTS ALL IMMEDIATE");
    let outcome = sqlx::raw_sql(AssertSqlSafe(batch)).execute(&mut *session).await;
    session.execute("ROLLBACK").await.unwrap();
    outcome.map(drop).map_err(|error| {
        let Some(error) = error.as_database_error() else { panic!("{statements}: {error}") };
        let rule = error.constraint().unwrap_or_default().to_owned();
        Refused { code: error.code().unwrap_or_default().into_owned(), rule }
    })
}

/// A moment some minutes ago, in whole milliseconds.
fn minutes_ago(minutes: i64) -> DateTime<Utc> {
    server::Clock::system().now() - Duration::minutes(minutes)
}

/// A sync's id, made as the server makes it.
fn id_at(moment: DateTime<Utc>) -> Uuid {
    let seconds = u64::try_from(moment.timestamp()).unwrap();
    Uuid::new_v7(Timestamp::from_unix(NoContext, seconds, moment.timestamp_subsec_nanos()))
}

/// A literal.
fn quoted(value: impl std::fmt::Display) -> String {
    format!("'{value}'")
}

/// A moment as a literal.
fn at(moment: DateTime<Utc>) -> String {
    quoted(moment.to_rfc3339())
}

/// The partition of a table for a moment.
fn partition(table: &str, moment: DateTime<Utc>) -> String {
    format!("{table}_{}", moment.format("%Y_%m"))
}

/// A row to be inserted, column by column.
#[derive(Clone)]
struct Row {
    table: &'static str,
    moment: DateTime<Utc>,
    columns: Vec<(&'static str, String)>,
}

impl Row {
    /// With another value, as SQL.
    fn with(mut self, column: &'static str, value: impl Into<String>) -> Self {
        self.columns.retain(|(known, _)| *known != column);
        self.columns.push((column, value.into()));
        self
    }

    /// With several other values.
    fn and(self, changes: &[(&'static str, &str)]) -> Self {
        changes.iter().fold(self, |row, (column, value)| row.with(column, *value))
    }

    fn insert(&self) -> String {
        self.insert_into(self.table)
    }

    /// Into the partition, by its name.
    fn insert_by_name(&self) -> String {
        self.insert_into(&partition(self.table, self.moment))
    }

    fn insert_into(&self, table: &str) -> String {
        let (columns, values): (Vec<&str>, Vec<&str>) =
            self.columns.iter().map(|(column, value)| (*column, value.as_str())).unzip();
        format!("INSERT INTO {table} ({}) VALUES ({})", columns.join(", "), values.join(", "))
    }
}

/// A sync of the second organization that began at a moment and runs.
fn sync_at(db: &Db, moment: DateTime<Utc>) -> Row {
    Row {
        table: "sync_logs",
        moment,
        columns: vec![
            ("id", quoted(id_at(moment))),
            ("integration_config_id", quoted(db.integration)),
            ("organization_id", quoted(db.organization)),
            ("connector_type", "'xledger'".to_owned()),
            ("sync_type", "'accounting_push'".to_owned()),
            ("status", "'in_progress'".to_owned()),
            ("triggered_by", "'automatic'".to_owned()),
            ("started_at", at(moment)),
        ],
    }
}

/// A sync that ended well after five seconds.
fn success_at(db: &Db, moment: DateTime<Utc>) -> Row {
    let end = at(moment + Duration::seconds(5));
    sync_at(db, moment).with("status", "'success'").with("completed_at", end).with("duration_ms", "5000")
}

/// A value of a column that differs from the one it has.
fn another(column: &str, data_type: &str) -> String {
    match data_type {
        "uuid" => "gen_random_uuid()".to_owned(),
        "text" => format!("coalesce({column}, '') || 'x'"),
        "smallint" | "integer" | "bigint" | "numeric" => format!("coalesce({column}, 0) + 1"),
        "timestamp with time zone" => format!("coalesce({column}, now()) - interval '1 hour'"),
        "jsonb" => "'[{\"changed\": true}]'".to_owned(),
        "boolean" => format!("NOT {column}"),
        "bytea" => "'\\x00'".to_owned(),
        other => panic!("no other value is known for {column} of type {other}"),
    }
}
