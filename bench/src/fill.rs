//! A ledger of millions of syncs over 13 months, written in minutes: past the triggers and without the secondary indexes,
//! which are built afterwards as they were. What is written obeys every rule of the ledger; its check constraints are
//! asked all the same.

mod health;
mod statements;

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use uuid::Uuid;

/// How much there is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Syncs in all; the large organization holds a fifth.
    pub rows: i64,
    /// Organizations.
    pub organizations: i32,
}

/// An organization of a filled ledger.
#[derive(Clone, Debug)]
pub struct Filled {
    /// Its id.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// Syncs in it.
    pub rows: i64,
    /// Its integrations of the connector `other`, whose syncs somebody else runs.
    pub integrations: Vec<Uuid>,
}

/// A filled ledger's organizations that are measured.
#[derive(Clone, Debug)]
pub struct Ledger {
    /// Holds a fifth of all syncs, none of which failed.
    pub large: Filled,
    /// One of the others: one sync in fifty failed.
    pub ordinary: Filled,
}

/// Integrations of the large organization; 200 of them are of the connector `other`.
const LARGE_INTEGRATIONS: i32 = 250;
/// Integrations of each other one.
const INTEGRATIONS: i32 = 3;
/// Connections that fill at once.
const AT_ONCE: usize = 2;

/// Fills the database unless it is filled, and returns what is in it.
pub async fn fill(url: &str, size: Size) -> Result<Ledger> {
    let mut owner = PgConnection::connect(url).await?;
    let begun = Instant::now();
    let known: bool = sqlx::query_scalar("SELECT to_regnamespace('bench') IS NOT NULL").fetch_one(&mut owner).await?;
    if known {
        return find(&mut owner, size).await;
    }
    println!("filling with {} syncs of {} organizations", size.rows, size.organizations);
    for (statement, what) in statements::BEFORE {
        owner.execute(statement).await.context(what)?;
    }
    sqlx::query(statements::ORGANIZATIONS)
        .bind(size.rows)
        .bind(size.organizations)
        .bind(LARGE_INTEGRATIONS)
        .bind(INTEGRATIONS)
        .execute(&mut owner)
        .await
        .context("making organizations")?;
    for statement in statements::INTEGRATIONS {
        owner.execute(statement).await.context("making integrations")?;
    }
    // The log may grow meanwhile: a checkpoint each gigabyte would double the work.
    owner.execute("ALTER SYSTEM SET max_wal_size = '8GB'").await?;
    owner.execute("SELECT pg_reload_conf()").await?;
    let filled = write(&mut owner, url).await;
    owner.execute("ALTER SYSTEM RESET max_wal_size").await?;
    owner.execute("SELECT pg_reload_conf()").await?;
    filled?;
    step("writing health rows", health::write(&mut owner)).await?;
    sqlx::query("INSERT INTO bench.filled VALUES ($1, $2)")
        .bind(size.rows)
        .bind(size.organizations)
        .execute(&mut owner)
        .await?;
    owner.execute("CHECKPOINT").await?;
    println!("filled in {:.0} s", begun.elapsed().as_secs_f64());
    find(&mut owner, size).await
}

async fn write(owner: &mut PgConnection, url: &str) -> Result<()> {
    let indexes: Vec<(String, String)> = sqlx::query_as(statements::INDEXES).fetch_all(&mut *owner).await?;
    for (name, _) in &indexes {
        owner.execute(AssertSqlSafe(format!("DROP INDEX {name}"))).await?;
    }
    let months: Vec<(i64, i64)> = sqlx::query_as(statements::MONTHS).fetch_all(&mut *owner).await?;
    step(
        "writing syncs and attempts",
        at_once(url, &months, async |mut connection, (from, to)| {
            for statement in statements::MONTH {
                sqlx::query(statement).bind(from).bind(to).execute(&mut connection).await?;
            }
            Ok(())
        }),
    )
    .await?;
    let definitions: Vec<String> = indexes.into_iter().map(|(_, definition)| definition).collect();
    step(
        "building indexes",
        at_once(url, &definitions, async |mut connection, definition| {
            connection.execute(AssertSqlSafe(definition)).await.map(drop).map_err(Into::into)
        }),
    )
    .await?;
    let partitions: Vec<String> = sqlx::query_scalar(statements::PARTITIONS).fetch_all(&mut *owner).await?;
    step(
        "vacuuming",
        at_once(url, &partitions, async |mut connection, partition| {
            connection.execute(AssertSqlSafe(format!("VACUUM {partition}"))).await.map(drop).map_err(Into::into)
        }),
    )
    .await?;
    step("analysing", async { Ok(owner.execute("ANALYZE").await.map(drop)?) }).await
}

/// Does something for each item on a few connections.
async fn at_once<T: Clone>(url: &str, items: &[T], work: impl AsyncFn(PgConnection, T) -> Result<()>) -> Result<()> {
    let work = &work;
    stream::iter(items.to_vec())
        .map(|item| async move {
            let mut connection = PgConnection::connect(url).await?;
            connection.execute(statements::SESSION).await?;
            work(connection, item).await
        })
        .buffer_unordered(AT_ONCE)
        .try_collect::<()>()
        .await
}

async fn step(name: &str, work: impl Future<Output = Result<()>>) -> Result<()> {
    let begun = Instant::now();
    work.await.with_context(|| name.to_owned())?;
    println!("  {name}: {:.0} s", begun.elapsed().as_secs_f64());
    Ok(())
}

/// What a filled database holds.
async fn find(owner: &mut PgConnection, size: Size) -> Result<Ledger> {
    let filled: Option<(i64, i32)> =
        sqlx::query_as("SELECT rows, organizations FROM bench.filled").fetch_optional(&mut *owner).await?;
    let (rows, organizations) = filled.context("the ledger was filled half only: remove its directory")?;
    ensure!(
        size == Size { rows, organizations },
        "the ledger holds {rows} syncs of {organizations} organizations: ask for that, or name another directory"
    );
    let mut of = async |number: i32| -> Result<Filled> {
        let (id, name, rows, integrations): (Uuid, String, i64, Vec<Uuid>) = sqlx::query_as(
            "
            SELECT id, name, rows, ARRAY(
                SELECT own.id FROM unnest(integrations, connectors) AS own (id, connector) WHERE own.connector = 'other'
            )
            FROM bench.organizations WHERE number = $1
            ",
        )
        .bind(number)
        .fetch_one(&mut *owner)
        .await?;
        Ok(Filled { id, name, rows, integrations })
    };
    Ok(Ledger { large: of(0).await?, ordinary: of(1).await? })
}
