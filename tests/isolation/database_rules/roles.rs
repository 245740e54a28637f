//! What maintenance and the global reader may do, and what they may not.

use sqlx::PgPool;

use super::story::End;
use super::{Db, NOT_PERMITTED, Refused, partition, tried};

/// What archiving and sealing bring along has powers of its own, and tests of its own.
const ELSEWHERE: &str = "archive|seal";

/// Columns that hold payloads, credentials, or what opens a session.
const SECRETS: [(&str, &str); 13] = [
    ("source_records", "payload_sealed"),
    ("source_records", "payload_key_id"),
    ("source_records", "next_payload_sealed"),
    ("source_records", "next_payload_key_id"),
    ("integration_configs", "credentials_sealed"),
    ("integration_configs", "credentials_key_id"),
    ("users", "password_hash"),
    ("users", "email"),
    ("api_keys", "secret_hash"),
    ("refresh_tokens", "token_hash"),
    ("signing_keys", "private_key_sealed"),
    ("idempotency_keys", "body"),
    ("email_outbox", "body_text"),
];

/// Tables of the schema, partitions too.
async fn tables(superuser: &PgPool) -> Vec<String> {
    sqlx::query_scalar(
        "
        SELECT relname::text FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND relname !~ $1 ORDER BY 1
        ",
    )
    .bind(ELSEWHERE)
    .fetch_all(superuser)
    .await
    .unwrap()
}

fn denied() -> Result<(), Refused> {
    Err(Refused::by(NOT_PERMITTED, ""))
}

#[tokio::test]
async fn neither_role_writes_anything() {
    let db = Db::new().await;
    let tables = tables(&db.scene.superuser).await;
    assert!(tables.len() > 60, "{}", tables.len());
    for role in ["syncwatch_maintenance", "syncwatch_reader"] {
        let may: Vec<String> = sqlx::query_scalar(
            "
            SELECT format('%s %s', privilege, relname) FROM pg_class,
                unnest(ARRAY['INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'TRIGGER', 'REFERENCES']) AS privilege
            WHERE relname = ANY ($2) AND relnamespace = 'public'::regnamespace AND (
                has_table_privilege($1::name, oid, privilege)
                OR (privilege IN ('INSERT', 'UPDATE', 'REFERENCES') AND has_any_column_privilege($1::name, oid, privilege))
            )
            ",
        )
        .bind(role)
        .bind(&tables)
        .fetch_all(&db.scene.superuser)
        .await
        .unwrap();
        assert_eq!(may, Vec::<String>::new(), "{role}");
    }
}

#[tokio::test]
async fn neither_role_reads_payloads_or_credentials() {
    let db = Db::new().await;
    for role in ["syncwatch_maintenance", "syncwatch_reader"] {
        let mut session = db.role(role).await;
        for (table, column) in SECRETS {
            let statement = format!("SELECT {column} FROM {table}");
            assert_eq!(tried(&mut session, &statement).await, denied(), "{role}: {statement}");
        }
        // Columns that come later are named like these.
        let sealed: Vec<String> = sqlx::query_scalar(
            r"
            SELECT format('%s.%s', relname, attname) FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
            WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND attnum > 0 AND NOT attisdropped
                AND attname ~ '_sealed$|_key_id$|secret|password|token|_hash$|^payload$'
                AND attname !~ '^(request_payload_hash|payload_hash|next_payload_hash|sent_hash)$' AND relname !~ $2
                AND has_column_privilege($1::name, attrelid, attnum, 'SELECT')
            ",
        )
        .bind(role)
        .bind(ELSEWHERE)
        .fetch_all(&db.scene.superuser)
        .await
        .unwrap();
        assert_eq!(sealed, Vec::<String>::new(), "{role}");
    }
}

#[tokio::test]
async fn the_reader_reads_across_organizations_and_nothing_more() {
    let db = Db::new().await;
    let mut reader = db.role("syncwatch_reader").await;
    let (ours, theirs) = (db.scene.ours.id, db.organization);
    for table in ["integration_configs", "organizations", "memberships"] {
        let organizations: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(format!(
            "SELECT count(DISTINCT organization_id) FROM {table} WHERE organization_id IN ('{ours}', '{theirs}')"
        )))
        .fetch_one(&mut reader)
        .await
        .unwrap();
        assert_eq!(organizations, 2, "{table}");
    }
    let name = partition("sync_logs", db.scene.server.clock.now());
    for statement in [
        "SELECT id, status, error_message FROM sync_logs",
        "SELECT state, label, amount, payload_hash FROM source_records",
        "SELECT name, settings, paused FROM integration_configs",
        "SELECT facts FROM integration_health",
    ] {
        assert_eq!(tried(&mut reader, statement).await, Ok(()), "{statement}");
    }
    for statement in [
        "SELECT * FROM source_records",
        "SELECT * FROM integration_configs",
        "SELECT * FROM users",
        "SELECT * FROM sync_claims",
        "SELECT * FROM client_runs",
        "SELECT * FROM active_syncs",
        "SELECT * FROM events",
        &format!("SELECT * FROM {name}"),
        "INSERT INTO sync_logs DEFAULT VALUES",
        "UPDATE sync_logs SET status = status",
        "UPDATE integration_health SET facts = '{}'",
        "DELETE FROM sync_logs",
        "TRUNCATE sync_logs",
        "CREATE TABLE mine (id int)",
        "SET ROLE syncwatch_owner",
        "SET ROLE syncwatch_app",
        "ALTER TABLE sync_logs DISABLE TRIGGER check_update",
        "SELECT api_key_lookup(gen_random_uuid())",
        "SELECT login_lookup('somebody@example.org')",
    ] {
        assert_eq!(tried(&mut reader, statement).await, denied(), "{statement}");
    }
}

#[tokio::test]
async fn maintenance_makes_partitions_and_changes_no_row() {
    let mut db = Db::new().await;
    let life = db.ended(End::Failed).await;
    let mut maintenance = db.role("syncwatch_maintenance").await;
    let name = partition("sync_logs", life.started_at);
    assert_eq!(tried(&mut maintenance, "SELECT ensure_ledger_partitions(current_date)").await, Ok(()));
    for statement in [
        life.set("error_message = 'mended'"),
        life.set_attempt("error_message = 'mended'"),
        "UPDATE sync_record_outcomes SET outcome = 'succeeded'".to_owned(),
        "UPDATE source_records SET state = 'staged'".to_owned(),
        "UPDATE integration_health SET facts = '{}'".to_owned(),
        "DELETE FROM sync_logs".to_owned(),
        "DELETE FROM sync_record_outcomes".to_owned(),
        "TRUNCATE sync_logs CASCADE".to_owned(),
        format!("DELETE FROM {name}"),
        format!("TRUNCATE {name} CASCADE"),
        format!("ALTER TABLE sync_logs DETACH PARTITION {name}"),
        format!("ALTER TABLE {name} DISABLE ROW LEVEL SECURITY"),
        format!("DROP TABLE {name}"),
        "DROP TABLE sync_logs CASCADE".to_owned(),
        "ALTER TABLE sync_logs DISABLE TRIGGER check_update".to_owned(),
        "SET session_replication_role = replica".to_owned(),
        "CREATE TABLE mine (id int)".to_owned(),
        "SET ROLE syncwatch_owner".to_owned(),
        "SET ROLE syncwatch_app".to_owned(),
        "SELECT payload_sealed FROM source_records".to_owned(),
        "SELECT credentials_sealed FROM integration_configs".to_owned(),
        "SELECT api_key_lookup(gen_random_uuid())".to_owned(),
        "SELECT login_lookup('somebody@example.org')".to_owned(),
    ] {
        assert_eq!(tried(&mut maintenance, &statement).await, denied(), "{statement}");
    }
}

#[tokio::test]
async fn no_role_can_give_itself_more() {
    let db = Db::new().await;
    let more: Vec<String> = sqlx::query_scalar(
        "
        SELECT rolname::text FROM pg_roles
        WHERE rolname IN ('syncwatch_app', 'syncwatch_reader', 'syncwatch_maintenance') AND (
            rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb OR rolreplication
            OR EXISTS (SELECT FROM pg_auth_members WHERE member = pg_roles.oid)
            OR EXISTS (SELECT FROM pg_class WHERE relowner = pg_roles.oid)
            OR EXISTS (SELECT FROM pg_proc WHERE proowner = pg_roles.oid)
            OR has_schema_privilege(pg_roles.oid, 'public', 'CREATE')
        )
        ",
    )
    .fetch_all(&db.scene.superuser)
    .await
    .unwrap();
    assert_eq!(more, Vec::<String>::new());
}
