//! The maintenance role: it takes away what lies verified in the archive, and nothing else.

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};

use crate::scene::Scene;

/// The rule, or else the SQLSTATE, by which a statement was refused.
async fn refused(connection: &mut PgConnection, statement: &str) -> String {
    match connection.execute(AssertSqlSafe(statement.to_owned())).await {
        Ok(done) => panic!("{statement} was not refused: {done:?}"),
        Err(error) => {
            let error = error.as_database_error().unwrap();
            error.constraint().map_or_else(|| error.code().unwrap().into_owned(), str::to_owned)
        }
    }
}

const NOT_PERMITTED: &str = "42501";

#[tokio::test]
async fn the_maintenance_role_reads_the_ledger_and_changes_nothing_in_it() {
    let scene = Scene::new().await;
    let month = scene.month(13);
    scene.fill(month, 2).await;
    let mut maintenance = PgConnection::connect(&scene.server.database.maintenance_url).await.unwrap();
    let seen: i64 = sqlx::query_scalar("SELECT count(*) FROM sync_logs").fetch_one(&mut maintenance).await.unwrap();
    assert_eq!(seen, 2);
    let partition = format!("sync_logs_{}", month.format("%Y_%m"));
    for statement in [
        "DELETE FROM sync_logs".to_owned(),
        "UPDATE sync_logs SET status = status".to_owned(),
        "INSERT INTO sync_logs SELECT * FROM sync_logs".to_owned(),
        "TRUNCATE sync_record_outcomes".to_owned(),
        format!("SELECT * FROM {partition}"),
        format!("DROP TABLE {partition}"),
        format!("ALTER TABLE sync_logs DETACH PARTITION {partition}"),
        "SELECT password_hash FROM users".to_owned(),
        "SELECT * FROM source_records".to_owned(),
        "DELETE FROM archives".to_owned(),
        "DELETE FROM archived_months".to_owned(),
        "UPDATE archived_months SET detached_at = now()".to_owned(),
        "INSERT INTO archived_months (month, detached_at) VALUES ('2020-01-01', now())".to_owned(),
        "SET ROLE syncwatch_owner".to_owned(),
        "CREATE TABLE mine (id int)".to_owned(),
    ] {
        assert_eq!(refused(&mut maintenance, &statement).await, NOT_PERMITTED, "{statement}");
    }
}

#[tokio::test]
async fn the_application_can_neither_archive_nor_detach() {
    let scene = Scene::new().await;
    let mut app = PgConnection::connect(&scene.server.database.app_url).await.unwrap();
    for statement in [
        "SELECT detach_archived_month('2020-01-01')",
        "SELECT ledger_checksum('sync_logs', '2020-01-01', gen_random_uuid())",
        "INSERT INTO archived_months (month) VALUES ('2020-01-01')",
        "DELETE FROM archived_months",
        "UPDATE archives SET state = 'expired'",
    ] {
        assert_eq!(refused(&mut app, statement).await, NOT_PERMITTED, "{statement}");
    }
}

#[tokio::test]
async fn a_month_that_is_not_verified_young_or_under_way_is_not_taken_away() {
    let scene = Scene::new().await;
    let mut maintenance = PgConnection::connect(&scene.server.database.maintenance_url).await.unwrap();
    let detach = |month: chrono::NaiveDate| format!("SELECT detach_archived_month('{month}')");
    let plan = |month: chrono::NaiveDate| format!("INSERT INTO archived_months (month) VALUES ('{month}')");
    let (old, busy, young, present) = (scene.month(14), scene.month(13), scene.month(3), scene.month(0));
    scene.fill(old, 2).await;
    let waiting = scene.fill(busy, 1).await[0];
    scene.admin.post(&format!("/sync-logs/{waiting}/retries")).once().send().await.expect(202);
    scene.fill(young, 1).await;
    assert_eq!(refused(&mut maintenance, &detach(old)).await, "archive_not_planned");
    for month in [old, busy, young, present] {
        maintenance.execute(AssertSqlSafe(plan(month))).await.unwrap();
    }
    assert_eq!(refused(&mut maintenance, &detach(old)).await, "archive_is_complete");
    assert_eq!(refused(&mut maintenance, &detach(busy)).await, "archive_terminal_syncs_only");
    assert_eq!(refused(&mut maintenance, &detach(young)).await, "archive_after_1year");
    assert_eq!(refused(&mut maintenance, &detach(present)).await, "archive_after_1year");
    assert_eq!(refused(&mut maintenance, "SELECT detach_archived_month('1999-01-01')").await, "archive_not_planned");

    // Said to be verified, with other rows than the partition has.
    let file = |table: &str, rows: i64| {
        format!(
            "INSERT INTO archives (organization_id, month, table_name, state, location, bytes, sha256, schema_version,
                                   rows, checksum, min_started_at, max_started_at, retention_class)
             VALUES ('{}', '{old}', '{table}', 'written', 'x', 1, repeat('0', 64), 1, {rows}, '1', now(), now(),
                     'accounting')",
            scene.organization.id
        )
    };
    for (table, rows) in [("sync_logs", 2), ("sync_attempts", 4), ("sync_record_outcomes", 12)] {
        maintenance.execute(AssertSqlSafe(file(table, rows))).await.unwrap();
    }
    assert_eq!(refused(&mut maintenance, &detach(old)).await, "archive_is_complete");
    maintenance.execute("UPDATE archives SET state = 'verified'").await.unwrap();
    assert_eq!(refused(&mut maintenance, &detach(old)).await, "archive_is_complete", "the checksum differs");
    let by_hand = refused(&mut maintenance, "UPDATE archives SET state = 'detached', archived_at = now()").await;
    assert_eq!(by_hand, "archive_state_transition");
    for month in [old, busy, young, present] {
        assert_eq!(scene.has_partitions(month).await.len(), 3, "{month}");
    }
    // What was only said is found out, and done properly.
    assert!(scene.archive(&[]).await.ends_with(" 1 wait"));
    assert_eq!(scene.has_partitions(old).await.len(), 0);
    assert_eq!(
        refused(&mut maintenance, "UPDATE archives SET sha256 = repeat('1', 64)").await,
        "archive_state_transition"
    );
    assert_eq!(refused(&mut maintenance, &detach(old)).await, "archive_not_planned");
}

#[tokio::test]
async fn temporary_tables_stand_in_for_nothing() {
    let scene = Scene::new().await;
    let month = scene.month(13);
    scene.fill(month, 2).await;
    let mut maintenance = PgConnection::connect(&scene.server.database.maintenance_url).await.unwrap();
    let plan = format!("INSERT INTO archived_months (month) VALUES ('{month}')");
    maintenance.execute(AssertSqlSafe(plan)).await.unwrap();
    for table in ["archived_months", "archives", "active_syncs", "seal_queue"] {
        let shadow =
            format!("CREATE TEMPORARY TABLE {table} (LIKE public.{table}); GRANT ALL ON pg_temp.{table} TO PUBLIC");
        maintenance.execute(AssertSqlSafe(shadow)).await.unwrap();
    }
    maintenance.execute("INSERT INTO pg_temp.archived_months SELECT * FROM public.archived_months").await.unwrap();
    // Said there to be verified, with the partition's own rows.
    let said = format!(
        "INSERT INTO pg_temp.archives (organization_id, month, table_name, state, location, bytes, sha256,
                                       schema_version, rows, checksum, retention_class, written_at)
         SELECT '{0}', '{month}', parent, 'verified', 'x', 1, repeat('0', 64), 1, counted.rows, counted.checksum,
                'accounting', now()
         FROM unnest(ARRAY['sync_logs', 'sync_attempts', 'sync_record_outcomes']) AS parent
         CROSS JOIN LATERAL ledger_checksum(parent, '{month}', '{0}') AS counted",
        scene.organization.id
    );
    assert_eq!(maintenance.execute(AssertSqlSafe(said)).await.unwrap().rows_affected(), 3);
    let detach = format!("SELECT detach_archived_month('{month}')");
    assert_eq!(refused(&mut maintenance, &detach).await, "archive_is_complete");
    assert_eq!(scene.has_partitions(month).await.len(), 3);
}

#[tokio::test]
async fn two_runs_do_not_meet() {
    let scene = Scene::new().await;
    scene.fill(scene.month(13), 1).await;
    let mut other = PgConnection::connect(&scene.server.database.maintenance_url).await.unwrap();
    other.execute("SELECT pg_advisory_lock(hashtext('syncwatch_archive'))").await.unwrap();
    let output = scene.run(&[]).await;
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("another run is under way"));
    other.close().await.unwrap();
    assert!(scene.archive(&[]).await.contains("were archived"));
}
