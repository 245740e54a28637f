//! Indexes for a ledger that is in use.
//!
//! `CREATE INDEX` on a partitioned table keeps every partition from being written while it builds, but where a partition
//! has such an index already it takes that one over. So what a migration is about to ask for is first built on each
//! filled partition beside its writers; the migration itself then takes no time.

use sqlx::migrate::Migrator;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Executor as _};

use crate::error::StoreError;

/// Partitions smaller than this are left to the migration.
const FILLED_BYTES: i64 = 8 * 1024 * 1024;

/// A plain `CREATE INDEX` of a migration.
#[derive(Debug, PartialEq, Eq)]
struct Wanted<'a> {
    name: &'a str,
    table: &'a str,
    /// Columns and predicate.
    definition: &'a str,
}

/// Builds on filled partitions what the migrations that are still to run will ask for.
pub(super) async fn build_beforehand(owner: &mut PgConnection, migrator: &Migrator) -> Result<(), StoreError> {
    let is_new: bool =
        sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations') IS NULL").fetch_one(&mut *owner).await?;
    if is_new {
        return Ok(());
    }
    let applied: Vec<i64> =
        sqlx::query_scalar("SELECT version FROM _sqlx_migrations WHERE success").fetch_all(&mut *owner).await?;
    for migration in migrator.iter().filter(|migration| !applied.contains(&migration.version)) {
        let statements = without_comments(migration.sql.as_str());
        for wanted in statements.split(';').filter_map(read) {
            build(owner, &wanted).await?;
        }
    }
    Ok(())
}

async fn build(owner: &mut PgConnection, wanted: &Wanted<'_>) -> Result<(), StoreError> {
    let filled: Vec<String> = sqlx::query_scalar(
        "
        SELECT inhrelid::regclass::text FROM pg_inherits
        JOIN pg_class ON pg_class.oid = inhparent AND pg_class.relkind = 'p'
        WHERE inhparent = to_regclass($1) AND pg_table_size(inhrelid) > $2
        ORDER BY 1
        ",
    )
    .bind(wanted.table)
    .bind(FILLED_BYTES)
    .fetch_all(&mut *owner)
    .await?;
    for partition in filled {
        let name = format!("{}{}", wanted.name, partition.strip_prefix(wanted.table).unwrap_or(&partition));
        // One that was not finished is of no use.
        let broken: Option<bool> =
            sqlx::query_scalar("SELECT NOT indisvalid FROM pg_index WHERE indexrelid = to_regclass($1)")
                .bind(&name)
                .fetch_optional(&mut *owner)
                .await?;
        if broken == Some(true) {
            owner.execute(AssertSqlSafe(format!("DROP INDEX CONCURRENTLY IF EXISTS {name}"))).await?;
        }
        let statement = format!("CREATE INDEX CONCURRENTLY IF NOT EXISTS {name} ON {partition} {}", wanted.definition);
        owner.execute(AssertSqlSafe(statement)).await?;
    }
    Ok(())
}

fn without_comments(sql: &str) -> String {
    sql.lines().map(|line| line.split_once("--").map_or(line, |(before, _)| before)).collect::<Vec<_>>().join("\n")
}

fn read(statement: &str) -> Option<Wanted<'_>> {
    let rest = statement.trim().strip_prefix("CREATE INDEX ")?;
    let (name, rest) = rest.trim_start().split_once(char::is_whitespace)?;
    let rest = rest.trim_start().strip_prefix("ON ")?;
    let (table, definition) = rest.trim_start().split_once(char::is_whitespace)?;
    Some(Wanted { name, table, definition: definition.trim() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_indexes_are_read_from_a_migration() {
        let sql = without_comments(
            "-- A reason; with a semicolon.
             CREATE INDEX by_state
                 ON sync_logs (organization_id, status) -- each
                 WHERE status <> 'success';
             CREATE UNIQUE INDEX other ON sync_logs (id);
             SELECT 1;",
        );
        let found: Vec<Wanted<'_>> = sql.split(';').filter_map(read).collect();
        let [only] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!((only.name, only.table), ("by_state", "sync_logs"));
        assert!(only.definition.starts_with("(organization_id, status)"));
        assert!(only.definition.ends_with("WHERE status <> 'success'"));
    }
}
