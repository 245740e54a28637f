//! The rules come to a ledger that is filled already: what is there is looked at too, and a row that breaks a rule is not
//! passed over.

use std::path::Path;

use server::serve::with_database;
use sqlx::migrate::Migrator;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};
use store::StoreError;
use store::migrate::RolePasswords;
use tests::database::Database;
use tests::story::until;

use super::{id_at, minutes_ago};

/// The last migration before the rules were tightened.
const BEFORE: i64 = 20_261_121_130_399;
/// The last one before the indexes of lists.
const BEFORE_THE_INDEXES: i64 = 20_261_121_130_299;
/// The last one before outcomes referred to their attempts within a month.
const BEFORE_THE_REFERENCES: i64 = 20_261_124_100_000;
const SYNCS: i64 = 3_000;

const FILL: &str = "
    INSERT INTO organizations (organization_id, name) VALUES ('00000000-0000-4000-8000-000000000001', 'Filled');
    INSERT INTO integration_configs (
        organization_id, id, name, connector_type, sync_type, runner, created_at, updated_at
    )
    VALUES (
        '00000000-0000-4000-8000-000000000001', '00000000-0000-4000-8000-000000000002', 'Books', 'xledger',
        'accounting_push', 'external', now(), now()
    );
    INSERT INTO sync_logs (
        id, integration_config_id, organization_id, connector_type, sync_type, status, records_processed,
        records_failed, records_total, error_code, error_message, triggered_by, duration_ms, started_at, completed_at
    )
    SELECT (lpad(to_hex((extract(epoch FROM started_at) * 1000)::bigint), 12, '0') || '7000'
               || '8' || lpad(to_hex(n), 15, '0'))::uuid,
           '00000000-0000-4000-8000-000000000002', '00000000-0000-4000-8000-000000000001', 'xledger',
           'accounting_push', CASE WHEN n % 50 = 7 THEN 'failed' ELSE 'success' END, 40, 0, 40,
           CASE WHEN n % 50 = 7 THEN 'X' END, CASE WHEN n % 50 = 7 THEN 'x' END, 'automatic', 1000, started_at,
           started_at + interval '1 second'
    FROM generate_series(1, 3000) AS n,
        LATERAL (SELECT date_trunc('milliseconds', now() - n * interval '3 hours') AS started_at) AS made;
    INSERT INTO sync_attempts (
        organization_id, sync_started_at, sync_id, attempt_number, status, started_at, completed_at, duration_ms,
        error_code, error_message
    )
    SELECT organization_id, started_at, id, 0, status, started_at, completed_at, duration_ms, error_code, error_message
    FROM sync_logs;
    INSERT INTO sync_record_outcomes (
        organization_id, sync_started_at, sync_id, attempt_number, source_record_type, source_record_id, outcome,
        updated_at
    )
    SELECT organization_id, sync_started_at, sync_id, attempt_number, 'expense_claims', gen_random_uuid(), 'succeeded',
           completed_at
    FROM sync_attempts;
";

/// A month so large that its indexes are built beside its writers.
const LARGE: &str = "
    INSERT INTO sync_logs (
        id, integration_config_id, organization_id, connector_type, sync_type, status, records_processed,
        records_failed, records_total, triggered_by, duration_ms, started_at, completed_at, metadata
    )
    SELECT (lpad(to_hex((extract(epoch FROM started_at) * 1000)::bigint), 12, '0') || '7001'
               || '8' || lpad(to_hex(n), 15, '0'))::uuid,
           '00000000-0000-4000-8000-000000000002', '00000000-0000-4000-8000-000000000001', 'xledger',
           'accounting_push', 'success', 40, 0, 40, 'automatic', 1000, started_at, started_at + interval '1 second',
           jsonb_build_object('noise', noise)
    FROM generate_series(1, 4000) AS n,
        LATERAL (SELECT date_trunc('milliseconds', now() - interval '1 minute' - n * interval '10 ms') AS started_at)
            AS made,
        LATERAL (SELECT string_agg(md5(random()::text), '') AS noise FROM generate_series(1, 200 + 0 * n)) AS noises;
";

/// A database of this test alone, with the ledger as it was before a migration, filled; returns a superuser's address and
/// its name.
async fn filled(kind: &str, before: i64) -> (Database, String, String) {
    // Brings the roles along.
    let beside = Database::create().await.unwrap();
    let name = format!("syncwatch_test_{}_{kind}", std::process::id());
    let url = with_database(&beside.superuser_url, &name).unwrap();
    let mut admin = PgConnection::connect(&beside.superuser_url).await.unwrap();
    let create = format!("CREATE DATABASE {name} OWNER syncwatch_owner TEMPLATE template0 ENCODING 'UTF8'");
    admin.execute(AssertSqlSafe(create)).await.unwrap();
    let mut owner = PgConnection::connect(&url).await.unwrap();
    owner.execute("SET ROLE syncwatch_owner").await.unwrap();
    let migrations = Path::new(env!("CARGO_MANIFEST_DIR")).join("../migrations");
    let migrator = Migrator::new(migrations).await.unwrap();
    migrator.run_to(before, &mut owner).await.unwrap();
    sqlx::raw_sql(FILL).execute(&mut owner).await.unwrap();
    (beside, url, name)
}

#[tokio::test]
async fn a_filled_ledger_takes_the_rules_over() {
    let (beside, url, name) = filled("filled", BEFORE).await;
    let mut superuser = PgConnection::connect(&url).await.unwrap();
    // One sync whose id says something else than its start, as the rule now forbids.
    let moment = minutes_ago(7);
    let wrong = format!(
        "INSERT INTO sync_logs (id, integration_config_id, organization_id, connector_type, sync_type, status,
             triggered_by, started_at)
         VALUES ('{}', '00000000-0000-4000-8000-000000000002', '00000000-0000-4000-8000-000000000001', 'xledger',
             'accounting_push', 'pending', 'automatic', '{}')",
        id_at(minutes_ago(70)),
        moment.to_rfc3339()
    );
    superuser.execute(AssertSqlSafe(wrong)).await.unwrap();
    let passwords = RolePasswords::default();
    let migrate = || store::migrate::run(&beside.superuser_url, &name, &passwords);
    let refused = migrate().await.unwrap_err();
    assert!(refused.is_constraint("id_says_when_it_started"), "{refused}");
    let again: Result<(), StoreError> = migrate().await;
    assert!(again.is_err(), "it is not forgotten");

    let gone = format!("DELETE FROM sync_logs WHERE started_at = '{}'", moment.to_rfc3339());
    superuser.execute(AssertSqlSafe(gone)).await.unwrap();
    migrate().await.unwrap();
    for (name, least) in [("id_says_when_it_started", 18), ("outcome_has_its_attempt", 17)] {
        let (rules, unproved): (i64, i64) = sqlx::query_as(
            "
            SELECT count(*), count(*) FILTER (WHERE NOT convalidated) FROM pg_constraint WHERE conname = $1
            ",
        )
        .bind(name)
        .fetch_one(&mut superuser)
        .await
        .unwrap();
        assert!(rules >= least, "{name}, of each partition: {rules}");
        assert_eq!(unproved, 0, "{name}");
    }
    let syncs: i64 = sqlx::query_scalar("SELECT count(*) FROM sync_logs").fetch_one(&mut superuser).await.unwrap();
    assert_eq!(syncs, SYNCS);
    migrate().await.unwrap();

    superuser.close().await.unwrap();
    let mut admin = PgConnection::connect(&beside.superuser_url).await.unwrap();
    admin.execute(AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)"))).await.unwrap();
}

#[tokio::test]
async fn several_that_migrate_a_filled_ledger_at_once_take_turns() {
    let (beside, url, name) = filled("turns", BEFORE_THE_INDEXES).await;
    let mut superuser = PgConnection::connect(&url).await.unwrap();
    sqlx::raw_sql(LARGE).execute(&mut superuser).await.unwrap();
    let large: bool = sqlx::query_scalar(
        "
        SELECT bool_or(pg_table_size(inhrelid) > 8 * 1024 * 1024) FROM pg_inherits
        WHERE inhparent = 'sync_logs'::regclass
        ",
    )
    .fetch_one(&mut superuser)
    .await
    .unwrap();
    assert!(large, "nothing would be built beforehand");
    let passwords = RolePasswords::default();
    let migrate = || store::migrate::run(&beside.superuser_url, &name, &passwords);
    let (first, second, third) = tokio::join!(migrate(), migrate(), migrate());
    first.unwrap();
    second.unwrap();
    third.unwrap();
    let (indexes, broken): (i64, i64) = sqlx::query_as(
        "
        SELECT count(*), count(*) FILTER (WHERE NOT indisvalid) FROM pg_index
        JOIN pg_class ON pg_class.oid = indexrelid WHERE starts_with(relname, 'idx_sync_logs_list_')
        ",
    )
    .fetch_one(&mut superuser)
    .await
    .unwrap();
    assert!(indexes >= 6, "{indexes}");
    assert_eq!(broken, 0);

    superuser.close().await.unwrap();
    let mut admin = PgConnection::connect(&beside.superuser_url).await.unwrap();
    admin.execute(AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)"))).await.unwrap();
}

#[tokio::test]
async fn who_writes_the_ledger_while_its_references_change_is_not_rolled_back() {
    let (beside, url, name) = filled("writer", BEFORE_THE_REFERENCES).await;
    let mut superuser = PgConnection::connect(&url).await.unwrap();
    let mut writer = PgConnection::connect(&url).await.unwrap();
    // Outcomes first, and then what that makes of the attempt.
    let outcomes = "BEGIN; LOCK TABLE sync_record_outcomes IN ROW EXCLUSIVE MODE";
    sqlx::raw_sql(outcomes).execute(&mut writer).await.unwrap();
    let writing = async {
        until("the migration wants the tables", async || {
            let wanted: bool = sqlx::query_scalar(
                "
                SELECT EXISTS (
                    SELECT FROM pg_locks JOIN pg_database ON pg_database.oid = database
                    WHERE NOT granted AND relation = 'sync_record_outcomes'::regclass AND datname = current_database()
                )
                ",
            )
            .fetch_one(&mut superuser)
            .await?;
            Ok(wanted.then_some(()))
        })
        .await?;
        let attempts = "LOCK TABLE sync_attempts IN ROW EXCLUSIVE MODE; COMMIT";
        sqlx::raw_sql(attempts).execute(&mut writer).await?;
        anyhow::Ok(())
    };
    let passwords = RolePasswords::default();
    let migrating = store::migrate::run(&beside.superuser_url, &name, &passwords);
    let (written, migrated) = tokio::join!(writing, migrating);
    written.unwrap();
    migrated.unwrap();

    superuser.close().await.unwrap();
    let mut admin = PgConnection::connect(&beside.superuser_url).await.unwrap();
    admin.execute(AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)"))).await.unwrap();
}

#[tokio::test]
async fn a_database_that_is_not_there_is_named_with_what_makes_it() {
    let beside = Database::create().await.unwrap();
    let name = format!("syncwatch_test_{}_missing", std::process::id());
    let url = with_database(&beside.superuser_url, &name).unwrap();
    let passwords = RolePasswords::default();
    let missing = store::migrate::run(&url, &name, &passwords).await.unwrap_err();
    let said = missing.to_string();
    assert!(said.contains(&name) && said.contains("CREATE ROLE syncwatch_owner LOGIN"), "{said}");
    let StoreError::NoDatabase { command, .. } = missing else { panic!("{said}") };
    assert!(command.starts_with("CREATE DATABASE") && said.contains(&command), "{said}");

    let mut admin = PgConnection::connect(&beside.superuser_url).await.unwrap();
    admin.execute(AssertSqlSafe(command)).await.unwrap();
    store::migrate::run(&url, &name, &passwords).await.unwrap();
    admin.execute(AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)"))).await.unwrap();
}
