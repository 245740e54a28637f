//! Making the roles and the schema.

mod indexes;

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _};

use crate::error::StoreError;

/// The roles' names; fixed, because policies and grants name them.
pub const OWNER: &str = "syncwatch_owner";
/// Serves requests and runs the worker.
pub const APP: &str = "syncwatch_app";
/// Reads across organizations, for operators.
pub const READER: &str = "syncwatch_reader";
/// Partitions and archive.
pub const MAINTENANCE: &str = "syncwatch_maintenance";

static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("../../migrations");

/// How often a process that waits for another one's migration asks whether it has ended.
const TURN_AGAIN: Duration = Duration::from_millis(100);

/// Passwords to give the roles; a role keeps its own where none is given.
#[derive(Clone, Default)]
pub struct RolePasswords {
    /// Of the owner.
    pub owner: Option<String>,
    /// Of the application.
    pub app: Option<String>,
    /// Of the global reader.
    pub reader: Option<String>,
    /// Of maintenance.
    pub maintenance: Option<String>,
}

/// Makes the roles, the database (if it is not there) and the schema, connected as a role that may create them.
/// Running it again changes nothing. The database that `admin_url` itself names has to be there.
pub async fn run(admin_url: &str, database: &str, passwords: &RolePasswords) -> Result<(), StoreError> {
    let options: PgConnectOptions = admin_url.parse().map_err(StoreError::Other)?;
    let admin = options.clone().disable_statement_logging().connect().await;
    let mut admin = admin.map_err(|error| connection_error(error, options.get_database().unwrap_or(database)))?;
    // Several processes may start at once.
    sqlx::query("SELECT pg_advisory_lock(hashtext('syncwatch_roles'))").execute(&mut admin).await?;
    make_role(&mut admin, OWNER, passwords.owner.as_deref()).await?;
    make_role(&mut admin, APP, passwords.app.as_deref()).await?;
    make_role(&mut admin, READER, passwords.reader.as_deref()).await?;
    make_role(&mut admin, MAINTENANCE, passwords.maintenance.as_deref()).await?;
    make_database(&mut admin, database).await?;
    sqlx::query("SELECT pg_advisory_unlock(hashtext('syncwatch_roles'))").execute(&mut admin).await?;
    admin.close().await?;

    let options = options.database(database).disable_statement_logging();
    let turn = take_turn(&options).await?;
    let mut owner = options.connect().await?;
    owner.execute(AssertSqlSafe(format!("SET ROLE {OWNER}"))).await?;
    indexes::build_beforehand(&mut owner, &MIGRATOR).await?;
    MIGRATOR.run(&mut owner).await.map_err(migration_error)?;
    owner.execute(AssertSqlSafe(format!("GRANT SELECT ON _sqlx_migrations TO {APP}"))).await?;
    owner.close().await?;
    turn.close().await?;
    Ok(())
}

/// Waits until no other process migrates, and keeps others waiting until the connection ends. Two that build indexes side
/// by side would each wait for the other to end what it sees.
///
/// Whoever waits asks again and again: within a statement it would see the tables as they were, and `CREATE INDEX
/// CONCURRENTLY` of the process that migrates would wait for it in turn.
async fn take_turn(options: &PgConnectOptions) -> Result<PgConnection, StoreError> {
    let mut turn = options.connect().await?;
    loop {
        let taken: bool = sqlx::query_scalar("SELECT pg_try_advisory_lock(hashtext('syncwatch_migrations'))")
            .fetch_one(&mut turn)
            .await?;
        if taken {
            return Ok(turn);
        }
        tokio::time::sleep(TURN_AGAIN).await;
    }
}

/// Whether the schema is the one this program was built with.
pub async fn is_current(database: &crate::Database) -> Result<bool, StoreError> {
    let mut tx = crate::PlainTx::begin(database).await?;
    let applied: Result<Vec<i64>, _> =
        sqlx::query_scalar("SELECT version FROM _sqlx_migrations WHERE success ORDER BY version")
            .fetch_all(tx.conn())
            .await;
    let wanted: Vec<i64> = MIGRATOR.iter().map(|migration| migration.version).collect();
    match applied {
        Ok(applied) => Ok(applied == wanted),
        // No such table: nothing was ever migrated.
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("42P01") => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Whoever migrates by an address of the very database makes it first.
fn connection_error(error: sqlx::Error, database: &str) -> StoreError {
    match error {
        sqlx::Error::Database(error) if error.code().as_deref() == Some("3D000") => {
            let quoted = format!("\"{}\"", database.replace('"', "\"\""));
            StoreError::NoDatabase { name: database.to_owned(), command: creation(&quoted), owner: OWNER }
        }
        other => other.into(),
    }
}

async fn make_role(admin: &mut PgConnection, role: &str, password: Option<&str>) -> Result<(), StoreError> {
    let known: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)")
        .bind(role)
        .fetch_one(&mut *admin)
        .await?;
    if !known {
        admin.execute(AssertSqlSafe(format!("CREATE ROLE {role} LOGIN"))).await?;
    }
    if let Some(password) = password {
        // ALTER ROLE takes no parameters; the server quotes the literal.
        let literal: String =
            sqlx::query_scalar("SELECT quote_literal($1)").bind(password).fetch_one(&mut *admin).await?;
        admin.execute(AssertSqlSafe(format!("ALTER ROLE {role} PASSWORD {literal}"))).await?;
    }
    let is_superuser: bool =
        sqlx::query_scalar("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetch_one(&mut *admin).await?;
    if role == OWNER && !is_superuser {
        admin.execute(AssertSqlSafe(format!("GRANT {OWNER} TO CURRENT_USER"))).await?;
    }
    Ok(())
}

async fn make_database(admin: &mut PgConnection, database: &str) -> Result<(), StoreError> {
    let known: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
        .bind(database)
        .fetch_one(&mut *admin)
        .await?;
    if !known {
        let name: String = sqlx::query_scalar("SELECT quote_ident($1)").bind(database).fetch_one(&mut *admin).await?;
        admin.execute(AssertSqlSafe(creation(&name))).await?;
    }
    Ok(())
}

/// The statement that makes the database of a name, which is quoted where that is needed.
fn creation(name: &str) -> String {
    format!("CREATE DATABASE {name} OWNER {OWNER} TEMPLATE template0 ENCODING 'UTF8'")
}

fn migration_error(error: sqlx::migrate::MigrateError) -> StoreError {
    match error {
        sqlx::migrate::MigrateError::Execute(error) | sqlx::migrate::MigrateError::ExecuteMigration(error, _) => {
            error.into()
        }
        other => StoreError::Corrupt(format!("the schema does not fit this program: {other}")),
    }
}
