//! The ledger's rules hold for plain SQL too, whoever writes it.

use serde_json::json;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};
use uuid::Uuid;

use crate::scene::{CLAIM, Scene};

/// A connection of the application's role within the second organization.
async fn app(scene: &Scene) -> PgConnection {
    let mut app = PgConnection::connect(&scene.server.database.app_url).await.unwrap();
    sqlx::query("SELECT set_config('app.org_id', $1, false)")
        .bind(scene.theirs.organization.id.to_string())
        .execute(&mut app)
        .await
        .unwrap();
    app
}

/// The constraint that refused a statement.
async fn rule(app: &mut PgConnection, statement: &str) -> String {
    match app.execute(AssertSqlSafe(statement.to_owned())).await {
        Ok(done) => panic!("{statement} was not refused: {done:?}"),
        Err(error) => {
            let error = error.as_database_error().unwrap();
            error.constraint().map_or_else(|| error.message().to_owned(), str::to_owned)
        }
    }
}

#[tokio::test]
async fn what_a_sync_is_about_never_changes() {
    let scene = Scene::new().await;
    let mut app = app(&scene).await;
    let unknown = Uuid::now_v7();
    let fixed = [
        ("id", format!("'{unknown}'")),
        ("integration_config_id", format!("'{unknown}'")),
        ("connector_type", "'other'".to_owned()),
        ("sync_type", "'roster_sync'".to_owned()),
        ("triggered_by", "'webhook'".to_owned()),
        ("triggered_by_user_id", format!("'{unknown}'")),
        ("source_record_id", format!("'{unknown}'")),
        ("source_record_type", "'other'".to_owned()),
        ("started_at", "started_at - interval '1 second'".to_owned()),
        ("backfill", "true".to_owned()),
        ("client_run_id", "'another'".to_owned()),
    ];
    for sync in [scene.theirs.failed, scene.theirs.running] {
        for (column, value) in &fixed {
            let refused = rule(&mut app, &format!("UPDATE sync_logs SET {column} = {value} WHERE id = '{sync}'")).await;
            assert_eq!(refused, "immutable_after_terminal_state", "{column}");
        }
    }
    let failed = scene.theirs.failed;
    let settled = [
        "metadata = '{}'",
        "error_message = 'mended'",
        "records_failed = 0",
        "warnings = '[{}]'",
        "completed_at = completed_at + interval '1 s', duration_ms = duration_ms + 1000",
    ];
    for change in settled {
        let refused = rule(&mut app, &format!("UPDATE sync_logs SET {change} WHERE id = '{failed}'")).await;
        assert_eq!(refused, "immutable_after_terminal_state", "{change}");
    }
    let attempt = format!("UPDATE sync_attempts SET records_failed = 0 WHERE sync_id = '{failed}'");
    assert_eq!(rule(&mut app, &attempt).await, "immutable_after_terminal_state");
    let outcome =
        |outcome: &str| format!("UPDATE sync_record_outcomes SET outcome = '{outcome}' WHERE sync_id = '{failed}'");
    for lesser in ["queued", "sending", "not_attempted", "unknown", "failed", "skipped"] {
        assert_eq!(rule(&mut app, &outcome(lesser)).await, "record_outcome_transition", "{lesser}");
    }
}

#[tokio::test]
async fn a_record_is_claimed_by_one_sync_at_a_time() {
    let scene = Scene::new().await;
    let mut app = app(&scene).await;
    let record = Uuid::now_v7();
    let claim = |sync: Uuid, connector: &str| {
        let organization = scene.theirs.organization.id;
        format!(
            "INSERT INTO sync_claims (organization_id, connector_type, source_record_type, source_record_id, sync_id)
             VALUES ('{organization}', '{connector}', '{CLAIM}', '{record}', '{sync}')"
        )
    };
    app.execute(AssertSqlSafe(claim(scene.theirs.running, "xledger"))).await.unwrap();
    let again = rule(&mut app, &claim(scene.theirs.queued, "xledger")).await;
    assert_eq!(again, "one_active_attempt_per_source_record");
    app.execute(AssertSqlSafe(claim(scene.theirs.queued, "dynamics365"))).await.unwrap();
    // A claim belongs to a sync that is under way.
    assert!(rule(&mut app, &claim(scene.theirs.failed, "other")).await.contains("fkey"));
}

#[tokio::test]
async fn delivered_and_handled_records_are_settled() {
    let scene = Scene::new().await;
    let mut app = app(&scene).await;
    let (record, integration) = (scene.theirs.record, scene.theirs.integration);
    let set = |state: &str| format!("UPDATE source_records SET state = '{state}' WHERE source_record_id = '{record}'");
    app.execute(AssertSqlSafe(set("handled"))).await.unwrap();
    for state in ["staged", "sending", "failed", "unknown"] {
        assert_eq!(rule(&mut app, &set(state)).await, "handled_record_is_settled", "{state}");
    }
    app.execute(AssertSqlSafe(set("delivered"))).await.unwrap();
    for state in ["staged", "sending", "failed", "unknown", "handled"] {
        assert_eq!(rule(&mut app, &set(state)).await, "delivered_record_is_settled", "{state}");
    }
    let allow = format!("UPDATE integration_configs SET allow_updates = true WHERE id = '{integration}'");
    app.execute(AssertSqlSafe(allow)).await.unwrap();
    app.execute(AssertSqlSafe(set("staged"))).await.unwrap();
    // A settled record keeps no payload.
    let staged = scene.theirs.staged;
    let kept = format!("UPDATE source_records SET state = 'handled' WHERE source_record_id = '{staged}'");
    let kept = rule(&mut app, &kept).await;
    assert_eq!(kept, "payload_deleted_once_settled", "{}", json!(kept));
}

#[tokio::test]
async fn one_incident_is_open_and_says_each_thing_once() {
    let scene = Scene::new().await;
    let mut app = app(&scene).await;
    let incident = scene.theirs.incident;
    let second = format!(
        "INSERT INTO incidents (organization_id, id, integration_config_id, kind, opened_at)
         SELECT organization_id, '{}', integration_config_id, kind, opened_at FROM incidents WHERE id = '{incident}'",
        Uuid::now_v7()
    );
    assert_eq!(rule(&mut app, &second).await, "incidents_one_open");
    let again = format!(
        "INSERT INTO notifications (organization_id, user_id, id, kind, incident_id, consecutive_failures, created_at)
         SELECT organization_id, user_id, '{}', kind, incident_id, 2, now() FROM notifications
         WHERE incident_id = '{incident}'",
        Uuid::now_v7()
    );
    assert!(rule(&mut app, &again).await.starts_with("notifications_organization_id_user_id"));
}

#[tokio::test]
async fn seals_are_added_in_order_and_never_changed() {
    let scene = Scene::new().await;
    let mut app = app(&scene).await;
    let head: i64 = sqlx::query_scalar("SELECT max(seq) FROM seals").fetch_one(&mut app).await.unwrap();
    let again = |seq: i64| {
        format!(
            "INSERT INTO seals
             SELECT organization_id, {seq}, sync_id, sync_started_at, attempt_number, fixed_hash, sync_hash, attempt_hash,
                    attempt_final, records_hash, records, backfill, sealed_at, chain_hash
             FROM seals WHERE seq = 1"
        )
    };
    for seq in [1, head, head + 2, 0, -1] {
        assert_eq!(rule(&mut app, &again(seq)).await, "seals_are_contiguous", "{seq}");
    }
    app.execute(AssertSqlSafe(again(head + 1))).await.unwrap();
    let mut superuser = PgConnection::connect(&scene.server.database.superuser_url).await.unwrap();
    for table in ["seals", "seal_checkpoints"] {
        for statement in ["UPDATE {} SET seq = seq", "DELETE FROM {}", "TRUNCATE {}"] {
            let statement = statement.replace("{}", table);
            let refused = app.execute(AssertSqlSafe(statement.clone())).await.unwrap_err();
            assert_eq!(refused.as_database_error().unwrap().code().unwrap(), "42501", "{statement}");
            assert_eq!(rule(&mut superuser, &statement).await, "seals_are_append_only", "{statement}");
        }
    }
}
