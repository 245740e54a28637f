//! Past the API: what the application's role may do in the database with plain SQL.

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgPool};
use uuid::Uuid;

use crate::scene::Scene;

/// Tables with an `organization_id` that are read before any organization is known: ids and moments, nothing else.
const NOT_TENANT: &[&str] = &[
    "active_syncs",
    "email_queue",
    "events",
    "integration_timers",
    "refresh_tokens",
    "retry_timers",
    "seal_chains",
    "seal_queue",
    "webhook_queue",
];
/// Their columns, every one of which is an id, a moment, a number, a flag, a hash or a closed word; `data` of an event
/// holds ids.
const NOT_TENANT_COLUMNS: &[&str] = &[
    "attempt_number",
    "automatic",
    "backfill",
    "checkpoint_due_at",
    "checkpoint_seq",
    "created_at",
    "data",
    "due_at",
    "email_id",
    "expires_at",
    "external_system_id",
    "family_id",
    "id",
    "integration_config_id",
    "kind",
    "lease_expires_at",
    "lease_owner",
    "lease_seconds",
    "locked_until",
    "managed",
    "next_run_at",
    "next_try_at",
    "organization_id",
    "requested_by",
    "revoked_at",
    "running",
    "seq",
    "stale_at",
    "sync_id",
    "sync_started_at",
    "token_hash",
    "used_at",
    "user_id",
    "webhook_id",
];

/// Tables with an `organization_id` that are no partitions, and are a tenant's.
async fn tenant_tables(superuser: &PgPool) -> Vec<String> {
    let tables: Vec<String> = sqlx::query_scalar(
        "
        SELECT c.relname::text FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
            AND a.attname = 'organization_id' AND NOT a.attisdropped AND c.relname <> ALL ($1)
        ORDER BY 1
        ",
    )
    .bind(NOT_TENANT)
    .fetch_all(superuser)
    .await
    .unwrap();
    assert!(tables.len() > 12, "{tables:?}");
    tables
}

async fn app(scene: &Scene) -> PgConnection {
    PgConnection::connect(&scene.server.database.app_url).await.unwrap()
}

async fn set_organization(app: &mut PgConnection, organization: Option<Uuid>) {
    let text = organization.map(|id| id.to_string()).unwrap_or_default();
    sqlx::query("SELECT set_config('app.org_id', $1, false)").bind(text).execute(app).await.unwrap();
}

/// The SQLSTATE of a refused statement.
async fn refused(app: &mut PgConnection, statement: String) -> String {
    match app.execute(AssertSqlSafe(statement.clone())).await {
        Ok(done) => panic!("{statement} was not refused: {done:?}"),
        Err(error) => error.as_database_error().unwrap().code().unwrap().into_owned(),
    }
}

const NOT_PERMITTED: &str = "42501";

#[tokio::test]
async fn without_an_organization_there_are_no_rows() {
    let scene = Scene::new().await;
    let mut app = app(&scene).await;
    let tables = tenant_tables(&scene.superuser).await;
    // Never set, set and reset as a reused connection has it, and set to another organization.
    for round in 0..3 {
        match round {
            1 => set_organization(&mut app, None).await,
            2 => set_organization(&mut app, Some(Uuid::now_v7())).await,
            _ => {}
        }
        for table in &tables {
            let rows: i64 = sqlx::query_scalar(AssertSqlSafe(format!("SELECT count(*) FROM {table}")))
                .fetch_one(&mut app)
                .await
                .unwrap();
            assert_eq!(rows, 0, "{table}, round {round}");
        }
        let users: i64 = sqlx::query_scalar("SELECT count(id) FROM users").fetch_one(&mut app).await.unwrap();
        assert_eq!(users, 0, "users, round {round}");
    }
}

#[tokio::test]
async fn with_an_organization_there_are_its_rows_alone() {
    let scene = Scene::new().await;
    let mut app = app(&scene).await;
    let mut empty = Vec::new();
    for organization in [scene.ours.id, scene.theirs.organization.id] {
        set_organization(&mut app, Some(organization)).await;
        for table in tenant_tables(&scene.superuser).await {
            let count = format!("SELECT count(*), count(*) FILTER (WHERE organization_id <> $1) FROM {table}");
            let (seen, foreign): (i64, i64) =
                sqlx::query_as(AssertSqlSafe(count)).bind(organization).fetch_one(&mut app).await.unwrap();
            assert_eq!(foreign, 0, "{table}");
            let all = format!("SELECT count(*) FROM {table} WHERE organization_id = $1");
            let all: i64 =
                sqlx::query_scalar(AssertSqlSafe(all)).bind(organization).fetch_one(&scene.superuser).await.unwrap();
            assert_eq!(seen, all, "{table}");
            if organization == scene.theirs.organization.id && all == 0 {
                empty.push(table);
            }
        }
    }
    assert!(empty.is_empty(), "tables of which this test says nothing: {empty:?}");
}

#[tokio::test]
async fn rows_of_another_organization_cannot_be_written() {
    let scene = Scene::new().await;
    let before = scene.their_rows().await;
    let mut app = app(&scene).await;
    set_organization(&mut app, Some(scene.ours.id)).await;
    let (ours, theirs) = (scene.ours.id, scene.theirs.organization.id);
    for table in tenant_tables(&scene.superuser).await {
        // Their rows are not there to be changed, and no row becomes theirs.
        let columns: Vec<String> = sqlx::query_scalar(
            "
            SELECT a.attname::text FROM pg_attribute a
            WHERE a.attrelid = $1::regclass AND a.attnum > 0 AND NOT a.attisdropped
                AND has_column_privilege('syncwatch_app', a.attrelid, a.attnum, 'UPDATE')
            ",
        )
        .bind(&table)
        .fetch_all(&scene.superuser)
        .await
        .unwrap();
        if let Some(column) = columns.first() {
            let update = format!("UPDATE {table} SET {column} = {column} WHERE organization_id = '{theirs}'");
            let done = app.execute(AssertSqlSafe(update)).await.unwrap();
            assert_eq!(done.rows_affected(), 0, "{table}");
        }
        // Copied as it is, their rows are refused whoever reads them: the superuser hands them over.
        let rows: Vec<String> = sqlx::query_scalar(AssertSqlSafe(format!(
            "SELECT to_jsonb(t)::text FROM {table} t WHERE organization_id = '{theirs}'"
        )))
        .fetch_all(&scene.superuser)
        .await
        .unwrap();
        for row in rows {
            let quoted = row.replace('\'', "''");
            let insert = format!("INSERT INTO {table} SELECT * FROM jsonb_populate_record(NULL::{table}, '{quoted}')");
            let code = refused(&mut app, insert).await;
            // Not permitted, or refused by a rule before the policy is asked.
            assert!(matches!(code.as_str(), NOT_PERMITTED | "23514"), "{table}: {code}");
        }
        if columns.contains(&"organization_id".to_owned()) {
            let moved = format!("UPDATE {table} SET organization_id = '{theirs}' WHERE organization_id = '{ours}'");
            if let Err(error) = app.execute(AssertSqlSafe(moved.clone())).await {
                let code = error.as_database_error().unwrap().code().unwrap().into_owned();
                assert!(matches!(code.as_str(), NOT_PERMITTED | "23514" | "23503"), "{table}: {error}");
            }
        }
    }
    assert_eq!(scene.their_rows().await, before);
}

#[tokio::test]
async fn ledger_rows_are_never_deleted_by_the_application() {
    let scene = Scene::new().await;
    let mut app = app(&scene).await;
    set_organization(&mut app, Some(scene.theirs.organization.id)).await;
    let kept = [
        "sync_logs",
        "sync_attempts",
        "sync_record_outcomes",
        "source_records",
        "client_runs",
        "incidents",
        "notifications",
        "email_outbox",
        "integration_configs",
        "integration_health",
        "organizations",
        "memberships",
        "users",
        "api_keys",
        "seals",
        "seal_checkpoints",
        "archives",
        "archived_months",
    ];
    for table in kept {
        assert_eq!(refused(&mut app, format!("DELETE FROM {table}")).await, NOT_PERMITTED, "{table}");
    }
    let all: Vec<String> = sqlx::query_scalar(
        "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')",
    )
    .fetch_all(&scene.superuser)
    .await
    .unwrap();
    for table in all {
        assert_eq!(refused(&mut app, format!("TRUNCATE {table}")).await, NOT_PERMITTED, "{table}");
        let code = refused(&mut app, format!("ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")).await;
        assert_eq!(code, NOT_PERMITTED, "{table}");
    }
    for statement in [
        "CREATE TABLE mine (id int)",
        "SET ROLE syncwatch_owner",
        "DROP TABLE sync_logs",
        "ALTER TABLE sync_logs DISABLE TRIGGER ALL",
        "SET session_replication_role = replica",
        "SELECT password_hash FROM users",
    ] {
        assert_eq!(refused(&mut app, statement.to_owned()).await, NOT_PERMITTED, "{statement}");
    }
}

#[tokio::test]
async fn no_partition_can_be_reached_by_name() {
    let scene = Scene::new().await;
    let mut app = app(&scene).await;
    set_organization(&mut app, Some(scene.theirs.organization.id)).await;
    let partitions: Vec<String> = sqlx::query_scalar(
        "
        SELECT relname::text FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relispartition AND relkind = 'r'
        ",
    )
    .fetch_all(&scene.superuser)
    .await
    .unwrap();
    assert!(partitions.len() >= 3 * 17, "{}", partitions.len());
    for partition in partitions {
        for statement in ["SELECT * FROM", "DELETE FROM", "TRUNCATE"] {
            let statement = format!("{statement} {partition}");
            assert_eq!(refused(&mut app, statement.clone()).await, NOT_PERMITTED, "{statement}");
        }
        let update = format!("UPDATE {partition} SET organization_id = organization_id");
        assert_eq!(refused(&mut app, update).await, NOT_PERMITTED);
        let insert = format!("INSERT INTO {partition} DEFAULT VALUES");
        assert_eq!(refused(&mut app, insert).await, NOT_PERMITTED);
    }
}

#[tokio::test]
async fn row_level_security_is_enabled_and_forced_everywhere() {
    let scene = Scene::new().await;
    let unprotected: Vec<String> = sqlx::query_scalar(
        "
        SELECT DISTINCT c.relname::text FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
            AND a.attname = 'organization_id' AND NOT a.attisdropped
            AND NOT (c.relrowsecurity AND c.relforcerowsecurity)
        ORDER BY 1
        ",
    )
    .fetch_all(&scene.superuser)
    .await
    .unwrap();
    assert_eq!(unprotected, NOT_TENANT);
    let columns: Vec<String> = sqlx::query_scalar(
        "
        SELECT DISTINCT attname::text FROM pg_attribute
        WHERE attrelid = ANY ($1::text[]::regclass[]) AND attnum > 0 AND NOT attisdropped ORDER BY 1
        ",
    )
    .bind(NOT_TENANT)
    .fetch_all(&scene.superuser)
    .await
    .unwrap();
    assert_eq!(columns, NOT_TENANT_COLUMNS, "tables before any organization hold ids and moments alone");
    let (superuser, bypasses, owned): (bool, bool, i64) = sqlx::query_as(
        "
        SELECT rolsuper, rolbypassrls, (SELECT count(*) FROM pg_class WHERE relowner = pg_roles.oid)
        FROM pg_roles WHERE rolname = 'syncwatch_app'
        ",
    )
    .fetch_one(&scene.superuser)
    .await
    .unwrap();
    assert_eq!((superuser, bypasses, owned), (false, false, 0));
}

#[tokio::test]
async fn functions_that_act_as_the_owner_are_few_and_narrow() {
    let scene = Scene::new().await;
    let names: Vec<String> = sqlx::query_scalar(
        "
        SELECT proname::text FROM pg_proc WHERE prosecdef AND pronamespace = 'public'::regnamespace
            AND has_function_privilege('syncwatch_app', oid, 'EXECUTE') ORDER BY 1
        ",
    )
    .fetch_all(&scene.superuser)
    .await
    .unwrap();
    assert_eq!(names, ["api_key_lookup", "ensure_ledger_partitions", "login_lookup"]);
    let mut app = app(&scene).await;
    refused(&mut app, "SELECT ensure_ledger_partitions('2001-01-01')".to_owned()).await;
}
