//! A database for each test, copied from one migrated template per process.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, ensure};
use server::serve::with_database;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgPool};
use store::migrate::{self, APP, MAINTENANCE, OWNER, RolePasswords};
use tokio::sync::OnceCell;
use uuid::Uuid;

/// Names the server for tests: an address of a superuser, given by `cargo xtask test`.
const VARIABLE: &str = "SYNCWATCH_TEST_DATABASE_URL";
/// Every name this file makes begins so, and goes on with the process's id.
const PREFIX: &str = "syncwatch_test_";

static TEMPLATE: OnceCell<String> = OnceCell::const_new();
static NUMBER: AtomicU32 = AtomicU32::new(0);

/// A migrated database, dropped with the value.
#[derive(Debug)]
pub struct Database {
    /// The application role's address.
    pub app_url: String,
    /// The maintenance role's address.
    pub maintenance_url: String,
    /// A superuser's address, for making things up and for looking behind the policies.
    pub superuser_url: String,
    _dropped: Dropped,
}

/// Somebody else's database with nothing in it, dropped with the value.
#[derive(Debug)]
pub struct ForeignDatabase {
    /// A superuser's address.
    pub superuser_url: String,
    _dropped: Dropped,
}

impl ForeignDatabase {
    /// Makes one.
    pub async fn create() -> anyhow::Result<Self> {
        // A second installation of the provider is refused, harmlessly.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let server = server()?;
        let name = new_name();
        let mut admin = PgConnection::connect(&server).await?;
        admin.execute(AssertSqlSafe(format!("CREATE DATABASE {name} TEMPLATE template0"))).await?;
        admin.close().await?;
        Ok(Self { superuser_url: with_database(&server, &name)?, _dropped: Dropped(name) })
    }
}

/// The database of this name goes with the value.
#[derive(Debug)]
struct Dropped(String);

impl Database {
    /// Copies the template.
    pub async fn create() -> anyhow::Result<Self> {
        // A second installation of the provider is refused, harmlessly.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let server = server()?;
        let template = TEMPLATE.get_or_try_init(|| make_template(&server)).await?;
        let name = new_name();
        let mut admin = PgConnection::connect(&server).await?;
        // One copy at a time: a template may have no other user.
        admin.execute(AssertSqlSafe(format!("SELECT pg_advisory_lock(hashtext('{template}'))"))).await?;
        // The owner's, as the template is: who owns a database may make tables in it.
        let create = format!("CREATE DATABASE {name} OWNER {OWNER} TEMPLATE {template} STRATEGY file_copy");
        admin.execute(AssertSqlSafe(create)).await?;
        admin.close().await?;
        let database = Self {
            app_url: role_url(&server, &name, APP)?,
            maintenance_url: role_url(&server, &name, MAINTENANCE)?,
            superuser_url: with_database(&server, &name)?,
            _dropped: Dropped(name),
        };
        database.check_role().await?;
        Ok(database)
    }

    /// Policies hold for the application role; a superuser would pass every test of them.
    async fn check_role(&self) -> anyhow::Result<()> {
        let mut app = PgConnection::connect(&self.app_url).await.context("connecting as the application role")?;
        let (role, powerful): (String, bool) = sqlx::query_as(
            "
            SELECT current_user::text, rolsuper OR rolbypassrls OR rolcreaterole
            FROM pg_roles WHERE rolname = current_user
            ",
        )
        .fetch_one(&mut app)
        .await?;
        ensure!(role == APP && !powerful, "tests connect as {role}, which may too much");
        Ok(app.close().await?)
    }

    /// Connections of the application role.
    pub async fn app(&self) -> PgPool {
        PgPool::connect(&self.app_url).await.expect("the application role connects")
    }

    /// Connections of a superuser, who sees every row.
    pub async fn superuser(&self) -> PgPool {
        PgPool::connect(&self.superuser_url).await.expect("the superuser connects")
    }
}

/// Every row of every table with an `organization_id`, as text, by table; of one organization, or of all. What a request
/// did is all there, and nothing comes later by itself.
pub async fn dump(superuser: &PgPool, organization: Option<Uuid>) -> BTreeMap<String, Vec<String>> {
    let tables: Vec<String> = sqlx::query_scalar(
        "
        SELECT format('%I', c.relname) FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
            AND a.attname = 'organization_id' AND NOT a.attisdropped
        ",
    )
    .fetch_all(superuser)
    .await
    .unwrap();
    assert!(tables.len() > 10, "there are tables to read");
    let mut dump = BTreeMap::new();
    for table in tables {
        // An event is numbered some time after it was written.
        let row = if table == "events" { "to_jsonb(t) - 'seq'" } else { "t" };
        let rows = format!("SELECT ({row})::text FROM {table} t WHERE $1 IS NULL OR organization_id = $1 ORDER BY 1");
        let rows = sqlx::query_scalar(AssertSqlSafe(rows)).bind(organization).fetch_all(superuser).await.unwrap();
        dump.insert(table, rows);
    }
    dump
}

impl Drop for Dropped {
    /// On a thread of its own, since a drop can't await, and nobody waits for it: connections that this test's runtime was
    /// just opening hold it up until the runtime is gone. What is not dropped so is dropped by a later process.
    fn drop(&mut self) {
        let name = self.0.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let mut admin = PgConnection::connect(&std::env::var(VARIABLE)?).await?;
                drop_database(&mut admin, &name).await
            })
        });
    }
}

/// The address of the server for tests.
fn server() -> anyhow::Result<String> {
    std::env::var(VARIABLE).with_context(|| format!("{VARIABLE} is not set: use `cargo xtask test`"))
}

fn new_name() -> String {
    format!("{PREFIX}{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed))
}

async fn make_template(server: &str) -> anyhow::Result<String> {
    let mut admin = PgConnection::connect(server).await.with_context(|| format!("{VARIABLE} does not answer"))?;
    drop_left_over(&mut admin).await?;
    admin.close().await?;
    let name = format!("{PREFIX}{}_template", std::process::id());
    let passwords = RolePasswords { app: password(server), maintenance: password(server), ..RolePasswords::default() };
    migrate::run(server, &name, &passwords).await?;
    Ok(name)
}

/// Drops what processes that have ended left.
async fn drop_left_over(admin: &mut PgConnection) -> anyhow::Result<()> {
    let names: Vec<String> = sqlx::query_scalar("SELECT datname::text FROM pg_database WHERE starts_with(datname, $1)")
        .bind(PREFIX)
        .fetch_all(&mut *admin)
        .await?;
    for name in names {
        let process = name[PREFIX.len()..].split('_').next().unwrap_or_default();
        if !std::path::Path::new("/proc").join(process).exists() {
            drop_database(admin, &name).await?;
        }
    }
    Ok(())
}

async fn drop_database(admin: &mut PgConnection, name: &str) -> anyhow::Result<()> {
    admin.execute(AssertSqlSafe(format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"))).await?;
    Ok(())
}

/// The superuser's password serves for the other roles too; without one, the server trusts.
fn password(server: &str) -> Option<String> {
    let address: reqwest::Url = server.parse().ok()?;
    address.password().map(str::to_owned)
}

fn role_url(server: &str, database: &str, role: &str) -> anyhow::Result<String> {
    let mut address: reqwest::Url = with_database(server, database)?.parse()?;
    address.set_username(role).map_err(|()| anyhow::anyhow!("{VARIABLE} takes no user"))?;
    Ok(address.into())
}
