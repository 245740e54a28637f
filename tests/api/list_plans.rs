//! How the database finds the syncs of a list, on a filled ledger: never by reading a large partition from end to end.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Datelike as _, Months, NaiveTime, Utc};
use domain::integration::{ConnectorType, SyncType};
use domain::sync_log::{SyncStatus, TriggeredBy};
use serde_json::Value;
use sqlx::{AssertSqlSafe, PgPool};
use store::OrgTx;
use store::migrate::RolePasswords;
use store::sync_logs::{Direction, Place, SyncFilter, explain};
use tests::database::Database;
use tests::fill::Fill;
use uuid::Uuid;

/// A partition with more rows than this is not to be read from end to end.
const LARGE: i64 = 10_000;

struct Ledger {
    database: Database,
    large: Uuid,
    integration: Uuid,
    small: Uuid,
    /// The beginning of the month before the present one.
    month: DateTime<Utc>,
}

impl Ledger {
    /// Twelve months of syncs of three organizations, of which one has most. Three of the months are large.
    async fn filled() -> Self {
        let database = Database::create().await.unwrap();
        let superuser = database.superuser().await;
        let back = |months| present_month() - Months::new(months);
        let (large, small) = (Uuid::now_v7(), Uuid::now_v7());
        let integrations = [(Uuid::now_v7(), "xledger"), (Uuid::now_v7(), "dynamics365"), (Uuid::now_v7(), "xledger")];
        for months in 1..=12 {
            let share = |organization, syncs| Fill {
                organization,
                integrations: integrations.to_vec(),
                from: back(months),
                to: back(months - 1),
                syncs,
                message_chars: 60,
            };
            let size = if months % 4 == 1 { 11_000 } else { 1_100 };
            share(large, size).run(&superuser).await;
            share(Uuid::now_v7(), size / 4).run(&superuser).await;
            share(small, 40).run(&superuser).await;
        }
        sqlx::query("ANALYZE sync_logs").execute(&superuser).await.unwrap();
        Self { database, large, integration: integrations[0].0, small, month: back(1) }
    }

    async fn app(&self) -> store::Database {
        store::Database::connect(&self.database.app_url, 2, Duration::from_mins(1)).await.unwrap()
    }
}

fn present_month() -> DateTime<Utc> {
    let today = server::Clock::system().now().date_naive();
    today.with_day(1).unwrap().and_time(NaiveTime::MIN).and_utc()
}

/// Rows of each partition.
async fn sizes(superuser: &PgPool) -> BTreeMap<String, i64> {
    let rows: Vec<(String, i64)> =
        sqlx::query_as("SELECT tableoid::regclass::text, count(*) FROM sync_logs GROUP BY tableoid")
            .fetch_all(superuser)
            .await
            .unwrap();
    rows.into_iter().collect()
}

/// Every subset of the ten filters; where a filter has several ways of being looked up, they take turns.
fn combinations(ledger: &Ledger) -> Vec<SyncFilter> {
    let statuses = [
        vec![SyncStatus::Failed],
        vec![SyncStatus::Failed, SyncStatus::RetriedFailed],
        vec![SyncStatus::Pending, SyncStatus::InProgress],
        vec![SyncStatus::Success],
    ];
    let subset = |bits: usize| {
        let with = |bit: u32| bits & (1 << bit) != 0;
        SyncFilter {
            integration_config_id: with(0).then_some(ledger.integration),
            statuses: if with(1) { statuses[bits / 4 % 7 % statuses.len()].clone() } else { Vec::new() },
            connector_type: with(2).then_some(ConnectorType::Xledger),
            sync_type: with(3).then_some(SyncType::RosterSync),
            triggered_by: with(4).then_some(TriggeredBy::Manual),
            source_record_type: with(5).then(|| "members".to_owned()),
            source_record_id: with(6).then(Uuid::nil),
            from: with(7).then(|| ledger.month - Months::new(9)),
            to: with(8).then_some(ledger.month),
            retryable: with(9).then_some(bits % 5 < 3),
        }
    };
    (0..1 << 10).map(subset).collect()
}

/// Partitions that a plan reads from end to end.
fn read_whole(plan: &Value, found: &mut Vec<String>) {
    match plan {
        Value::Array(parts) => parts.iter().for_each(|part| read_whole(part, found)),
        Value::Object(members) => {
            if members.get("Node Type").and_then(Value::as_str).is_some_and(|node| node.contains("Seq Scan")) {
                found.extend(members.get("Relation Name").and_then(Value::as_str).map(str::to_owned));
            }
            members.values().for_each(|member| read_whole(member, found));
        }
        _ => {}
    }
}

#[tokio::test]
async fn an_index_that_a_migration_asks_for_is_built_beside_the_writers_of_filled_partitions() {
    let database = Database::create().await.unwrap();
    let superuser = database.superuser().await;
    let month = present_month() - Months::new(1);
    let fill = Fill {
        organization: Uuid::now_v7(),
        integrations: vec![(Uuid::now_v7(), "xledger")],
        from: month,
        to: present_month(),
        syncs: 40_000,
        message_chars: 60,
    };
    fill.run(&superuser).await;
    // As if the program were older by the migrations that ask for the lists' indexes.
    let indexes: Vec<String> = sqlx::query_scalar(
        "SELECT relname::text FROM pg_class WHERE relkind = 'I' AND starts_with(relname, 'idx_sync_logs_list_')",
    )
    .fetch_all(&superuser)
    .await
    .unwrap();
    assert_eq!(indexes.len(), 7);
    for index in &indexes {
        sqlx::query(AssertSqlSafe(format!("DROP INDEX {index}"))).execute(&superuser).await.unwrap();
    }
    let forget = "DELETE FROM _sqlx_migrations
        WHERE version IN (20261121130300, 20261122110000, 20261124110000, 20261126090000)";
    assert_eq!(sqlx::query(forget).execute(&superuser).await.unwrap().rows_affected(), 4);
    let name: String = sqlx::query_scalar("SELECT current_database()::text").fetch_one(&superuser).await.unwrap();
    // A copy of the template is not its owner's.
    let own = format!("ALTER DATABASE {name} OWNER TO {}", store::migrate::OWNER);
    sqlx::query(AssertSqlSafe(own)).execute(&superuser).await.unwrap();
    store::migrate::run(&database.superuser_url, &name, &RolePasswords::default()).await.unwrap();

    let month = month.format("%Y_%m");
    for index in indexes {
        let (valid, taken_over): (bool, bool) = sqlx::query_as(
            "
            SELECT indisvalid, EXISTS (
                SELECT FROM pg_inherits WHERE inhparent = indexrelid AND inhrelid = to_regclass($2)
            )
            FROM pg_index WHERE indexrelid = to_regclass($1)
            ",
        )
        .bind(&index)
        .bind(format!("{index}_{month}"))
        .fetch_one(&superuser)
        .await
        .unwrap();
        assert!(valid && taken_over, "{index}: {valid} {taken_over}");
    }
}

#[tokio::test]
async fn no_combination_of_filters_reads_a_large_partition_from_end_to_end() {
    let ledger = Ledger::filled().await;
    let superuser = ledger.database.superuser().await;
    let sizes = sizes(&superuser).await;
    let large = |name: &String| sizes.get(name).is_some_and(|rows| *rows > LARGE);
    assert!(sizes.keys().filter(|name| large(name)).count() >= 3, "there are large partitions: {sizes:?}");
    // What is looked for below is seen where it is.
    let unindexed = "EXPLAIN (FORMAT JSON) SELECT FROM sync_logs WHERE error_message = 'x'";
    let mut found = Vec::new();
    read_whole(&sqlx::query_scalar(unindexed).fetch_one(&superuser).await.unwrap(), &mut found);
    assert!(found.iter().filter(|name| large(name)).count() >= 3, "{found:?}");

    let app = ledger.app().await;
    let middle: Option<Place> = Some((ledger.month - Months::new(4), Uuid::max()));
    let ways = [(None, Direction::Older), (middle, Direction::Older), (middle, Direction::Newer)];
    let mut wrong = Vec::new();
    let mut explained = 0_usize;
    for organization in [ledger.large, ledger.small] {
        let mut tx = OrgTx::begin(&app, organization).await.unwrap();
        // Every combination for the large organization, some for the small one; from the list's beginning, and on from
        // its middle either way, in turn.
        let step = if organization == ledger.large { 1 } else { 7 };
        for (number, filter) in combinations(&ledger).iter().enumerate().step_by(step) {
            let (cursor, direction) = ways[number / 7 % 3];
            let plan = explain(&mut tx, filter, cursor, direction, 51).await.unwrap();
            explained += 1;
            let mut found = Vec::new();
            read_whole(&plan, &mut found);
            found.retain(large);
            if !found.is_empty() {
                wrong.push(format!("{filter:?} {direction:?} from {cursor:?}: {found:?}"));
            }
        }
    }
    assert!(explained > 1_000, "{explained}");
    assert!(wrong.is_empty(), "{} of {explained}, such as\n{}", wrong.len(), wrong[..wrong.len().min(5)].join("\n"));
}
